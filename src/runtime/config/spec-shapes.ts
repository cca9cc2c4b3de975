import type {ScdType, TableConfiguration} from '../../pipeline/spec.ts';
import type {OptionValue} from '../../sdk/contract.ts';
import {pathOfKey, plainValue, type ConfigNode} from './config-node.ts';
import {
  ignored,
  INVALID,
  isReference,
  list,
  literal,
  number,
  optional,
  orReference,
  record,
  refused,
  required,
  scalar,
  struct,
  text,
  word,
  wrong,
  type Field,
  type Rule,
  type Shape,
} from './shape.ts';

/** Options of a connection or table by name. */
export type OptionMap = ReadonlyMap<string, OptionValue>;

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

/** A `table` object as written. */
export interface TableText {
  readonly source_catalog?: string | undefined;
  readonly source_schema?: string | undefined;
  readonly source_table: string;
  readonly destination_catalog: string | undefined;
  readonly destination_schema: string | undefined;
  readonly destination_table: string | undefined;
  readonly table_configuration: TableConfigurationText | undefined;
  readonly connector_options?: ReadonlyMap<string, OptionMap> | undefined;
  /** Source options of the community form, which stand among the settings. */
  readonly options?: OptionMap;
}

/** A `schema` object as written. */
export interface SchemaText {
  readonly source_catalog: string | undefined;
  readonly source_schema: string;
  readonly destination_catalog: string | undefined;
  readonly destination_schema: string | undefined;
  readonly table_configuration: TableConfigurationText | undefined;
  readonly connector_options: ReadonlyMap<string, OptionMap> | undefined;
}

/** One entry of `objects` as written: exactly one of the two. */
export interface ObjectText {
  readonly table: TableText | undefined;
  readonly schema: SchemaText | undefined;
}

/** `ingestion_definition` or `pipeline_spec` as written. */
export interface DefinitionText {
  readonly connection_name: string;
  readonly objects: readonly ObjectText[];
  readonly table_configuration: TableConfigurationText | undefined;
}

const NAMES = 'a list of strings';

const optionScalar: Shape<OptionValue> = scalar(
  {type: ['string', 'number', 'boolean']},
  'text, a number, true, false or a list of strings',
  (value) => value ?? undefined,
);
const optionTexts = list(
  scalar({type: 'string'}, 'text', (value) => (typeof value === 'string' ? value : undefined)),
  'a list of strings',
);

/** The value of an option. */
export const optionValueShape: Shape<OptionValue> = {
  read: (node, path, context) => (node.kind === 'list' ? optionTexts : optionScalar).read(node, path, context),
  describe: (definitions) =>
    orReference(definitions, {type: ['string', 'number', 'boolean']}, {type: 'array', items: {type: 'string'}}),
};

/** Options by name. */
export const optionMapShape: Shape<OptionMap> = record(optionValueShape, 'a mapping of option names to values');

const propertyShape: Shape<string> = scalar({type: ['string', 'number', 'boolean']}, 'text', (value) =>
  value === null ? undefined : String(value),
);

const scdTypeShape: Shape<ScdType> = word(
  'SCD_TYPE_1 keeps the newest row of a key, SCD_TYPE_2 its history, APPEND_ONLY every row.',
  ['SCD_TYPE_1', 'SCD_TYPE_2', 'APPEND_ONLY'],
);

const deletionVectorsWord = word(
  'Whether deletes mark rows instead of rewriting files; `auto` decides by the size of the first load.',
  ['auto', 'true', 'false'],
);
const deletionVectorsShape: Shape<TableConfiguration['deletionVectors']> = {
  ...deletionVectorsWord,
  describe: (definitions) =>
    orReference(
      definitions,
      {enum: ['auto', 'true', 'false', true, false]},
      {type: 'string', pattern: '^[Aa][Uu][Tt][Oo]$'},
    ),
};

