import {rm} from 'node:fs/promises';

import {afterAll, beforeAll, expect, test} from 'vitest';

import {createCoercer} from '../core/coerce.ts';
import type {ColumnBatch} from '../core/columns.ts';
import {long, string, struct} from '../core/schema.ts';
import type {StructType} from '../core/types.ts';
import {openTestLake, type TestLake} from '../testkit/run-connector.ts';
import {LandingTables} from './landing-tables.ts';

let lake: TestLake;
beforeAll(async () => {
  lake = await openTestLake();
});
afterAll(async () => {
  await lake[Symbol.asyncDispose]();
  await rm(lake.folder, {recursive: true, force: true});
});

const SCHEMA = struct({id: long(), text: string(), _rescued_data: string()});
/** Rows of so many bytes that a table holds about one hundred of them. */
const TEXT = 'x'.repeat(256 * 1024);

function batch(ids: readonly number[], text: string, schema: StructType = SCHEMA): ColumnBatch {
  const coercer = createCoercer(schema, {rescue: false});
  for (const id of ids) coercer.add({id, text, rowid: `r${id}`});
  return coercer.take().batch;
}

async function ask(sql: string): Promise<readonly unknown[]> {
  return (await lake.context.engine.query(sql)).map((row) => Object.values(row).map(Number));
}

async function tablesHere(): Promise<number> {
  const [row] = await lake.context.engine.query(`SELECT count(*) AS n FROM duckdb_tables()`);
  return Number(row?.['n']);
}

test('rows have their places in the order of arrival, in however many tables they are', async () => {
  await using tables = new LandingTables(lake.context.engine, SCHEMA);
  for (let at = 0; at < 300; at += 30)
    await tables.append(
      batch(
        Array.from({length: 30}, (_, row) => at + row),
        TEXT,
      ),
    );
  // Whole tables are visible at once.
  const first = tables.rowsFrom(0);
  expect(first?.to).toBeGreaterThan(100);
  expect(first?.to).toBeLessThan(300);
  tables.close();
  expect(await tables.insert(['SELECT 300, NULL, NULL', `SELECT 301, NULL, '{}'`])).toEqual({rows: 2, rescued: 1});
  await tables.append(batch([302], 'last'));
  tables.close();
  expect(await ask(`SELECT count(*), count(*) FILTER (WHERE id = __ord) FROM (${tables.placedRows()})`)).toEqual([
    [303, 303],
  ]);
  const rest = tables.rowsFrom(first?.to ?? 0);
  expect(await ask(`SELECT count(*), min(id), max(id) FROM (${rest?.select})`)).toEqual([
    [303 - (first?.to ?? 0), first?.to, 302],
  ]);
  expect(await ask(`SELECT count(*) FROM (${first?.select})`)).toEqual([[first?.to]]);
  expect(rest?.to).toBe(303);
  expect(tables.rowsFrom(303)).toBeNull();
});

test('a column may have the name that the engine has for places', async () => {
  const schema = struct({id: long(), rowid: string(), _rescued_data: string()});
  await using tables = new LandingTables(lake.context.engine, schema);
  await tables.append(batch([0], '', schema));
  tables.close();
  await tables.append(batch([1], '', schema));
  tables.close();
  expect(await ask(`SELECT id, __ord FROM (${tables.placedRows()}) ORDER BY id`)).toEqual([
    [0, 0],
    [1, 1],
  ]);
});

test('nothing of them is left, nor of those that could not be filled', async () => {
  const before = await tablesHere();
  const tables = new LandingTables(lake.context.engine, SCHEMA);
  await tables.append(batch([1], 'a'));
  await expect(tables.insert(['SELECT 1'])).rejects.toThrow();
  await tables[Symbol.asyncDispose]();
  expect(await tablesHere()).toBe(before);
  await tables.append(batch([2], 'b'));
  tables.close();
  expect(tables.rowCount).toBe(1);
  expect(await ask(`SELECT id, __ord FROM (${tables.placedRows()})`)).toEqual([[2, 0]]);
  await tables[Symbol.asyncDispose]();
  expect(await tablesHere()).toBe(before);
});
