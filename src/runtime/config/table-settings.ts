import type {ScdType, TableConfiguration} from '../../pipeline/spec.ts';
import {list, record} from './collection-shapes.ts';
import {number, scalar, text, word} from './scalar-shapes.ts';
import {orReference, warned, type Shape} from './shape.ts';
import {optional, refused, struct, type Field, type Rule} from './struct-shape.ts';

/** `query_based_connector_config` as written. */
export interface QueryBasedText {
  readonly cursor_columns: readonly string[] | undefined;
  readonly deletion_condition: string | undefined;
  readonly hard_deletion_sync_min_interval_in_seconds: number | undefined;
}

/** `table_configuration` of one level of the cascade, as written. */
export interface TableConfigurationText {
  readonly scd_type: ScdType | undefined;
  readonly primary_keys: readonly string[] | undefined;
  readonly sequence_by: readonly string[] | undefined;
  readonly include_columns: readonly string[] | undefined;
  readonly exclude_columns: readonly string[] | undefined;
  readonly row_filter: string | undefined;
  readonly clustering_columns: readonly string[] | undefined;
  readonly table_properties: ReadonlyMap<string, string> | undefined;
  readonly query_based_connector_config: QueryBasedText | undefined;
  readonly deletion_vectors: TableConfiguration['deletionVectors'] | undefined;
  readonly max_rescued_values: number | undefined;
  readonly max_quarantined_rows: number | undefined;
  readonly max_deleted_percent: number | undefined;
  readonly max_records_per_batch: number | undefined;
  readonly on_duplicate_key: TableConfiguration['onDuplicateKey'] | undefined;
}

/** A field for each setting. */
export type SettingFields = {readonly [K in keyof TableConfigurationText]: Field<TableConfigurationText[K]>};

/** How a form writes its settings. */
export interface SettingStyle {
  /** Names of columns. */
  readonly columns: (description: string) => Shape<readonly string[]>;
  /** Numbers may be written as text. */
  readonly numbersAsText: boolean;
}

/** A list of names, each once. */
export function columnList(description: string): Shape<readonly string[]> {
  return list(text('A column.'), 'a list of strings', {unique: true, description});
}

/** The settings of a table, in the style of a form. */
export function settingFields(style: SettingStyle): SettingFields {
  const columns = (description: string): Field<readonly string[] | undefined> => optional(style.columns(description));
  const count = (description: string, min: number): Field<number | undefined> =>
    optional(number(description, {integer: true, min, fromText: style.numbersAsText}));
  return {
    scd_type: optional(scdType),
    primary_keys: columns('Key columns; default: those that the source declares.'),
    sequence_by: columns('Columns that order the changes of a key; default: the cursor.'),
    include_columns: columns('Only these columns land; new columns of the source do not.'),
    exclude_columns: columns('All columns but these land, new ones too.'),
    row_filter: optional(text("A condition on source columns, for example `status = 'open' AND total >= 10`.")),
    clustering_columns: optional(clusteringShape(style.columns)),
    table_properties: optional(record(property, 'a mapping of property names to text', 'Delta table properties.')),
    query_based_connector_config: optional(queryBased(style)),
    deletion_vectors: optional(deletionVectors),
    max_rescued_values: count('The flow fails when more values than this do not fit their column.', 0),
    max_quarantined_rows: count('The flow fails when more rows than this cannot land.', 0),
    max_deleted_percent: optional(
      number('Largest share of the table that one key scan may delete; default 20.', {
        integer: false,
        min: 0,
        max: 100,
        fromText: style.numbersAsText,
      }),
    ),
    max_records_per_batch: count('Rows of a micro-batch.', 1),
    on_duplicate_key: optional(onDuplicateKey),
  };
}

/** `clustering_columns`, whose effect is on speed only. */
export function clusteringShape(columns: SettingStyle['columns']): Shape<readonly string[]> {
  return warned(columns('Columns by which to cluster the files; no effect yet.'), 'files are not clustered yet');
}

/** Settings of Lakeflow that Sluice knows and does not have. */
export const refusedSettings: Readonly<Record<string, Field<undefined>>> = {
  enable_auto_clustering: refused('name the columns in clustering_columns', [false]),
  auto_full_refresh_policy: refused('a change that needs a reload stops the flow; reload with --full-refresh-tables'),
  source_metadata_column: refused('there is no per-row source metadata yet'),
  salesforce_include_formula_fields: refused('it is for the Salesforce connector', [false]),
  workday_report_parameters: refused('it is for the Workday connector'),
  storage_mode: refused('it is for the Google Drive connector'),
};

/** `include_columns` and `exclude_columns` of one level exclude each other. */
export const eitherColumns: Rule<Pick<TableConfigurationText, 'include_columns' | 'exclude_columns'>> = {
  check: (value) =>
    value.include_columns === undefined || value.exclude_columns === undefined
      ? null
      : {
          code: 'INVALID_SPEC',
          message: 'include_columns and exclude_columns exclude each other',
          fix: 'Keep one: include_columns freezes the columns, exclude_columns follows new ones.',
        },
  schema: {
    not: {
      required: ['include_columns', 'exclude_columns'],
      properties: {include_columns: {type: 'array'}, exclude_columns: {type: 'array'}},
    },
  },
};

const scdType: Shape<ScdType> = word(
  'SCD_TYPE_1 keeps the newest row of a key, SCD_TYPE_2 its history, APPEND_ONLY every row.',
  ['SCD_TYPE_1', 'SCD_TYPE_2', 'APPEND_ONLY'],
);

const onDuplicateKey: Shape<TableConfiguration['onDuplicateKey']> = word(
  'A snapshot that holds a key twice: fail, or quarantine all but one row.',
  ['fail', 'quarantine'],
);

const deletionVectors: Shape<TableConfiguration['deletionVectors']> = {
  ...word('', ['auto', 'true', 'false']),
  // YAML's true and false are as good as the words.
  describe: (definitions) => ({
    ...orReference(
      definitions,
      {enum: ['auto', 'true', 'false', true, false]},
      {type: 'string', pattern: '^([Aa][Uu][Tt][Oo]|[Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee])$'},
    ),
    description: 'Whether deletes mark rows instead of rewriting files; `auto` decides by the size of the first load.',
  }),
};

const property: Shape<string> = scalar({type: ['string', 'number', 'boolean']}, 'text', (value) =>
  value === null ? undefined : String(value),
);

function queryBased(style: SettingStyle): Shape<QueryBasedText> {
  return struct({
    cursor_columns: optional(list(text('A column.'), 'a list of one string', {minItems: 1, maxItems: 1})),
    deletion_condition: optional(text('Rows that meet it are deletes; the grammar of row_filter.')),
    hard_deletion_sync_min_interval_in_seconds: optional(
      number('Least time between two scans of the keys that look for deleted rows.', {
        integer: true,
        min: 0,
        fromText: style.numbersAsText,
      }),
    ),
  });
}

/** `table_configuration` of `ingestion_definition`. */
export const tableConfigurationShape: Shape<TableConfigurationText> = struct(
  {...settingFields({columns: columnList, numbersAsText: false}), ...refusedSettings},
  {name: 'table_configuration', rules: [eitherColumns]},
);
