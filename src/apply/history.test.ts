import {afterAll, beforeAll, describe, expect, test} from 'vitest';

import type {DataType, StructType} from '../core/types.ts';
import type {ApplyJob} from './apply-engine.ts';
import type {TestLake, TestRow} from './lake.support.test.ts';
import {columns, openTestLake, relation, TestFlow} from './lake.support.test.ts';

let lake: TestLake;
beforeAll(async () => {
  lake = await openTestLake();
});
afterAll(async () => lake[Symbol.asyncDispose]());

/** The rows of a test without versions, and those with them. */
const ROWS = columns({id: 'long', name: 'string', city: 'string', seq: 'long'});
const SCHEMA = versioned(ROWS, 'long');
const BY_NAME: Partial<ApplyJob> = {
  mode: 'scd2',
  target: 'scd2',
  trackedColumns: ['name'],
  keepTombstones: true,
};

function versioned(schema: StructType, type: DataType): StructType {
  return {type: 'struct', fields: [...schema.fields, ...columns({__START_AT: type, __END_AT: type}).fields]};
}

function upsert(seq: number, name: string, city = `city ${seq}`, id = 1): TestRow {
  return {id, name, city, seq, __op: 'upsert'};
}

function gone(seq: number, id = 1): TestRow {
  return {id, seq, __op: 'delete'};
}

/** Applies batches one after the other. */
async function applied(flow: TestFlow, batches: readonly (readonly TestRow[])[]): Promise<void> {
  for (const batch of batches) {
    await flow.apply({
      ...BY_NAME,
      inputs: [
        relation(
          ROWS,
          batch.map((row, at) => ({...row, __ord: at})),
        ),
      ],
    });
  }
}

/** Versions as `name [start,end) city`. */
async function versions(flow: TestFlow): Promise<readonly string[]> {
  const rows = (await flow.rows()).toSorted((left, right) =>
    String(left['id']) + pad(left['__START_AT']) < String(right['id']) + pad(right['__START_AT']) ? -1 : 1,
  );
  return rows.map((row) => {
    const prefix = row['id'] === 1n ? '' : `${String(row['id'])}: `;
    return `${prefix}${String(row['name'])} [${text(row['__START_AT'])},${text(row['__END_AT'])}) ${String(row['city'])}`;
  });
}

function pad(value: unknown): string {
  return text(value).padStart(12, '0');
}

function text(value: unknown): string {
  return value === null
    ? ''
    : typeof value === 'object'
      ? JSON.stringify(value, (_, each: unknown) => (typeof each === 'bigint' ? Number(each) : each))
      : String(value);
}

async function hiddenFiles(flow: TestFlow): Promise<number> {
  return (await flow.batch())?.side.hidden.length ?? 0;
}

