import {join} from 'node:path';

import {type Random, seededRandom} from '../../src/core/clock.ts';
import type {StructType} from '../../src/core/types.ts';
import type {DeltaTable} from '../../src/delta/delta-table.ts';
import {createTable} from '../../src/delta/table.ts';
import {FlowUnderTest} from './flow-under-test.ts';
import type {CanonicalValue, ReadAnswer} from './foreign-readers.ts';
import type {InteropBench} from './suite.ts';
import {CaseRecorder, type Lake, type TableCase} from './table-case.ts';
import type {Row as AnyRow} from './values.ts';

const schema: StructType = {
  type: 'struct',
  fields: [
    {name: 'id', type: 'long', nullable: true, metadata: {}},
    {name: 'amount', type: {type: 'decimal', precision: 12, scale: 2}, nullable: true, metadata: {}},
    {name: 'tags', type: {type: 'array', elementType: 'string', containsNull: true}, nullable: true, metadata: {}},
    {name: 'part', type: 'string', nullable: true, metadata: {}},
    {name: 'seq', type: 'long', nullable: true, metadata: {}},
  ],
};

interface Layout {
  readonly name: string;
  readonly deletionVectors: boolean;
  readonly partitionColumns?: readonly string[];
  readonly configuration?: Readonly<Record<string, string>>;
  /** delta-rs has no feed of such a table: what its message names. */
  readonly deltaRsRefuses?: string;
}

const LAYOUTS: readonly Layout[] = [
  {name: 'merged by copy on write', deletionVectors: false},
  {name: 'merged with deletion vectors', deletionVectors: true},
  {name: 'of partitions', deletionVectors: false, partitionColumns: ['part']},
  {name: 'of partitions with deletion vectors', deletionVectors: true, partitionColumns: ['part']},
  {name: 'with in-commit timestamps', deletionVectors: true, configuration: {'delta.enableInCommitTimestamps': 'true'}},
  {
    name: 'with columns mapped by name',
    deletionVectors: true,
    configuration: {'delta.columnMapping.mode': 'name'},
    deltaRsRefuses: 'Column mapping',
  },
  {
    name: 'with columns mapped by id',
    deletionVectors: false,
    configuration: {'delta.columnMapping.mode': 'id'},
    deltaRsRefuses: 'Column mapping',
  },
];

/** A row of the model: everything that a change shows. */
interface Row {
  readonly id: number;
  readonly amount: string | null;
  readonly tags: readonly string[] | null;
  readonly part: string;
  readonly seq: number;
}

/** Spark and delta-rs see in the change data feed what happened, batch by batch and value by value; so do we. */
export async function checkFeeds(bench: InteropBench): Promise<void> {
  for (const [index, layout] of LAYOUTS.entries()) await checkFeed(bench, layout, `main/raw/feed_${index}`);
  for (const deletionVectors of [true, false]) await checkHistoryFeed(bench, deletionVectors);
}

const HISTORY: StructType = {
  type: 'struct',
  fields: ['id', 'value', 'seq', '__START_AT', '__END_AT'].map((name) => ({
    name,
    type: 'long',
    nullable: true,
    metadata: {},
  })),
};

/** Versions of a key are told apart by where they begin: what two snapshots differ by is what the commit between them did. */
async function checkHistoryFeed(bench: InteropBench, deletionVectors: boolean): Promise<void> {
  const {lake, readers, report} = bench;
  const root = `main/raw/history_feed_${deletionVectors}`;
  const configuration = {'delta.enableChangeDataFeed': 'true'};
  await createTable(lake.context, root, {schema: HISTORY, deletionVectors, configuration});
  const flow = new FlowUnderTest(lake, root, {schema: HISTORY, keys: ['id'], sequence: ['seq']});
  const random = seededRandom(11);
  const more = {target: 'scd2', trackedColumns: ['value']} as const;
  for (let batch = 0; batch < 5; batch++) {
    const events = Array.from({length: 60}, (_, at) => {
      const values = [
        Math.floor(random() * 40),
        Math.floor(random() * 5),
        (batch * 60 + at) * 3 - (at % 4 === 0 ? 100 : 0),
      ];
      return `(${values.join(', ')}, '${random() < 0.2 ? 'delete' : 'upsert'}')`;
    });
    const select = `SELECT id::BIGINT AS id, value::BIGINT AS value, seq::BIGINT AS seq, op AS __op FROM (VALUES ${events.join(', ')}) v(id, value, seq, op)`;
    await flow.apply('scd2', select, more);
  }
  const table = await flow.open();
  const wanted: string[] = [];
  for (let version = 1; version <= table.snapshot.version; version++) {
    const [before, after] = await Promise.all([versionsAt(lake, table, version - 1), versionsAt(lake, table, version)]);
    for (const [key, text] of after) {
      const old = before.get(key);
      if (old === undefined) wanted.push(`${version} insert ${text}`);
      else if (old !== text) wanted.push(`${version} update_preimage ${old}`, `${version} update_postimage ${text}`);
    }
    for (const [key, text] of before) if (!after.has(key)) wanted.push(`${version} delete ${text}`);
  }
  const kind = deletionVectors ? 'with deletion vectors' : 'by copy on write';
  for (const reader of ['spark', 'delta-rs'] as const) {
    const answer = await readers.changes(reader, join(lake.folder, root), 1);
    const found = 'error' in answer ? [answer.error] : answer.rows.map(historyText);
    report(`${reader} reads the changes of an SCD type 2 table ${kind}`, sameLists(found, wanted));
  }
  const refuses: TableCase['refuses'] = deletionVectors ? {'delta-rs-arrow': 'deletionVectors'} : {};
  const recorder = new CaseRecorder();
  recorder.record(table, await historyRows(lake, table));
  await bench.checkReads(recorder.finish(lake, table, `of SCD type 2 ${kind}`, {refuses}));
}

