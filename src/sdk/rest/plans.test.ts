import fc from 'fast-check';
import {describe, expect, it} from 'vitest';

import {seededRandom} from '../../core/clock.ts';
import type {JsonObject} from '../../core/json-value.ts';
import {
  byId,
  connectorOf,
  openConnector,
  serve,
  stops,
  testClock,
  TestFlow,
  type ApiReply,
  type ApiRequest,
  type TestApi,
} from './rest-fixture.support.test.ts';
import type {RequestScope} from './rest-request.ts';
import type {RestTable} from './rest-spec.ts';

const T0 = Date.parse('2026-01-01T00:00:00Z');

/** Rows by id with deletes, a list by cursor pages and a log of events or changes. */
class Store {
  readonly rows = new Map<number, JsonObject>();
  readonly events: JsonObject[] = [];
  /** Events before this index are gone. */
  forgotten = 0;
  #id = 0;
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  put(id: number): void {
    const row = {id, n: Number(this.rows.get(id)?.['n'] ?? 0) + 1};
    this.rows.set(id, row);
    this.#event('thing.updated', row);
  }

  delete(id: number): void {
    if (this.rows.delete(id)) this.#event('thing.deleted', {id});
  }

  list({query}: ApiRequest): JsonObject {
    const after = Number(query.get('after') ?? 0);
    const all = [...this.rows.values()]
      .sort((left, right) => Number(left['id']) - Number(right['id']))
      .filter(({id}) => Number(id) > after);
    return {data: all.slice(0, 3), has_more: all.length > 3, token: String(this.events.length)};
  }

  #event(type: string, object: JsonObject): void {
    this.events.push({id: `e${++this.#id}`, type, created: Math.floor(this.#now() / 1000), data: {object}});
  }
}

const LIST = {
  records: 'data',
  paginator: {kind: 'cursor', slot: {query: 'after'}, next: {lastRecord: 'id'}, hasMore: 'has_more'},
} as const;

describe('a token plan', () => {
  const table: RestTable = {
    name: 'things',
    primaryKeys: ['id'],
    ingestionType: 'cdc',
    schema: 'id BIGINT NOT NULL, n BIGINT',
    deletes: {kind: 'stream', isDeleted: (record) => record['deleted'] === true},
    read: {
      kind: 'token',
      initial: {request: {url: '/things'}, ...LIST},
      delta: {request: ({token}) => ({url: '/changes', query: {token: token ?? ''}}), records: 'data'},
      token: {body: 'token'},
      expiredWhen: [{status: 410}],
    },
  };

  function answer(store: Store, request: ApiRequest): ApiReply {
    if (request.path === '/things') return {body: store.list(request)};
    const from = Number(request.query.get('token'));
    if (from < store.forgotten) return {status: 410, body: {error: 'expired'}};
    const data = store.events.slice(from).map(({type, data: inner}): JsonObject => {
      const object = (inner as {readonly object: JsonObject}).object;
      return type === 'thing.deleted' ? {...object, deleted: true} : object;
    });
    return {body: {data, token: String(store.events.length)}};
  }

  it('ends batches within the listing of everything where the token was there before', async () => {
    const clock = testClock(T0);
    const store = new Store(() => clock.nowMs());
    for (let id = 1; id <= 20; id++) store.put(id);
    await using api = await serve((request) => answer(store, request));
    const {read} = table;
    if (read.kind !== 'token') throw new Error('no token plan');
    const early: RestTable = {
      ...table,
      read: {...read, firstToken: () => Promise.resolve(String(store.events.length))},
    };
    const connector = openConnector(connectorOf(api, [early]));
    const flow = new TestFlow(connector, 'things', {clock});
    let page = 0;
    const calls = await flow.trigger(() => {
      // What changes behind the listing comes by the token.
      store.put(1 + page++);
      return page % 4 === 0 ? 'kill' : 'cut';
    });
    expect(calls).toBeGreaterThan(5);
    await flow.trigger();
    expect(flow.rows).toEqual(byId(store.rows.values()));
    await connector.close?.();
  });

  it('follows the feed, and finds what is missing when its token has expired', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const random = seededRandom(seed);
        const clock = testClock(T0);
        const store = new Store(() => clock.nowMs());
        await using api = await serve((request) => answer(store, request));
        const connector = openConnector(connectorOf(api, [table]));
        const flow = new TestFlow(connector, 'things', {clock});
        for (let round = 0; round < 5; round++) {
          for (let at = 0; at < 6; at++) {
            const id = 1 + Math.floor(random() * 12);
            if (random() < 0.3) store.delete(id);
            else store.put(id);
          }
          if (random() < 0.4) store.forgotten = store.events.length;
          await flow.trigger(stops(seed + round));
          expect(flow.rows).toEqual(byId(store.rows.values()));
          clock.advance(3_600_000);
        }
        await connector.close?.();
      }),
      {numRuns: 4},
    );
  });

  it('applies what comes later though the clock is set back', async () => {
    const clock = testClock(T0);
    const store = new Store(() => clock.nowMs());
    for (const id of [1, 2, 3]) store.put(id);
    await using api = await serve((request) => answer(store, request));
    const connector = openConnector(connectorOf(api, [table]));
    const flow = new TestFlow(connector, 'things', {clock});
    await flow.trigger();
    for (let round = 0; round < 2; round++) {
      clock.advance(-60_000);
      store.put(1);
      store.delete(2 + round);
      await flow.trigger();
      expect(flow.rows).toEqual(byId(store.rows.values()));
    }
    await connector.close?.();
  });
});

