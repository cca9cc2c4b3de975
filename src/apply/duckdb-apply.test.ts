import {afterAll, beforeAll, describe, expect, test} from 'vitest';

import {installFailpoints} from '../core/failpoint.ts';
import type {ApplyJob} from './apply-engine.ts';
import {createDuckDbApply} from './duckdb-apply.ts';
import type {TestLake, TestRow} from './lake.support.test.ts';
import {columns, openTestLake, relation, TestFlow} from './lake.support.test.ts';

let lake: TestLake;
beforeAll(async () => {
  lake = await openTestLake();
});
afterAll(async () => lake[Symbol.asyncDispose]());

const SCHEMA = columns({id: 'long', name: 'string', seq: 'integer'});
const NOWHERE = {rows: null, deletes: null};

function upserts(...rows: readonly TestRow[]): Pick<ApplyJob, 'inputs'> {
  return {inputs: [relation(SCHEMA, rows)]};
}

function deletes(...rows: readonly TestRow[]): Pick<ApplyJob, 'deletes'> {
  return {deletes: [relation(columns({id: 'long', seq: 'integer'}), rows)]};
}

function row(id: number, name: string | null, seq: number | null): TestRow {
  return {id: BigInt(id), name, seq};
}

describe.each([true, false])('scd1 with deletion vectors: %s', (vectors) => {
  test('inserts, updates and deletes', async () => {
    const flow = await TestFlow.create(lake, SCHEMA, {vectors});
    const first = await flow.apply(upserts(row(1, 'a', 1), row(2, 'b', 1), row(3, 'c', 1)));
    expect(first.counts).toMatchObject({inserted: 3, updated: 0, deleted: 0, unchanged: 0});
    const second = await flow.apply({...upserts(row(1, 'A', 2), row(4, 'd', 1)), ...deletes({id: 3n, seq: 2})});
    expect(second.counts).toMatchObject({inserted: 1, updated: 1, deleted: 1, unchanged: 0});
    expect(await flow.rows()).toEqual([row(1, 'A', 2), row(2, 'b', 1), row(4, 'd', 1)]);
    const {files} = (await flow.table()).snapshot;
    expect([...files.values()].some((file) => file.deletionVector !== undefined)).toBe(vectors);
  });

  test('the newest event of a batch wins; equal sequences: upsert over delete, later over earlier', async () => {
    const flow = await TestFlow.create(lake, SCHEMA, {vectors});
    const events: TestRow[] = [
      {...row(1, 'new', 5), __ord: 0, __op: 'upsert'},
      {...row(1, 'old', 3), __ord: 1, __op: 'upsert'},
      {...row(2, 'kept', 4), __ord: 2, __op: 'upsert'},
      {...row(2, null, 4), __ord: 3, __op: 'delete'},
      {...row(3, 'first', 1), __ord: 4, __op: 'upsert'},
      {...row(3, 'second', 1), __ord: 5, __op: 'upsert'},
      {...row(4, 'gone', 1), __ord: 6, __op: 'upsert'},
      {...row(4, null, 2), __ord: 7, __op: 'delete'},
      {...row(5, 'has one', 0), __ord: 8, __op: 'upsert'},
      {...row(5, 'has none', null), __ord: 9, __op: 'upsert'},
    ];
    const result = await flow.apply({inputs: [relation(SCHEMA, events)]});
    expect(await flow.rows()).toEqual([row(1, 'new', 5), row(2, 'kept', 4), row(3, 'second', 1), row(5, 'has one', 0)]);
    expect(result.counts).toMatchObject({inserted: 4, unchanged: 6});
  });

  test('late rows change nothing; repeated rows are written only when they differ', async () => {
    const flow = await TestFlow.create(lake, SCHEMA, {vectors});
    await flow.apply(upserts(row(1, 'a', 5), row(2, 'b', 5)));
    const end = {rows: {at: 1}, deletes: null};
    const same = await flow.apply({...upserts(row(1, 'a', 5), row(2, 'late', 4)), start: end, end});
    expect(same).toMatchObject({version: null, batchId: 1, counts: {inserted: 0, updated: 0, unchanged: 2}});
    const differs = await flow.apply({...upserts(row(1, 'x', 5), row(2, 'b', 5)), start: end, end});
    expect(differs).toMatchObject({batchId: 2, counts: {updated: 1, unchanged: 1}});
    expect(await flow.rows()).toEqual([row(1, 'x', 5), row(2, 'b', 5)]);
  });

  test('deletes are strict unless they win ties', async () => {
    const flow = await TestFlow.create(lake, SCHEMA, {vectors});
    await flow.apply(upserts(row(1, 'a', 5), row(2, 'b', 5), row(3, 'c', null)));
    await flow.apply(deletes({id: 1n, seq: 5}));
    expect((await flow.rows()).length).toBe(3);
    await flow.apply({...deletes({id: 1n, seq: 5}, {id: 2n, seq: 4}, {id: 3n, seq: null}), deletesWinTies: true});
    expect(await flow.rows()).toEqual([row(2, 'b', 5)]);
  });

  test('tombstones keep late rows out, until a newer one comes', async () => {
    const flow = await TestFlow.create(lake, SCHEMA, {vectors});
    const keepTombstones = true;
    await flow.apply({...deletes({id: 1n, seq: 5}, {id: 2n, seq: 5}), keepTombstones});
    expect((await flow.batch())?.side.tombstones.length).toBe(1);
    await flow.apply({...upserts(row(1, 'late', 4), row(2, 'tie', 5)), keepTombstones});
    expect(await flow.rows()).toEqual([row(2, 'tie', 5)]);
    const known = await flow.apply({
      ...deletes({id: 1n, seq: 5}),
      keepTombstones,
      start: {rows: {at: 2}, deletes: null},
      end: {rows: {at: 2}, deletes: null},
    });
    expect(known.version).toBeNull();
    await flow.apply({...upserts(row(1, 'new', 6)), keepTombstones});
    expect(await flow.rows()).toEqual([row(1, 'new', 6), row(2, 'tie', 5)]);
  });

  test('tombstones are compacted and still hold', async () => {
    const flow = await TestFlow.create(lake, SCHEMA, {vectors});
    for (let id = 0; id < 20; id += 1)
      await flow.apply({...deletes({id: BigInt(id), seq: id + 5}), keepTombstones: true});
    expect((await flow.batch())?.side.tombstones.length).toBeLessThan(16);
    await flow.apply({
      ...upserts(...Array.from({length: 20}, (_, id) => row(id, 'late', id + 4))),
      keepTombstones: true,
    });
    expect(await flow.rows()).toEqual([]);
  });

  test('without a sequence the later arrival wins and equal rows are not rewritten', async () => {
    const flow = await TestFlow.create(lake, SCHEMA, {vectors});
    const sequence: readonly string[] = [];
    await flow.apply({
      inputs: [
        relation(SCHEMA, [
          {...row(1, 'a', 1), __ord: 0},
          {...row(1, 'b', 0), __ord: 1},
        ]),
      ],
      sequence,
    });
    expect(await flow.rows()).toEqual([row(1, 'b', 0)]);
    const again = await flow.apply({...upserts(row(1, 'b', 0)), sequence});
    expect(again.counts).toMatchObject({updated: 0, unchanged: 1});
    await flow.apply({...upserts(row(1, 'c', 0)), deletes: [relation(columns({id: 'long'}), [{id: 1n}])], sequence});
    expect(await flow.rows()).toEqual([]);
  });

  test('adds staged files as they are where every row of them wins', async () => {
    const flow = await TestFlow.create(lake, SCHEMA, {vectors});
    const stage = async (rows: readonly TestRow[]): Promise<ApplyJob['inputs'][number]> => {
      const input = relation(SCHEMA, rows);
      if (input.kind !== 'relation') throw new Error('not a relation');
      return {
        kind: 'staged',
        files: await (
          await flow.table()
        ).writeFiles({select: input.select, schema: SCHEMA}, new AbortController().signal),
      };
    };
    const first = await stage([row(1, 'a', 1), row(2, 'b', 1)]);
    await flow.apply({inputs: [first], keysUnique: true});
    const second = await stage([row(2, 'B', 2), row(3, 'c', 1)]);
    await flow.apply({inputs: [second]});
    const third = await stage([row(3, 'late', 0), row(4, 'd', 1)]);
    await flow.apply({inputs: [third]});
    expect(await flow.rows()).toEqual([row(1, 'a', 1), row(2, 'B', 2), row(3, 'c', 1), row(4, 'd', 1)]);
    const paths = [...(await flow.table()).snapshot.files.keys()];
    const staged = (input: ApplyJob['inputs'][number]): string =>
      input.kind === 'staged' ? (input.files[0]?.path ?? '') : '';
    expect(paths.includes(staged(second))).toBe(true);
    expect(paths.includes(staged(third))).toBe(false);
  });

  test('new columns come with the commit that brings them; older rows have NULL', async () => {
    const flow = await TestFlow.create(lake, SCHEMA, {vectors});
    await flow.apply(upserts(row(1, 'a', 1), row(2, 'b', 1)));
    const wider = columns({
      id: 'long',
      name: 'string',
      extra: {type: 'array', elementType: 'long', containsNull: true},
      seq: 'integer',
    });
    await flow.apply({
      schema: wider,
      inputs: [{kind: 'relation', select: `SELECT 2::BIGINT AS id, 'B' AS name, [7::BIGINT] AS extra, 2 AS seq`}],
    });
    expect((await flow.table()).snapshot.schema).toEqual(wider);
    expect(await flow.rows()).toEqual([
      {id: 1n, name: 'a', extra: null, seq: 1},
      {id: 2n, name: 'B', extra: [7n], seq: 2},
    ]);
    const narrower = flow.apply({schema: SCHEMA, ...upserts(row(3, 'c', 1))});
    await expect(narrower).rejects.toMatchObject({code: 'INCOMPATIBLE_SCHEMA_CHANGE'});
  });

  test('keys of several columns', async () => {
    const schema = columns({a: 'string', b: 'date', seq: 'long', v: 'double'});
    const flow = await TestFlow.create(lake, schema, {vectors});
    const keys = ['b', 'a'];
    const make = (a: string, b: string, seq: number, v: number): string =>
      `SELECT '${a}' AS a, DATE '${b}' AS b, ${seq}::BIGINT AS seq, ${v}::DOUBLE AS v`;
    const all = (...selects: readonly string[]): Pick<ApplyJob, 'inputs'> => ({
      inputs: [{kind: 'relation', select: selects.join(' UNION ALL ')}],
    });
    await flow.apply({
      keys,
      ...all(make('x', '2024-01-01', 1, 1), make('x', '2024-01-02', 1, 2), make('y', '2024-01-01', 1, 3)),
    });
    await flow.apply({keys, ...all(make('x', '2024-01-01', 2, 9), make('y', '2024-01-02', 1, 4))});
    expect((await flow.rows()).map((found) => found['v'])).toEqual([9, 2, 3, 4]);
  });
});

