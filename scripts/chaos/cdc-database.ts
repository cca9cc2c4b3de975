import type {Random} from '../../src/core/clock.ts';

/** Tables whose rows come, change and go: columns `id`, `part`, `value`, `large` and `amount`. */
export const ROW_TABLES = ['vectors', 'rewritten', 'composite'] as const;
export type RowTable = (typeof ROW_TABLES)[number];

/** Rows of a table when it is made, with keys from 1 on. */
export const FIRST_ROWS = 2000;
/** Rows of `counted`, which stay and count how often they changed: `id` from 1 on, and `version`, which begins at 1. */
export const COUNTED_ROWS = 200;

/** A change of some rows; `span` is how many keys follow the first. */
export type Change =
  | {readonly kind: 'insert'; readonly table: RowTable; readonly id: number; readonly span: number}
  /** Other values, the large one stays. */
  | {readonly kind: 'update'; readonly table: RowTable; readonly id: number; readonly span: number}
  /** Another large value. */
  | {readonly kind: 'enlarge'; readonly table: RowTable; readonly id: number; readonly span: number}
  | {readonly kind: 'rekey'; readonly table: RowTable; readonly id: number; readonly newId: number}
  | {readonly kind: 'delete'; readonly table: RowTable; readonly id: number; readonly span: number}
  /** One version more of rows of `counted`. */
  | {readonly kind: 'count'; readonly id: number; readonly span: number}
  /** Of a table of rows. */
  | {readonly kind: 'truncate'; readonly table: RowTable};

/** A session that writes. */
export interface ChaosSession extends AsyncDisposable {
  /** One transaction; where another session is in the way it is undone as a whole. */
  write(changes: readonly Change[], end: 'commit' | 'rollback'): Promise<void>;
}

/** The words of one kind of database. Disposing stops its server. */
export interface ChaosDatabase extends AsyncDisposable {
  /** A connection, as a configuration has it. */
  readonly connection: object;
  /** `source_schema` of its tables. */
  readonly schema: string;
  /** Makes all tables and their first rows; `marks`, which is followed, and `beside`, which is not, have one row with a `number`. */
  create(): Promise<void>;
  connect(): Promise<ChaosSession>;
  /** In place of `rewritten` comes another table of that name with the same rows. */
  recreate(): Promise<void>;
  /** A commit of nothing that is compared. */
  touch(table: 'marks' | 'beside'): Promise<void>;
  /** Rows of a table of {@link ROW_TABLES}: `k` is `id/part`, `v` is `value|sha256 of large, or nothing|amount`. */
  rows(table: RowTable): Promise<readonly Readonly<Record<string, unknown>>[]>;
  /** Rows of `counted`: `k` is `id`, `v` the number of its version. */
  versions(): Promise<readonly Readonly<Record<string, unknown>>[]>;
}

/** What a transaction of a random writer does. */
export function randomChanges(random: Random): readonly Change[] {
  if (random() < 0.015) return [{kind: 'truncate', table: rowTable(random)}];
  return Array.from({length: 1 + Math.floor(random() * 6)}, () => randomChange(random));
}

function randomChange(random: Random): Change {
  const table = rowTable(random);
  const id = 1 + Math.floor(random() * 4000);
  const span = Math.floor(random() * 40);
  const kind = random();
  if (kind < 0.2) return {kind: 'count', id: 1 + (id % COUNTED_ROWS), span: span % 10};
  if (kind < 0.48) return {kind: 'insert', table, id, span};
  if (kind < 0.74) return {kind: 'update', table, id, span};
  if (kind < 0.82) return {kind: 'enlarge', table, id, span};
  if (kind < 0.9) return {kind: 'rekey', table, id, newId: id + 5000 + Math.floor(random() * 5000)};
  return {kind: 'delete', table, id, span};
}

function rowTable(random: Random): RowTable {
  return ROW_TABLES[Math.floor(random() * ROW_TABLES.length)] ?? 'vectors';
}
