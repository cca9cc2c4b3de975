import {getEventListeners} from 'node:events';
import {get as httpGet} from 'node:http';

import {describe, expect, it, vi} from 'vitest';

import type {JsonObject} from '../core/json-value.ts';
import {pkceChallenge} from './auth.ts';
import {json} from './request.ts';
import type {EndpointSpec, SimulatorSpec} from './simulator-spec.ts';
import {simulate, type Simulator} from './simulator.ts';

const users: readonly JsonObject[] = [
  {id: 1, name: 'Ada', age: 36, at: '2024-01-01T00:00:00Z', team: 'a'},
  {id: 2, name: 'Bob', age: null, at: '2024-01-01T00:00:00.500Z', team: 'b'},
  {id: 3, name: 'Cy', age: 9, at: '2024-01-02T00:00:00Z', team: 'a'},
];

const endpoints: readonly EndpointSpec[] = [
  {
    path: '/users',
    list: 'users',
    params: {
      name: {role: 'filter', field: 'name'},
      not: {role: 'filter', field: 'age', op: 'ne'},
      min_age: {role: 'filter', field: 'age', op: 'gte'},
      ids: {role: 'filter', field: 'id', op: 'in'},
      starts: {role: 'filter', field: 'name', op: 'prefix'},
      between: {role: 'filter', field: 'age', op: 'between'},
      since: {role: 'since', field: 'at'},
      from: {role: 'filter', field: 'at', op: 'gte', as: 'epochSeconds'},
      sort: {role: 'sort', options: {age: 'age', name: 'name'}},
      order: {role: 'order'},
      fields: {role: 'fields'},
    },
    wrap: {records: 'data', extras: {object: 'list'}},
  },
  {path: '/users/{id}', get: 'users', scope: {id: 'id'}},
  {path: '/teams/{team}/users', list: 'users', scope: {team: 'team'}},
  {path: '/users', create: 'users'},
  {path: '/users/{id}', update: 'users', scope: {id: 'id'}},
  {path: '/users/{id}', delete: 'users', scope: {id: 'id'}},
  {path: '/deleted', list: 'users', of: 'deleted'},
];

const spec: SimulatorSpec = {
  name: 'users',
  collections: {users: {key: 'id', rows: users, updatedAt: {field: 'at'}}},
  endpoints,
};

