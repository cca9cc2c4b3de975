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

const ROWS = columns({id: 'long', 'the name': 'string', part: 'string', seq: 'long'});
const SCHEMA = versioned(ROWS, 'long');
const BY_NAME: Partial<ApplyJob> = {
  mode: 'scd2',
  target: 'scd2',
  trackedColumns: ['the name', 'part'],
  keepTombstones: true,
};
const NOWHERE = {rows: null, deletes: null};

function versioned(schema: StructType, type: DataType): StructType {
  return {type: 'struct', fields: [...schema.fields, ...columns({__START_AT: type, __END_AT: type}).fields]};
}

function upsert(seq: number, name: string, part: string, id = 1): TestRow {
  return {id, 'the name': name, part, seq, __op: 'upsert'};
}

async function apply(flow: TestFlow, rows: readonly TestRow[], parts: Partial<ApplyJob> = {}): Promise<void> {
  await flow.apply({...BY_NAME, ...parts, inputs: [relation(ROWS, rows)]});
}

/** Versions as `id name part [start,end)`. */
async function versions(flow: TestFlow): Promise<readonly string[]> {
  return (await flow.rows())
    .map((row) => {
      const bound = (name: string): string => {
        const value = row[name];
        return typeof value === 'object' && value !== null ? Object.values(value).map(String).join('.') : String(value);
      };
      return `${String(row['id'])} ${String(row['the name'] ?? row['name'])} ${String(row['part'])} [${bound('__START_AT')},${bound('__END_AT')})`;
    })
    .toSorted();
}

describe.each([true, false])('histories of tables with features, deletion vectors: %s', (vectors) => {
  const kinds = {
    partitioned: {partitionColumns: ['part']},
    'partitioned by key': {partitionColumns: ['id']},
    mapped: {configuration: {'delta.columnMapping.mode': 'name'}},
    'mapped, partitioned, with a change feed': {
      partitionColumns: ['part'],
      configuration: {'delta.columnMapping.mode': 'name', 'delta.enableChangeDataFeed': 'true'},
    },
  };

  test.each(Object.entries(kinds))('%s', async (_, options) => {
    const flow = await TestFlow.create(lake, SCHEMA, {vectors, ...options});
    await apply(flow, [upsert(5, 'a', 'x'), upsert(9, 'a', 'x'), upsert(3, 'q', 'y', 2), upsert(4, 'n', 'z', 3)]);
    await apply(flow, [upsert(7, 'b', 'y'), {id: 2, seq: 6, __op: 'delete'}, upsert(2, 'm', 'x', 3)]);
    expect(await versions(flow)).toEqual([
      '1 a x [5,7)',
      '1 a x [9,null)',
      '1 b y [7,9)',
      '2 q y [3,6)',
      '3 m x [2,4)',
      '3 n z [4,null)',
    ]);
    await apply(flow, [upsert(11, 'held', 'z')], {mode: 'hold', start: NOWHERE});
    await apply(flow, [upsert(12, 'new', 'x', 4)], {mode: 'replace'});
    expect(await versions(flow)).toEqual([
      '1 a x [5,7)',
      '1 a x [9,11)',
      '1 b y [7,9)',
      '1 held z [11,null)',
      '2 q y [3,6)',
      '3 m x [2,4)',
      '3 n z [4,13)',
      '4 new x [12,null)',
    ]);
    await apply(flow, [upsert(10, 'late', 'y'), upsert(13, 'back', 'y', 3)]);
    expect((await versions(flow)).filter((text) => /late|held|^3/.test(text))).toEqual([
      '1 held z [11,null)',
      '1 late y [10,11)',
      '3 back y [13,null)',
      '3 m x [2,4)',
      '3 n z [4,13)',
    ]);
  });

  test('many files of hidden events are made few, and all events still count', async () => {
    const flow = await TestFlow.create(lake, SCHEMA, {vectors});
    for (let seq = 40; seq > 0; seq -= 1) await apply(flow, [upsert(seq, 'a', 'x'), {id: 2, seq, __op: 'delete'}]);
    expect((await flow.batch())?.side.hidden.length).toBeLessThanOrEqual(17);
    expect(await versions(flow)).toEqual(['1 a x [1,null)']);
    await apply(
      flow,
      [20.5, 30].flatMap((seq) => [upsert(Math.floor(seq), 'b', 'x'), upsert(Math.floor(seq), 'b', 'x', 2)]),
    );
    await apply(flow, [upsert(0, 'c', 'x', 2)]);
    expect(await versions(flow)).toEqual([
      '1 a x [1,20)',
      '1 a x [21,30)',
      '1 a x [31,null)',
      '1 b x [20,21)',
      '1 b x [30,31)',
      '2 c x [0,1)',
    ]);
  });

  test('a key that stays is not deleted by an event that says it', async () => {
    const flow = await TestFlow.create(lake, SCHEMA, {vectors});
    await apply(flow, [upsert(1, 'a', 'x')]);
    await apply(flow, [{...upsert(2, 'b', 'x'), __old_key: {id: 1}}]);
    expect(await versions(flow)).toEqual(['1 a x [1,2)', '1 b x [2,null)']);
    await apply(flow, [{...upsert(3, 'b', 'x', 5), __old_key: {id: 1}}]);
    expect(await versions(flow)).toEqual(['1 a x [1,2)', '1 b x [2,3)', '5 b x [3,null)']);
  });

  test('a refresh with another type does not leave rows of the old one beside the new', async () => {
    const flow = await TestFlow.create(lake, SCHEMA, {vectors});
    await apply(flow, [upsert(1, 'a', '7')]);
    const rows = columns({id: 'long', 'the name': 'string', part: 'long', seq: 'long'});
    const refresh: Partial<ApplyJob> = {
      ...BY_NAME,
      mode: 'replace',
      start: NOWHERE,
      schema: versioned(rows, 'long'),
      inputs: [relation(rows, [{id: 1, 'the name': 'a', part: 8, seq: 2}])],
    };
    await expect(flow.apply(refresh)).rejects.toMatchObject({code: 'INCOMPATIBLE_SCHEMA_CHANGE'});
    expect(await versions(flow)).toEqual(['1 a 7 [1,null)']);
    await flow.apply({...refresh, dropHistory: true});
    expect(await versions(flow)).toEqual(['1 a 8 [2,null)']);
  });
});

