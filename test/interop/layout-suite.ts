import {rename} from 'node:fs/promises';
import {join} from 'node:path';

import type {DataType, StructType} from '../../src/core/types.ts';
import type {DeltaTable} from '../../src/delta/delta-table.ts';
import {clusteringColumnsOf} from '../../src/delta/layout.ts';
import {optimizeTable} from '../../src/delta/optimize.ts';
import {createTable} from '../../src/delta/table.ts';
import {quoteIdentifier, sqlType} from '../../src/engine/sql-types.ts';
import type {InteropBench, InteropSuite} from './suite.ts';
import {CaseRecorder} from './table-case.ts';
import {type Row, selectRows} from './values.ts';

/** How files lie: partitions, clusters, files that were packed, purged and cut, files in folders that listings pass over. */
export const layoutSuite: InteropSuite = {
  name: 'layout',
  async run(bench) {
    await checkPartitions(bench);
    await checkClusters(bench);
    await checkPurges(bench);
    await checkHiddenFolders(bench);
  },
};

function struct(types: Readonly<Record<string, DataType>>): StructType {
  const fields = Object.entries(types).map(([name, type]) => ({name, type, nullable: true, metadata: {}}));
  return {type: 'struct', fields};
}

async function append({lake}: InteropBench, table: DeltaTable, select: string): Promise<void> {
  const {schema} = table.snapshot;
  const adds = await table.writeFiles({select, schema}, lake.signal);
  await table.commit({base: table.snapshot, operation: 'WRITE', adds, blindAppend: true});
}

const partitioned = struct({
  id: 'long',
  text: 'string',
  whole: 'integer',
  exact: {type: 'decimal', precision: 12, scale: 3},
  day: 'date',
  moment: 'timestamp',
  local: 'timestamp_ntz',
  yes: 'boolean',
});

/** Dates in days and timestamps in microseconds since 1970. */
const PARTITIONS: readonly Row[] = [
  {text: 'plain', whole: '1', exact: '1.500', day: '19782', moment: '1709251199123456', local: '-1', yes: true},
  {text: 'a b/ü=%&+:#?*[]{}"\\', whole: '-7', exact: '-12.250', day: '-1', local: '1709251199123456', yes: false},
  {text: `o'clock`, whole: '0', exact: '0.000', moment: '-1'},
  {},
];

/** By one column of each type; once more after Spark has written to it. */
async function checkPartitions(bench: InteropBench): Promise<void> {
  const {lake} = bench;
  const rows = PARTITIONS.map((row, at): Row => ({...row, id: String(at)}));
  for (const {name} of partitioned.fields.slice(1)) {
    const table = await createTable(lake.context, `main/raw/by_${name}`, {
      schema: partitioned,
      partitionColumns: [name],
    });
    const recorder = new CaseRecorder();
    await append(bench, table, selectRows(partitioned, rows));
    recorder.record(table, rows);
    await append(bench, table, selectRows(partitioned, rows));
    recorder.record(table, [...rows, ...rows]);
    await optimizeTable(lake.context, table, {}, lake.signal);
    recorder.record(table, [...rows, ...rows]);
    // `to_pyarrow_table` writes a negative decimal that partitions as -12.-250, and then cannot read it.
    const refused = name === 'exact' ? {refuses: {'delta-rs-arrow': 'not a valid decimal128 number'}} : {};
    await bench.checkReads(recorder.finish(lake, table, `partitioned by ${name}, packed`, refused));
  }
}

const numbered = struct({id: 'long', text: 'string', amount: 'double'});

async function storedRows({lake}: InteropBench, table: DeltaTable): Promise<readonly Row[]> {
  const texts = numbered.fields.map(({name}) => `${quoteIdentifier(name)}::VARCHAR AS ${quoteIdentifier(name)}`);
  const rows = await lake.engine.query(`SELECT ${texts.join(', ')} FROM (${await table.readSql()})`);
  return rows.map((row): Row => ({id: String(row['id']), text: String(row['text']), amount: Number(row['amount'])}));
}

function numbers(from: string, count: number): string {
  const types = numbered.fields.map(({type}) => sqlType(type));
  return `SELECT (${from})::${types[0]} AS id, ('text ' || i)::${types[1]} AS text, (i / 8.0)::${types[2]} AS amount FROM range(${count}) AS r(i)`;
}

