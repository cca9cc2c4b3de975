import {describe, expect, it} from 'vitest';

import type {JsonObject} from '../core/json-value.ts';
import type {RateLimitSpec} from './rate-limits.ts';
import type {EndpointSpec, SimulatorSpec} from './simulator-spec.ts';
import {simulate, type Simulator} from './simulator.ts';

const rows: readonly JsonObject[] = Array.from({length: 10}, (_, index) => ({id: index + 1}));
const things: EndpointSpec = {
  path: '/things',
  list: 'things',
  params: {page: {role: 'page'}, cursor: {role: 'ignore'}},
  paging: {style: 'page', pageSize: 4},
  wrap: {records: 'data'},
};
const spec: SimulatorSpec = {name: 'faulty', collections: {things: {key: 'id', rows}}, endpoints: [things]};

describe('faults', () => {
  it('answer otherwise once, at a request, every so many, and never after clear', async () => {
    await using simulator = await simulate(spec);
    const statuses = async (count: number): Promise<readonly number[]> => {
      const all: number[] = [];
      for (let index = 0; index < count; index++) all.push(await status(simulator, '/things'));
      return all;
    };
    simulator.faults.add({fault: {kind: 'answer', status: 429, headers: {'retry-after': '7'}, body: {e: 'slow'}}});
    expect(await statuses(3)).toEqual([429, 200, 200]);
    simulator.faults.add({fault: {kind: 'answer', status: 500}, nth: [2, 4]});
    expect(await statuses(5)).toEqual([200, 500, 200, 500, 200]);
    simulator.faults.clear();
    simulator.faults.add({fault: {kind: 'answer', status: 503}, every: 2, times: 2, path: '/things', method: 'GET'});
    expect(await statuses(6)).toEqual([200, 503, 200, 503, 200, 200]);
    simulator.faults.clear();
    expect(await statuses(2)).toEqual([200, 200]);
    expect(simulator.faults.count).toBe(5);
    expect(simulator.requests[0]?.faults).toEqual(['answer']);
  });

  it('are drawn by seed and address, whatever the order of requests, and let an address through at last', async () => {
    const failed = async (paths: readonly string[]): Promise<readonly string[]> => {
      await using simulator = await simulate(spec, {seed: 3});
      simulator.faults.add({fault: {kind: 'answer', status: 500}, probability: 0.5});
      const found: string[] = [];
      for (const path of paths) if ((await status(simulator, path)) === 500) found.push(path);
      return found.sort();
    };
    const paths = Array.from({length: 20}, (_, index) => `/things?page=${index}`);
    const forward = await failed(paths);
    expect(forward.length).toBeGreaterThan(3);
    expect(forward.length).toBeLessThan(17);
    expect(await failed(paths.toReversed())).toEqual(forward);
    await using simulator = await simulate(spec);
    simulator.faults.add({fault: {kind: 'answer', status: 500}, probability: 1});
    expect([await status(simulator, '/things'), await status(simulator, '/things')]).toEqual([500, 500]);
    expect(await status(simulator, '/things')).toBe(200);
  });

  it('cut connections before and within the body', async () => {
    await using simulator = await simulate(spec);
    simulator.faults.add({fault: {kind: 'reset'}});
    await expect(fetch(`${simulator.url}/things`)).rejects.toThrow();
    expect(simulator.requests.at(-1)?.status).toBe(0);
    simulator.faults.add({fault: {kind: 'reset', when: 'midBody'}});
    const cut = await fetch(`${simulator.url}/things`);
    expect(cut.status).toBe(200);
    await expect(cut.text()).rejects.toThrow();
    expect(await status(simulator, '/things')).toBe(200);
  });

  it('come late, hang, and stall in the body until the client leaves', async () => {
    await using simulator = await simulate(spec);
    simulator.faults.add({fault: {kind: 'slow', firstByteMs: 60}});
    const start = performance.now();
    expect(await status(simulator, '/things')).toBe(200);
    expect(performance.now() - start).toBeGreaterThanOrEqual(55);
    simulator.faults.add({fault: {kind: 'hang'}});
    await expect(fetch(`${simulator.url}/things`, {signal: AbortSignal.timeout(50)})).rejects.toThrow();
    simulator.faults.add({fault: {kind: 'stall'}});
    const stalled = await fetch(`${simulator.url}/things`, {signal: AbortSignal.timeout(80)});
    await expect(stalled.text()).rejects.toThrow();
  });

  it('give half of a body, and a body that is no JSON', async () => {
    await using simulator = await simulate(spec);
    for (const kind of ['truncate', 'malformed'] as const) {
      simulator.faults.add({fault: {kind}});
      const answer = await fetch(`${simulator.url}/things`);
      expect(answer.status).toBe(200);
      await expect(answer.json()).rejects.toThrow(SyntaxError);
    }
  });

  it('repeat, shuffle and hold up pages without losing a row', async () => {
    await using simulator = await simulate(spec);
    await page(simulator, 1);
    simulator.faults.add({fault: {kind: 'repeatRows'}});
    expect(await page(simulator, 2)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(await page(simulator, 2)).toEqual([5, 6, 7, 8]);
    simulator.faults.add({fault: {kind: 'stuckPage'}});
    expect(await page(simulator, 3)).toEqual([5, 6, 7, 8]);
    simulator.faults.add({fault: {kind: 'shuffleRows'}, times: 5});
    const shuffled = [await page(simulator, 1), await page(simulator, 1), await page(simulator, 1)];
    for (const ids of shuffled) expect(ids.toSorted()).toEqual([1, 2, 3, 4]);
    expect(new Set(shuffled.map(String)).size).toBeGreaterThan(1);
  });

  it('change rows before a request and end cursors and tokens', async () => {
    await using simulator = await simulate({...spec, auth: {kind: 'bearer'}});
    const token = simulator.auth.issueToken({principal: 'me'});
    const ask = (query: string): Promise<Response> =>
      fetch(`${simulator.url}/things?${query}`, {headers: {authorization: `Bearer ${token}`}});
    simulator.faults.add({fault: {kind: 'run', run: (one) => void one.collection('things').delete(1)}, nth: 2});
    simulator.faults.add({fault: {kind: 'expireCursor'}, nth: 3}, {fault: {kind: 'expireTokens'}, nth: 4});
    const ids = async (): Promise<unknown> => ((await (await ask('page=1')).json()) as {data: unknown}).data;
    expect(await ids()).toEqual([{id: 1}, {id: 2}, {id: 3}, {id: 4}]);
    expect(await ids()).toEqual([{id: 2}, {id: 3}, {id: 4}, {id: 5}]);
    expect((await ask('page=2')).status).toBe(410);
    expect((await ask('page=2')).status).toBe(401);
  });
});

describe('budgets', () => {
  const limited = (limit: Partial<RateLimitSpec>): SimulatorSpec => ({...spec, rateLimits: [{name: 'api', ...limit}]});

  it('say when they are refilled by the clock that stamps answers', async () => {
    await using simulator = await simulate(limited({max: 1, windowMs: 5000, headers: {reset: '{resetEpochSeconds}'}}));
    simulator.clock.setSkew(90_000);
    const answer = await fetch(`${simulator.url}/things`);
    const date = Date.parse(answer.headers.get('date') ?? '');
    expect(Number(answer.headers.get('reset')) * 1000 - date).toBe(5000);
  });

  it('refuse what is above a sliding window, tell its state, and remember the violation', async () => {
    const headers = {'X-Limit': '{limit}', 'X-Remaining': '{remaining}', 'X-Reset': 'in {resetSeconds}'};
    await using simulator = await simulate(limited({windowMs: 10_000, max: 2, headers}));
    const first = await fetch(`${simulator.url}/things`);
    expect([first.headers.get('x-limit'), first.headers.get('x-remaining')]).toEqual(['2', '1']);
    simulator.clock.advance(4000);
    expect(await status(simulator, '/things')).toBe(200);
    const refused = await fetch(`${simulator.url}/things`);
    expect([refused.status, refused.headers.get('retry-after'), refused.headers.get('x-reset')]).toEqual([
      429,
      '6',
      'in 6',
    ]);
    expect(simulator.violations).toEqual([
      {limit: 'api', path: '/things', atMs: expect.any(Number) as number, of: 'window'},
    ]);
    simulator.clock.advance(5999);
    expect(await status(simulator, '/things')).toBe(429);
    simulator.clock.advance(1);
    expect(await status(simulator, '/things')).toBe(200);
    expect(await status(simulator, '/things')).toBe(429);
  });

  it('begin anew with a fixed window', async () => {
    await using simulator = await simulate(limited({window: 'fixed', windowMs: 10_000, max: 1}));
    simulator.clock.advance(9_999);
    expect([await status(simulator, '/things'), await status(simulator, '/things')]).toEqual([200, 429]);
    simulator.clock.advance(1);
    expect(await status(simulator, '/things')).toBe(200);
  });

  it('count who asks apart, paths, and requests at once', async () => {
    await using simulator = await simulate({
      ...spec,
      auth: {kind: 'bearer', tokens: ['a', 'b']},
      endpoints: [things, {...things, path: '/slow', latencyMs: 60}],
      rateLimits: [
        {name: 'each', per: 'principal', paths: ['GET /things'], max: 1, windowMs: 1000},
        {name: 'at once', paths: ['/slow*'], concurrency: 1, exceeded: {status: 403, body: {is: '{message}'}}},
      ],
    });
    const ask = async (path: string, token: string): Promise<number> =>
      (await fetch(`${simulator.url}${path}`, {headers: {authorization: `Bearer ${token}`}})).status;
    expect([await ask('/things', 'a'), await ask('/things', 'b'), await ask('/things', 'a')]).toEqual([200, 200, 429]);
    const both = await Promise.all([ask('/slow', 'a'), ask('/slow', 'b')]);
    expect(both.toSorted()).toEqual([200, 403]);
    expect(await ask('/slow', 'a')).toBe(200);
    expect(simulator.violations.map(({of}) => of)).toEqual(['window', 'concurrency']);
  });

  it('refuse everything for a while after a violation', async () => {
    await using simulator = await simulate(limited({windowMs: 1000, max: 1, penaltyMs: 60_000}));
    expect([await status(simulator, '/things'), await status(simulator, '/things')]).toEqual([200, 429]);
    simulator.clock.advance(2000);
    const refused = await fetch(`${simulator.url}/things`);
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '58']);
  });

  it('let 304 go free when the vendor does', async () => {
    const endpoints = [{...things, etag: true}];
    await using simulator = await simulate({...limited({max: 2, windowMs: 1000, notModifiedIsFree: true}), endpoints});
    const etag = (await fetch(`${simulator.url}/things`)).headers.get('etag') ?? '';
    const again = async (): Promise<number> =>
      (await fetch(`${simulator.url}/things`, {headers: {'if-none-match': etag}})).status;
    expect([await again(), await again(), await again()]).toEqual([304, 304, 304]);
    expect([await status(simulator, '/things'), await status(simulator, '/things')]).toEqual([200, 429]);
  });
});

async function status(simulator: Simulator, path: string): Promise<number> {
  const answer = await fetch(`${simulator.url}${path}`);
  await answer.arrayBuffer();
  return answer.status;
}

async function page(simulator: Simulator, number: number): Promise<readonly number[]> {
  const answer = await fetch(`${simulator.url}/things?page=${number}`);
  const {data} = (await answer.json()) as {data: {id: number}[]};
  return data.map(({id}) => id);
}
