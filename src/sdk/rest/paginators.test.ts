import {describe, expect, it} from 'vitest';

import type {JsonObject} from '../../core/json-value.ts';
import {
  connectorOf,
  openConnector,
  readContext,
  rowsOf,
  serve,
  testClock,
  TestFlow,
  type ApiReply,
  type ApiRequest,
} from './rest-fixture.support.test.ts';
import type {Listing, Paginator} from './rest-request.ts';
import type {RestTable} from './rest-spec.ts';

const ROWS: readonly JsonObject[] = Array.from({length: 23}, (_, index) => ({
  id: index + 1,
  group: Math.floor(index / 12),
}));
const CLOCK = testClock(Date.parse('2026-01-01T00:00:00Z'));

function tableOf(list: Listing): RestTable {
  return {
    name: 'things',
    primaryKeys: ['id'],
    ingestionType: 'snapshot',
    schema: 'id BIGINT NOT NULL',
    read: {kind: 'snapshot', list},
  };
}

/** Reads a listing of an API; also in batches of one page. */
async function ids(list: Listing, handle: (request: ApiRequest) => ApiReply): Promise<readonly number[]> {
  await using api = await serve(handle);
  const connector = openConnector(connectorOf(api, [tableOf(list)]));
  const flow = new TestFlow(connector, 'things', {clock: CLOCK});
  await flow.trigger(() => 'cut');
  await connector.close?.();
  return [...flow.rows.values()].map(({id}) => Number(id));
}

const ALL = ROWS.map(({id}) => Number(id));

function slice(request: ApiRequest, from: number, cap = 5): readonly JsonObject[] {
  return ROWS.slice(from, from + Math.min(cap, Number(request.query.get('size') ?? cap)));
}

const SIZE = {slot: {query: 'size'}, value: 10};

