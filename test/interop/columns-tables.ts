import * as t from '../../src/core/schema.ts';
import type {DataType, StructType} from '../../src/core/types.ts';
import {alterTable} from '../../src/delta/alter-table.ts';
import type {CreateOptions, DeltaTable} from '../../src/delta/delta-table.ts';
import {optimizeTable} from '../../src/delta/optimize.ts';
import {createTable} from '../../src/delta/table.ts';
import {FlowUnderTest} from './flow-under-test.ts';
import {CaseRecorder, type Lake, type TableCase} from './table-case.ts';
import {type Row, type Value, selectRows} from './values.ts';

const REFUSES_MAPPING: NonNullable<TableCase['refuses']> = {'delta-rs-arrow': 'columnMapping'};
const mode = (name: string): Record<string, string> => ({'delta.columnMapping.mode': name});

/** Tables whose columns have other names in files, were renamed, dropped, widened, or are called what few dare. */
export async function writeColumnTables(lake: Lake): Promise<readonly TableCase[]> {
  return [
    await mapped(lake, 'name', false),
    await mapped(lake, 'id', false),
    await mapped(lake, 'name', true),
    await upgraded(lake),
    await merged(lake, true),
    await merged(lake, false),
    await widened(lake),
    await oddNames(lake),
  ];
}

/** A table under test, with the rows that it must hold. */
class WrittenTable {
  readonly recorder = new CaseRecorder();
  rows: readonly Row[] = [];

  readonly table: DeltaTable;
  readonly #lake: Lake;

  private constructor(lake: Lake, table: DeltaTable) {
    this.#lake = lake;
    this.table = table;
  }

  static async create(lake: Lake, name: string, options: CreateOptions): Promise<WrittenTable> {
    return new WrittenTable(lake, await createTable(lake.context, `main/raw/${name}`, options));
  }

