import {describe, expect, it} from 'vitest';

import type {JsonObject} from '../core/json-value.ts';
import type {CursorPaging} from './paging-spec.ts';
import type {EndpointSpec, ListEndpoint, SimulatorSpec} from './simulator-spec.ts';
import {simulate, type Simulator} from './simulator.ts';

const rows = (count: number): readonly JsonObject[] =>
  Array.from({length: count}, (_, index) => ({id: index + 1, at: `2024-01-0${1 + Math.floor(index / 4)}T00:00:00Z`}));

function specOf(list: Omit<ListEndpoint, 'list'>, count = 10): SimulatorSpec {
  const endpoint: EndpointSpec = {path: '/things', list: 'things', wrap: {records: 'data'}, ...list};
  return {
    name: 'cursors',
    collections: {things: {key: 'id', rows: rows(count), updatedAt: {field: 'at'}}},
    endpoints: [endpoint],
  };
}

interface Page {
  readonly data: readonly JsonObject[];
  readonly next?: string | number | null;
  readonly delta?: string;
  readonly more?: boolean;
  readonly '@odata.nextLink'?: string;
  readonly '@odata.deltaLink'?: string;
}

describe('a cursor', () => {
  const cursor = (more: Partial<CursorPaging> = {}): Omit<ListEndpoint, 'list'> => ({
    params: {c: {role: 'cursor'}},
    sort: [{field: 'at'}],
    paging: {style: 'cursor', pageSize: 4, next: {body: 'next'}, hasMore: {body: 'more'}, ...more},
  });

  it('that remembers a place goes on behind it when rows before it are gone, one that remembers an offset does not', async () => {
    for (const [remembers, expected] of [
      ['key', [5, 6, 7, 8]],
      ['offset', [6, 7, 8, 9]],
    ] as const) {
      await using simulator = await simulate(specOf(cursor({remembers})));
      const {next} = await get(simulator, '/things');
      simulator.collection('things').delete(2);
      expect(ids(await get(simulator, `/things?c=${next}`))).toEqual(expected);
    }
  });

  it('expires by the clock and is refused when it is made up', async () => {
    await using simulator = await simulate(specOf(cursor({expiresAfterMs: 60_000})));
    const {next} = await get(simulator, '/things');
    simulator.clock.advance(59_999);
    expect(await status(simulator, `/things?c=${next}`)).toBe(200);
    simulator.clock.advance(1);
    expect(await status(simulator, `/things?c=${next}`)).toBe(410);
    expect(await status(simulator, '/things?c=made-up')).toBe(400);
  });

  it('of an endless list gives later what came since', async () => {
    await using simulator = await simulate(specOf(cursor({endless: true}), 6));
    const first = await get(simulator, '/things');
    const second = await get(simulator, `/things?c=${first.next}`);
    expect([ids(second), second.more]).toEqual([[5, 6], false]);
    const empty = await get(simulator, `/things?c=${second.next}`);
    expect(ids(empty)).toEqual([]);
    simulator.collection('things').update(1, {name: 'late'});
    expect(ids(await get(simulator, `/things?c=${empty.next}`))).toEqual([1]);
  });
});

describe('a keyset', () => {
  const keyset: Omit<ListEndpoint, 'list'> = {
    params: {starting_after: {role: 'after'}, ending_before: {role: 'before'}, limit: {role: 'limit', default: 3}},
    sort: [{field: 'at', descending: true}],
    paging: {style: 'keyset', hasMore: {body: 'more'}},
  };

  it('goes forwards and backwards from a row, newest first', async () => {
    await using simulator = await simulate(specOf(keyset));
    expect(ids(await get(simulator, '/things'))).toEqual([10, 9, 8]);
    expect(ids(await get(simulator, '/things?starting_after=8'))).toEqual([7, 6, 5]);
    expect(ids(await get(simulator, '/things?ending_before=5'))).toEqual([8, 7, 6]);
    expect(await get(simulator, '/things?starting_after=3')).toEqual({data: rows(2).toReversed(), more: false});
  });

  it('goes on from a row that was deleted, or refuses it as the vendor does', async () => {
    await using simulator = await simulate(specOf(keyset));
    simulator.collection('things').delete(8);
    expect(ids(await get(simulator, '/things?starting_after=8'))).toEqual([7, 6, 5]);
    expect(await status(simulator, '/things?starting_after=99')).toBe(400);
    await using strict = await simulate(specOf({...keyset, paging: {style: 'keyset', whenGone: 'error'}}));
    strict.collection('things').delete(8);
    expect(await status(strict, '/things?starting_after=8')).toBe(400);
  });
});

describe('a delta token', () => {
  const paging = {
    style: 'odata',
    pageSize: 4,
    delta: {next: {body: '@odata.deltaLink'}, param: '$deltatoken'},
  } as const;

  it('gives what changed since the list was begun, deletes among it, page by page', async () => {
    await using simulator = await simulate(specOf({paging}));
    const things = simulator.collection('things');
    const first = await get(simulator, '/things');
    expect(first['@odata.deltaLink']).toBeUndefined();
    // After the list was begun, before its end: must come with the delta.
    things.update(1, {name: 'while paging'});
    const second = await follow(first['@odata.nextLink']);
    const third = await follow(second['@odata.nextLink']);
    expect([ids(first), ids(second), ids(third)]).toEqual([
      [1, 2, 3, 4],
      [5, 6, 7, 8],
      [9, 10],
    ]);
    things.delete(2);
    for (const id of [3, 4, 5, 6]) things.update(id, {name: 'after'});
    things.insert({id: 11});
    const changes = await follow(third['@odata.deltaLink']);
    expect(changes.data).toMatchObject([
      {id: 1, name: 'while paging'},
      {id: 2, '@removed': {reason: 'deleted'}},
      {id: 3},
      {id: 4},
    ]);
    things.update(1, {name: 'once more'});
    const rest = await follow(changes['@odata.nextLink']);
    const later = await follow(rest['@odata.deltaLink']);
    expect([...ids(rest), ...ids(later)].filter((id) => id === 1).length).toBeGreaterThan(0);
    expect(ids(rest)).toEqual(expect.arrayContaining([5, 6, 11]));
    const quiet = await follow(later['@odata.deltaLink']);
    expect(quiet.data).toEqual([]);
  });

  it('expires', async () => {
    const delta = {next: {body: 'delta'}, nextAs: 'value', param: 'token', expiresAfterMs: 1000} as const;
    await using simulator = await simulate(specOf({paging: {style: 'cursor', delta}}, 2));
    const {delta: token} = await get(simulator, '/things');
    expect((await get(simulator, `/things?token=${token}`)).data).toEqual([]);
    simulator.clock.advance(1000);
    expect(await status(simulator, `/things?token=${token}`)).toBe(410);
  });
});