describe('paginators give every record once', () => {
  it('by number, though the source gives fewer than asked', async () => {
    const list: Listing = {request: {url: '/'}, paginator: {kind: 'page', slot: {query: 'page'}, size: SIZE}};
    expect(await ids(list, (request) => ({body: slice(request, (Number(request.query.get('page')) - 1) * 5)}))).toEqual(
      ALL,
    );
  });

  it('by offset', async () => {
    const list: Listing = {request: {url: '/'}, paginator: {kind: 'offset', slot: {query: 'offset'}, size: SIZE}};
    expect(await ids(list, (request) => ({body: slice(request, Number(request.query.get('offset')))}))).toEqual(ALL);
  });

  for (const kind of ['page', 'offset'] as const) {
    it(`by ${kind}, though a page in the middle is shorter than the others`, async () => {
      const list: Listing = {request: {url: '/'}, paginator: {kind, slot: {query: 'at'}, size: {...SIZE, value: 5}}};
      const found = await ids(list, ({query}) => {
        const from = kind === 'page' ? (Number(query.get('at')) - 1) * 5 : Number(query.get('at'));
        // What may not be seen is left out after the page was counted off.
        return {body: ROWS.slice(from, from + 5).filter(({id}) => id !== 8)};
      });
      expect(found).toEqual(ALL.filter((id) => id !== 8));
    });
  }

  it('by the Link header, relative links too', async () => {
    const list: Listing = {request: {url: '/a', query: {x: 1}}, paginator: {kind: 'nextUrl', from: 'link'}};
    const found = await ids(list, (request) => {
      const at = Number(request.query.get('at') ?? 0);
      expect(request.query.get('x')).toBe('1');
      const link =
        at + 5 < ROWS.length ? {link: `</a?x=1>; rel="first", </a?x=1&at=${at + 5}>; rel="next"; title="a, b"`} : {};
      return {body: slice(request, at), headers: link};
    });
    expect(found).toEqual(ALL);
  });

  it('by key, cut and gone on with after every page', async () => {
    const list: Listing = {
      request: {url: '/'},
      paginator: {kind: 'keyset', fields: ['id'], slots: [{query: 'after'}], size: {...SIZE, value: 5, isExact: true}},
    };
    expect(await ids(list, (request) => ({body: slice(request, Number(request.query.get('after') ?? 0))}))).toEqual(
      ALL,
    );
  });

  it('of a GraphQL connection', async () => {
    const list: Listing = {
      request: {url: '/graphql', body: {kind: 'json', value: {query: '{…}', variables: {first: 5}}}},
      paginator: {kind: 'graphqlRelay', connection: 'data.things'},
    };
    const found = await ids(list, (request) => {
      const {variables} = request.body as {readonly variables: JsonObject};
      const at = Number(variables['after'] ?? 0);
      expect(variables['first']).toBe(5);
      return {
        body: {
          data: {
            things: {
              nodes: slice(request, at),
              pageInfo: {hasNextPage: at + 5 < ROWS.length, endCursor: String(at + 5)},
            },
          },
        },
      };
    });
    expect(found).toEqual(ALL);
  });

  it('of a job that is created, awaited, listed and cleaned up', async () => {
    let polls = 0;
    const seen: string[] = [];
    const list: Listing = {
      request: {url: '/jobs', method: 'POST', body: {kind: 'json', value: {}}},
      paginator: {
        kind: 'asyncJob',
        id: 'id',
        poll: (id) => ({url: `/jobs/${id}`}),
        state: 'state',
        done: ['done'],
        failed: ['failed'],
        results: (id) => ({url: `/jobs/${id}/results`}),
        cleanup: (id) => ({url: `/jobs/${id}`, method: 'DELETE'}),
        total: 'total',
      },
      decode: {kind: 'csv'},
    };
    const found = await ids(list, ({method, path}) => {
      seen.push(method);
      if (method === 'POST') return {body: {id: 'j1'}};
      if (path.endsWith('/results')) return {text: `id\n${ALL.join('\n')}\n`, headers: {'content-type': 'text/csv'}};
      return {body: {state: ++polls > 2 ? 'done' : 'running', total: ROWS.length}};
    });
    expect(found).toEqual(ALL);
    expect(seen.at(-1)).toBe('DELETE');
  });

  it('of a search with a cap, though more rows than the cap share a value', async () => {
    const list: Listing = {
      request: {url: '/search', query: {from: -1}},
      paginator: {
        kind: 'windowRestart',
        inner: {kind: 'offset', slot: {query: 'offset'}, size: {slot: {query: 'size'}, value: 3}},
        cap: 6,
        field: 'group',
        id: 'id',
        restart: (request, from) => ({...request, query: {from}}),
        drain: (request, value, afterId) => ({...request, query: {only: value, after: afterId ?? 0}}),
        after: (value) => Number(value) + 1,
      },
    };
    const found = await ids(list, ({query}) => {
      const only = query.get('only');
      const rows = ROWS.filter(({id, group}) =>
        only === null
          ? Number(group) >= Number(query.get('from'))
          : Number(group) === Number(only) && Number(id) > Number(query.get('after')),
      );
      const offset = Number(query.get('offset'));
      if (offset + 3 > 6) return {status: 400, body: {error: 'beyond the cap'}};
      return {body: rows.slice(offset, offset + 3)};
    });
    expect([...found].sort((left, right) => left - right)).toEqual(ALL);
  });

  it('in smaller pages where the source cannot give large ones', async () => {
    const list: Listing = {
      request: {url: '/'},
      paginator: {kind: 'page', slot: {query: 'page'}, size: {slot: {query: 'size'}, value: 8, isExact: true}},
    };
    const found = await ids(list, ({query}) => {
      const [page, size] = [Number(query.get('page')), Number(query.get('size'))];
      return size > 2 ? {status: 413, body: {}} : {body: ROWS.slice((page - 1) * size, page * size)};
    });
    expect(found).toEqual(ALL);
  });

  it('with fields that come in several requests, asked again when a record changed in between', async () => {
    let requests = 0;
    const list: Listing = {
      request: ({fields}) => ({url: '/', query: {fields: fields.join(',')}}),
      fieldChunks: {fields: ['a', 'b', 'c'], maxCount: 2, key: 'id', version: 'v', merge: 'p'},
    };
    await using api = await serve(({query}) => {
      const names = (query.get('fields') ?? '').split(',');
      const v = ++requests <= 1 ? 0 : 1;
      return {body: [{id: 1, v, p: Object.fromEntries(names.map((name) => [name, name]))}]};
    });
    const connector = openConnector(connectorOf(api, [tableOf(list)]));
    const flow = new TestFlow(connector, 'things', {clock: CLOCK});
    await flow.trigger();
    expect(flow.rows.get('1')).toEqual({id: 1, v: 1, p: {a: 'a', b: 'b', c: 'c'}});
    expect(requests).toBeGreaterThan(2);
    await connector.close?.();
  });
});