describe.each(['name', 'none'])('a sequence of two columns, column mapping: %s', (mode) => {
  const options = {configuration: {'delta.columnMapping.mode': mode}};
  const name = mode === 'none' ? 'name' : 'the name';
  const rows = columns({id: 'long', [name]: 'string', part: 'string', major: 'long', minor: 'long'});
  const schema = versioned(rows, columns({major: 'long', minor: 'long'}));
  const two: Partial<ApplyJob> = {...BY_NAME, trackedColumns: [name], sequence: ['major', 'minor'], schema};
  const row = (major: number, minor: number, value: string, id = 1): TestRow => ({
    id,
    [name]: value,
    part: 'x',
    major,
    minor,
    __op: 'upsert',
  });

  test('goes on over a refresh', async () => {
    const flow = await TestFlow.create(lake, schema, options);
    await flow.apply({
      ...two,
      inputs: [relation(rows, [row(1, 1, 'a'), row(1, 2, 'b'), row(2, 1, 'k', 2), row(1, 5, 'm', 3)])],
    });
    const refreshed = [row(1, 3, 'c'), row(1, 5, 'm', 3)];
    await flow.apply({...two, mode: 'replace', start: NOWHERE, inputs: [relation(rows, refreshed)]});
    const expected = [
      '1 a x [1.1,1.2)',
      '1 b x [1.2,1.3)',
      '1 c x [1.3,null)',
      '2 k x [2.1,3.null)',
      '3 m x [1.5,null)',
    ];
    expect(await versions(flow)).toEqual(expected);
    await flow.apply({...two, mode: 'replace', start: NOWHERE, inputs: [relation(rows, refreshed)]});
    expect(await versions(flow)).toEqual(expected);
    // A row that went back in its source is what it is now.
    await flow.apply({
      ...two,
      mode: 'replace',
      start: NOWHERE,
      inputs: [relation(rows, [row(1, 1, 'z'), row(1, 5, 'm', 3), row(3, 0, 'k', 2)])],
    });
    expect((await versions(flow)).filter((text) => text.includes(',null)'))).toHaveLength(3);
    await flow.apply({...two, inputs: [relation(rows, [row(4, 0, 'y'), row(2, 7, 'l', 2)])]});
    const all = await versions(flow);
    expect(all.filter((text) => text.startsWith('2'))).toEqual([
      '2 k x [2.1,2.7)',
      '2 k x [3.0,null)',
      '2 l x [2.7,3.null)',
    ]);
    expect(all.filter((text) => text.startsWith('1'))).toContain('1 y x [4.0,null)');
  });
});

