import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import fc from 'fast-check';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import {files} from '../src/connectors/files/index.ts';
import {rawRecords} from '../src/connectors/files/raw-records.ts';
import {NESTED_TEXT, rawCell} from '../src/connectors/files/raw-values.ts';
import {systemClock} from '../src/core/clock.ts';
import {openEngine} from '../src/engine/duckdb-engine.ts';
import type {Engine} from '../src/engine/engine.ts';
import {fileSelect} from '../src/engine/file-relation.ts';
import {canonicalSql} from '../src/pipeline/verify-sql.ts';
import {silentLog} from '../src/runtime/read-context.ts';
import {createSourceFiles} from '../src/runtime/source-files.ts';
import {fromDdl, type FileReadOptions, type RangeSum, type StructType} from '../src/sdk/index.ts';

/*
 * Two readers of the same files that share no code: the engine's, which lands rows, and the one that verification compares
 * them with. Where they differ, one of them is wrong.
 */

let engine: Engine;
let folder: string;
let written = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-files-verify-'));
  engine = await openEngine({memoryLimitMb: 512, threads: 2, tempFolder: folder});
});

afterAll(async () => {
  await engine[Symbol.asyncDispose]();
  await rm(folder, {recursive: true, force: true});
});

const SCHEMA: StructType = fromDdl(
  'l BIGINT, i INT, s SMALLINT, y TINYINT, d DOUBLE, f FLOAT, m DECIMAL(12,3), w DECIMAL(38,0), b BOOLEAN, x BINARY, t TIMESTAMP, n TIMESTAMP_NTZ, e DATE, c STRING',
);

type Cells = readonly (readonly (string | null)[])[];

/** Canonical texts of the columns, and whether each is a misfit, by both readers. */
async function bothReaders(
  content: string,
  options: FileReadOptions,
): Promise<{readonly engine: Cells; readonly verify: Cells}> {
  const localPath = join(folder, `f${written++}`);
  await writeFile(localPath, content);
  await using opened = await fileSelect(engine, [{localPath, options}], SCHEMA, {ordered: true});
  const columns = SCHEMA.fields.map(({name, type}) => `${canonicalSql({name, type})} AS ${name}`);
  const rows = await engine.query(
    `SELECT ${columns.join(', ')}, _rescued_data AS rescued FROM (${opened.select}) ORDER BY __ord`,
  );
  const landed = rows.map((row) => {
    const rescued = JSON.parse(String(row['rescued'] ?? '{}')) as Record<string, unknown>;
    return SCHEMA.fields.map(({name}) => (name in rescued ? 'misfit' : (row[name] as string | null)));
  });
  const verify: (string | null)[][] = [];
  for await (const records of rawRecords(localPath, options)) {
    for (const record of records) {
      verify.push(
        SCHEMA.fields.map(({name, type}) => {
          const cell = rawCell(record.at(name), type);
          return cell === NESTED_TEXT ? 'nested' : cell.isMisfit ? 'misfit' : cell.text;
        }),
      );
    }
  }
  return {engine: landed, verify};
}