describe('bodies that are read piece by piece', () => {
  const LINES = Array.from({length: 5000}, (_, index) => ({id: index + 1, text: 'x'.repeat(100)}));
  const lines = (rows: readonly JsonObject[]): ApiReply => ({
    text: rows.map((row) => `${JSON.stringify(row)}\n`).join(''),
    headers: {'content-type': 'application/x-ndjson'},
  });

  for (const kind of ['page', 'offset', 'keyset'] as const)
    it(`go on by ${kind} from all of their records`, async () => {
      const size = {slot: {query: 'size'}, value: 2000};
      const paginator: Paginator =
        kind === 'keyset'
          ? {kind, fields: ['id'], slots: [{query: 'at'}], size}
          : {kind, slot: {query: 'at'}, size, ...(kind === 'page' ? {first: 0} : {})};
      const list: Listing = {request: {url: '/'}, decode: {kind: 'ndjson'}, paginator};
      const found = await ids(list, ({query}) => {
        const at = Number(query.get('at') ?? 0) * (kind === 'page' ? 2000 : 1);
        return lines(LINES.slice(at, at + 2000));
      });
      expect(found).toHaveLength(LINES.length);
      expect(new Set(found).size).toBe(LINES.length);
    });

  const UNSEEN: readonly (readonly [string, Partial<Listing>])[] = [
    ['a cursor in the body', {paginator: {kind: 'cursor', slot: {query: 'c'}, next: {body: 'n'}}}],
    ['a flag in the body', {paginator: {kind: 'page', slot: {query: 'p'}, hasMore: 'm'}}],
    ['a count in the body', {paginator: {kind: 'offset', slot: {query: 'o'}, size: SIZE, total: 't'}}],
    ['a URL in the body', {paginator: {kind: 'nextUrl', from: {body: 'n'}}}],
    ['an OData body', {paginator: {kind: 'odata'}}],
    ['fields in several requests', {fieldChunks: {fields: ['a'], key: 'id'}}],
  ];
  for (const [name, part] of UNSEEN)
    it(`are refused where they would need ${name}`, async () => {
      const list: Listing = {request: {url: '/'}, decode: {kind: 'ndjson'}, ...part};
      await expect(ids(list, () => lines([{id: 1}]))).rejects.toMatchObject({code: 'INVALID_SPEC'});
    });
});

describe('a snapshot', () => {
  it('leaves out a row that comes again on a later page, but none for want of a key', async () => {
    const pages = [
      [{id: 1}, {id: null, n: 1}, {n: 2}],
      [{id: 1}, {id: null, n: 3}, {id: 'null'}],
    ];
    await using api = await serve(({query}) => ({body: pages[Number(query.get('page')) - 1] ?? []}));
    const list: Listing = {request: {url: '/'}, paginator: {kind: 'page', slot: {query: 'page'}}};
    const connector = openConnector(connectorOf(api, [tableOf(list)]));
    const rows: JsonObject[] = [];
    for await (const page of connector.readTable('things', null, {}, readContext())) rows.push(...rowsOf(page));
    expect(rows).toEqual([{id: 1}, {id: null, n: 1}, {n: 2}, {id: null, n: 3}, {id: 'null'}]);
    await connector.close?.();
  });
});

