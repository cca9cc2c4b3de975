import {afterAll, beforeAll, describe, expect, test} from 'vitest';

import {seededRandom} from '../core/clock.ts';
import type {EngineRow} from '../engine/engine.ts';
import type {ApplyJob, ApplyResult} from './apply-engine.ts';
import type {TestLake, TestRow} from './lake.support.test.ts';
import {columns, openTestLake, relation, TestFlow} from './lake.support.test.ts';

let lake: TestLake;
beforeAll(async () => {
  lake = await openTestLake();
});
afterAll(async () => lake[Symbol.asyncDispose]());

const SCHEMA = columns({id: 'long', name: 'string', seq: 'integer'});
const FEED = {'delta.enableChangeDataFeed': 'true'};
const LAYOUTS: readonly (Layout & {readonly name: string})[] = [
  {name: 'vectors', vectors: true},
  {name: 'copy on write', vectors: false},
  {name: 'vectors and partitions', vectors: true, partitionColumns: ['name']},
  {name: 'copy on write and partitions', vectors: false, partitionColumns: ['name']},
  {name: 'columns mapped by name', vectors: true, configuration: {'delta.columnMapping.mode': 'name'}},
  {name: 'columns mapped by id', vectors: false, configuration: {'delta.columnMapping.mode': 'id'}},
];

type Layout = Parameters<typeof TestFlow.create>[2];

function flowOf(layout: Layout = {}): Promise<TestFlow> {
  return TestFlow.create(lake, SCHEMA, {...layout, configuration: {...FEED, ...layout.configuration}});
}

/** As a pipeline does: with the columns as the table knows them. */
async function apply(flow: TestFlow, parts: Partial<ApplyJob>): Promise<ApplyResult> {
  return flow.apply({schema: (await flow.table()).snapshot.schema, ...parts});
}

function row(id: number, name: string | null, seq: number): TestRow {
  return {id: BigInt(id), name, seq};
}

function upserts(...rows: readonly TestRow[]): Pick<ApplyJob, 'inputs'> {
  return {inputs: [relation(SCHEMA, rows)]};
}

function deletes(...rows: readonly TestRow[]): Pick<ApplyJob, 'deletes'> {
  return {deletes: [relation(columns({id: 'long', seq: 'integer'}), rows)]};
}

/** `change id name`, by version. */
async function changesOf(flow: TestFlow, from: number, to?: number): Promise<readonly string[]> {
  const table = await flow.table();
  const select = await table.changesSql({from, ...(to === undefined ? {} : {to})});
  const rows = await lake.context.engine.query(
    `SELECT * FROM (${select}) ORDER BY _commit_version, id, _change_type DESC`,
  );
  return rows.map((each) => `${String(each['_commit_version'])} ${changeText(each)}`);
}

function changeText({id, name, _change_type: kind}: EngineRow): string {
  return `${String(kind)} ${String(id)} ${String(name)}`;
}