const eitherColumns: Rule<{readonly include_columns: unknown; readonly exclude_columns: unknown}> = {
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

const onDuplicateKeyShape: Shape<TableConfiguration['onDuplicateKey']> = word(
  'A snapshot that holds a key twice: fail, or quarantine all but one row.',
  ['fail', 'quarantine'],
);

const queryBasedShape = (texts: boolean): Shape<QueryBasedText> =>
  struct({
    cursor_columns: optional(list(text('A column.'), 'a list of one string', {minItems: 1, maxItems: 1})),
    deletion_condition: optional(text('Rows that meet it are deletes; the grammar of row_filter.')),
    hard_deletion_sync_min_interval_in_seconds: optional(
      number('Least time between two scans of the keys that look for deleted rows.', {
        integer: true,
        min: 0,
        fromText: texts,
      }),
    ),
  });

/** Settings that are Sluice's own. `texts`: numbers may be written as text. */
const ownFields = (texts: boolean) => ({
  deletion_vectors: optional(deletionVectorsShape),
  max_rescued_values: optional(
    number('The flow fails when more values than this do not fit their column.', {
      integer: true,
      min: 0,
      fromText: texts,
    }),
  ),
  max_quarantined_rows: optional(
    number('The flow fails when more rows than this cannot land.', {integer: true, min: 0, fromText: texts}),
  ),
  max_deleted_percent: optional(
    number('Largest share of the table that one key scan may delete; default 20.', {
      integer: false,
      min: 0,
      max: 100,
      fromText: texts,
    }),
  ),
  max_records_per_batch: optional(number('Rows of a micro-batch.', {integer: true, min: 1, fromText: texts})),
  on_duplicate_key: optional(onDuplicateKeyShape),
});

/** Settings of Lakeflow that Sluice knows and does not have. */
const refusedFields = {
  enable_auto_clustering: refused('name the columns in clustering_columns', [false]),
  auto_full_refresh_policy: refused('a change that needs a reload stops the flow; reload with --full-refresh-tables'),
  source_metadata_column: refused('there is no per-row source metadata yet'),
  salesforce_include_formula_fields: refused('it is for the Salesforce connector', [false]),
  workday_report_parameters: refused('it is for the Workday connector'),
  storage_mode: refused('it is for the Google Drive connector'),
} satisfies Record<string, Field<undefined>>;

const columns = (description: string): Field<readonly string[] | undefined> =>
  optional(list(text('A column.'), NAMES, {unique: true, description}));

/** `table_configuration` of `ingestion_definition`. */
export const tableConfigurationShape: Shape<TableConfigurationText> = struct(
  {
    scd_type: optional(scdTypeShape),
    primary_keys: columns('Key columns; default: those that the source declares.'),
    sequence_by: columns('Columns that order the changes of a key; default: the cursor.'),
    include_columns: columns('Only these columns land; new columns of the source do not.'),
    exclude_columns: columns('All columns but these land, new ones too.'),
    row_filter: optional(text("A condition on source columns, for example `status = 'open' AND total >= 10`.")),
    clustering_columns: columns('Columns by which Delta clusters the files.'),
    table_properties: optional(record(propertyShape, 'a mapping of property names to text', 'Delta table properties.')),
    query_based_connector_config: optional(queryBasedShape(false)),
    ...ownFields(false),
    ...refusedFields,
  },
  {name: 'table_configuration', rules: [eitherColumns]},
);

const communityFields = {
  scd_type: optional(scdTypeShape),
  primary_keys: optional(namesShape(false)),
  sequence_by: optional(namesShape(false)),
  cluster_by: optional(namesShape(true)),
  include_columns: optional(namesShape(false)),
  exclude_columns: optional(namesShape(false)),
  row_filter: optional(text('A condition on source columns.')),
  clustering_columns: optional(namesShape(true)),
  table_properties: optional(record(propertyShape, 'a mapping of property names to text')),
  query_based_connector_config: optional(queryBasedShape(true)),
  ...ownFields(true),
  ...refusedFields,
};

const communitySettings = struct(communityFields, {rules: [eitherColumns]});

interface CommunityConfiguration {
  readonly settings: TableConfigurationText;
  readonly options: OptionMap;
}

/** `table_configuration` of `pipeline_spec`: our settings, and every other key is an option of the source. */
const communityConfigurationShape: Shape<CommunityConfiguration> = {
  read(node, path, context) {
    if (isReference(node, context)) return INVALID;
    if (node.kind !== 'map') return wrong(node, path, context, {expected: 'a mapping'});
    const known = [...node.entries].filter(([key]) => Object.hasOwn(communityFields, key));
    const others = [...node.entries].filter(([key]) => !Object.hasOwn(communityFields, key));
    const settings = communitySettings.read({...node, entries: new Map(known)}, path, context);
    const options = new Map<string, OptionValue>();
    let valid = true;
    for (const [key, {node: option}] of others) {
      if (option.kind === 'scalar' && option.value === null) continue;
      const value = optionValueShape.read(flattened(option), pathOfKey(path, key), context);
      if (value === INVALID) valid = false;
      else options.set(key, value);
    }
    if (settings === INVALID || !valid) return INVALID;
    const {cluster_by: clusterBy, ...rest} = settings;
    return {settings: {...rest, clustering_columns: rest.clustering_columns ?? clusterBy}, options};
  },
  describe(definitions) {
    const schema = literal(communitySettings).describe(definitions);
    definitions.set('community_table_configuration', {
      ...schema,
      additionalProperties: {description: 'An option of the source.'},
    });
    return orReference(definitions, {$ref: '#/$defs/community_table_configuration'});
  },
};

/** In the community form a mapping, or a list of something else than text, is the JSON text of itself. */
function flattened(node: ConfigNode): ConfigNode {
  const isTextList =
    node.kind === 'list' && node.items.every((item) => item.kind === 'scalar' && typeof item.value === 'string');
  if (node.kind === 'scalar' || isTextList) return node;
  return {kind: 'scalar', value: JSON.stringify(plainValue(node)), place: node.place};
}

/** Column names as the community form writes them: a list, a JSON list as text, one name, and with `commas` several. */
function namesShape(commas: boolean): Shape<readonly string[]> {
  const names = list(text('A column.'), NAMES, {unique: true});
  return {
    read(node, path, context) {
      if (node.kind !== 'scalar' || typeof node.value !== 'string' || isReference(node, context))
        return names.read(node, path, context);
      const parts = namesOf(node.value.trim(), commas);
      if (parts === null) return wrong(node, path, context, {expected: NAMES, shown: 'text that is no JSON list'});
      return names.read(
        {kind: 'list', items: parts.map((value) => ({kind: 'scalar', value, place: node.place})), place: node.place},
        path,
        context,
      );
    },
    describe: (definitions) =>
      orReference(
        definitions,
        {type: 'array', items: {type: 'string', pattern: '\\S'}, uniqueItems: true},
        {type: 'string', pattern: '\\S'},
      ),
  };
}

function namesOf(value: string, commas: boolean): readonly string[] | null {
  if (value.startsWith('[')) {
    try {
      const parsed: unknown = JSON.parse(value);
      return Array.isArray(parsed) && parsed.every((item) => typeof item === 'string') ? parsed : null;
    } catch {
      // Not JSON: the caller says so with path and place.
      return null;
    }
  }
  if (!commas) return [value];
  return value
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

const communityOptionsShape: Shape<{readonly options: OptionMap}> = struct(
  {options: required(optionMapShape)},
  {name: 'community_connector_options'},
);

/** `connector_options`: by connector, or under `community_connector_options.options`. */
const connectorOptionsShape: Shape<ReadonlyMap<string, OptionMap>> = {
  read(node, path, context) {
    if (isReference(node, context)) return INVALID;
    if (node.kind !== 'map') return wrong(node, path, context, {expected: 'a mapping'});
    const groups = new Map<string, OptionMap>();
    let valid = true;
    for (const [key, entry] of node.entries) {
      const options =
        key === COMMUNITY_OPTIONS
          ? unwrap(communityOptionsShape.read(entry.node, pathOfKey(path, key), context))
          : optionMapShape.read(entry.node, pathOfKey(path, key), context);
      if (options === INVALID) valid = false;
      else groups.set(key, options);
    }
    return valid ? groups : INVALID;
  },
  describe(definitions) {
    const anyConnector = optionMapShape.describe(definitions);
    return orReference(definitions, {
      type: 'object',
      properties: {[COMMUNITY_OPTIONS]: communityOptionsShape.describe(definitions)},
      additionalProperties: anyConnector,
      description: "Options of the source table, under the connector's name.",
    });
  },
};

/** Lakeflow's place for the options of a community connector. */
export const COMMUNITY_OPTIONS = 'community_connector_options';

function unwrap(value: {readonly options: OptionMap} | typeof INVALID): OptionMap | typeof INVALID {
  return value === INVALID ? INVALID : value.options;
}

const destinationFields = {
  destination_catalog: optional(text('Default: the catalog of the pipeline.')),
  destination_schema: optional(text('Default: the schema of the pipeline.')),
};

const tableShape: Shape<TableText> = struct(
  {
    source_catalog: optional(text('Catalog or database of the source.')),
    source_schema: optional(text('Schema or namespace of the source.')),
    source_table: required(text('Table of the source.')),
    ...destinationFields,
    destination_table: optional(text('Default: the name of the source table in lower case.')),
    table_configuration: optional(tableConfigurationShape),
    connector_options: optional(connectorOptionsShape),
  },
  {name: 'table'},
);

const schemaShape: Shape<SchemaText> = struct(
  {
    source_catalog: optional(text('Catalog or database of the source.')),
    source_schema: required(text('Schema or namespace of the source: all its tables, now and later.')),
    ...destinationFields,
    table_configuration: optional(tableConfigurationShape),
    connector_options: optional(connectorOptionsShape),
    fanout_options: refused('a stream cannot be spread over tables'),
  },
  {name: 'schema'},
);

const REPORT = refused('reports are not ingested yet; name tables or schemas');

const oneKind: Rule<{readonly table: unknown; readonly schema: unknown}> = {
  check: (value) =>
    (value.table === undefined) === (value.schema === undefined)
      ? {
          code: 'INVALID_SPEC',
          message: 'an object is exactly one of table and schema',
          fix: 'Write one entry of the list for each.',
        }
      : null,
  schema: {oneOf: [{required: ['table']}, {required: ['schema']}]},
};

const managedObject: Shape<ObjectText> = struct(
  {table: optional(tableShape), schema: optional(schemaShape), report: REPORT},
  {rules: [oneKind]},
);

const OBJECTS = 'a list with at least one table or schema';

/** `ingestion_definition`, the managed form. */
export const ingestionDefinitionShape: Shape<DefinitionText> = struct(
  {
    connection_name: required(text('Name of the connection.')),
    objects: required(list(managedObject, OBJECTS, {minItems: 1})),
    table_configuration: optional(tableConfigurationShape),
    connector_type: refused('give connection_name alone', ['QUERY_BASED']),
    ingestion_gateway_id: refused('there are no gateways yet; give connection_name'),
    ingest_from_uc_foreign_catalog: refused('give the connection of the database itself', [false]),
    data_staging_options: refused('nothing is staged in a volume'),
    full_refresh_window: refused('a full refresh starts when it is asked for'),
    source_configurations: refused('give these as options of the connection'),
    netsuite_jar_path: refused('it is for the NetSuite connector'),
    source_type: ignored('the connection says it', true),
  },
  {name: 'ingestion_definition'},
);

interface CommunityTableText extends Omit<TableText, 'table_configuration' | 'connector_options' | 'options'> {
  readonly table_configuration: CommunityConfiguration | undefined;
}

const communityTableShape: Shape<CommunityTableText> = struct(
  {
    source_table: required(text('Table of the source.')),
    ...destinationFields,
    destination_table: optional(text('Default: the name of the source table in lower case.')),
    table_configuration: optional(communityConfigurationShape),
  },
  {name: 'community_table'},
);

const communityDefinition = struct(
  {
    connection_name: required(text('Name of the connection.')),
    objects: required(
      list(struct({table: required(communityTableShape)}), 'a list with at least one table', {minItems: 1}),
    ),
  },
  {name: 'pipeline_spec'},
);

/** `pipeline_spec`, the community form; reads as the managed one. */
export const pipelineSpecShape: Shape<DefinitionText> = {
  read(node, path, context) {
    const value = communityDefinition.read(node, path, context);
    if (value === INVALID) return INVALID;
    const objects = value.objects.map(({table}): ObjectText => {
      const {table_configuration: configuration, ...rest} = table;
      return {
        table: {
          ...rest,
          table_configuration: configuration?.settings,
          options: configuration?.options ?? new Map<string, OptionValue>(),
        },
        schema: undefined,
      };
    });
    return {connection_name: value.connection_name, objects, table_configuration: undefined};
  },
  describe: (definitions) => communityDefinition.describe(definitions),
};

/** Keys that only `ingestion_definition` has: a bare file with one of them is no `pipeline_spec`. */
export function looksManaged(node: ConfigNode): boolean {
  if (node.kind !== 'map') return false;
  if ([...node.entries.keys()].some((key) => key !== 'connection_name' && key !== 'objects')) return true;
  const objects = node.entries.get('objects')?.node;
  const items = objects?.kind === 'list' ? objects.items : [];
  return items.some((item) => {
    if (item.kind !== 'map') return false;
    if (item.entries.has('schema') || item.entries.has('report')) return true;
    const table = item.entries.get('table')?.node;
    return (
      table?.kind === 'map' &&
      ['source_catalog', 'source_schema', 'connector_options'].some((key) => table.entries.has(key))
    );
  });
}
