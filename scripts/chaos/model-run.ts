// A program under test: runs the model's tables once, or maintains them, with a clock and a store that may go wrong.
import {seededRandom, systemClock, type Clock} from '../../src/core/clock.ts';
import {isIngestError} from '../../src/core/errors.ts';
import {cleanUpLog} from '../../src/delta/log-cleanup.ts';
import {optimizeTable} from '../../src/delta/optimize.ts';
import {openTable} from '../../src/delta/table.ts';
import {vacuumTable} from '../../src/delta/vacuum.ts';
import {restoreTable} from '../../src/pipeline/restore.ts';
import {installFailpointOf, processEnvironment} from '../../src/runtime/config/environment.ts';
import {acquireLease, leaseHeldSince} from '../../src/state/lease.ts';
import {createFaultStore, type Fault} from '../../src/testkit/fault-store.ts';
import {openTestLake, runConnector, type TestLake, type TestTable} from '../../src/testkit/run-connector.ts';
import {MODEL_TABLES, modelConnector} from './model-source.ts';

/** What the parent asks for, as JSON. */
export interface ModelRequest {
  readonly folder: string;
  readonly lake: string;
  readonly task: 'run' | 'maintain' | 'restore';
  readonly seed: number;
  /** The clock at the start, apart from the machine's, and after some readings of it. */
  readonly aheadMs: number;
  readonly jumpMs: number;
  /** Null: a store without faults. */
  readonly faultSeed: number | null;
  readonly fullRefresh: readonly string[];
}

const FAULTS: readonly Fault[] = [
  {kind: 'fail', systemCode: 'EIO'},
  {kind: 'fail', systemCode: 'ENOSPC'},
  {kind: 'lost-answer'},
  {kind: 'lost-answer'},
  {kind: 'torn', keptBytes: 100},
  {kind: 'slow', ms: 20},
  {kind: 'stale', count: 1},
  {kind: 'duplicate'},
  {kind: 'late-delete', calls: 5},
];
const FAULT_PROBABILITY = 0.01;
/** Readings of the clock before it jumps. */
const READINGS_BEFORE_JUMP = 40;

/** Waits are short: a run that is to be killed has no time to lose. */
function jumpingClock({aheadMs, jumpMs}: ModelRequest): Clock {
  let readings = 0;
  const ahead = (): number => aheadMs + (++readings > READINGS_BEFORE_JUMP ? jumpMs : 0);
  return {
    nowMs: () => systemClock.nowMs() + ahead(),
    nowMicros: () => systemClock.nowMicros() + BigInt(ahead()) * 1000n,
    sleep: (ms, signal) => systemClock.sleep(Math.min(ms, 20), signal),
  };
}

const HISTORY = {scdType: 'SCD_TYPE_2', trackHistoryExceptColumns: ['sequence', 'note']} as const;
const TABLES: Readonly<Record<(typeof MODEL_TABLES)[number], NonNullable<TestTable['configuration']>>> = {
  append: {maxRecordsPerBatch: 60, tableProperties: {'delta.logRetentionDuration': 'interval 1 hours'}},
  scd1: {maxRecordsPerBatch: 80, deletionVectors: 'true', deletionCondition: 'gone = true'},
  deletes: {maxRecordsPerBatch: 80, deletionVectors: 'false'},
  scan: {hardDeletionSyncMinIntervalSeconds: 0, maxDeletedPercent: 100},
  history: {...HISTORY, maxRecordsPerBatch: 80, deletionVectors: 'true'},
  snap: {maxRecordsPerBatch: 150, tableProperties: {'delta.enableInCommitTimestamps': 'true'}},
  snap_history: {...HISTORY, maxRecordsPerBatch: 150},
  bad: {maxRecordsPerBatch: 80, deletionVectors: 'true', tableProperties: {'delta.enableChangeDataFeed': 'true'}},
};

async function main(request: ModelRequest): Promise<void> {
  installFailpointOf(processEnvironment());
  const clock = jumpingClock(request);
  const {faultSeed} = request;
  const wrap: NonNullable<Parameters<typeof openTestLake>[1]>['wrap'] = (store) =>
    faultSeed === null
      ? store
      : createFaultStore(store, {
          chance: {random: seededRandom(faultSeed), probability: FAULT_PROBABILITY, faults: FAULTS},
          clock,
        });
  await using lake = await openTestLake(request.lake, {clock, wrap, memoryLimitMb: 256});
  try {
    await TASKS[request.task](lake, request);
  } catch (error) {
    // With faults anything may fail, as long as nothing is lost.
    if (faultSeed === null) throw error;
    console.log(String(error));
  }
}

async function run(lake: TestLake, {folder, faultSeed, fullRefresh}: ModelRequest): Promise<void> {
  const {store, clock} = lake.context;
  await using _ = await acquireLease(store, '_sluice/pipelines/test/lease', clock);
  const end = await runConnector(lake, {
    definition: modelConnector(folder),
    tables: MODEL_TABLES.map((source) => ({source, configuration: TABLES[source]})),
    fullRefresh: fullRefresh.length === 0 ? false : fullRefresh,
  });
  for (const {flow, state, errorCode, errorMessage} of end.flows) {
    if (state === 'COMPLETED') continue;
    console.log(`${flow} ${state}: [${errorCode ?? ''}] ${errorMessage ?? ''}`);
    if (faultSeed === null) process.exitCode = 1;
  }
}

/** As the commands do it: files of versions that a reader may still want stay an hour, those of a run under way stay. */
async function maintain(lake: TestLake): Promise<void> {
  const {context} = lake;
  const {signal} = new AbortController();
  await using _ = await acquireLease(context.store, '_sluice/pipelines/test/maintenance', context.clock);
  for (const name of MODEL_TABLES) {
    const table = await openTable(context, `main/test/${name}`);
    if (table === null) continue;
    await optimizeTable(context, table, {}, signal);
    const writingSince = (): Promise<number | null> => leaseHeldSince(context.store, '_sluice/pipelines/test/lease');
    const how = {retentionMs: 3_600_000, dryRun: false, writingSince};
    await vacuumTable(context, table, how, signal);
    await cleanUpLog(context, table, how, signal);
  }
}

/** Puts some table back a few versions: the next run reads on from there. */
async function restore(lake: TestLake, {seed}: ModelRequest): Promise<void> {
  const {context} = lake;
  const random = seededRandom(seed);
  await using _run = await acquireLease(context.store, '_sluice/pipelines/test/lease', context.clock);
  await using _maintenance = await acquireLease(context.store, '_sluice/pipelines/test/maintenance', context.clock);
  const name = `main/test/${MODEL_TABLES[Math.floor(random() * MODEL_TABLES.length)] ?? ''}`;
  const table = await openTable(context, name);
  if (table === null) return;
  const version = Math.max(1, table.snapshot.version - Math.floor(random() * 6));
  try {
    await restoreTable(context, {name, table, version, dryRun: false});
  } catch (error) {
    // Vacuum and the clean-up of the log have taken what some versions need.
    if (!isIngestError(error)) throw error;
    console.log(`${name} to ${version}: [${error.code}] ${error.message}`);
  }
}

const TASKS: Readonly<Record<ModelRequest['task'], (lake: TestLake, request: ModelRequest) => Promise<void>>> = {
  run,
  maintain,
  restore,
};

await main(JSON.parse(process.argv[2] ?? '{}') as ModelRequest);
