import type {JsonObject} from '../../core/json-value.ts';
import type {ReadContext} from '../contract.ts';
import {pathReader} from '../json-path.ts';
import {RecentKeys} from './recent-keys.ts';
import {digestOf, identityOf} from './record-identity.ts';
import type {RestTable} from './rest-spec.ts';

/** Leaves out the rows of a snapshot that come twice, because rows moved from page to page while they were listed. */
export interface RepeatedRows {
  /** The rows that were not there before: the same list where all are. */
  fresh(rows: readonly JsonObject[]): readonly JsonObject[];
  /** Tells how many were left out, where that is not certain to be the doing of pages. */
  report(ctx: Pick<ReadContext, 'progress'>): void;
}

/**
 * The first row of each key counts where the source enforces keys. Where it does not, only a row that is the same in all it has is taken
 * for one that moved: others of its key reach whoever checks keys. Null for tables without a key.
 */
export function dropRepeated({name, primaryKeys, keysEnforced}: RestTable): RepeatedRows | null {
  if (primaryKeys.length === 0) return null;
  const keyOf = keysEnforced === false ? digestOf : identityOf(primaryKeys);
  const readers = primaryKeys.map(pathReader);
  // Rows without a whole key are none of each other's repetition: whoever checks keys is to see them.
  const hasKey = (row: JsonObject): boolean => readers.every((read) => (read(row) ?? null) !== null);
  const recent = new RecentKeys();
  let dropped = 0;
  return {
    fresh(rows) {
      let fresh: JsonObject[] | null = null;
      for (const [index, row] of rows.entries()) {
        if (hasKey(row) && !recent.isNew(keyOf(row))) {
          dropped++;
          fresh ??= rows.slice(0, index);
        } else fresh?.push(row);
      }
      return fresh ?? rows;
    },
    report({progress}) {
      if (dropped === 0 || keysEnforced !== false) return;
      progress({note: `${name}: rows that came again, the same in all they have, and count once: ${dropped}.`});
    },
  };
}
