import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {gzipSync} from 'node:zlib';

import fc from 'fast-check';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import {
  array,
  binary,
  boolean,
  date,
  decimal,
  double,
  float,
  integer,
  long,
  map,
  short,
  string,
  struct,
  timestamp,
  timestampNtz,
  variant,
} from '../core/schema.ts';
import type {StructType} from '../core/types.ts';
import {openEngine} from './duckdb-engine.ts';
import type {Engine, EngineRow} from './engine.ts';
import {fileSelect, type FileSelectOptions} from './file-relation.ts';
import type {FileInput, FileSettings} from './file-source.ts';

let engine: Engine;
let folder: string;
let files = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-files-'));
  engine = await openEngine({memoryLimitMb: 512, threads: 2, tempFolder: folder});
});

afterAll(async () => {
  await engine[Symbol.asyncDispose]();
  await rm(folder, {recursive: true, force: true});
});

async function file(content: string | Uint8Array, options: FileSettings, extension = 'txt'): Promise<FileInput> {
  const localPath = join(folder, `f${files++}.${extension}`);
  await writeFile(localPath, content);
  return {localPath, options};
}

async function parquet(select: string): Promise<FileInput> {
  const localPath = join(folder, `f${files++}.parquet`);
  await engine.run(`COPY (${select}) TO '${localPath}' (FORMAT parquet)`);
  return {localPath, options: {format: 'parquet'}};
}

interface Landed {
  readonly rows: readonly EngineRow[];
  /** `_rescued_data` of each row, without the path of the file. */
  readonly rescued: readonly unknown[];
}

async function read(
  inputs: readonly FileInput[],
  schema: StructType,
  options: FileSelectOptions = {},
): Promise<Landed> {
  await using opened = await fileSelect(engine, inputs, schema, options);
  const all = await engine.query(opened.select);
  const rescued = all.map((row) => {
    const text = row['_rescued_data'];
    if (text === null) return null;
    const {_file_path: path, ...rest} = JSON.parse(String(text)) as Record<string, unknown>;
    expect(inputs.map((input) => input.path ?? input.localPath)).toContain(path);
    return rest;
  });
  return {
    rows: all.map((row) => Object.fromEntries(Object.entries(row).filter(([name]) => name !== '_rescued_data'))),
    rescued,
  };
}

const csv = (content: string | Uint8Array, options: Partial<FileSettings> = {}): Promise<FileInput> =>
  file(content, {...options, format: 'csv'});
const json = (content: string | Uint8Array, options: Partial<FileSettings> = {}): Promise<FileInput> =>
  file(content, {...options, format: 'json'});

