import {readFile} from 'node:fs/promises';
import {rootCertificates} from 'node:tls';

import type {Dispatcher} from 'undici';

import {IngestError, messageOf} from '../../core/errors.ts';
import type {HttpMethod, HttpTimeouts} from './http-client.ts';
import type {HttpClientOptions} from './http-options.ts';

/** One request as it goes over the wire; made anew for every attempt, so that credentials may change it. */
export interface OutgoingRequest {
  readonly method: HttpMethod;
  url: URL;
  /** Names in lower case. */
  readonly headers: Record<string, string>;
  readonly body: string | undefined;
  /** The body's fields when it is a form: some signatures cover them. */
  readonly form: readonly (readonly [string, string])[] | undefined;
}

/** Sockets of one connection. */
export interface Transport extends AsyncDisposable {
  /** Sends a request as it is: no redirects, no retries. @throws what the socket threw. */
  send(request: OutgoingRequest, timeouts: HttpTimeouts, signal: AbortSignal): Promise<Dispatcher.ResponseData>;
}

/** Limits of waiting unless the connection or the request says otherwise. */
export const DEFAULT_TIMEOUTS: HttpTimeouts = {connectMs: 10_000, headersMs: 60_000, bodyIdleMs: 60_000};

/** Makes a transport; it opens nothing before the first request. */
export function createTransport(options: HttpClientOptions): Transport {
  let dispatcher: Promise<Dispatcher> | undefined;
  let isClosed = false;
  return {
    async send(request, timeouts, signal) {
      if (isClosed) throw new IngestError('CONTRACT_VIOLATION', 'The connector sent a request after it was closed.');
      dispatcher ??= openDispatcher(options);
      const {url, method, headers} = request;
      return (await dispatcher).request({
        origin: url.origin,
        path: url.pathname + url.search,
        method,
        headers,
        body: request.body ?? null,
        signal,
        headersTimeout: timeouts.headersMs,
        bodyTimeout: timeouts.bodyIdleMs,
      });
    },
    async [Symbol.asyncDispose]() {
      isClosed = true;
      const open = dispatcher;
      dispatcher = undefined;
      // What it could not be opened for was told to the request that opened it.
      await (await open?.catch(() => undefined))?.destroy();
    },
  };
}

async function openDispatcher(options: HttpClientOptions): Promise<Dispatcher> {
  const {Agent, ProxyAgent} = await import('undici');
  const extra = await extraCertificates(options);
  const connectMs = options.timeouts?.connectMs ?? DEFAULT_TIMEOUTS.connectMs;
  const tls = extra === null ? {} : {ca: [...rootCertificates, extra]};
  const shared = {keepAliveTimeout: 10_000, pipelining: 1};
  if (options.proxy === undefined) return new Agent({...shared, connect: {...tls, timeout: connectMs}});
  return new ProxyAgent({
    ...shared,
    uri: options.proxy,
    connectTimeout: connectMs,
    ...(extra === null ? {} : {requestTls: tls, proxyTls: tls}),
  });
}

async function extraCertificates({ca, caFile}: HttpClientOptions): Promise<string | null> {
  if (caFile === undefined) return ca ?? null;
  try {
    return `${ca ?? ''}\n${await readFile(caFile, 'utf8')}`;
  } catch (error) {
    throw new IngestError('INVALID_OPTION', `The file with certificates cannot be read: ${messageOf(error)}.`, {
      cause: error,
      context: {path: caFile},
    });
  }
}
