import {IngestError} from '../core/errors.ts';
import {parsePredicate, predicateColumns, type Predicate} from '../core/predicate.ts';
import {fieldAt, landedType} from '../core/schema.ts';
import {didYouMean} from '../core/suggest.ts';
import {RESCUED_COLUMN, SEQUENCE_COLUMN, type StructField, type StructType} from '../core/types.ts';
import type {DeltaContext} from '../delta/delta-table.ts';
import {openTable} from '../delta/table.ts';
import type {CallContext, Connector, IngestionType, OptionValue, TableMetadata, TableOptions} from '../sdk/contract.ts';
import type {ConnectorDefinition} from '../sdk/define-connector.ts';
import {resolveOptions} from '../sdk/options.ts';
import {withBatchLimit} from './batch-limit.ts';
import {columnOf} from './column-path.ts';
import {landedSchema} from './landed-schema.ts';
import {changeColumns, changeSource, needsTombstones, storedSequence} from './resolve-changes.ts';
import {historyColumns, withVersions} from './resolve-history.ts';
import type {ChangeSource, ResolvedFlow} from './resolved-flow.ts';
import {withHints} from './schema-hints.ts';
import type {ObjectSpec, TableConfiguration} from './spec.ts';
import {takeStart, withStart} from './start-option.ts';
import {tableRoot} from './table-root.ts';

/** A connector at work: its declaration and one instance. */
export interface OpenConnector {
  readonly definition: ConnectorDefinition;
  readonly connector: Connector;
}

/**
 * Decides everything about one flow: asks the source for schema and metadata and lays the user's configuration over it.
 * @throws UNKNOWN_TABLE, UNKNOWN_COLUMN, MISSING_KEY, MISSING_SEQUENCE, UNBOUNDED_TABLE, INVALID_OPTION, INVALID_PREDICATE, INVALID_SCHEMA, UNSUPPORTED
 */
export async function resolveFlow(
  open: OpenConnector,
  written: ObjectSpec,
  sourceTable: string,
  ctx: CallContext,
): Promise<ResolvedFlow> {
  const started = takeStart(open.definition.spec.table, withBatchLimit(written));
  const options = tableOptions(open.definition, started.object, null);
  const metadata = await open.connector.readTableMetadata(sourceTable, options, ctx);
  const declared = await open.connector.getTableSchema(sourceTable, options, ctx);
  const {schemaHints} = written.configuration;
  const hinted = {path: written.path, sourceTable, isInferred: metadata.schemaInferred === true};
  const sourceSchema = landed(schemaHints === null ? declared : withHints(declared, schemaHints, hinted));
  const cursorField = cursorOf(written.configuration, metadata);
  const object = withStart(started, {cursorField, schema: sourceSchema});
  const {configuration} = object;
  const where: Where = {object, sourceTable, sourceSchema};
  checkScdType(where, metadata.ingestionType);
  const keys = resolveKeys(where, metadata);
  const target = resolveTarget(where, metadata, keys);
  const changes = changeSource(where, metadata);
  const sequence = target === 'append' ? null : resolveSequence(where, metadata, changes);
  checkBounded(where, open.connector, metadata, cursorField);
  const rowFilter = predicateOf(where, configuration.rowFilter, 'row_filter');
  const deletionCondition = predicateOf(where, configuration.deletionCondition, 'deletion_condition');
  const truncateCondition = truncateConditionOf(where, target, {sequence, changes});
  const selected = selectColumns(where, [...keys]);
  const needed = new Set([
    ...selected,
    ...[...(sequence ?? []), ...[rowFilter, deletionCondition, truncateCondition].flatMap(columnsOf)].map((path) =>
      columnOf(sourceSchema, path),
    ),
  ]);
  if (cursorField !== null) needed.add(columnOf(sourceSchema, cursorField));
  const landingFields = sourceSchema.fields.filter((field) => needed.has(field.name));
  checkNames(where, landingFields);
  const stored = storedSequence(where, sequence ?? [], {selected, changes});
  const technical = [
    ...(stored.extra === null ? [] : [stored.extra]),
    ...changeColumns(target, metadata.ingestionType, changes),
  ];
  const tableSchema = withVersions(tableSchemaOf(sourceSchema, selected, technical), target, stored.columns);
  return {
    name: destinationName(object, sourceTable),
    root: rootOf(object, sourceTable),
    sourceTable,
    object,
    configuration,
    ingestionType: metadata.ingestionType,
    target,
    ...historyColumns({object, sourceTable, columns: [...selected]}, target, keys),
    keys,
    keysEnforced: metadata.keysEnforced === true && sameNames(keys, metadata.primaryKeys),
    sequence: target === 'append' ? [] : stored.columns,
    hiddenSequence: stored.hidden,
    changes,
    keepTombstones: needsTombstones(
      {target, ingestionType: metadata.ingestionType, configuration, cursorField},
      changes,
    ),
    sequenceRequired: configuration.sequenceBy.length > 0 && target !== 'append',
    cursorField,
    cursorIsTimestamp: cursorField !== null && isTimestamp(fieldAt(sourceSchema, cursorField)?.type),
    landingSchema: {type: 'struct', fields: landingFields},
    tableSchema,
    columnNames: {},
    rescueUnknown: false,
    ignoredColumns: sourceSchema.fields.map((field) => field.name).filter((name) => !needed.has(name)),
    rowFilter,
    deletionCondition,
    truncateCondition,
    options: tableOptions(
      open.definition,
      object,
      landingFields.length === sourceSchema.fields.length ? null : landingFields.map((field) => field.name),
    ),
    comment: metadata.comment ?? null,
  };
}