describe('a simulator', () => {
  it('filters by text, number, list, prefix, range and time', async () => {
    await using simulator = await simulate(spec);
    const ids = async (query: string): Promise<unknown> => {
      const {data} = await get<{data: {id: number}[]}>(simulator, `/users?${query}`);
      return data.map(({id}) => id);
    };
    expect(await ids('name=Ada')).toEqual([1]);
    expect(await ids('min_age=10')).toEqual([1]);
    expect(await ids('not=36')).toEqual([2, 3]);
    expect(await ids('ids=3,1')).toEqual([1, 3]);
    expect(await ids('starts=C')).toEqual([3]);
    expect(await ids('between=9,36')).toEqual([1, 3]);
    expect(await ids('since=2024-01-01T00:00:00.500Z')).toEqual([2, 3]);
    expect(await ids('since=2024-01-01T00:00:00.4Z')).toEqual([2, 3]);
    expect(await ids('from=1704067201')).toEqual([3]);
    expect(await ids('sort=age')).toEqual([3, 1, 2]);
    expect(await ids('sort=name&order=desc')).toEqual([3, 2, 1]);
    expect(await ids('sort=-name')).toEqual([3, 2, 1]);
  });

  it('serves rows, wraps them, and picks fields', async () => {
    await using simulator = await simulate(spec);
    expect(await get(simulator, '/users?ids=2&fields=name')).toEqual({object: 'list', data: [{id: 2, name: 'Bob'}]});
    expect(await get(simulator, '/users/2')).toEqual(users[1]);
    expect(await get(simulator, '/teams/a/users')).toEqual([users[0], users[2]]);
    expect((await fetch(`${simulator.url}/users/9`)).status).toBe(404);
    expect((await fetch(`${simulator.url}/nothing`)).status).toBe(404);
    expect((await fetch(`${simulator.url}/teams/a/users`, {method: 'DELETE'})).status).toBe(405);
    expect((await fetch(`${simulator.url}/users?sort=height`)).status).toBe(400);
  });

  it('changes rows over HTTP and from tests alike, and stamps them', async () => {
    await using simulator = await simulate(spec);
    const collection = simulator.collection('users');
    simulator.clock.advance(1000);
    const made = await send(simulator, 'POST', '/users', {name: 'Dan', team: 'b'});
    expect(made).toMatchObject({status: 201, body: {id: 4, name: 'Dan', at: '2025-01-01T00:00:01.000Z'}});
    simulator.clock.setSkew(60_000);
    expect((await send(simulator, 'PATCH', '/users/1', {age: 37})).body).toMatchObject({
      age: 37,
      at: '2025-01-01T00:01:01.000Z',
    });
    expect((await send(simulator, 'POST', '/users', {id: 1})).status).toBe(409);
    expect((await send(simulator, 'DELETE', '/users/2')).status).toBe(204);
    collection.update(3, {name: 'Cyd'});
    expect(collection.rows().map(({id}) => id)).toEqual([1, 3, 4]);
    expect(collection.tombstones().map(({key}) => key)).toEqual([{id: 2}]);
    expect(collection.events().map(({kind, row}) => [kind, row['id']])).toEqual([
      ['insert', 4],
      ['update', 1],
      ['delete', 2],
      ['update', 3],
    ]);
    expect(await get(simulator, '/deleted')).toMatchObject([{id: 2}]);
    collection.insert({id: 2, name: 'Bob II'});
    expect(await get(simulator, '/deleted')).toEqual([]);
    expect(collection.tombstones()).toEqual([]);
  });

  it('shows writes to lists only when they are old enough', async () => {
    const late = {...spec, collections: {users: {key: 'id', rows: users, visibleAfterMs: 5000}}};
    await using simulator = await simulate(late);
    const collection = simulator.collection('users');
    collection.update(1, {name: 'Eve'});
    collection.delete(2);
    collection.insert({id: 4, name: 'New'});
    const names = async (): Promise<unknown> =>
      (await get<{data: {name: string}[]}>(simulator, '/users')).data.map(({name}) => name);
    expect(await names()).toEqual(['Ada', 'Bob', 'Cy']);
    simulator.clock.advance(4999);
    expect(await names()).toEqual(['Ada', 'Bob', 'Cy']);
    simulator.clock.advance(1);
    expect(await names()).toEqual(['Eve', 'Cy', 'New']);
  });

  it('serves HTTPS with a certificate of its own authority', async () => {
    await using simulator = await simulate(spec, {https: true});
    const {Agent, request} = await import('undici');
    const dispatcher = new Agent({connect: {ca: simulator.caPem ?? ''}});
    const answer = await request(`${simulator.url}/users/1`, {dispatcher});
    expect(await answer.body.json()).toEqual(users[0]);
    await expect(fetch(`${simulator.url}/users/1`)).rejects.toThrow();
    await dispatcher.close();
  });

  it('records what was asked', async () => {
    await using simulator = await simulate(spec);
    await fetch(`${simulator.url}/users?name=Ada`, {headers: {'x-me': '1'}});
    expect(simulator.requests).toMatchObject([
      {method: 'GET', path: '/users', query: 'name=Ada', status: 200, route: '/users', headers: {'x-me': '1'}},
    ]);
  });

  it('gives an ETag and answers 304 to who has the body', async () => {
    await using simulator = await simulate({...spec, endpoints: [{path: '/users', list: 'users', etag: true}]});
    const first = await fetch(`${simulator.url}/users`);
    const etag = first.headers.get('etag') ?? '';
    const again = (): Promise<Response> => fetch(`${simulator.url}/users`, {headers: {'if-none-match': etag}});
    expect((await again()).status).toBe(304);
    simulator.collection('users').update(1, {name: 'Eve'});
    expect((await again()).status).toBe(200);
  });

  it('caches bodies until a row changes', async () => {
    let calls = 0;
    const map = (row: JsonObject): JsonObject => {
      calls++;
      return row;
    };
    const cached = {...spec, endpoints: [{path: '/users', list: 'users', cache: true, map}]};
    await using simulator = await simulate(cached);
    const first = await get(simulator, '/users');
    expect(await get(simulator, '/users')).toEqual(first);
    expect(calls).toBe(3);
    simulator.collection('users').delete(1);
    expect(await get(simulator, '/users')).toHaveLength(2);
  });

  it('lets any number of requests wait, and keeps nothing of those that have left', async () => {
    const warnings: string[] = [];
    const note = (warning: Error): void => void warnings.push(warning.name);
    const listening = vi.spyOn(EventTarget.prototype, 'addEventListener');
    process.on('warning', note);
    try {
      const spec: SimulatorSpec = {name: 'slow', endpoints: [{path: '/rows', handler: () => json([])}]};
      await using simulator = await simulate(spec, {latencyMs: 100});
      const status = (): Promise<number> =>
        new Promise((resolve) => {
          httpGet(`${simulator.url}/rows`, {agent: false}, (reply) => {
            reply.resume();
            reply.once('end', () => resolve(reply.statusCode ?? 0));
          }).once('error', () => resolve(0));
        });
      expect(await Promise.all(Array.from({length: 20}, status))).toEqual(Array.from({length: 20}, () => 200));
      simulator.setLatencyMs(0);
      simulator.faults.add({fault: {kind: 'hang'}, times: 20});
      const hanging = Array.from({length: 20}, () =>
        httpGet(`${simulator.url}/rows`, {agent: false}).on('error', () => undefined),
      );
      await vi.waitFor(() => expect(simulator.requestCount).toBe(40), {timeout: 20_000});
      for (const request of hanging) request.destroy();
      const signals = new Set(listening.mock.contexts.filter((target) => target instanceof AbortSignal));
      expect(signals.size).toBeGreaterThan(0);
      const left = (): number => [...signals].flatMap((signal) => getEventListeners(signal, 'abort')).length;
      await vi.waitFor(() => expect(left()).toBe(0), {timeout: 20_000});
      expect(warnings).toEqual([]);
    } finally {
      process.off('warning', note);
      listening.mockRestore();
    }
  }, 60_000);

  it('is the same for equal seeds', async () => {
    const made = async (seed: number): Promise<unknown> => {
      const fields = {id: {kind: 'sequence'}, n: {kind: 'number', min: 0, max: 1e6}} as const;
      const random = {name: 'r', collections: {r: {key: 'id', generate: {count: 20, fields}}}};
      await using simulator = await simulate({...random, endpoints: [{path: '/r', list: 'r'}]}, {seed});
      return await get(simulator, '/r');
    };
    expect(await made(7)).toEqual(await made(7));
    expect(await made(7)).not.toEqual(await made(8));
  });

  it('refuses an endpoint over a collection that does not exist', async () => {
    await expect(simulate({name: 'x', endpoints: [{path: '/a', list: 'a'}]})).rejects.toMatchObject({
      code: 'INVALID_SPEC',
    });
  });
});

