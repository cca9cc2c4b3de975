import {fork, type ChildProcess} from 'node:child_process';

import {IngestError} from '../core/errors.ts';
import {createInlineExtract} from '../pipeline/extract-inline.ts';
import type {ExtractDone, ExtractJob, ExtractRunner} from '../pipeline/extract-runner.ts';
import type {OpenConnector} from '../pipeline/resolve-flow.ts';
import type {SourceFiles} from '../sdk/contract.ts';
import {updateEnvironment} from './config/process-environment.ts';
import {readContextOf, silentLog} from './read-context.ts';
import {fromPlainError, toPlainError, type ExtractReply, type ExtractRequest, type ExtractStart} from './process-messages.ts';
import type {Workbench} from './workbench.ts';

/** Jobs of fewer rows are read in this process: starting processes takes longer. */
const POOL_FROM_ROWS = 150_000;

/** What reading partitions works with. */
export interface ExtractSetup {
  readonly bench: Workbench;
  readonly open: OpenConnector;
  readonly files: SourceFiles;
  readonly inputs: readonly string[];
  readonly workers: number;
  readonly workerMemoryMb: number;
}

/** Reads small jobs inline and large ones in processes, each with a connector and an engine of its own. */
export function createExtractRunner(setup: ExtractSetup): ExtractRunner {
  const {context} = setup.bench;
  const inline = createInlineExtract({
    context,
    connector: setup.open.connector,
    read: (job, signal) => readContextOf({signal, clock: context.clock, log: silentLog, files: setup.files, triggerStartedAt: job.triggerStartedAt}),
  });
  return {
    kind: 'pool',
    run(job: ExtractJob, signal: AbortSignal): AsyncIterable<ExtractDone> {
      const workers = Math.min(setup.workers, job.partitions.length);
      const small = job.estimatedRows !== null && job.estimatedRows < POOL_FROM_ROWS;
      return workers < 2 || small ? inline.run(job, signal) : runInProcesses(setup, job, {signal, workers});
    },
  };
}

async function* runInProcesses(setup: ExtractSetup, job: ExtractJob, options: {readonly signal: AbortSignal; readonly workers: number}): AsyncGenerator<ExtractDone, void> {
  const queue = new ReplyQueue();
  const start: ExtractStart = {lake: setup.bench.lake, memoryLimitMb: setup.workerMemoryMb, threads: 1, inputs: setup.inputs, job};
  const children = Array.from({length: options.workers}, () => startProcess(start, queue));
  const abort = (): void => stopAll(children, options.signal.reason);
  options.signal.addEventListener('abort', abort, {once: true});
  let running = children.length;
  let next = 0;
  let failure: Error | null = null;
  try {
    while (running > 0) {
      const {child, reply} = await queue.take();
      if (reply.kind === 'next') send(child, {kind: 'partition', partition: job.partitions[next++] ?? null});
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
    await Promise.all(children.map(child => exited(child)));
  }
  options.signal.throwIfAborted();
  if (failure !== null) throw failure;
}

function startProcess(start: ExtractStart, queue: ReplyQueue): ChildProcess {
  const file = import.meta.url.endsWith('.ts') ? './extract-process.ts' : './extract-process.js';
  const child = fork(new URL(file, import.meta.url), {env: updateEnvironment(), serialization: 'advanced', execArgv: [...process.execArgv.filter(argument => !argument.startsWith('--max-old-space-size')), HEAP]});
  let ended = false;
  const end = (reply: ExtractReply): void => {
    if (!ended) queue.put({child, reply});
    ended = true;
  };
  child.on('message', (reply: ExtractReply) => {
    if (reply.kind === 'end' || reply.kind === 'failed') end(reply);
    else queue.put({child, reply});
  });
  child.on('error', error => end({kind: 'failed', error: toPlainError(error)}));
  // Not `exit`: the process may be gone before its last messages are read.
  child.on('close', (code, signal) => end({kind: 'failed', error: toPlainError(died(code, signal))}));
  send(child, {kind: 'start', start});
  return child;
}

function died(code: number | null, signal: NodeJS.Signals | null): IngestError {
  return new IngestError('ENGINE_FAILED', `A process that read partitions ended ${signal === null ? `with code ${code}` : `by ${signal}`} before it was done.`, {
    fix: 'Run again: what it read is read again. If it happens again, the machine lacks memory: give the run fewer threads (--threads).',
  });
}

/** Small: pages are decoded into memory outside the heap. */
const HEAP = '--max-old-space-size=256';

function exited(child: ChildProcess): Promise<void> {
  return new Promise(resolve => {
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
    return new Promise(resolve => {
      this.#waiting = resolve;
    });
  }
}