/** The one of the readers that knows no feature of readers. */
const REFUSED = {refuses: {'delta-rs-arrow': 'deletionVectors'}} as const;

/** Clustered by us; Spark names the same columns, clusters on and writes to it. */
async function checkClusters(bench: InteropBench): Promise<void> {
  const {lake, readers, report} = bench;
  const table = await createTable(lake.context, 'main/raw/clustered', {
    schema: numbered,
    clusteringColumns: ['id', 'text'],
    deletionVectors: true,
    configuration: {'delta.targetFileSize': '16kb', 'delta.columnMapping.mode': 'name'},
  });
  const recorder = new CaseRecorder();
  for (let at = 0; at < 5; at++) await append(bench, table, numbers(`(i * 7919 + ${at}) % 100003`, 600));
  recorder.record(table, await storedRows(bench, table));
  const before = await storedRows(bench, table);
  const {filesRemoved} = await optimizeTable(lake.context, table, {}, lake.signal);
  report('clustered: optimize sorted files anew', filesRemoved > 0 ? null : 'it removed no file');
  recorder.record(table, before);
  const path = join(lake.folder, table.root);
  const [detail] = await readers
    .sql(`select clusteringColumns from (describe detail delta.\`${path}\`)`)
    .catch(() => readers.sql(`describe detail delta.\`${path}\``));
  const shown = JSON.stringify(detail);
  report('clustered: spark names the columns', shown.includes('id') && shown.includes('text') ? null : shown);
  await bench.checkReads(recorder.finish(lake, table, 'clustered by two columns, sorted anew', REFUSED));
  await readers.sql(`insert into delta.\`${path}\` values (-5, 'of spark', 0.5D)`);
  await readers.sql(`optimize delta.\`${path}\``);
  await table.refresh();
  const columns = clusteringColumnsOf(table.snapshot).join(',');
  report('clustered: still so after spark optimized it', columns === 'id,text' ? null : columns);
  const after = await storedRows(bench, table);
  report('clustered: rows are those of both', after.length === before.length + 1 ? null : `${after.length} rows`);
  await append(bench, table, numbers('i', 5));
  await optimizeTable(lake.context, table, {}, lake.signal);
  const last = new CaseRecorder();
  last.record(table, await storedRows(bench, table));
  await bench.checkReads(last.finish(lake, table, 'clustered by turns', REFUSED));
}

/** Deletion vectors, and the same rows without them. */
async function checkPurges(bench: InteropBench): Promise<void> {
  const {lake} = bench;
  const table = await createTable(lake.context, 'main/raw/purged', {schema: numbered, deletionVectors: true});
  const recorder = new CaseRecorder();
  await append(bench, table, numbers('i', 1000));
  const [path = ''] = table.snapshot.files.keys();
  const gone = await table.writeDeletions(new Map([[path, [0, 3, 500, 999]]]), lake.signal);
  await table.commit({base: table.snapshot, operation: 'DELETE', ...gone, blindAppend: false});
  const rows = await storedRows(bench, table);
  recorder.record(table, rows);
  await optimizeTable(lake.context, table, {purgeAboveFraction: 0}, lake.signal);
  recorder.record(table, rows);
  await bench.checkReads(recorder.finish(lake, table, 'purged of deletion vectors', REFUSED));
}

/** A data file below `_sluice` is read by all, and VACUUM of others leaves it. */
async function checkHiddenFolders(bench: InteropBench): Promise<void> {
  const {lake, readers} = bench;
  const table = await createTable(lake.context, 'main/raw/hidden', {schema: numbered});
  const recorder = new CaseRecorder();
  const [add] = await table.writeFiles({select: numbers('i', 20), schema: numbered}, lake.signal);
  if (add === undefined) throw new Error('no file was written');
  const path = `_sluice/flow/${add.path}`;
  await lake.context.store.put(`${table.root}/_sluice/flow/1.json`, new Uint8Array());
  const folder = join(lake.folder, table.root);
  await rename(join(folder, add.path), join(folder, path));
  await table.commit({base: table.snapshot, operation: 'WRITE', adds: [{...add, path}], blindAppend: true});
  await readers.sql(`vacuum delta.\`${folder}\` retain 0 hours`);
  recorder.record(table, await storedRows(bench, table));
  await bench.checkReads(recorder.finish(lake, table, 'files in a hidden folder, after a vacuum'));
}
