import {isIngestError} from '../../core/errors.ts';
import {parsePredicate} from '../../core/predicate.ts';
import {didYouMean} from '../../core/suggest.ts';
import type {
  AutoFullRefresh,
  ConnectionSpec,
  ObjectSpec,
  PipelineSpec,
  TableConfiguration,
} from '../../pipeline/spec.ts';
import {nameProblem} from '../../pipeline/table-root.ts';
import type {OptionValue} from '../../sdk/contract.ts';
import type {PipelineText} from './bundle-shapes.ts';
import type {Problem} from './config-node.ts';
import {COMMUNITY_OPTIONS, type OptionMap} from './option-shapes.ts';
import {resolveChangeLog} from './resolve-gateway.ts';
import type {DefinitionText, ObjectText, SchemaText, TableText} from './spec-shapes.ts';
import type {TableConfigurationText} from './table-settings.ts';

/** A pipeline as written, with everything that its plan needs beside. */
export interface PipelineSource {
  readonly key: string;
  readonly text: PipelineText;
  readonly definition: DefinitionText;
  readonly connection: ConnectionSpec;
  /** Key of the gateway that has the connection; null where the pipeline has it. */
  readonly gateway: string | null;
  /** Reports a problem at a path within the definition, for example `objects[0].table`. */
  readonly report: (path: string, problem: Omit<Problem, 'path' | 'place'>) => void;
}

const DEFAULT_CATALOG = 'main';
const DEFAULT_SCHEMA = 'default';

/** Lays the cascade pipeline -> schema -> table, fills in defaults, and checks what no single value shows. */
export function resolvePipeline(source: PipelineSource): PipelineSpec {
  const {key, text, definition, connection} = source;
  const home = {catalog: text.catalog ?? DEFAULT_CATALOG, schema: text.schema ?? DEFAULT_SCHEMA};
  const eventLogTable = text.event_log?.name ?? `event_log_${key.replace(/[^A-Za-z0-9]+/g, '_')}`;
  const objects = definition.objects.map((object, index) => resolveObject(source, object, {index, home}));
  checkEventLog(source, home);
  checkDestinations(source, objects, [home.catalog, home.schema, eventLogTable].join('.'));
  const changeLog = resolveChangeLog(source);
  return {
    key,
    name: text.name ?? key,
    ...home,
    connection,
    objects,
    eventLogTable,
    ...(changeLog === null ? {} : {changeLog}),
  };
}

/** `catalog.schema.table` of an object; null for a schema, whose tables only the source knows. */
export function destinationOf(object: ObjectSpec): string | null {
  const table = object.destinationTable ?? object.sourceTable?.toLowerCase();
  return table === undefined ? null : [object.destinationCatalog, object.destinationSchema, table].join('.');
}

interface Home {
  readonly catalog: string;
  readonly schema: string;
}

function resolveObject(
  source: PipelineSource,
  object: ObjectText,
  at: {readonly index: number; readonly home: Home},
): ObjectSpec {
  const {table, schema} = object;
  const kind = table === undefined ? 'schema' : 'table';
  const path = `objects[${at.index}].${kind}`;
  const written = table ?? schema;
  const above = table === undefined ? [] : schemasAbove(source.definition, table);
  const levels = [
    source.definition.table_configuration,
    ...above.map((level) => level.table_configuration),
    written?.table_configuration,
  ];
  const resolved: ObjectSpec = {
    kind,
    path,
    sourceCatalog: written?.source_catalog ?? null,
    sourceSchema: written?.source_schema ?? null,
    sourceTable: table?.source_table ?? null,
    destinationCatalog: written?.destination_catalog ?? at.home.catalog,
    destinationSchema: written?.destination_schema ?? at.home.schema,
    destinationTable: table?.destination_table ?? null,
    configuration: resolveConfiguration(levels.filter((level) => level !== undefined)),
    options: {...mergedOptions(source, above, path), ...ownOptions(source, object, path)},
  };
  checkNames(source, resolved);
  checkConfiguration(source, resolved);
  return resolved;
}

/** Schema objects of the same source schema: their settings are the defaults of a table that is named beside them. */
function schemasAbove(definition: DefinitionText, table: TableText): readonly SchemaText[] {
  return definition.objects
    .map((object) => object.schema)
    .filter((schema) => schema !== undefined)
    .filter(
      (schema) =>
        schema.source_schema === table.source_schema &&
        (schema.source_catalog ?? null) === (table.source_catalog ?? null),
    );
}

function mergedOptions(
  source: PipelineSource,
  schemas: readonly SchemaText[],
  path: string,
): Readonly<Record<string, OptionValue>> {
  return Object.fromEntries(
    schemas.flatMap((schema) => Object.entries(groupedOptions(source, schema.connector_options, path))),
  );
}

function ownOptions(source: PipelineSource, object: ObjectText, path: string): Readonly<Record<string, OptionValue>> {
  if (object.table?.options !== undefined) return Object.fromEntries(object.table.options);
  return groupedOptions(source, (object.table ?? object.schema)?.connector_options, path);
}