/** The context of a planning: the connector may ask what landed. Not for rows that are read anew, whose types may change. */
export function planningContext(
  context: DeltaContext,
  table: {readonly object: ObjectSpec; readonly sourceTable: string},
  ctx: CallContext,
): CallContext {
  const {object, sourceTable} = table;
  const root = rootOf(object, sourceTable);
  return {
    ...ctx,
    async landedSchema(): Promise<StructType | null> {
      const landedTable = await openTable(context, root);
      return landedTable === null ? null : landedSchema(landedTable.snapshot);
    },
  };
}

function rootOf(object: ObjectSpec, sourceTable: string): string {
  return tableRoot(object.destinationCatalog, object.destinationSchema, destinationTable(object, sourceTable));
}

/**
 * Checks what an object of the spec says without asking the source.
 * @throws INVALID_OPTION, INVALID_PREDICATE
 */
export function checkObject(definition: ConnectorDefinition, object: ObjectSpec): void {
  tableOptions(definition, takeStart(definition.spec.table, withBatchLimit(object)).object, null);
  const {rowFilter, deletionCondition, applyAsTruncates} = object.configuration;
  for (const text of [rowFilter, deletionCondition, applyAsTruncates]) if (text !== null) parsePredicate(text);
}

/** Lower-cased source name unless the spec says otherwise, as in Lakeflow. */
export function destinationTable(object: ObjectSpec, sourceTable: string): string {
  return object.destinationTable ?? (object.sourceTable ?? sourceTable).toLowerCase();
}

/** `catalog.schema.table`: the name of the flow. */
export function destinationName(object: ObjectSpec, sourceTable: string): string {
  return `${object.destinationCatalog}.${object.destinationSchema}.${destinationTable(object, sourceTable)}`;
}

interface Where {
  readonly object: ObjectSpec;
  readonly sourceTable: string;
  readonly sourceSchema: StructType;
}

/** The connector's options of a table: what the user wrote, and what the framework knows if the connector declares it. */
function tableOptions(
  definition: ConnectorDefinition,
  object: ObjectSpec,
  columns: readonly string[] | null,
): TableOptions {
  const {configuration} = object;
  const ours: Record<string, OptionValue> = {};
  if (columns !== null) ours['columns'] = columns;
  if (configuration.cursorColumns[0] !== undefined) ours['cursor_column'] = configuration.cursorColumns[0];
  if (configuration.primaryKeys.length > 0) ours['primary_keys'] = configuration.primaryKeys;
  if (configuration.maxRecordsPerBatch !== null) ours['max_records_per_batch'] = configuration.maxRecordsPerBatch;
  const given: Record<string, OptionValue> = {...object.options};
  for (const [name, value] of Object.entries(ours))
    if (name in definition.spec.table && !(name in given)) given[name] = value;
  return resolveOptions(definition.spec.table, given, object.path);
}

function landed(schema: StructType): StructType {
  return {type: 'struct', fields: schema.fields.map((field) => ({...field, type: landedType(field.type)}))};
}