describe('append', () => {
  test('adds all rows, and a batch without rows commits only its offset', async () => {
    const flow = await TestFlow.create(lake, SCHEMA);
    const parts: Partial<ApplyJob> = {mode: 'append', target: 'append', keys: [], sequence: []};
    await flow.apply({...parts, ...upserts(row(1, 'a', 1), row(1, 'a', 1))});
    const empty = await flow.apply(parts);
    expect(empty).toMatchObject({version: 2, batchId: 2});
    const still = {rows: {at: 2}, deletes: null};
    expect(await flow.apply({...parts, start: still, end: still})).toMatchObject({version: null, batchId: 2});
    expect(await flow.rows()).toEqual([row(1, 'a', 1), row(1, 'a', 1)]);
  });

  test('drops what is known of the last cursor, and rows without a cursor that were seen', async () => {
    const flow = await TestFlow.create(lake, SCHEMA);
    const parts: Partial<ApplyJob> = {mode: 'append', target: 'append', sequence: [], appendCursor: 'seq'};
    await flow.apply({...parts, ...upserts(row(1, 'a', 1), row(2, 'b', 2), row(3, 'c', 2), row(4, 'd', null))});
    const second = await flow.apply({
      ...parts,
      ...upserts(row(2, 'b', 2), row(3, 'c', 2), row(5, 'e', 2), row(5, 'e', 2), row(4, 'd', null), row(6, 'f', null)),
    });
    expect(second.counts.inserted).toBe(2);
    await flow.apply({...parts, ...upserts(row(5, 'e', 2), row(3, 'c', 2), row(7, 'g', 3), row(6, 'f', null))});
    await flow.apply({...parts, ...upserts(row(7, 'g', 3), row(4, 'd', null))});
    expect((await flow.rows()).map((found) => found['id'])).toEqual([1n, 2n, 3n, 4n, 5n, 6n, 7n]);
  });

  test('refuses deletes', async () => {
    const flow = await TestFlow.create(lake, SCHEMA);
    await expect(flow.apply({mode: 'append', target: 'append', ...deletes({id: 1n, seq: 1})})).rejects.toMatchObject({
      code: 'UNSUPPORTED',
    });
  });
});

