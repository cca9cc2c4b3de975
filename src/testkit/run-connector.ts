import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {createDuckDbApply} from '../apply/duckdb-apply.ts';
import {systemClock, type Clock} from '../core/clock.ts';
import {IngestError} from '../core/errors.ts';
import type {DeltaContext} from '../delta/delta-table.ts';
import {openTable} from '../delta/table.ts';
import {openEngine} from '../engine/duckdb-engine.ts';
import {createInlineExtract} from '../pipeline/extract-inline.ts';
import {runUpdate, selectForUpdate, type BackfillRequest, type UpdateEnd} from '../pipeline/run-update.ts';
import type {FlowNote, FlowServices} from '../pipeline/services.ts';
import {DEFAULT_TABLE_CONFIGURATION, type ObjectSpec, type TableConfiguration} from '../pipeline/spec.ts';
import type {TableVerdict} from '../pipeline/verify-verdict.ts';
import type {Connector, ConnectorLog, OptionValue, ReadContext, SourceFiles} from '../sdk/contract.ts';
import type {ConnectorDefinition} from '../sdk/define-connector.ts';
import {resolveConnectionOptions} from '../sdk/options.ts';
import {createLocalStore} from '../storage/local-store.ts';
import type {Store} from '../storage/store.ts';

/** A lake with an engine for tests; disposing closes the engine, the folder stays. */
export interface TestLake extends AsyncDisposable {
  readonly folder: string;
  readonly context: DeltaContext;
}

/** One table to ingest. */
export interface TestTable {
  readonly source: string;
  readonly destination?: string;
  readonly configuration?: Partial<TableConfiguration>;
  readonly options?: Readonly<Record<string, OptionValue>>;
}

/** A run of a connector: its definition or an instance, and what to ingest. */
export interface TestRun {
  readonly definition: ConnectorDefinition;
  /** Default: made by the definition with these options. */
  readonly connector?: Connector;
  readonly options?: Readonly<Record<string, OptionValue>>;
  readonly tables: readonly TestTable[];
  readonly fullRefresh?: boolean | readonly string[];
  readonly backfill?: readonly BackfillRequest[];
  readonly dropHistory?: boolean;
  readonly signal?: AbortSignal;
  readonly files?: SourceFiles;
  /** Told when processes would be started for partitions that are about to be planned. */
  readonly onWarm?: () => void;
}

/** How a test's run ended. */
export interface TestRunEnd extends UpdateEnd {
  readonly notes: readonly FlowNote[];
  /** Comparisons that the run made by itself. */
  readonly verdicts: readonly TableVerdict[];
}

/** Opens a lake in a folder (default: a new temporary one). */
export async function openTestLake(
  folder?: string,
  options: {
    readonly clock?: Clock;
    readonly memoryLimitMb?: number;
    readonly inputs?: readonly string[];
    /** Puts a store before the lake's own, for example {@link createFaultStore}. */
    readonly wrap?: (store: Store) => Store;
  } = {},
): Promise<TestLake> {
  const at = folder ?? (await mkdtemp(join(tmpdir(), 'sluice-lake-')));
  const tempFolder = await mkdtemp(join(tmpdir(), 'sluice-'));
  const engine = await openEngine({
    memoryLimitMb: options.memoryLimitMb ?? 512,
    threads: 2,
    tempFolder,
    allowedFolders: [at, ...(options.inputs ?? [])],
  });
  return {
    folder: at,
    context: {
      store: (options.wrap ?? ((store: Store): Store => store))(createLocalStore(at)),
      engine,
      clock: options.clock ?? systemClock,
    },
    async [Symbol.asyncDispose](): Promise<void> {
      await engine[Symbol.asyncDispose]();
      await rm(tempFolder, {recursive: true, force: true});
    },
  };
}

/**
 * What a run landed in `main.test.<destination>`: the given columns or expressions of all rows, sorted by all of them.
 * @throws NOT_A_DELTA_TABLE when there is no such table.
 */
export async function landedRows(
  lake: TestLake,
  destination: string,
  columns = '*',
): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const table = await openTable(lake.context, `main/test/${destination}`);
  if (table === null) throw new IngestError('NOT_A_DELTA_TABLE', `Nothing landed in main.test.${destination}.`);
  return lake.context.engine.query(`SELECT ${columns} FROM (${await table.readSql()}) ORDER BY ALL`);
}

/** Runs a connector's tables into `main.test.<destination>` of a lake, in this process, one flow at a time. */
export async function runConnector(lake: TestLake, run: TestRun): Promise<TestRunEnd> {
  const {context} = lake;
  const {definition} = run;
  const options = resolveConnectionOptions(definition.spec, run.options ?? {}, 'connection "test"');
  const connector =
    run.connector ?? definition.create({options, clock: context.clock, random: Math.random, connectionName: 'test'});
  const signal = run.signal ?? new AbortController().signal;
  const files = run.files ?? NO_FILES;
  const notes: FlowNote[] = [];
  const verdicts: TableVerdict[] = [];
  const read = (): ReadContext => ({
    signal,
    clock: context.clock,
    log: SILENT,
    files,
    progress: () => undefined,
    limits: {maxRows: 500_000, maxBytes: 128 * 1024 * 1024},
    triggerStartedAt: context.clock.nowMicros(),
    isFirstCall: true,
    ledger: {get: () => Promise.resolve(new Map()), put: () => undefined},
  });
  const services: FlowServices = {
    pipelineKey: 'test',
    connection: {name: 'test', connector: definition.name, options: run.options ?? {}},
    open: {definition, connector},
    context,
    apply: createDuckDbApply(context),
    extract: {
      ...createInlineExtract({context, connector, read}),
      ...(run.onWarm === undefined ? {} : {warm: run.onWarm}),
    },
    files,
    log: SILENT,
    random: Math.random,
    report: () => undefined,
    note: (note) => notes.push(note),
    verified: (_, verdict) => verdicts.push(verdict),
  };
  const request = {
    tables: [],
    fullRefresh: run.fullRefresh ?? false,
    ...(run.backfill === undefined ? {} : {backfill: run.backfill}),
    dropHistory: run.dropHistory ?? false,
    maxParallelFlows: 1,
    signal,
    onFlow: (): undefined => undefined,
  };
  const pipeline = {
    key: 'test',
    name: 'test',
    catalog: 'main',
    schema: 'test',
    connection: services.connection,
    objects: run.tables.map(objectOf),
    eventLogTable: 'event_log_test',
  };
  try {
    const selected = await selectForUpdate(pipeline, services.open, {
      request,
      ctx: {signal, clock: context.clock, log: SILENT, files},
    });
    return {...(await runUpdate(selected, services, request)), notes, verdicts};
  } finally {
    if (run.connector === undefined) await connector.close?.();
  }
}

function objectOf(table: TestTable, index: number): ObjectSpec {
  return {
    kind: 'table',
    path: `objects[${index}].table`,
    sourceCatalog: null,
    sourceSchema: null,
    sourceTable: table.source,
    destinationCatalog: 'main',
    destinationSchema: 'test',
    destinationTable: table.destination ?? null,
    configuration: {...DEFAULT_TABLE_CONFIGURATION, ...table.configuration},
    options: table.options ?? {},
  };
}

const SILENT: ConnectorLog = {debug: () => undefined, info: () => undefined, warn: () => undefined};

const NO_FILES: SourceFiles = {
  list: () => Promise.reject(new IngestError('UNSUPPORTED', 'This test has no files.')),
  inferSchema: () => Promise.reject(new IngestError('UNSUPPORTED', 'This test has no files.')),
};