describe('a list', () => {
  it('reaches only so many rows, caps its pages, and refuses odd offsets', async () => {
    await using simulator = await simulate(
      specOf({
        params: {offset: {role: 'offset'}, limit: {role: 'limit', max: 4}},
        paging: {style: 'offset', multiple: true, reach: {rows: 8, reply: {status: 400, body: {is: '{message}'}}}},
      }),
    );
    expect(ids(await get(simulator, '/things?limit=100'))).toEqual([1, 2, 3, 4]);
    expect(ids(await get(simulator, '/things?limit=4&offset=4'))).toEqual([5, 6, 7, 8]);
    const beyond = await fetch(`${simulator.url}/things?limit=4&offset=8`);
    expect([beyond.status, await beyond.json()]).toEqual([400, {is: 'Only the first 8 rows can be reached.'}]);
    expect(await status(simulator, '/things?limit=4&offset=3')).toBe(400);
    expect(await status(simulator, '/things?limit=0')).toBe(400);
    expect(await status(simulator, '/things?limit=many')).toBe(400);
  });

  it('lists the log of changes, lines of JSON, and CSV', async () => {
    const list = {path: '/x', list: 'things'} as const;
    const spec: SimulatorSpec = {
      ...specOf({}, 2),
      endpoints: [
        {...list, path: '/events', of: 'events', params: {since: {role: 'filter', field: 'sequence', op: 'gt'}}},
        {...list, path: '/lines', wrap: {as: 'ndjson'}},
        {...list, path: '/csv', wrap: {as: 'csv'}},
      ],
    };
    await using simulator = await simulate(spec);
    simulator.collection('things').update(1, {name: 'a "b", c'});
    simulator.collection('things').delete(2);
    expect(await (await fetch(`${simulator.url}/events?since=1`)).json()).toMatchObject([
      {sequence: 2, kind: 'delete', row: {id: 2}},
    ]);
    expect(await (await fetch(`${simulator.url}/lines`)).text()).toBe(
      '{"id":1,"at":"2025-01-01T00:00:00.000Z","name":"a \\"b\\", c"}\n',
    );
    expect(await (await fetch(`${simulator.url}/csv`)).text()).toBe(
      'id,at,name\n1,2025-01-01T00:00:00.000Z,"a ""b"", c"\n',
    );
  });

  it('is a GraphQL connection when its page is in the variables of the body', async () => {
    const spec = specOf({
      params: {'variables.after': {role: 'cursor', in: 'body'}, 'variables.first': {role: 'limit', in: 'body', max: 4}},
      paging: {
        style: 'cursor',
        next: {body: 'data.things.pageInfo.endCursor'},
        hasMore: {body: 'data.things.pageInfo.hasNextPage'},
      },
      wrap: {records: 'data.things.edges'},
      map: (row) => ({node: row}),
    });
    const endpoints = spec.endpoints.map((endpoint): EndpointSpec => ({...endpoint, method: 'POST', path: '/graphql'}));
    await using simulator = await simulate({...spec, endpoints});
    const seen: unknown[] = [];
    for (let after: string | null = null, more = true; more;) {
      const body = JSON.stringify({query: '{things}', variables: {first: 4, after}});
      const answer: Response = await fetch(`${simulator.url}/graphql`, {method: 'POST', body});
      const {data} = (await answer.json()) as {
        data: {things: {edges: {node: JsonObject}[]; pageInfo: {endCursor?: string; hasNextPage: boolean}}};
      };
      seen.push(...data.things.edges.map(({node}) => node['id']));
      after = data.things.pageInfo.endCursor ?? null;
      more = data.things.pageInfo.hasNextPage;
    }
    expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  it('keeps numbers that a double would change', async () => {
    const exact: SimulatorSpec = {
      name: 'exact',
      collections: {n: {key: 'id', rows: [{id: 9007199254740993n}]}},
      endpoints: [{path: '/n', list: 'n'}],
    };
    await using simulator = await simulate(exact);
    expect(await (await fetch(`${simulator.url}/n`)).text()).toBe('[{"id":9007199254740993}]');
  });
});

async function get(simulator: Simulator, path: string): Promise<Page> {
  return await follow(`${simulator.url}${path}`);
}

async function follow(url: string | undefined): Promise<Page> {
  const answer = await fetch(url ?? 'no address');
  expect(answer.status).toBe(200);
  return (await answer.json()) as Page;
}

async function status(simulator: Simulator, path: string): Promise<number> {
  return (await fetch(`${simulator.url}${path}`)).status;
}

function ids(page: Page): readonly unknown[] {
  return page.data.map(({id}) => id);
}
