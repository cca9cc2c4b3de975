import {describe, expect, it} from 'vitest';

import {seededRandom} from '../../core/clock.ts';
import type {PlainJson} from '../../core/offset.ts';
import {KnownKeys} from './known-keys.ts';
import type {PlanCall} from './plan-call.ts';
import {TouchedKeys} from './touched-keys.ts';

/** A call of which only the ledger counts. */
function callWith(ledger: Map<string, PlainJson>): PlanCall {
  const get = (keys: readonly string[]): Promise<Map<string, PlainJson>> =>
    Promise.resolve(
      new Map(
        keys.flatMap((key): [string, PlainJson][] => {
          const value = ledger.get(key);
          return value === undefined ? [] : [[key, value]];
        }),
      ),
    );
  const put = (key: string, value: PlainJson): void => void ledger.set(key, value);
  return {ledgerPrefix: '', ctx: {ledger: {get, put}}} as unknown as PlanCall;
}

describe('known keys', () => {
  it('take as much room as there are keys, however often these change', async () => {
    const ledger = new Map<string, PlainJson>();
    const random = seededRandom(3);
    const truth = new Set<string>();
    let state: PlainJson = null;
    for (let call = 0; call < 400; call++) {
      const keys: KnownKeys = new KnownKeys(callWith(ledger), state);
      for (let page = 0; page < 20; page++) {
        const key = String(Math.floor(random() * 50));
        const isGone = random() < 0.3;
        keys.add(isGone ? [] : [key], isGone ? [key] : []);
        if (isGone) truth.delete(key);
        else truth.add(key);
      }
      await keys.compact();
      state = keys.state;
    }
    expect(await new KnownKeys(callWith(ledger), state).load()).toEqual(truth);
    expect(ledger.size).toBeLessThan(1100);
    const again = new KnownKeys(callWith(ledger), state);
    again.restart();
    again.add(['new'], []);
    expect(await new KnownKeys(callWith(ledger), again.state).load()).toEqual(new Set(['new']));
    expect([...ledger.values()].filter((value) => value !== null)).toHaveLength(1);
  });
});

describe('touched keys', () => {
  it('name those whose events come again, newest or oldest first, in bounded memory', () => {
    for (const order of ['newest', 'oldest']) {
      const touched = new TouchedKeys((left, right) => Number(left) - Number(right));
      const times = Array.from({length: 10_000}, (_, at) => at);
      let newest = 0;
      for (const at of order === 'newest' ? times.reverse() : times) {
        newest = Math.max(newest, Math.min(at, 9990));
        touched.add(`k${at}`, {op: 'upsert', at}, newest);
      }
      const again = Object.keys(touched.again(newest)).sort();
      expect(again).toEqual(['k9990', 'k9991', 'k9992', 'k9993', 'k9994', 'k9995', 'k9996', 'k9997', 'k9998', 'k9999']);
    }
  });
});
