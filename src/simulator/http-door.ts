import {createHash} from 'node:crypto';
import {setMaxListeners} from 'node:events';
import {createServer, type IncomingMessage, type Server, type ServerResponse} from 'node:http';
import {createServer as createSecureServer} from 'node:https';
import type {AddressInfo} from 'node:net';
import {gzipSync} from 'node:zlib';

import {systemClock} from '../core/clock.ts';
import {IngestError, messageOf} from '../core/errors.ts';
import {stringifyJson} from '../core/json-reader.ts';
import type {SimulatorAuth} from './auth-spec.ts';
import type {AuthOutcome} from './auth.ts';
import {endpointReply} from './endpoint-reply.ts';
import {WrongRequest} from './error-reply.ts';
import type {Fault, FaultPlan} from './fault-plan.ts';
import type {ListEffects} from './list-reply.ts';
import type {RateLimits, RateTicket} from './rate-limits.ts';
import {type AnsweredRequest, parseBody, type SimulatedReply, type SimulatedRequest} from './request.ts';
import {decode, type Route} from './route.ts';
import type {ListEndpoint, SimulatorSpec} from './simulator-spec.ts';
import type {HandlerContext, Simulator} from './simulator.ts';
import type {TokenStore} from './token-store.ts';
import {type EncodedReply, sendReply} from './wire-faults.ts';

/** What the door serves. */
export interface ServedApi extends HandlerContext {
  readonly spec: SimulatorSpec;
  readonly auth: TokenStore;
  readonly faults: FaultPlan;
  readonly limits: RateLimits;
  readonly routes: readonly (Route & {readonly isLogin?: boolean})[];
  /** Null until the simulator runs. */
  readonly simulator: Simulator | null;
  /** Changes with every write. */
  readonly version: number;
  readonly isSettled: boolean;
  list(request: SimulatedRequest, list: ListEndpoint, effects?: ListEffects): SimulatedReply;
  check(auth: SimulatorAuth, request: SimulatedRequest): AuthOutcome;
}

/** How the door is opened. */
export interface DoorOptions {
  readonly port: number;
  readonly tls: {readonly key: string; readonly cert: string} | null;
  readonly latencyMs: number;
  readonly keptRequests: number;
  readonly gzip: boolean;
}

type FoundRoute = ServedApi['routes'][number];

interface Arrived {
  readonly request: SimulatedRequest;
  readonly faults: readonly Fault[];
}

/** The HTTP server of one simulator. */
export class HttpDoor {
  readonly url: string;
  readonly #api: ServedApi;
  readonly #server: Server;
  readonly #options: DoorOptions;
  readonly #closed = manyWaiting();
  readonly #cache = new Map<string, {readonly version: number; readonly reply: EncodedReply}>();
  readonly #lastReplies = new Map<string, EncodedReply>();
  #latencyMs: number;
  #requests: AnsweredRequest[] = [];
  #requestCount = 0;

  private constructor(api: ServedApi, server: Server, options: DoorOptions) {
    this.#api = api;
    this.#server = server;
    this.#options = options;
    this.#latencyMs = options.latencyMs;
    const {port} = server.address() as AddressInfo;
    this.url = `${options.tls === null ? 'http' : 'https'}://127.0.0.1:${port}`;
  }