const NUMBERS = [
  '0',
  '-0',
  '1',
  '-1',
  '+5',
  '007',
  ' 12 ',
  '1.5',
  '1.0',
  '-2.000',
  '1.',
  '.5',
  '.',
  '',
  '1e3',
  '1E2',
  '1e-7',
  '1.50',
  '12.3456',
  '12.3450',
  '1_000',
  '0x1F',
  '--1',
  '127',
  '128',
  '-129',
  '32768',
  '2147483648',
  '9007199254740993',
  '9007199254740993.0',
  '9223372036854775807',
  '9223372036854775808',
  '123456789012.345',
  '1234567890123',
  '99999999999999999999999999999999999999',
  '1e400',
  '-1e400',
  '1e39',
  '1e-400',
  '0.1',
  '0.30000000000000004',
  '12345678901234567.891',
  '0.1000000000000000055511151231257827',
  '2417851639229258349412352',
  '1e21',
  '123456789012345678901234567890.5',
  'NaN',
  'nan',
  'inf',
  '-Infinity',
  'infinity',
];
const WORDS = [
  'true',
  'FALSE',
  't',
  'N',
  'Yes',
  'no',
  'on',
  '1',
  '0',
  ' true ',
  'maybe',
  'aGk=',
  'aGk',
  'a',
  '====',
  'é',
  'a,b',
  'with "quotes"',
  'line\nbreak',
  '\u0001x',
  'null',
  'NULL',
  '\\',
  'tab\t',
];
const TIMES = [
  '2024-01-05',
  '2024-1-5',
  '2024-02-30',
  '2023-02-29',
  '0000-01-01',
  '0001-01-01',
  '9999-12-31',
  '10000-01-01',
  '01/31/2024',
  '31-01-2024',
  '2024/01/31',
  '13/13/2024',
  '2024-01-05 10:00:00',
  '2024-01-05T10:00:00Z',
  '2024-01-05t10:00:00z',
  '2024-01-05T10:00',
  '2024-01-05T10',
  '2024-01-05T10:00:00.5',
  '2024-01-05T10:00:00.123456789Z',
  '2024-01-05T10:00:00,5',
  '2024-01-05 10:00:00+02',
  '2024-01-05 10:00:00-0530',
  '2024-01-05 10:00:00 +01:00',
  '2024-01-05 10:00:00 UTC',
  '2024-01-05 10:00:00+00',
  '2024-01-05T24:00:00Z',
  '2024-01-05T23:59:60Z',
  '2024-01-05T25:00:00',
  '2024-01-05Z',
  '2024-01-05 10:00:00 Europe/Berlin',
  ' 2024-01-05 ',
  '1969-12-31T23:59:59.999999Z',
  '0001-01-01T00:00:00Z',
  '9999-12-31T23:59:59.999999Z',
  'epoch',
  'infinity',
  '20240105',
  '1704448800',
  '1704448800000',
  '1704448800000000',
  '-1704448800',
  '12345678901234567',
];
const TEXTS = [...NUMBERS, ...WORDS, ...TIMES];

