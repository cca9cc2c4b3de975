import {IngestError} from '../core/errors.ts';
import {ExactNumber, type JsonObject} from '../core/json-value.ts';
import type {Offset, PlainJson} from '../core/offset.ts';
import type {Page} from './contract.ts';

/** A source that gives rows after a key. */
export interface KeysetPaging {
  /** For messages. */
  readonly table: string;
  /** Fields that together are unique and never null, in the order by which the source sorts, ascending. */
  readonly fields: readonly string[];
  /** Rows asked for; fewer mean that there are no more. */
  readonly pageSize: number;
  /** The next rows strictly after a key (by all its fields together), or the first ones for null. */
  readonly fetch: (after: Offset | null) => Promise<readonly JsonObject[]>;
}

/**
 * Reads page after page by the key of the last row: nothing is lost or repeated when rows are added or deleted in between, and
 * the batch may end after any page. Returns the offset of the last row, the start when there was none.
 * @throws CONTRACT_VIOLATION when a page ends at the key it began after, which would go on for ever.
 */
export async function* keysetPages(start: Offset | null, paging: KeysetPaging): AsyncGenerator<Page, Offset | null> {
  let after = start;
  // Ends: each page must move the key, and a page that is not full is the last.
  for (;;) {
    const rows = await paging.fetch(after);
    const last = rows.at(-1);
    if (last === undefined) return after;
    const offset = keysetOffset(last, paging);
    if (after !== null && paging.fields.every((field) => offset[field] === after?.[field])) throw stuck(paging);
    after = offset;
    yield {kind: 'records', rows, offset};
    if (rows.length < paging.pageSize) return after;
  }
}

/** The key of a row as an offset; 64-bit integers and exact numbers as text. @throws CONTRACT_VIOLATION when a field is null or nested. */
export function keysetOffset(row: JsonObject, {table, fields}: Pick<KeysetPaging, 'table' | 'fields'>): Offset {
  return Object.fromEntries(fields.map((field): [string, PlainJson] => [field, plainKey(row[field], table, field)]));
}

function plainKey(value: JsonObject[string], table: string, field: string): PlainJson {
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
  if (typeof value === 'bigint' || value instanceof ExactNumber) return value.toString();
  throw new IngestError(
    'CONTRACT_VIOLATION',
    `Table "${table}" has a row whose "${field}" is null or nested: it cannot be paged by that field.`,
    {
      fix: 'Page by a unique field that every row has.',
      context: {table, field},
    },
  );
}

function stuck({table, fields}: KeysetPaging): IngestError {
  return new IngestError(
    'CONTRACT_VIOLATION',
    `A page of table "${table}" ends at the key that it should begin after (${fields.join(', ')}).`,
    {
      fix: 'Ask for rows strictly after the key, sorted by all its fields.',
      context: {table},
    },
  );
}
