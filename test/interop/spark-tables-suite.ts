import {readdirSync} from 'node:fs';
import {join} from 'node:path';

import type {DataType, StructField, StructType} from '../../src/core/types.ts';
import {openTable} from '../../src/delta/table.ts';
import {FlowUnderTest} from './flow-under-test.ts';
import type {InteropBench, InteropSuite} from './suite.ts';
import {CaseRecorder, type TableCase} from './table-case.ts';
import {type Row, selectRows} from './values.ts';

/** How Spark makes a table, and what it then does to it. */
interface Making {
  readonly name: string;
  readonly partitioned?: boolean;
  readonly properties?: Readonly<Record<string, string>>;
  /** Statements after the first rows, `TABLE` stands for the table; and what they mean for the rows. */
  readonly steps?: readonly Step[];
  readonly refuses?: TableCase['refuses'];
  /** A file of the log that must be there, so that the case tests what it says. */
  readonly log?: RegExp;
}

interface Step {
  readonly sql: string;
  readonly apply?: (rows: readonly Row[]) => readonly Row[];
}

const REFUSES_VECTORS: TableCase['refuses'] = {'delta-rs-arrow': 'deletionVectors'};
/** With another feature of readers: alone Spark gives it reader version 2, of which `to_pyarrow_table` shows NULLs instead of refusing it. */
const NAMED_MAPPING = {'delta.enableDeletionVectors': 'true'};
const REFUSES_MAPPING: TableCase['refuses'] = {'delta-rs-arrow': 'columnMapping'};

const deleteSome: Step = {
  sql: 'delete from TABLE where id % 5 = 0',
  apply: (rows) => rows.filter((row) => Number(row['id']) % 5 !== 0),
};
function without(row: Row, column: string): Row {
  return Object.fromEntries(Object.entries(row).filter(([name]) => name !== column));
}

const renameAndDrop: readonly Step[] = [
  {
    sql: 'alter table TABLE rename column name to `full name`',
    apply: (rows) => rows.map(({name, ...row}) => ({...row, 'full name': name ?? null})),
  },
  {sql: 'alter table TABLE drop column amount', apply: (rows) => rows.map((row) => without(row, 'amount'))},
  {
    sql: 'alter table TABLE rename column nested.b to `b.2`',
    apply: (rows) =>
      rows.map((row) => {
        const {a = null, b = null} = row['nested'] as Readonly<Record<string, string>>;
        return {...row, nested: {a, 'b.2': b}};
      }),
  },
];
const evolve: Step = {
  sql: 'alter table TABLE add columns (extra double, nested.c date)',
};
const insertMore: readonly Step[] = Array.from({length: 6}, (_, at) => ({
  sql: `insert into TABLE (id, name) values (${500 + at}, 'late ${at}')`,
  apply: (rows) => [...rows, {id: String(500 + at), name: `late ${at}`}],
}));

const MAKINGS: readonly Making[] = [
  {name: 'plain', properties: {'delta.enableDeletionVectors': 'false'}},
  {name: 'partitioned', partitioned: true, properties: {'delta.enableDeletionVectors': 'false'}, steps: [deleteSome]},
  {
    name: 'with deletion vectors',
    properties: {'delta.enableDeletionVectors': 'true'},
    steps: [deleteSome],
    refuses: REFUSES_VECTORS,
  },
  {
    name: 'evolved',
    properties: {'delta.enableDeletionVectors': 'false'},
    steps: [evolve, ...insertMore.slice(0, 2)],
  },
  {
    name: 'with a checkpoint v1',
    properties: {'delta.enableDeletionVectors': 'false', 'delta.checkpointInterval': '3'},
    steps: insertMore,
    log: /^\d{20}\.checkpoint\.parquet$/,
  },
  {
    name: 'with a checkpoint v2',
    properties: {'delta.checkpointPolicy': 'v2', 'delta.checkpointInterval': '3'},
    steps: [...insertMore, deleteSome],
    refuses: {'delta-rs-arrow': 'v2Checkpoint'},
    log: /^\d{20}\.checkpoint\.[0-9a-f-]{36}\.(parquet|json)$/,
  },
  {
    name: 'mapped by name, renamed and dropped',
    properties: {...NAMED_MAPPING, 'delta.columnMapping.mode': 'name'},
    steps: renameAndDrop,
    refuses: REFUSES_MAPPING,
  },
  {
    name: 'mapped by id, partitioned',
    partitioned: true,
    properties: {...NAMED_MAPPING, 'delta.columnMapping.mode': 'id'},
    steps: [deleteSome],
    refuses: REFUSES_MAPPING,
  },
  {
    name: 'upgraded to column mapping',
    properties: NAMED_MAPPING,
    steps: [{sql: `alter table TABLE set tblproperties ('delta.columnMapping.mode' = 'name')`}, ...renameAndDrop],
    refuses: REFUSES_MAPPING,
  },
];

/** Tables that Spark made: Sluice reads them, merges into them, and all readers read the result. */
export const sparkTablesSuite: InteropSuite = {
  name: 'spark-tables',
  async run(bench) {
    for (const [at, making] of MAKINGS.entries()) {
      try {
        await makeAndMerge(bench, making, `main/raw/made_${at}`);
      } catch (error) {
        bench.report(`sluice merges into a table made by spark, ${making.name}`, String(error));
      }
    }
  },
};

