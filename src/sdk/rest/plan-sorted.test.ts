import fc from 'fast-check';
import {describe, expect, it} from 'vitest';

import {seededRandom} from '../../core/clock.ts';
import type {JsonObject} from '../../core/json-value.ts';
import {
  connectorOf,
  openConnector,
  serve,
  testClock,
  TestFlow,
  type ApiRequest,
  type Stop,
} from './rest-fixture.support.test.ts';
import type {Paginator, RequestScope} from './rest-request.ts';
import type {RestTable} from './rest-spec.ts';

const T0 = Date.parse('2026-01-01T00:00:00Z');

interface Row extends JsonObject {
  readonly id: number;
  readonly at: string;
  readonly value: number;
}

/** A list sorted by `at`, filtered by an inclusive `since`, with every style of pages. */
class Source {
  readonly rows = new Map<number, Row>();
  onRequest: () => void = () => undefined;
  #next = 1;

  insert(atMs: number): void {
    const id = this.#next++;
    this.rows.set(id, {id, at: new Date(atMs).toISOString(), value: 0});
  }

  touch(id: number, atMs: number): void {
    const row = this.rows.get(id);
    if (row !== undefined) this.rows.set(id, {...row, at: new Date(atMs).toISOString(), value: row.value + 1});
  }

  list({query}: ApiRequest): {readonly body: JsonObject; readonly headers?: Record<string, string>} {
    const since = query.get('since') ?? '';
    const size = Number(query.get('size') ?? 10);
    const sorted = [...this.rows.values()]
      .filter((row) => row.at >= since)
      .sort((left, right) => (left.at === right.at ? left.id - right.id : left.at < right.at ? -1 : 1));
    const after = query.get('after');
    const from =
      after === null
        ? (Number(query.get('page') ?? 1) - 1) * size + Number(query.get('offset') ?? 0)
        : sorted.findIndex((row) => `${row.at}~${String(row.id).padStart(6, '0')}` > after);
    const items = from < 0 ? [] : sorted.slice(from, from + size);
    const last = items.at(-1);
    const more = last !== undefined && sorted.at(-1) !== last;
    const next = more ? `${last.at}~${String(last.id).padStart(6, '0')}` : null;
    this.onRequest();
    return {body: {items, next, more}};
  }
}

const PAGINATORS = {
  page: {kind: 'page', slot: {query: 'page'}, size: {slot: {query: 'size'}, value: 7}},
  offset: {kind: 'offset', slot: {query: 'offset'}, size: {slot: {query: 'size'}, value: 7}, hasMore: 'more'},
  cursor: {kind: 'cursor', slot: {query: 'after'}, next: {body: 'next'}, size: {slot: {query: 'size'}, value: 7}},
} as const satisfies Readonly<Record<string, Paginator>>;

function tableOf(paginator: Paginator, more: Partial<RestTable> = {}): RestTable {
  return {
    name: 'things',
    primaryKeys: ['id'],
    cursorField: 'at',
    ingestionType: 'cdc',
    schema: 'id BIGINT NOT NULL, at TIMESTAMP, value BIGINT',
    read: {
      kind: 'sorted',
      list: {
        request: ({cursor}) => ({url: '/things', query: {since: cursor ?? undefined}}),
        records: 'items',
        paginator,
      },
    },
    ...more,
  };
}

/** Cuts and kills at random, but lets a call through in the end. */
function randomStops(seed: number): Stop {
  const random = seededRandom(seed);
  let left = 25;
  return () => {
    if (left-- <= 0) return null;
    const dice = random();
    return dice < 0.3 ? 'cut' : dice < 0.4 ? 'kill' : null;
  };
}

