import {appendFile, mkdir, mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';

import type {Random} from '../../src/core/clock.ts';
import type {FailpointName} from '../../src/core/failpoint.ts';
import {openTable} from '../../src/delta/table.ts';
import {quarantineRoot} from '../../src/pipeline/quarantine.ts';
import {openTestLake, type TestLake} from '../../src/testkit/run-connector.ts';
import type {Command, Comparison, Program, Scenario} from '../../src/testkit/scenario.ts';
import {isOfMaintenance, maintainedTurn, type Candidate} from './maintained-turn.ts';
import type {ModelRequest} from './model-run.ts';
import {MODEL_TABLES, readLog, stateOf, UNORDERED, type ModelChange, type ModelTable} from './model-source.ts';

const program = fileURLToPath(new URL('./model-run.ts', import.meta.url));

/** Every apply mode against a model of what it must give, on a local disk, with clocks that jump and maintenance beside. */
export async function openModelScenario(options: {readonly faults: boolean}): Promise<Scenario> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-chaos-'));
  await mkdir(join(folder, 'source'));
  for (const table of MODEL_TABLES) await appendFile(join(folder, 'source', `${table}.jsonl`), '');
  return new ModelScenario(folder, options.faults);
}

const HOUR_MS = 3_600_000;
/** How far clocks are off: most are right. */
const JUMPS_MS = [0, 0, 0, 0, HOUR_MS, -HOUR_MS, 26 * HOUR_MS, -26 * HOUR_MS, -90 * 24 * HOUR_MS];
const KEYS = 250;
/** Few, so that changes often change nothing. */
const VALUES = 4;

/** Steps that the model's program comes by. */
export const MODEL_FAILPOINTS: readonly FailpointName[] = [
  'read.page',
  'read.finished',
  'apply.data-written',
  'apply.side-files-written',
  'apply.batch-file-written',
  'delta.commit-staged',
  'delta.commit-linked',
  'delta.commit-written',
  'delta.checkpoint-written',
  'delta.last-checkpoint-written',
  'delta.data-file-written',
  'delta.deletion-vectors-written',
  'delta.change-files-written',
  'pipeline.committed',
  'pipeline.acknowledged',
  'quarantine.committed',
  'lease.taken',
  'lease.released',
  'optimize.bin-written',
  'vacuum.file-removed',
  'log-cleanup.entry-removed',
  'restore.planned',
  'restore.batch-file-written',
  'restore.committed',
];

class ModelScenario implements Scenario {
  readonly name: string;
  readonly runsToSettle = 2;
  readonly failpoints = MODEL_FAILPOINTS;
  readonly #folder: string;
  readonly #faults: boolean;
  #sequence = 0;
  /** Changes that arrive later than their sequence says, by table. */
  readonly #late = new Map<string, ModelChange[]>();

  constructor(folder: string, faults: boolean) {
    this.#folder = folder;
    this.#faults = faults;
    this.name = faults ? 'faults' : 'model';
  }

  undisturbed(random: Random): Command {
    return this.#command({task: 'run', fullRefresh: []}, random, true);
  }