async function historyRows(lake: Lake, table: DeltaTable): Promise<readonly AnyRow[]> {
  const rows = await lake.engine.query(await table.readSql());
  const text = (value: unknown): string | null =>
    typeof value === 'bigint' || typeof value === 'number' ? `${value}` : null;
  return rows.map((row) => Object.fromEntries(HISTORY.fields.map(({name}) => [name, text(row[name])])));
}

function historyText(row: Readonly<Record<string, CanonicalValue>>): string {
  const shown = HISTORY.fields.map(({name}) => String(row[name] ?? '-'));
  return `${String(row['_commit_version'])} ${String(row['_change_type'])} ${shown.join(' ')}`;
}

/** Rows as texts by key and beginning. */
async function versionsAt(lake: Lake, table: DeltaTable, version: number): Promise<ReadonlyMap<string, string>> {
  const rows = await lake.engine.query(await table.readSql({snapshot: await table.snapshotAt(version)}));
  return new Map(
    rows.map((row) => [
      `${String(row['id'])} ${String(row['__START_AT'])}`,
      HISTORY.fields.map(({name}) => String(row[name] ?? '-')).join(' '),
    ]),
  );
}

async function checkFeed({lake, readers, report}: InteropBench, layout: Layout, root: string): Promise<void> {
  const {name, deltaRsRefuses, ...options} = layout;
  const configuration = {...options.configuration, 'delta.enableChangeDataFeed': 'true'};
  const table = await createTable(lake.context, root, {...options, schema, configuration});
  const flow = new FlowUnderTest(lake, root, {schema: table.snapshot.schema, keys: ['id'], sequence: ['seq']});
  const random = seededRandom(7);
  const wanted: string[] = [];
  let rows: ReadonlyMap<number, Row> = new Map();
  let clock = 0;
  for (let batch = 0; batch < 8; batch++) {
    const isSnapshot = batch % 4 === 3;
    clock += 1000;
    const next = isSnapshot ? snapshotRows(rows, random, clock) : mergedRows(rows, random, clock);
    const events = isSnapshot ? [...next.values()] : eventsBetween(rows, next, clock);
    await flow.apply(isSnapshot ? 'replace' : 'scd1', selectOf(events));
    wanted.push(...changesBetween(rows, next, (await flow.open()).snapshot.version));
    rows = next;
  }
  const folder = join(lake.folder, root);
  const times = new Map((await (await flow.open()).history()).map((commit) => [commit.version, commit.timestampMs]));
  const spark = await readers.changes('spark', folder, 0);
  report(`spark reads the changes of a table ${name}`, sameChanges(spark, wanted));
  report(`spark reads when a table ${name} changed`, sameTimes(spark, times));
  const deltaRs = await readers.changes('delta-rs', folder, 0);
  if (deltaRsRefuses === undefined)
    report(`delta-rs reads the changes of a table ${name}`, sameChanges(deltaRs, wanted));
  else report(`delta-rs refuses the changes of a table ${name}`, refusedFor(deltaRs, deltaRsRefuses));
  const ours = await lake.engine
    .query(`SELECT id::VARCHAR AS id, amount::VARCHAR AS amount, tags, part, seq::VARCHAR AS seq,
    _change_type, _commit_version::VARCHAR AS _commit_version FROM (${await (await flow.open()).changesSql({from: 0})})`);
  report(
    `sluice reads the changes of a table ${name}`,
    sameLists(
      ours.map((row) => changeText(row as Readonly<Record<string, CanonicalValue>>)),
      wanted,
    ),
  );
}

