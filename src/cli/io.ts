import type {Environment} from '../runtime/config/environment.ts';

/** Where a stream of text goes and what it is. */
export interface TextOutput {
  write(text: string): void;
  readonly isTerminal: boolean;
  /** Size now; a terminal may change it. */
  size(): {readonly columns: number; readonly rows: number};
}

/** Everything that the command line touches outside itself, so that tests can stand in. */
export interface CliIo {
  readonly stdout: TextOutput;
  readonly stderr: TextOutput;
  readonly env: Environment;
  readonly cwd: string;
  /** Calls back at every Ctrl-C or request to end, with the exit status that stands for it; the result takes the callback away. */
  onInterrupt(listener: (exitStatus: number) => void): () => void;
  /** Ends the process at once. */
  exit(status: number): void;
}

/** What the process exits with. */
export const EXIT = {
  /** All that was asked for is done and right. */
  ok: 0,
  /** Some flow failed, or some table differs from its source. */
  failed: 1,
  /** The command line or the configuration is wrong; nothing was written. */
  badInput: 2,
  /** Another run is under way, or won. */
  conflict: 3,
  /** Every flow ended well, and the comparison with its source shows that a table is wrong. */
  different: 4,
  /** Stopped by Ctrl-C. */
  interrupted: 130,
} as const;
