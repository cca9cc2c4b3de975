import {Buffer} from 'node:buffer';
import type {Worker} from 'node:worker_threads';

import {JsonTape} from '../../core/json-tape.ts';
import {fromPlainError} from '../../core/plain-error.ts';
import type {ProxyOptions} from '../define-connector.ts';
import type {FetchMessage, FetchReply} from './fetch-worker.ts';
import type {HttpTimeouts} from './http-client.ts';
import {openFetchWorker} from './open-fetch-worker.ts';
import type {RawHeaders} from './reply-headers.ts';
import type {OutgoingRequest, TransportOptions} from './transport.ts';

/** The thread is started when so much JSON came without it: a small table does not need one. */
const START_BYTES = 4 * 1024 * 1024;

/** An answer that was read whole. */
export interface WholeAnswer {
  readonly statusCode: number;
  readonly headers: RawHeaders;
  readonly bytes: Buffer;
  /** Where the values of a JSON body are; null for a body that `parseJson` must read. */
  readonly tape: JsonTape | null;
}

/** How a request of the thread is sent. */
export interface FetchLimits {
  readonly timeouts: HttpTimeouts;
  readonly maxBytes: number;
  readonly signal: AbortSignal;
}

/** A failure of the network as the thread met it. */
export class FetchFailure extends Error {
  /** Of the system or the transport, for example `ECONNRESET`. */
  readonly code: string;
  /** The answer had begun. */
  readonly hasAnswer: boolean;

  constructor(message: string, code: string, hasAnswer: boolean) {
    super(message);
    this.code = code;
    this.hasAnswer = hasAnswer;
  }
}

interface Waiting {
  readonly resolve: (answer: WholeAnswer) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * A second thread of one connection that fetches large answers, while this one uses those that came before. It only sends: who may send
 * when, and with what credentials, is decided here. It holds no process open.
 */
export class FetchThread implements AsyncDisposable {
  readonly #waiting = new Map<number, Waiting>();
  readonly #open: () => Worker | null;
  #worker: Worker | null = null;
  #isReady = false;
  #bytesHere = 0;
  #nextId = 0;

  constructor(options: TransportOptions, proxies?: ProxyOptions) {
    const {timeouts, ca, caFile, proxy} = options;
    const given = Object.entries({timeouts, ca, caFile, proxy}).filter(([, value]) => value !== undefined);
    this.#open = () => openFetchWorker({options: Object.fromEntries(given), proxies});
  }

  /** True when requests should go this way. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** Tells of JSON that came another way. */
  note(sizeBytes: number): void {
    this.#bytesHere += sizeBytes;
    if (this.#bytesHere < START_BYTES) return;
    this.#bytesHere = -Infinity;
    const worker = this.#open();
    if (worker === null) return;
    this.#worker = worker;
    worker.unref();
    worker.on('message', (reply: FetchReply) => this.#take(reply));
    worker.on('error', (error) => this.#end(error.message));
    worker.on('exit', () => this.#end('the thread that fetched it ended'));
  }

  /** Sends a request and reads its answer. @throws FetchFailure; SOURCE_ERROR for an answer that is too large or compressed in another way; the signal's reason. */
  async send(request: OutgoingRequest, {timeouts, maxBytes, signal}: FetchLimits): Promise<WholeAnswer> {
    signal.throwIfAborted();
    const id = this.#nextId++;
    const {method, headers, body, url} = request;
    const abort = (): void => this.#post({kind: 'abort', id});
    signal.addEventListener('abort', abort, {once: true});
    try {
      return await new Promise((resolve, reject) => {
        this.#waiting.set(id, {resolve, reject});
        this.#worker?.ref();
        this.#post({kind: 'send', id, request: {method, headers, body, url: url.href}, timeouts, maxBytes});
      });
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#bytesHere = -Infinity;
    const worker = this.#worker;
    this.#end('the connection was closed', 'UND_ERR_CLOSED');
    await worker?.terminate();
  }

  #post(message: FetchMessage): void {
    this.#worker?.postMessage(message);
  }

  #take(reply: FetchReply): void {
    if (reply.kind === 'ready') {
      this.#isReady = this.#worker !== null;
      return;
    }
    const waiting = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    if (this.#waiting.size === 0) this.#worker?.unref();
    if (waiting === undefined) return;
    if (reply.kind === 'answer') waiting.resolve(answerOf(reply));
    else waiting.reject(failureOf(reply));
  }

  /** What it was asked for is lost and may be asked for again; requests are sent from here from now on. */
  #end(why: string, code = 'UND_ERR_SOCKET'): void {
    this.#worker = null;
    this.#isReady = false;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const {reject} of waiting) reject(new FetchFailure(why, code, false));
  }
}

function answerOf({statusCode, headers, body, words}: Extract<FetchReply, {kind: 'answer'}>): WholeAnswer {
  const bytes = Buffer.from(body);
  const tape = words === null ? null : new JsonTape(bytes, new Int32Array(words));
  return {statusCode, headers, bytes, tape};
}

function failureOf({error, networkCode, hasAnswer}: Extract<FetchReply, {kind: 'failed'}>): Error {
  return networkCode === null ? fromPlainError(error) : new FetchFailure(error.message, networkCode, hasAnswer);
}
