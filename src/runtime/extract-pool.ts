import {fork, type ChildProcess} from 'node:child_process';

import {IngestError} from '../core/errors.ts';
import {createInlineExtract} from '../pipeline/extract-inline.ts';
import type {ExtractDone, ExtractJob, ExtractRunner} from '../pipeline/extract-runner.ts';
import type {OpenConnector} from '../pipeline/resolve-flow.ts';
import type {ConnectorLog, SourceFiles} from '../sdk/contract.ts';
import {updateEnvironment} from './config/process-environment.ts';
import {
  fromPlainError,
  toPlainError,
  type ExtractReply,
  type ExtractRequest,
  type ExtractStart,
} from './process-messages.ts';
import {readContextOf} from './read-context.ts';
import type {Workbench} from './workbench.ts';

/** Jobs of fewer rows are read in this process: starting processes takes longer. */
const POOL_FROM_ROWS = 150_000;

/** What reading partitions works with. */
export interface ExtractSetup {
  readonly bench: Workbench;
  readonly open: OpenConnector;
  readonly files: SourceFiles;
  /** What the connector says of partitions that are read in this process. */
  readonly log: ConnectorLog;
  readonly inputs: readonly string[];
  readonly workers: number;
  readonly workerMemoryMb: number;
  readonly traceFile?: string | undefined;
  /** As in {@link ExtractStart}. */
  readonly gatewayId?: string | undefined;
}

/**
 * Reads small jobs inline and large ones in processes, each with a connector and an engine of its own. One large job at a
 * time, which all processes work on; others wait, so that memory is bounded. Disposing ends processes that wait for a job.
 */
export function createExtractRunner(setup: ExtractSetup): ExtractRunner & AsyncDisposable {
  return new ExtractPool(setup);
}

class ExtractPool implements ExtractRunner, AsyncDisposable {
  readonly kind = 'pool';
  readonly #setup: ExtractSetup;
  readonly #inline: ExtractRunner;
  /** Started ahead of their job. */
  readonly #waiting: ChildProcess[] = [];
  #lastJob: Promise<void> = Promise.resolve();

