import {readFile} from 'node:fs/promises';
import {rootCertificates} from 'node:tls';

import type {Dispatcher} from 'undici';

import {IngestError, messageOf} from '../../core/errors.ts';
import type {ProxyOptions} from '../define-connector.ts';
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

/** Makes a transport; it opens nothing before the first request. `proxies` count where the options name none. */
export function createTransport(options: HttpClientOptions, proxies?: ProxyOptions): Transport {
  let dispatcher: Promise<Dispatcher> | undefined;
  let isClosed = false;
  return {
    async send(request, timeouts, signal) {
      if (isClosed) throw new IngestError('CONTRACT_VIOLATION', 'The connector sent a request after it was closed.');
      dispatcher ??= openDispatcher(options, proxies);
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

async function openDispatcher(options: HttpClientOptions, proxies: ProxyOptions | undefined): Promise<Dispatcher> {
  const {Agent, EnvHttpProxyAgent, ProxyAgent} = await import('undici');
  const extra = await extraCertificates(options);
  const connectMs = options.timeouts?.connectMs ?? DEFAULT_TIMEOUTS.connectMs;
  const tls = extra === null ? {} : {ca: [...rootCertificates, extra]};
  const shared = {keepAliveTimeout: 10_000, pipelining: 1};
  const direct = {...shared, connect: {...tls, timeout: connectMs}};
  const through = {...shared, connectTimeout: connectMs, ...(extra === null ? {} : {requestTls: tls, proxyTls: tls})};
  if (options.proxy !== undefined) return new ProxyAgent({...through, uri: options.proxy});
  if (proxies === undefined) return new Agent(direct);
  const {http = '', https = http, none = ''} = proxies;
  for (const proxy of [http, https])
    if (proxy !== '' && !/^https?:$/.test(URL.canParse(proxy) ? new URL(proxy).protocol : '')) {
      throw new IngestError('INVALID_OPTION', 'The proxy that the environment names is no HTTP proxy.', {
        fix: 'Write HTTP_PROXY and HTTPS_PROXY like http://proxy.example.com:3128.',
      });
    }
  // An empty text is no proxy; without one it would ask the environment itself.
  return new EnvHttpProxyAgent({
    ...through,
    connect: direct.connect,
    httpProxy: http,
    httpsProxy: https,
    noProxy: none.trim() === '*' ? '*' : [none, ...LOOPBACK].join(','),
  });
}

/** A source on this machine, such as a simulator, is behind no proxy. */
const LOOPBACK = ['localhost', '127.0.0.1', '[::1]'];

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
