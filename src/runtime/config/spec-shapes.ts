import type {OptionValue} from '../../sdk/contract.ts';
import {list} from './collection-shapes.ts';
import {communityConfigurationShape, type CommunityConfiguration} from './community-settings.ts';
import type {ConfigNode} from './config-node.ts';
import {
  fullRefreshWindowShape,
  sourceConfigurationsShape,
  type SourceConfigurationText,
  type WindowText,
} from './gateway-shapes.ts';
import {connectorOptionsShape, type OptionMap} from './option-shapes.ts';
import {text, word} from './scalar-shapes.ts';
import {INVALID, type Shape} from './shape.ts';
import {ignored, optional, refused, required, struct, type Rule} from './struct-shape.ts';
import {tableConfigurationShape, type TableConfigurationText} from './table-settings.ts';

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
  /** Absent where a gateway has the connection. */
  readonly connection_name: string | undefined;
  readonly connector_type?: 'CDC' | 'QUERY_BASED' | undefined;
  readonly ingestion_gateway_id?: string | undefined;
  readonly source_configurations?: readonly SourceConfigurationText[] | undefined;
  readonly full_refresh_window?: WindowText | undefined;
  readonly consistency?: 'transaction' | undefined;
  readonly objects: readonly ObjectText[];
  readonly table_configuration: TableConfigurationText | undefined;
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

const CONNECTOR_TYPES = ['CDC', 'QUERY_BASED'] as const;

const oneSource: Rule<Pick<DefinitionText, 'connection_name' | 'ingestion_gateway_id'>> = {
  check: (value) =>
    (value.connection_name === undefined) === (value.ingestion_gateway_id === undefined)
      ? {
          code: 'INVALID_SPEC',
          message: 'a pipeline has exactly one of connection_name and ingestion_gateway_id',
          fix: 'Keep connection_name, or the gateway that has the connection.',
        }
      : null,
  schema: {oneOf: [{required: ['connection_name']}, {required: ['ingestion_gateway_id']}]},
};

const transactionsOfLog: Rule<Pick<DefinitionText, 'consistency' | 'connector_type' | 'ingestion_gateway_id'>> = {
  check: (value) =>
    value.consistency !== undefined && value.connector_type !== 'CDC' && value.ingestion_gateway_id === undefined
      ? {
          code: 'UNSUPPORTED',
          message:
            'consistency: transaction is for pipelines that follow a log (connector_type: CDC or ingestion_gateway_id)',
          fix: 'Remove it: tables that are read by queries are each as they were when they were read.',
        }
      : null,
  schema: {},
};

const OBJECTS = 'a list with at least one table or schema';

/** `ingestion_definition`, the managed form. */
export const ingestionDefinitionShape: Shape<DefinitionText> = struct(
  {
    connection_name: optional(text('Name of the connection; a pipeline that reads what a gateway staged has none.')),
    objects: required(list(managedObject, OBJECTS, {minItems: 1})),
    table_configuration: optional(tableConfigurationShape),
    connector_type: optional(
      word('How a database is read: CDC follows its log, QUERY_BASED (default) asks for rows.', CONNECTOR_TYPES),
    ),
    ingestion_gateway_id: optional(
      text('Key of the gateway pipeline whose staging is read, or ${resources.pipelines.KEY.id}.'),
    ),
    ingest_from_uc_foreign_catalog: refused('give the connection of the database itself', [false]),
    data_staging_options: ignored('the staging area lies in the lake, below _sluice/staging', true),
    full_refresh_window: optional(fullRefreshWindowShape),
    source_configurations: optional(sourceConfigurationsShape),
    consistency: optional(
      word<'transaction'>(
        'What all tables of a run have in common: they end at one place of the log, as they always do.',
        ['transaction'],
      ),
    ),
    netsuite_jar_path: refused('it is for the NetSuite connector'),
    source_type: ignored('the connection says it', true),
  },
  {name: 'ingestion_definition', rules: [oneSource, transactionsOfLog]},
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