describe('a handler', () => {
  it('answers itself and may use lists', async () => {
    const handlers: readonly EndpointSpec[] = [
      {
        method: 'POST',
        path: '/search',
        handler: (request, context) =>
          context.list(request, {
            list: 'users',
            params: {limit: {role: 'limit', in: 'body'}, after: {role: 'offset', in: 'body'}},
            paging: {style: 'offset', next: {body: 'paging.next.after'}, nextAs: 'text', total: {body: 'total'}},
            wrap: {records: 'results'},
          }),
      },
      {method: 'POST', path: '/add', handler: (_, {collection}) => json(collection('users').insert({id: 1}))},
      {method: 'POST', path: '/touch', handler: (_, {collection}) => json(collection('users').update(99, {}))},
      {
        path: '/bug',
        handler: () => {
          throw new Error('a bug of the handler');
        },
      },
      {path: '/broken', handler: (_, context) => context.error({status: 418, body: {is: '{message}'}}, 'a teapot')},
    ];
    await using simulator = await simulate({...spec, endpoints: handlers});
    const page = await send(simulator, 'POST', '/search', {limit: 2});
    expect(page.body).toMatchObject({total: 3, paging: {next: {after: '2'}}, results: [{id: 1}, {id: 2}]});
    expect((await send(simulator, 'POST', '/search', {limit: 2, after: '2'})).body).toEqual({
      total: 3,
      results: [users[2]],
    });
    const failed = await fetch(`${simulator.url}/bug`);
    expect([failed.status, await failed.text()]).toEqual([500, 'The simulator failed: a bug of the handler']);
    expect((await send(simulator, 'POST', '/add')).status).toBe(409);
    expect((await send(simulator, 'POST', '/touch')).status).toBe(404);
    expect(await send(simulator, 'GET', '/broken')).toEqual({status: 418, body: {is: 'a teapot'}});
  });
});

