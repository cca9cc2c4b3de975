import {type ChildProcess, fork} from 'node:child_process';

import {IngestError} from '../core/errors.ts';
import type {SimulatorOptions} from './simulator.ts';

/** How a simulator of a process of its own is started. */
export interface ProcessOptions {
  /**
   * Name of what the module exports: a `SimulatorSpec`, or a function of `argument` that gives one, a running `Simulator`, or an
   * object with a `simulator`. Default `simulator`.
   */
  readonly exportName?: string;
  /** Plain data for that function. */
  readonly argument?: unknown;
  /** How a spec is started; `clock: 'system'` lets time go on. */
  readonly options?: Omit<SimulatorOptions, 'clock'> & {readonly clock?: 'system'};
}

/** What a simulator of another process has seen. */
export interface ProcessStatistics {
  readonly requestCount: number;
  readonly violationCount: number;
  /** Peak of the process's memory. */
  readonly peakMemoryBytes: number;
  /** Processor time of the process. */
  readonly cpuMs: number;
}

/** A simulator in a process of its own. Closing ends the process; closing twice is allowed. */
export interface ProcessSimulator extends AsyncDisposable {
  readonly url: string;
  readonly caPem: string | null;
  /** What it has seen since it started. */
  statistics(): Promise<ProcessStatistics>;
  /** Moves the simulator's clock. */
  advance(ms: number): Promise<void>;
  /** Calls an exported function of the module with the simulator and plain data; its result must be plain data too. */
  run(functionName: string, argument?: unknown): Promise<unknown>;
  /** Ends the process. */
  close(): Promise<void>;
}

/** What the parent tells the child. */
export type ProcessCommand =
  | {
      readonly kind: 'start';
      readonly moduleUrl: string;
      readonly exportName: string;
      readonly argument: unknown;
      readonly options: NonNullable<ProcessOptions['options']>;
    }
  | {readonly kind: 'statistics'}
  | {readonly kind: 'advance'; readonly ms: number}
  | {readonly kind: 'run'; readonly functionName: string; readonly argument: unknown};

/** What the child answers. */
export type ProcessAnswer =
  | {readonly id: number; readonly value: unknown}
  | {readonly id: number; readonly error: string};

/** What the child says when it serves. */
export interface ProcessAddress {
  readonly url: string;
  readonly caPem: string | null;
}

/**
 * Starts the simulator of a module in a process of its own, so that it takes no time of the process that is measured.
 * @throws CONNECTION_FAILED when the process ends or the module gives no simulator.
 */
export async function simulateInProcess(
  moduleUrl: string | URL,
  options: ProcessOptions = {},
): Promise<ProcessSimulator> {
  const isSource = import.meta.url.endsWith('.ts');
  const child = fork(new URL(isSource ? './simulator-process.ts' : './simulator-process.js', import.meta.url), {
    serialization: 'advanced',
    execArgv: isSource ? ['--import', 'tsx'] : [],
  });
  const calls = new ChildCalls(child);
  try {
    const address = (await calls.send({
      kind: 'start',
      moduleUrl: String(moduleUrl),
      exportName: options.exportName ?? 'simulator',
      argument: options.argument,
      options: options.options ?? {},
    })) as ProcessAddress;
    return processSimulator(address, calls);
  } catch (error) {
    await calls.close();
    throw error;
  }
}

function processSimulator({url, caPem}: ProcessAddress, calls: ChildCalls): ProcessSimulator {
  return {
    url,
    caPem,
    statistics: async () => (await calls.send({kind: 'statistics'})) as ProcessStatistics,
    advance: async (ms) => {
      await calls.send({kind: 'advance', ms});
    },
    run: (functionName, argument) => calls.send({kind: 'run', functionName, argument}),
    close: () => calls.close(),
    [Symbol.asyncDispose]: () => calls.close(),
  };
}

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: IngestError) => void;
}

/** Calls of one child; all fail when it ends. */
class ChildCalls {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  readonly #ended: Promise<void>;
  #nextId = 0;

  constructor(child: ChildProcess) {
    this.#child = child;
    child.on('message', (answer: ProcessAnswer) => {
      const waiting = this.#waiting.get(answer.id);
      this.#waiting.delete(answer.id);
      if ('error' in answer)
        waiting?.reject(new IngestError('CONNECTION_FAILED', `The simulator failed: ${answer.error}`));
      else waiting?.resolve(answer.value);
    });
    this.#ended = new Promise((resolve) => {
      child.once('exit', () => {
        for (const {reject} of this.#waiting.values())
          reject(new IngestError('CONNECTION_FAILED', 'The process of the simulator ended.'));
        this.#waiting.clear();
        resolve();
      });
    });
  }

  send(command: ProcessCommand): Promise<unknown> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, {resolve, reject});
      if (!this.#child.connected)
        reject(new IngestError('CONNECTION_FAILED', 'The process of the simulator has ended.'));
      else this.#child.send({id, command});
    });
  }

  async close(): Promise<void> {
    // It holds nothing that could be lost.
    this.#child.kill('SIGKILL');
    await this.#ended;
  }
}