describe('CSV', () => {
  const schema = struct({a: long(), b: string(), c: string()});

  it('keeps empty quoted strings apart from NULL', async () => {
    const {rows, rescued} = await read([await csv('a,b,c\n1,"",x\n2,,"y ""q"" \n z"\n')], schema);
    expect(rows).toEqual([
      {a: 1n, b: '', c: 'x'},
      {a: 2n, b: null, c: 'y "q" \n z'},
    ]);
    expect(rescued).toEqual([null, null]);
  });

  it('rescues values that do not fit, unknown columns, and nothing else', async () => {
    const {rows, rescued} = await read([await csv('a,b,extra\n1.5,x,\nno,y,e\n7,z,\n')], schema);
    expect(rows).toEqual([
      {a: null, b: 'x', c: null},
      {a: null, b: 'y', c: null},
      {a: 7n, b: 'z', c: null},
    ]);
    expect(rescued).toEqual([{a: '1.5'}, {a: 'no', extra: 'e'}, null]);
  });

  it('leaves out columns that nobody wants', async () => {
    const {rescued} = await read([await csv('a,b,c,d\n1,x,y,z\n')], schema, {ignoredColumns: ['d']});
    expect(rescued).toEqual([null]);
  });

  it('lands lines that are too short, too long or have broken quotes, with their text', async () => {
    const {rows, rescued} = await read(
      [await csv('a,b,c\n1,x,y\n2,short\n3,l,o,n,g\n4,"q"r,s\n5,in"side,t\n\n6,ok,u')],
      schema,
    );
    expect(rows.map((row) => row['a'])).toEqual([1n, 2n, 3n, 4n, 5n, 6n]);
    expect(rows.map((row) => row['b'])).toEqual(['x', 'short', 'l', '"q"r', 'in"side', 'ok']);
    expect(rescued).toEqual([
      null,
      {_corrupt_record: '2,short'},
      {_corrupt_record: '3,l,o,n,g'},
      {_corrupt_record: '4,"q"r,s'},
      null,
      null,
    ]);
  });

  it('takes a quote that is never closed for one line, not for the rest of the file', async () => {
    const {rows, rescued} = await read([await csv('a,b,c\n1,"x,y\n2,p,q\n3,r,s\n')], schema);
    expect(rows.map((row) => row['a'])).toEqual([1n, 2n, 3n]);
    expect(rescued).toEqual([{_corrupt_record: '1,"x,y'}, null, null]);
  });

  it('keeps the bytes of text that is no UTF-8', async () => {
    const bytes = Buffer.concat([Buffer.from('a,b,c\n1,x'), Buffer.from([0xff]), Buffer.from(',y\n2,p,q\n')]);
    const {rows, rescued} = await read([await csv(bytes)], schema);
    expect(rows.map((row) => row['a'])).toEqual([1n, 2n]);
    expect(rescued).toEqual([{_corrupt_record_base64: Buffer.from(bytes.subarray(6, 12)).toString('base64')}, null]);
  });

  it('reads every kind of line end, a byte order mark, blank lines before the header, packed files', async () => {
    const inputs = [
      await csv('\ufeffa,b,c\r\n1,x,y\r\n'),
      await csv('a,b,c\r2,x,y\r3,x,y'),
      await csv('\n\na,b,c\n4,x,y\n'),
      await csv('a,b,c\n5,x,y\r\n6,x,y\n'),
      await file(gzipSync('a,b,c\n7,x,y\n'), {format: 'csv'}, 'csv.gz'),
      await csv(''),
      await csv('a,b,c\n'),
    ];
    const {rows, rescued} = await read(inputs, schema);
    expect(rows.map((row) => Number(row['a'])).sort()).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(rescued.every((entry) => entry === null)).toBe(true);
  });

  it('follows separator, quote, text for NULL and a missing header', async () => {
    const options = {delimiter: ';', quote: "'", nullText: 'NA', header: false} as const;
    const {rows} = await read(
      [await csv("1;NA;'NA'\n2;'a;b';c\n", options)],
      struct({_c0: long(), _c1: string(), _c2: string()}),
    );
    expect(rows).toEqual([
      {_c0: 1n, _c1: null, _c2: 'NA'},
      {_c0: 2n, _c1: 'a;b', _c2: 'c'},
    ]);
  });

  it('names blank and repeated columns', async () => {
    const {rows} = await read(
      [await csv('x,,X,x\n1,2,3,4\n')],
      struct({x: long(), _c1: long(), X_1: long(), x_2: long()}),
    );
    expect(rows).toEqual([{x: 1n, _c1: 2n, X_1: 3n, x_2: 4n}]);
  });

  it('gives every type what its texts mean', async () => {
    const types = struct({
      l: long(),
      i: integer(),
      s: short(),
      d: double(),
      f: float(),
      m: decimal(10, 2),
      b: boolean(),
      y: binary(),
      t: timestamp(),
      n: timestampNtz(),
      e: date(),
      a: array(long()),
      v: variant(),
    });
    const header = types.fields.map((field) => field.name).join(';');
    const good =
      '-7;2147483647;-32768;1e3;0.5;12.30;Yes;aGk=;2024-01-05T10:00:00+02;2024-01-05 10:00;2024-02-29;[1,2];{"x":1}';
    const {rows, rescued} = await read([await csv(`${header}\n${good}\n`, {delimiter: ';', quote: ''})], types);
    expect(rescued).toEqual([null]);
    expect(rows).toEqual([
      {
        l: -7n,
        i: 2147483647,
        s: -32768,
        d: 1000,
        f: 0.5,
        m: '12.30',
        b: true,
        y: new Uint8Array([104, 105]),
        t: BigInt(Date.parse('2024-01-05T08:00:00Z')) * 1000n,
        n: BigInt(Date.parse('2024-01-05T10:00:00Z')) * 1000n,
        e: 19782,
        a: [1n, 2n],
        v: '{"x":1}',
      },
    ]);
    const bad =
      '1_000;2147483648;40000;1e400;1e39;1.239;2;*;2024-01-05T10:00:00 Europe/Berlin;2024-01-05T10:00:00+02;2024-01-05 10:00:00;[1,"x"];plain';
    const misfits = await read([await csv(`${header}\n${bad}\n`, {delimiter: ';', quote: ''})], types);
    expect(Object.keys(misfits.rescued[0] as object)).toEqual([
      'l',
      'i',
      's',
      'd',
      'f',
      'm',
      'b',
      'y',
      't',
      'n',
      'e',
      'a',
    ]);
    expect(misfits.rows[0]).toMatchObject({v: '"plain"', a: [1n, null]});
  });
});

