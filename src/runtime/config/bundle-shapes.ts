import {list, record} from './collection-shapes.ts';
import type {ConfigNode} from './config-node.ts';
import {
  gatewayFields,
  gatewaySettingsShape,
  type GatewayDefinitionText,
  type GatewaySettingsText,
} from './gateway-shapes.ts';
import {lakeOptionsShape} from './lake-shapes.ts';
import {optionMapShape, type OptionMap} from './option-shapes.ts';
import {flag, text} from './scalar-shapes.ts';
import {INVALID, literal, type JsonSchema, type Shape} from './shape.ts';
import {ingestionDefinitionShape, pipelineSpecShape, type DefinitionText} from './spec-shapes.ts';
import {ignored, optional, refused, struct, type Field, type Rule} from './struct-shape.ts';

/** A connection as written. */
export interface ConnectionText {
  readonly name: string | undefined;
  readonly connection_type: string | undefined;
  readonly connector: string | undefined;
  readonly options: OptionMap | undefined;
}

/** A pipeline as written; exactly one of the two doors is given. */
export interface PipelineText {
  readonly name: string | undefined;
  readonly catalog: string | undefined;
  readonly schema: string | undefined;
  readonly event_log: EventLogText | undefined;
  readonly continuous?: boolean | undefined;
  readonly gateway_settings?: GatewaySettingsText | undefined;
  readonly ingestion_definition: DefinitionText | undefined;
  readonly pipeline_spec: DefinitionText | undefined;
}

/** Where the event log goes, as written. */
export interface EventLogText {
  readonly catalog: string | undefined;
  readonly schema: string | undefined;
  readonly name: string | undefined;
}

/** `resources` as written. */
export interface ResourcesText {
  readonly connections: ReadonlyMap<string, ConnectionText> | undefined;
  readonly pipelines: ReadonlyMap<string, PipelineText> | undefined;
}

/** A bundle as written, with the target's overrides merged in. */
export interface BundleText {
  readonly resources: ResourcesText | undefined;
  readonly lake: string | undefined;
}

/** One target as written; its overrides are checked once they are merged. */
export interface TargetText {
  readonly default: boolean | undefined;
}

const LAKE = 'The lake: a folder, relative to this file, or s3://, abfss:// or gs:// with bucket and prefix.';
const PLATFORM = 'it is about the Databricks platform';

/** Anything, checked elsewhere or not ours. */
const anything: Shape<ConfigNode> = {read: (node) => node, describe: (): JsonSchema => ({})};

const oneConnector: Rule<{readonly connection_type: unknown; readonly connector: unknown}> = {
  check: (value) =>
    (value.connection_type === undefined) === (value.connector === undefined)
      ? {
          code: 'INVALID_SPEC',
          message: 'a connection has exactly one of connection_type and connector',
          fix: 'Write connection_type for a connector of Sluice, connector for one of your own.',
        }
      : null,
  schema: {oneOf: [{required: ['connection_type']}, {required: ['connector']}]},
};

/** A connection. */
export const connectionShape: Shape<ConnectionText> = struct(
  {
    name: optional(text('What connection_name says; default: the key.')),
    connection_type: optional(text('A connector of Sluice, in any case: POSTGRESQL, FILES, EXAMPLE, ...')),
    connector: optional(
      text(
        'A connector of somebody else: a folder with code, a YAML document or a built file (a path, relative to this file), or the name of one that `sluice connector add` added.',
      ),
    ),
    options: optional(optionMapShape),
    comment: ignored('it is for people', true),
    properties: ignored(PLATFORM, true),
    read_only: ignored('Sluice only reads from connections', true),
    environment_settings: ignored(PLATFORM, true),
    parent: ignored(PLATFORM, true),
  },
  {name: 'connection', rules: [oneConnector]},
);

const eventLogShape: Shape<EventLogText> = struct({
  catalog: optional(text('Must be the catalog of the pipeline.')),
  schema: optional(text('Must be the schema of the pipeline.')),
  name: optional(text('Table of the event log; default event_log_<key>.')),
});

const ignoredFields: Readonly<Record<string, Field<undefined>>> = {
  notifications: ignored('watch the exit code or the event log'),
  restart_window: ignored('only continuous pipelines restart'),
  trigger: ignored('a run ends when nothing is new'),
  parameters: ignored('nothing in an ingestion pipeline takes parameters'),
  ...Object.fromEntries(
    [
      'allow_duplicate_names',
      'budget_policy_id',
      'channel',
      'clusters',
      'configuration',
      'deployment',
      'development',
      'dry_run',
      'edition',
      'environment',
      'id',
      'lifecycle',
      'permissions',
      'photon',
      'root_path',
      'run_as',
      'serverless',
      'storage',
      'tags',
      'usage_policy_id',
    ].map((key) => [key, ignored(PLATFORM, true)]),
  ),
};