describe('an event log plan', () => {
  const table: RestTable = {
    name: 'things',
    primaryKeys: ['id'],
    ingestionType: 'cdc',
    schema: 'id BIGINT NOT NULL, n BIGINT',
    read: {
      kind: 'eventLog',
      backfill: {request: {url: '/things'}, ...LIST},
      events: {
        request: ({cursor}) => ({url: '/events', query: {since: cursor ?? undefined}}),
        records: 'data',
        paginator: {kind: 'cursor', slot: {query: 'after'}, next: {lastRecord: 'id'}, hasMore: 'has_more'},
      },
      time: {field: 'created'},
      id: 'id',
      meaning: (event) => {
        const {object} = event['data'] as {readonly object: JsonObject};
        return {op: event['type'] === 'thing.deleted' ? 'delete' : 'upsert', row: object};
      },
      horizonSeconds: 86_400,
    },
  };

  function answer(store: Store, nowMs: number, request: ApiRequest): ApiReply {
    if (request.path === '/things') return {body: store.list(request)};
    const since = Math.max(Number(request.query.get('since')), nowMs / 1000 - 86_400);
    const all = store.events.filter(({created}) => Number(created) >= since).reverse();
    const after = request.query.get('after');
    const from = after === null ? 0 : all.findIndex(({id}) => id === after) + 1;
    return {body: {data: all.slice(from, from + 3), has_more: all.length > from + 3}};
  }

  it('applies what happens just after the listing though the clock of the source is behind', async () => {
    const clock = testClock(T0);
    const store = new Store(() => clock.nowMs() - 5000);
    for (const id of [1, 2, 3]) store.put(id);
    await using api = await serve((request) => answer(store, clock.nowMs(), request));
    const connector = openConnector(connectorOf(api, [table]));
    const flow = new TestFlow(connector, 'things', {clock});
    await flow.trigger();
    clock.advance(2000);
    store.put(1);
    store.delete(2);
    clock.advance(90_000);
    await flow.trigger();
    expect(flow.rows).toEqual(byId(store.rows.values()));
    // Beyond the horizon everything is listed again, and what is gone is deleted; it may come back at once.
    store.delete(3);
    clock.advance(100_000_000);
    await flow.trigger();
    clock.advance(2000);
    store.put(3);
    clock.advance(90_000);
    await flow.trigger();
    expect(flow.rows).toEqual(byId(store.rows.values()));
    await connector.close?.();
  });

  it('misses no event though the clock of this machine is ahead of the source', async () => {
    const clock = testClock(T0);
    const sourceMs = (): number => clock.nowMs() - 600_000;
    const store = new Store(sourceMs);
    for (const id of [1, 2, 3]) store.put(id);
    await using api = await serve((request) => ({
      ...answer(store, sourceMs(), request),
      headers: {date: new Date(sourceMs()).toUTCString()},
    }));
    const connector = openConnector(connectorOf(api, [table]));
    const flow = new TestFlow(connector, 'things', {clock});
    await flow.trigger();
    // Soon after the listing, soon after an event, and soon after a day on which nothing happened.
    for (const waitMs of [30_000, 30_000, 20_000_000, 30_000]) {
      clock.advance(waitMs);
      if (waitMs < 60_000) store.put(1);
      await flow.trigger();
      expect(flow.rows).toEqual(byId(store.rows.values()));
    }
    await connector.close?.();
  });

  it('applies the newest event of each object, and reads everything again beyond the horizon', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const random = seededRandom(seed);
        const clock = testClock(T0);
        const store = new Store(() => clock.nowMs());
        await using api = await serve((request) => answer(store, clock.nowMs(), request));
        const connector = openConnector(connectorOf(api, [table]));
        const flow = new TestFlow(connector, 'things', {clock});
        for (let round = 0; round < 6; round++) {
          for (let at = 0; at < 8; at++) {
            const id = 1 + Math.floor(random() * 9);
            if (random() < 0.3) store.delete(id);
            else store.put(id);
            if (random() < 0.5) clock.advance(1000);
          }
          await flow.trigger(stops(seed + round));
          expect(flow.rows).toEqual(byId(store.rows.values()));
          clock.advance(random() < 0.3 ? 100_000_000 : 30_000);
        }
        await connector.close?.();
      }),
      {numRuns: 4},
    );
  });
});

