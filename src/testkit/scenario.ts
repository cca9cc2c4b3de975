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

/** Work on the tables that is no run. */
export interface Maintenance extends Command {
  /** No run is started beside it. */
  readonly alone: boolean;
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
  /** Steps at which a run can be killed, see {@link FAILPOINTS}. */
  readonly failpoints: readonly string[];
  /** Undisturbed runs, without a change between, after which the destination has what the source has. */
  readonly runsToSettle: number;
  /** The program under test. Calm: nothing goes wrong with it but the kill. */
  command(random: Random, calm: boolean): Command;
  /**
   * What maintains the tables: beside a run, or alone where the run would keep it from working; null: nothing this time.
   * @param step where it is to be killed; null when it is the run that is.
   */
  maintenance(random: Random, step: string | null): Maintenance | null;
  /** Changes the sources a little. */
  change(random: Random): Promise<void>;
  /** Reads both sides, after the runs that settle it. */
  compare(): Promise<readonly Comparison[]>;
}