describe('JSON', () => {
  it('reads lines, arrays and objects over several lines alike', async () => {
    const schema = struct({a: long(), b: string()});
    const inputs = [
      await json('{"a":1,"b":"x"}\r\n\r\n{"a":2}'),
      await json(' [ {"a":3},\n{"a":4,"b":null} ]'),
      await json('{\n "a": 5\n}\n{"a":\n6}'),
      await json(''),
    ];
    const {rows, rescued} = await read(inputs, schema);
    expect(rows.map((row) => Number(row['a'])).sort()).toEqual([1, 2, 3, 4, 5, 6]);
    expect(rescued.every((entry) => entry === null)).toBe(true);
  });

  it('keeps numbers exactly that a double would change', async () => {
    const schema = struct({
      d: decimal(38, 20),
      s: string(),
      l: long(),
      n: struct({m: decimal(20, 2), x: double()}),
      v: variant(),
    });
    const text =
      '{"d":12345678901234567.89,"s":1.10,"l":9223372036854775807,"n":{"m":123456789012345678.91,"x":2417851639229258349412352.0},"v":[12345678901234567.89,"\\"1.5"]}';
    const {rows, rescued} = await read([await json(text)], schema);
    expect(rescued).toEqual([null]);
    expect(rows).toEqual([
      {
        d: '12345678901234567.89000000000000000000',
        s: '1.10',
        l: 9223372036854775807n,
        n: {m: '123456789012345678.91', x: 2 ** 81},
        v: '[12345678901234567.89,"\\"1.5"]',
      },
    ]);
  });

  it('changes nothing else in records whose numbers need care', async () => {
    const schema = struct({d: decimal(38, 2), s: string(), t: string(), n: struct({s: string(), t: string()})});
    const text =
      '{"d":12345678901234567.89,"s":{"o":1.5,"p":"\\u0001x"},"t":"a \\" 1.5, b","n":{"s":{"o":1.5},"t":"2.50"}}';
    const {rows, rescued} = await read([await json(text)], schema);
    expect(rescued).toEqual([null]);
    expect(rows).toEqual([
      {
        d: '12345678901234567.89',
        s: '{"o":1.5,"p":"\\u0001x"}',
        t: 'a " 1.5, b',
        n: {s: '{"o":1.5}', t: '2.50'},
      },
    ]);
  });

  it('rescues misfits and unknown fields with their exact JSON', async () => {
    const schema = struct({a: long(), n: struct({x: long()}), l: array(long()), m: map(string(), long())});
    const {rows, rescued} = await read(
      [
        await json(
          '{"a":1.5,"n":{"x":1,"y":2},"l":[1,"b"],"m":{"k":"v"},"new":12345678901234567.891,"nil":null}\n{"a":"7","n":"no","l":{},"m":[]}\n{"a":true}',
        ),
      ],
      schema,
    );
    expect(rows).toEqual([
      {a: null, n: {x: 1n}, l: [1n, null], m: [{key: 'k', value: null}]},
      {a: 7n, n: null, l: null, m: null},
      {a: null, n: null, l: null, m: null},
    ]);
    expect(rescued[1]).toEqual({n: 'no', l: {}, m: []});
    expect(rescued[2]).toEqual({a: true});
    expect(Object.keys(rescued[0] as object)).toEqual(['a', 'n', 'l', 'm', 'new']);
  });

  it('prints the digits of rescued numbers', async () => {
    await using opened = await fileSelect(engine, [await json('{"a":12345678901234567.891}')], struct({a: long()}));
    const [row] = await engine.query(opened.select);
    expect(row?.['_rescued_data']).toContain('"a":12345678901234567.891,');
  });

  it('lands lines that are not well-formed, or no objects, with their text', async () => {
    const bytes = Buffer.concat([
      Buffer.from('{"a":1}\n{"a":\n5\n{"a":2,"b":"'),
      Buffer.from([0xff]),
      Buffer.from('"}\n{"a":3}\n'),
    ]);
    for (const content of ['{"a":1}\n{"a":\n5\n{"a":3}\n', bytes]) {
      const {rows, rescued} = await read([await json(content)], struct({a: long()}));
      expect(rows.filter((row) => row['a'] !== null).map((row) => row['a'])).toEqual([1n, 3n]);
      expect(rescued).toContainEqual({_corrupt_record: '{"a":'});
      expect(rescued).toContainEqual({_corrupt_record: '5'});
    }
  });

  it('names the file when an array is broken', async () => {
    const input = await json('[{"a":1},{"a":');
    await expect(fileSelect(engine, [input], struct({a: long()}))).rejects.toMatchObject({
      code: 'BAD_RECORD',
      context: {path: input.localPath},
    });
  });

  it('reads fields of any name', async () => {
    const schema = struct({
      'a.b': long(),
      "it's": long(),
      'q"q': long(),
      'sl/ash~': long(),
      filename: string(),
      record: string(),
      f: string(),
      m: string(),
    });
    const text = '{"a.b":1,"it\'s":2,"q\\"q":3,"sl/ash~":4,"filename":"x","record":"y","f":"z","m":"w","o/~\\"":true}';
    const {rows, rescued} = await read([await json(text)], schema);
    expect(rows).toEqual([
      {'a.b': 1n, "it's": 2n, 'q"q': 3n, 'sl/ash~': 4n, filename: 'x', record: 'y', f: 'z', m: 'w'},
    ]);
    expect(rescued).toEqual([{'o/~"': true}]);
  });

  it('takes numbers in a column of instants for time since 1970', async () => {
    const {rows} = await read(
      [await json('{"t":1704448800}\n{"t":1704448800000}\n{"t":"2024-01-05T10:00:00Z"}')],
      struct({t: timestamp()}),
    );
    expect(rows.map((row) => row['t'])).toEqual([1704448800000000n, 1704448800000000n, 1704448800000000n]);
  });
});

