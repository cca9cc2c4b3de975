import {isIngestError} from '../../core/errors.ts';
import {fromDdl} from '../../core/schema-ddl.ts';
import type {StructType} from '../../core/types.ts';
import type {ScdType, SchemaEvolution, TableConfiguration} from '../../pipeline/spec.ts';
import {list, record} from './collection-shapes.ts';
import {flag, number, scalar, text, word} from './scalar-shapes.ts';
import {orReference, type Shape} from './shape.ts';
import {optional, refused, required, struct, type Field, type Rule} from './struct-shape.ts';

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
  readonly track_history_column_list: readonly string[] | undefined;
  readonly track_history_except_column_list: readonly string[] | undefined;
  readonly ignore_null_updates: boolean | undefined;
  readonly ignore_null_updates_column_list: readonly string[] | undefined;
  readonly ignore_null_updates_except_column_list: readonly string[] | undefined;
  readonly apply_as_deletes: string | undefined;
  readonly apply_as_truncates: string | undefined;
  readonly tombstone_retention_hours: number | undefined;
  readonly partition_columns: readonly string[] | undefined;
  readonly schema_evolution: SchemaEvolution | undefined;
  readonly schema_hints: StructType | undefined;
  readonly renamed_columns: ReadonlyMap<string, string> | undefined;
  readonly backfill_new_columns: boolean | undefined;
  readonly auto_full_refresh_policy: AutoFullRefreshText | undefined;
  readonly auto_optimize: boolean | undefined;
  readonly verify_after_snapshot: boolean | undefined;
  readonly verify_interval_hours: number | undefined;
}

/** `auto_full_refresh_policy` as written. */
export interface AutoFullRefreshText {
  readonly enabled: boolean;
  readonly min_interval_hours: number | undefined;
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
    track_history_column_list: columns('SCD_TYPE_2: only a change of these columns makes a version.'),
    track_history_except_column_list: columns('SCD_TYPE_2: a change of these columns makes no version.'),
    ignore_null_updates: optional(flag('NULL in an update means "as it was".')),
    ignore_null_updates_column_list: columns('NULL in an update of these columns means "as it was".'),
    ignore_null_updates_except_column_list: columns('NULL in an update of all columns but these means "as it was".'),
    apply_as_deletes: optional(text('Rows that meet it are deletes; the grammar of row_filter.')),
    apply_as_truncates: optional(text('Rows that meet it empty the table of what is older; SCD_TYPE_1 only.')),
    tombstone_retention_hours: count('Deletes are remembered this long; default: for ever.', 1),
    partition_columns: columns('Columns by whose values the files of a new table lie in folders.'),
    schema_evolution: optional(schemaEvolution),
    schema_hints: optional(schemaHints),
    renamed_columns: optional(
      record(text('The name that the column had.'), 'a mapping of new names to old ones', 'New column name: old name.'),
    ),
    backfill_new_columns: optional(flag('Fill a newly selected column for the rows that are there, by key.')),
    auto_full_refresh_policy: optional(autoFullRefresh(style)),
    auto_optimize: optional(flag('Small files are merged after many small commits; default true.')),
    verify_after_snapshot: optional(flag('Compare with the source after each snapshot or full refresh; default true.')),
    verify_interval_hours: count('Compare with the source when the last comparison is older than this.', 1),
  };
}

/** `clustering_columns`, whose effect is on speed only. */
export function clusteringShape(columns: SettingStyle['columns']): Shape<readonly string[]> {
  return columns(
    'Columns by which the rows of files are sorted and files are cut, so that reads and merges skip files.',
  );
}

/** Settings of Lakeflow that Sluice knows and does not have. */
export const refusedSettings: Readonly<Record<string, Field<undefined>>> = {
  enable_auto_clustering: refused('name the columns in clustering_columns', [false]),
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

const schemaHints: Shape<StructType> = scalar(
  {
    type: 'string',
    pattern: '\\S',
    description: 'Types of columns as DDL, for example `amount DECIMAL(18,2), at TIMESTAMP`.',
  },
  'columns with their types as DDL, for example "amount DECIMAL(18,2), at TIMESTAMP"',
  (value) => (typeof value === 'string' ? ddlOf(value) : undefined),
);

function ddlOf(text: string): StructType | undefined {
  try {
    return fromDdl(text);
  } catch (error) {
    if (!isIngestError(error)) throw error;
    return undefined;
  }
}

const schemaEvolution: Shape<SchemaEvolution> = word(
  "A change of the source's schema: follow it (evolve), stop the flow (freeze), or keep the schema and quarantine rows that do not fit (quarantine).",
  ['evolve', 'freeze', 'quarantine'],
);

function autoFullRefresh(style: SettingStyle): Shape<AutoFullRefreshText> {
  return struct({
    enabled: required(flag('A change that rows cannot stay under reloads the table.')),
    min_interval_hours: optional(
      number('Least time between two such reloads; default 24.', {
        integer: true,
        min: 24,
        fromText: style.numbersAsText,
      }),
    ),
  });
}

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

const EXCLUSIVE = [
  ['track_history_column_list', 'track_history_except_column_list'],
  ['ignore_null_updates', 'ignore_null_updates_column_list', 'ignore_null_updates_except_column_list'],
] as const;

function pairs<T>(items: readonly T[]): readonly (readonly [T, T])[] {
  return items.flatMap((left, at) => items.slice(at + 1).map((right) => [left, right] as const));
}

/** Two ways to say one thing on one level. */
export const oneOfEach: Rule<TableConfigurationText> = {
  check(value) {
    for (const names of EXCLUSIVE) {
      const given = names.filter((name) => value[name] !== undefined);
      if (given.length > 1)
        return {code: 'INVALID_SPEC', message: `${given.join(' and ')} exclude each other`, fix: 'Keep one.'};
    }
    if (value.apply_as_deletes !== undefined && value.query_based_connector_config?.deletion_condition !== undefined)
      return {
        code: 'INVALID_SPEC',
        message: 'apply_as_deletes and query_based_connector_config.deletion_condition exclude each other',
        fix: 'Keep one.',
      };
    return null;
  },
  schema: {
    allOf: [
      ...EXCLUSIVE.map((names) => ({not: {anyOf: pairs(names).map((pair) => ({required: pair}))}})),
      {
        not: {
          required: ['apply_as_deletes', 'query_based_connector_config'],
          properties: {query_based_connector_config: {required: ['deletion_condition']}},
        },
      },
    ],
  },
};

/** `table_configuration` of `ingestion_definition`. */
export const tableConfigurationShape: Shape<TableConfigurationText> = struct(
  {...settingFields({columns: columnList, numbersAsText: false}), ...refusedSettings},
  {name: 'table_configuration', rules: [eitherColumns, oneOfEach]},
);
