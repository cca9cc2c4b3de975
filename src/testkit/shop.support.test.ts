import type {Clock} from '../core/clock.ts';
import type {JsonObject, JsonValue} from '../core/json-value.ts';
import type {Offset} from '../core/offset.ts';
import {
  createHttpClient,
  defineConnector,
  didYouMean,
  fromDdl,
  IngestError,
  offsetsEqual,
  type Connector,
  type ConnectorDefinition,
  type CreateContext,
  isIngestError,
  type HttpClient,
  type HttpReply,
  type HttpRequest,
  type Page,
  type Partition,
  type PartitionPlan,
  type ReadContext,
  type TableMetadata,
} from '../sdk/index.ts';
import {simulate, type SimulatorSpec} from '../simulator/index.ts';
import type {ConnectorProof, ProofWrites} from './connector-proof.ts';
import {collectionTable, simulatedSource} from './simulated-source.ts';

/** What a connector can do wrong; each is caught by some case. */
export type Mistake =
  | 'reads past ties'
  | 'skips the last page'
  | 'excludes its bound'
  | 'ignores errors in answers with status 200'
  | 'keeps its offset'
  | 'moves its offset before the rows'
  | 'drops deletes'
  | 'repeats rows in append tables'
  | 'takes 429 for the end'
  | 'keeps the place in the instance'
  | 'knows no unknown tables'
  | 'adds the time of reading'
  | 'gives a wrong type'
  | 'forgets a required column'
  | 'misnames a column'
  | 'reads for ever'
  | 'reads offsets by the order of their keys'
  | 'shows the token'
  | 'fails for good on 503'
  | 'trusts the last row of a page'
  | 'pages by number'
  | 'leaves a gap between partitions'
  | 'reads borders of partitions twice'
  | 'plans for equal offsets'
  | 'numbers its partitions'
  | 'keeps its partitions in the instance'
  | 'takes an empty offset for one'
  | 'ends its plans after its partitions'
  | 'spreads its partitions over processes'
  | 'gives live rows as deletes'
  | 'leaves changed rows out';

const ROWS = 60;
const PAGE = 10;
const TOKEN = 'secret-token-4711';
/** Requests in a second for the table that is read in partitions. */
const PARTS_PER_SECOND = 4;
const DAY_MS = 86_400_000;
/** Rows are read so much later than they were stamped, so that clocks may differ. */
const LAG_MICROS = 10_000_000n;

/** An API with one table of each kind, stamps in whole seconds with ties. */
const SHOP: SimulatorSpec = {
  name: 'shop',
  auth: {kind: 'bearer', tokens: [TOKEN]},
  rateLimits: [{name: 'parts', paths: ['GET /parts'], max: PARTS_PER_SECOND, windowMs: 1000}],
  collections: {
    items: {
      key: 'id',
      updatedAt: {field: 'updated_at', format: 'isoSeconds'},
      rows: ({nowMs}) => rowsFrom(nowMs),
      visibleAfterMs: 0,
    },
    notes: {key: 'id', createdAt: {field: 'updated_at', format: 'isoSeconds'}, rows: ({nowMs}) => rowsFrom(nowMs)},
    parts: {
      key: 'id',
      updatedAt: {field: 'updated_at', format: 'isoSeconds'},
      rows: ({nowMs}) => rowsFrom(nowMs),
    },
  },
  endpoints: ['items', 'notes', 'parts'].flatMap(
    (name) =>
      [
        {
          path: `/${name}`,
          list: name,
          sort: [{field: 'updated_at'}, {field: 'id'}],
          params: {
            since: {role: 'filter', field: 'updated_at', op: 'gte'},
            above: {role: 'filter', field: 'updated_at', op: 'gt'},
            until: {role: 'filter', field: 'updated_at', op: 'lt'},
            cursor: {role: 'cursor'},
            limit: {role: 'limit', default: PAGE, max: PAGE},
          },
          paging: {style: 'cursor', next: {body: 'next'}, whenLast: 'null'},
          wrap: {records: 'data'},
        },
        {
          path: `/${name}/numbered`,
          list: name,
          sort: [{field: 'updated_at'}, {field: 'id'}],
          params: {
            since: {role: 'filter', field: 'updated_at', op: 'gte'},
            page: {role: 'page'},
            limit: {role: 'limit', default: PAGE, max: PAGE},
          },
          paging: {style: 'page', next: {body: 'next'}, nextAs: 'text', whenLast: 'null'},
          wrap: {records: 'data'},
        },
        {
          path: `/${name}/deleted`,
          list: name,
          of: 'events',
          where: () => (event) => event['kind'] === 'delete',
          paging: {style: 'none'},
          wrap: {records: 'data'},
        },
        {path: `/${name}`, create: name, wrap: {}},
        {path: `/${name}/{id}`, update: name, scope: {id: 'id'}},
        {path: `/${name}/{id}`, delete: name, scope: {id: 'id'}},
      ] as const,
  ) as SimulatorSpec['endpoints'],
};