describe('Parquet', () => {
  it('is read without any check when the types are those of the schema', async () => {
    const input = await parquet(`SELECT 1::BIGINT AS a, 'x' AS b`);
    await using opened = await fileSelect(engine, [input], struct({a: long(), b: string()}));
    expect(opened.select).toContain('NULL::VARCHAR AS "_rescued_data"');
    expect(opened.select).not.toContain('CASE');
    expect(await engine.query(opened.select)).toEqual([{a: 1n, b: 'x', _rescued_data: null}]);
  });

  it('casts what loses nothing and rescues the rest', async () => {
    const input = await parquet(`SELECT * FROM (VALUES
      (1::INTEGER, 2.0::DOUBLE, 7::UBIGINT, TIMESTAMP_NS '2024-01-01 00:00:00', {'p': 1::INTEGER}, 'x'),
      (2, 2.5, 18446744073709551615::UBIGINT, TIMESTAMP_NS '2024-01-01 00:00:00.000000001', {'p': 2}, NULL)) t(a, b, u, n, s, extra)`);
    const schema = struct({a: long(), b: long(), u: decimal(20, 0), n: timestampNtz(), s: struct({p: long()})});
    const {rows, rescued} = await read([input], schema);
    expect(rows).toMatchObject([
      {a: 1n, b: 2n, u: '7', s: {p: 1n}},
      {a: 2n, b: null, u: '18446744073709551615', n: null, s: {p: 2n}},
    ]);
    expect(rescued).toEqual([{extra: 'x'}, {b: 2.5, n: '2024-01-01 00:00:00.000000001'}]);
  });

  it('prints doubles right where they become text', async () => {
    const {rows} = await read(
      [await parquet(`SELECT 2417851639229258349412352::DOUBLE AS a, [1.5::DOUBLE] AS b`)],
      struct({a: string(), b: string()}),
    );
    expect(Number(rows[0]?.['a'])).toBe(2 ** 81);
    expect(rows[0]?.['b']).toBe('[1.5]');
  });

  it('unites files whose columns differ', async () => {
    const inputs = [
      await parquet('SELECT 1::BIGINT AS a'),
      await parquet(`SELECT 2::INTEGER AS a, 'x' AS b`),
      await parquet(`SELECT 'y' AS b`),
    ];
    const {rows} = await read(inputs, struct({a: long(), b: string()}));
    expect(rows).toEqual([
      {a: 1n, b: null},
      {a: 2n, b: 'x'},
      {a: null, b: 'y'},
    ]);
  });

  it('names the file when it is no Parquet', async () => {
    const input = await file('nothing', {format: 'parquet'}, 'parquet');
    await expect(fileSelect(engine, [input], struct({a: long()}))).rejects.toMatchObject({
      code: 'BAD_RECORD',
      context: {path: input.localPath},
    });
  });
});