  constructor(setup: ExtractSetup) {
    const {context} = setup.bench;
    this.#setup = setup;
    this.#inline = createInlineExtract({
      context,
      connector: setup.open.connector,
      read: (job, signal) =>
        readContextOf({
          signal,
          clock: context.clock,
          log: setup.log,
          files: setup.files,
          triggerStartedAt: job.triggerStartedAt,
        }),
    });
  }

  warm(estimatedRows: number | null): void {
    if (this.#setup.workers < 2 || isSmall(estimatedRows)) return;
    while (this.#waiting.length < this.#setup.workers) this.#waiting.push(forkProcess());
  }

  run(job: ExtractJob, signal: AbortSignal): AsyncIterable<ExtractDone> {
    const workers = Math.min(this.#setup.workers, job.partitions.length);
    return workers < 2 || job.parallelHere !== null || isSmall(job.estimatedRows)
      ? this.#inline.run(job, signal)
      : this.#runInTurn(job, {signal, workers});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const children = this.#waiting.splice(0);
    for (const child of children) if (child.connected) child.disconnect();
    await Promise.all(children.map((child) => exited(child)));
  }

  async *#runInTurn(
    job: ExtractJob,
    options: {readonly signal: AbortSignal; readonly workers: number},
  ): AsyncGenerator<ExtractDone, void> {
    const before = this.#lastJob;
    let done = (): void => undefined;
    this.#lastJob = new Promise((resolve) => {
      done = resolve;
    });
    try {
      await before;
      options.signal.throwIfAborted();
      const start: ExtractStart = {
        lake: this.#setup.bench.lake,
        storeOptions: this.#setup.bench.storeOptions,
        memoryLimitMb: this.#setup.workerMemoryMb,
        threads: 1,
        inputs: this.#setup.inputs,
        traceFile: this.#setup.traceFile,
        gatewayId: this.#setup.gatewayId,
        job,
      };
      yield* runInProcesses(start, {...options, fork: () => this.#waiting.pop() ?? forkProcess()});
    } finally {
      done();
    }
  }
}

function isSmall(rows: number | null): boolean {
  return rows !== null && rows < POOL_FROM_ROWS;
}

async function* runInProcesses(
  start: ExtractStart,
  options: {readonly signal: AbortSignal; readonly workers: number; readonly fork: () => ChildProcess},
): AsyncGenerator<ExtractDone, void> {
  const {partitions} = start.job;
  const queue = new ReplyQueue();
  const children = Array.from({length: options.workers}, () => startProcess(options.fork(), start, queue));
  const abort = (): void => stopAll(children, options.signal.reason);
  options.signal.addEventListener('abort', abort, {once: true});
  let running = children.length;
  let next = 0;
  let failure: Error | null = null;
  try {
    while (running > 0) {
      const {child, reply} = await queue.take();
      if (reply.kind === 'next') send(child, {kind: 'partition', partition: partitions[next++] ?? null});
      else if (reply.kind === 'done') yield reply.done;
      else {
        running--;
        if (reply.kind === 'failed' && failure === null) {
          failure = fromPlainError(reply.error);
          stopAll(children, failure);
        }
      }
    }
  } finally {
    options.signal.removeEventListener('abort', abort);
    // The reader gave up: they are asked and waited for, so that nothing is written after us.
    if (running > 0) stopAll(children, new Error('The reader gave up.'));
    await Promise.all(children.map((child) => exited(child)));
  }
  options.signal.throwIfAborted();
  if (failure !== null) throw failure;
}

/** Starts a process, which waits for its job. */
function forkProcess(): ChildProcess {
  const file = import.meta.url.endsWith('.ts') ? './extract-process.ts' : './extract-process.js';
  const execArgv = [...process.execArgv.filter((argument) => !argument.startsWith('--max-old-space-size')), HEAP];
  const child = fork(new URL(file, import.meta.url), {env: updateEnvironment(), serialization: 'advanced', execArgv});
  // A process that cannot be started is told of when its job is given to it.
  child.on('error', () => undefined);
  return child;
}

/** Gives a process its job; its replies go to the queue. */
function startProcess(child: ChildProcess, start: ExtractStart, queue: ReplyQueue): ChildProcess {
  let ended = false;
  const end = (reply: ExtractReply): void => {
    if (!ended) queue.put({child, reply});
    ended = true;
  };
  child.on('message', (reply: ExtractReply) => {
    if (reply.kind === 'end' || reply.kind === 'failed') end(reply);
    else queue.put({child, reply});
  });
  child.on('error', (error) => end({kind: 'failed', error: toPlainError(error)}));
  // Not `exit`: the process may be gone before its last messages are read.
  child.on('close', (code, signal) => end({kind: 'failed', error: toPlainError(died(code, signal))}));
  if (child.connected) send(child, {kind: 'start', start});
  else end({kind: 'failed', error: toPlainError(died(child.exitCode, child.signalCode))});
  return child;
}

function died(code: number | null, signal: NodeJS.Signals | null): IngestError {
  return new IngestError(
    'ENGINE_FAILED',
    `A process that read partitions ended ${signal === null ? `with code ${code}` : `by ${signal}`} before it was done.`,
    {
      fix: 'Run again: what it read is read again. If it happens again, the machine lacks memory: give the run fewer threads (--threads).',
    },
  );
}

/** Small: pages are decoded into memory outside the heap. */
const HEAP = '--max-old-space-size=256';

function exited(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve();
    else child.once('exit', () => resolve());
  });
}

function stopAll(children: readonly ChildProcess[], reason: unknown): void {
  for (const child of children) send(child, {kind: 'abort', reason: toPlainError(reason)});
}

function send(child: ChildProcess, request: ExtractRequest): void {
  if (child.connected) child.send(request);
}

interface QueuedReply {
  readonly child: ChildProcess;
  readonly reply: ExtractReply;
}

/** Replies of all processes in order of arrival; as many as there are partitions at most. */
class ReplyQueue {
  readonly #replies: QueuedReply[] = [];
  #waiting: ((reply: QueuedReply) => void) | null = null;

  put(reply: QueuedReply): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting === null) this.#replies.push(reply);
    else waiting(reply);
  }

  take(): Promise<QueuedReply> {
    const first = this.#replies.shift();
    if (first !== undefined) return Promise.resolve(first);
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }
}
