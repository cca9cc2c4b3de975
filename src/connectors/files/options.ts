import {extname} from 'node:path';

import {
  fromDdl,
  IngestError,
  type FileFormat,
  type FileReadOptions,
  type OptionSpecs,
  type StructType,
  type TableOptions,
} from '../../sdk/index.ts';

/** How a table of files is read, with everything decided. */
export interface FileTableOptions {
  readonly mode: 'append' | 'snapshot';
  readonly pattern: string;
  /** Null: told by each file's name. */
  readonly format: FileFormat | null;
  readonly read: Omit<FileReadOptions, 'format'>;
  /** Columns whose type is declared. */
  readonly hints: StructType;
  readonly evolution: 'ADD_NEW_COLUMNS' | 'RESCUE' | 'FAIL_ON_NEW_COLUMNS' | 'NONE';
  readonly inferTypes: boolean;
  readonly maxFilesPerBatch: number;
  readonly allowOverwrites: boolean;
  readonly minAgeSeconds: number;
}

/** Table options of the connector. */
export const TABLE_OPTIONS: OptionSpecs = {
  mode: {
    type: 'string',
    enum: ['append', 'snapshot'],
    default: 'append',
    description:
      'append: every file is read once, when it is new. snapshot: all files together are the table, read anew in every run.',
  },
  format: {
    type: 'string',
    enum: ['csv', 'json', 'parquet'],
    description:
      'Default: by the name of each file (.csv .tsv .json .jsonl .ndjson .parquet, each also with .gz but Parquet).',
  },
  pattern: {type: 'string', default: '**', description: 'Glob on the path within the folder: *, ?, **, {a,b}.'},
  delimiter: {type: 'string', description: 'CSV: field separator; default a comma, a tab for .tsv.'},
  header: {
    type: 'boolean',
    default: true,
    description: 'CSV: the first line names the columns; without it they are _c0, _c1 and so on.',
  },
  quote: {type: 'string', default: '"', description: 'CSV: quote character, doubled to escape it.'},
  null_text: {type: 'string', description: 'CSV: unquoted text that means NULL, beside the empty field.'},
  json_shape: {
    type: 'string',
    enum: ['auto', 'lines', 'array'],
    default: 'auto',
    description: 'JSON: one object per line, or an array of objects.',
  },
  schema_hints: {type: 'string', description: 'Types of some columns, as DDL: "id BIGINT, price DECIMAL(18,2)".'},
  infer_column_types: {
    type: 'boolean',
    default: true,
    description: 'CSV and JSON: false makes every column without a hint a string.',
  },
  schema_evolution_mode: {
    type: 'string',
    enum: ['ADD_NEW_COLUMNS', 'RESCUE', 'FAIL_ON_NEW_COLUMNS', 'NONE'],
    default: 'ADD_NEW_COLUMNS',
    description:
      'What happens to columns that the table does not have yet: they are added, go to _rescued_data (RESCUE and NONE), or stop the flow.',
  },
  max_files_per_batch: {type: 'integer', min: 1, default: 1000, description: 'Files of one batch.'},
  allow_overwrites: {
    type: 'boolean',
    default: false,
    description: 'Files that changed after they were read are read again, whole.',
  },
  min_age_seconds: {
    type: 'integer',
    min: 0,
    default: 0,
    description: 'Files that changed less than so many seconds ago are left for later: they may still be written.',
  },
};

/** Types the options. @throws INVALID_OPTION for hints that are no column declarations. */
export function fileTableOptions(options: TableOptions): FileTableOptions {
  const text = (name: string): string | undefined => (typeof options[name] === 'string' ? options[name] : undefined);
  const number = (name: string, otherwise: number): number =>
    typeof options[name] === 'number' ? options[name] : otherwise;
  const [delimiter, quote, nullText] = [text('delimiter'), text('quote'), text('null_text')];
  return {
    mode: (text('mode') ?? 'append') as FileTableOptions['mode'],
    pattern: text('pattern') ?? '**',
    format: (text('format') ?? null) as FileFormat | null,
    read: {
      header: options['header'] !== false,
      jsonShape: (text('json_shape') ?? 'auto') as 'auto' | 'lines' | 'array',
      ...(delimiter === undefined ? {} : {delimiter: delimiter.replaceAll('\\t', '\t')}),
      ...(quote === undefined ? {} : {quote}),
      ...(nullText === undefined ? {} : {nullText}),
    },
    hints: hintsOf(text('schema_hints')),
    evolution: (text('schema_evolution_mode') ?? 'ADD_NEW_COLUMNS') as FileTableOptions['evolution'],
    inferTypes: options['infer_column_types'] !== false,
    maxFilesPerBatch: number('max_files_per_batch', 1000),
    allowOverwrites: options['allow_overwrites'] === true,
    minAgeSeconds: number('min_age_seconds', 0),
  };
}

/** How one file is read; null when its name tells no format and none is declared. */
export function readOptionsOf(path: string, options: FileTableOptions): FileReadOptions | null {
  const unpacked = path.toLowerCase().replace(/\.gz$/u, '');
  const extension = extname(unpacked);
  const format = options.format ?? FORMATS.get(extension);
  if (format === undefined) return null;
  const tabs = extension === '.tsv' && options.read.delimiter === undefined ? {delimiter: '\t'} : {};
  return {...options.read, ...tabs, format};
}

const FORMATS: ReadonlyMap<string, FileFormat> = new Map([
  ['.csv', 'csv'],
  ['.tsv', 'csv'],
  ['.json', 'json'],
  ['.jsonl', 'json'],
  ['.ndjson', 'json'],
  ['.parquet', 'parquet'],
]);

function hintsOf(text: string | undefined): StructType {
  if (text === undefined || text.trim() === '') return {type: 'struct', fields: []};
  try {
    return fromDdl(text);
  } catch (cause) {
    throw new IngestError('INVALID_OPTION', 'The table option "schema_hints" is no list of columns.', {
      fix: 'Write it as in "id BIGINT, tags ARRAY<STRING>".',
      context: {option: 'schema_hints'},
      cause,
    });
  }
}