describe.each(LAYOUTS)('a change data feed with $name', (layout) => {
  test('tells inserts, updates with both images and deletes', async () => {
    const flow = await flowOf(layout);
    await apply(flow, upserts(row(1, 'a', 1), row(2, 'b', 1), row(3, 'c', 1)));
    await apply(flow, {...upserts(row(1, 'A', 2), row(4, 'd', 1)), ...deletes({id: 3n, seq: 2})});
    expect(await changesOf(flow, 0)).toEqual([
      '1 insert 1 a',
      '1 insert 2 b',
      '1 insert 3 c',
      '2 update_preimage 1 a',
      '2 update_postimage 1 A',
      '2 delete 3 c',
      '2 insert 4 d',
    ]);
    const [latest] = await (await flow.table()).history({limit: 1});
    const select = await (await flow.table()).changesSql({from: 2});
    const [when] = await lake.context.engine.query(
      `SELECT DISTINCT epoch_ms(_commit_timestamp) AS ms FROM (${select})`,
    );
    expect(Number(when?.['ms'])).toBe(latest?.timestampMs);
  });

  test('writes no files for rows that are only added, nor for a batch that changes nothing', async () => {
    const flow = await flowOf(layout);
    await apply(flow, upserts(row(1, 'a', 1)));
    await apply(flow, upserts(row(2, 'b', 1)));
    const same = await apply(flow, {
      ...upserts(row(2, 'b', 1)),
      start: {rows: {at: 2}, deletes: null},
      end: {rows: {at: 2}, deletes: null},
    });
    expect(same.version).toBeNull();
    expect(await changeFileCount(flow)).toBe(0);
    expect(await changesOf(flow, 0)).toEqual(['1 insert 1 a', '2 insert 2 b']);
  });

  test('tells the rows that a truncate takes away', async () => {
    const flow = await flowOf(layout);
    await apply(flow, upserts(row(1, 'a', 1), row(2, 'b', 1), row(3, 'c', 9)));
    const truncate = {...row(0, null, 5), id: null, __op: 'truncate'};
    await apply(flow, {inputs: [relation(SCHEMA, [truncate, {...row(1, 'A', 6), __op: 'upsert'}])]});
    expect(await changesOf(flow, 2)).toEqual(['2 update_preimage 1 a', '2 update_postimage 1 A', '2 delete 2 b']);
  });

  test('tells which rows of a snapshot differ, though all files change', async () => {
    const flow = await flowOf(layout);
    const replace = {mode: 'replace', sequence: []} as const;
    await apply(flow, {...replace, ...upserts(row(1, 'a', 0), row(2, 'b', 0), row(3, 'c', 0))});
    await apply(flow, {...replace, mode: 'hold', ...upserts(row(1, 'a', 0))});
    await apply(flow, {...replace, ...upserts(row(2, 'B', 0), row(4, 'd', 0))});
    expect(await changesOf(flow, 2)).toEqual([
      '3 update_preimage 2 b',
      '3 update_postimage 2 B',
      '3 delete 3 c',
      '3 insert 4 d',
    ]);
  });

  test('adds up to the table, whatever happens', async () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const random = seededRandom(seed);
    const flow = await flowOf(layout);
    for (let batch = 0; batch < 8; batch++) {
      const some = (count: number): readonly TestRow[] =>
        Array.from({length: count}, () =>
          row(Math.floor(random() * 30), `n${Math.floor(random() * 3)}`, Math.floor(random() * 100)),
        );
      const removed = some(3).map(({id = null, seq = null}) => ({id, seq}));
      const isWhole = random() < 0.25;
      await apply(flow, {mode: isWhole ? 'replace' : 'scd1', ...upserts(...some(12)), ...deletes(...removed)});
    }
    const table = await flow.table();
    for (let version = 1; version <= table.snapshot.version; version++) {
      const kinds = await addsUp(flow, version);
      expect({seed, version, ...kinds}).toEqual({seed, version, wrong: 0, unpaired: 0});
    }
  });
});

describe.each([true, false])('the change data feed of an SCD type 2 table with deletion vectors: %s', (vectors) => {
  const VERSIONED = columns({id: 'long', name: 'string', seq: 'integer', __START_AT: 'integer', __END_AT: 'integer'});
  const HISTORY: Partial<ApplyJob> = {mode: 'scd2', target: 'scd2', trackedColumns: ['name'], keepTombstones: true};

  test('tells versions apart by where they begin', async () => {
    const flow = await TestFlow.create(lake, VERSIONED, {vectors, configuration: FEED});
    await apply(flow, {...HISTORY, ...upserts(row(1, 'a', 1), row(2, 'b', 1))});
    await apply(flow, {...HISTORY, ...upserts(row(1, 'A', 5)), ...deletes({id: 2n, seq: 5})});
    await apply(flow, {...HISTORY, ...upserts(row(1, 'late', 3))});
    const select = await (await flow.table()).changesSql({from: 2});
    const rows = await lake.context.engine
      .query(`SELECT concat_ws(' ', _commit_version, _change_type, id, name, __START_AT, '-', __END_AT) AS text
      FROM (${select}) ORDER BY _commit_version, id, __START_AT, _change_type DESC`);
    expect(rows.map(({text}) => text)).toEqual([
      '2 update_preimage 1 a 1 -',
      '2 update_postimage 1 a 1 - 5',
      '2 insert 1 A 5 -',
      '2 update_preimage 2 b 1 -',
      '2 update_postimage 2 b 1 - 5',
      '3 update_preimage 1 a 1 - 5',
      '3 update_postimage 1 a 1 - 3',
      '3 insert 1 late 3 - 5',
    ]);
  });

  test('adds up to the table in any order of events', async () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const random = seededRandom(seed);
    const flow = await TestFlow.create(lake, VERSIONED, {vectors, configuration: FEED});
    for (let batch = 0; batch < 6; batch++) {
      const some = (count: number): readonly TestRow[] =>
        Array.from({length: count}, () =>
          row(Math.floor(random() * 8), `n${Math.floor(random() * 3)}`, Math.floor(random() * 1000)),
        );
      const removed = some(2).map(({id = null, seq = null}) => ({id, seq}));
      await apply(flow, {...HISTORY, ...upserts(...some(6)), ...deletes(...removed)});
    }
    const {version} = (await flow.table()).snapshot;
    const names = ['id', 'name', 'seq', '__START_AT', '__END_AT'];
    for (let at = 1; at <= version; at++)
      expect({seed, at, ...(await addsUp(flow, at, names))}).toEqual({seed, at, wrong: 0, unpaired: 0});
  });
});