  /** Listens on 127.0.0.1. @throws CONNECTION_FAILED when the port is taken. */
  static async open(api: ServedApi, options: DoorOptions): Promise<HttpDoor> {
    let door: HttpDoor | null = null;
    const serve = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
      if (door !== null) void door.#serve(incoming, outgoing);
    };
    const server = options.tls === null ? createServer(serve) : createSecureServer(options.tls, serve);
    // Clients keep sockets for longer than a test takes.
    server.keepAliveTimeout = 60_000;
    server.requestTimeout = 0;
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) =>
        reject(new IngestError('CONNECTION_FAILED', `The simulator cannot listen: ${error.message}`, {cause: error})),
      );
      server.listen(options.port, '127.0.0.1', resolve);
    });
    door = new HttpDoor(api, server, options);
    return door;
  }

  get requests(): readonly AnsweredRequest[] {
    return this.#requests;
  }

  get requestCount(): number {
    return this.#requestCount;
  }

  setLatencyMs(ms: number): void {
    this.#latencyMs = ms;
  }

  forgetRequests(): void {
    this.#requests = [];
  }

  /** Ends all sockets. */
  async close(): Promise<void> {
    if (this.#closed.signal.aborted) return;
    this.#closed.abort();
    const ended = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    this.#server.closeAllConnections();
    await ended;
  }

  async #serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    try {
      const body = await bodyText(incoming);
      await this.#answer(this.#requestOf(incoming, body), outgoing);
    } catch (error) {
      // The client left, or the simulator is closing: nobody is there to be told.
      if (this.#closed.signal.aborted || outgoing.destroyed) return;
      if (outgoing.headersSent) outgoing.destroy();
      else outgoing.writeHead(500, {'content-type': 'text/plain'}).end(`The simulator failed: ${messageOf(error)}`);
    }
  }

  async #answer(bare: SimulatedRequest, outgoing: ServerResponse): Promise<void> {
    const {route, request} = this.#routed(bare);
    const faults = this.#api.faults.pick(request);
    const record = this.#record(request, route, faults);
    for (const fault of faults) {
      if (fault.kind === 'expireTokens') this.#api.auth.expireTokens();
      if (fault.kind === 'run' && this.#api.simulator !== null) fault.run(this.#api.simulator, request);
      if (fault.kind === 'slow') await this.#wait(fault.firstByteMs);
    }
    const outcome = this.#admitted(request, route);
    try {
      // A budget is taken before the latency: that is when the request came.
      await this.#wait(this.#latencyMs + (route?.endpoint.latencyMs ?? 0));
      const reply = outcome.reply ?? (await this.#replyOf({request: outcome.request, faults}, route));
      const encoded = this.#finished(reply, route, {request, faults}, outcome.ticket.headers);
      record.status = encoded.status;
      outcome.ticket.release(encoded.status);
      const isSent = await sendReply(encoded, faults, outgoing, this.#closed.signal);
      if (!isSent) record.status = 0;
    } catch (error) {
      outcome.ticket.release(500);
      throw error;
    }
  }

  /** Looks at credentials and budgets: the reply that refuses the request, or null. */
  #admitted(
    request: SimulatedRequest,
    route: FoundRoute | null,
  ): {readonly request: SimulatedRequest; readonly reply: SimulatedReply | null; readonly ticket: RateTicket} {
    const api = this.#api;
    const login = api.check(route?.endpoint.auth ?? (route === null ? NONE : (api.spec.auth ?? NONE)), request);
    const principal = 'principal' in login ? login.principal : null;
    const {method, path} = request;
    const ticket =
      route?.isLogin === true ? FREE : api.limits.take({method, path, principal, names: route?.endpoint.limits ?? []});
    if (ticket.refused !== null) return {request, reply: ticket.refused, ticket};
    if ('refused' in login) return {request, reply: api.error(login.refused, login.message), ticket};
    return {request: {...request, principal}, reply: null, ticket};
  }

  async #replyOf({request, faults}: Arrived, route: FoundRoute | null): Promise<SimulatedReply | EncodedReply> {
    const answer = faults.find((fault) => fault.kind === 'answer');
    if (answer !== undefined) return this.#api.error(answer, 'A fault of the simulator.');
    if (route === null) return this.#unrouted(request);
    if (faults.some(({kind}) => kind === 'expireCursor'))
      return this.#api.error('cursorExpired', 'The cursor has expired.');
    const stuck = faults.some(({kind}) => kind === 'stuckPage') ? this.#lastReplies.get(route.pattern) : undefined;
    if (stuck !== undefined) return stuck;
    const effects = {
      repeatsRows: faults.some(({kind}) => kind === 'repeatRows'),
      shufflesRows: faults.some(({kind}) => kind === 'shuffleRows'),
    };
    const isCached = route.endpoint.cache === true && faults.length === 0 && this.#api.isSettled;
    const key = `${route.pattern} ${request.method} ${request.target} ${request.text}`;
    const {version} = this.#api;
    const known = isCached ? this.#cache.get(key) : undefined;
    if (known?.version === version) return known.reply;
    const reply = await this.#endpointReply(request, route, effects);
    if (!isCached || (reply.status ?? 200) !== 200) return reply;
    const encoded = encode(reply);
    this.#cache.set(key, {version, reply: encoded});
    return encoded;
  }

  async #endpointReply(request: SimulatedRequest, route: FoundRoute, effects: ListEffects): Promise<SimulatedReply> {
    try {
      return await endpointReply(route.endpoint, request, this.#api, (list) => this.#api.list(request, list, effects));
    } catch (error) {
      if (error instanceof WrongRequest) return this.#api.error(error.reply, error.message);
      throw error;
    }
  }

  #unrouted(request: SimulatedRequest): SimulatedReply {
    const isKnown = this.#api.routes.some((route) => route.match(rawPath(request)) !== null);
    return isKnown
      ? this.#api.error('noMethod', `${request.method} is not allowed here.`)
      : this.#api.error('noRoute', 'There is no such endpoint.');
  }

  /** Encodes, adds the headers of every answer, and answers a client that has the body already with 304. */
  #finished(
    reply: SimulatedReply | EncodedReply,
    route: FoundRoute | null,
    {request}: Arrived,
    limits: Readonly<Record<string, string>>,
  ): EncodedReply {
    const encoded = 'bytes' in reply ? reply : encode(reply);
    if (route !== null && encoded.status === 200) this.#lastReplies.set(route.pattern, encoded);
    const headers: Record<string, string> = {
      date: new Date(this.#api.clock.stampMs()).toUTCString(),
      ...lowerCase(this.#api.spec.headers),
      ...lowerCase(route?.endpoint.headers),
      ...limits,
      ...encoded.headers,
    };
    if (route?.endpoint.etag === true && encoded.status === 200) {
      headers['etag'] ??= `W/"${createHash('sha256').update(encoded.bytes).digest('hex').slice(0, 32)}"`;
      if (request.headers['if-none-match'] === headers['etag'])
        return {status: 304, headers: withoutContent(headers), bytes: EMPTY, isHead: false};
    }
    const isHead = request.method === 'HEAD';
    const isGzip = this.#options.gzip && /\bgzip\b/.test(request.headers['accept-encoding'] ?? '');
    if (!isGzip || encoded.bytes.length === 0) return {status: encoded.status, headers, bytes: encoded.bytes, isHead};
    const zipped = {...headers, 'content-encoding': 'gzip', vary: 'accept-encoding'};
    return {status: encoded.status, headers: zipped, bytes: gzipSync(encoded.bytes), isHead};
  }

  #routed(request: SimulatedRequest): {readonly route: FoundRoute | null; readonly request: SimulatedRequest} {
    const path = rawPath(request);
    const wanted = request.method === 'HEAD' ? ['HEAD', 'GET'] : [request.method];
    for (const route of this.#api.routes) {
      if (!route.methods.some((method) => wanted.includes(method))) continue;
      const params = route.match(path);
      if (params !== null) return {route, request: {...request, params}};
    }
    return {route: null, request};
  }

  #requestOf(incoming: IncomingMessage, text: string): SimulatedRequest {
    const target = incoming.url ?? '/';
    const mark = target.indexOf('?');
    const path = mark < 0 ? target : target.slice(0, mark);
    const headers: Record<string, string | undefined> = {};
    for (const [name, value] of Object.entries(incoming.headers))
      headers[name] = Array.isArray(value) ? value.join(', ') : value;
    const scheme = this.#options.tls === null ? 'http' : 'https';
    return {
      method: incoming.method ?? 'GET',
      origin: `${scheme}://${incoming.headers.host ?? '127.0.0.1'}`,
      path: decode(path),
      target,
      query: new URLSearchParams(mark < 0 ? '' : target.slice(mark + 1)),
      headers,
      params: {},
      text,
      body: parseBody(text, incoming.headers['content-type'] ?? ''),
      principal: null,
    };
  }

  #record(request: SimulatedRequest, route: FoundRoute | null, faults: readonly Fault[]): {status: number} {
    const record = {
      method: request.method,
      path: request.path,
      query: request.target.split('?')[1] ?? '',
      headers: request.headers,
      text: request.text,
      status: 0,
      atMs: this.#api.clock.nowMs(),
      route: route?.pattern ?? null,
      faults: faults.map(({kind}) => kind),
    };
    this.#requestCount++;
    this.#requests.push(record);
    const kept = this.#options.keptRequests;
    if (this.#requests.length > 2 * kept) this.#requests = this.#requests.slice(-kept);
    return record;
  }

  async #wait(ms: number): Promise<void> {
    if (ms > 0) await systemClock.sleep(ms, this.#closed.signal);
  }
}

