import {join} from 'node:path';

import * as t from '../../src/core/schema.ts';
import type {DataType} from '../../src/core/types.ts';
import {alterTable} from '../../src/delta/alter-table.ts';
import type {DeltaTable} from '../../src/delta/delta-table.ts';
import {createTable, openTable} from '../../src/delta/table.ts';
import type {InteropBench} from './suite.ts';
import {CaseRecorder, type Lake} from './table-case.ts';

/** Spark and Sluice write and alter a mapped table, and one whose types widen, by turns. */
export async function writeColumnsByTurns(bench: InteropBench): Promise<void> {
  await mappedByTurns(bench, 'name');
  await mappedByTurns(bench, 'id');
  await widenedByTurns(bench);
}

async function mappedByTurns({lake, readers, report, checkReads}: InteropBench, mode: string): Promise<void> {
  const root = `main/raw/turns_mapped_${mode}`;
  const path = `delta.\`${join(lake.folder, root)}\``;
  const schema = t.struct({id: t.long(), 'a b': t.string(), s: t.column(t.struct({'x y': t.long()}))});
  const table = await createTable(lake.context, root, {
    schema,
    configuration: {'delta.columnMapping.mode': mode},
    deletionVectors: true,
  });
  await append(lake, table, `SELECT i, 'row ' || i, {'x y': i * 2} FROM range(100) AS r(i)`);
  await readers.sql(`delete from ${path} where id % 4 = 0`);
  await readers.sql(`update ${path} set \`a b\` = 'updated' where \`a b\` = 'row 7'`);
  await readers.sql(`alter table ${path} rename column \`a b\` to \`c d\``);
  await readers.sql(`alter table ${path} add columns (extra int)`);
  await readers.sql(`insert into ${path} values (1000, 'spark', named_struct('x y', 5), 9)`);
  await table.refresh();
  await append(lake, table, `SELECT 1001, 'sluice', {'x y': 6}, 10`);
  await alterTable(table, {
    renames: new Map([
      ['text', 'c d'],
      ['z', 's.x y'],
    ]),
  });
  await readers.sql(
    `merge into ${path} t using (select 1001 as id) u on t.id = u.id when matched then update set text = 'merged', s.z = 7`,
  );
  await readers.sql(`optimize ${path}`);
  await table.refresh();
  const rows = [...Array(100).keys()]
    .filter((id) => id % 4 !== 0)
    .map((id) => ({id: String(id), text: id === 7 ? 'updated' : `row ${id}`, s: {z: String(id * 2)}, extra: null}));
  const recorder = new CaseRecorder();
  recorder.record(table, [
    ...rows,
    {id: '1000', text: 'spark', s: {z: '5'}, extra: '9'},
    {id: '1001', text: 'merged', s: {z: '7'}, extra: '10'},
  ]);
  const found = await lake.engine.query(
    `SELECT count(*) AS n, sum(id) AS ids, sum(s.z) AS zs, sum(extra) AS extras, count(*) FILTER (WHERE text = 'row ' || id) AS texts FROM (${await table.readSql()}) AS q`,
  );
  const sum = rows.reduce((total, row) => total + Number(row.id), 0);
  const right = `77,${sum + 2001},${sum * 2 + 12},19,74`;
  const got = Object.values(found[0] ?? {})
    .map(String)
    .join(',');
  report(
    `sluice reads a table mapped by ${mode} after spark's changes`,
    got === right ? null : `${got} instead of ${right}`,
  );
  const one = table.filesInRange('s.z', 5n, 7n);
  report(`sluice prunes spark's files of a table mapped by ${mode}`, one.length > 0 ? null : 'no file is left');
  const [skipped] = await readers.sql(`select count(*) from ${path} where s.z = 6 and text = 'row 3'`);
  report(`spark skips files of a table mapped by ${mode} rightly`, skipped?.[0] === '1' ? null : String(skipped?.[0]));
  await checkReads(
    recorder.finish(lake, table, `mapped by ${mode}, written by turns`, {
      refuses: {'delta-rs-arrow': 'deletionVectors'},
    }),
  );
}

async function widenedByTurns({lake, readers, report, checkReads}: InteropBench): Promise<void> {
  const root = 'main/raw/turns_widened';
  const path = `delta.\`${join(lake.folder, root)}\``;
  await readers.sql(
    `create table ${path} (id int, a array<short>, d decimal(6,2)) using delta tblproperties ('delta.enableTypeWidening' = 'true')`,
  );
  await readers.sql(`insert into ${path} values (1, array(1s), 1.25)`);
  const table = await lakeTable(lake, root);
  await append(lake, table, `SELECT 2, [2], 2.5`);
  await readers.sql(`alter table ${path} alter column id type bigint`);
  await table.refresh();
  const d: DataType = {type: 'decimal', precision: 20, scale: 4};
  await alterTable(table, {
    widen: new Map<string, DataType>([
      ['a', {type: 'array', elementType: 'long', containsNull: true}],
      ['d', d],
    ]),
  });
  await append(lake, table, `SELECT 3000000000, [4000000000], 1234567.8901`);
  await readers.sql(`insert into ${path} values (4, array(5), 0.0001)`);
  await table.refresh();
  const recorder = new CaseRecorder();
  recorder.record(table, [
    {id: '1', a: ['1'], d: '1.2500'},
    {id: '2', a: ['2'], d: '2.5000'},
    {id: '3000000000', a: ['4000000000'], d: '1234567.8901'},
    {id: '4', a: ['5'], d: '0.0001'},
  ]);
  const found = await lake.engine.query(
    `SELECT sum(id)::VARCHAR || ' ' || sum(d)::VARCHAR || ' ' || sum(a[1])::VARCHAR AS sums FROM (${await table.readSql()}) AS q`,
  );
  const sums = String(found[0]?.['sums']);
  report('sluice reads a table that it and spark widened', sums === '3000000007 1234571.6402 4000000008' ? null : sums);
  const [count] = await readers.sql(`select count(*) from ${path} where id <= 2 and d < 3`);
  report('spark skips files of a widened table rightly', count?.[0] === '2' ? null : String(count?.[0]));
  await checkReads(
    recorder.finish(lake, table, 'widened by turns', {
      refuses: {'delta-rs': 'TypeWidening', 'delta-rs-arrow': 'typeWidening'},
    }),
  );
}

async function lakeTable(lake: Lake, root: string): Promise<DeltaTable> {
  const table = await openTable(lake.context, root);
  if (table === null) throw new Error(`there is no table at ${root}`);
  return table;
}

async function append(lake: Lake, table: DeltaTable, select: string): Promise<void> {
  const adds = await table.writeFiles({select, schema: table.snapshot.schema}, lake.signal);
  await table.commit({base: table.snapshot, operation: 'WRITE', adds, blindAppend: true});
}
