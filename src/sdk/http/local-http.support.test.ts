import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server as HttpServer,
  type ServerResponse,
} from 'node:http';
import {createServer as createSecureServer} from 'node:https';
import type {AddressInfo} from 'node:net';

import {afterEach} from 'vitest';

import type {Certificate} from '../../../test/certificates.ts';
import {type Clock, seededRandom, systemClock} from '../../core/clock.ts';
import type {CreateContext, SecretStore} from '../define-connector.ts';
import {createHttpClient} from './create-http-client.ts';
import type {HttpClient, HttpContext} from './http-client.ts';
import type {HttpClientOptions} from './http-options.ts';

const open: (() => Promise<void>)[] = [];

/** Closes after each test what it opened. */
export function closeAfterEach(): void {
  afterEach(async () => {
    for (const close of open.splice(0).toReversed()) await close();
  });
}

/** Serves without `Date`, because tests have a time of their own, on a port of this machine until the test ends; gives the origin. */
export async function serve(listener: RequestListener, tls?: Certificate): Promise<string> {
  const dateless: RequestListener = (request, response) => {
    response.sendDate = false;
    listener(request, response);
  };
  const server: HttpServer =
    tls === undefined ? createServer(dateless) : createSecureServer({cert: tls.certificate, key: tls.key}, dateless);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  open.push(
    () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => {
          resolve();
        });
      }),
  );
  const {port} = server.address() as AddressInfo;
  return tls === undefined ? `http://127.0.0.1:${port}` : `https://localhost:${port}`;
}

/** A client of the connection "shop" that is closed when the test ends. */
export function clientOf(options: HttpClientOptions, create: Partial<CreateContext> = {}): HttpClient {
  const made = createHttpClient(options, {
    options: {},
    clock: systemClock,
    random: seededRandom(1),
    connectionName: 'shop',
    ...create,
  });
  open.push(async () => {
    await made[Symbol.asyncDispose]();
  });
  return made;
}

/** What a request needs of its call; what is logged goes to `lines`. */
export function contextOf(signal: AbortSignal = new AbortController().signal, lines: string[] = []): HttpContext {
  const log = (message: string, context?: unknown): void => {
    lines.push(`${message} ${JSON.stringify(context ?? {})}`);
  };
  return {signal, clock: systemClock, log: {debug: log, info: log, warn: log}};
}

/** Answers with JSON, or with a text as it is. */
export function answer(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, {'content-type': 'application/json', ...headers});
  response.end(typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body));
}

/** The body of a request as text. */
export async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const piece of request) text += String(piece);
  return text;
}

/** A clock that stands; whoever sleeps waits until a test moves it. */
export interface ManualClock extends Clock {
  readonly sleeping: () => readonly number[];
  /** Moves on and wakes who has slept long enough. */
  advance(ms: number): void;
}

/** Makes a clock that stands at a moment. */
export function manualClock(startMs = 1_750_000_000_000): ManualClock {
  let now = startMs;
  let sleepers: {readonly untilMs: number; readonly wake: () => void}[] = [];
  return {
    nowMs: () => now,
    nowMicros: () => BigInt(now) * 1000n,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        const stop = (): void => {
          reject(signal.reason as Error);
        };
        const wake = (): void => {
          signal.removeEventListener('abort', stop);
          resolve();
        };
        sleepers.push({untilMs: now + ms, wake});
        signal.addEventListener('abort', stop, {once: true});
      }),
    sleeping: () => sleepers.map(({untilMs}) => untilMs - now),
    advance(ms) {
      now += ms;
      const woken = sleepers.filter(({untilMs}) => untilMs <= now);
      sleepers = sleepers.filter(({untilMs}) => untilMs > now);
      for (const {wake} of woken) wake();
    },
  };
}

/** Waits until something holds. */
export async function until(holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 5000;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error('It never held.');
    await new Promise((resolve) => {
      setTimeout(resolve, 2);
    });
  }
}

/** Secrets in memory, as two processes share them. */
export function sharedSecrets(): SecretStore & {readonly values: Map<string, string>} {
  const values = new Map<string, string>();
  return {
    values,
    get: (name) => Promise.resolve(values.get(name) ?? null),
    replace(name, expected, value) {
      if ((values.get(name) ?? null) !== expected) return Promise.resolve(false);
      values.set(name, value);
      return Promise.resolve(true);
    },
  };
}
