import type {JsonObject} from 'sluice/sdk';

/** One query: `SELECT * FROM table WHERE … ORDER BY orderBy LIMIT limit`. */
export interface Select {
  readonly table: string;
  /** Sorted by these columns, ascending; together they are unique. */
  readonly orderBy: readonly string[];
  /** Only rows behind these values, compared as a whole: `(a, b) > (?, ?)`. */
  readonly after?: readonly JsonObject[string][];
  /** Only rows with at least this value: `column >= ?`. */
  readonly from?: {readonly column: string; readonly value: JsonObject[string]};
  readonly limit: number;
}

/**
 * The little that the connector asks of a database. Put your driver behind it (`npm install` one in plain JavaScript) and
 * replace `openDatabase`; the rest of the connector stays as it is.
 */
export interface Database {
  /** Throws DatabaseError with code `auth` when the credentials are refused. */
  select(query: Select): Promise<readonly JsonObject[]>;
  close(): Promise<void>;
}

/** What went wrong, in the database's own words. */
export class DatabaseError extends Error {
  readonly code: 'auth' | 'lost' | 'other';

  constructor(code: DatabaseError['code'], message: string) {
    super(message);
    this.code = code;
  }
}
