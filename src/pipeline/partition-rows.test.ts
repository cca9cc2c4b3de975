import {rm} from 'node:fs/promises';

import {afterEach, beforeEach, expect, test} from 'vitest';

import type {Offset} from '../core/offset.ts';
import {long, string, struct} from '../core/schema.ts';
import type {Connector, Page, PartitionPlan} from '../sdk/contract.ts';
import {landedRows, openTestLake, runConnector, type TestLake, type TestRun} from '../testkit/run-connector.ts';
import {scriptedConnector, type ScriptedTable} from '../testkit/scripted-connector.ts';

let lake: TestLake;
beforeEach(async () => {
  lake = await openTestLake();
});
afterEach(async () => {
  await lake[Symbol.asyncDispose]();
  await rm(lake.folder, {recursive: true, force: true});
});

/** A table whose parts are pages: `parts[n]` are those of the n-th plan, after which the offset is `{n}`. */
function parted(
  table: Partial<ScriptedTable>,
  parts: readonly (readonly Page[])[],
  plan: Partial<PartitionPlan> = {},
): Pick<TestRun, 'definition' | 'connector'> {
  const scripted = scriptedConnector({
    t: {
      schema: struct({id: long(), name: string(), at: long()}),
      ingestionType: 'cdc',
      primaryKeys: ['id'],
      cursorField: 'at',
      metadata: {keysEnforced: true},
      read: (start) => ({pages: [], end: start}),
      ...table,
    },
  });
  const planOf = (start: Offset | null): number => Number(start?.['n'] ?? 0);
  const connector: Connector = {
    ...scripted.connector,
    isPartitioned: (_, start) => planOf(start) < parts.length,
    latestOffset: (_, start) => Promise.resolve({n: planOf(start) + 1}),
    getPartitions: (_, {start}) =>
      Promise.resolve({
        volatile: false,
        partitions: (parts[planOf(start)] ?? []).map((_page, page) => ({n: planOf(start), page})),
        ...plan,
      }),
    async *readPartition(_, {n, page}) {
      const found = parts[Number(n)]?.[Number(page)];
      if (found !== undefined) yield await Promise.resolve(found);
    },
  };
  return {...scripted, connector};
}

const row = (
  id: number,
  name: string,
  at: number,
): {readonly id: number; readonly name: string; readonly at: number} => ({
  id,
  name,
  at,
});

test('a key that comes in two partitions, because its row moved, lands once and as it was last', async () => {
  const moved = [[row(1, 'a', 1), row(2, 'old', 1)], [row(2, 'new', 2)]];
  await runConnector(lake, {...parted({}, [moved], {mayRepeat: true}), tables: [{source: 't'}]});
  expect(await landedRows(lake, 't', 'id, name')).toEqual([
    {id: 1n, name: 'a'},
    {id: 2n, name: 'new'},
  ]);
});

test('rows of partitions have the sequence of their page, so that older changes change nothing', async () => {
  const first: Page = {kind: 'records', rows: [row(1, 'listed', 1), row(2, 'listed', 1)], sequence: 10};
  const changes: Page = {
    kind: 'changes',
    changes: [
      {op: 'upsert', row: row(1, 'older', 0), sequence: 9},
      {op: 'delete', row: {id: 2}, sequence: 11},
    ],
  };
  const table: Partial<ScriptedTable> = {
    metadata: {keysEnforced: true, changes: {sequence: 'long'}},
    read: (start) => (start?.['n'] === 1 ? {pages: [changes], end: {n: 2}} : {pages: [], end: start}),
  };
  const configuration = {scdType: 'SCD_TYPE_2'} as const;
  await runConnector(lake, {...parted(table, [[first]]), tables: [{source: 't', configuration}]});
  expect(await landedRows(lake, 't', 'id, name, __START_AT, __END_AT')).toEqual([
    {id: 1n, name: 'listed', __START_AT: 10n, __END_AT: null},
    {id: 1n, name: 'older', __START_AT: 9n, __END_AT: 10n},
    {id: 2n, name: 'listed', __START_AT: 10n, __END_AT: 11n},
  ]);
});

test('a back-fill reads all stretches of a load in partitions', async () => {
  const stretches = [[[row(1, 'a', 1)]], [[row(2, 'b', 2)]], [[row(3, 'c', 3)]]];
  const tables = [{source: 't', configuration: {excludeColumns: ['name']}}];
  await runConnector(lake, {...parted({}, stretches), tables});
  expect(await landedRows(lake, 't', 'id')).toHaveLength(3);
  const filled = [{source: 't', configuration: {backfillNewColumns: true}}];
  await runConnector(lake, {...parted({}, stretches), tables: filled});
  expect(await landedRows(lake, 't', 'id, name')).toEqual([
    {id: 1n, name: 'a'},
    {id: 2n, name: 'b'},
    {id: 3n, name: 'c'},
  ]);
});
