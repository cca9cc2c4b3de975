import type {StructField} from '../core/types.ts';

/** The formats that the engine reads itself. */
export type FileFormat = 'csv' | 'json' | 'parquet';

/** How a file is read; absent settings have the defaults of each format. */
export interface FileSettings {
  readonly format: FileFormat;
  /** CSV: field separator, default `,`. */
  readonly delimiter?: string;
  /** CSV: the first line names the columns, default true. */
  readonly header?: boolean;
  /** CSV: quote character, default `"`; empty: none. It is escaped by doubling. */
  readonly quote?: string;
  /** CSV: unquoted text that means NULL beside the empty field. */
  readonly nullText?: string;
  /** JSON: default `auto`, told by the first characters. */
  readonly jsonShape?: 'lines' | 'array' | 'auto';
}

/** A file on this machine. A name that ends in `.gz` is unpacked while it is read (CSV and JSON). */
export interface FileInput {
  /** Absolute path. */
  readonly localPath: string;
  /** What `_file_path` says; default `localPath`. */
  readonly path?: string;
  readonly options: FileSettings;
}

/** A column of a file as SQL over the relation it is in. */
export interface SourceColumn {
  readonly name: string;
  /** The typed value for a schema's type, and when a value of the file does not fit it. */
  readonly typed: (type: FieldType) => TypedSql;
  /** True when the column holds a value. */
  readonly present: string;
  /** The value as JSON text, as exact as the file has it; evaluated for misfits only. */
  readonly rawJson: string;
}

/** What {@link SourceColumn.typed} needs of a field. */
export type FieldType = Pick<StructField, 'type' | 'metadata'>;

/** SQL of a typed value, NULL where nothing fits. */
export interface TypedSql {
  readonly value: string;
  /** Given SQL of the value (the same, or a column that holds it): true when something is there that does not fit. Null: everything fits. */
  readonly misfit: ((value: string) => string) | null;
}

/** Files that are read by one SELECT. */
export interface SourceRelation {
  /** What stands after FROM: it has everything that the columns mention. */
  readonly from: string;
  readonly columns: readonly SourceColumn[];
  /** The file's path. */
  readonly filePath: string;
  /** Each gives members of a JSON object (`"name":value,...`) to rescue beside misfits, or NULL. */
  readonly members: readonly string[];
  /** A table of the engine to drop when everything is read. */
  readonly table?: string;
}

/** Rescued under this name: the text of a record that is not well-formed. */
export const CORRUPT_MEMBER = '_corrupt_record';