/** Rows that the version before and the changes do not explain, and images of updates without the other one. */
async function addsUp(
  flow: TestFlow,
  version: number,
  names: readonly string[] = ['id', 'name', 'seq'],
): Promise<{readonly wrong: number; readonly unpaired: number}> {
  const all = names.join(', ');
  const identity = names.filter((name) => name === 'id' || name === '__START_AT').join(', ');
  const {engine} = lake.context;
  const table = await flow.table();
  await engine.run(`CREATE OR REPLACE TEMP TABLE changes AS ${await table.changesSql({from: version, to: version})}`);
  const at = async (snapshotVersion: number): Promise<string> =>
    `SELECT ${all} FROM (${await table.readSql({snapshot: await table.snapshotAt(snapshotVersion)})})`;
  const [found] = await engine.query(`SELECT count(*) AS wrong FROM (
    SELECT ${all} FROM (SELECT *, 1 AS n FROM (${await at(version - 1)})
      UNION ALL SELECT ${all}, CASE WHEN _change_type IN ('insert', 'update_postimage') THEN 1 ELSE -1 END FROM changes
      UNION ALL SELECT *, -1 FROM (${await at(version)})) GROUP BY ALL HAVING sum(n) <> 0)`);
  const [pairs] =
    await engine.query(`SELECT count(*) AS unpaired FROM (SELECT ${identity} FROM changes GROUP BY ${identity}
    HAVING list_sort(list(_change_type)) NOT IN (['insert'], ['delete'], ['update_postimage', 'update_preimage']))`);
  return {wrong: Number(found?.['wrong']), unpaired: Number(pairs?.['unpaired'])};
}

async function changeFileCount(flow: TestFlow): Promise<number> {
  let count = 0;
  for await (const _ of lake.context.store.list(`${flow.root}/_change_data/`)) count += 1;
  return count;
}

describe('changes of commits without change data files', () => {
  test('are told by deletion vectors, given back rows by a restored file, and not by files that only moved', async () => {
    const flow = await flowOf({vectors: true});
    await apply(flow, {mode: 'append', target: 'append', ...upserts(row(1, 'a', 1), row(2, 'b', 1), row(3, 'c', 1))});
    const table = await flow.table();
    const [whole] = [...table.snapshot.files.values()];
    if (whole === undefined) throw new Error('no file');
    const gone = await table.writeDeletions(new Map([[whole.path, [1]]]), new AbortController().signal);
    await table.commit({base: table.snapshot, operation: 'DELETE', ...gone, blindAppend: false});
    const [part] = [...table.snapshot.files.values()];
    if (part === undefined) throw new Error('no file');
    await table.commit({
      base: table.snapshot,
      operation: 'RESTORE',
      adds: [{...whole, dataChange: true}],
      removes: [table.removeOf(part)],
      blindAppend: false,
    });
    await table.commit({
      base: table.snapshot,
      operation: 'OPTIMIZE',
      adds: [{...whole, path: 'elsewhere.parquet', dataChange: false}],
      removes: [{...table.removeOf(whole), dataChange: false}],
      blindAppend: false,
    });
    expect(await changesOf(flow, 0, 4)).toEqual([
      '1 insert 1 a',
      '1 insert 2 b',
      '1 insert 3 c',
      '2 delete 2 b',
      '3 insert 2 b',
    ]);
  });

  test('are refused where nobody kept them', async () => {
    const flow = await TestFlow.create(lake, SCHEMA);
    await apply(flow, upserts(row(1, 'a', 1)));
    await expect(changesOf(flow, 0)).rejects.toMatchObject({code: 'UNSUPPORTED'});
    const fed = await flowOf();
    await expect(changesOf(fed, 1)).rejects.toMatchObject({code: 'INVALID_OPTION'});
    expect(await changesOf(fed, 0)).toEqual([]);
    await expect(
      TestFlow.create(lake, columns({id: 'long', _change_type: 'string'}), {configuration: FEED}),
    ).rejects.toMatchObject({code: 'INVALID_SCHEMA', context: {column: '_change_type'}});
  });
});
