import type {ForeignReaders} from './foreign-readers.ts';
import type {Lake, TableCase} from './table-case.ts';

/** What a suite works with. */
export interface InteropBench {
  /** A lake of its own. */
  readonly lake: Lake;
  readonly readers: ForeignReaders;
  /** Counts one check and prints its line; `problem` is null when it holds. */
  readonly report: (name: string, problem: string | null) => void;
  /** Has every reader read every state of a table, and compares value by value; refusals that the case announces are asserted. */
  readonly checkReads: (table: TableCase) => Promise<void>;
}

/** Checks of one theme. `npm run interop -- <name>` runs it alone. */
export interface InteropSuite {
  readonly name: string;
  run(bench: InteropBench): Promise<void>;
}