/** Ends the waits of any number of requests: each answer may be late, or never come. */
function manyWaiting(): AbortController {
  const controller = new AbortController();
  setMaxListeners(Infinity, controller.signal);
  return controller;
}

const NONE: SimulatorAuth = {kind: 'none'};
const FREE: RateTicket = {headers: {}, refused: null, release: () => undefined};
const EMPTY = Buffer.alloc(0);

function encode({status = 200, headers, body}: SimulatedReply): EncodedReply {
  if (body === undefined) return {status, headers: lowerCase(headers), bytes: EMPTY, isHead: false};
  const isBytes = body instanceof Uint8Array;
  const bytes = isBytes ? Buffer.from(body.buffer, body.byteOffset, body.byteLength) : Buffer.from(stringifyJson(body));
  const type = isBytes ? 'application/octet-stream' : 'application/json; charset=utf-8';
  return {status, headers: {'content-type': type, ...lowerCase(headers)}, bytes, isHead: false};
}

function lowerCase(headers: Readonly<Record<string, string>> = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

function withoutContent(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith('content-')));
}

function rawPath({target}: SimulatedRequest): string {
  return target.split('?')[0] ?? '/';
}

async function bodyText(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming as AsyncIterable<Buffer>) chunks.push(chunk);
  return chunks.length === 0 ? '' : Buffer.concat(chunks).toString();
}