async function makeAndMerge(bench: InteropBench, making: Making, root: string): Promise<void> {
  const {lake, report} = bench;
  const rows = await makeTable(bench, making, join(lake.folder, root));
  const table = await openTable(lake.context, root);
  if (table === null) throw new Error('spark made no table');
  const {schema} = table.snapshot;
  const found = await lake.engine.query(
    `SELECT count(*) AS n FROM (${setDifference(await table.readSql(), selectRows(schema, rows), schema)})`,
  );
  report(
    `sluice reads a table made by spark, ${making.name}`,
    found[0]?.['n'] === 0n || found[0]?.['n'] === 0 ? null : `${String(found[0]?.['n'])} rows differ`,
  );
  if (making.log !== undefined) {
    const names = readdirSync(join(lake.folder, root, '_delta_log'));
    report(
      `spark wrote what "${making.name}" says`,
      names.some((name) => making.log?.test(name)) ? null : names.join(' '),
    );
  }
  const flow = new FlowUnderTest(lake, root, {schema: plain(schema), keys: ['id'], sequence: []});
  const recorder = new CaseRecorder();
  const merged = mergedRows(rows, schema);
  await flow.apply('scd1', mergeSelect(schema));
  const after = await flow.open();
  recorder.record(after, merged);
  await bench.checkReads(
    recorder.finish(
      lake,
      after,
      `made by spark and merged by sluice, ${making.name}`,
      making.refuses === undefined ? {} : {refuses: making.refuses},
    ),
  );
}

const COLUMNS =
  'id bigint, part string, name string, amount decimal(10,2), nested struct<a:int,b:string>, tags array<string>, seen timestamp';
const ROWS = 60;

async function makeTable({readers}: InteropBench, making: Making, folder: string): Promise<readonly Row[]> {
  const path = `delta.\`${folder}\``;
  const properties = Object.entries(making.properties ?? {}).map(([key, value]) => `'${key}' = '${value}'`);
  await readers.sql(
    `create table ${path} (${COLUMNS}) using delta ${making.partitioned === true ? 'partitioned by (part)' : ''} tblproperties (${properties.join(', ')})`,
  );
  await readers.sql(`insert into ${path} select id, if(id % 3 = 0, null, concat('p ', id % 3)), concat('row ', id), cast(id as decimal(10,2)),
    named_struct('a', cast(id as int), 'b', concat('b', id)), array(concat('t', id), null), timestamp_micros(id * 1000001) from range(${ROWS})`);
  let rows: readonly Row[] = Array.from({length: ROWS}, (_, id) => firstRow(id));
  for (const {sql, apply} of making.steps ?? []) {
    await readers.sql(sql.replace('TABLE', path));
    rows = apply === undefined ? rows : apply(rows);
  }
  return rows;
}

function firstRow(id: number): Row {
  return {
    id: String(id),
    part: id % 3 === 0 ? null : `p ${id % 3}`,
    name: `row ${id}`,
    amount: `${id}.00`,
    nested: {a: String(id), b: `b${id}`},
    tags: [`t${id}`, null],
    seen: String(id * 1_000_001),
  };
}

/** Keys 7, 14, ... are deleted, 50 to 69 upserted: with no value but the key and the partition. */
const DELETED = [7, 14, 21, 28];
const UPSERTED = Array.from({length: 20}, (_, at) => 50 + at);

function mergedRows(rows: readonly Row[], schema: StructType): readonly Row[] {
  const gone = new Set([...DELETED, ...UPSERTED].map(String));
  const has = schema.fields.some((field) => field.name === 'part');
  return [
    ...rows.filter((row) => !gone.has(String(row['id']))),
    ...UPSERTED.map((id): Row => ({id: String(id), ...(has ? {part: 'p new'} : {})})),
  ];
}

function mergeSelect(schema: StructType): string {
  const rows = [
    ...UPSERTED.map((id) => `(${id}, 'p new', 'upsert')`),
    ...DELETED.map((id) => `(${id}, NULL, 'delete')`),
  ];
  const part = schema.fields.some((field) => field.name === 'part') ? 'part::VARCHAR AS part, ' : '';
  return `SELECT id::BIGINT AS id, ${part}op AS __op FROM (VALUES ${rows.join(', ')}) v(id, part, op)`;
}

/** The schema as a source gives it: without what the table's maker noted. */
function plain(schema: StructType): StructType {
  const field = (each: StructField): StructField => ({...each, type: type(each.type), metadata: {}});
  const type = (each: DataType): DataType =>
    typeof each === 'object' && each.type === 'struct' ? {type: 'struct', fields: each.fields.map(field)} : each;
  return {type: 'struct', fields: schema.fields.map(field)};
}

/** Rows that one of two SELECTs has more often than the other. */
function setDifference(left: string, right: string, schema: StructType): string {
  const columns = schema.fields.map(({name}) => `"${name}"`).join(', ');
  const [a, b] = [left, right].map((select) => `SELECT ${columns} FROM (${select})`);
  return `((${a}) EXCEPT ALL (${b})) UNION ALL ((${b}) EXCEPT ALL (${a}))`;
}
