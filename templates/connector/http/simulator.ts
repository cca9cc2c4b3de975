import {simulate, type SimulatorSpec} from 'sluice/simulator';
import {collectionTable, simulatedSource, type ConnectorProof, type ProofWrites} from 'sluice/testkit';

import mySource from './index.ts';

const TOKEN = 'token-of-the-simulator';
const PAGE_ROWS = 12;
const MINUTE_MS = 60_000;

/** My source as its documents describe it: a real HTTP server over rows that change. Make it like the API that you read. */
export function mySourceSimulator(rows: number): SimulatorSpec {
  const number = Array.from({length: rows}, (_, index) => index + 1);
  return {
    name: 'My source',
    auth: {kind: 'bearer', tokens: [TOKEN], unauthorized: {status: 401, body: {error: {message: 'invalid token'}}}},
    errors: {badRequest: {status: 400, body: {error: {message: '{message}'}}}},
    collections: {
      labels: {key: 'id', rows: number.map((id) => ({id, name: `Label ${id}`, color: 'green'}))},
      items: {
        key: 'id',
        updatedAt: {field: 'updated_at'},
        // Three rows share each time: a page border falls among them sooner or later.
        rows: ({nowMs}) =>
          number.map((id) => ({
            id,
            title: `Item ${id}`,
            price: id / 4,
            tags: id % 5 === 0 ? [] : [`tag ${id % 5}`],
            updated_at: new Date(nowMs - (rows - Math.floor(id / 3)) * MINUTE_MS).toISOString(),
          })),
        // A deleted row is kept, leaves the list of items and appears in the list of deleted ones.
        deletes: {field: 'is_deleted'},
      },
    },
    endpoints: [
      {
        path: '/labels',
        list: 'labels',
        params: {cursor: {role: 'cursor'}, limit: {role: 'limit', default: PAGE_ROWS, max: PAGE_ROWS}},
        paging: {style: 'cursor', next: {body: 'next_cursor'}, whenLast: 'null'},
        wrap: {records: 'data'},
      },
      ...(['rows', 'deleted'] as const).map((of) => ({
        path: of === 'rows' ? '/items' : '/items/deleted',
        list: 'items',
        of,
        params: {
          updated_since: {role: 'since', field: 'updated_at'},
          cursor: {role: 'cursor'},
          limit: {role: 'limit', default: PAGE_ROWS, max: PAGE_ROWS},
        } as const,
        sort: [{field: 'updated_at'}],
        paging: {style: 'cursor', next: {body: 'next_cursor'}, whenLast: 'null'} as const,
        wrap: {records: 'data'},
      })),
      ...['labels', 'items'].flatMap((name) => [
        {path: `/${name}`, create: name},
        {path: `/${name}/{id}`, update: name, scope: {id: 'id'}},
        {path: `/${name}/{id}`, delete: name, scope: {id: 'id'}},
      ]),
    ],
  };
}

/** Writes by the API's own endpoints, with the login of the connection: so they write to a sandbox as well. */
function writesTo(path: string, column: string, row: Readonly<Record<string, string>> = {}): ProofWrites {
  return {
    async insert(_, api) {
      const value = {...row, [column]: api.mark()};
      const {id = null} = await api.send({method: 'POST', url: path, body: {kind: 'json', value}});
      return {id, ...value};
    },
    async update(_, {id}, api) {
      const value = {[column]: api.mark()};
      await api.send({method: 'PATCH', url: `${path}/${String(id)}`, body: {kind: 'json', value}});
      return value;
    },
    async delete(_, {id}, api) {
      await api.send({method: 'DELETE', url: `${path}/${String(id)}`});
    },
  };
}

/** What proves the connector: `sluice connector test .` runs the suites with it. */
export const mySourceProof: ConnectorProof = {
  definition: mySource,
  async start({seed, rows}) {
    const simulator = await simulate(mySourceSimulator(rows ?? 30), {seed});
    return simulatedSource(simulator, {
      connectionOptions: {base_url: simulator.url, token: TOKEN},
      wrongCredentials: {token: 'another-token'},
      // Tokens of this API do not expire.
      withoutFaults: ['expired access tokens'],
    });
  },
  tables: {
    labels: collectionTable({
      collection: 'labels',
      pagingStyle: 'cursor',
      create: (n) => ({id: n, name: `New ${n}`, color: 'blue'}),
      change: (n) => ({name: `Renamed ${n}`}),
      table: {writes: writesTo('/labels', 'name', {color: 'blue'})},
    }),
    items: collectionTable({
      collection: 'items',
      pagingStyle: 'cursor',
      create: (n) => ({id: n, title: `New ${n}`, price: 1.5, tags: []}),
      change: (n) => ({title: `Changed ${n}`}),
      recreates: true,
      table: {writes: writesTo('/items', 'title')},
    }),
  },
};