describe.each([true, false])('hold and replace with deletion vectors: %s', (vectors) => {
  const snapshot: Partial<ApplyJob> = {sequence: [], start: NOWHERE};

  test('held rows become visible at the end, as the files that they were held in', async () => {
    const flow = await TestFlow.create(lake, SCHEMA, {vectors});
    await flow.apply({...snapshot, mode: 'hold', ...upserts(row(1, 'a', 1)), end: {rows: {at: 1}, deletes: null}});
    await flow.apply({
      ...snapshot,
      mode: 'hold',
      ...upserts(row(2, 'b', 1)),
      start: {rows: {at: 1}, deletes: null},
      end: {rows: {at: 2}, deletes: null},
    });
    expect(await flow.rows()).toEqual([]);
    const held = await flow.batch();
    expect(held).toMatchObject({inSnapshot: true});
    const result = await flow.apply({
      ...snapshot,
      mode: 'replace',
      ...upserts(row(3, 'c', 1)),
      start: {rows: {at: 2}, deletes: null},
      end: NOWHERE,
    });
    expect(result.counts).toMatchObject({inserted: 3});
    expect(await flow.rows()).toEqual([row(1, 'a', 1), row(2, 'b', 1), row(3, 'c', 1)]);
    const paths = [...(await flow.table()).snapshot.files.keys()];
    for (const file of held?.side.pending ?? []) expect(paths).toContain(file.name);
    expect(await flow.batch()).toMatchObject({inSnapshot: false, side: {pending: []}});
  });

  test('a snapshot that changes nothing makes no version', async () => {
    const flow = await TestFlow.create(lake, SCHEMA, {vectors});
    await flow.apply({...snapshot, mode: 'replace', ...upserts(row(1, 'a', 1), row(2, null, 1)), end: NOWHERE});
    const again = await flow.apply({
      ...snapshot,
      mode: 'replace',
      ...upserts(row(2, null, 1), row(1, 'a', 1)),
      end: NOWHERE,
    });
    expect(again).toMatchObject({version: null, counts: {unchanged: 2, inserted: 0}});
    const changed = await flow.apply({
      ...snapshot,
      mode: 'replace',
      ...upserts(row(2, 'b', 1), row(3, 'c', 1)),
      end: NOWHERE,
    });
    expect(changed.counts).toMatchObject({inserted: 1, updated: 1, deleted: 1, unchanged: 0});
    expect(await flow.rows()).toEqual([row(2, 'b', 1), row(3, 'c', 1)]);
  });

  test('a snapshot that begins anew drops what was held', async () => {
    const flow = await TestFlow.create(lake, SCHEMA, {vectors});
    await flow.apply({...snapshot, mode: 'hold', ...upserts(row(1, 'a', 1)), end: {rows: {at: 1}, deletes: null}});
    await flow.apply({...snapshot, mode: 'hold', ...upserts(row(2, 'b', 1)), end: {rows: {at: 1}, deletes: null}});
    await flow.apply({...snapshot, mode: 'replace', start: {rows: {at: 1}, deletes: null}, end: NOWHERE});
    expect(await flow.rows()).toEqual([row(2, 'b', 1)]);
  });

  test('a key that comes twice fails by name, or is counted as quarantined', async () => {
    const flow = await TestFlow.create(lake, SCHEMA, {vectors});
    const twice = {
      inputs: [
        relation(SCHEMA, [
          {...row(1, 'a', 1), __ord: 0},
          {...row(1, 'b', 1), __ord: 1},
          {...row(2, 'c', 1), __ord: 2},
        ]),
      ],
    };
    const failing = flow.apply({...snapshot, mode: 'replace', ...twice, end: NOWHERE});
    await expect(failing).rejects.toMatchObject({
      code: 'DUPLICATE_KEY',
      message: expect.stringContaining('1 keys ("id")'),
    });
    const result = await flow.apply({
      ...snapshot,
      mode: 'replace',
      ...twice,
      end: NOWHERE,
      onDuplicateKey: 'quarantine',
    });
    expect(result.counts.quarantinedRows).toBe(1);
    expect(await flow.rows()).toEqual([row(1, 'a', 1), row(2, 'c', 1)]);
  });

  test('rows that a filter took out are no duplicates, and do not hide any', async () => {
    const flow = await TestFlow.create(lake, SCHEMA, {vectors});
    const marked = (...rows: readonly TestRow[]): Pick<ApplyJob, 'inputs'> => ({
      inputs: [
        relation(
          SCHEMA,
          rows.map((found, at) => ({__op: 'upsert', ...found, __ord: at})),
        ),
      ],
    });
    const once = marked(row(1, 'a', 1), {...row(2, 'b', 1), __op: 'delete'}, row(3, 'c', 1));
    await flow.apply({...snapshot, mode: 'replace', ...once, end: NOWHERE});
    expect(await flow.rows()).toEqual([row(1, 'a', 1), row(3, 'c', 1)]);
    const twice = marked(row(1, 'a', 1), {...row(2, 'b', 1), __op: 'delete'}, row(1, 'x', 1));
    for (const mode of ['hold', 'replace'] as const) {
      await expect(flow.apply({...snapshot, mode, ...twice})).rejects.toMatchObject({code: 'DUPLICATE_KEY'});
    }
  });

  test('a refresh of a keyed flow keeps the newest of each key and applies deletes', async () => {
    const flow = await TestFlow.create(lake, SCHEMA, {vectors});
    await flow.apply(upserts(row(9, 'old', 1)));
    await flow.apply({mode: 'hold', start: NOWHERE, ...upserts(row(1, 'a', 3), row(2, 'b', 1)), keepTombstones: true});
    await flow.apply({
      mode: 'hold',
      ...upserts(row(1, 'stale', 2), row(3, 'c', 1)),
      ...deletes({id: 2n, seq: 2}, {id: 3n, seq: 0}),
      keepTombstones: true,
    });
    expect(await flow.rows()).toEqual([row(9, 'old', 1)]);
    await flow.apply({mode: 'replace', keepTombstones: true});
    expect(await flow.rows()).toEqual([row(1, 'a', 3), row(3, 'c', 1)]);
    await flow.apply({...upserts(row(2, 'late', 1)), keepTombstones: true});
    expect(await flow.rows()).toEqual([row(1, 'a', 3), row(3, 'c', 1)]);
  });

  test('a table without a key is compared as a whole and overwritten when it differs', async () => {
    const flow = await TestFlow.create(lake, SCHEMA, {vectors});
    const parts: Partial<ApplyJob> = {...snapshot, mode: 'replace', keys: [], end: NOWHERE};
    await flow.apply({...parts, ...upserts(row(1, 'a', 1), row(1, 'a', 1), row(2, 'b', 1))});
    expect(await flow.apply({...parts, ...upserts(row(2, 'b', 1), row(1, 'a', 1), row(1, 'a', 1))})).toMatchObject({
      version: null,
      counts: {unchanged: 3},
    });
    await flow.apply({...parts, ...upserts(row(2, 'b', 1), row(1, 'a', 1), row(2, 'b', 1))});
    expect(await flow.rows()).toEqual([row(1, 'a', 1), row(2, 'b', 1), row(2, 'b', 1)]);
    await flow.apply(parts);
    expect(await flow.rows()).toEqual([]);
  });

  test('a refresh may change types, and rewrites what was held with others', async () => {
    const flow = await TestFlow.create(lake, SCHEMA, {vectors});
    await flow.apply({...snapshot, mode: 'replace', ...upserts(row(1, 'a', 1)), end: NOWHERE});
    await flow.apply({...snapshot, mode: 'hold', ...upserts(row(1, '7', 1)), end: {rows: {at: 1}, deletes: null}});
    const schema = columns({id: 'long', name: 'integer', seq: 'integer'});
    await flow.apply({
      ...snapshot,
      mode: 'replace',
      schema,
      inputs: [relation(schema, [{id: 2n, name: 8, seq: 1}])],
      start: {rows: {at: 1}, deletes: null},
      end: NOWHERE,
    });
    expect(await flow.rows()).toEqual([
      {id: 1n, name: 7, seq: 1},
      {id: 2n, name: 8, seq: 1},
    ]);
  });
});