describe('a descending plan', () => {
  it('stops at the last pass and moves its offset only when a pass is done', async () => {
    const rows: {id: number; at: string}[] = [];
    const put = (id: number, atMs: number): void => {
      const known = rows.find((row) => row.id === id);
      if (known === undefined) rows.push({id, at: new Date(atMs).toISOString()});
      else known.at = new Date(atMs).toISOString();
    };
    await using api = await serve(({query}) => {
      const page = Number(query.get('page'));
      const sorted = [...rows].sort((left, right) =>
        left.at < right.at ? 1 : left.at > right.at ? -1 : right.id - left.id,
      );
      return {body: sorted.slice((page - 1) * 3, page * 3).map((row) => ({...row}))};
    });
    const table: RestTable = {
      name: 'things',
      primaryKeys: ['id'],
      cursorField: 'at',
      ingestionType: 'cdc',
      schema: 'id BIGINT NOT NULL, at TIMESTAMP',
      read: {
        kind: 'descending',
        list: {
          request: {url: '/'},
          paginator: {kind: 'page', slot: {query: 'page'}, size: {slot: {query: 'size'}, value: 3, isExact: true}},
        },
      },
    };
    const connector = openConnector(connectorOf(api, [table]));
    const clock = testClock(T0 + 1_000_000);
    const flow = new TestFlow(connector, 'things', {clock});
    for (let id = 0; id < 20; id++) put(id, T0 + Math.floor(id / 4) * 1000);
    await flow.trigger(stops(3));
    expect(flow.rows).toEqual(byId(rows));
    clock.advance(1000);
    put(3, T0 + 1_000_500);
    put(20, T0 + 1_000_500);
    const before = api.requests.length;
    await flow.trigger();
    expect(flow.rows).toEqual(byId(rows));
    expect(api.requests.length - before).toBeLessThanOrEqual(3);
    await connector.close?.();
  });
});

