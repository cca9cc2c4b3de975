import {Worker} from 'node:worker_threads';

import {createInlineExtract} from '../pipeline/extract-inline.ts';
import type {ExtractDone, ExtractJob, ExtractRunner} from '../pipeline/extract-runner.ts';
import type {OpenConnector} from '../pipeline/resolve-flow.ts';
import type {SourceFiles} from '../sdk/contract.ts';
import {readContextOf, silentLog} from './read-context.ts';
import {fromPlainError, toPlainError, type WorkerReply, type WorkerRequest, type WorkerStart} from './worker-messages.ts';
import type {Workbench} from './workbench.ts';

/** Jobs of fewer rows are read in this thread: starting threads takes longer. */
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

/** Reads small jobs inline and large ones in threads, each with a connector and an engine of its own. */
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
      return workers < 2 || small ? inline.run(job, signal) : runInThreads(setup, job, {signal, workers});
    },
  };
}

async function* runInThreads(setup: ExtractSetup, job: ExtractJob, options: {readonly signal: AbortSignal; readonly workers: number}): AsyncGenerator<ExtractDone, void> {
  const queue = new ReplyQueue();
  const start: WorkerStart = {lake: setup.bench.lake, memoryLimitMb: setup.workerMemoryMb, threads: 1, inputs: setup.inputs, job};
  const workers = Array.from({length: options.workers}, () => startWorker(start, queue));
  const abort = (): void => stopAll(workers, options.signal.reason);
  options.signal.addEventListener('abort', abort, {once: true});
  let running = workers.length;
  let next = 0;
  let failure: Error | null = null;
  try {
    while (running > 0) {
      const {worker, reply} = await queue.take();
      if (reply.kind === 'next') send(worker, {kind: 'partition', partition: job.partitions[next++] ?? null});
      else if (reply.kind === 'done') yield reply.done;
      else {
        running--;
        if (reply.kind === 'failed' && failure === null) {
          failure = fromPlainError(reply.error);
          stopAll(workers, failure);
        }
      }
    }
  } finally {
    options.signal.removeEventListener('abort', abort);
    // The reader gave up: a thread is never ended in the middle of a query, so it is asked and waited for.
    if (running > 0) stopAll(workers, new Error('The reader gave up.'));
    await Promise.all(workers.map(worker => exited(worker)));
  }
  options.signal.throwIfAborted();
  if (failure !== null) throw failure;
}

function startWorker(start: WorkerStart, queue: ReplyQueue): Worker {
  const file = import.meta.url.endsWith('.ts') ? './extract-worker.ts' : './extract-worker.js';
  const worker = new Worker(new URL(file, import.meta.url), {workerData: start});
  let ended = false;
  worker.on('message', (reply: WorkerReply) => {
    ended ||= reply.kind === 'end' || reply.kind === 'failed';
    queue.put({worker, reply});
  });
  worker.on('error', error => {
    if (!ended) queue.put({worker, reply: {kind: 'failed', error: toPlainError(error)}});
    ended = true;
  });
  worker.on('exit', code => {
    if (!ended) queue.put({worker, reply: {kind: 'failed', error: toPlainError(new Error(`An extract thread ended with code ${code}.`))}});
    ended = true;
  });
  return worker;
}

function exited(worker: Worker): Promise<void> {
  return new Promise(resolve => {
    if (worker.threadId === -1) resolve();
    else worker.once('exit', () => resolve());
  });
}

function stopAll(workers: readonly Worker[], reason: unknown): void {
  for (const worker of workers) send(worker, {kind: 'abort', reason: toPlainError(reason)});
}

function send(worker: Worker, request: WorkerRequest): void {
  worker.postMessage(request);
}

interface QueuedReply {
  readonly worker: Worker;
  readonly reply: WorkerReply;
}

/** Replies of all threads in order of arrival; as many as there are partitions at most. */
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
