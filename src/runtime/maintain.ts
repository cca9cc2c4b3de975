import {systemClock} from '../core/clock.ts';
import {IngestError, isIngestError} from '../core/errors.ts';
import {typeToDdl} from '../core/schema-ddl.ts';
import {currentBatch} from '../delta/batch-files.ts';
import type {DeltaTable} from '../delta/delta-table.ts';
import {clusteringColumnsOf} from '../delta/layout.ts';
import {cleanUpLog} from '../delta/log-cleanup.ts';
import {optimizeTable} from '../delta/optimize.ts';
import {openTable} from '../delta/table.ts';
import {vacuumTable} from '../delta/vacuum.ts';
import {FLOW_ID_PROPERTY, PIPELINE_PROPERTY, SOURCE_PROPERTY} from '../pipeline/destination.ts';
import {matchesTable} from '../pipeline/discover.ts';
import {EVENT_LOG_PROPERTY} from '../pipeline/event-log.ts';
import {quarantineRoot} from '../pipeline/quarantine.ts';
import {describe} from '../pipeline/run-flow.ts';
import type {PipelineSpec} from '../pipeline/spec.ts';
import {acquireLease, leaseHeldSince} from '../state/lease.ts';
import type {
  LakeOptions,
  OptimizeTablesOptions,
  OptimizedTable,
  TableDescription,
  TableFailure,
  VacuumedTable,
  VacuumTablesOptions,
} from './api.ts';
import {type LakeTable, fullName, listLakeTables, openNamed, rowsOf} from './inspect.ts';
import {pipelinePrefix} from './update.ts';
import {openWorkbench, type Workbench} from './workbench.ts';

const HOUR_MS = 3_600_000;
const NO_LOG_CLEAN_UP = {entriesRemoved: 0, bytesRemoved: 0, oldestVersion: null};

/**
 * Packs small files of a pipeline's tables and of its event log; runs under way go on and win where both change a file.
 * A table that fails does not stop its neighbours.
 * @throws CONCURRENT_RUN when other maintenance of the pipeline is under way; UNKNOWN_TABLE when no table matches.
 */
export async function optimizeTables(
  spec: PipelineSpec,
  options: OptimizeTablesOptions,
): Promise<readonly OptimizedTable[]> {
  const {dryRun = false, purge = false} = options;
  await using bench = await openWorkbench(options);
  const {owned, broken} = await ownedTables(bench, spec, options.tables);
  await using _ = dryRun ? null : await maintenanceLease(bench, spec);
  const how = {dryRun, ...(purge ? {purgeAboveFraction: 0} : {})};
  const done: OptimizedTable[] = broken.map(({flow, error}) => ({flow, report: null, error, elapsedMs: 0}));
  // The quarantine takes back the rows of failed attempts file by file: its files must not be mixed.
  for (const {flow, table} of owned.filter(({role}) => role !== 'quarantine')) {
    const startedAtMs = systemClock.nowMs();
    const result = await attempt(options.signal, () => optimizeTable(bench.context, table, how, options.signal));
    done.push({flow, report: result.value, error: result.error, elapsedMs: systemClock.nowMs() - startedAtMs});
  }
  return done;
}

/**
 * Removes files that no kept version of a pipeline's tables, quarantines and event log names, and log entries that have
 * expired. Nothing that a run under way has written is touched. A dry run writes nothing at all.
 * @throws INVALID_OPTION when less than one hour is to be kept without `force`; CONCURRENT_RUN, UNKNOWN_TABLE as {@link optimizeTables}.
 */
export async function vacuumTables(
  spec: PipelineSpec,
  options: VacuumTablesOptions,
): Promise<readonly VacuumedTable[]> {
  refuseShort(options);
  await using bench = await openWorkbench(options);
  const {owned, broken} = await ownedTables(bench, spec, options.tables);
  await using _ = options.dryRun ? null : await maintenanceLease(bench, spec);
  const how = {
    dryRun: options.dryRun,
    force: options.force,
    ...(options.retainHours === null ? {} : {retentionMs: options.retainHours * HOUR_MS}),
    writingSince: () => leaseHeldSince(bench.context.store, `${pipelinePrefix(spec.key)}/lease`),
  };
  const done: VacuumedTable[] = broken.map(({flow, error}) => ({flow, files: [], log: NO_LOG_CLEAN_UP, error}));
  for (const {flow, table} of owned) {
    const files = await attempt(options.signal, () => vacuumTable(bench.context, table, how, options.signal));
    const log =
      files.error === null
        ? await attempt(options.signal, () => cleanUpLog(bench.context, table, how, options.signal))
        : NOT_TRIED;
    done.push({flow, files: files.value ?? [], log: log.value ?? NO_LOG_CLEAN_UP, error: files.error ?? log.error});
  }
  return done;
}