describe.each([true, false])('SCD type 2 with deletion vectors: %s', (vectors) => {
  async function flowOf(...batches: readonly (readonly TestRow[])[]): Promise<TestFlow> {
    const flow = await TestFlow.create(lake, SCHEMA, {vectors});
    await applied(flow, batches);
    return flow;
  }

  test('a changed tracked column begins a version, another one changes the current', async () => {
    const flow = await flowOf([upsert(1, 'a')], [upsert(2, 'b')], [upsert(3, 'b')]);
    expect(await versions(flow)).toEqual(['a [1,2) city 1', 'b [2,) city 3']);
  });

  test('a late event splits a run and shows what was hidden: the example of the specification', async () => {
    const flow = await flowOf([upsert(5, 'Alice'), upsert(10, 'Alice'), upsert(15, 'Alice'), upsert(20, 'Charlie')]);
    expect(await versions(flow)).toEqual(['Alice [5,20) city 15', 'Charlie [20,) city 20']);
    await applied(flow, [[upsert(12, 'Bob')]]);
    expect(await versions(flow)).toEqual([
      'Alice [5,12) city 10',
      'Bob [12,15) city 12',
      'Alice [15,20) city 15',
      'Charlie [20,) city 20',
    ]);
  });

  test('a delete ends the current version, and a later upsert begins one', async () => {
    const flow = await flowOf([upsert(1, 'a')], [gone(2)], [upsert(3, 'a')]);
    expect(await versions(flow)).toEqual(['a [1,2) city 1', 'a [3,) city 3']);
    expect(await hiddenFiles(flow)).toBe(0);
  });

  test('an early delete is remembered and ends the row that comes after it', async () => {
    const flow = await flowOf([gone(7)]);
    expect(await versions(flow)).toEqual([]);
    expect(await hiddenFiles(flow)).toBe(1);
    await applied(flow, [[upsert(5, 'a')]]);
    expect(await versions(flow)).toEqual(['a [5,7) city 5']);
  });

  test('a delete after a delete is remembered, too', async () => {
    const flow = await flowOf([upsert(1, 'a'), gone(2), gone(9)], [upsert(4, 'b')]);
    expect(await versions(flow)).toEqual(['a [1,2) city 1', 'b [4,9) city 4']);
  });

  test('a late delete splits a run', async () => {
    const flow = await flowOf([upsert(1, 'a'), upsert(3, 'a'), upsert(5, 'a')], [gone(4)]);
    expect(await versions(flow)).toEqual(['a [1,4) city 3', 'a [5,) city 5']);
  });

  test('a late upsert joins the runs on its sides when it equals them', async () => {
    const flow = await flowOf([upsert(1, 'a'), upsert(5, 'b')], [upsert(3, 'b')]);
    expect(await versions(flow)).toEqual(['a [1,3) city 1', 'b [3,) city 5']);
    await applied(flow, [[upsert(2, 'a')], [upsert(0, 'a')]]);
    expect(await versions(flow)).toEqual(['a [0,3) city 2', 'b [3,) city 5']);
  });

  test('at equal sequences a delete wins, whichever comes first, and leaves no version without width', async () => {
    for (const batches of [[[upsert(4, 'a'), gone(4)]], [[upsert(4, 'a')], [gone(4)]], [[gone(4)], [upsert(4, 'a')]]]) {
      const flow = await flowOf([upsert(2, 'b')], ...batches);
      expect(await versions(flow)).toEqual(['b [2,4) city 2']);
    }
  });

  test('of upserts of one sequence the later arrival counts', async () => {
    const flow = await flowOf([upsert(1, 'a', 'x'), upsert(1, 'b', 'y')]);
    expect(await versions(flow)).toEqual(['b [1,) y']);
    await applied(flow, [[upsert(1, 'b', 'z')]]);
    expect(await versions(flow)).toEqual(['b [1,) z']);
    await applied(flow, [[upsert(2, 'b', 'w')], [upsert(1, 'c', 'v')]]);
    expect(await versions(flow)).toEqual(['c [1,2) v', 'b [2,) w']);
  });

  test('what is known already changes nothing and makes no version', async () => {
    const batch = [upsert(5, 'a'), upsert(6, 'a'), upsert(8, 'b'), gone(9), gone(11), upsert(20, 'z', 'there', 2)];
    const flow = await flowOf(batch);
    const before = await flow.batch();
    const again = flow.job({
      ...BY_NAME,
      inputs: [relation(ROWS, batch)],
      end: before?.end ?? {rows: null, deletes: null},
    });
    expect((await flow.engine.apply(again, new AbortController().signal)).version).toBeNull();
  });

  test('counts say what became of rows', async () => {
    const flow = await flowOf([upsert(1, 'a'), upsert(1, 'a', 'x', 2), upsert(1, 'a', 'x', 3)]);
    const {counts} = await flow.apply({
      ...BY_NAME,
      inputs: [relation(ROWS, [upsert(2, 'b'), upsert(2, 'a', 'y', 2), gone(2, 3), upsert(1, 'a')])],
    });
    expect(counts).toMatchObject({inserted: 1, updated: 2, deleted: 1, unchanged: 1});
  });

  test('deletes of their own input are deletes', async () => {
    const flow = await flowOf([upsert(1, 'a'), upsert(1, 'b', 'x', 2)]);
    await flow.apply({...BY_NAME, deletes: [relation(ROWS, [{id: 2, seq: 3}], ['id', 'seq'])]});
    expect(await versions(flow)).toEqual(['a [1,) city 1', '2: b [1,3) x']);
  });

  test('without tracked columns there is one version per life', async () => {
    const flow = await TestFlow.create(lake, SCHEMA, {vectors});
    for (const batch of [
      [upsert(1, 'a'), upsert(2, 'b')],
      [upsert(4, 'd'), gone(3)],
    ])
      await flow.apply({...BY_NAME, trackedColumns: [], inputs: [relation(ROWS, batch)]});
    expect(await versions(flow)).toEqual(['b [1,3) city 2', 'd [4,) city 4']);
  });

  test('rows without a sequence come first', async () => {
    const flow = await flowOf([upsert(3, 'b')], [{id: 1, name: 'a', city: 'x', seq: null, __op: 'upsert'}]);
    expect(await versions(flow)).toEqual(['a [,3) x', 'b [3,) city 3']);
    await applied(flow, [[{id: 1, name: 'a', city: 'y', seq: null, __op: 'upsert'}]]);
    expect(await versions(flow)).toEqual(['a [,3) y', 'b [3,) city 3']);
  });
});