describe('a snapshot whose source does not enforce its keys', () => {
  it('gives other rows of a key to whoever checks keys, and counts those that are the same', async () => {
    const pages = [
      [{id: 1}, {id: 2, n: 1}],
      [{id: 2, n: 1}, {id: 2, n: 2}, {id: 3}],
    ];
    await using api = await serve(({query}) => ({body: pages[Number(query.get('page')) - 1] ?? []}));
    const list: Listing = {request: {url: '/'}, paginator: {kind: 'page', slot: {query: 'page'}}};
    const connector = openConnector(connectorOf(api, [{...tableOf(list), keysEnforced: false}]));
    const rows: JsonObject[] = [];
    const notes: (string | undefined)[] = [];
    const ctx = {...readContext(), progress: ({note}: {readonly note?: string}) => void notes.push(note)};
    for await (const page of connector.readTable('things', null, {}, ctx)) rows.push(...rowsOf(page));
    expect(rows).toEqual([{id: 1}, {id: 2, n: 1}, {id: 2, n: 2}, {id: 3}]);
    expect(notes).toEqual(['things: rows that came again, the same in all they have, and count once: 1.']);
    await connector.close?.();
  });
});

describe('listings that go wrong are errors, never short tables', () => {
  const CASES: readonly (readonly [string, Listing, (request: ApiRequest) => ApiReply])[] = [
    [
      'a cursor that comes twice',
      {request: {url: '/'}, records: 'd', paginator: {kind: 'cursor', slot: {query: 'c'}, next: {body: 'n'}}},
      () => ({body: {d: [{id: 1}], n: 'x'}}),
    ],
    [
      'cursors that go round in a circle behind a beginning',
      {request: {url: '/'}, records: 'd', paginator: {kind: 'cursor', slot: {query: 'c'}, next: {body: 'n'}}},
      ({query}) => {
        const at = Number(query.get('c') ?? 0);
        return {body: {d: [{id: at}], n: String(at < 12 ? at + 1 : 8)}};
      },
    ],
    [
      'empty pages without end',
      {request: {url: '/'}, records: 'd', paginator: {kind: 'page', slot: {query: 'p'}, hasMore: 'm'}},
      () => ({body: {d: [], m: true}}),
    ],
    [
      'one page again and again',
      {request: {url: '/'}, paginator: {kind: 'page', slot: {query: 'p'}, size: SIZE}},
      () => ({body: [{id: 1}]}),
    ],
    [
      'pages of lines without end',
      {request: {url: '/'}, decode: {kind: 'ndjson'}, paginator: {kind: 'page', slot: {query: 'p'}, size: SIZE}},
      () => ({text: '{"id":1}'}),
    ],
    [
      'more pages than allowed',
      {request: {url: '/'}, records: 'd', maxPages: 3, paginator: {kind: 'page', slot: {query: 'p'}, hasMore: 'm'}},
      () => ({body: {d: [{id: 1}], m: true}}),
    ],
    [
      'fewer records than the source counts',
      {
        request: {url: '/'},
        records: 'd',
        paginator: {kind: 'offset', slot: {query: 'o'}, size: {slot: {query: 's'}, value: 5}, total: 't'},
      },
      ({query}) => ({body: {d: query.get('o') === '0' ? [{id: 1}] : [], t: 3}}),
    ],
    [
      'more to come without a cursor',
      {
        request: {url: '/'},
        records: 'd',
        paginator: {kind: 'cursor', slot: {query: 'c'}, next: {body: 'n'}, hasMore: 'm'},
      },
      () => ({body: {d: [{id: 1}], m: true}}),
    ],
    [
      'more to come behind an empty page whose last record would be the cursor',
      {
        request: {url: '/'},
        records: 'd',
        paginator: {kind: 'cursor', slot: {query: 'c'}, next: {lastRecord: 'id'}, hasMore: 'm'},
      },
      ({query}) => ({body: {d: query.get('c') === null ? [{id: 1}] : [], m: true}}),
    ],
    [
      'a page that is not the last without a cursor',
      {
        request: {url: '/'},
        records: 'd',
        paginator: {kind: 'cursor', slot: {query: 'c'}, next: {body: 'n'}, isLast: 'l'},
      },
      () => ({body: {d: [{id: 1}], l: false}}),
    ],
    [
      'more to come without a URL',
      {request: {url: '/'}, records: 'd', paginator: {kind: 'nextUrl', from: {body: 'n'}, hasMore: 'm'}},
      () => ({body: {d: [{id: 1}], m: true}}),
    ],
    [
      'a next URL without the parameter that is taken of it',
      {request: {url: '/'}, records: 'd', paginator: {kind: 'nextUrl', from: {body: 'n'}, onlyParam: 'c'}},
      () => ({body: {d: [{id: 1}], n: '/?other=1'}}),
    ],
    [
      'more to come in a GraphQL connection without a cursor',
      {request: {url: '/'}, paginator: {kind: 'graphqlRelay', connection: 'data.things'}},
      () => ({body: {data: {things: {nodes: [{id: 1}], pageInfo: {hasNextPage: true, endCursor: null}}}}}),
    ],
    [
      'an answer without the GraphQL connection',
      {request: {url: '/'}, paginator: {kind: 'graphqlRelay', connection: 'data.things'}},
      () => ({body: {data: null, errors: [{message: 'no'}]}}),
    ],
    [
      'fewer records than the source counts, in pages that became smaller',
      {
        request: {url: '/'},
        records: 'd',
        paginator: {
          kind: 'page',
          slot: {query: 'p'},
          first: 0,
          size: {slot: {query: 's'}, value: 5, isExact: true},
          total: 't',
        },
      },
      ({query}) => {
        const [page, size] = [Number(query.get('p')), Number(query.get('s'))];
        // The second page is too large, and one record less is there than is counted.
        if (size === 5 && page === 1) return {status: 413, body: {}};
        return {body: {d: ROWS.slice(0, 8).slice(page * size, (page + 1) * size), t: 9}};
      },
    ],
    ['a success without the list', {request: {url: '/'}, records: 'd'}, () => ({body: {error: 'no'}})],
    [
      'a success that reports an error',
      {
        request: {url: '/'},
        records: 'd',
        errors: [{when: {status: 200, body: {path: 'status', equals: 'failure'}}, then: 'fail', code: 'SOURCE_ERROR'}],
      },
      () => ({body: {d: [{id: 1}], status: 'failure'}}),
    ],
    [
      'an error in the middle of a list',
      {request: {url: '/'}, emptyWhen: [{status: 404}], paginator: {kind: 'page', slot: {query: 'p'}}},
      ({query}) => (query.get('p') === '1' ? {body: [{id: 1}]} : {status: 404, body: {}}),
    ],
  ];

  for (const [name, list, handle] of CASES) {
    it(name, async () => {
      await expect(ids(list, handle)).rejects.toMatchObject({code: 'SOURCE_ERROR'});
    });
  }

  it('names the fields that an answer has where its records should be, and no values', async () => {
    const handle = (): ApiReply => ({body: {dta: [{id: 1}], next: 'a secret', 'ada@example.com': 1}});
    const error: unknown = await ids({request: {url: '/'}, records: 'data'}, handle).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      message: expect.stringMatching(/has nothing at "data"\. It has dta, next\.$/) as string,
    });
  });
});
