import {cpSync, readFileSync, rmSync} from 'node:fs';
import {join} from 'node:path';

import {type Random, seededRandom} from '../../src/core/clock.ts';
import {schemaFromJson, schemaToJson} from '../../src/core/schema-json.ts';
import type {StructField, StructType} from '../../src/core/types.ts';
import type {AddFile} from '../../src/delta/actions.ts';
import type {CommitRequest, DeltaTable} from '../../src/delta/delta-table.ts';
import {createTable} from '../../src/delta/table.ts';
import {tableRoot} from '../../src/pipeline/table-root.ts';
import {allTypesRows, allTypesSchema} from './all-types.ts';
import {CaseRecorder, type Lake, type TableCase} from './table-case.ts';
import {type Row, selectRows} from './values.ts';

/** Writes a table of each kind with the delta room alone. */
export async function writeDeltaTables(lake: Lake): Promise<readonly TableCase[]> {
  const random = seededRandom(20_260_101);
  const cases = [
    await everyType(lake),
    await deletionVectors(lake, random),
    await copyOnWrite(lake),
    await evolved(lake),
    await oddNames(lake),
    await empty(lake),
  ];
  return [...cases, ...(await checkpointed(lake))];
}

const field = (name: string, type: StructField['type']): StructField => ({name, type, nullable: true, metadata: {}});
const struct = (...fields: readonly StructField[]): StructType => ({type: 'struct', fields});

/** Commits data files and, beside them, what the request says. */
async function commit(
  lake: Lake,
  table: DeltaTable,
  select: string | null,
  request: Partial<CommitRequest> = {},
): Promise<readonly AddFile[]> {
  const schema = request.metadata === undefined ? table.snapshot.schema : schemaFromJson(request.metadata.schemaString);
  const written = select === null ? [] : await table.writeFiles({select, schema}, lake.signal);
  await table.commit({
    base: table.snapshot,
    operation: 'WRITE',
    blindAppend: (request.removes ?? []).length === 0,
    ...request,
    adds: [...written, ...(request.adds ?? [])],
  });
  return written;
}

async function everyType(lake: Lake): Promise<TableCase> {
  const table = await createTable(lake.context, 'main/raw/every_type', {schema: allTypesSchema});
  const recorder = new CaseRecorder();
  for (const end of [4, 8, allTypesRows.length]) {
    const start = end <= 8 ? end - 4 : 8;
    await commit(lake, table, selectRows(allTypesSchema, allTypesRows.slice(start, end)));
    recorder.record(table, allTypesRows.slice(0, end));
  }
  return recorder.finish(lake, table, 'appended, every type');
}

const numbered = struct(field('id', 'long'), field('text', 'string'));
const numberedRow = (id: number): Row => ({id: String(id), text: `row ${id}`});
const numberedSelect = (from: number, to: number): string =>
  `SELECT range AS id, 'row ' || range AS text FROM range(${from}, ${to}) ORDER BY range`;

async function deletionVectors(lake: Lake, random: Random): Promise<TableCase> {
  const table = await createTable(lake.context, 'main/raw/deletion_vectors', {schema: numbered, deletionVectors: true});
  const recorder = new CaseRecorder();
  // More than 65,536 rows: the bitmap has two containers.
  const sizes = [70_000, 1_000, 10];
  const files: {path: string; first: number; size: number}[] = [];
  const live = new Set<number>();
  let next = 0;
  for (const size of sizes) {
    const [add] = await commit(lake, table, numberedSelect(next, next + size));
    files.push({path: add?.path ?? '', first: next, size});
    for (let id = next; id < next + size; id++) live.add(id);
    next += size;
  }
  const [large, middle, small] = files;
  if (large === undefined || middle === undefined || small === undefined) throw new Error('three files were written');
  const all = (size: number, keep: (position: number) => boolean): number[] =>
    Array.from({length: size}, (_, position) => position).filter(keep);
  const rounds = [
    new Map([
      [large.path, all(large.size, () => random() < 0.3)],
      [middle.path, all(middle.size, (at) => at >= 200 && at < 700)],
    ]),
    // Positions that are gone already may be named again; a file without rows left is removed whole.
    new Map([
      [large.path, all(large.size, (at) => at % 7 === 0 || at > 69_000)],
      [small.path, all(small.size, () => true)],
    ]),
    new Map([[middle.path, [0, 999]]]),
  ];
  for (const deletions of rounds) {
    const {adds, removes} = await table.writeDeletions(deletions, lake.signal);
    await commit(lake, table, null, {adds, removes, operation: 'DELETE'});
    for (const {path, first} of files) for (const at of deletions.get(path) ?? []) live.delete(first + at);
    recorder.record(table, [...live].map(numberedRow));
  }
  return recorder.finish(lake, table, 'deleted by vectors', {refuses: {'delta-rs-arrow': 'deletionVectors'}});
}