describe('a table with partitions', () => {
  const table: RestTable = {
    name: 'comments',
    primaryKeys: ['id'],
    cursorField: 'at',
    ingestionType: 'cdc',
    schema: 'id STRING NOT NULL, at BIGINT, repo STRING',
    partitions: {kind: 'parent', list: {request: {url: '/repos'}}, values: {repo: 'name'}},
    set: {repo: (_, {parent}) => parent['repo'] ?? null},
    read: {
      kind: 'sorted',
      format: 'epoch_seconds',
      list: {
        request: ({parent, cursor}) => ({
          url: `/repos/${encodeURIComponent(String(parent['repo']))}`,
          query: {since: cursor ?? undefined},
        }),
        emptyWhen: [{status: 404}],
      },
    },
  };

  it('is read once for every combination of a product, each with its own offset', async () => {
    const regions = {kind: 'list', name: 'region', values: ['eu', 'us']} as const;
    const stores = {
      kind: 'parent',
      list: {request: ({parent}: RequestScope) => ({url: `/stores/${String(parent['region'])}`})},
      values: {store: 'name'},
    } as const;
    await using api = await serve(({path, query}) => {
      const [, what, region, store] = path.split('/');
      if (what === 'stores') return {body: region === 'eu' ? [{name: 'a'}, {name: 'b'}] : [{name: 'c'}]};
      const row = {id: `${region}-${store}`, at: T0 / 1000};
      return {body: query.get('since') === null || Number(query.get('since')) <= row.at ? [row] : []};
    });
    const list = {
      request: ({parent, cursor}: RequestScope) => ({
        url: `/sales/${String(parent['region'])}/${String(parent['store'])}`,
        query: {since: cursor ?? undefined},
      }),
    };
    const sales: RestTable = {
      ...table,
      partitions: {kind: 'product', of: [regions, stores]},
      set: {},
      read: {kind: 'sorted', format: 'epoch_seconds', list},
    };
    const connector = openConnector(connectorOf(api, [sales]));
    const flow = new TestFlow(connector, 'comments', {clock: testClock(T0 + 1000)});
    await flow.trigger();
    expect([...flow.rows.keys()].sort()).toEqual(['eu-a', 'eu-b', 'us-c']);
    expect(Object.keys(flow.offset?.['parts'] ?? {})).toHaveLength(3);
    await connector.close?.();
    expect(() => connectorOf(api, [{...sales, partitions: {kind: 'product', of: []}}])).toThrow(
      'product of partitions',
    );
  });

  it('appends each row once though partitions are read ahead and every page ends a batch', async () => {
    const lists = new Map(
      ['a', 'b', 'c', 'd'].map((repo) => [
        repo,
        Array.from({length: 6}, (_, at): JsonObject => ({id: `${repo}${at}`, at: T0 / 1000 + at})),
      ]),
    );
    await using api = await serve(({path, query}) => {
      if (path === '/repos') return {body: [...lists.keys()].map((name) => ({name}))};
      const all = (lists.get(path.slice('/repos/'.length)) ?? []).filter(
        ({at}) => Number(at) >= Number(query.get('since') ?? 0),
      );
      const offset = Number(query.get('offset') ?? 0);
      return {body: all.slice(offset, offset + 2)};
    });
    const list = (table.read as Extract<RestTable['read'], {kind: 'sorted'}>).list;
    const paginator = {
      kind: 'offset',
      slot: {query: 'offset'},
      size: {slot: {query: 'limit'}, value: 2, isExact: true},
    } as const;
    const read: RestTable['read'] = {
      kind: 'sorted',
      format: 'epoch_seconds',
      lookbackSeconds: 3600,
      list: {...list, paginator},
    };
    const connector = openConnector(connectorOf(api, [{...table, ingestionType: 'append', read}]));
    const flow = new TestFlow(connector, 'comments', {clock: testClock(T0 + 10_000)});
    await flow.trigger(() => 'cut');
    const ids = [...lists.values()].flat().map(({id}) => id);
    expect(flow.appended.map(({id}) => id)).toEqual(ids);
    await connector.close?.();
  });

  it('is refused when rows are appended by groups of parents, which change with every new parent', () => {
    const partitions: RestTable['partitions'] = {
      kind: 'parent',
      list: {request: {url: '/repos'}},
      values: {repo: 'name'},
      groupSize: 10,
    };
    const api = {baseUrl: 'http://127.0.0.1'} as TestApi;
    expect(() => connectorOf(api, [{...table, partitions}])).not.toThrow();
    expect(() => connectorOf(api, [{...table, partitions, ingestionType: 'append'}])).toThrow(/append.*groups/);
  });

  for (const repos of [5, 120]) {
    it(`keeps an offset for each of ${repos}, in parallel, and skips those that are gone`, async () => {
      const comments = new Map<string, {id: string; at: number}[]>();
      for (let repo = 0; repo < repos; repo++)
        comments.set(`r${repo}-${'x'.repeat(400)}`, [{id: `${repo}`, at: T0 / 1000 + (repo % 3)}]);
      let most = 0;
      let active = 0;
      await using api = await serve(async ({path, query}) => {
        if (path === '/repos') return {body: [...comments.keys(), 'gone'].map((name) => ({name}))};
        active++;
        most = Math.max(most, active);
        await new Promise((resolve) => {
          setTimeout(resolve, 5);
        });
        active--;
        const list = comments.get(decodeURIComponent(path.slice('/repos/'.length)));
        return list === undefined
          ? {status: 404, body: {}}
          : {body: list.filter(({at}) => at >= Number(query.get('since') ?? 0)).map((one) => ({...one}))};
      });
      const connector = openConnector(connectorOf(api, [table]));
      const clock = testClock(T0 + 10_000);
      const flow = new TestFlow(connector, 'comments', {clock});
      let cuts = 0;
      await flow.trigger((page) => (page === 20 && cuts++ < 2 ? 'cut' : null));
      const all = (): Map<string, JsonObject> =>
        byId([...comments].flatMap(([repo, list]) => list.map((one) => ({...one, repo}))));
      expect(flow.rows).toEqual(all());
      expect(most).toBeGreaterThan(1);
      expect(JSON.stringify(flow.offset).length).toBeLessThan(65_536);
      clock.advance(60_000);
      for (const list of [...comments.values()].slice(0, 3)) list.push({id: `new${list[0]?.id}`, at: T0 / 1000 + 60});
      const before = api.requests.length;
      await flow.trigger();
      expect(flow.rows).toEqual(all());
      expect(api.requests.length - before).toBe(repos + 2);
      await connector.close?.();
    });
  }
});