describe('a sorted plan', () => {
  for (const [style, paginator] of Object.entries(PAGINATORS)) {
    it(`reads every row once and ends, page by ${style}, whatever ties, cuts and kills`, async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.integer(),
          fc.integer({min: 0, max: 60}),
          fc.integer({min: 1, max: 25}),
          async (seed, count, ties) => {
            const source = new Source();
            const clock = testClock(T0 + 3_600_000);
            for (let at = 0; at < count; at++) source.insert(T0 + Math.floor(at / ties) * 1000);
            await using api = await serve((request) => source.list(request));
            const connector = openConnector(connectorOf(api, [tableOf(paginator)]));
            const flow = new TestFlow(connector, 'things', {clock});
            await flow.trigger(randomStops(seed));
            expect(flow.rows).toEqual(new Map([...source.rows].map(([id, row]) => [String(id), row])));
            clock.advance(60_000);
            for (let id = 1; id <= count; id += 3) source.touch(id, T0 + 3_600_000 + (id % 4) * 1000);
            source.insert(T0 + 3_600_000);
            await flow.trigger(randomStops(seed + 1));
            expect(flow.rows).toEqual(new Map([...source.rows].map(([id, row]) => [String(id), row])));
            await connector.close?.();
          },
        ),
        {numRuns: 4},
      );
    });

    if (style !== 'cursor')
      it(`loses no row that moves while answers are decoded piece by piece, page by ${style}`, async () => {
        const source = new Source();
        for (let at = 0; at < 40; at++) source.insert(T0 + at * 1000);
        let requests = 0;
        source.onRequest = () => {
          // Rows of the pages before move to the end, and all others up.
          if (++requests <= 3) source.touch(requests, T0 + 100_000 + requests);
        };
        await using api = await serve((request) => {
          const {items} = source.list(request).body;
          return {text: (Array.isArray(items) ? items : []).map((row) => `${JSON.stringify(row)}\n`).join('')};
        });
        const {slot, size} = paginator as (typeof PAGINATORS)['page' | 'offset'];
        const list = {
          request: ({cursor}: RequestScope) => ({url: '/things', query: {since: cursor ?? undefined}}),
          paginator: {kind: style, slot, size} as Paginator,
          decode: {kind: 'ndjson'},
        } as const;
        const connector = openConnector(connectorOf(api, [tableOf(paginator, {read: {kind: 'sorted', list}})]));
        const flow = new TestFlow(connector, 'things', {clock: testClock(T0 + 3_600_000)});
        await flow.trigger();
        expect(flow.rows).toEqual(new Map([...source.rows].map(([id, row]) => [String(id), row])));
        await connector.close?.();
      });

    it(`loses no row that changes between pages, page by ${style}`, async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.integer(),
          fc.integer({min: 20, max: 50}),
          fc.integer({min: 1, max: 20}),
          async (seed, count, ties) => {
            const source = new Source();
            const clock = testClock(T0 + 3_600_000);
            const random = seededRandom(seed);
            for (let at = 0; at < count; at++) source.insert(T0 + Math.floor(at / ties) * 1000);
            let changes = 12;
            source.onRequest = () => {
              if (changes-- > 0) source.touch(1 + Math.floor(random() * count), T0 + 3_000_000 + (12 - changes) * 10);
            };
            await using api = await serve((request) => source.list(request));
            const connector = openConnector(connectorOf(api, [tableOf(paginator)]));
            const flow = new TestFlow(connector, 'things', {clock});
            await flow.trigger(randomStops(seed));
            changes = 0;
            clock.advance(1000);
            await flow.trigger();
            expect(flow.rows).toEqual(new Map([...source.rows].map(([id, row]) => [String(id), row])));
            await connector.close?.();
          },
        ),
        {numRuns: 5},
      );
    });

    it(`appends every row exactly once, page by ${style}, though some join a value later`, async () => {
      await fc.assert(
        fc.asyncProperty(fc.integer(), fc.integer({min: 1, max: 80}), async (seed, ties) => {
          const source = new Source();
          const clock = testClock(T0 + 10_000);
          await using api = await serve((request) => source.list(request));
          const connector = openConnector(connectorOf(api, [tableOf(paginator, {ingestionType: 'append'})]));
          const flow = new TestFlow(connector, 'things', {clock});
          for (let round = 0; round < 4; round++) {
            for (let at = 0; at < ties / 4 + 1; at++) source.insert(T0 + 5000 + (round > 2 ? 1000 : 0));
            source.insert(T0 + 60_000);
            await flow.trigger(randomStops(seed + round));
            clock.advance(100);
          }
          clock.advance(120_000);
          await flow.trigger();
          expect(flow.appended.map(({id}) => Number(id)).sort((left, right) => left - right)).toEqual([
            ...source.rows.keys(),
          ]);
          await connector.close?.();
        }),
        {numRuns: 3},
      );
    });
  }

  it('appends no row twice when a page that holds several values ends a batch', async () => {
    const source = new Source();
    for (let at = 0; at < 30; at++) source.insert(T0 + Math.floor(at / 3) * 1000);
    await using api = await serve((request) => source.list(request));
    const connector = openConnector(connectorOf(api, [tableOf(PAGINATORS.page, {ingestionType: 'append'})]));
    const flow = new TestFlow(connector, 'things', {clock: testClock(T0 + 60_000)});
    await flow.trigger(() => 'cut');
    expect(flow.appended.map(({id}) => Number(id))).toEqual([...source.rows.keys()]);
    await connector.close?.();
  });

  for (const lookback of [0, 3600])
    it(`appends every version of a row, looking back ${lookback} s, also where many share a value`, async () => {
      const source = new Source();
      const clock = testClock(T0 + 60_000);
      for (let at = 0; at < 250; at++) source.insert(T0);
      await using api = await serve((request) => source.list(request));
      const table = tableOf(PAGINATORS.cursor, {ingestionType: 'append'});
      const read = {...table.read, lookbackSeconds: lookback} as RestTable['read'];
      const connector = openConnector(connectorOf(api, [{...table, read}]));
      const flow = new TestFlow(connector, 'things', {clock});
      await flow.trigger();
      for (let id = 1; id <= 250; id++) source.touch(id, T0 + 30_000);
      await flow.trigger();
      await flow.trigger();
      expect(flow.appended).toHaveLength(500);
      await connector.close?.();
    });

  it('asks once per trigger when nothing is new, and twice at most when something is', async () => {
    const source = new Source();
    const clock = testClock(T0 + 10_000);
    source.insert(T0);
    await using api = await serve((request) => source.list(request));
    const connector = openConnector(
      connectorOf(api, [tableOf({kind: 'cursor', slot: {query: 'after'}, next: {body: 'next'}})]),
    );
    const flow = new TestFlow(connector, 'things', {clock});
    await flow.trigger();
    expect(api.requests).toHaveLength(1);
    clock.advance(1000);
    await flow.trigger();
    expect(api.requests).toHaveLength(2);
    await connector.close?.();
  });

  it('never passes the start of the trigger less the lag', async () => {
    const source = new Source();
    const clock = testClock(T0 + 10_000);
    source.insert(T0);
    source.insert(T0 + 9000);
    await using api = await serve((request) => source.list(request));
    const table = tableOf({kind: 'none'});
    const lagging: RestTable = {...table, read: {...table.read, lagSeconds: 5} as RestTable['read']};
    const connector = openConnector(connectorOf(api, [lagging]));
    const flow = new TestFlow(connector, 'things', {clock});
    await flow.trigger();
    expect(flow.rows.size).toBe(2);
    expect(flow.offset?.['cursor']).toBe('2026-01-01T00:00:00.000Z');
    await connector.close?.();
  });

  it('fails as transient when rows are not ascending', async () => {
    await using api = await serve(() => ({
      body: {
        items: [
          {id: 1, at: '2026-01-02T00:00:00Z'},
          {id: 2, at: '2026-01-01T00:00:00Z'},
        ],
      },
    }));
    const connector = openConnector(connectorOf(api, [tableOf({kind: 'none'})]));
    await expect(new TestFlow(connector, 'things').trigger()).rejects.toMatchObject({
      code: 'CONTRACT_VIOLATION',
      class: 'transient',
    });
    await connector.close?.();
  });
});