  async append(rows: readonly Row[]): Promise<void> {
    const {schema} = this.table.snapshot;
    const adds = await this.table.writeFiles({select: selectRows(schema, rows), schema}, this.#lake.signal);
    await this.table.commit({base: this.table.snapshot, operation: 'WRITE', adds, blindAppend: true});
    this.rows = [...this.rows, ...rows];
    this.record();
  }

  record(): void {
    this.recorder.record(this.table, this.rows);
  }

  finish(name: string, refuses: NonNullable<TableCase['refuses']> = {}): TableCase {
    return this.recorder.finish(this.#lake, this.table, name, {refuses});
  }
}

const nested = t.struct({
  id: t.long(),
  'full name': t.string(),
  home: t.column(t.struct({'zip,code': t.string(), since: t.date()})),
  tags: t.array(t.struct({'a;b': t.integer()})),
  by: t.map(t.string(), t.struct({'x=y': t.double()})),
});
const nestedRow = (id: number): Row => ({
  id: String(id),
  'full name': `name ${id}`,
  home: id % 3 === 0 ? null : {'zip,code': `zip ${id}`, since: id % 2 === 0 ? null : String(19_000 + id)},
  tags: [{'a;b': String(id)}, null],
  by: [['k', {'x=y': id / 2}]],
});

/** Renames and drops at every depth, between appends; with vectors, rows are taken away, too. */
async function mapped(lake: Lake, by: 'name' | 'id', deletionVectors: boolean): Promise<TableCase> {
  const kind = `columns mapped by ${by}${deletionVectors ? ', with deletion vectors' : ''}`;
  const written = await WrittenTable.create(lake, `mapped_${by}_${deletionVectors}`, {
    schema: nested,
    configuration: mode(by),
    deletionVectors,
  });
  const {table} = written;
  await written.append([1, 2, 3, 4].map(nestedRow));
  if (deletionVectors) {
    const [file = ''] = table.snapshot.files.keys();
    const gone = await table.writeDeletions(new Map([[file, [1]]]), lake.signal);
    await table.commit({base: table.snapshot, operation: 'DELETE', ...gone, blindAppend: false});
    written.rows = written.rows.filter((row) => row['id'] !== '2');
    written.record();
  }
  await alterTable(table, {
    renames: new Map([
      ['a name', 'full name'],
      ['zip', 'home.zip,code'],
      ['c d', 'tags.element.a;b'],
      ['z', 'by.value.x=y'],
    ]),
  });
  const renamed = (row: Row): Row => renamedRow(row);
  written.rows = written.rows.map(renamed);
  written.record();
  await written.append([5, 6].map(nestedRow).map(renamed));
  await alterTable(table, {dropColumns: ['a name', 'home.since']});
  written.rows = written.rows.map(({'a name': _name, home, ...row}) => ({...row, home: without(home, 'since')}));
  written.record();
  await alterTable(table, {addColumns: [{name: 'a name', type: 'long', nullable: true, metadata: {}}]});
  await written.append([{id: '7', 'a name': '77', home: {zip: 'last'}}]);
  await optimizeTable(lake.context, table, {}, lake.signal);
  written.record();
  return written.finish(kind, REFUSES_MAPPING);
}

function renamedRow({'full name': name, home, tags, by, ...row}: Row): Row {
  const zip = parts(home);
  return {
    ...row,
    'a name': name ?? null,
    home: zip === null ? null : {zip: zip['zip,code'] ?? null, since: zip['since'] ?? null},
    tags: (tags as readonly Value[]).map((tag) => (tag === null ? null : {'c d': parts(tag)?.['a;b'] ?? null})),
    by: (by as readonly (readonly [Value, Value])[]).map(([key, value]) => [key, {z: parts(value)?.['x=y'] ?? null}]),
  };
}

function parts(value: Value | undefined): Readonly<Record<string, Value>> | null {
  return (value ?? null) as Readonly<Record<string, Value>> | null;
}

function without(value: Value | undefined, name: string): Value {
  const known = parts(value);
  return known === null ? null : Object.fromEntries(Object.entries(known).filter(([key]) => key !== name));
}

/** Mapping that comes later: old files have the names of old. */
async function upgraded(lake: Lake): Promise<TableCase> {
  const schema = t.struct({id: t.long(), p: t.string(), s: t.column(t.struct({x: t.long()}))});
  const written = await WrittenTable.create(lake, 'upgraded', {schema, partitionColumns: ['p']});
  await written.append([{id: '1', p: 'one', s: {x: '10'}}]);
  const renames = new Map([
    ['part of', 'p'],
    ['key', 'id'],
    ['y', 's.x'],
  ]);
  await alterTable(written.table, {properties: mode('name'), renames});
  written.rows = [{key: '1', 'part of': 'one', s: {y: '10'}}];
  written.record();
  await written.append([
    {key: '2', 'part of': 'two', s: {y: '20'}},
    {key: '3', 'part of': null, s: null},
  ]);
  return written.finish('mapped after its first rows', REFUSES_MAPPING);
}

/** Batches of a flow into a mapped table; the key is renamed in between, the tombstones know it all the same. */
async function merged(lake: Lake, deletionVectors: boolean): Promise<TableCase> {
  const root = `main/raw/merged_mapped_${deletionVectors}`;
  const before = t.struct({'the id': t.long(), 'a b': t.string(), seq: t.long()});
  const after = t.struct({id: t.long(), 'a b': t.string(), seq: t.long(), 'new one': t.double()});
  const table = await createTable(lake.context, root, {schema: before, deletionVectors});
  const recorder = new CaseRecorder();
  const flow = new FlowUnderTest(lake, root, {schema: before, keys: ['the id'], sequence: ['seq']});
  const event = (id: number, text: string, seq: number, op = 'upsert'): string =>
    `SELECT ${id}::BIGINT AS id, '${text}' AS "a b", ${seq}::BIGINT AS seq, ${seq}::BIGINT AS __ord, '${op}' AS __op`;
  const events = (list: readonly string[], name: string, more = ''): string =>
    `SELECT id AS "${name}", "a b", seq, __ord, __op${more} FROM (${list.join(' UNION ALL ')}) AS e`;
  await flow.apply('scd1', events([event(1, 'one', 1), event(2, 'two', 2), event(3, 'three', 3)], 'the id'));
  await flow.apply('scd1', events([event(2, '', 9, 'delete'), event(3, 'drei', 8)], 'the id'));
  await alterTable(table, {renames: new Map([['id', 'the id']])});
  const now = {schema: after, keys: ['id']};
  await flow.apply('scd1', events([event(2, 'late', 5), event(4, 'four', 10)], 'id', ', 0.5 AS "new one"'), now);
  const rows = (price: number | null): readonly Row[] => [
    {id: '1', 'a b': 'one', seq: '1', 'new one': null},
    {id: '3', 'a b': 'drei', seq: '8', 'new one': null},
    {id: '4', 'a b': 'four', seq: '10', 'new one': price},
  ];
  recorder.record(await flow.open(), rows(0.5));
  await flow.apply('hold', events([event(3, 'held', 11)], 'id', ', 1.5 AS "new one"'), {
    ...now,
    start: {rows: null, deletes: null},
  });
  await flow.apply('replace', events([event(4, 'last', 12)], 'id', ', 2.5 AS "new one"'), now);
  recorder.record(await flow.open(), [
    {id: '3', 'a b': 'held', seq: '11', 'new one': 1.5},
    {id: '4', 'a b': 'last', seq: '12', 'new one': 2.5},
  ]);
  return recorder.finish(lake, await flow.open(), `merged, mapped, ${deletionVectors ? 'with' : 'without'} vectors`, {
    refuses: REFUSES_MAPPING,
  });
}

const decimal = (precision: number, scale: number): DataType => ({type: 'decimal', precision, scale});

/** Every widening that Delta has: type before, after, and values. */
const WIDENINGS: readonly (readonly [from: DataType, to: DataType, before: Value, after: Value])[] = [
  ['byte', 'short', '-128', '32767'],
  ['byte', 'integer', '127', '2147483647'],
  ['byte', 'long', '1', '9223372036854775807'],
  ['byte', 'double', 1, 0.5],
  ['byte', decimal(12, 2), '1.00', '9999999999.99'],
  ['short', 'integer', '-32768', '70000'],
  ['short', 'long', '32767', '-9223372036854775808'],
  ['short', 'double', 7, 1e300],
  ['short', decimal(10, 0), '7', '9999999999'],
  ['integer', 'long', '-2147483648', '3000000000'],
  ['integer', 'double', 2147483647, -0.25],
  ['integer', decimal(11, 1), '2147483647.0', '0.5'],
  ['long', decimal(20, 0), '9223372036854775807', '99999999999999999999'],
  ['float', 'double', 0.5, 0.1],
  ['date', 'timestamp_ntz', String(19_000n * 86_400_000_000n), '1704164645123456'],
  [decimal(5, 2), decimal(12, 4), '123.4500', '12345678.1234'],
  [decimal(18, 3), decimal(38, 5), '123456789012345.67800', '123456789012345678901234567890123.12345'],
];

async function widened(lake: Lake): Promise<TableCase> {
  const shape = (at: 0 | 1): StructType =>
    t.struct({
      id: t.long(),
      ...Object.fromEntries(WIDENINGS.map((each, index) => [`c${index}`, t.column(each[at])])),
      s: t.column(t.struct({x: t.column(at === 0 ? 'integer' : 'long')})),
      a: t.array(at === 0 ? 'short' : 'integer'),
      m: t.map(t.column(at === 0 ? 'byte' : 'long'), at === 0 ? 'float' : 'double'),
    });
  const written = await WrittenTable.create(lake, 'widened', {
    schema: shape(0),
    configuration: {'delta.enableTypeWidening': 'true'},
  });
  const {table} = written;
  const row = (id: string, at: 2 | 3): Row => ({
    id,
    ...Object.fromEntries(WIDENINGS.map((each, index) => [`c${index}`, each[at]])),
    s: {x: at === 2 ? '2147483647' : '-9223372036854775808'},
    a: ['1', null],
    m: [['5', 0.5]],
  });
  const old = row('1', 2);
  // As the narrow types write them: what the wide ones show is the same value.
  const narrow = selectRows(shape(0), [{...old, ...narrowTexts()}]);
  const adds = await table.writeFiles({select: narrow, schema: shape(0)}, lake.signal);
  await table.commit({base: table.snapshot, operation: 'WRITE', adds, blindAppend: true});
  await alterTable(table, {
    properties: {'delta.feature.timestampNtz': 'supported'},
    widen: new Map(shape(1).fields.map((field) => [field.name, field.type])),
  });
  written.rows = [old];
  written.record();
  await written.append([row('2', 3)]);
  return written.finish('widened in every way', {'delta-rs': 'TypeWidening', 'delta-rs-arrow': 'typeWidening'});
}

function narrowTexts(): Row {
  return Object.fromEntries(
    WIDENINGS.map(([from, , before], index): readonly [string, Value] => {
      if (from === 'date') return [`c${index}`, '19000'];
      const isWhole = typeof from === 'string' && from !== 'float';
      return [`c${index}`, isWhole ? String(before).replace(/\.0*$/, '') : before];
    }),
  );
}

/** Names that need no mapping, and all that do. */
async function oddNames(lake: Lake): Promise<TableCase> {
  const names = [
    'a b',
    'a.b',
    'a,b',
    'a;b',
    'a{b}',
    'a(b)',
    'a\nb',
    'a\tb',
    'a=b',
    'a"b',
    "a'b",
    'a`b',
    'Žluť 日本 😀',
    'a/b%c',
    'ab:c',
  ];
  const written = await WrittenTable.create(lake, 'odd_mapped', {
    schema: t.struct(Object.fromEntries(names.map((name) => [name, t.long()]))),
    partitionColumns: ['a=b', 'a/b%c'],
  });
  for (const base of [0, 100])
    await written.append([Object.fromEntries(names.map((name, index) => [name, String(base + index)]))]);
  return written.finish('names of all kinds', REFUSES_MAPPING);
}