describe('an expansion', () => {
  it('lists the children of changed parents, takes embedded ones and keeps the parents’ offset', async () => {
    const parents = [
      {id: 1, at: 1, kids: {data: [{id: 'a'}], more: false}},
      {id: 2, at: 2, kids: {data: [{id: 'b'}], more: true}},
      {id: 3, at: 3, kids: {data: [], more: false}},
    ];
    await using api = await serve(({path, query}) => {
      if (path === '/parents') return {body: parents.filter(({at}) => at >= Number(query.get('since') ?? 0))};
      return {body: [{id: 'b'}, {id: 'c'}]};
    });
    const table: RestTable = {
      name: 'kids',
      primaryKeys: ['id'],
      cursorField: 'at',
      ingestionType: 'cdc',
      schema: 'id STRING NOT NULL, parent BIGINT, at BIGINT',
      read: {
        kind: 'sorted',
        format: 'number',
        list: {request: ({cursor}) => ({url: '/parents', query: {since: cursor ?? undefined}})},
      },
      expand: {
        list: {request: ({parent}) => ({url: `/parents/${String(parent['id'])}`})},
        embedded: 'kids.data',
        hasMore: 'kids.more',
        include: {parent: 'id', at: 'at'},
      },
    };
    const connector = openConnector(connectorOf(api, [table]));
    const flow = new TestFlow(connector, 'kids', {clock: testClock(T0)});
    await flow.trigger(() => 'cut');
    expect([...flow.rows.values()]).toEqual([
      {id: 'a', parent: 1, at: 1},
      {id: 'b', parent: 2, at: 2},
      {id: 'c', parent: 2, at: 2},
    ]);
    expect(flow.offset).toMatchObject({cursor: 3});
    await connector.close?.();
  });

  it('appends the children of each parent once though parents are read ahead and every page ends a batch', async () => {
    const parents = Array.from({length: 9}, (_, at) => ({id: at, at: T0 / 1000 + at}));
    await using api = await serve(({path, query}) => {
      if (path !== '/parents') return {body: [{id: `${path.slice('/parents/'.length)}k`}]};
      const all = parents.filter(({at}) => at >= Number(query.get('since') ?? 0));
      const offset = Number(query.get('offset') ?? 0);
      return {body: all.slice(offset, offset + 2)};
    });
    const table: RestTable = {
      name: 'kids',
      primaryKeys: ['id'],
      cursorField: 'at',
      ingestionType: 'append',
      schema: 'id STRING NOT NULL, parent BIGINT, at BIGINT',
      read: {
        kind: 'sorted',
        format: 'epoch_seconds',
        lookbackSeconds: 3600,
        list: {
          request: ({cursor}) => ({url: '/parents', query: {since: cursor ?? undefined}}),
          paginator: {
            kind: 'offset',
            slot: {query: 'offset'},
            size: {slot: {query: 'limit'}, value: 2, isExact: true},
          },
        },
      },
      expand: {
        list: {request: ({parent}) => ({url: `/parents/${String(parent['id'])}`})},
        include: {parent: 'id', at: 'at'},
      },
    };
    const connector = openConnector(connectorOf(api, [table]));
    const flow = new TestFlow(connector, 'kids', {clock: testClock(T0 + 60_000)});
    await flow.trigger(() => 'cut');
    expect(flow.appended.map(({parent}) => parent)).toEqual(parents.map(({id}) => id));
    await connector.close?.();
  });
});

describe('deletes by a list of everything that is archived', () => {
  it('come once, and again when a row was restored and archived again', async () => {
    const live = new Map([[1, {id: 1, at: 1}]]);
    const gone = [{id: 7, archivedAt: 'x'}];
    await using api = await serve(({path}) => ({body: path === '/gone' ? [...gone] : [...live.values()]}));
    const table: RestTable = {
      name: 'things',
      primaryKeys: ['id'],
      cursorField: 'at',
      ingestionType: 'cdc_with_deletes',
      schema: 'id BIGINT NOT NULL, at BIGINT',
      read: {kind: 'sorted', format: 'number', list: {request: {url: '/things'}}},
      deletes: {kind: 'archived', list: {request: {url: '/gone'}}, version: 'archivedAt'},
    };
    const connector = openConnector(connectorOf(api, [table]));
    const flow = new TestFlow(connector, 'things', {clock: testClock(T0)});
    await flow.trigger();
    await flow.trigger();
    expect(flow.deleted).toEqual(['7']);
    gone.splice(0, 1, {id: 7, archivedAt: 'y'}, {id: 8, archivedAt: 'x'});
    await flow.trigger();
    expect(flow.deleted).toEqual(['7', '7', '8']);
    await connector.close?.();
  });
});