function checkScdType(where: Where, ingestionType: IngestionType): void {
  const {scdType, ignoreNullUpdates} = where.object.configuration;
  if (ingestionType === 'snapshot' && ignoreNullUpdates.kind !== 'none') {
    throw refused(
      where,
      'INVALID_SPEC',
      'ignore_null_updates is for changes, and the table is read as a whole',
      'Remove it, or give the table a cursor column.',
    );
  }
  if (scdType === 'APPEND_ONLY' && ingestionType === 'snapshot') {
    throw refused(
      where,
      'UNSUPPORTED',
      'APPEND_ONLY of a snapshot table would add a full copy in every run',
      'Use SCD_TYPE_1, or give the table a cursor column.',
    );
  }
  const isKeyed = scdType === 'SCD_TYPE_1' || scdType === 'SCD_TYPE_2';
  if (isKeyed && ingestionType === 'append' && where.object.configuration.primaryKeys.length === 0) {
    throw refused(
      where,
      'MISSING_KEY',
      `${scdType} of an append table needs a key`,
      'Set table_configuration.primary_keys, or use APPEND_ONLY.',
    );
  }
}

function resolveKeys(where: Where, metadata: TableMetadata): readonly string[] {
  const configured = where.object.configuration.primaryKeys;
  const keys = configured.length > 0 ? configured : metadata.primaryKeys;
  for (const key of keys) {
    const field = where.sourceSchema.fields.find((candidate) => candidate.name === key);
    if (field === undefined) throw unknownColumn(where, key, 'primary_keys');
    if (typeof field.type === 'object' && field.type.type !== 'decimal') {
      throw refused(
        where,
        'INVALID_SPEC',
        `key column "${key}" is nested`,
        'Choose columns of simple types as primary_keys.',
      );
    }
  }
  return keys;
}

function resolveTarget(where: Where, metadata: TableMetadata, keys: readonly string[]): ResolvedFlow['target'] {
  const {scdType, primaryKeys} = where.object.configuration;
  if (scdType === 'APPEND_ONLY') return 'append';
  if (metadata.ingestionType === 'append' && (scdType === null || primaryKeys.length === 0)) return 'append';
  if (metadata.ingestionType !== 'snapshot' && keys.length === 0) {
    throw refused(
      where,
      'MISSING_KEY',
      'the table has no primary key',
      'Set table_configuration.primary_keys, or scd_type: APPEND_ONLY.',
    );
  }
  if (scdType !== 'SCD_TYPE_2') return 'scd1';
  if (keys.length > 0) return 'scd2';
  throw refused(
    where,
    'MISSING_KEY',
    'SCD_TYPE_2 keeps versions by key, and the table has none',
    'Set table_configuration.primary_keys, or use SCD_TYPE_1.',
  );
}

function resolveSequence(where: Where, metadata: TableMetadata, changes: ChangeSource | null): readonly string[] {
  const {sequenceBy} = where.object.configuration;
  if (sequenceBy.length === 0 && changes?.sequence != null) return [];
  const names =
    sequenceBy.length > 0
      ? sequenceBy
      : [cursorOf(where.object.configuration, metadata)].filter((name) => name !== null);
  if (names.length === 0 && changes?.isOrdered === true) return [];
  if (names.length === 0 && metadata.ingestionType !== 'snapshot') {
    throw refused(
      where,
      'MISSING_SEQUENCE',
      'nothing orders the changes of a key',
      'Set table_configuration.sequence_by or query_based_connector_config.cursor_columns.',
    );
  }
  for (const name of names)
    if (fieldAt(where.sourceSchema, name) === undefined) throw unknownColumn(where, name, 'sequence_by');
  if (metadata.ingestionType !== 'snapshot') return names;
  if (sequenceBy.length > 0 && where.object.configuration.scdType === 'SCD_TYPE_2') {
    throw refused(
      where,
      'INVALID_SPEC',
      'sequence_by orders no snapshots: their versions begin when they are read',
      'Remove sequence_by, or give the table a cursor column.',
    );
  }
  return sequenceBy.length === 0 ? [] : names;
}

function selectColumns(where: Where, keys: readonly string[]): ReadonlySet<string> {
  const {includeColumns, excludeColumns} = where.object.configuration;
  const all = where.sourceSchema.fields.map((field) => field.name);
  for (const name of includeColumns ?? []) if (!all.includes(name)) throw unknownColumn(where, name, 'include_columns');
  for (const name of excludeColumns ?? []) if (!all.includes(name)) throw unknownColumn(where, name, 'exclude_columns');
  const excluded = new Set(excludeColumns ?? []);
  const lostKey = keys.find((key) => excluded.has(key));
  if (lostKey !== undefined) {
    throw refused(where, 'INVALID_SPEC', `exclude_columns names the key column "${lostKey}"`, 'Keep key columns.');
  }
  if (includeColumns === null) return new Set(all.filter((name) => !excluded.has(name)));
  return new Set(all.filter((name) => includeColumns.includes(name) || keys.includes(name)));
}