  turn(random: Random, step: string | null): readonly Program[] {
    const isRestore = step === null ? random() < 0.1 : step.startsWith('restore.');
    if (isRestore) return maintainedTurn(step, {run: null, maintenance: this.#maintenance(random, 'restore', step)});
    const fullRefresh = random() < 0.85 ? [] : [pick(MODEL_TABLES.filter(mayRefresh), random)];
    const run = {name: 'run', ...this.#command({task: 'run', fullRefresh}, random, false)};
    const isMaintained = isOfMaintenance(step) || random() < 0.6;
    return maintainedTurn(step, {run, maintenance: isMaintained ? this.#maintenance(random, 'maintain', step) : null});
  }

  #maintenance(random: Random, task: 'restore' | 'maintain', step: string | null): Candidate {
    // Only a clock that is ahead finds files that are old enough to go.
    const isOld = step !== null && /^(?:vacuum|log-cleanup)\./.test(step);
    const aheadMs = isOld ? {aheadMs: 26 * HOUR_MS, jumpMs: 0} : {};
    return {name: task, ...this.#command({task, fullRefresh: [], ...aheadMs}, random, false)};
  }

  async change(random: Random): Promise<void> {
    for (const table of MODEL_TABLES) {
      const fresh = Array.from({length: 20 + Math.floor(random() * 120)}, () => this.#changeOf(table, random));
      const late = this.#late.get(table) ?? [];
      const isLate = (): boolean => UNORDERED.has(table) && random() < 0.2;
      const [now, later] = [[...late] as ModelChange[], [] as ModelChange[]];
      for (const change of fresh) (isLate() ? later : now).push(change);
      this.#late.set(table, later);
      const lines = UNORDERED.has(table) ? shuffled(now, random) : now;
      const text = lines.map((change) => `${JSON.stringify(change)}\n`).join('');
      await appendFile(join(this.#folder, 'source', `${table}.jsonl`), text);
    }
  }

  async compare(): Promise<readonly Comparison[]> {
    await using lake = await openTestLake(join(this.#folder, 'lake'));
    const found: Comparison[] = [];
    for (const table of MODEL_TABLES) {
      const log = readLog(join(this.#folder, 'source'), table);
      const name = `${this.name}.${table}`;
      found.push({table: name, source: expected(table, log), destination: await landed(lake, table)});
      if (table === 'snap_history') found.push({table: `${name} (history)`, ...(await snapshotHistory(lake, log))});
      if (table === 'bad') found.push({table: `${name} (quarantine)`, ...(await quarantined(lake, log))});
    }
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, {recursive: true, force: true});
  }

  #command(
    task: Pick<ModelRequest, 'task' | 'fullRefresh'> & Partial<ModelRequest>,
    random: Random,
    calm: boolean,
  ): Command {
    const request: ModelRequest = {
      folder: join(this.#folder, 'source'),
      lake: join(this.#folder, 'lake'),
      aheadMs: calm ? 0 : pick(JUMPS_MS, random),
      jumpMs: calm ? 0 : pick(JUMPS_MS, random),
      seed: Math.floor(random() * 1e9),
      faultSeed: calm || !this.#faults ? null : Math.floor(random() * 1e9),
      ...task,
    };
    return {args: ['--import', 'tsx', program, JSON.stringify(request)], env: {}};
  }

  #changeOf(table: ModelTable, random: Random): ModelChange {
    const sequence = ++this.#sequence;
    const isBad = table === 'bad' && random() < 0.02;
    const id = isBad ? -sequence : table === 'append' ? sequence : Math.floor(random() * KEYS);
    const op = table !== 'append' && table !== 'bad' && random() < 0.15 ? 'delete' : 'upsert';
    return {
      sequence,
      id,
      op,
      value: `value ${Math.floor(random() * VALUES)}`,
      note: `note ${Math.floor(random() * 10)}`,
    };
  }
}

/**
 * Rows of a full refresh that cannot land are laid aside once more: they would have to be counted apart. A history takes
 * the newest of each key from a full refresh, not the events between.
 */
function mayRefresh(table: ModelTable): boolean {
  return table !== 'bad' && table !== 'history';
}

type Rows = ReadonlyMap<string, readonly string[]>;

/** What a table must hold after the changes that arrived. */
function expected(table: ModelTable, log: readonly ModelChange[]): Rows {
  if (table === 'append') return new Map(log.map((row) => [String(row.id), [textOf(row)]]));
  if (table === 'history') return historyOf(log);
  const keyed = log.filter(({id}) => id >= 0);
  return new Map([...stateOf(keyed).values()].map((row) => [String(row.id), [textOf(row)]]));
}

function textOf({value, note}: ModelChange): string {
  return `${value}|${note}`;
}

/** SCD type 2 said once more, one key at a time: runs of equal values are one version with the newest note. */
function historyOf(log: readonly ModelChange[]): Rows {
  const versions = new Map<string, readonly string[]>();
  const byKey = new Map<number, ModelChange[]>();
  for (const change of log) byKey.set(change.id, [...(byKey.get(change.id) ?? []), change]);
  for (const [id, changes] of byKey) {
    const events = changes.sort((left, right) => left.sequence - right.sequence);
    for (let from = 0; from < events.length;) {
      const head = events[from];
      if (head === undefined) break;
      let next = from + 1;
      while (events[next]?.op === 'upsert' && head.op === 'upsert' && events[next]?.value === head.value) next++;
      const tail = events[next - 1] ?? head;
      if (head.op === 'upsert')
        versions.set(`${id}@${head.sequence}`, [`${textOf(tail)}|${events[next]?.sequence ?? 'open'}`]);
      from = next;
    }
  }
  return versions;
}

async function landed(lake: TestLake, table: ModelTable): Promise<Rows> {
  const text = "concat(value, '|', note)";
  switch (table) {
    case 'history':
      return rowsOf(
        lake,
        `main/test/${table}`,
        `id || '@' || "__START_AT" AS k, concat(${text}, '|', coalesce("__END_AT"::VARCHAR, 'open')) AS v`,
      );
    case 'snap_history':
      return rowsOf(lake, `main/test/${table}`, `id::VARCHAR AS k, ${text} AS v`, 'WHERE "__END_AT" IS NULL');
    default:
      return rowsOf(lake, `main/test/${table}`, `id::VARCHAR AS k, ${text} AS v`);
  }
}

/** Versions of snapshots begin when a snapshot was read: they must be values that the key had, one after the other. */
async function snapshotHistory(
  lake: TestLake,
  log: readonly ModelChange[],
): Promise<{readonly source: Rows; readonly destination: Rows}> {
  const had = new Set(log.map(({id, value}) => `${id} ${value}`));
  const rows = await rowsOf(
    lake,
    'main/test/snap_history',
    `'version' AS k, concat(id, ' ', value) AS v,
      "__END_AT" <= "__START_AT" OR lead("__START_AT") OVER (PARTITION BY id ORDER BY "__START_AT") < coalesce("__END_AT", 'infinity') AS broken`,
  );
  const broken = (rows.get('broken') ?? []).map((version) => `broken: ${version}`);
  const strange = (rows.get('version') ?? []).filter((version) => !had.has(version));
  return {source: new Map([['faults', []]]), destination: new Map([['faults', [...broken, ...strange]]])};
}

async function quarantined(
  lake: TestLake,
  log: readonly ModelChange[],
): Promise<{readonly source: Rows; readonly destination: Rows}> {
  const bad = log.filter(({id}) => id < 0);
  return {
    source: new Map(bad.map(({sequence}) => [String(sequence), ['NULL_KEY']])),
    destination: await rowsOf(
      lake,
      quarantineRoot('main/test/bad'),
      "json_extract_string(record, '$.sequence') AS k, reason AS v",
    ),
  };
}

/** Texts `v` by key `k`; a row that says that it is `broken` comes under that key. */
async function rowsOf(lake: TestLake, root: string, select: string, where = ''): Promise<Rows> {
  const {context} = lake;
  const table = await openTable(context, root);
  if (table === null) return new Map();
  const rows = await context.engine.query(`SELECT ${select} FROM (${await table.readSql()}) ${where}`);
  const found = new Map<string, string[]>();
  for (const row of rows) {
    const key = row['broken'] === true ? 'broken' : String(row['k']);
    found.set(key, [...(found.get(key) ?? []), String(row['v'])]);
  }
  return found;
}

function pick<Item>(items: readonly Item[], random: Random): Item {
  const item = items[Math.floor(random() * items.length)];
  if (item === undefined) throw new Error('Nothing to choose from.');
  return item;
}

function shuffled<Item>(items: readonly Item[], random: Random): readonly Item[] {
  return items
    .map((item) => ({item, at: random()}))
    .sort((left, right) => left.at - right.at)
    .map(({item}) => item);
}
