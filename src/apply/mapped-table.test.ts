import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import type {StructType} from '../core/types.ts';
import {alterTable} from '../delta/alter-table.ts';
import {columnId} from '../delta/column-mapping.ts';
import type {ApplyInput} from './apply-engine.ts';
import {columns, openTestLake, relation, TestFlow, type TestLake, type TestRow} from './lake.support.test.ts';

let lake: TestLake;
beforeAll(async () => {
  lake = await openTestLake();
});
afterAll(async () => {
  await lake[Symbol.asyncDispose]();
});

const mapped = {configuration: {'delta.columnMapping.mode': 'name'}};
const schema = columns({id: 'long', 'a b': 'string', seq: 'long'});
const renamedSchema = columns({key: 'long', 'a b': 'string', seq: 'long'});

const upserts = (of: StructType, rows: readonly TestRow[]): {readonly inputs: readonly ApplyInput[]} => ({
  inputs: [relation(of, rows)],
});

describe.each([true, false])('a table with mapped columns (deletion vectors: %s)', (vectors) => {
  it('is merged across a rename of its key: tombstones know the key all the same', async () => {
    const flow = await TestFlow.create(lake, schema, {...mapped, vectors});
    const tombs = {keepTombstones: true};
    await flow.apply({
      ...tombs,
      ...upserts(schema, [
        {id: 1, 'a b': 'one', seq: 1},
        {id: 2, 'a b': 'two', seq: 1},
      ]),
    });
    await flow.apply({...tombs, ...upserts(schema, [{id: 2, seq: 9, __op: 'delete'}])});
    await alterTable(await flow.table(), {renames: new Map([['key', 'id']])});
    await flow.apply({
      ...tombs,
      keys: ['key'],
      schema: renamedSchema,
      ...upserts(renamedSchema, [
        {key: 1, 'a b': 'uno', seq: 2},
        {key: 2, 'a b': 'late', seq: 5},
        {key: 3, 'a b': 'three', seq: 5},
      ]),
    });
    expect(await flow.rows()).toEqual([
      {key: 1n, 'a b': 'uno', seq: 2n},
      {key: 3n, 'a b': 'three', seq: 5n},
    ]);
  });

  it('holds rows of a snapshot with columns that it does not have yet', async () => {
    const flow = await TestFlow.create(lake, schema, {...mapped, vectors});
    const more = columns({id: 'long', 'a b': 'string', 'new one': 'long', seq: 'long'});
    await flow.apply(upserts(schema, [{id: 1, 'a b': 'old', seq: 1}]));
    const nowhere = {rows: null, deletes: null};
    const held = {mode: 'hold', schema: more} as const;
    await flow.apply({...held, start: nowhere, ...upserts(more, [{id: 1, 'a b': 'x', 'new one': 10, seq: 2}])});
    await flow.apply({...held, ...upserts(more, [{id: 2, 'a b': 'y', 'new one': 20, seq: 2}])});
    expect((await flow.table()).snapshot.schema.fields.map(({name}) => name)).toEqual(['id', 'a b', 'seq']);
    // The rename comes in between: what is held is found by its name in the files.
    await alterTable(await flow.table(), {renames: new Map([['key', 'id']])});
    const now = columns({key: 'long', 'a b': 'string', 'new one': 'long', seq: 'long'});
    await flow.apply({
      mode: 'replace',
      keys: ['key'],
      schema: now,
      ...upserts(now, [{key: 3, 'a b': 'z', 'new one': 30, seq: 2}]),
    });
    expect(await flow.rows()).toEqual([
      {key: 1n, 'a b': 'x', 'new one': 10n, seq: 2n},
      {key: 2n, 'a b': 'y', 'new one': 20n, seq: 2n},
      {key: 3n, 'a b': 'z', 'new one': 30n, seq: 2n},
    ]);
    const {snapshot} = await flow.table();
    const ids = snapshot.schema.fields.map(columnId);
    expect(new Set(ids).size).toBe(4);
    expect(snapshot.metadata.configuration['delta.columnMapping.maxColumnId']).toBe(
      String(Math.max(...ids.map(Number))),
    );
  });

  it('gets new columns with a batch', async () => {
    const flow = await TestFlow.create(lake, schema, {...mapped, vectors});
    await flow.apply(upserts(schema, [{id: 1, 'a b': 'one', seq: 1}]));
    const more = columns({id: 'long', 'a b': 'string', seq: 'long', late: 'long'});
    await flow.apply({schema: more, ...upserts(more, [{id: 2, 'a b': 'two', seq: 1, late: 5}])});
    const {version} = (await flow.table()).snapshot;
    await flow.apply({schema: more, ...upserts(more, [{id: 1, 'a b': 'one', seq: 2, late: 6}])});
    const commits = await (await flow.table()).history({after: version});
    expect(commits.map(({metadataChanged}) => metadataChanged)).toEqual([false]);
    expect(await flow.rows()).toEqual([
      {id: 1n, 'a b': 'one', seq: 2n, late: 6n},
      {id: 2n, 'a b': 'two', seq: 1n, late: 5n},
    ]);
  });

  it('knows the rows of the last cursor across a rename', async () => {
    const flow = await TestFlow.create(lake, schema, {...mapped, vectors});
    const append = {mode: 'append', target: 'append', sequence: [], appendCursor: 'seq'} as const;
    await flow.apply({...append, ...upserts(schema, [{id: 1, 'a b': 'one', seq: 1}])});
    await alterTable(await flow.table(), {renames: new Map([['key', 'id']])});
    await flow.apply({
      ...append,
      keys: ['key'],
      schema: renamedSchema,
      ...upserts(renamedSchema, [
        {key: 1, 'a b': 'again', seq: 1},
        {key: 2, 'a b': 'two', seq: 1},
      ]),
    });
    expect(await flow.rows()).toEqual([
      {key: 1n, 'a b': 'one', seq: 1n},
      {key: 2n, 'a b': 'two', seq: 1n},
    ]);
  });
});

describe('metadata of columns', () => {
  it('of the table stays when a batch comes without', async () => {
    const flow = await TestFlow.create(lake, columns({id: 'long', seq: 'long'}));
    await alterTable(await flow.table(), {comments: new Map([['id', 'the key']])});
    await flow.apply(upserts(flow.schema, [{id: 1, seq: 1}]));
    const {snapshot} = await flow.table();
    expect(snapshot.schema.fields[0]?.metadata).toEqual({comment: 'the key'});
    expect(snapshot.version).toBe(2);
  });
});
