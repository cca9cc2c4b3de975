import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';

import {seededRandom, type Random} from '../../src/core/clock.ts';
import {FAILPOINTS, type FailpointName} from '../../src/core/failpoint.ts';
import {openTable} from '../../src/delta/table.ts';
import {GATEWAY_FAILPOINTS} from '../../src/testkit/gateway-steps.ts';
import {openTestLake, type TestLake} from '../../src/testkit/run-connector.ts';
import type {Command, Comparison, Program, Scenario} from '../../src/testkit/scenario.ts';
import {randomChanges, ROW_TABLES, type ChaosDatabase} from './cdc-database.ts';
import {FORMS, bundleOf, type Form} from './cdc-pipelines.ts';
import {settle} from './cdc-settle.ts';
import {compareChanges, compareHistory} from './cdc-versions.ts';
import {groupedRows} from './grouped-rows.ts';

const bin = fileURLToPath(new URL('../../bin/sluice', import.meta.url));

/** Steps that these scenarios do not come by; `model` and `run` kill at them. */
const OF_OTHERS: ReadonlySet<FailpointName> = new Set([
  'vacuum.file-removed',
  'log-cleanup.entry-removed',
  'restore.planned',
  'restore.batch-file-written',
  'restore.committed',
  'quarantine.committed',
]);

/** Every step of a gateway, of a pipeline that reads what is staged, and of the clean-up of staging. */
export const CDC_FAILPOINTS: readonly FailpointName[] = FAILPOINTS.filter((step) => !OF_OTHERS.has(step));

const OF_GATEWAY: ReadonlySet<FailpointName> = new Set(GATEWAY_FAILPOINTS);
/** They need a table that the gateway does not know yet. */
const OF_SNAPSHOT: ReadonlySet<FailpointName> = new Set([
  'gateway.snapshot-finished',
  'staging.plan-written',
  'staging.chunk-written',
  'staging.chunk-described',
  'staging.snapshot-described',
]);
/** They need a table that is loaded as a whole. */
const OF_LOAD: ReadonlySet<FailpointName> = new Set(['extract.partition-written', 'verify.remembered']);

/** How long a gateway of its own lives in a turn. */
const GATEWAY_LIFE_MS = 4000;
/** A checkpoint of staging comes after 32 entries only: some are made every second. */
const CHECKPOINT_LIFE_MS = 30_000;
const WRITERS = 2;
const LONGEST_PAUSE_MS = 300;
/** A table is another one every so many turns, so that there is a snapshot to read. */
const EVERY_TURNS_RECREATE = 5;

/**
 * The log of a database through gateway, staging and pipeline while writers change and empty tables, in both forms of {@link FORMS}:
 * gateways, pipelines and the clean-up of staging are killed, alone and together.
 */
export async function openCdcScenario(name: string, open: () => Promise<ChaosDatabase>): Promise<Scenario> {
  const folder = await mkdtemp(join(tmpdir(), `sluice-chaos-${name}-`));
  const database = await open();
  await writeFile(join(folder, 'sluice.json'), JSON.stringify(bundleOf(database), null, 1));
  await database.create();
  return new CdcScenario({name, folder, database});
}

interface Place {
  readonly name: string;
  readonly folder: string;
  readonly database: ChaosDatabase;
}

class CdcScenario implements Scenario {
  readonly name: string;
  /** Comparing settles it. */
  readonly runsToSettle = 0;
  readonly failpoints = CDC_FAILPOINTS;
  readonly #file: string;
  readonly #lake: string;
  readonly #place: Place;
  #writing: Writing | null = null;
  #turns = 0;

  constructor(place: Place) {
    this.name = place.name;
    this.#place = place;
    this.#file = join(place.folder, 'sluice.json');
    this.#lake = join(place.folder, 'lake');
  }

  undisturbed(): Command {
    return this.#command('run', 'alone');
  }