describe('a snapshot of a large table with deletion vectors', () => {
  test('touches only the rows that differ', async () => {
    const schema = columns({id: 'long', text: 'string', seq: 'integer'});
    const flow = await TestFlow.create(lake, schema, {vectors: true});
    const select = (change: string): ApplyJob['inputs'] => [
      {
        kind: 'relation',
        select: `SELECT range AS id, CASE WHEN ${change} THEN 'changed' ELSE md5(range::VARCHAR) || md5((range * 7)::VARCHAR) END AS text, 1 AS seq FROM range(600000) WHERE range <> 77`,
      },
    ];
    const parts: Partial<ApplyJob> = {mode: 'replace', sequence: [], start: NOWHERE, end: NOWHERE, keysUnique: true};
    await flow.apply({...parts, inputs: select('FALSE')});
    const [file] = [...(await flow.table()).snapshot.files.values()];
    expect(file?.size).toBeGreaterThan(16 * 2 ** 20);
    const result = await flow.apply({...parts, inputs: select('range % 1000 = 5')});
    expect(result.counts).toMatchObject({updated: 600, inserted: 0, deleted: 0, unchanged: 599_399});
    expect(result.writtenBytes).toBeLessThan(2 ** 20);
    expect((await flow.table()).snapshot.files.get(file?.path ?? '')?.deletionVector?.cardinality).toBe(600);
  }, 20_000);
});

