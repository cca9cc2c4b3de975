import {spawn} from 'node:child_process';

import type {Random} from '../../src/core/clock.ts';
import type {Comparison, Scenario, Tally} from './scenario.ts';

const EVERY_KILLS_COMPARE = 25;
const LONGEST_RUN_MS = 120_000;

/** When to stop, and whether every step comes first, once. */
export interface KillLimit {
  readonly kills: number;
  readonly untilMs: number;
  readonly everyStep?: boolean;
}

/** Kills runs until the limit is reached; compares now and then, and at the end. */
export async function runScenario(scenario: Scenario, random: Random, limit: KillLimit): Promise<Tally> {
  const tally: Tally = {kills: 0, rows: 0, lost: 0, duplicated: 0, wrong: 0};
  let typicalMs = 3000;
  let steps = shuffled(scenario.failpoints, random);
  let sinceCompare = 0;
  await scenario.change(random);
  typicalMs = (await runToEnd(scenario)).ms;
  for (
    let tries = 0;
    tally.kills < limit.kills && tries < limit.kills * 4 && performance.now() < limit.untilMs;
    tries++
  ) {
    await scenario.change(random);
    if (steps.length === 0) steps = shuffled(scenario.failpoints, random);
    const step =
      (limit.everyStep === true && tally.kills < scenario.failpoints.length) || random() < 0.6
        ? steps.pop()
        : undefined;
    const killed =
      step === undefined
        ? await killAfter(scenario, random() * typicalMs * 1.1)
        : await killAt(scenario, `${step}:${1 + Math.floor(random() * (limit.everyStep === true ? 2 : 4))}`);
    if (killed) {
      tally.kills++;
      sinceCompare++;
    }
    console.log(`  ${scenario.name}: ${step ?? 'random moment'} ${killed ? 'killed' : 'ran through'} (${tally.kills})`);
    if (random() < 0.25) await runToEnd(scenario);
    if (sinceCompare >= EVERY_KILLS_COMPARE) {
      sinceCompare = 0;
      await compareInto(scenario, tally);
    }
  }
  await compareInto(scenario, tally);
  return tally;
}

async function compareInto(scenario: Scenario, tally: Tally): Promise<void> {
  await runToEnd(scenario);
  tally.rows = 0;
  for (const comparison of await scenario.compare()) addComparison(comparison, tally);
}

function addComparison({table, source, destination}: Comparison, tally: Tally): void {
  const before = tally.lost + tally.duplicated + tally.wrong;
  for (const [key, wanted] of source) {
    const found = destination.get(key) ?? [];
    tally.rows += wanted.length;
    tally.lost += Math.max(0, wanted.length - found.length);
    tally.duplicated += Math.max(0, found.length - wanted.length);
    if (found.length === wanted.length && [...found].sort().join('\n') !== [...wanted].sort().join('\n')) tally.wrong++;
  }
  for (const [key, found] of destination) if (!source.has(key)) tally.duplicated += found.length;
  const bad = tally.lost + tally.duplicated + tally.wrong - before;
  console.log(`  ${table}: ${source.size} keys compared, ${bad} differ`);
}

interface RunEnd {
  readonly ms: number;
  readonly killed: boolean;
}

async function runToEnd(scenario: Scenario): Promise<RunEnd> {
  const end = await start(scenario, {}, null);
  if (end.code !== 0)
    throw new Error(`An undisturbed run of ${scenario.name} ended with ${end.code}:\n${end.output.slice(-4000)}`);
  return {ms: end.ms, killed: false};
}

async function killAt(scenario: Scenario, failpoint: string): Promise<boolean> {
  const end = await start(scenario, {SLUICE_FAILPOINT: failpoint}, null);
  return end.code !== 0;
}

async function killAfter(scenario: Scenario, ms: number): Promise<boolean> {
  return (await start(scenario, {}, ms)).killed;
}

interface ChildEnd {
  readonly code: number | null;
  readonly killed: boolean;
  readonly ms: number;
  readonly output: string;
}

/** Starts the program in a process group of its own, so that SIGKILL takes all of it at once. */
function start(
  scenario: Scenario,
  env: Readonly<Record<string, string>>,
  killAfterMs: number | null,
): Promise<ChildEnd> {
  const startedAt = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...scenario.command.args], {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {...process.env, ...scenario.command.env, ...env},
    });
    let output = '';
    let killed = false;
    const keep = (chunk: Buffer): void => {
      output = (output + chunk.toString()).slice(-20_000);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    const timer = setTimeout(() => {
      killed = true;
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    }, killAfterMs ?? LONGEST_RUN_MS);
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(timer);
      if (killed && killAfterMs === null) reject(new Error(`A run of ${scenario.name} hung:\n${output.slice(-4000)}`));
      else resolve({code, killed, ms: performance.now() - startedAt, output});
    });
  });
}

function shuffled(items: readonly string[], random: Random): string[] {
  return items
    .map((item) => ({item, at: random()}))
    .sort((left, right) => left.at - right.at)
    .map(({item}) => item);
}
