// The thread of `fetch-thread.ts`: sends requests, reads their answers whole and finds the values of JSON bodies.
import type {Buffer} from 'node:buffer';
import {parentPort, workerData} from 'node:worker_threads';

import {IngestError} from '../../core/errors.ts';
import {type PlainError, toPlainError} from '../../core/plain-error.ts';
import {readTape} from '../../core/read-tape.ts';
import type {ProxyOptions} from '../define-connector.ts';
import type {HttpTimeouts} from './http-client.ts';
import {codeOf} from './network-error.ts';
import {readBody} from './read-body.ts';
import {encodingOf, type RawHeaders} from './reply-headers.ts';
import {createTransport, type OutgoingRequest, type TransportOptions} from './transport.ts';

/** What the thread is started with. */
export interface FetchOptions {
  readonly options: TransportOptions;
  readonly proxies: ProxyOptions | undefined;
}

/** What the thread is asked for. */
export type FetchMessage =
  | {
      readonly kind: 'send';
      readonly id: number;
      readonly request: Pick<OutgoingRequest, 'method' | 'headers' | 'body'> & {readonly url: string};
      readonly timeouts: HttpTimeouts;
      readonly maxBytes: number;
    }
  | {readonly kind: 'abort'; readonly id: number};

/** What the thread answers. */
export type FetchReply =
  /** Once, before any other: from now on it takes requests. */
  | {readonly kind: 'ready'}
  | {
      readonly kind: 'answer';
      readonly id: number;
      readonly statusCode: number;
      readonly headers: RawHeaders;
      readonly body: ArrayBuffer;
      /** The tokens of a JSON body; null for one that has none. */
      readonly words: ArrayBuffer | null;
    }
  | {
      readonly kind: 'failed';
      readonly id: number;
      readonly error: PlainError;
      /** The code of a failure of the network; null for any other. */
      readonly networkCode: string | null;
      readonly hasAnswer: boolean;
    };

const {options, proxies} = workerData as FetchOptions;
const transport = createTransport(options, proxies);
const aborts = new Map<number, AbortController>();

parentPort?.on('message', (message: FetchMessage) => {
  if (message.kind === 'abort') aborts.get(message.id)?.abort();
  else void answer(message);
});
reply({kind: 'ready'});

async function answer({id, request, timeouts, maxBytes}: Extract<FetchMessage, {kind: 'send'}>): Promise<void> {
  const abort = new AbortController();
  aborts.set(id, abort);
  let hasAnswer = false;
  try {
    const outgoing: OutgoingRequest = {...request, url: new URL(request.url), form: undefined};
    const {statusCode, headers, body} = await transport.send(outgoing, timeouts, abort.signal);
    hasAnswer = true;
    const bytes = await readBody(body, encodingOf(headers), maxBytes);
    const words = (readTape(bytes)?.words.buffer ?? null) as ArrayBuffer | null;
    const sent = ownMemory(bytes);
    reply({kind: 'answer', id, statusCode, headers, body: sent, words}, words === null ? [sent] : [sent, words]);
  } catch (error) {
    const networkCode = error instanceof IngestError ? null : codeOf(error);
    reply({kind: 'failed', id, error: toPlainError(error), networkCode, hasAnswer});
  } finally {
    aborts.delete(id);
  }
}

function reply(message: FetchReply, moved: readonly ArrayBuffer[] = []): void {
  parentPort?.postMessage(message, moved);
}

/** Memory that holds these bytes and nothing else. */
function ownMemory(bytes: Buffer): ArrayBuffer {
  const {buffer, byteOffset, length} = bytes;
  const isOwn = byteOffset === 0 && length === buffer.byteLength && buffer instanceof ArrayBuffer;
  return isOwn ? buffer : Uint8Array.from(bytes).buffer;
}
