import type {Random} from '../core/clock.ts';
import {runAndKill, type KillEnd} from './kill.ts';
import type {Command, Comparison, Scenario, Tally} from './scenario.ts';

const EVERY_KILLS_COMPARE = 10;
/** Keys that are shown of each table. */
const SHOWN_DIFFERENCES = 10;
const LONGEST_RUN_MS = 120_000;
/** Runs before a step counts as one that is never reached. */
const TRIES_OF_A_STEP = 4;

/** When to stop, and what comes first. */
export interface KillLimit {
  /** Kills beside those of `steps`. */
  readonly kills: number;
  /** As `performance.now()` tells it. */
  readonly untilMs: number;
  /** Steps at which a run is killed once before anything else; one that is never reached ends all with an error. */
  readonly steps: readonly string[];
  /** What the programs are started with, beside what the scenario says: in most cases that of this process. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Told what happens, line by line. */
  readonly say: (line: string) => void;
}

/**
 * Kills runs at named steps and at random moments until the limit is reached, with changes of the source between them.
 * Compares now and then, and at the end.
 * @throws Error when an undisturbed run fails or hangs, or a step is never reached.
 */
export async function runScenario(scenario: Scenario, random: Random, limit: KillLimit): Promise<Tally> {
  return new ScenarioRun(scenario, random, limit).run();
}

class ScenarioRun {
  readonly #scenario: Scenario;
  readonly #random: Random;
  readonly #limit: KillLimit;
  readonly #tally: Tally = {kills: 0, rows: 0, lost: 0, duplicated: 0, wrong: 0};
  readonly #reached = new Set<string>();
  #typicalMs = 3000;

  constructor(scenario: Scenario, random: Random, limit: KillLimit) {
    this.#scenario = scenario;
    this.#random = random;
    this.#limit = limit;
  }

  async run(): Promise<Tally> {
    await this.#scenario.change(this.#random);
    this.#typicalMs = (await this.#runToEnd()).milliseconds;
    await this.#reachSteps();
    await this.#killAtRandom();
    await this.#compare();
    return this.#tally;
  }

  async #reachSteps(): Promise<void> {
    const steps = shuffled(this.#limit.steps, this.#random);
    // Maintenance needs something to maintain.
    const inOrder = [
      ...steps.filter((step) => !MAINTENANCE.test(step)),
      ...steps.filter((step) => MAINTENANCE.test(step)),
    ];
    for (const step of inOrder) {
      for (let attempt = 0; attempt < TRIES_OF_A_STEP && !this.#reached.has(step); attempt++)
        await this.#killOnce(step, 1);
    }
    const missed = this.#limit.steps.filter((step) => !this.#reached.has(step));
    if (missed.length > 0) throw new Error(`${this.#scenario.name} never came to ${missed.join(', ')}.`);
  }

  async #killAtRandom(): Promise<void> {
    const {untilMs} = this.#limit;
    const kills = this.#tally.kills + this.#limit.kills;
    const mostTries = this.#limit.kills * 4;
    let steps: string[] = [];
    let comparedAt = 0;
    // A program that ends before it is killed counts as a try only.
    for (let tries = 0; this.#tally.kills < kills && tries < mostTries && performance.now() < untilMs; tries++) {
      if (steps.length === 0) steps = shuffled(this.#scenario.failpoints, this.#random);
      await this.#killOnce(this.#random() < 0.6 ? steps.pop() : undefined, 1 + Math.floor(this.#random() * 4));
      if (this.#random() < 0.25) await this.#runToEnd();
      if (this.#tally.kills - comparedAt < EVERY_KILLS_COMPARE) continue;
      comparedAt = this.#tally.kills;
      await this.#compare();
    }
  }

  /** One run, killed at a pass of a step or at a random moment, with or without maintenance beside. */
  async #killOnce(step: string | undefined, pass: number): Promise<void> {
    await this.#scenario.change(this.#random);
    const moment = this.#random() * this.#typicalMs * 1.1;
    const isMaintained = step !== undefined && MAINTENANCE.test(step);
    const work = this.#scenario.maintenance(this.#random, isMaintained ? step : null);
    const death: Death = step === undefined ? {killAfterMs: moment} : {failpoint: `${step}:${pass}`};
    const [run, maintenance] = await Promise.all([
      work?.alone === true ? null : this.#start(this.#scenario.command(this.#random, false), isMaintained ? {} : death),
      work === null ? null : this.#start(work, isMaintained || step === undefined ? death : {}),
    ]);
    const end = isMaintained || run === null ? maintenance : run;
    // A program that starts others ends with an error when one of them is killed.
    const killed = end !== null && (end.killed || end.code !== 0);
    if (killed) this.#tally.kills++;
    if (killed && step !== undefined) this.#reached.add(step);
    const how = killed ? 'killed' : 'ran through';
    this.#limit.say(`  ${this.#scenario.name}: ${step ?? 'random moment'} ${how} (${this.#tally.kills})`);
  }

  async #runToEnd(): Promise<KillEnd> {
    const end = await this.#start(this.#scenario.command(this.#random, true), {});
    if (end.code === 0) return end;
    throw new Error(`An undisturbed run of ${this.#scenario.name} ended with ${end.code}:\n${end.output.slice(-4000)}`);
  }

  async #compare(): Promise<void> {
    for (let run = 0; run < this.#scenario.runsToSettle; run++) await this.#runToEnd();
    this.#tally.rows = 0;
    for (const comparison of await this.#scenario.compare()) {
      const differing = addComparison(comparison, this.#tally);
      this.#limit.say(`  ${comparison.table}: ${comparison.source.size} keys compared, ${differing.length} differ`);
      for (const line of differing.slice(0, SHOWN_DIFFERENCES)) this.#limit.say(`    ${line}`);
    }
  }

  #start(command: Command, death: Death): Promise<KillEnd> {
    const {failpoint, killAfterMs} = death;
    return runAndKill({
      args: command.args,
      env: {
        ...this.#limit.environment,
        ...command.env,
        ...(failpoint === undefined ? {} : {SLUICE_FAILPOINT: failpoint}),
      },
      ...(killAfterMs === undefined ? {} : {killAfterMs}),
      timeoutMs: LONGEST_RUN_MS,
    });
  }
}

interface Death {
  readonly failpoint?: string;
  readonly killAfterMs?: number;
}

/** Steps of what runs beside a pipeline. */
const MAINTENANCE = /^(?:optimize|vacuum|log-cleanup|restore)\./;

/** Counts, and says what differs, a line per key. */
function addComparison({source, destination}: Comparison, tally: Tally): readonly string[] {
  const differing: string[] = [];
  for (const key of new Set([...source.keys(), ...destination.keys()])) {
    const wanted = [...(source.get(key) ?? [])].sort();
    const found = [...(destination.get(key) ?? [])].sort();
    tally.rows += wanted.length;
    tally.lost += Math.max(0, wanted.length - found.length);
    tally.duplicated += Math.max(0, found.length - wanted.length);
    if (wanted.join('\n') === found.join('\n')) continue;
    if (wanted.length === found.length) tally.wrong++;
    differing.push(`${key}: wanted ${JSON.stringify(wanted)}, found ${JSON.stringify(found)}`);
  }
  return differing;
}

function shuffled(items: readonly string[], random: Random): string[] {
  return items
    .map((item) => ({item, at: random()}))
    .sort((left, right) => left.at - right.at)
    .map(({item}) => item);
}
