import {describe, expect, it} from 'vitest';

import type {Offset} from '../core/offset.ts';
import {keysetPages} from './keyset.ts';

describe('keysetPages', () => {
  const table = [1, 2, 2, 3, 5].map((at, id) => ({at, id}));
  const after = (offset: Offset | null) => (row: {at: number; id: number}) =>
    offset === null || row.at > Number(offset['at']) || (row.at === offset['at'] && row.id > Number(offset['id']));
  const paging = {
    table: 't',
    fields: ['at', 'id'],
    pageSize: 2,
    fetch: (offset: Offset | null) => Promise.resolve(table.filter(after(offset)).slice(0, 2)),
  };

  it('reads every row once and returns the key of the last', async () => {
    const pages = keysetPages(null, paging);
    const ids: unknown[] = [];
    let step = await pages.next();
    for (; step.done !== true; step = await pages.next())
      if ('rows' in step.value) ids.push(...step.value.rows.map((row) => row['id']));
    expect(ids).toEqual([0, 1, 2, 3, 4]);
    expect(step.value).toEqual({at: 5, id: 4});
  });

  it('returns its start when there is nothing', async () => {
    const start = {at: 5, id: 4};
    expect(await keysetPages(start, paging).next()).toEqual({done: true, value: start});
  });

  it('refuses a source that does not move, and a key that is null', async () => {
    const stuck = keysetPages({at: 1, id: 0}, {...paging, fetch: () => Promise.resolve([{at: 1, id: 0}])});
    await expect(stuck.next()).rejects.toThrow('should begin after');
    const nulls = keysetPages(null, {...paging, fetch: () => Promise.resolve([{at: 1, id: null}])});
    await expect(nulls.next()).rejects.toThrow('"id" is null');
  });
});