describe('both readers of files', () => {
  it('give every text in CSV the same meaning', async () => {
    const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`;
    const header = SCHEMA.fields.map(({name}) => name).join(',');
    const lines = TEXTS.map((text) => SCHEMA.fields.map(() => quoted(text)).join(','));
    const {engine: landed, verify} = await bothReaders(`${header}\n${lines.join('\n')}\n`, {format: 'csv'});
    expect(named(verify, TEXTS)).toEqual(named(landed, TEXTS));
  });

  it('give every value in JSON the same meaning, as text and as it is', async () => {
    const values = [...TEXTS.map((text) => JSON.stringify(text)), ...NUMBERS.filter(isJson), 'true', 'false', 'null'];
    const records = values.map((value) => `{${SCHEMA.fields.map(({name}) => `"${name}": ${value}`).join(', ')}}`);
    for (const content of [records.join('\n'), `[${records.join(',\n')}]`]) {
      const {engine: landed, verify} = await bothReaders(content, {format: 'json'});
      expect(named(verify, values)).toEqual(named(landed, values));
    }
  });

  it('find the same records in CSV of any text', async () => {
    const cell = fc.string({unit: fc.constantFrom('a', '1', '"', ',', '\n', '\r', ' ', 'é'), maxLength: 5});
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(cell, cell), {maxLength: 12}),
        fc.constantFrom('\n', '\r\n'),
        async (rows, end) => {
          const quoted = (text: string): string => (/["\n\r,]/u.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
          const lines = ['l,c', ...rows.map(([left, right]) => `${quoted(left)},${quoted(right)}`)];
          const {engine: landed, verify} = await bothReaders(lines.join(end) + end, {format: 'csv'});
          expect(verify).toEqual(landed);
        },
      ),
      {numRuns: 30},
    );
  });

  it('find the same records in JSON of any shape', async () => {
    const value = fc.oneof(
      fc.string(),
      fc.double({noNaN: true, noDefaultInfinity: true}),
      fc.boolean(),
      fc.constant(null),
      fc.maxSafeInteger(),
    );
    const record = fc.record({l: value, d: value, c: value, other: fc.jsonValue()}, {requiredKeys: []});
    await fc.assert(
      fc.asyncProperty(
        fc.array(record, {minLength: 1, maxLength: 8}),
        fc.constantFrom(0, 2),
        fc.boolean(),
        async (records, indent, asArray) => {
          const content = asArray
            ? JSON.stringify(records, null, indent)
            : records.map((one) => JSON.stringify(one, null, indent)).join('\n');
          const {engine: landed, verify} = await bothReaders(content, {format: 'json'});
          expect(verify).toEqual(landed);
        },
      ),
      {numRuns: 12},
    );
  });
});

describe('sums of files', () => {
  it('are the same by both readers, name the bucket and the key that differ, and see repeated keys', async () => {
    const inputs = join(folder, 'inputs');
    await mkdir(inputs);
    const lines = Array.from({length: 500}, (_, id) => `${id},${id % 7 === 0 ? 'bad' : id / 8},"n${id % 10}"`);
    await writeFile(join(inputs, 'a.csv'), ['id,v,c', ...lines, '3,1.5,again'].join('\n'));
    const sources = createSourceFiles(engine, [inputs]);
    const ctx = {signal: new AbortController().signal, clock: systemClock, log: silentLog, files: sources};
    const connector = files.create({
      options: {path: inputs},
      clock: systemClock,
      random: Math.random,
      connectionName: 'test',
    });
    const scope = {
      table: 'a.csv',
      options: {},
      columns: fromDdl('id BIGINT, v DOUBLE, c STRING').fields.map(({name, type}) => ({name, type})),
      keys: ['id'],
      buckets: 16,
    };
    const refs = (await sources.list(inputs, '*')).map((file) => ({file, options: {format: 'csv'} as const}));
    await using byEngine = await sources.openVerify?.(refs, scope);
    await using ours = await connector.openVerify?.(scope, null, ctx);
    if (ours === undefined || byEngine === undefined) throw new Error('no point');
    expect(ours.token).toContain('1 files');
    expect(sorted(await ours.sums(ctx))).toEqual(sorted(await byEngine.sums(ctx)));
    expect(await ours.misfits?.(ctx)).toEqual(new Map([['v', 72n]]));
    const buckets = [3, 4];
    expect(await flat(ours.keys(buckets, ctx))).toEqual(await flat(byEngine.keys(buckets, ctx)));
    expect(await flat(ours.touched?.(buckets, ctx))).toEqual(['["3"]']);
    expect(await flat(byEngine.touched?.(buckets, ctx))).toEqual(['["3"]']);
    const asked = [['4'], ['20'], ['none']];
    expect(await ours.columnHashes(asked, ctx)).toEqual(await byEngine.columnHashes(asked.slice(0, 2), ctx));
    await using earlier = await connector.openVerify?.(scope, {epoch: '1', files: 1, listed_at: 1000}, ctx);
    expect(await earlier?.sums(ctx)).toEqual([]);
  });
});

function sorted(sums: readonly RangeSum[]): readonly RangeSum[] {
  return [...sums].sort((left, right) => left.bucket - right.bucket);
}

async function flat<Value>(pages: AsyncIterable<readonly Value[]> | undefined): Promise<readonly string[]> {
  const all: string[] = [];
  for await (const page of pages ?? []) {
    for (const value of page)
      all.push(JSON.stringify(value, (_, inner: unknown) => (typeof inner === 'bigint' ? String(inner) : inner)));
  }
  return all.sort();
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Rows by their input and column, so that a difference names them. */
function named(rows: Cells, inputs: readonly string[]): readonly string[] {
  return rows.flatMap((cells, row) =>
    cells.map((cell, index) => `${JSON.stringify(inputs[row])} as ${SCHEMA.fields[index]?.name}: ${String(cell)}`),
  );
}
