import {existsSync} from 'node:fs';
import {join} from 'node:path';

import type {StructType} from '../../src/core/types.ts';
import type {DeltaTable} from '../../src/delta/delta-table.ts';
import {createTable, openTable} from '../../src/delta/table.ts';
import type {ForeignReaders} from './foreign-readers.ts';
import {CaseRecorder, type Lake, type TableCase} from './table-case.ts';

const schema: StructType = {
  type: 'struct',
  fields: [
    {name: 'id', type: 'long', nullable: true, metadata: {}},
    {name: 'text', type: 'string', nullable: true, metadata: {}},
  ],
};
const TXN = {appId: 'interop', version: 7};

/** What a check found: a name and the problem, null when it holds. */
export interface Finding {
  readonly name: string;
  readonly problem: string | null;
}

/** Spark changes a table of ours in every way it has; we read the result, go on writing, and others read that. */
export async function writeByTurns(
  lake: Lake,
  readers: ForeignReaders,
  deletionVectors: boolean,
): Promise<{readonly findings: readonly Finding[]; readonly table: TableCase}> {
  const kind = deletionVectors ? 'with deletion vectors' : 'without deletion vectors';
  const root = `main/raw/turns_${deletionVectors}`;
  const path = `delta.\`${join(lake.folder, root)}\``;
  const table = await createTable(lake.context, root, {schema, deletionVectors});
  await append(lake, table, [0, 1000], TXN);
  await append(lake, table, [1000, 1500]);
  const ours = `${root}/_sluice/flow/1.json`;
  await lake.context.store.put(ours, Buffer.from('{}'));
  const rows = new Map<number, string>(Array.from({length: 1500}, (_, id) => [id, `row ${id}`]));
  const findings: Finding[] = [];
  const compare = async (after: string): Promise<void> => {
    const problem = await differenceOf(lake, root, rows);
    findings.push({name: `sluice reads a table ${kind} after spark's ${after}`, problem});
  };

  await readers.sql(`delete from ${path} where id % 3 = 0`);
  for (const id of rows.keys()) if (id % 3 === 0) rows.delete(id);
  await compare('DELETE');
  await readers.sql(`update ${path} set text = concat(text, '!') where id between 10 and 1200`);
  for (const [id, text] of rows) if (id >= 10 && id <= 1200) rows.set(id, `${text}!`);
  await compare('UPDATE');
  await readers.sql(`insert into ${path} values (-1, 'from spark')`);
  rows.set(-1, 'from spark');
  await compare('INSERT');
  await readers.sql(`merge into ${path} t using (select -1 as id union all select -2) s on t.id = s.id
    when matched then update set text = 'merged' when not matched then insert (id, text) values (s.id, 'new')`);
  rows.set(-1, 'merged').set(-2, 'new');
  await compare('MERGE');
  await readers.sql(`optimize ${path}`);
  await compare('OPTIMIZE');
  // Spark writes a checkpoint with its tenth version.
  for (let id = -3; id > -8; id--) {
    await readers.sql(`insert into ${path} values (${id}, 'more')`);
    rows.set(id, 'more');
  }
  await compare('checkpoint');
  await readers.sql(`vacuum ${path} retain 0 hours`);
  await compare('VACUUM');
  const kept = existsSync(join(lake.folder, ours));
  findings.push({name: `spark's VACUUM leaves the files of a flow alone (${kind})`, problem: kept ? null : 'gone'});

  const reopened = await openTable(lake.context, root);
  if (reopened === null) throw new Error('the table is there');
  const txn = reopened.snapshot.txns.get(TXN.appId)?.version;
  findings.push({
    name: `a flow's txn survives spark's commits and checkpoint (${kind})`,
    problem: txn === TXN.version ? null : `txn ${String(txn)}`,
  });
  await append(lake, reopened, [2000, 2010]);
  for (let id = 2000; id < 2010; id++) rows.set(id, `row ${id}`);
  const recorder = new CaseRecorder();
  recorder.record(
    reopened,
    [...rows].map(([id, text]) => ({id: String(id), text})),
  );
  const refusal = deletionVectors ? {refuses: {'delta-rs-arrow': 'deletionVectors'}} : {};
  return {findings, table: recorder.finish(lake, reopened, `written by turns, ${kind}`, refusal)};
}

type Range = readonly [from: number, to: number];

async function append(lake: Lake, table: DeltaTable, [from, to]: Range, txn?: typeof TXN): Promise<void> {
  const select = `SELECT range AS id, 'row ' || range AS text FROM range(${from}, ${to})`;
  const adds = await table.writeFiles({select, schema}, lake.signal);
  await table.commit({
    base: table.snapshot,
    operation: 'WRITE',
    adds,
    blindAppend: true,
    ...(txn === undefined ? {} : {txn}),
  });
}

/** Reads the table as any run of ours would, and compares. */
async function differenceOf(lake: Lake, root: string, rows: ReadonlyMap<number, string>): Promise<string | null> {
  const table = await openTable(lake.context, root);
  if (table === null) return 'not there';
  const found = await lake.engine.query(await table.readSql());
  const wrong = found.filter(({id, text}) => rows.get(Number(id)) !== text);
  const distinct = new Set(found.map(({id}) => String(id))).size;
  if (wrong.length === 0 && found.length === rows.size && distinct === rows.size) return null;
  return `${found.length} rows, ${distinct} keys, ${wrong.length} wrong, instead of ${rows.size} rows`;
}