describe.each([true, false])('mapped tables, deletion vectors: %s', (vectors) => {
  const mapped = {configuration: {'delta.columnMapping.mode': 'name'}, vectors};

  test('hold keys that changed', async () => {
    for (const target of ['scd1', 'scd2'] as const) {
      const schema = target === 'scd1' ? ROWS : SCHEMA;
      const flow = await TestFlow.create(lake, schema, mapped);
      const held = {target, schema, trackedColumns: target === 'scd1' ? [] : ['the name']};
      await apply(flow, [upsert(1, 'a', 'x'), upsert(1, 'b', 'x', 2)], {...held, mode: 'hold', start: NOWHERE});
      await apply(flow, [{...upsert(2, 'moved', 'x', 3), __old_key: {id: 1}}], {...held, mode: 'hold'});
      await apply(flow, [upsert(3, 'c', 'x', 4)], {...held, mode: 'replace'});
      expect((await flow.rows()).map((row) => `${String(row['id'])} ${String(row['the name'])}`)).toEqual([
        '2 b',
        '3 moved',
        '4 c',
      ]);
    }
  });
});

describe.each<[string, DataType, (at: number) => TestRow[string]]>([
  ['long', 'long', (at) => at],
  ['double', 'double', (at) => at / 10],
  ['decimal', {type: 'decimal', precision: 20, scale: 2}, (at) => at],
  ['date', 'date', (at) => `2026-03-${String(at).padStart(2, '0')}`],
  ['timestamp', 'timestamp', (at) => `2026-03-29 ${String(at).padStart(2, '0')}:30:00.000001+00`],
  ['timestamp_ntz', 'timestamp_ntz', (at) => `2026-03-29 ${String(at).padStart(2, '0')}:30:00.000001`],
  ['string', 'string', (at) => String.fromCodePoint(96 + at)],
  ['struct', columns({major: 'long', minor: 'string'}), (at) => ({major: Math.floor(at / 2), minor: `m${at % 2}`})],
])('a sequence of type %s', (_, type, value) => {
  const rows = columns({id: 'long', 'the name': 'string', part: 'string', seq: type});
  const schema = versioned(rows, type);
  const row = (at: number, name: string, id = 1): TestRow => ({...upsert(0, name, 'x', id), seq: value(at)});

  test('takes late events, refreshes and scans of keys', async () => {
    const flow = await TestFlow.create(lake, schema);
    const run = async (list: readonly TestRow[], parts: Partial<ApplyJob> = {}): Promise<void> => {
      await flow.apply({...BY_NAME, schema, ...parts, inputs: [relation(rows, list)]});
    };
    await run([row(3, 'a'), row(5, 'a'), row(9, 'a'), row(4, 'k', 2), row(4, 'm', 3)]);
    await run([row(6, 'b'), {id: 2, seq: value(8), __op: 'delete'}]);
    const names = async (): Promise<readonly string[]> =>
      (await flow.rows()).map(
        (each) => `${String(each['id'])} ${String(each['the name'])} ${each['__END_AT'] === null ? 'open' : 'ended'}`,
      );
    expect(await names()).toEqual(['1 a ended', '1 a open', '1 b ended', '2 k ended', '3 m open']);
    await run([row(9, 'a'), row(7, 'k', 2)], {mode: 'replace', start: NOWHERE});
    expect(await names()).toEqual(['1 a ended', '1 a open', '1 b ended', '2 k ended', '2 k open', '3 m ended']);
    await run([row(8, 'late'), row(2, 'first')]);
    await flow.apply({
      ...BY_NAME,
      schema,
      deletesWinTies: true,
      deletes: [relation(rows, [row(9, 'a')], ['id', 'seq'])],
    });
    expect((await names()).filter((text) => text.startsWith('1'))).toEqual([
      '1 a ended',
      '1 a ended',
      '1 b ended',
      '1 first ended',
      '1 late ended',
    ]);
    await run([row(12, 'back'), row(12, 'back', 3)]);
    expect((await names()).filter((text) => text.endsWith('open'))).toEqual(['1 back open', '2 k open', '3 back open']);
  });
});