describe('a file select', () => {
  it('gives no row for no file', async () => {
    expect((await read([], struct({a: long()}))).rows).toEqual([]);
  });

  it('numbers rows in the order of the files', async () => {
    const inputs = [await csv('a\n3\n1\n'), await csv('a\n2\n')];
    const {rows} = await read(inputs, struct({a: long()}), {ordered: true});
    expect(
      [...rows].sort((left, right) => Number(left['__ord']) - Number(right['__ord'])).map((row) => row['a']),
    ).toEqual([3n, 1n, 2n]);
  });

  it('names files by the path that users know', async () => {
    const input = {...(await csv('a\nx\n')), path: 's3://bucket/a.csv'};
    expect((await read([input], struct({a: long()}))).rescued).toEqual([{a: 'x'}]);
  });

  it('loses no text: every field of every CSV comes back as a column or as rescued text', async () => {
    const cell = fc.oneof(
      fc.string({unit: fc.constantFrom('a', '"', ',', '\n', '\r', ' ', 'é', '\\'), maxLength: 6}),
      fc.constantFrom('', '0', '-5', '1.5', 'NULL', '9223372036854775808'),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(cell, cell), {minLength: 1, maxLength: 20}), async (records) => {
        const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`;
        const content = `a,b\n${records.map(([a, b]) => `${quoted(a)},${quoted(b)}`).join('\n')}\n`;
        const {rows, rescued} = await read([await csv(content)], struct({a: long(), b: string()}));
        expect(rows.map((row) => row['b'])).toEqual(records.map(([, b]) => b));
        expect(rows.map((row, index) => row['a'] ?? (rescued[index] as {a: string} | null)?.a)).toEqual(
          records.map(([a], index) => (rows[index]?.['a'] === null ? a : BigInt(a))),
        );
      }),
      {numRuns: 25},
    );
  });
});
