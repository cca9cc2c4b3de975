import type {Random} from '../core/clock.ts';

/** What the kills did to the rows. */
export interface Tally {
  kills: number;
  rows: number;
  lost: number;
  duplicated: number;
  /** Rows that are there once, with other values than in the source. */
  wrong: number;
}

/** A program of Node.js to start. */
export interface Command {
  /** Arguments of `node`: flags, script, arguments of the script. */
  readonly args: readonly string[];
  /** Added to the environment of this process. */
  readonly env: Readonly<Record<string, string>>;
}

/** A program of a turn, and how it is to die. */
export interface Program extends Command {
  /** For people, and to remember how long it takes: programs of one name take about as long. */
  readonly name: string;
  /** At the step of the turn, at a random moment, or not. One that is not to die must end with exit status 0. */
  readonly death: 'step' | 'moment' | null;
  /** It never ends by itself: at the latest after so many milliseconds it is killed. */
  readonly lifeMs?: number;
}

/** Rows of one table by key: what must be there and what is, each as texts; a key that occurs twice has two texts. */
export interface Comparison {
  readonly table: string;
  readonly source: ReadonlyMap<string, readonly string[]>;
  readonly destination: ReadonlyMap<string, readonly string[]>;
}

/**
 * A set-up of sources and pipelines to be killed, again and again, while the sources change. Disposing stops servers and
 * removes files.
 */
export interface Scenario extends AsyncDisposable {
  readonly name: string;
  /** Steps at which a program can be killed, see {@link FAILPOINTS}. */
  readonly failpoints: readonly string[];
  /** Undisturbed runs, without a change between, after which the destination has what the source has. */
  readonly runsToSettle: number;
  /** An undisturbed run: nothing goes wrong with it. */
  undisturbed(random: Random): Command;
  /**
   * What runs side by side in one turn: at least one program is to die.
   * @param step where; null: at a random moment.
   */
  turn(random: Random, step: string | null): readonly Program[];
  /** Changes the sources a little, so that a program comes by the step of the turn that follows. */
  change(random: Random, step: string | null): Promise<void>;
  /** Reads both sides, after the runs that settle it. */
  compare(random: Random): Promise<readonly Comparison[]>;
}