function rowsFrom(nowMs: number): readonly JsonObject[] {
  return Array.from({length: ROWS}, (_, index) => ({
    id: index + 1,
    name: `Row ${index + 1}`,
    // Four rows share a stamp.
    updated_at: new Date(nowMs - DAY_MS + Math.floor(index / 4) * 60_000).toISOString().replace('.000Z', 'Z'),
  }));
}

const TABLES = ['items', 'notes', 'parts'];
/** Before every row, and the end of the first partition. */
const FIRST = '2024-12-30T00:00:00Z';
const EARLY = '2024-12-31T00:04:00Z';

type Part = {readonly since: string; readonly until: string};

/** A connector for the shop that makes the given mistakes; without any it passes every suite. */
export function shopConnector(...mistakes: readonly Mistake[]): ConnectorDefinition {
  const does = (mistake: Mistake): boolean => mistakes.includes(mistake);
  return defineConnector({
    name: 'shop',
    spec: {
      displayName: 'Shop',
      description: 'A shop that is simulated.',
      connection: {
        base_url: {type: 'string', required: true, description: 'Where it is.'},
        token: {type: 'string', required: true, secret: true, description: 'From the settings page.'},
      },
      table: {},
    },
    create: (context) => new ShopConnector(context, does),
    client: (context) => shopClient(context, does),
  });
}

function shopClient(context: CreateContext, does: (mistake: Mistake) => boolean): HttpClient {
  return createHttpClient(
    {
      baseUrl: String(context.options['base_url']),
      auth: {kind: 'bearer', token: String(context.options['token'])},
      rate: {
        budgets: [
          {
            requests: PARTS_PER_SECOND,
            perSeconds: 1,
            matches: ({method, url}) => method === 'GET' && url.pathname === '/parts',
          },
        ],
      },
      errors: [
        ...(does('takes 429 for the end') ? [{when: {status: 429}, then: 'accept'} as const] : []),
        ...(does('fails for good on 503') ? [{when: {status: 503}, then: 'fail', code: 'UNSUPPORTED'} as const] : []),
      ],
    },
    context,
  );
}

class ShopConnector implements Connector {
  readonly #http: HttpClient;
  readonly #does: (mistake: Mistake) => boolean;
  readonly #token: string;
  #place: string | null = null;
  #parts: readonly Part[] = [];
  #planned = 0;

  constructor(context: CreateContext, does: (mistake: Mistake) => boolean) {
    this.#does = does;
    this.#token = String(context.options['token']);
    this.#http = shopClient(context, does);
  }

  listTables(): Promise<readonly string[]> {
    return Promise.resolve(TABLES);
  }

  getTableSchema(table: string): ReturnType<Connector['getTableSchema']> {
    this.#check(table);
    const type = this.#does('gives a wrong type') ? 'INT' : 'STRING';
    const name = this.#does('misnames a column') ? 'title' : 'name';
    const more = this.#does('adds the time of reading') ? ', read_at BIGINT' : '';
    const extra = this.#does('forgets a required column') ? ', owner STRING NOT NULL' : '';
    return Promise.resolve(
      fromDdl(`id BIGINT NOT NULL, ${name} ${type}, updated_at TIMESTAMP NOT NULL${more}${extra}`),
    );
  }

