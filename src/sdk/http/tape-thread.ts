import {Buffer} from 'node:buffer';
import {Worker} from 'node:worker_threads';

import {JsonTape} from '../../core/json-tape.ts';
import {readTape} from '../../core/read-tape.ts';
import type {TapeReply, TapeRequest} from './tape-worker.ts';

/** What the thread says once, before any reply. */
export const READY = 'ready';

/** Smaller bodies are read at once: sending them away and back would take as long. */
const LEAST_BYTES = 32 * 1024;
/** The thread is started when so much was read without it: a small table does not need one. */
const START_BYTES = 4 * 1024 * 1024;

/** A body, which has been away, and its tape; null for one that `parseJson` must read. */
export interface TapedBody {
  readonly bytes: Buffer;
  readonly tape: JsonTape | null;
}

interface Waiting {
  readonly size: number;
  readonly resolve: (taped: TapedBody) => void;
  readonly reject: (error: unknown) => void;
}

/** A second thread that finds the values of large JSON bodies, while this one uses those that came before. It holds no process open. */
export class TapeThread {
  readonly #waiting = new Map<number, Waiting>();
  readonly #open: () => Worker | null;
  #worker: Worker | null = null;
  #hasFailed = false;
  #bytesHere = 0;
  #nextId = 0;

  constructor(open: () => Worker | null = openWorker) {
    this.#open = open;
  }

  /** Reads a body, which must not be used before it comes back. @throws when the thread ends before its time. */
  read(bytes: Buffer): Promise<TapedBody> {
    const worker = bytes.length < LEAST_BYTES || !ownsMemory(bytes) ? null : this.#workerFor(bytes.length);
    if (worker === null) return Promise.resolve({bytes, tape: readTape(bytes)});
    return new Promise((resolve, reject) => {
      const id = this.#nextId++;
      this.#waiting.set(id, {size: bytes.length, resolve, reject});
      worker.ref();
      const body = bytes.buffer as ArrayBuffer;
      const request: TapeRequest = {id, body};
      worker.postMessage(request, [body]);
    });
  }

  #workerFor(size: number): Worker | null {
    if (this.#worker !== null || this.#hasFailed) return this.#worker;
    this.#bytesHere += size;
    if (this.#bytesHere < START_BYTES) return null;
    this.#bytesHere = -Infinity;
    const worker = this.#open();
    if (worker === null) return null;
    worker.unref();
    worker.on('message', (message: TapeReply | typeof READY) => {
      if (message !== READY) this.#take(worker, message);
      // Bodies are read here until it is there.
      else if (!this.#hasFailed) this.#worker = worker;
    });
    worker.on('error', (error) => this.#fail(error));
    worker.on('exit', () => this.#fail(new Error('The thread that reads JSON bodies ended.')));
    return null;
  }

  #take(worker: Worker, {id, body, words}: TapeReply): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (this.#waiting.size === 0) worker.unref();
    const bytes = Buffer.from(body, 0, waiting?.size);
    waiting?.resolve({bytes, tape: words === null ? null : new JsonTape(bytes, new Int32Array(words))});
  }

  /** What was sent to it is lost; what comes is read here. */
  #fail(error: unknown): void {
    this.#worker = null;
    this.#hasFailed = true;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const {reject} of waiting) reject(error);
  }
}

/** One for all connections of this process. */
export const tapeThread: TapeThread = new TapeThread();

/** Only memory that holds nothing else may be sent away. */
function ownsMemory({buffer, byteOffset, length}: Buffer): boolean {
  return byteOffset === 0 && length === buffer.byteLength && buffer instanceof ArrayBuffer;
}

/** Null where the code is not built: a thread loads JavaScript only. */
function openWorker(): Worker | null {
  return import.meta.url.endsWith('.ts') ? null : new Worker(new URL('./tape-worker.js', import.meta.url));
}