describe('logins', () => {
  const list: EndpointSpec = {path: '/users', list: 'users'};

  it('take a key, basic credentials, and a token', async () => {
    const auths = [
      {path: '/key', auth: {kind: 'apiKey', in: 'header', name: 'X-Key', keys: ['k']}, list: 'users'},
      {path: '/basic', auth: {kind: 'basic', users: [{username: 'u', password: 'p:q'}]}, list: 'users'},
      {path: '/bearer', auth: {kind: 'bearer', tokens: ['t'], schemes: ['token']}, list: 'users'},
    ] as const;
    await using simulator = await simulate({...spec, endpoints: auths});
    const status = async (path: string, headers: Record<string, string>): Promise<number> =>
      (await fetch(`${simulator.url}${path}`, {headers})).status;
    expect(await status('/key', {'x-key': 'k'})).toBe(200);
    expect(await status('/key', {'x-key': 'other'})).toBe(401);
    expect(await status('/basic', {authorization: `Basic ${Buffer.from('u:p:q').toString('base64')}`})).toBe(200);
    expect(await status('/basic', {authorization: `Basic ${Buffer.from('u:p').toString('base64')}`})).toBe(401);
    expect(await status('/bearer', {authorization: 'token t'})).toBe(200);
    expect(await status('/bearer', {authorization: 'Bearer t'})).toBe(401);
  });

  it('rotate refresh tokens and end access tokens after some uses and some time', async () => {
    await using simulator = await simulate({
      ...spec,
      auth: {
        kind: 'oauth2',
        tokenPath: '/token',
        grants: ['refresh_token'],
        clients: [{id: 'c', secret: 's'}],
        refreshTokens: ['r1'],
        rotates: true,
        lifetimeSeconds: 60,
        maxUses: 2,
      },
      endpoints: [list],
    });
    const refresh = (token: string): Promise<{status: number; body: JsonObject}> =>
      form(simulator, '/token', {
        grant_type: 'refresh_token',
        refresh_token: token,
        client_id: 'c',
        client_secret: 's',
      });
    const ask = async (token: unknown): Promise<number> =>
      (await fetch(`${simulator.url}/users`, {headers: {authorization: `Bearer ${String(token)}`}})).status;
    const first = (await refresh('r1')).body;
    expect(first).toMatchObject({expires_in: 60, token_type: 'Bearer'});
    expect((await refresh('r1')).body).toEqual({error: 'invalid_grant'});
    expect(await ask(first['access_token'])).toBe(200);
    expect(await ask(first['access_token'])).toBe(200);
    expect(await ask(first['access_token'])).toBe(401);
    const second = (await refresh(String(first['refresh_token']))).body;
    simulator.clock.advance(60_000);
    expect(await ask(second['access_token'])).toBe(401);
    expect(await ask('made up')).toBe(401);
  });

  it('refuse a client that says its secret twice or wrongly', async () => {
    await using simulator = await simulate({
      ...spec,
      auth: {kind: 'oauth2', tokenPath: '/token', grants: ['client_credentials'], clients: [{id: 'c', secret: 's'}]},
    });
    const basic = {authorization: `Basic ${Buffer.from('c:s').toString('base64')}`};
    const grant = {grant_type: 'client_credentials'};
    expect((await form(simulator, '/token', grant, basic)).status).toBe(200);
    expect((await form(simulator, '/token', {...grant, client_id: 'c', client_secret: 's'}, basic)).status).toBe(401);
    expect((await form(simulator, '/token', {...grant, client_id: 'c', client_secret: 'x'})).status).toBe(401);
    expect((await form(simulator, '/token', {grant_type: 'password'})).body).toEqual({error: 'unsupported_grant_type'});
  });

  it('send the browser back with a code that is good once and only with its verifier', async () => {
    await using simulator = await simulate({
      ...spec,
      auth: {
        kind: 'oauth2',
        tokenPath: '/token',
        authorizePath: '/authorize',
        grants: ['authorization_code', 'refresh_token'],
        clients: [{id: 'c'}],
      },
      endpoints: [list],
    });
    const redirect = 'http://127.0.0.1:9/callback';
    const verifier = 'v'.repeat(43);
    const code = async (): Promise<string> => {
      const query = new URLSearchParams({
        response_type: 'code',
        client_id: 'c',
        redirect_uri: redirect,
        state: 'xyz',
        code_challenge: pkceChallenge(verifier),
        code_challenge_method: 'S256',
      });
      const page = await fetch(`${simulator.url}/authorize?${query.toString()}`, {redirect: 'manual'});
      const back = new URL(page.headers.get('location') ?? '');
      expect(back.searchParams.get('state')).toBe('xyz');
      return back.searchParams.get('code') ?? '';
    };
    const exchange = (value: string, code_verifier: string): Promise<{status: number; body: JsonObject}> =>
      form(simulator, '/token', {
        grant_type: 'authorization_code',
        code: value,
        redirect_uri: redirect,
        client_id: 'c',
        code_verifier,
      });
    const good = await code();
    expect((await exchange(good, verifier)).body).toHaveProperty('refresh_token');
    expect((await exchange(good, verifier)).status).toBe(400);
    expect((await exchange(await code(), 'wrong')).status).toBe(400);
    const bare = `${simulator.url}/authorize?response_type=code&client_id=c&redirect_uri=${redirect}`;
    const refused = await fetch(bare, {redirect: 'manual'});
    expect(refused.headers.get('location')).toContain('error=invalid_request');
  });

  it('keep sessions by header or cookie', async () => {
    await using simulator = await simulate({
      ...spec,
      auth: {
        kind: 'session',
        loginPath: '/login',
        users: [{username: 'u', password: 'p'}],
        send: {header: 'X-Session'},
        tokenPath: 'session.id',
      },
      endpoints: [list],
    });
    expect((await form(simulator, '/login', {username: 'u', password: 'x'})).status).toBe(401);
    const {session} = (await form(simulator, '/login', {username: 'u', password: 'p'})).body as {session: {id: string}};
    const ask = async (): Promise<number> =>
      (await fetch(`${simulator.url}/users`, {headers: {'x-session': session.id}})).status;
    expect(await ask()).toBe(200);
    simulator.auth.expireTokens();
    expect(await ask()).toBe(401);
  });
});

async function get<T = unknown>(simulator: Simulator, path: string): Promise<T> {
  return (await (await fetch(`${simulator.url}${path}`)).json()) as T;
}

async function send(
  simulator: Simulator,
  method: string,
  path: string,
  body?: unknown,
): Promise<{readonly status: number; readonly body: unknown}> {
  const init = body === undefined ? {} : {body: JSON.stringify(body), headers: {'content-type': 'application/json'}};
  const answer = await fetch(`${simulator.url}${path}`, {method, ...init});
  const text = await answer.text();
  return {status: answer.status, body: text === '' ? null : (JSON.parse(text) as unknown)};
}

async function form(
  simulator: Simulator,
  path: string,
  fields: Record<string, string>,
  headers: Record<string, string> = {},
): Promise<{readonly status: number; readonly body: JsonObject}> {
  const answer = await fetch(`${simulator.url}${path}`, {method: 'POST', body: new URLSearchParams(fields), headers});
  return {status: answer.status, body: (await answer.json()) as JsonObject};
}