  readTableMetadata(table: string): Promise<TableMetadata> {
    this.#check(table);
    const common = {cursorField: 'updated_at', primaryKeys: ['id']};
    if (table === 'notes') {
      const keys = this.#does('repeats rows in append tables') ? [] : ['id'];
      return Promise.resolve({...common, primaryKeys: keys, ingestionType: 'append'});
    }
    return Promise.resolve({
      ...common,
      ingestionType: table === 'parts' || this.#does('drops deletes') ? 'cdc' : 'cdc_with_deletes',
    });
  }

  async *readTable(
    table: string,
    start: Offset | null,
    _options: unknown,
    ctx: ReadContext,
  ): AsyncGenerator<Page, Offset | null> {
    this.#check(table);
    if (this.#does('keeps the place in the instance') && start !== null) start = {since: this.#place};
    const since = this.#does('reads offsets by the order of their keys')
      ? Object.values(start ?? {})[0]
      : start?.['since'];
    const from = typeof since === 'string' ? since : null;
    const ids = Array.isArray(start?.['ids']) ? start['ids'].map(String) : [];
    const turns = Number(start?.['n'] ?? 0);
    if (this.#does('reads for ever') && turns > 1) return {...start, n: turns + 1};
    let offset: Offset | null = start;
    let count = 0;
    let newest = from;
    let seen = new Set(ids);
    for await (const page of this.#pages(table, from, ctx)) {
      const rows = page.filter(
        (row) =>
          (String(row['updated_at']) !== from || !seen.has(String(row['id']))) &&
          !(this.#does('leaves changed rows out') && String(row['name']).startsWith('Changed')),
      );
      const stamps = rows.map((row) => String(row['updated_at'])).sort();
      const last = this.#does('trusts the last row of a page')
        ? String(rows.at(-1)?.['updated_at'] ?? newest)
        : stamps.at(-1);
      const before = offset;
      if (last !== undefined && (newest === null || last >= newest)) {
        const sharing = rows.filter((row) => String(row['updated_at']) === last).map((row) => String(row['id']));
        seen = new Set(last === newest ? [...seen, ...sharing] : sharing);
        newest = last;
      }
      offset = newest === null ? offset : {since: newest, ids: [...seen].sort()};
      if (this.#does('reads past ties') || this.#does('repeats rows in append tables'))
        offset = {since: newest, ids: []};
      this.#place = newest;
      count += rows.length;
      if (this.#does('moves its offset before the rows'))
        yield {kind: 'records', rows: [], ...(offset === null ? {} : {offset})};
      yield {
        kind: 'records',
        rows: rows.map((row) => this.#row(row, ctx)),
        ...(offset === null || this.#does('keeps its offset') ? {} : {offset}),
      };
      if (count >= ctx.limits.maxRows) return this.#does('keeps its offset') ? before : offset;
    }
    if (this.#does('reads for ever')) return {since: newest, ids: [...seen], n: Number(start?.['n'] ?? 0) + 1};
    if (this.#does('keeps its offset')) return start;
    return offset;
  }

  async *readTableDeletes(
    table: string,
    start: Offset | null,
    _options: unknown,
    ctx: ReadContext,
  ): AsyncGenerator<Page, Offset | null> {
    const isWrong = this.#does('gives live rows as deletes');
    const {body} = await this.#http.json({url: isWrong ? `/${table}` : `/${table}/deleted`}, ctx);
    const from = Number(start?.['sequence'] ?? 0);
    if (isWrong) yield recordsOf(body);
    const events = isWrong ? [] : recordsOf(body).filter((event) => Number(event['sequence']) > from);
    yield events.map((event) => ({id: idOf(event['row']), updated_at: Number(event['at'])}));
    const last = events.at(-1);
    return last === undefined ? start : {sequence: Number(last['sequence'])};
  }

  isPartitioned(table: string): boolean {
    return table === 'parts';
  }

  async latestOffset(table: string, start: Offset | null, _options: unknown, ctx: ReadContext): Promise<Offset | null> {
    if (table !== 'parts') return start;
    await Promise.resolve();
    const ahead = this.#does('ends its plans after its partitions') ? 60_000_000n : 0n;
    const until = secondText(ctx.triggerStartedAt - LAG_MICROS + ahead);
    return start !== null && String(start['until'] ?? '') >= until ? start : {until};
  }

  getPartitions(
    _table: string,
    {start, end: wanted}: {readonly start: Offset | null; readonly end: Offset | null},
  ): Promise<PartitionPlan> {
    const parallel = this.#does('spreads its partitions over processes') ? {} : {parallelHere: 2};
    const isIdle = !this.#does('plans for equal offsets') && offsetsEqual(start, wanted);
    const ahead = this.#does('ends its plans after its partitions') ? 60_000 : 0;
    const end = new Date(Date.parse(String(wanted?.['until'])) - ahead).toISOString().replace(/\.\d+/, '');
    this.#parts = isIdle ? [] : this.#cut(start, end);
    const numbered = this.#does('numbers its partitions');
    const partitions = this.#parts.map((part, number) => ({
      ...(this.#does('keeps its partitions in the instance') ? {number} : part),
      ...(numbered ? {number: this.#planned++} : {}),
    }));
    return Promise.resolve({partitions, volatile: false, ...parallel});
  }

  /** Two parts, the first of a few minutes where that is there. */
  #cut(start: Offset | null, end: string): readonly Part[] {
    const isEmpty = start !== null && Object.keys(start).length === 0;
    const first = isEmpty && this.#does('takes an empty offset for one') ? '2024-12-31T00:05:00Z' : FIRST;
    const from = typeof start?.['until'] === 'string' ? start['until'] : first;
    const middle = new Date((Date.parse(from) + Date.parse(EARLY)) / 2);
    const half = from < EARLY ? EARLY : middle.toISOString().replace(/\.\d+/, '');
    const gap = this.#does('leaves a gap between partitions') ? '2024-12-31T00:06:00Z' : half;
    if (half <= from || half >= end) return [{since: from, until: end}];
    return [
      {since: from, until: half},
      {since: gap, until: end},
    ];
  }

  async *readPartition(
    table: string,
    given: Partition,
    _options: unknown,
    ctx: ReadContext,
  ): AsyncGenerator<Page, void> {
    const isKept = this.#does('keeps its partitions in the instance');
    const part = isKept ? this.#parts[Number(given['number'])] : given;
    if (part === undefined) return;
    const until = this.#does('reads borders of partitions twice')
      ? String(part['until']).replace(':00Z', ':01Z')
      : String(part['until']);
    yield* this.#pages(table, String(part['since']), ctx, until);
  }

  async close(): Promise<void> {
    await this.#http[Symbol.asyncDispose]();
  }

  async *#pages(
    table: string,
    from: string | null,
    ctx: ReadContext,
    until?: string,
  ): AsyncGenerator<readonly JsonObject[], void> {
    const bound = this.#does('excludes its bound') || this.#does('reads past ties') ? 'above' : 'since';
    let cursor: string | undefined;
    const met = new Set<string>();
    // Ends with the last page of the API.
    for (;;) {
      const {body, status} = await this.#ask(
        this.#does('pages by number')
          ? {url: `/${table}/numbered`, query: {since: from ?? undefined, page: cursor, limit: PAGE}}
          : {url: `/${table}`, query: {[bound]: from ?? undefined, until, cursor, limit: PAGE}},
        ctx,
      );
      if (status === 429) return;
      const next = nextOf(body);
      if (this.#does('skips the last page') && next === null) return;
      yield this.#does('ignores errors in answers with status 200') ? lenientRecords(body) : recordsOf(body);
      if (next === null) return;
      if (met.has(next)) throw new IngestError('SOURCE_ERROR', `Page ${met.size} of ${table} leads back to itself.`);
      met.add(next);
      cursor = next;
    }
  }

  async #ask(request: HttpRequest, ctx: ReadContext): Promise<HttpReply<JsonValue>> {
    try {
      return await this.#http.json(request, ctx);
    } catch (error) {
      if (!this.#does('shows the token') || !isIngestError(error, 'AUTH_FAILED')) throw error;
      throw new IngestError('AUTH_FAILED', `The token ${this.#token} is wrong.`, {fix: 'Make another.'});
    }
  }

  #row(row: JsonObject, ctx: ReadContext): JsonObject {
    return this.#does('adds the time of reading') ? {...row, read_at: ctx.clock.nowMs()} : row;
  }

  #check(table: string): void {
    if (TABLES.includes(table) || this.#does('knows no unknown tables')) return;
    const close = didYouMean(table, TABLES);
    const fix = close === null ? `It has ${TABLES.join(', ')}.` : `Did you mean "${close}"?`;
    throw new IngestError('UNKNOWN_TABLE', `The shop has no table "${table}".`, {fix});
  }
}

function recordsOf(body: JsonValue): readonly JsonObject[] {
  if (typeof body === 'object' && body !== null && 'data' in body && Array.isArray(body['data']))
    return body['data'] as readonly JsonObject[];
  throw new IngestError('SOURCE_ERROR', 'The shop answered without records.');
}

function lenientRecords(body: JsonValue): readonly JsonObject[] {
  return typeof body === 'object' && body !== null && 'data' in body ? recordsOf(body) : [];
}

function nextOf(body: JsonValue): string | null {
  return typeof body === 'object' && body !== null && 'next' in body && typeof body['next'] === 'string'
    ? body['next']
    : null;
}

function secondText(micros: bigint): string {
  return new Date(Number(micros / 1000n)).toISOString().replace(/\.\d+/, '');
}

function idOf(row: JsonValue | undefined): JsonValue {
  return typeof row === 'object' && row !== null && 'id' in row ? (row['id'] ?? null) : null;
}

const ITEM_WRITES: ProofWrites = {
  async insert(_, api) {
    const name = api.mark();
    const {id = null} = await api.send({method: 'POST', url: '/items', body: {kind: 'json', value: {name}}});
    return {id, name};
  },
  async update(_, {id}, api) {
    const name = `Changed ${api.mark()}`;
    await api.send({method: 'PATCH', url: `/items/${String(id)}`, body: {kind: 'json', value: {name}}});
    return {name};
  },
  async delete(_, {id}, api) {
    await api.send({method: 'DELETE', url: `/items/${String(id)}`});
  },
};

/** A proof of the shop's connector, with or without mistakes; `faults` are the only ones it has; time stands, or goes on with a clock. */
export function shopProof(
  mistakes: readonly Mistake[] = [],
  faults: readonly string[] | null = null,
  clock?: Pick<Clock, 'nowMs'>,
): ConnectorProof {
  const table = (collection: string) => ({
    collection,
    pagingStyle: 'cursor',
    pageSize: PAGE,
    create: (n: number) => ({id: n, name: `New ${n}`}),
    change: (n: number) => ({name: `Changed ${n}`}),
    recreates: collection === 'items',
    table: {tracksDeletes: collection === 'items'},
  });
  const {change: _, ...notes} = table('notes');
  return {
    definition: shopConnector(...mistakes),
    async start({seed}) {
      const simulator = await simulate(SHOP, {seed, ...(clock === undefined ? {} : {clock})});
      const source = simulatedSource(simulator, {
        connectionOptions: {base_url: simulator.url, token: TOKEN},
        wrongCredentials: {token: 'another-token'},
        withoutFaults: ['an expired page cursor', 'expired access tokens'],
      });
      if (faults === null) return source;
      return {...source, faults: (source.faults ?? []).filter(({name}) => faults.includes(name))};
    },
    tables: {
      items: collectionTable({...table('items'), table: {tracksDeletes: true, writes: ITEM_WRITES}}),
      notes: collectionTable({...notes, deletes: false}),
      parts: collectionTable({
        ...table('parts'),
        table: {isPartitioned: true, visibleAfterMs: 10_000, tracksDeletes: false},
      }),
    },
  };
}