/** Options of `connector_options.<connector>` and of Lakeflow's place for community connectors, which must not disagree. */
function groupedOptions(
  source: PipelineSource,
  groups: ReadonlyMap<string, OptionMap> | undefined,
  path: string,
): Readonly<Record<string, OptionValue>> {
  const options = new Map<string, OptionValue>();
  for (const [group, values] of groups ?? []) {
    const groupPath = `${path}.connector_options.${group}`;
    if (group !== COMMUNITY_OPTIONS && group.toLowerCase() !== source.connection.connector) {
      const suggestion =
        didYouMean(group, [source.connection.connector, COMMUNITY_OPTIONS]) ?? source.connection.connector;
      source.report(groupPath, {
        code: 'INVALID_SPEC',
        message: `these are no options of the connector "${source.connection.connector}" that the connection "${source.connection.name}" uses`,
        fix: `Write them under connector_options.${suggestion}.`,
      });
    }
    for (const [name, value] of values) {
      if (options.has(name))
        source.report(`${groupPath}.${name}`, {
          code: 'INVALID_SPEC',
          message: 'the option is given twice',
          fix: 'Remove one.',
        });
      options.set(name, value);
    }
  }
  return Object.fromEntries(options);
}

/** Later levels win, setting by setting; choosing columns one way undoes the other way of the level above. */
function resolveConfiguration(levels: readonly TableConfigurationText[]): TableConfiguration {
  const last = <K extends keyof TableConfigurationText>(key: K): TableConfigurationText[K] =>
    levels.findLast((level) => level[key] !== undefined)?.[key];
  const query = <K extends keyof NonNullable<TableConfigurationText['query_based_connector_config']>>(key: K) =>
    levels.findLast((level) => level.query_based_connector_config?.[key] !== undefined)?.query_based_connector_config?.[
      key
    ];
  const columns = levels.findLast(
    (level) => level.include_columns !== undefined || level.exclude_columns !== undefined,
  );
  return {
    scdType: last('scd_type') ?? null,
    primaryKeys: last('primary_keys') ?? [],
    sequenceBy: last('sequence_by') ?? [],
    includeColumns: columns?.include_columns ?? null,
    excludeColumns: columns?.exclude_columns ?? null,
    rowFilter: last('row_filter') ?? null,
    clusteringColumns: last('clustering_columns') ?? [],
    tableProperties: Object.fromEntries(levels.flatMap((level) => [...(level.table_properties ?? [])])),
    deletionVectors: last('deletion_vectors') ?? 'auto',
    cursorColumns: query('cursor_columns') ?? [],
    deletionCondition: levels.map(deletionConditionOf).findLast((condition) => condition !== undefined) ?? null,
    hardDeletionSyncMinIntervalSeconds: query('hard_deletion_sync_min_interval_in_seconds') ?? null,
    maxDeletedPercent: last('max_deleted_percent') ?? 20,
    maxRescuedValues: last('max_rescued_values') ?? null,
    maxQuarantinedRows: last('max_quarantined_rows') ?? null,
    maxRecordsPerBatch: last('max_records_per_batch') ?? null,
    onDuplicateKey: last('on_duplicate_key') ?? 'fail',
    ...historySettings(levels),
    applyAsTruncates: last('apply_as_truncates') ?? null,
    tombstoneRetentionMs: hoursToMs(last('tombstone_retention_hours')),
    partitionColumns: last('partition_columns') ?? [],
    schemaEvolution: last('schema_evolution') ?? 'evolve',
    schemaHints: last('schema_hints') ?? null,
    renamedColumns: Object.fromEntries(levels.flatMap((level) => [...(level.renamed_columns ?? [])])),
    backfillNewColumns: last('backfill_new_columns') ?? false,
    autoFullRefresh: autoFullRefreshOf(last('auto_full_refresh_policy')),
    autoOptimize: last('auto_optimize') ?? true,
    verify: {
      afterSnapshot: last('verify_after_snapshot') ?? true,
      intervalHours: last('verify_interval_hours') ?? null,
    },
  };
}

/** Settings of which one way of saying undoes the other way of the level above. */
function historySettings(
  levels: readonly TableConfigurationText[],
): Pick<TableConfiguration, 'trackHistoryColumns' | 'trackHistoryExceptColumns' | 'ignoreNullUpdates'> {
  const tracked = levels.findLast(
    (level) => level.track_history_column_list !== undefined || level.track_history_except_column_list !== undefined,
  );
  const nulls = levels.findLast(
    (level) =>
      level.ignore_null_updates !== undefined ||
      level.ignore_null_updates_column_list !== undefined ||
      level.ignore_null_updates_except_column_list !== undefined,
  );
  return {
    trackHistoryColumns: tracked?.track_history_column_list ?? null,
    trackHistoryExceptColumns: tracked?.track_history_except_column_list ?? null,
    ignoreNullUpdates: ignoreNullOf(nulls),
  };
}

