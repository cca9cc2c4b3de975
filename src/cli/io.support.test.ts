import type {FlowProgress, RuntimeApi} from '../runtime/api.ts';
import type {CliServices} from './command-context.ts';
import type {CliIo, TextOutput} from './io.ts';
import {runCli} from './program.ts';

/** An output that remembers. */
export interface RecordedOutput extends TextOutput {
  readonly text: () => string;
}

/** Where a test's command runs. */
export interface TestPlace {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly terminal?: {readonly columns: number; readonly rows: number};
  readonly runtime?: Partial<RuntimeApi>;
  readonly checkPipeline?: CliServices['checkPipeline'];
}

/** A command of a test, ended. */
export interface TestEnd {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Statuses that the process was told to end with at once. */
  readonly exits: readonly number[];
}

/** Ctrl-C for a command that runs. */
export type Interrupt = () => void;

/** An output that is a terminal when it has a size. */
export function recordedOutput(terminal?: {readonly columns: number; readonly rows: number}): RecordedOutput {
  let text = '';
  return {
    write: (more) => {
      text += more;
    },
    isTerminal: terminal !== undefined,
    size: () => terminal ?? {columns: 80, rows: 24},
    text: () => text,
  };
}

/** Runs a command line in this process, over a runtime made of the given functions. `interrupt` is what Ctrl-C does. */
export async function run(
  args: readonly string[],
  place: TestPlace = {},
  started: (interrupt: Interrupt) => void = () => undefined,
): Promise<TestEnd> {
  const stdout = recordedOutput(place.terminal);
  const stderr = recordedOutput(place.terminal);
  const exits: number[] = [];
  const listeners = new Set<(status: number) => void>();
  const io: CliIo = {
    stdout,
    stderr,
    env: place.env ?? {},
    cwd: place.cwd ?? '/nowhere',
    onInterrupt: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    exit: (status) => void exits.push(status),
  };
  const services: CliServices = {
    runtime: () => Promise.resolve({...NO_RUNTIME, ...place.runtime}),
    checkPipeline: place.checkPipeline ?? ((): Promise<void> => Promise.resolve()),
  };
  started(() => listeners.forEach((listener) => listener(130)));
  const status = await runCli(args, io, services);
  return {status, stdout: stdout.text(), stderr: stderr.text(), exits};
}

/** A flow's progress with defaults. */
export function progress(flow: string, more: Partial<FlowProgress> = {}): FlowProgress {
  return {
    flow,
    sourceTable: flow.replace(/^.*\./, ''),
    state: 'COMPLETED',
    rowsRead: 0,
    rowsInserted: 0,
    rowsUpdated: 0,
    rowsDeleted: 0,
    rescuedValues: 0,
    quarantinedRows: 0,
    bytesWritten: 0,
    batches: 0,
    version: null,
    totalRows: null,
    elapsedMs: 10,
    attempt: 1,
    ...more,
  };
}

function unexpected(): never {
  throw new Error('The command called a function of the runtime that the test does not expect.');
}

const NO_RUNTIME: RuntimeApi = {
  runPipeline: unexpected,
  planPipeline: unexpected,
  listSourceTables: unexpected,
  previewTable: unexpected,
  status: unexpected,
  showState: unexpected,
  resetState: unexpected,
  adoptTables: unexpected,
  queryLake: unexpected,
  tableHistory: unexpected,
  tableChanges: unexpected,
  restoreTable: unexpected,
  verifyPipeline: unexpected,
  optimizeTables: unexpected,
  vacuumTables: unexpected,
  describeTable: unexpected,
};
