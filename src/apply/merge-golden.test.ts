import {rename} from 'node:fs/promises';

import {afterAll, beforeAll, describe, expect, test} from 'vitest';

import {systemClock} from '../core/clock.ts';
import type {ApplyJob} from './apply-engine.ts';
import {createDuckDbApply} from './duckdb-apply.ts';
import type {TestLake, TestRow} from './lake.support.test.ts';
import {columns, openTestLake, relation, TestFlow} from './lake.support.test.ts';

let lake: TestLake;
beforeAll(async () => {
  lake = await openTestLake();
});
afterAll(async () => lake[Symbol.asyncDispose]());

const SCHEMA = columns({id: 'long', a: 'string', b: 'string', seq: 'long'});
type Op = 'upsert' | 'delete' | 'truncate';

/** A table under test: each call of `say` is a batch. */
class Table {
  readonly flow: TestFlow;
  readonly #parts: Partial<ApplyJob>;

  constructor(flow: TestFlow, parts: Partial<ApplyJob>) {
    this.flow = flow;
    this.#parts = parts;
  }

  async say(...events: readonly (readonly [Op, number | null, number | null, TestRow?])[]): Promise<Table> {
    const rows = events.map(([op, id, seq, values], order) => ({
      id,
      seq,
      a: null,
      b: null,
      ...values,
      __op: op,
      __ord: order,
    }));
    await this.flow.apply({keepTombstones: true, ...this.#parts, inputs: [relation(SCHEMA, rows)]});
    return this;
  }

  /** `id a b seq` of each row. */
  async rows(): Promise<readonly string[]> {
    return (await this.flow.rows()).map((row) => [row['id'], row['a'], row['b'], row['seq']].join(' '));
  }

  /** Rows of the side files of a kind. */
  async side(kind: 'tombstones' | 'truncates' | 'authors'): Promise<number> {
    const names = (await this.flow.batch())?.side[kind] ?? [];
    let count = 0;
    for (const name of names) {
      const path = await lake.context.store.localPath(`${this.flow.root}/${name}`);
      const [row] = await lake.context.engine.query(`SELECT count(*) AS n FROM read_parquet('${path}')`);
      count += Number(row?.['n']);
    }
    return count;
  }
}

describe.each([true, false])('with deletion vectors: %s', (vectors) => {
  const table = async (parts: Partial<ApplyJob> = {}): Promise<Table> =>
    new Table(await TestFlow.create(lake, SCHEMA, {vectors}), parts);
  const ignoring: Partial<ApplyJob> = {ignoreNullColumns: ['a', 'b']};

  test('at one sequence an upsert beats a delete, in one batch and across batches, whichever came first', async () => {
    expect(await (await (await table()).say(['delete', 1, 5], ['upsert', 1, 5, {a: 'x'}])).rows()).toEqual(['1 x  5']);
    expect(await (await (await table()).say(['upsert', 1, 5, {a: 'x'}], ['delete', 1, 5])).rows()).toEqual(['1 x  5']);
    const first = await (await table()).say(['upsert', 1, 5, {a: 'x'}]);
    expect(await (await first.say(['delete', 1, 5])).rows()).toEqual(['1 x  5']);
    const second = await (await table()).say(['delete', 1, 5]);
    expect(await (await second.say(['upsert', 1, 5, {a: 'x'}])).rows()).toEqual(['1 x  5']);
    const third = await (await table(ignoring)).say(['delete', 1, 5]);
    expect(await (await third.say(['upsert', 1, 5, {a: 'x'}], ['delete', 1, 5])).rows()).toEqual(['1 x  5']);
  });

  test('a delete before its row is remembered, and a late row stays away; a newer one comes back', async () => {
    const early = await (await table()).say(['delete', 1, 5]);
    expect(await early.side('tombstones')).toBe(1);
    expect(await (await early.say(['upsert', 1, 4, {a: 'late'}])).rows()).toEqual([]);
    expect(await (await early.say(['upsert', 1, 6, {a: 'new'}])).rows()).toEqual(['1 new  6']);
  });

  test('an older delete takes away only what is older, value by value where NULLs say nothing', async () => {
    const rows = await (await table(ignoring)).say(['upsert', 1, 3, {a: 'a3', b: 'b3'}], ['upsert', 1, 10, {a: 'a10'}]);
    expect(await rows.rows()).toEqual(['1 a10 b3 10']);
    expect(await (await rows.say(['delete', 1, 5])).rows()).toEqual(['1 a10  10']);
    expect(await (await rows.say(['upsert', 1, 4, {b: 'b4'}])).rows()).toEqual(['1 a10  10']);
    expect(await (await rows.say(['upsert', 1, 7, {a: 'a7', b: 'b7'}])).rows()).toEqual(['1 a10 b7 10']);
  });

  test('authors are written down only where the row is not the author', async () => {
    const rows = await (await table(ignoring)).say(['upsert', 1, 3, {a: 'a', b: 'b'}], ['upsert', 2, 3, {a: 'a'}]);
    expect(await rows.side('authors')).toBe(0);
    await rows.say(['upsert', 1, 4, {a: 'a4'}], ['upsert', 2, 4, {b: 'b4'}]);
    expect(await rows.side('authors')).toBe(2);
    expect(await (await rows.say(['upsert', 2, 2, {a: 'old', b: 'old'}])).rows()).toEqual(['1 a4 b 4', '2 a b4 4']);
  });

  test('a truncate is a watermark: rows, tombstones and late changes below it go, those at it stand', async () => {
    const rows = await (await table()).say(['upsert', 1, 4], ['upsert', 2, 5, {a: 'at'}], ['delete', 3, 3]);
    await rows.say(['truncate', null, 5], ['upsert', 4, 2, {a: 'late'}]);
    expect(await rows.rows()).toEqual(['2 at  5']);
    expect([await rows.side('tombstones'), await rows.side('truncates')]).toEqual([0, 1]);
    expect(await (await rows.say(['upsert', 5, 4], ['upsert', 6, 6, {a: 'new'}])).rows()).toEqual([
      '2 at  5',
      '6 new  6',
    ]);
    await rows.say(['truncate', null, 4]);
    expect(await rows.rows()).toEqual(['2 at  5', '6 new  6']);
  });

  test('a truncate takes the values away that are older than it, of rows that are newer', async () => {
    const rows = await (
      await table(ignoring)
    ).say(['upsert', 1, 3, {a: 'a3', b: 'b3'}], ['upsert', 1, 10, {a: 'a10'}], ['upsert', 2, 3, {a: 'old'}]);
    expect(await (await rows.say(['truncate', null, 5])).rows()).toEqual(['1 a10  10']);
  });

  test('a whole file that a truncate empties is removed without counting its rows out', async () => {
    const rows = await table();
    await rows.say(['upsert', 1, 1], ['upsert', 2, 2]);
    await rows.say(['upsert', 3, 9], ['upsert', 4, 1]);
    const result = await rows.flow.apply({
      keepTombstones: true,
      inputs: [relation(SCHEMA, [{id: null, a: null, b: null, seq: 5, __op: 'truncate', __ord: 0}])],
    });
    expect(result.counts).toMatchObject({inserted: 0, updated: 0, deleted: 3});
    expect(await rows.rows()).toEqual(['3   9']);
  });

  test('tombstones are forgotten after their time, and not before', async () => {
    let nowMs = Date.UTC(2026, 0, 1);
    const clock = {...systemClock, nowMs: () => nowMs};
    const rows = await table({tombstoneRetentionMs: 1000});
    rows.flow.engine = createDuckDbApply({...lake.context, clock});
    await rows.say(['delete', 1, 5], ['delete', 2, 5]);
    nowMs += 999;
    expect(await (await rows.say(['upsert', 1, 4, {a: 'late'}])).rows()).toEqual([]);
    nowMs += 2;
    expect(await (await rows.say(['upsert', 1, 4, {a: 'late'}])).rows()).toEqual(['1 late  4']);
    expect(await rows.side('tombstones')).toBe(0);
  });

  test('tombstones that do not say when they were written count', async () => {
    const rows = await table({tombstoneRetentionMs: 1000});
    await rows.say(['delete', 1, 5]);
    const [name = ''] = (await rows.flow.batch())?.side.tombstones ?? [];
    const path = await lake.context.store.localPath(`${rows.flow.root}/${name}`);
    await lake.context.engine.run(
      `COPY (SELECT * EXCLUDE (__sluice_written_at) FROM read_parquet('${path}')) TO '${path}.old' (FORMAT parquet)`,
    );
    await rename(`${path}.old`, path);
    expect(await (await rows.say(['upsert', 1, 4, {a: 'late'}])).rows()).toEqual([]);
  });
});