test('a table that was truncated before it kept versions stays without what is older', async () => {
  const flow = await TestFlow.create(lake, SCHEMA);
  const plain: Partial<ApplyJob> = {mode: 'scd1', target: 'scd1', trackedColumns: []};
  await apply(flow, [upsert(1, 'a', 'x')], plain);
  await apply(flow, [{seq: 10, __op: 'truncate'}], plain);
  await apply(flow, [upsert(5, 'late', 'x', 2)], {keysUnique: true});
  expect(await versions(flow)).toEqual([]);
  await apply(flow, [upsert(6, 'late', 'x', 2), upsert(10, 'at it', 'x', 3), upsert(12, 'new', 'x')]);
  expect(await versions(flow)).toEqual(['1 new x [12,null)', '3 at it x [10,null)']);
});

test('a truncate in a log ends the versions that are open there, those of the table and those of its own batch', async () => {
  const flow = await TestFlow.create(lake, SCHEMA);
  const log: Partial<ApplyJob> = {keepTombstones: false};
  const truncate = (seq: number): TestRow => ({seq, __op: 'truncate'});
  await apply(flow, [upsert(1, 'a', 'x'), upsert(2, 'b', 'x', 2), {id: 2, seq: 3, __op: 'delete'}], log);
  await apply(
    flow,
    [
      upsert(4, 'c', 'x', 3),
      truncate(5),
      upsert(6, 'a', 'y'),
      {...upsert(7, 'm', 'y', 4), __old_key: {id: 1}},
      truncate(8),
      truncate(9),
      upsert(10, 'n', 'z', 3),
    ],
    log,
  );
  expect(await versions(flow)).toEqual([
    '1 a x [1,5)',
    '1 a y [6,7)',
    '2 b x [2,3)',
    '3 c x [4,5)',
    '3 n z [10,null)',
    '4 m y [7,8)',
  ]);
  await apply(flow, [truncate(11)], log);
  expect((await versions(flow)).filter((text) => text.endsWith('null)'))).toEqual([]);
  await expect(apply(flow, [truncate(12)])).rejects.toMatchObject({code: 'UNSUPPORTED'});
});

test('what a change leaves out is looked up under the key before, in a mapped table', async () => {
  const flow = await TestFlow.create(lake, SCHEMA, {
    partitionColumns: ['part'],
    configuration: {'delta.columnMapping.mode': 'name', 'delta.enableChangeDataFeed': 'true'},
  });
  await apply(flow, [upsert(1, 'a', 'x'), upsert(1, 'b', 'y', 2)]);
  const partial = {
    id: 7,
    'the name': null,
    part: 'z',
    seq: 2,
    __op: 'upsert',
    __unchanged: ['the name'],
    __old_key: {id: 1},
  };
  await apply(flow, [partial]);
  await apply(flow, [{...partial, id: 7, part: null, seq: 3, __unchanged: ['part'], 'the name': 'c', __old_key: null}]);
  expect(await versions(flow)).toEqual(['1 a x [1,2)', '2 b y [1,null)', '7 a z [2,3)', '7 c z [3,null)']);
});

test('deletes that were remembered before the table kept versions outlive a scan of keys', async () => {
  const flow = await TestFlow.create(lake, SCHEMA);
  const plain: Partial<ApplyJob> = {mode: 'scd1', target: 'scd1', trackedColumns: []};
  await apply(flow, [upsert(1, 'a', 'x'), {id: 2, seq: 10, __op: 'delete'}], plain);
  const gone = relation(ROWS, [{id: 1, seq: 1}], ['id', 'seq']);
  await flow.apply({...BY_NAME, deletesWinTies: true, deletes: [gone]});
  await apply(flow, [upsert(5, 'late', 'x', 2)]);
  expect(await versions(flow)).toEqual(['1 a x [null,2)', '2 late x [5,10)']);
  expect((await flow.batch())?.side.tombstones).toEqual([]);
});
