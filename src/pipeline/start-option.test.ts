import {rm} from 'node:fs/promises';

import {afterEach, beforeEach, expect, test} from 'vitest';

import {long, struct, timestamp} from '../core/schema.ts';
import {landedRows, openTestLake, runConnector, type TestLake, type TestTable} from '../testkit/run-connector.ts';
import {batches, scriptedConnector, type ScriptedTable} from '../testkit/scripted-connector.ts';

let lake: TestLake;
beforeEach(async () => {
  lake = await openTestLake();
});
afterEach(async () => {
  await lake[Symbol.asyncDispose]();
  await rm(lake.folder, {recursive: true, force: true});
});

/** A table whose connector takes no options. */
const TABLE: ScriptedTable = {
  schema: struct({id: long(), at: timestamp()}),
  ingestionType: 'cdc',
  primaryKeys: ['id'],
  cursorField: 'at',
  metadata: {bounded: true},
  read: batches([
    [
      {id: 1, at: '2026-01-01T00:00:00Z'},
      {id: 2, at: '2026-02-01T00:00:00Z'},
      {id: 3, at: '2026-03-01T00:00:00Z'},
    ],
  ]),
};

const run = (options: Partial<TestTable>, table = TABLE): ReturnType<typeof runConnector> =>
  runConnector(lake, {...scriptedConnector({t: table}), tables: [{source: 't', ...options}]});

test('start_timestamp keeps out what is older, of a connector that knows nothing of it', async () => {
  const end = await run({
    options: {start_timestamp: '2026-02-01T00:00:00Z'},
    configuration: {rowFilter: 'id <> 3 OR id = 3'},
  });
  expect(end.flows.map(({errorMessage}) => errorMessage)).toEqual([undefined]);
  expect((await landedRows(lake, 't', 'id')).map(({id}) => Number(id))).toEqual([2, 3]);
});

test('start_timestamp is refused where it is none, and where no cursor has a time', async () => {
  await expect(run({options: {start_timestamp: 'soon'}})).rejects.toThrow('start_timestamp is no timestamp');
  const byId = {...TABLE, cursorField: 'id'};
  const end = await run({options: {start_timestamp: '2026-02-01T00:00:00Z'}}, byId);
  expect(end.flows[0]?.errorMessage).toContain('start_timestamp needs a cursor that is a timestamp');
});
