import type {Random} from '../../src/core/clock.ts';

/** What the kills did to the rows. */
export interface Tally {
  kills: number;
  rows: number;
  lost: number;
  duplicated: number;
  /** Rows that are there once, with other values than in the source. */
  wrong: number;
}

/** How to start the program under test. */
export interface Command {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** Rows of one table by key: source and destination, each as texts; a key that occurs twice has two texts. */
export interface Comparison {
  readonly table: string;
  readonly source: ReadonlyMap<string, readonly string[]>;
  readonly destination: ReadonlyMap<string, readonly string[]>;
}

/** A set-up of sources and pipelines to be killed. Disposing stops servers and removes files. */
export interface Scenario extends AsyncDisposable {
  readonly name: string;
  readonly command: Command;
  /** Steps at which a run can be killed. */
  readonly failpoints: readonly string[];
  /** Changes the sources a little. */
  change(random: Random): Promise<void>;
  /** Reads both sides, after an undisturbed run. */
  compare(): Promise<readonly Comparison[]>;
}