/** Keys of a pipeline that say where it lands. */
const homeFields = {
  name: optional(text('Name for people; default: the key.')),
  catalog: optional(text('Default destination catalog and home of the event log; default `main`.')),
  schema: optional(text('Default destination schema and home of the event log; default `default`.')),
  event_log: optional(eventLogShape),
} satisfies Record<string, Field<unknown>>;

const pipelineFields = {
  ...homeFields,
  ingestion_definition: optional(ingestionDefinitionShape),
  pipeline_spec: optional(pipelineSpecShape),
  target: refused('write schema instead'),
  continuous: optional(flag('The pipeline goes on until it is stopped; for connector_type CDC.')),
  gateway_definition: refused('a pipeline is a gateway or ingests'),
  gateway_settings: optional(gatewaySettingsShape),
  libraries: refused('an ingestion pipeline has no libraries'),
  filters: refused('choose tables with --table'),
  ...ignoredFields,
};

/** Keys of a pipeline that do nothing, so that references in them need no value. */
export const IGNORED_PIPELINE_KEYS: readonly string[] = Object.keys(ignoredFields);

const oneDoor: Rule<{readonly ingestion_definition: unknown; readonly pipeline_spec: unknown}> = {
  check: (value) =>
    (value.ingestion_definition === undefined) === (value.pipeline_spec === undefined)
      ? {
          code: 'INVALID_SPEC',
          message: 'a pipeline has exactly one of ingestion_definition and pipeline_spec',
          fix: 'Keep one of them.',
        }
      : null,
  schema: {oneOf: [{required: ['ingestion_definition']}, {required: ['pipeline_spec']}]},
};

const continuousLog: Rule<Pick<PipelineText, 'continuous' | 'ingestion_definition'>> = {
  check: (value) =>
    value.continuous === true &&
    value.ingestion_definition?.connector_type !== 'CDC' &&
    value.ingestion_definition?.ingestion_gateway_id === undefined
      ? {
          code: 'UNSUPPORTED',
          message: 'continuous: true is for pipelines that follow a log (connector_type: CDC or ingestion_gateway_id)',
          fix: 'Remove it and start runs by a schedule.',
        }
      : null,
  schema: {},
};

/** A pipeline of `resources.pipelines` that is a gateway. */
export const gatewayShape: Shape<GatewayText> = struct(
  {...ignoredFields, ...gatewayFields, gateway_settings: optional(gatewaySettingsShape)},
  {name: 'gateway'},
);

/** A gateway as written. */
export interface GatewayText {
  readonly name: string | undefined;
  readonly gateway_definition: GatewayDefinitionText;
  readonly gateway_settings: GatewaySettingsText | undefined;
}

/** A pipeline of `resources.pipelines`. */
export const pipelineShape: Shape<PipelineText> = struct(pipelineFields, {
  name: 'pipeline',
  rules: [oneDoor, continuousLog],
});

const OTHER_RESOURCES = [
  'alerts',
  'apps',
  'catalogs',
  'clusters',
  'dashboards',
  'database_catalogs',
  'database_instances',
  'experiments',
  'external_locations',
  'genie_spaces',
  'jobs',
  'model_serving_endpoints',
  'models',
  'postgres_branches',
  'postgres_endpoints',
  'postgres_projects',
  'quality_monitors',
  'registered_models',
  'schemas',
  'secret_scopes',
  'sql_warehouses',
  'synced_database_tables',
  'vector_search_endpoints',
  'volumes',
];

/** A pipeline that is none of ours (a notebook) is not looked into. */
const anyPipelineShape: Shape<PipelineText> = {
  read(node, path, context) {
    if (isGateway(node)) return gatewayShape.read(node, path, context) === INVALID ? INVALID : NO_INGESTION;
    return isIngestion(node) ? pipelineShape.read(node, path, context) : NO_INGESTION;
  },
  describe: (definitions) => ({
    anyOf: [
      pipelineShape.describe(definitions),
      gatewayShape.describe(definitions),
      {required: ['libraries'], type: 'object'},
    ],
  }),
};

