import type {Comparison} from '../../src/testkit/scenario.ts';
import {groupedRows} from './grouped-rows.ts';

type Row = Readonly<Record<string, unknown>>;
type Sides = Pick<Comparison, 'source' | 'destination'>;

/**
 * Every version of every row of `counted` is there once: from the one that the snapshot had to that of the source now.
 * @param versions `k` and `v` of the source
 * @param rows `id`, `version` and `_change_type` as they landed
 */
export function compareChanges(versions: readonly Row[], rows: readonly Row[]): Sides {
  return compareVersions(versions, {
    landed: rows.map((row) => ({k: row['id'], version: Number(row['version']), note: String(row['_change_type'])})),
    note: () => 'update_postimage',
  });
}

/**
 * Every version of every row of `counted` holds until the next one begins, and the last one has no end.
 * @param rows `id`, `version`, `is_open` and `is_led_on`: its end is the start of the next one
 */
export function compareHistory(versions: readonly Row[], rows: readonly Row[]): Sides {
  return compareVersions(versions, {
    landed: rows.map((row) => {
      const note = row['is_open'] === true ? 'open' : row['is_led_on'] === true ? 'closed' : 'broken';
      return {k: row['id'], version: Number(row['version']), note};
    }),
    note: (version, last) => (version === last ? 'open' : 'closed'),
  });
}

interface Versions {
  readonly landed: readonly {readonly k: unknown; readonly version: number; readonly note: string}[];
  readonly note: (version: number, last: number) => string;
}

function compareVersions(versions: readonly Row[], {landed, note}: Versions): Sides {
  const firsts = new Map<string, number>();
  for (const {k, version} of landed) firsts.set(String(k), Math.min(version, firsts.get(String(k)) ?? Infinity));
  const source = new Map(
    versions.map(({k, v}) => {
      const last = Number(v);
      const first = Math.min(last, firsts.get(String(k)) ?? last);
      const texts = Array.from({length: last - first + 1}, (_, n) => `${first + n} ${note(first + n, last)}`);
      return [String(k), texts] as const;
    }),
  );
  return {source, destination: groupedRows(landed.map(({k, version, note: how}) => ({k, v: `${version} ${how}`})))};
}
