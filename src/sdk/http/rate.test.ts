import {describe, expect, it} from 'vitest';

import {adaptiveConcurrency} from './concurrency.ts';
import {answer, clientOf, closeAfterEach, contextOf, manualClock, serve, until} from './local-http.support.test.ts';

closeAfterEach();

/** The most arrivals in any window. */
function mostIn(arrivals: readonly number[], windowMs: number): number {
  let most = 0;
  let start = 0;
  for (let end = 0; end < arrivals.length; end++) {
    while ((arrivals[end] ?? 0) - (arrivals[start] ?? 0) >= windowMs) start++;
    most = Math.max(most, end - start + 1);
  }
  return most;
}

describe('a declared budget', () => {
  it('is never exceeded as the source counts, and at least nine tenths of it are used', async () => {
    const arrivals: number[] = [];
    const origin = await serve((_, response) => {
      arrivals.push(performance.now());
      setTimeout(() => {
        answer(response, 200, {});
      }, 100);
    });
    const perSecond = 40;
    const api = clientOf({baseUrl: origin, rate: {requestsPerSecond: perSecond}, maxConcurrency: 32});
    await api.json({url: '/warm'}, contextOf());
    const worker = async (stop: number): Promise<void> => {
      while (performance.now() < stop) await api.json({url: '/x'}, contextOf());
    };
    let used = 0;
    // A machine that has no time cannot use a budget: it may try again. Going over it is never forgiven.
    for (let attempt = 0; attempt < 4 && used < perSecond * 2 * 0.9; attempt++) {
      const startedAt = performance.now();
      await Promise.all(Array.from({length: 32}, () => worker(startedAt + 3100)));
      expect(mostIn(arrivals, 1000)).toBeLessThanOrEqual(perSecond);
      // Whole windows, the first (cold) one left out.
      const from = startedAt + 1000;
      used = arrivals.filter((at) => at >= from && at < from + 2000).length;
    }
    expect(used).toBeGreaterThanOrEqual(perSecond * 2 * 0.9);
  });

  it('counts only what it is declared for', async () => {
    const origin = await serve((_, response) => {
      answer(response, 200, {});
    });
    const clock = manualClock();
    const budgets = [{requests: 1, perSeconds: 60, matches: ({url}: {url: URL}) => url.pathname === '/search'}];
    const api = clientOf({baseUrl: origin, rate: {budgets}, maxConcurrency: 2}, {clock});
    await api.json({url: '/search'}, contextOf());
    const second = api.json({url: '/search'}, contextOf());
    await until(() => clock.sleeping().length === 1);
    for (let call = 0; call < 3; call++) await api.json({url: '/other'}, contextOf());
    while (clock.sleeping().length > 0) {
      clock.advance(1000);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    expect((await second).status).toBe(200);
    expect(clock.nowMs() - 1_750_000_000_000).toBeGreaterThanOrEqual(60_000);
  });
});

describe('a learned budget', () => {
  it('stops before the source would refuse, and goes on when it is refilled', async () => {
    const clock = manualClock();
    const resetSeconds = clock.nowMs() / 1000 + 30;
    let left = 6;
    let refused = 0;
    const origin = await serve((_, response) => {
      if (left === 0) refused++;
      left = Math.max(0, left - 1);
      const headers = {'x-limit': '6', 'x-left': String(left), 'x-reset': String(resetSeconds)};
      setTimeout(() => {
        answer(response, 200, {}, headers);
      }, 5);
    });
    const learnFrom = [{remaining: 'x-left', reset: 'x-reset', unit: 'epochSeconds', limit: 'x-limit'}] as const;
    const api = clientOf({baseUrl: origin, rate: {learnFrom}}, {clock});
    await api.json({url: '/first'}, contextOf());
    const calls = Array.from({length: 8}, (_, index) => api.json({url: `/${index}`}, contextOf()));
    await until(() => clock.sleeping().length === 3);
    expect([left, refused]).toEqual([0, 0]);
    expect(clock.sleeping()).toEqual([30_000, 30_000, 30_000]);
    left = 6;
    clock.advance(30_000);
    await Promise.all(calls);
    expect(refused).toBe(0);
  });

  it('ends the run when the refill is too far away', async () => {
    const origin = await serve((_, response) => {
      answer(response, 200, {}, {'x-left': '0', 'x-reset': '4000'});
    });
    const learnFrom = [{remaining: 'x-left', reset: 'x-reset', unit: 'seconds'}] as const;
    const api = clientOf({baseUrl: origin, rate: {learnFrom}});
    await api.json({url: '/'}, contextOf());
    await expect(api.json({url: '/'}, contextOf())).rejects.toMatchObject({code: 'THROTTLED'});
  });
});

describe('adaptive concurrency', () => {
  it('halves once for all that were throttled together, and grows by one per window of successes', () => {
    const places = adaptiveConcurrency(8);
    places.throttled(10, 20);
    places.throttled(11, 21);
    expect(places.limit).toBe(4);
    places.throttled(22, 30);
    places.throttled(40, 50);
    places.throttled(60, 70);
    expect(places.limit).toBe(1);
    places.succeeded();
    expect(places.limit).toBe(2);
    places.succeeded();
    places.succeeded();
    expect(places.limit).toBe(3);
    for (let success = 0; success < 100; success++) places.succeeded();
    expect(places.limit).toBe(8);
  });

  it('gives places in the order of asking, and takes back those that leave', async () => {
    const places = adaptiveConcurrency(1);
    const order: string[] = [];
    const stop = new AbortController();
    const never = new AbortController().signal;
    await places.acquire(never);
    const leaving = places.acquire(stop.signal);
    const one = places.acquire(never).then(() => order.push('one'));
    const two = places.acquire(never).then(() => order.push('two'));
    stop.abort(new Error('enough'));
    await expect(leaving).rejects.toThrow('enough');
    places.release();
    await one;
    places.release();
    await two;
    expect(order).toEqual(['one', 'two']);
  });
});
