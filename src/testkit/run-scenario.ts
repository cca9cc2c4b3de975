import type {Random} from '../core/clock.ts';
import {runAndKill, type KillEnd} from './kill.ts';
import type {Command, Comparison, Program, Scenario, Tally} from './scenario.ts';

const EVERY_KILLS_COMPARE = 50;
/** Keys that are shown of each table. */
const SHOWN_DIFFERENCES = 10;
const LONGEST_RUN_MS = 120_000;
/** Turns before a step counts as one that is never reached. */
const TRIES_OF_A_STEP = 5;
/** A step is passed many times: the pass that kills is one of the first so many. */
const MOST_PASSES = 4;
/** Before this share of its time a program has loaded its code and no more. */
const STARTED = 0.1;

/** When to stop, and what comes first. */
export interface KillLimit {
  /** Kills beside those of `steps`. */
  readonly kills: number;
  /** As `performance.now()` tells it. */
  readonly untilMs: number;
  /** Steps at which a program is killed once before anything else; one that is never reached ends all with an error. */
  readonly steps: readonly string[];
  /** What the programs are started with, beside what the scenario says: in most cases that of this process. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Told what happens, line by line. */
  readonly say: (line: string) => void;
}

/**
 * Kills programs at named steps and at random moments until the limit is reached, with changes of the source between them.
 * Compares now and then, and at the end.
 * @throws Error when a program that was not killed fails or hangs, or a step is never reached.
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
  /** How long programs take that are not killed, by name. */
  readonly #typicalMs = new Map<string, number>();
  /** The pass of a step that programs are known to come to. */
  readonly #passes = new Map<string, number>();
  readonly #beganAtMs = performance.now();
  #comparedAt = -1;

  constructor(scenario: Scenario, random: Random, limit: KillLimit) {
    this.#scenario = scenario;
    this.#random = random;
    this.#limit = limit;
  }

  async run(): Promise<Tally> {
    await this.#scenario.change(this.#random, null);
    await this.#runToEnd();
    await this.#reachSteps();
    await this.#killAtRandom();
    if (this.#comparedAt !== this.#tally.kills) await this.#compare();
    return this.#tally;
  }

  async #reachSteps(): Promise<void> {
    for (const step of shuffled(this.#limit.steps, this.#random)) {
      for (let attempt = 0; attempt < TRIES_OF_A_STEP && !this.#reached.has(step); attempt++) {
        // A restore that found nothing to take back finds something behind a run.
        if (attempt > 0) await this.#runToEnd();
        await this.#turn(step, 1);
      }
    }
    const missed = this.#limit.steps.filter((step) => !this.#reached.has(step));
    if (missed.length > 0) throw new Error(`${this.#scenario.name} never came to ${missed.join(', ')}.`);
  }

  async #killAtRandom(): Promise<void> {
    const {untilMs} = this.#limit;
    const kills = this.#tally.kills + this.#limit.kills;
    const mostTries = this.#limit.kills * 4;
    let steps: string[] = [];
    this.#comparedAt = this.#tally.kills;
    // A program that ends before it is killed counts as a try only.
    for (let tries = 0; this.#tally.kills < kills && tries < mostTries && performance.now() < untilMs; tries++) {
      if (steps.length === 0) steps = shuffled(this.#scenario.failpoints, this.#random);
      const step = this.#random() < 0.6 ? (steps.pop() ?? null) : null;
      await this.#turn(step, 1 + Math.floor(this.#random() * (this.#passes.get(step ?? '') ?? MOST_PASSES)));
      if (this.#random() < 0.05) await this.#runToEnd();
      if (this.#tally.kills - this.#comparedAt >= EVERY_KILLS_COMPARE) await this.#compare();
    }
  }

  /** Programs side by side, of which some are killed at a pass of a step or at random moments. */
  async #turn(step: string | null, pass: number): Promise<void> {
    await this.#scenario.change(this.#random, step);
    const programs = this.#scenario.turn(this.#random, step);
    const ends = await Promise.all(programs.map((program) => this.#startProgram(program, `${step}:${pass}`)));
    const told = ends.map(({program, end, isKilled, isAtStep}) => {
      if (isKilled) this.#tally.kills++;
      if (step !== null && program.death === 'step') this.#rememberPass(step, pass, isAtStep);
      const isUnharmed = !isKilled && program.lifeMs === undefined;
      if (isUnharmed && end.code === 0) this.#rememberTime(program.name, end.milliseconds);
      const where = isAtStep ? `at ${step}:${pass}` : `after ${(end.milliseconds / 1000).toFixed(1)} s`;
      return `${program.name} ${isKilled ? 'killed' : 'ended'} ${where}`;
    });
    const minutes = ((performance.now() - this.#beganAtMs) / 60_000).toFixed(1);
    this.#limit.say(`  ${this.#scenario.name}: ${told.join(', ')} (${this.#tally.kills} kills, ${minutes} min)`);
  }

  async #startProgram(program: Program, failpoint: string): Promise<ProgramEnd> {
    const {name, death, lifeMs} = program;
    const typicalMs = lifeMs ?? this.#typicalMs.get(name) ?? 3000;
    const momentMs = typicalMs * (STARTED + (1 - STARTED) * this.#random());
    const killAfterMs = death === 'moment' ? Math.min(momentMs, lifeMs ?? Infinity) : lifeMs;
    const end = await this.#start(program, {
      ...(death === 'step' ? {failpoint} : {}),
      ...(killAfterMs === undefined ? {} : {killAfterMs}),
    });
    // A program that starts others ends with an error when one of them is killed.
    const isKilled = end.killed || (death !== null && end.code !== 0 && end.output.includes('SIGKILL'));
    if (!isKilled && end.code !== 0) throw failed(`${name} of ${this.#scenario.name}`, end);
    return {program, end, isKilled, isAtStep: isKilled && death === 'step' && !end.isLate};
  }

  #rememberPass(step: string, pass: number, isReached: boolean): void {
    if (isReached) this.#reached.add(step);
    const known = this.#passes.get(step) ?? MOST_PASSES;
    this.#passes.set(step, isReached ? Math.min(MOST_PASSES, known + 1) : Math.max(1, Math.min(known, pass - 1)));
  }

  #rememberTime(name: string, milliseconds: number): void {
    const known = this.#typicalMs.get(name);
    this.#typicalMs.set(name, known === undefined ? milliseconds : (known * 2 + milliseconds) / 3);
  }

  async #runToEnd(): Promise<void> {
    const end = await this.#start(this.#scenario.undisturbed(this.#random), {});
    if (end.code !== 0) throw failed(`An undisturbed run of ${this.#scenario.name}`, end);
    this.#rememberTime('run', end.milliseconds);
  }

  async #compare(): Promise<void> {
    this.#comparedAt = this.#tally.kills;
    for (let run = 0; run < this.#scenario.runsToSettle; run++) await this.#runToEnd();
    this.#tally.rows = 0;
    for (const comparison of await this.#scenario.compare(this.#random)) {
      const differing = addComparison(comparison, this.#tally);
      this.#limit.say(`  ${comparison.table}: ${comparison.source.size} keys compared, ${differing.length} differ`);
      for (const line of differing.slice(0, SHOWN_DIFFERENCES)) this.#limit.say(`    ${line}`);
    }
  }

  async #start(command: Command, death: Death): Promise<KillEnd & {readonly isLate: boolean}> {
    const {failpoint, killAfterMs} = death;
    const end = await runAndKill({
      args: command.args,
      env: {
        ...this.#limit.environment,
        ...command.env,
        ...(failpoint === undefined ? {} : {SLUICE_FAILPOINT: failpoint}),
      },
      ...(killAfterMs === undefined ? {} : {killAfterMs}),
      timeoutMs: LONGEST_RUN_MS,
    });
    return {...end, isLate: killAfterMs !== undefined && end.milliseconds >= killAfterMs};
  }
}

interface Death {
  readonly failpoint?: string;
  readonly killAfterMs?: number;
}

interface ProgramEnd {
  readonly program: Program;
  readonly end: KillEnd;
  readonly isKilled: boolean;
  readonly isAtStep: boolean;
}

function failed(what: string, {code, output}: KillEnd): Error {
  return new Error(`${what} ended with ${code}:\n${output.slice(-4000)}`);
}

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
