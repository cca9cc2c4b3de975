// `npm run chaos`: kills runs at named steps and at random moments while the sources change, then compares row by row.
import {parseArgs} from 'node:util';

import {seededRandom} from '../../src/core/clock.ts';
import {runScenario, type KillLimit} from '../../src/testkit/run-scenario.ts';
import type {Scenario, Tally} from '../../src/testkit/scenario.ts';
import {preparedServer} from '../../test/mysql-server.ts';
import type {ChaosDatabase} from './cdc-database.ts';

const scenarios: Readonly<Record<string, () => Promise<Scenario>>> = {
  model: async () => (await import('./model.ts')).openModelScenario({faults: false}),
  faults: async () => (await import('./model.ts')).openModelScenario({faults: true}),
  run: async () => (await import('./run.ts')).openRunScenario(),
  cdc: () => cdc('cdc', async () => (await import('./cdc-postgres.ts')).openChaosPostgres()),
  'cdc-mariadb': () => cdc('cdc-mariadb', async () => (await import('./cdc-mysql.ts')).openChaosMysql('mariadb')),
  'cdc-mysql': () => cdc('cdc-mysql', async () => (await import('./cdc-mysql.ts')).openChaosMysql('mysql')),
  'cdc-sqlserver': () => cdc('cdc-sqlserver', async () => (await import('./cdc-sqlserver.ts')).openChaosSqlServer()),
};

async function cdc(name: string, open: () => Promise<ChaosDatabase>): Promise<Scenario> {
  return (await import('./cdc.ts')).openCdcScenario(name, open);
}

/** A sample for CI: every step once, in the first scenario that has it, and some random moments of each scenario. */
const SAMPLE_KILLS = 4;
const SAMPLE_SEED = 20_261;

async function main(): Promise<void> {
  const {values} = parseArgs({
    options: {
      minutes: {type: 'string'},
      kills: {type: 'string'},
      sample: {type: 'boolean'},
      steps: {type: 'boolean'},
      seed: {type: 'string'},
      scenario: {type: 'string'},
    },
  });
  const seed = Number(values.seed ?? (values.sample === true ? SAMPLE_SEED : Date.now() % 1_000_000));
  const names = values.scenario === undefined ? await scenariosHere(values.sample === true) : [values.scenario];
  const minutes = values.minutes === undefined ? null : Number(values.minutes);
  const isUnlimited = values.sample !== true && values.kills === undefined && minutes === null;
  console.log(`chaos: seed ${seed} (repeat with --seed ${seed})`);
  const total: Tally = {kills: 0, rows: 0, lost: 0, duplicated: 0, wrong: 0};
  const seen = new Set<string>();
  for (const name of names) {
    add(
      total,
      await runNamed(name, seed, {
        steps:
          values.steps === true ? await stepsOf(name) : values.sample === true ? await unseenSteps(name, seen) : [],
        kills: values.sample === true ? SAMPLE_KILLS : Number(values.kills ?? (isUnlimited ? 50 : Infinity)),
        // Each scenario has its share of the time.
        untilMs: minutes === null ? Infinity : performance.now() + (minutes * 60_000) / names.length,
        environment: process.env,
        say: (line) => console.log(line),
      }),
    );
  }
  const wrong = total.wrong === 0 ? '' : `, ${total.wrong} wrong`;
  console.log(`${total.kills} kills, ${total.rows} rows, ${total.lost} lost, ${total.duplicated} duplicated${wrong}`);
  if (total.lost + total.duplicated + total.wrong > 0 || total.rows === 0) process.exitCode = 1;
}

/** All scenarios but those whose server was not prepared (`npm run test:servers`); a sample follows one binary log. */
async function scenariosHere(isSample: boolean): Promise<readonly string[]> {
  const names: string[] = [];
  for (const name of Object.keys(scenarios)) {
    const [, kind] = /^cdc-(mariadb|mysql|sqlserver)$/.exec(name) ?? [];
    if ((kind === 'mysql' || kind === 'sqlserver') && isSample) continue;
    if ((kind === 'mariadb' || kind === 'mysql') && (await preparedServer(kind)) === null)
      console.log(`chaos: ${name} is left out: its server is not prepared`);
    else names.push(name);
  }
  return names;
}

/** Steps of a scenario that no scenario before it had; with faults a step need not be reached. */
async function unseenSteps(name: string, seen: Set<string>): Promise<readonly string[]> {
  if (name === 'faults') return [];
  const all = await stepsOf(name);
  const steps = all.filter((step) => !seen.has(step));
  for (const step of steps) seen.add(step);
  return steps;
}

async function stepsOf(name: string): Promise<readonly string[]> {
  if (name === 'run') return (await import('./run.ts')).RUN_FAILPOINTS;
  if (name.startsWith('cdc')) return (await import('./cdc.ts')).CDC_FAILPOINTS;
  return (await import('./model.ts')).MODEL_FAILPOINTS;
}

async function runNamed(name: string, seed: number, limit: KillLimit): Promise<Tally> {
  const open = scenarios[name];
  if (open === undefined)
    throw new Error(`There is no scenario "${name}"; there are: ${Object.keys(scenarios).join(', ')}.`);
  await using scenario = await open();
  return await runScenario(scenario, seededRandom(seed), limit);
}

function add(total: Tally, more: Tally): void {
  total.kills += more.kills;
  total.rows += more.rows;
  total.lost += more.lost;
  total.duplicated += more.duplicated;
  total.wrong += more.wrong;
}

await main();
