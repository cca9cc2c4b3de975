import {join} from 'node:path';

import {isIngestError} from '../../src/core/errors.ts';
import * as t from '../../src/core/schema.ts';
import {alterTable} from '../../src/delta/alter-table.ts';
import type {DeltaTable} from '../../src/delta/delta-table.ts';
import {createTable, openTable} from '../../src/delta/table.ts';
import type {InteropBench} from './suite.ts';
import type {Lake} from './table-case.ts';

/** Constraints bind whoever writes, whoever made them. */
export async function checkConstraints(bench: InteropBench): Promise<void> {
  await ours(bench);
  await sparks(bench);
  await comments(bench);
}

/** A table of ours with a CHECK: Spark keeps it. */
async function ours({lake, readers, report}: InteropBench): Promise<void> {
  const root = 'main/raw/checked';
  const schema = t.struct({id: t.long().notNull(), 'a b': t.string(), price: t.decimal(10, 2)});
  const table = await createTable(lake.context, root, {
    schema,
    configuration: {'delta.constraints.positive': "price > 0.5 AND `a b` IN ('x', 'y')"},
  });
  await append(lake, table, `SELECT 1, 'x', 1`);
  const path = `delta.\`${join(lake.folder, root)}\``;
  await readers.sql(`insert into ${path} values (2, 'y', 2)`);
  const kept = [`3, 'y', 0.5`, `3, 'z', 1`, `3, null, 1`, `null, 'x', 1`];
  for (const values of kept) {
    const refused = await fails(() => readers.sql(`insert into ${path} values (${values})`));
    report(`spark keeps a constraint that sluice made: (${values})`, refused === null ? 'it was written' : null);
  }
  await table.refresh();
  for (const values of kept) {
    const refused = await fails(() => append(lake, table, `SELECT ${values}`));
    report(`sluice keeps its constraint: (${values})`, refused === null ? 'it was written' : null);
  }
  const rows = await lake.engine.query(await table.readSql());
  report('a checked table holds the rows that passed', rows.length === 2 ? null : `${rows.length} rows`);
}

/** Constraints that Spark made; the condition of the last is none that we evaluate. */
async function sparks({lake, readers, report}: InteropBench): Promise<void> {
  const root = 'main/raw/checked_by_spark';
  const path = `delta.\`${join(lake.folder, root)}\``;
  await readers.sql(
    `create table ${path} (id bigint not null, s struct<x: int, y: string not null>, day date) using delta`,
  );
  await readers.sql(
    `alter table ${path} add constraint days check (day BETWEEN DATE'2024-01-01' AND DATE'2024-12-31' OR day IS NULL)`,
  );
  await readers.sql(`alter table ${path} add constraint inside check (s.x >= 0)`);
  const table = await openTable(lake.context, root);
  if (table === null) throw new Error('no table');
  await append(lake, table, `SELECT 1, {x: 1, y: 'a'}, DATE '2024-02-03'`);
  await append(lake, table, `SELECT 2, {x: 0, y: 'b'}, NULL`);
  for (const select of [
    `SELECT 3, {x: -1, y: 'a'}, NULL`,
    `SELECT 3, NULL, NULL`,
    `SELECT 3, {x: 1, y: 'a'}, DATE '2025-01-01'`,
    `SELECT 3, {x: 1, y: NULL}, NULL`,
    `SELECT NULL, {x: 1, y: 'a'}, NULL`,
  ]) {
    const refused = await fails(() => append(lake, table, select));
    report(`sluice keeps constraints that spark made: ${select}`, refused === null ? 'it was written' : null);
  }
  const [count] = await readers.sql(`select count(*) from ${path}`);
  report('spark sees the rows that passed', count?.[0] === '2' ? null : `${String(count?.[0])} rows`);
  await readers.sql(`alter table ${path} add constraint odd check (length(s.y) < 10)`);
  await table.refresh();
  const refused = await fails(() => append(lake, table, `SELECT 4, {x: 1, y: 'a'}, NULL`));
  const isNamed = isIngestError(refused, 'UNSUPPORTED') && refused.message.includes('odd');
  report('sluice refuses to write under a constraint that it cannot evaluate', isNamed ? null : String(refused));
}

/** Column comments and properties, as Spark shows them. */
async function comments({lake, readers, report}: InteropBench): Promise<void> {
  const root = 'main/raw/commented';
  const table = await createTable(lake.context, root, {
    schema: t.struct({id: t.long().comment("the key, it's long"), x: t.long()}),
    configuration: {'sluice.primaryKeys': '["id"]'},
    description: 'a table',
  });
  await alterTable(table, {
    comments: new Map([['x', 'added later']]),
    properties: {'sluice.primaryKeys': '["id","x"]'},
  });
  const path = `delta.\`${join(lake.folder, root)}\``;
  const columns = await readers.sql(`describe table ${path}`);
  const found = columns.slice(0, 2).map((row) => row[2]);
  report(
    'spark shows the comments of columns',
    JSON.stringify(found) === JSON.stringify(["the key, it's long", 'added later']) ? null : JSON.stringify(found),
  );
  const properties = await readers.sql(`show tblproperties ${path}`);
  const keys = properties.find((row) => row[0] === 'sluice.primaryKeys')?.[1];
  report('spark shows the keys of the source', keys === '["id","x"]' ? null : String(keys));
}

async function append(lake: Lake, table: DeltaTable, select: string): Promise<void> {
  const adds = await table.writeFiles({select, schema: table.snapshot.schema}, lake.signal);
  await table.commit({base: table.snapshot, operation: 'WRITE', adds, blindAppend: true});
}

async function fails(work: () => Promise<unknown>): Promise<unknown> {
  try {
    await work();
    return null;
  } catch (error) {
    return error;
  }
}