/** All that is known of a table without reading its rows. @throws UNKNOWN_TABLE */
export async function describeTable(name: string, options: LakeOptions): Promise<TableDescription> {
  await using bench = await openWorkbench(options);
  const {entry, table} = await openNamed(bench, name);
  const {snapshot} = table;
  const {configuration, createdTime, description, partitionColumns} = snapshot.metadata;
  const {minReaderVersion, minWriterVersion, readerFeatures = [], writerFeatures = []} = snapshot.protocol;
  const live = [...snapshot.files.values()];
  return {
    table: fullName(entry),
    location: `${bench.context.store.root}/${entry.root}`,
    description: description ?? null,
    version: snapshot.version,
    createdAt: createdTime === undefined ? null : new Date(createdTime).toISOString(),
    lastCommitAt: new Date(snapshot.timestampMs).toISOString(),
    columns: snapshot.schema.fields.map((field) => ({
      name: field.name,
      type: typeToDdl(field.type),
      nullable: field.nullable,
      comment: commentOf(field.metadata),
    })),
    partitionColumns,
    clusteringColumns: clusteringColumnsOf(snapshot),
    constraints: constraintsOf(configuration),
    rows: rowsOf(table),
    files: live.length,
    sizeBytes: live.reduce((sum, file) => sum + file.size, 0),
    filesWithVectors: live.filter((file) => file.deletionVector !== undefined).length,
    hiddenRows: live.reduce((sum, file) => sum + (file.deletionVector?.cardinality ?? 0), 0),
    minReaderVersion,
    minWriterVersion,
    features: [...new Set([...readerFeatures, ...writerFeatures])].sort(),
    properties: configuration,
    pipeline: configuration[PIPELINE_PROPERTY] ?? configuration[EVENT_LOG_PROPERTY] ?? null,
    sourceTable: configuration[SOURCE_PROPERTY] ?? null,
    flowId: configuration[FLOW_ID_PROPERTY] ?? null,
    lastBatch: await lastBatchOf(bench, table),
  };
}

const CONSTRAINT_PREFIX = 'delta.constraints.';

function constraintsOf(configuration: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const named = Object.entries(configuration).filter(([name]) => name.startsWith(CONSTRAINT_PREFIX));
  return Object.fromEntries(named.map(([name, condition]) => [name.slice(CONSTRAINT_PREFIX.length), condition]));
}

async function lastBatchOf(bench: Workbench, table: DeltaTable): Promise<TableDescription['lastBatch']> {
  const flowId = table.snapshot.metadata.configuration[FLOW_ID_PROPERTY];
  const batch = flowId === undefined ? null : await currentBatch(bench.context.store, table, flowId);
  if (batch === null) return null;
  const {batchId, writtenAt, inSnapshot, counts} = batch;
  return {batchId, writtenAt, inSnapshot, counts};
}

interface OwnedTable {
  readonly flow: string;
  readonly role: 'destination' | 'quarantine' | 'event-log';
  readonly table: DeltaTable;
}

/** A table of the pipeline, by its name, that cannot be opened. */
interface BrokenTable {
  readonly flow: string;
  readonly error: TableFailure;
}

