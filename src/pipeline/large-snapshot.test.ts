import {rm} from 'node:fs/promises';

import {afterEach, beforeEach, expect, test} from 'vitest';

import type {JsonObject} from '../core/json-value.ts';
import {long, string, struct} from '../core/schema.ts';
import {openTable} from '../delta/table.ts';
import {openTestLake, runConnector, type TestLake, type TestRunEnd} from '../testkit/run-connector.ts';
import {scriptedConnector} from '../testkit/scripted-connector.ts';

let lake: TestLake;

beforeEach(async () => {
  lake = await openTestLake();
});

afterEach(async () => {
  await lake[Symbol.asyncDispose]();
  await rm(lake.folder, {recursive: true, force: true});
});

const PAGES = 70;
const PAGE_ROWS = 500;
const TEXT = 'x'.repeat(1000);

/** A snapshot of more bytes than wait in memory; `change` is what the row of an id has as its text. */
function run(change: (id: number) => string, extra: readonly JsonObject[] = []): Promise<TestRunEnd> {
  const pages = Array.from({length: PAGES}, (_, page) =>
    Array.from({length: PAGE_ROWS}, (_row, index): JsonObject => {
      const id = page * PAGE_ROWS + index;
      return {id, text: change(id)};
    }),
  );
  const scripted = scriptedConnector({
    t: {
      schema: struct({id: long(), text: string()}),
      ingestionType: 'snapshot',
      primaryKeys: ['id'],
      metadata: {keysEnforced: true},
      read: () => ({pages: [...pages, extra], end: null}),
    },
  });
  return runConnector(lake, {...scripted, tables: [{source: 't'}]});
}

async function count(): Promise<unknown> {
  const table = await openTable(lake.context, 'main/test/t');
  if (table === null) throw new Error('no table');
  const [row] = await lake.context.engine.query(
    `SELECT count(*) AS n, count(DISTINCT id) AS ids, count(*) FILTER (WHERE text LIKE 'changed%') AS changed FROM (${await table.readSql()})`,
  );
  return row;
}

const all = BigInt(PAGES * PAGE_ROWS);

test('a snapshot that is written while it is read lands whole, changes by what differs, and is not written again', async () => {
  expect(await run(() => TEXT)).toMatchObject({state: 'COMPLETED', flows: [{rowsRead: Number(all), batches: 1}]});
  expect(await count()).toMatchObject({n: all, ids: all, changed: 0n});
  const second = await run((id) => (id % 7000 === 0 ? 'changed' : TEXT), [{id: -1, text: 'changed too'}]);
  expect(second).toMatchObject({state: 'COMPLETED', flows: [{rowsUpdated: 5, rowsInserted: 1, rowsDeleted: 0}]});
  expect(await count()).toMatchObject({n: all + 1n, changed: 6n});
  const third = await run((id) => (id % 7000 === 0 ? 'changed' : TEXT), [{id: -1, text: 'changed too'}]);
  expect(third).toMatchObject({state: 'COMPLETED', flows: [{rowsUpdated: 0, rowsInserted: 0, rowsDeleted: 0}]});
});

test('a key that comes twice is found across what was written and what was not, and rows without a key are set aside', async () => {
  const twice = await run(() => TEXT, [{id: 3, text: 'again'}]);
  expect(twice).toMatchObject({state: 'FAILED', flows: [{errorCode: 'DUPLICATE_KEY'}]});
  const keyless = await run(() => TEXT, [{id: null, text: 'no key'}]);
  expect(keyless).toMatchObject({state: 'COMPLETED', flows: [{quarantinedRows: 1}]});
  expect(await count()).toMatchObject({n: all, ids: all});
});