function newRow(id: number, random: Random, seq: number): Row {
  const amount = random() < 0.1 ? null : (Math.floor(random() * 1e6) / 100).toFixed(2);
  const tags = random() < 0.2 ? null : Array.from({length: Math.floor(random() * 3)}, (_, at) => `tag ${at}`);
  return {id, amount, tags, part: `p ${id % 3}`, seq};
}

function mergedRows(rows: ReadonlyMap<number, Row>, random: Random, clock: number): ReadonlyMap<number, Row> {
  const next = new Map(rows);
  for (let change = 0; change < (rows.size === 0 ? 200 : 60); change++) {
    const id = Math.floor(random() * 300);
    if (random() < 0.25) next.delete(id);
    else next.set(id, newRow(id, random, clock + change));
  }
  return next;
}

/** Most rows stay as they are. */
function snapshotRows(rows: ReadonlyMap<number, Row>, random: Random, clock: number): ReadonlyMap<number, Row> {
  const next = new Map<number, Row>();
  for (const [id, row] of rows) if (random() < 0.9) next.set(id, random() < 0.1 ? newRow(id, random, clock) : row);
  next.set(1000 + clock, newRow(1000 + clock, random, clock));
  return next;
}

type Event = Row | {readonly id: number; readonly seq: number; readonly deleted: true};

function eventsBetween(
  before: ReadonlyMap<number, Row>,
  after: ReadonlyMap<number, Row>,
  clock: number,
): readonly Event[] {
  const gone = [...before.keys()].filter((id) => !after.has(id));
  return [
    ...[...after.values()].filter((row) => before.get(row.id) !== row),
    ...gone.map((id) => ({id, seq: clock + 999, deleted: true}) as const),
  ];
}

function selectOf(events: readonly Event[]): string {
  const rows = events.map((event) => {
    if ('deleted' in event) return `(${event.id}, NULL, NULL, NULL, ${event.seq}, 'delete')`;
    const tags = event.tags === null ? 'NULL' : `[${event.tags.map((tag) => `'${tag}'`).join(', ')}]::VARCHAR[]`;
    return `(${event.id}, ${event.amount ?? 'NULL'}, ${tags}, '${event.part}', ${event.seq}, 'upsert')`;
  });
  return `SELECT id::BIGINT AS id, amount::DECIMAL(12,2) AS amount, tags::VARCHAR[] AS tags, part::VARCHAR AS part, seq::BIGINT AS seq, op AS __op
    FROM (VALUES ${rows.join(', ')}) v(id, amount, tags, part, seq, op)`;
}

function changesBetween(
  before: ReadonlyMap<number, Row>,
  after: ReadonlyMap<number, Row>,
  version: number,
): readonly string[] {
  const text = (row: Row, kind: string): string =>
    changeText({...row, id: `${row.id}`, seq: `${row.seq}`, _change_type: kind, _commit_version: `${version}`});
  const changes: string[] = [];
  for (const [id, row] of after) {
    const old = before.get(id);
    if (old === undefined) changes.push(text(row, 'insert'));
    else if (old !== row) changes.push(text(old, 'update_preimage'), text(row, 'update_postimage'));
  }
  for (const [id, row] of before) if (!after.has(id)) changes.push(text(row, 'delete'));
  return changes;
}

const SHOWN = ['_commit_version', '_change_type', 'id', 'amount', 'tags', 'part', 'seq'];

function changeText(row: Readonly<Record<string, CanonicalValue>>): string {
  return JSON.stringify(SHOWN.map((name) => row[name] ?? null));
}

function sameChanges(answer: ReadAnswer, wanted: readonly string[]): string | null {
  return 'error' in answer ? answer.error : sameLists(answer.rows.map(changeText), wanted);
}

function refusedFor(answer: ReadAnswer, feature: string): string | null {
  if (!('error' in answer)) return 'they were read';
  return answer.error.includes(feature) ? null : answer.error;
}

/** Lists without order, every entry as often as in the other. */
function sameLists(found: readonly string[], wanted: readonly string[]): string | null {
  const [left, right] = [found.toSorted(), wanted.toSorted()];
  const at = left.findIndex((text, index) => text !== right[index]);
  if (left.length === right.length && at < 0) return null;
  return `${left.length} changes instead of ${right.length}; the first that differs: ${left[at] ?? 'none'}, ${right[at] ?? 'none'} wanted`;
}

function sameTimes(answer: ReadAnswer, times: ReadonlyMap<number, number>): string | null {
  if ('error' in answer) return answer.error;
  for (const row of answer.rows) {
    const version = Number(row['_commit_version']);
    const micros = Number(row['_commit_timestamp']);
    if (micros !== (times.get(version) ?? 0) * 1000)
      return `version ${version}: ${micros}, not ${times.get(version)}000`;
  }
  return null;
}
