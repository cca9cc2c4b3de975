/** Every code that Sluice reports, with what it means; this file is the manual of errors. */
export type ErrorCode =
  /** A pipeline spec or bundle is malformed; `context.path` names the place. */
  | 'INVALID_SPEC'
  /** A connection or table option is unknown, missing or out of range. */
  | 'INVALID_OPTION'
  /** A `row_filter` or `deletion_condition` does not parse or names an unknown column. */
  | 'INVALID_PREDICATE'
  /** A schema cannot be used: no columns, duplicate names, a type that Delta lacks. */
  | 'INVALID_SCHEMA'
  /** No connector of that name is installed. */
  | 'UNKNOWN_CONNECTOR'
  /** The code or the document of a connector cannot be loaded or built; the message names the file. */
  | 'INVALID_CONNECTOR'
  /** The source has no such table (or the user may not see it). */
  | 'UNKNOWN_TABLE'
  /** A configured column does not exist in the source table. */
  | 'UNKNOWN_COLUMN'
  /** A `${env.X}` or variable has no value. */
  | 'MISSING_SECRET'
  /** The flow needs a primary key and none is known. */
  | 'MISSING_KEY'
  /** The flow needs a cursor field or `sequence_by` and none is known. */
  | 'MISSING_SEQUENCE'
  /** A cdc or append table that nothing ends: no timestamp cursor, no latestOffset, no declared bound. */
  | 'UNBOUNDED_TABLE'
  /** A combination that Sluice does not do; the message says which and why. */
  | 'UNSUPPORTED'
  /** The source cannot be reached. */
  | 'CONNECTION_FAILED'
  /** The source refused the credentials. */
  | 'AUTH_FAILED'
  /** The source refuses this user this object. */
  | 'PERMISSION_DENIED'
  /** The source failed in a way that may pass. */
  | 'SOURCE_ERROR'
  /** The source asked us to slow down. */
  | 'THROTTLED'
  /** The source table changed its columns while it was being read; the next attempt reads the new schema. */
  | 'SOURCE_SCHEMA_CHANGED'
  /** A connector broke the contract of `LakeflowConnect`. */
  | 'CONTRACT_VIOLATION'
  /** Offsets went round in circles within one trigger. */
  | 'OFFSET_LOOP'
  /** The source no longer keeps what came after the offset; the table is read anew, once, in the same run. */
  | 'OFFSET_EXPIRED'
  /** The source no longer keeps the log that a gateway needs to go on: slot lost or dropped, log purged, another server. */
  | 'LOG_LOST'
  /** The gateway has no complete snapshot of the table yet, and no rows of it landed before. */
  | 'NOT_STAGED'
  /** Files of a staging area are missing or do not hold what their manifest says. */
  | 'STAGING_DAMAGED'
  /** An offset is larger than 64 KB. */
  | 'OFFSET_TOO_LARGE'
  /** A snapshot holds one key more than once. */
  | 'DUPLICATE_KEY'
  /** A record cannot land: no key, null in a required column, not an object. */
  | 'BAD_RECORD'
  /** Rows break a CHECK constraint, an invariant or a NOT NULL of the destination table. */
  | 'CONSTRAINT_VIOLATION'
  /** More values were rescued than `max_rescued_values` allows. */
  | 'RESCUE_LIMIT'
  /** More rows were quarantined than `max_quarantined_rows` allows. */
  | 'QUARANTINE_LIMIT'
  /** A column changed its type in a way that Delta cannot take without a reload. */
  | 'INCOMPATIBLE_SCHEMA_CHANGE'
  /** A key scan would delete more of the table than the guard allows. */
  | 'TOO_MANY_DELETES'
  /** The destination exists and belongs to nobody or to another pipeline. */
  | 'TABLE_NOT_OURS'
  /** The destination was restored, replaced or overwritten by somebody else. */
  | 'TABLE_CHANGED_OUTSIDE'
  /** The table needs a Delta feature that Sluice does not know. */
  | 'UNSUPPORTED_TABLE_FEATURE'
  /** There is no Delta log at that place. */
  | 'NOT_A_DELTA_TABLE'
  /** Files of an older version of a table are gone: it cannot be restored. */
  | 'VERSION_GONE'
  /** A Delta log entry or checkpoint cannot be read. */
  | 'CORRUPT_LOG'
  /** Another writer committed something that our commit cannot be rebased over. */
  | 'COMMIT_CONFLICT'
  /** Another run of this pipeline or flow is under way, or won. */
  | 'CONCURRENT_RUN'
  /** The store let two writers create one name. */
  | 'STORE_UNSAFE'
  /** Reading or writing storage failed. */
  | 'STORAGE_FAILED'
  /** No space is left. */
  | 'STORAGE_FULL'
  /** The lake cannot be written. */
  | 'STORAGE_READ_ONLY'
  /** The embedded engine failed. */
  | 'ENGINE_FAILED'
  /** The embedded engine ran out of its memory limit. */
  | 'OUT_OF_MEMORY'
  /** The run was asked to stop. */
  | 'CANCELLED'
  /** Destination and source differ. */
  | 'VERIFY_FAILED';
