import {describe, expect, it} from 'vitest';

import type {Engine} from '../engine/engine.ts';
import {openLedger} from './ledger.ts';

describe('a ledger', () => {
  it('holds in memory only what no batch has committed', async () => {
    let files: readonly string[] = [];
    let asked = 0;
    const engine = {
      query: () => {
        asked++;
        return Promise.resolve([{key: 'a', value: '"of the file"'}]);
      },
    } as unknown as Engine;
    const ledger = openLedger({engine, localPath: (name) => Promise.resolve(name), root: 't', files: () => files});
    ledger.put('a', 1);
    expect(ledger.take()).toEqual([{key: 'a', value: '1'}]);
    // Until the batch is there it is known by memory alone, also beside what comes meanwhile.
    ledger.put('b', null);
    expect(await ledger.get(['a', 'b'])).toEqual(
      new Map<string, unknown>([
        ['a', 1],
        ['b', null],
      ]),
    );
    files = ['one.parquet'];
    ledger.committed();
    expect((await ledger.get(['a'])).get('a')).toBe('of the file');
    expect((await ledger.get(['b'])).get('b')).toBeNull();
    expect(asked).toBe(2);
    expect(ledger.take()).toEqual([{key: 'b', value: 'null'}]);
  });
});