function predicateOf(where: Where, text: string | null, option: string): Predicate | null {
  if (text === null) return null;
  const predicate = parsePredicate(text);
  for (const name of predicateColumns(predicate)) {
    if (fieldAt(where.sourceSchema, name) === undefined) throw unknownColumn(where, name, option);
  }
  return predicate;
}

function truncateConditionOf(
  where: Where,
  target: ResolvedFlow['target'],
  {sequence, changes}: {readonly sequence: readonly string[] | null; readonly changes: ChangeSource | null},
): Predicate | null {
  const predicate = predicateOf(where, where.object.configuration.applyAsTruncates, 'apply_as_truncates');
  const isOrdered = (sequence !== null && sequence.length > 0) || changes !== null;
  if (predicate === null || (target === 'scd1' && isOrdered)) return predicate;
  throw refused(
    where,
    'INVALID_SPEC',
    'apply_as_truncates is for SCD_TYPE_1 with a sequence',
    'Remove it, or set scd_type: SCD_TYPE_1 and sequence_by.',
  );
}

function columnsOf(predicate: Predicate | null): readonly string[] {
  return predicate === null ? [] : predicateColumns(predicate);
}

function checkBounded(where: Where, connector: Connector, metadata: TableMetadata, cursor: string | null): void {
  const isBounded = metadata.bounded ?? connector.latestOffset !== undefined;
  if (metadata.ingestionType === 'snapshot' || isBounded) return;
  if (cursor !== null && isTimestamp(fieldAt(where.sourceSchema, cursor)?.type)) return;
  throw refused(
    where,
    'UNBOUNDED_TABLE',
    'nothing ends a trigger: the cursor is no timestamp and the connector declares no bound',
    'The connector should implement latestOffset or declare the table bounded.',
  );
}

function tableSchemaOf(
  source: StructType,
  selected: ReadonlySet<string>,
  technical: readonly StructField[],
): StructType {
  const fields = source.fields.filter((field) => selected.has(field.name)).map((field) => ({...field, nullable: true}));
  const rescued: StructField = {name: RESCUED_COLUMN, type: 'string', nullable: true, metadata: {}};
  return {type: 'struct', fields: [...fields, rescued, ...technical]};
}

function cursorOf(configuration: TableConfiguration, metadata: TableMetadata): string | null {
  return configuration.cursorColumns[0] ?? metadata.cursorField ?? null;
}

function isTimestamp(type: StructField['type'] | undefined): boolean {
  return type === 'timestamp' || type === 'timestamp_ntz';
}

/** Names of columns that Sluice or its engine adds while rows are on their way. */
const RESERVED: ReadonlySet<string> = new Set([
  '__ord',
  '__op',
  '__unchanged',
  '__old_key',
  '_unchanged_columns',
  '__file',
  '__pos',
  '__start_at',
  '__end_at',
  '_change_type',
  'file_index',
  'file_row_number',
  RESCUED_COLUMN,
  SEQUENCE_COLUMN,
]);

function checkNames(where: Where, fields: readonly StructField[]): void {
  for (const {name} of fields) {
    const folded = name.toLowerCase();
    if (!RESERVED.has(folded) && !folded.startsWith('__sluice_')) continue;
    throw refused(
      where,
      'INVALID_SCHEMA',
      `the name of column "${name}" is one that Sluice needs for itself`,
      'Leave it out with exclude_columns, or rename it in the source (a view will do).',
    );
  }
}

function sameNames(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((name) => right.includes(name));
}

function unknownColumn(where: Where, name: string, option: string): IngestError {
  const names = where.sourceSchema.fields.map((field) => field.name);
  const close = didYouMean(name, names);
  return new IngestError(
    'UNKNOWN_COLUMN',
    `${where.object.path}: ${option} names "${name}", which table "${where.sourceTable}" does not have.`,
    {
      fix: close === null ? `Its columns are ${names.join(', ')}.` : `Did you mean "${close}"?`,
      context: {path: where.object.path, table: where.sourceTable, column: name},
    },
  );
}

function refused(
  where: Where,
  code: 'UNSUPPORTED' | 'MISSING_KEY' | 'MISSING_SEQUENCE' | 'UNBOUNDED_TABLE' | 'INVALID_SPEC' | 'INVALID_SCHEMA',
  what: string,
  fix: string,
): IngestError {
  return new IngestError(code, `${where.object.path}: table "${where.sourceTable}": ${what}.`, {
    fix,
    context: {path: where.object.path, table: where.sourceTable},
  });
}
