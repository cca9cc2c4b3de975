import {rm} from 'node:fs/promises';

import {afterEach, beforeEach, describe, expect, test} from 'vitest';

import {long, string, struct} from '../core/schema.ts';
import type {StructType} from '../core/types.ts';
import {alterTable} from '../delta/alter-table.ts';
import type {DeltaTable} from '../delta/delta-table.ts';
import {openTable} from '../delta/table.ts';
import {openTestLake, runConnector, type TestLake} from '../testkit/run-connector.ts';
import {batches, scriptedConnector, type ScriptedTable} from '../testkit/scripted-connector.ts';

let lake: TestLake;
beforeEach(async () => {
  lake = await openTestLake();
});
afterEach(async () => {
  await lake[Symbol.asyncDispose]();
  await rm(lake.folder, {recursive: true, force: true});
});

async function run(schema: StructType, more: Partial<ScriptedTable> = {}): Promise<DeltaTable> {
  const source: ScriptedTable = {
    schema,
    ingestionType: 'snapshot',
    primaryKeys: ['id'],
    read: batches([[{id: 1, name: 'one'}]]),
    ...more,
  };
  const end = await runConnector(lake, {...scriptedConnector({t: source}), tables: [{source: 't'}]});
  expect(end.flows).toMatchObject([{state: 'COMPLETED'}]);
  const table = await openTable(lake.context, 'main/test/t');
  if (table === null) throw new Error('no table');
  return table;
}

describe('a destination', () => {
  test('says what the source says of its columns and its key, and again when that changes', async () => {
    const first = struct({id: long().comment('the key'), name: string()});
    let table = await run(first);
    expect(table.snapshot.metadata.configuration['sluice.primaryKeys']).toBe('["id"]');
    expect(table.snapshot.schema.fields.slice(0, 2).map(({metadata}) => metadata)).toEqual([{comment: 'the key'}, {}]);
    await alterTable(table, {comments: new Map([['name', 'by hand']])});
    const {version} = await table.refresh();
    table = await run(first);
    // A comment by hand stays where the source has none; nothing is news.
    expect((await table.history({after: version})).filter((commit) => commit.metadataChanged)).toEqual([]);
    table = await run(struct({id: long().comment('the new key'), name: string(), more: long().comment('added')}), {
      primaryKeys: ['id', 'name'],
    });
    expect(table.snapshot.metadata.configuration['sluice.primaryKeys']).toBe('["id","name"]');
    expect(table.snapshot.schema.fields.slice(0, 3).map(({metadata}) => metadata)).toEqual([
      {comment: 'the new key'},
      {comment: 'by hand'},
      {comment: 'added'},
    ]);
  });
});