async function copyOnWrite(lake: Lake): Promise<TableCase> {
  const table = await createTable(lake.context, 'main/raw/copy_on_write', {schema: numbered});
  const recorder = new CaseRecorder();
  const [first] = await commit(lake, table, numberedSelect(0, 100));
  await commit(lake, table, numberedSelect(100, 200));
  if (first === undefined) throw new Error('a file was written');
  const rewritten = `SELECT id, text || ' again' AS text FROM (${await table.readSql({files: [first.path]})}) WHERE id % 2 = 0`;
  await commit(lake, table, rewritten, {removes: [table.removeOf(first)], operation: 'MERGE'});
  const rows = Array.from({length: 200}, (_, id) => numberedRow(id)).filter(
    ({id}) => Number(id) >= 100 || Number(id) % 2 === 0,
  );
  recorder.record(
    table,
    rows.map((row) => (Number(row['id']) < 100 ? {...row, text: `row ${Number(row['id'])} again`} : row)),
  );
  return recorder.finish(lake, table, 'rewritten (copy on write)');
}

async function evolved(lake: Lake): Promise<TableCase> {
  const before = struct(field('id', 'long'), field('gone', 'string'));
  const after = struct(
    ...before.fields,
    field('price', {type: 'decimal', precision: 12, scale: 2}),
    field('place', struct(field('city', 'string'))),
  );
  const table = await createTable(lake.context, 'main/raw/evolved', {schema: before});
  const recorder = new CaseRecorder();
  const old: readonly Row[] = [
    {id: '1', gone: 'a'},
    {id: '2', gone: 'b'},
  ];
  await commit(lake, table, selectRows(before, old));
  recorder.record(table, old);
  const added: readonly Row[] = [
    {id: '3', price: '10.50', place: {city: 'Oslo'}},
    {id: '4', price: null, place: null},
  ];
  const metadata = {...table.snapshot.metadata, schemaString: schemaToJson(after)};
  await commit(lake, table, selectRows(after, added), {metadata});
  recorder.record(table, [...old, ...added], after);
  return recorder.finish(lake, table, 'with columns that came later');
}

async function oddNames(lake: Lake): Promise<TableCase> {
  const names = [
    'select',
    'Größe',
    '日本',
    'with.dot',
    'quote"d',
    "o'clock",
    'back`tick',
    'a%20b',
    '#hash',
    '😀',
    '$dollar',
    'a-b',
    '1',
  ];
  const schema = struct(
    ...names.map((name) => field(name, 'string')),
    field('nested', struct(field('with.dot', 'long'), field('Größe', 'long'))),
  );
  const table = await createTable(lake.context, tableRoot('main', 'raw', '/odd näme'), {schema});
  const recorder = new CaseRecorder();
  const rows: readonly Row[] = [
    {...Object.fromEntries(names.map((name) => [name, `value of ${name}`])), nested: {'with.dot': '1', Größe: '2'}},
    {},
  ];
  await commit(lake, table, selectRows(schema, rows));
  recorder.record(table, rows);
  return recorder.finish(lake, table, 'with odd names of table, folder and columns');
}

async function empty(lake: Lake): Promise<TableCase> {
  const table = await createTable(lake.context, 'main/raw/empty', {schema: allTypesSchema});
  const recorder = new CaseRecorder();
  recorder.record(table, []);
  return recorder.finish(lake, table, 'without rows');
}

/** Two tables: one with a checkpoint and all of its log, and a copy that has lost the log before the checkpoint. */
async function checkpointed(lake: Lake): Promise<readonly TableCase[]> {
  const table = await createTable(lake.context, 'main/raw/checkpointed', {schema: numbered, deletionVectors: true});
  const recorder = new CaseRecorder();
  let rows: readonly Row[] = [];
  const files: {readonly path: string; readonly first: number}[] = [];
  for (let batch = 0; batch < 25; batch++) {
    const txn = {appId: 'interop', version: batch};
    const first = batch * 3;
    const file = batch % 5 === 4 ? files.shift() : undefined;
    if (file === undefined) {
      const [add] = await commit(lake, table, numberedSelect(first, first + 3), {txn});
      files.push({path: add?.path ?? '', first});
      rows = [...rows, ...[0, 1, 2].map((offset) => numberedRow(first + offset))];
    } else {
      const {adds, removes} = await table.writeDeletions(new Map([[file.path, [1]]]), lake.signal);
      await commit(lake, table, null, {adds, removes, txn, operation: 'DELETE'});
      rows = rows.filter(({id}) => id !== String(file.first + 1));
    }
  }
  recorder.record(table, rows);
  const whole = recorder.finish(lake, table, 'with a checkpoint', {refuses: {'delta-rs-arrow': 'deletionVectors'}});
  const cut = `${whole.folder}_cut`;
  cpSync(whole.folder, cut, {recursive: true});
  const log = join(cut, '_delta_log');
  const {version} = JSON.parse(readFileSync(join(log, '_last_checkpoint'), 'utf8')) as {version: number};
  for (let old = 0; old <= version; old++) rmSync(join(log, `${String(old).padStart(20, '0')}.json`));
  return [whole, {...whole, name: 'with a checkpoint and no log before it', folder: cut}];
}