const NO_INGESTION: PipelineText = {
  name: undefined,
  catalog: undefined,
  schema: undefined,
  event_log: undefined,
  ingestion_definition: undefined,
  pipeline_spec: undefined,
};

/** True for pipelines that follow a database all the time. */
export function isGateway(node: ConfigNode): boolean {
  return node.kind === 'map' && node.entries.has('gateway_definition') && !node.entries.has('ingestion_definition');
}

/** False for pipelines of a bundle that Sluice leaves alone: those that declare to be something else. */
export function isIngestion(node: ConfigNode): boolean {
  if (node.kind !== 'map') return true;
  if (node.entries.has('ingestion_definition') || node.entries.has('pipeline_spec')) return true;
  return !node.entries.has('libraries') && !node.entries.has('gateway_definition');
}

const connectionsField = optional(literal(record(connectionShape, 'a mapping of connections by key')));

const resourcesShape: Shape<ResourcesText> = struct({
  connections: connectionsField,
  pipelines: optional(literal(record(anyPipelineShape, 'a mapping of pipelines by key'))),
  ...(Object.fromEntries(
    OTHER_RESOURCES.map((kind) => [kind, ignored('Sluice does not deploy resources of this kind')]),
  ) as Record<string, Field<undefined>>),
});

const bundlePlatformFields: Readonly<Record<string, Field<undefined>>> = Object.fromEntries(
  [
    'artifacts',
    'environments',
    'experimental',
    'permissions',
    'presets',
    'python',
    'run_as',
    'scripts',
    'sync',
    'workspace',
  ].map((key) => [key, ignored(PLATFORM, true)]),
);

const targetShape: Shape<TargetText> = struct({
  default: optional(flag('This target is used when none is named.')),
  lake: optional(text(LAKE)),
  lake_options: optional(lakeOptionsShape),
  resources: optional(anything),
  variables: optional(anything),
  bundle: optional(anything),
  ...(Object.fromEntries(
    [
      'artifacts',
      'cluster_id',
      'compute_id',
      'git',
      'mode',
      'permissions',
      'presets',
      'run_as',
      'sync',
      'workspace',
    ].map((key) => [key, ignored(PLATFORM, true)]),
  ) as Record<string, Field<undefined>>),
});

const variableShape = struct({
  default: optional(anything),
  description: optional(text('For people.')),
  type: ignored('the value says it', true),
  lookup: refused('Sluice cannot look up objects of a workspace'),
});

const bundleFields = {
  bundle: optional(anything),
  include: optional(
    literal(list(text('A file, or a pattern of files, relative to this file.'), 'a list of file patterns')),
  ),
  lake: optional(text(LAKE)),
  lake_options: optional(lakeOptionsShape),
  resources: optional(literal(resourcesShape)),
  targets: optional(literal(record(literal(targetShape), 'a mapping of targets by name'))),
  variables: optional(literal(record(literal(variableShape), 'a mapping of variables by name'))),
  ...bundlePlatformFields,
};

/** A whole bundle file. */
export const bundleShape: Shape<BundleText> = literal(
  struct(bundleFields, {
    description: 'A bundle: connections and pipelines.',
  }),
);

/** The keys that a bundle may have. */
export const BUNDLE_KEYS: readonly string[] = Object.keys(bundleFields);

const fileFields = {connections: connectionsField, lake: bundleFields.lake, lake_options: bundleFields.lake_options};

/** What a file with one pipeline has beside the pipeline. */
export interface SingleFileText {
  readonly connections: ReadonlyMap<string, ConnectionText> | undefined;
  readonly lake: string | undefined;
}

/** The part of a file with one pipeline that is not the pipeline. */
export const singleFileShape: Shape<SingleFileText> = struct(fileFields);

/** What may stand beside `connection_name` and `objects` when a file is a definition alone. */
export const besideDefinitionShape: Shape<unknown> = literal(struct({...homeFields, ...fileFields}));

/** Keys of {@link besideDefinitionShape} that belong to the pipeline. */
export const HOME_KEYS: readonly string[] = Object.keys(homeFields);

/** Keys of {@link singleFileShape}. */
export const SINGLE_FILE_KEYS: readonly string[] = Object.keys(fileFields);

/** A file that holds one pipeline. */
export const pipelineFileShape: Shape<unknown> = literal(
  struct({...pipelineFields, ...fileFields}, {description: 'One pipeline.', rules: [oneDoor]}),
);

/** Keys by which a file is known to be a bundle. */
export const BUNDLE_MARKS: readonly string[] = ['resources', 'bundle', 'targets', 'include', 'variables'];