async function ownedTables(
  bench: Workbench,
  spec: PipelineSpec,
  globs: readonly string[],
): Promise<{readonly owned: readonly OwnedTable[]; readonly broken: readonly BrokenTable[]}> {
  const broken: BrokenTable[] = [];
  const opened: {readonly flow: string; readonly root: string; readonly table: DeltaTable}[] = [];
  for (const entry of await listLakeTables(bench.context)) {
    const flow = `${entry.catalog}.${entry.schema}.${entry.table}`;
    try {
      const table = await openTable(bench.context, entry.root);
      if (table !== null) opened.push({flow, root: entry.root, table});
    } catch (error) {
      // A table of others that we cannot read is none that we maintain; nor can its log say whose it is.
      if (isIngestError(error, 'UNSUPPORTED_TABLE_FEATURE') || !mayOwn(spec, entry)) continue;
      const {code, message, fix} = describe(error, NEVER);
      broken.push({flow, error: {code, message, ...(fix === undefined ? {} : {fix})}});
    }
  }
  const propertyOf = (table: DeltaTable, name: string): string | undefined =>
    table.snapshot.metadata.configuration[name];
  const destinations = opened.filter(({table}) => propertyOf(table, PIPELINE_PROPERTY) === spec.key);
  const quarantines = new Set(destinations.map(({root}) => quarantineRoot(root)));
  const owned = opened.flatMap(({flow, root, table}): readonly OwnedTable[] => {
    if (propertyOf(table, PIPELINE_PROPERTY) === spec.key) return [{flow, role: 'destination', table}];
    if (propertyOf(table, EVENT_LOG_PROPERTY) === spec.key) return [{flow, role: 'event-log', table}];
    return quarantines.has(root) ? [{flow, role: 'quarantine', table}] : [];
  });
  const selected = owned.filter(({flow, table}) =>
    matchesTable({flow, sourceTable: propertyOf(table, SOURCE_PROPERTY) ?? flow}, globs),
  );
  const selectedBroken = broken.filter(({flow}) => matchesTable({flow, sourceTable: flow}, globs));
  if (selected.length + selectedBroken.length === 0 && globs.length > 0) throw noMatch(spec, globs, owned);
  return {owned: selected, broken: selectedBroken};
}

const NEVER: AbortSignal = new AbortController().signal;

/** True when the pipeline writes a table of that name. */
function mayOwn(spec: PipelineSpec, table: LakeTable): boolean {
  if (table.catalog === spec.catalog && table.schema === spec.schema && table.table === spec.eventLogTable) return true;
  return spec.objects.some((object) => {
    if (object.destinationCatalog !== table.catalog || object.destinationSchema !== table.schema) return false;
    const name = object.destinationTable ?? object.sourceTable?.toLowerCase();
    return (
      object.kind === 'schema' || name === undefined || quarantineRoot(name) === table.table || name === table.table
    );
  });
}

function noMatch(spec: PipelineSpec, globs: readonly string[], owned: readonly OwnedTable[]): IngestError {
  return new IngestError(
    'UNKNOWN_TABLE',
    `Pipeline "${spec.key}" has no table in the lake that matches ${globs.join(', ')}.`,
    {
      fix: owned.length === 0 ? 'Run the pipeline first.' : `It has ${owned.map(({flow}) => flow).join(', ')}.`,
    },
  );
}

/** What optimize has written and not yet committed looks to vacuum like a leftover: only one of them at a time. */
function maintenanceLease(bench: Workbench, spec: PipelineSpec): Promise<AsyncDisposable> {
  return acquireLease(bench.context.store, `${pipelinePrefix(spec.key)}/maintenance`, systemClock);
}

interface Attempted<T> {
  readonly value: T | null;
  readonly error: TableFailure | null;
}

const NOT_TRIED: Attempted<never> = {value: null, error: null};

async function attempt<T>(signal: AbortSignal, work: () => Promise<T>): Promise<Attempted<T>> {
  signal.throwIfAborted();
  try {
    return {value: await work(), error: null};
  } catch (error) {
    signal.throwIfAborted();
    const {code, message, fix} = describe(error, signal);
    return {value: null, error: {code, message, ...(fix === undefined ? {} : {fix})}};
  }
}

function refuseShort({retainHours, force}: VacuumTablesOptions): void {
  if (retainHours === null || retainHours >= 1 || force) return;
  throw new IngestError('INVALID_OPTION', `Keeping ${retainHours} hours is less than one hour.`, {
    fix: 'Readers under way may need files of that age: keep them longer, or add --force when nothing else reads the tables.',
  });
}

function commentOf(metadata: Readonly<Record<string, unknown>>): string | null {
  const comment = metadata['comment'];
  return typeof comment === 'string' ? comment : null;
}
