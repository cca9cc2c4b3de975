import {createServer, type Server} from 'node:http';
import type {AddressInfo} from 'node:net';

import {seededRandom, systemClock, type Clock} from '../../core/clock.ts';
import {parseJson, stringifyJson} from '../../core/json-reader.ts';
import type {JsonObject, JsonValue} from '../../core/json-value.ts';
import type {Offset, PlainJson} from '../../core/offset.ts';
import {offsetsEqual} from '../../core/offset.ts';
import type {CallContext, Change, Connector, Page, ReadContext, TableOptions} from '../contract.ts';
import {cursorMicros} from '../cursor.ts';
import type {ConnectorDefinition} from '../define-connector.ts';
import {createHttpClient} from '../http/create-http-client.ts';
import {restConnector} from './rest-connector.ts';
import type {RestConnectorSpec, RestTable} from './rest-spec.ts';

/** A request as an API of a test sees it. */
export interface ApiRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: JsonValue;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** What it answers: a body alone is a success. */
export interface ApiReply {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: JsonValue;
  readonly text?: string;
}

/** An API on this machine. */
export interface TestApi extends AsyncDisposable {
  readonly baseUrl: string;
  /** Method, path and query of every request so far. */
  readonly requests: string[];
}

/** Serves an API until it is disposed. */
export async function serve(handle: (request: ApiRequest) => ApiReply | Promise<ApiReply>): Promise<TestApi> {
  const requests: string[] = [];
  const server: Server = createServer((incoming, outgoing) => {
    const pieces: Buffer[] = [];
    incoming.on('data', (piece: Buffer) => pieces.push(piece));
    incoming.on('end', () => {
      const url = new URL(incoming.url ?? '/', 'http://127.0.0.1');
      requests.push(`${incoming.method ?? ''} ${incoming.url ?? ''}`);
      const text = Buffer.concat(pieces).toString();
      const body = text === '' ? null : parseJson(text);
      const request = {
        method: incoming.method ?? 'GET',
        path: url.pathname,
        query: url.searchParams,
        body,
        headers: incoming.headers,
      };
      void Promise.resolve(handle(request)).then((reply) => {
        outgoing.writeHead(reply.status ?? 200, {'content-type': 'application/json', ...reply.headers});
        outgoing.end(reply.text ?? stringifyJson(reply.body ?? null));
      });
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const {port} = server.address() as AddressInfo;
  return {
    baseUrl: `http://127.0.0.1:${port}`,
    requests,
    [Symbol.asyncDispose]: async (): Promise<void> => {
      server.closeAllConnections();
      await new Promise((resolve) => {
        server.close(resolve);
      });
    },
  };
}

/** A connector of some tables to an API. */
export function connectorOf(
  api: TestApi,
  tables: readonly RestTable[],
  more: Partial<RestConnectorSpec> = {},
): ConnectorDefinition {
  return restConnector({
    name: 'test',
    displayName: 'Test',
    description: 'An API of a test.',
    connection: {},
    client: (_, create) =>
      createHttpClient({baseUrl: api.baseUrl, retries: {attempts: 2, baseMs: 1, capMs: 1}}, create),
    tables,
    ...more,
  });
}

/** An instance of a connector. */
export function openConnector(definition: ConnectorDefinition, options: TableOptions = {}): Connector {
  return definition.create({options, clock: systemClock, random: Math.random, connectionName: 'test'});
}

/** A clock that stands still until it is moved; waiting takes no time. */
export function testClock(startMs: number): Clock & {readonly advance: (ms: number) => void} {
  let nowMs = startMs;
  return {
    nowMs: () => nowMs,
    nowMicros: () => BigInt(nowMs) * 1000n,
    sleep: () => Promise.resolve(),
    advance(ms) {
      nowMs += ms;
    },
  };
}

/** A context for what reads nothing. */
export function callContext(clock: Clock = systemClock): CallContext {
  const silent = (): void => undefined;
  return {
    signal: new AbortController().signal,
    clock,
    log: {debug: silent, info: silent, warn: silent},
    files: {list: () => Promise.resolve([]), inferSchema: () => Promise.reject(new Error('no files'))},
  };
}

/** A context for a read that remembers nothing. */
export function readContext(): ReadContext {
  return {
    ...callContext(),
    progress: () => undefined,
    limits: {maxRows: 500_000, maxBytes: 1e9},
    triggerStartedAt: systemClock.nowMicros(),
    isFirstCall: true,
    ledger: {get: () => Promise.resolve(new Map()), put: () => undefined},
  };
}

/** Where a reader may be stopped: after which page of a call, and whether its last offset is committed. */
export type Stop = (page: number) => 'cut' | 'kill' | null;

/** A destination in memory that keeps rows, offset and ledger as one commit, as a flow does. */
export class TestFlow {
  readonly rows: Map<string, JsonObject> = new Map();
  /** Of append tables: every row that was appended. */
  readonly appended: JsonObject[] = [];
  /** Keys that came as deletes. */
  readonly deleted: string[] = [];
  offset: Offset | null = null;
  deletesOffset: Offset | null = null;
  readonly #connector: Connector;
  readonly #table: string;
  readonly #options: TableOptions;
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #ledger = new Map<string, PlainJson>();
  #keys: readonly string[] = [];

  constructor(
    connector: Connector,
    table: string,
    {
      options = {},
      clock = systemClock,
      signal = new AbortController().signal,
    }: {readonly options?: TableOptions; readonly clock?: Clock; readonly signal?: AbortSignal} = {},
  ) {
    this.#connector = connector;
    this.#table = table;
    this.#options = options;
    this.#clock = clock;
    this.#signal = signal;
  }

  /** One trigger: calls until nothing is new. Returns the number of calls. */
  async trigger(stop: Stop = () => null): Promise<number> {
    const triggerStartedAt = this.#clock.nowMicros();
    const metadata = await this.#connector.readTableMetadata(this.#table, this.#options, callContext(this.#clock));
    this.#keys = metadata.primaryKeys;
    const isSnapshot = metadata.ingestionType === 'snapshot';
    const isAppend = metadata.ingestionType === 'append';
    let start = isSnapshot ? null : this.offset;
    if (isSnapshot) this.rows.clear();
    const seen = new Set<string>();
    for (let calls = 1; ; calls++) {
      if (calls > 2000) throw new Error('the trigger does not end');
      const ctx = this.#context(triggerStartedAt, calls === 1);
      const read = this.#connector.readTable(this.#table, start, this.#options, ctx);
      const result = await this.#drive(read, {stop, isAppend});
      if (result.kind === 'killed') continue;
      const {end, isCut} = result;
      if (metadata.ingestionType === 'cdc_with_deletes') await this.#readDeletes(ctx);
      this.offset = end;
      if (!isCut && ((isSnapshot && end === null) || offsetsEqual(start, end))) return calls;
      const text = JSON.stringify(end);
      if (!offsetsEqual(start, end) && seen.has(text)) throw new Error(`the offset went round in circles: ${text}`);
      if (isCut && offsetsEqual(start, end)) throw new Error(`a page carries the offset of the start: ${text}`);
      seen.add(text);
      start = end;
    }
  }

  async #readDeletes(ctx: ReadContext): Promise<void> {
    const pages = this.#connector.readTableDeletes?.(this.#table, this.deletesOffset, this.#options, ctx);
    if (pages === undefined) throw new Error('no deletes');
    for (;;) {
      const step = await pages.next();
      if (step.done === true) {
        this.deletesOffset = step.value;
        return;
      }
      for (const row of rowsOf(step.value)) {
        this.deleted.push(this.#key(row));
        this.rows.delete(this.#key(row));
      }
    }
  }

  async #drive(
    read: AsyncGenerator<Page, Offset | null>,
    {stop, isAppend}: {readonly stop: Stop; readonly isAppend: boolean},
  ): Promise<
    {readonly kind: 'killed'} | {readonly kind: 'done'; readonly end: Offset | null; readonly isCut: boolean}
  > {
    const pages: Page[] = [];
    for (let count = 1; ; count++) {
      const step = await read.next();
      if (step.done === true) {
        this.#commit(pages, isAppend);
        return {kind: 'done', end: step.value, isCut: false};
      }
      pages.push(step.value);
      const {offset} = step.value as {readonly offset?: Offset};
      const wish = stop(count);
      if (wish === 'kill') {
        await read.return(null);
        this.#pending.clear();
        return {kind: 'killed'};
      }
      if (wish === 'cut' && offset !== undefined) {
        await read.return(null);
        this.#commit(pages, isAppend);
        return {kind: 'done', end: offset, isCut: true};
      }
    }
  }

  readonly #pending = new Map<string, PlainJson>();
  /** Microseconds of the newest change of each key. */
  readonly #sequences = new Map<string, bigint>();

  #commit(pages: readonly Page[], isAppend: boolean): void {
    for (const [key, value] of this.#pending) this.#ledger.set(key, value);
    this.#pending.clear();
    for (const page of pages) {
      if ('kind' in page && page.kind === 'changes') {
        for (const change of page.changes) this.#apply(change);
        continue;
      }
      for (const row of rowsOf(page)) {
        if (isAppend) this.appended.push(row);
        else this.rows.set(this.#key(row), row);
      }
    }
  }

  /** As a table does: what is older than what is known changes nothing, a delete nor what is of the same age. */
  #apply({op, row = {}, sequence}: Change): void {
    const key = this.#key(row);
    const known = this.#sequences.get(key);
    const micros = typeof sequence === 'string' ? cursorMicros(sequence) : undefined;
    if (known !== undefined && micros !== undefined && (op === 'delete' ? micros <= known : micros < known)) return;
    if (micros !== undefined) this.#sequences.set(key, micros);
    if (op !== 'delete') this.rows.set(key, row);
    else {
      this.deleted.push(key);
      this.rows.delete(key);
    }
  }

  #key(row: JsonObject): string {
    return this.#keys.map((key) => String(row[key])).join('|');
  }

  #context(triggerStartedAt: bigint, isFirstCall: boolean): ReadContext {
    return {
      ...callContext(this.#clock),
      signal: this.#signal,
      progress: () => undefined,
      limits: {maxRows: 500_000, maxBytes: 1e9},
      triggerStartedAt,
      isFirstCall,
      ledger: {
        get: (keys) =>
          Promise.resolve(
            new Map(
              keys.flatMap((key): [string, PlainJson][] => {
                const value = this.#pending.get(key) ?? this.#ledger.get(key);
                return value === undefined ? [] : [[key, value]];
              }),
            ),
          ),
        put: (key, value) => {
          this.#pending.set(key, value);
        },
      },
    };
  }
}

/** The rows of a page of records. */
export function rowsOf(page: Page): readonly JsonObject[] {
  if (!('kind' in page)) return page;
  return page.kind === 'records' ? page.rows : [];
}

/** Stops at up to 15 pages, by a seed. */
export function stops(seed: number): Stop {
  const random = seededRandom(seed);
  let left = 15;
  return () => {
    if (left-- <= 0) return null;
    const dice = random();
    return dice < 0.4 ? 'cut' : dice < 0.5 ? 'kill' : null;
  };
}

/** Rows by their ids. */
export function byId(rows: Iterable<JsonObject>): Map<string, JsonObject> {
  return new Map([...rows].map((row) => [String(row['id']), row]));
}