function ignoreNullOf(level: TableConfigurationText | undefined): TableConfiguration['ignoreNullUpdates'] {
  if (level?.ignore_null_updates_column_list !== undefined)
    return {kind: 'only', columns: level.ignore_null_updates_column_list};
  if (level?.ignore_null_updates_except_column_list !== undefined)
    return {kind: 'except', columns: level.ignore_null_updates_except_column_list};
  return {kind: level?.ignore_null_updates === true ? 'all' : 'none'};
}

/** One setting under two names. */
function deletionConditionOf(level: TableConfigurationText): string | undefined {
  return level.query_based_connector_config?.deletion_condition ?? level.apply_as_deletes;
}

const HOUR_MS = 3_600_000;

function hoursToMs(hours: number | undefined): number | null {
  return hours === undefined ? null : hours * HOUR_MS;
}

function autoFullRefreshOf(text: TableConfigurationText['auto_full_refresh_policy']): AutoFullRefresh | null {
  return text?.enabled === true ? {minIntervalHours: text.min_interval_hours ?? 24} : null;
}

function checkNames(source: PipelineSource, object: ObjectSpec): void {
  const names = {
    destination_catalog: object.destinationCatalog,
    destination_schema: object.destinationSchema,
    destination_table: object.destinationTable ?? object.sourceTable?.toLowerCase(),
  };
  for (const [key, name] of Object.entries(names)) {
    const reason = name === undefined ? null : nameProblem(name);
    if (reason !== null)
      source.report(`${object.path}.${key}`, {
        code: 'INVALID_SPEC',
        message: `the name cannot be used: ${reason}`,
        fix: 'Choose another name.',
      });
  }
}

const OWNED_PROPERTIES: ReadonlyMap<string, string> = new Map([
  ['delta.enableDeletionVectors', 'Use the setting deletion_vectors.'],
  ['delta.minReaderVersion', 'Sluice chooses the least protocol that the table needs.'],
  ['delta.minWriterVersion', 'Sluice chooses the least protocol that the table needs.'],
]);

function checkConfiguration(source: PipelineSource, object: ObjectSpec): void {
  const {configuration} = object;
  const path = `${object.path}.table_configuration`;
  for (const property of Object.keys(configuration.tableProperties)) {
    const fix = property.startsWith('sluice.')
      ? 'Properties of this name are written by Sluice itself.'
      : OWNED_PROPERTIES.get(property);
    if (fix !== undefined)
      source.report(`${path}.table_properties["${property}"]`, {
        code: 'INVALID_SPEC',
        message: 'the property cannot be set',
        fix,
      });
  }
  checkPredicate(source, configuration.rowFilter, `${path}.row_filter`);
  checkPredicate(source, configuration.applyAsTruncates, `${path}.apply_as_truncates`);
  checkPredicate(source, configuration.deletionCondition, `${path}.query_based_connector_config.deletion_condition`);
}

function checkPredicate(source: PipelineSource, text: string | null, path: string): void {
  if (text === null) return;
  try {
    parsePredicate(text);
  } catch (error) {
    if (!isIngestError(error)) throw error;
    const fix = error.fix ?? "Write a condition on columns, for example: status = 'open' AND total >= 10";
    source.report(path, {code: error.code, message: error.message, fix});
  }
}

function checkEventLog(source: PipelineSource, home: Home): void {
  const eventLog = source.text.event_log;
  for (const key of ['catalog', 'schema'] as const) {
    const value = eventLog?.[key];
    if (value === undefined || value === home[key]) continue;
    source.report('event_log', {
      code: 'UNSUPPORTED',
      message: `the event log lies in the pipeline's own ${key} "${home[key]}"`,
      fix: `Remove event_log.${key}.`,
    });
  }
  for (const [key, name] of Object.entries({...home, 'event_log.name': eventLog?.name})) {
    const reason = name === undefined ? null : nameProblem(name);
    if (reason !== null)
      source.report(key, {
        code: 'INVALID_SPEC',
        message: `the name cannot be used: ${reason}`,
        fix: 'Choose another name.',
      });
  }
}

function checkDestinations(source: PipelineSource, objects: readonly ObjectSpec[], eventLog: string): void {
  const taken = new Map<string, {readonly name: string; readonly by: string}>([
    [eventLog.toLowerCase(), {name: eventLog, by: 'the event log'}],
  ]);
  for (const object of objects) {
    const name = destinationOf(object);
    if (name === null) continue;
    const other = taken.get(name.toLowerCase());
    taken.set(name.toLowerCase(), other ?? {name, by: object.path});
    if (other === undefined) continue;
    const message =
      other.name === name
        ? `the destination ${name} is taken by ${other.by}`
        : `the destination ${name} differs from ${other.name} of ${other.by} by case only, which not every store can tell apart`;
    source.report(object.path, {code: 'INVALID_SPEC', message, fix: 'Give it another destination_table.'});
  }
}
