/** A row of the table that is written at random; texts as the server writes them. */
export interface WrittenRow {
  readonly a: number;
  readonly b: string;
  readonly v: string | null;
}

/** One statement of a random transaction. */
export type RandomWrite =
  | {readonly insert: WrittenRow}
  | {readonly update: WrittenRow; readonly old: WrittenRow}
  | {readonly delete: WrittenRow};

/** A type that is proved, with what its values land as. */
export interface TypeProof {
  readonly column: string;
  /** Expression in DuckDB over the landed column, which gives text. */
  readonly lake: string;
  /** Texts of that expression, a row each; null for NULL. */
  readonly lands: readonly (string | null)[];
}

/** A database that the script may write to. Its tables are made anew by `prepare`. */
export interface VerifiedServer {
  /** Options of a connection. */
  readonly options: Readonly<Record<string, string | number | boolean>>;
  /** Why change data capture is left out; null when it is there. */
  readonly noCapture: string | null;
  /**
   * Makes the tables of `TABLES`, where it can with capture instances; the first two have change tracking, too. Rows of all types are in
   * the first.
   */
  prepare(): Promise<readonly TypeProof[]>;
  /** One transaction on a table; false when it was rolled back. */
  write(table: string, writes: readonly RandomWrite[]): Promise<boolean>;
  /** Switches change tracking of a table on or off. */
  setTracking(table: string, isOn: boolean): Promise<void>;
  /** The rows of a table that is written at random. */
  rows(table: string): Promise<readonly WrittenRow[]>;
  cleanUp(): Promise<void>;
}

/** Names of the tables, all in dbo. */
export const TABLES = {
  types: 'sluice_verify_types',
  keyed: 'sluice_verify_rows',
  captured: 'sluice_verify_captured',
  bare: 'sluice_verify_bare',
} as const;