describe('side files', () => {
  test('the ledger keeps the last value of a key, also when it is written anew', async () => {
    const flow = await TestFlow.create(lake, SCHEMA);
    const parts: Partial<ApplyJob> = {mode: 'append', target: 'append', keys: [], sequence: []};
    for (let at = 0; at < 20; at += 1) {
      await flow.apply({
        ...parts,
        ledger: [
          {key: 'all', value: `${at}`},
          {key: `k${at}`, value: '"old"'},
          {key: `k${at}`, value: '"new"'},
        ],
      });
    }
    const names = (await flow.batch())?.side.ledger ?? [];
    expect(names.length).toBeLessThan(17);
    const paths = await Promise.all(names.map((name) => lake.context.store.localPath(`${flow.root}/${name}`)));
    const list = paths.map((path) => `'${path}'`).join(', ');
    const rows = await lake.context.engine.query(
      `SELECT key, arg_max(value, file_index) AS value FROM read_parquet([${list}]) GROUP BY key`,
    );
    expect(rows.length).toBe(21);
    expect(rows.find((found) => found['key'] === 'all')?.['value']).toBe('19');
    expect(rows.every((found) => found['key'] === 'all' || found['value'] === '"new"')).toBe(true);
  });
});

describe('commits', () => {
  test('a run that went on from another batch is stopped', async () => {
    const flow = await TestFlow.create(lake, SCHEMA);
    await flow.apply(upserts(row(1, 'a', 1)));
    const other = createDuckDbApply(lake.context);
    await expect(
      other.apply(flow.job({...upserts(row(2, 'b', 1)), previousBatchId: null}), new AbortController().signal),
    ).rejects.toMatchObject({code: 'CONCURRENT_RUN'});
    expect((await flow.rows()).length).toBe(1);
  });

  test.each([
    'apply.data-written',
    'apply.side-files-written',
    'apply.batch-file-written',
    'delta.commit-staged',
  ] as const)('a failure at %s leaves the table as it was, and the next attempt lands', async (step) => {
    const flow = await TestFlow.create(lake, SCHEMA, {vectors: true});
    await flow.apply(upserts(row(1, 'a', 1)));
    const parts = {...upserts(row(1, 'b', 2)), ...deletes({id: 5n, seq: 1}), keepTombstones: true};
    installFailpoints((name) => {
      if (name === step) throw new Error('killed');
    });
    await expect(flow.apply(parts)).rejects.toThrow('killed');
    installFailpoints(null);
    expect(await flow.rows()).toEqual([row(1, 'a', 1)]);
    expect((await flow.batch())?.batchId).toBe(1);
    await flow.apply(parts);
    expect(await flow.rows()).toEqual([row(1, 'b', 2)]);
    expect((await flow.batch())?.side.tombstones.length).toBe(1);
  });

  test.each(['delta.commit-linked', 'delta.commit-written'] as const)(
    'a job whose answer was lost at %s is not applied again',
    async (step) => {
      const flow = await TestFlow.create(lake, SCHEMA);
      const job = flow.job({mode: 'append', target: 'append', keys: [], sequence: [], ...upserts(row(1, 'a', 1))});
      installFailpoints((name) => {
        if (name === step) throw new Error('lost');
      });
      await flow.engine.apply(job, new AbortController().signal).catch(() => undefined);
      installFailpoints(null);
      const again = await flow.engine.apply(job, new AbortController().signal);
      expect(again).toMatchObject({batchId: 1, version: 1, counts: {inserted: 1}});
      expect(await flow.rows()).toEqual([row(1, 'a', 1)]);
    },
  );

  test('leaves no work tables behind, and stops on abort', async () => {
    const flow = await TestFlow.create(lake, SCHEMA);
    await flow.apply(upserts(row(1, 'a', 1)));
    const stop = new AbortController();
    stop.abort(new Error('stopped'));
    await expect(flow.engine.apply(flow.job(upserts(row(2, 'b', 1))), stop.signal)).rejects.toThrow('stopped');
    expect(
      await lake.context.engine.query(
        `SELECT table_name FROM duckdb_tables() WHERE table_name LIKE 'apply%' OR table_name LIKE 'ledger%'`,
      ),
    ).toEqual([]);
  });

  test('partitioned tables take held rows, too', async () => {
    const flow = await TestFlow.create(lake, SCHEMA, {partitionColumns: ['name']});
    await flow.apply({mode: 'hold', start: NOWHERE, sequence: [], ...upserts(row(1, 'a', 1), row(2, 'b', 1))});
    await flow.apply({mode: 'replace', sequence: [], ...upserts(row(3, 'a', 1))});
    expect(await flow.rows()).toEqual([row(1, 'a', 1), row(2, 'b', 1), row(3, 'a', 1)]);
  });
});