  turn(random: Random, step: FailpointName | null): readonly Program[] {
    if (step === 'staging.file-retired' || (step === null && random() < 0.06)) return this.#purgeTurn(random, step);
    const form = isOnlyAlone(step) || random() < 0.3 ? 'alone' : 'apart';
    const isOfGateway = step !== null && OF_GATEWAY.has(step);
    const isOptimized = step === 'optimize.bin-written' || random() < 0.1;
    const often = (): Program['death'] => (random() < 0.85 ? 'moment' : null);
    const programs: Program[] = [];
    if (form === 'apart') {
      const gateway = this.#command('gateway run', 'gateway');
      const lifeMs = step === 'staging.checkpoint-written' ? CHECKPOINT_LIFE_MS : GATEWAY_LIFE_MS;
      programs.push({name: 'gateway', ...gateway, death: isOfGateway ? 'step' : 'moment', lifeMs});
    }
    const isRunKilled = step !== 'optimize.bin-written' && !(isOfGateway && form === 'apart');
    const runDeath = step === null ? 'moment' : isRunKilled ? 'step' : often();
    programs.push({name: `run ${form}`, ...this.#run(random, step, form), death: runDeath});
    if (isOptimized) {
      const death = step === 'optimize.bin-written' ? 'step' : often();
      programs.push({name: 'optimize', ...this.#command('optimize', form), death});
    }
    return programs;
  }

  async change(random: Random, step: FailpointName | null): Promise<void> {
    this.#turns++;
    // Before the first kill both forms have their tables. What a table whose snapshot is missing will need is not deleted.
    if (this.#turns === 2 || step === 'staging.file-retired') await this.#settle();
    if (step === 'gateway.advanced') {
      // A log that moves without a change of what is followed.
      await this.#pause();
      await this.#place.database.touch('beside');
      return;
    }
    this.#writing ??= write(this.#place.database, random);
    const isNew = step === null ? this.#turns % EVERY_TURNS_RECREATE === 0 : OF_SNAPSHOT.has(step);
    if (isNew) await this.#place.database.recreate();
  }

  async compare(): Promise<readonly Comparison[]> {
    const {database} = this.#place;
    await this.#settle();
    await using lake = await openTestLake(this.#lake);
    const versions = await database.versions();
    const found: Comparison[] = [];
    for (const form of FORMS) {
      for (const table of ROW_TABLES) {
        const rows = await landed(lake, form, {table, columns: LANDED});
        const source = groupedRows(await database.rows(table));
        found.push({table: `${form} ${table}`, source, destination: groupedRows(rows)});
      }
      const changes = await landed(lake, form, {table: 'changes', columns: 'id, version, _change_type'});
      found.push({table: `${form} changes`, ...compareChanges(versions, changes)});
      const history = await landed(lake, form, {
        table: 'history',
        columns:
          'id, version, __END_AT IS NULL AS is_open, __END_AT = lead(__START_AT) OVER (PARTITION BY id ORDER BY __START_AT) AS is_led_on',
      });
      found.push({table: `${form} history`, ...compareHistory(versions, history)});
    }
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pause().catch(() => undefined);
    await this.#place.database[Symbol.asyncDispose]();
    await rm(this.#place.folder, {recursive: true, force: true});
  }

  /** All that is committed lands, in both forms; nobody writes from here on. */
  async #settle(): Promise<void> {
    const {database} = this.#place;
    await this.#pause();
    const commandOf = (task: string, key: string): Command => this.#command(task, key);
    await settle({file: this.#file, lake: this.#lake, commandOf, touch: () => database.touch('marks')});
  }

  /** What is applied goes from staging, while a run reads there. */
  #purgeTurn(random: Random, step: FailpointName | null): readonly Program[] {
    const purge = this.#command('staging purge', 'gateway');
    const run = this.#command('run', 'apart');
    return [
      {name: 'purge', ...purge, death: step === null ? 'moment' : 'step'},
      {name: 'run apart', ...run, death: random() < 0.85 ? 'moment' : null},
    ];
  }

  /** Now and then a table is loaded as a whole. */
  #run(random: Random, step: FailpointName | null, form: Form): Command {
    const isLoad = (step !== null && OF_LOAD.has(step)) || random() < 0.05;
    if (!isLoad) return this.#command('run', form);
    const table = step === 'verify.remembered' ? 'composite' : ROW_TABLES[Math.floor(random() * ROW_TABLES.length)];
    return this.#command('run', form, ['--full-refresh-tables', table ?? 'composite']);
  }

  #command(task: string, key: string, flags: readonly string[] = []): Command {
    const words = task.split(' ');
    const named = words.length > 1 ? [key, '--file', this.#file] : [this.#file, key];
    return {args: [bin, ...words, ...named, '--lake', this.#lake, '--json', ...flags], env: {}};
  }

  async #pause(): Promise<void> {
    const writing = this.#writing;
    this.#writing = null;
    writing?.stop.abort();
    await writing?.done;
  }
}

/** Writers under way. */
interface Writing {
  readonly stop: AbortController;
  readonly done: Promise<unknown>;
}

function write(database: ChaosDatabase, random: Random): Writing {
  const stop = new AbortController();
  const seeds = Array.from({length: WRITERS}, () => Math.floor(random() * 2 ** 31));
  const writer = async (own: Random): Promise<void> => {
    await using session = await database.connect();
    while (!stop.signal.aborted) {
      await session.write(randomChanges(own), own() < 0.1 ? 'rollback' : 'commit');
      await sleep(own() * LONGEST_PAUSE_MS);
    }
  };
  return {stop, done: Promise.all(seeds.map((seed) => writer(seededRandom(seed))))};
}

/**
 * A gateway of its own writes down a quiet log's progress every ten seconds only; one that is killed beside a run leaves it nothing to
 * compare with.
 */
function isOnlyAlone(step: FailpointName | null): boolean {
  return step === 'gateway.advanced' || step === 'verify.remembered';
}

const LANDED = `concat(id, '/', part) AS k, concat(value, '|', sha256(large), '|', amount) AS v`;

async function landed(
  {context}: TestLake,
  form: Form,
  {table, columns}: {readonly table: string; readonly columns: string},
): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const opened = await openTable(context, `main/${form}/${table}`);
  if (opened === null) throw new Error(`There is no table ${table} of ${form}.`);
  return context.engine.query(`SELECT ${columns} FROM (${await opened.readSql()})`);
}
