import {mkdir, mkdtemp, rm, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';

import fc from 'fast-check';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import {toDdl} from '../core/schema-ddl.ts';
import {openEngine} from '../engine/duckdb-engine.ts';
import type {Engine} from '../engine/engine.ts';
import {fileSelect} from '../engine/file-relation.ts';
import type {FileReadOptions, SourceFiles} from '../sdk/contract.ts';
import {createSourceFiles, globMatcher} from './source-files.ts';

const samples = fileURLToPath(new URL('../../node_modules/vega-datasets/data', import.meta.url));

let engine: Engine;
let folder: string;
let sources: SourceFiles;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-source-files-'));
  await mkdir(join(folder, 'inputs'));
  engine = await openEngine({
    memoryLimitMb: 512,
    threads: 2,
    tempFolder: join(folder, 'temp'),
    allowedFolders: [join(folder, 'inputs'), samples],
  });
  sources = createSourceFiles(engine, [join(folder, 'inputs'), samples]);
});

afterAll(async () => {
  await engine[Symbol.asyncDispose]();
  await rm(folder, {recursive: true, force: true});
});

let folders = 0;

async function write(contents: Readonly<Record<string, string>>): Promise<string> {
  const at = join(folder, 'inputs', `t${folders++}`);
  for (const [name, content] of Object.entries(contents)) {
    await mkdir(dirname(join(at, name)), {recursive: true});
    await writeFile(join(at, name), content);
  }
  return at;
}

async function infer(contents: Readonly<Record<string, string>>, options: FileReadOptions): Promise<string> {
  return toDdl(await sources.inferSchema(await sources.list(await write(contents), '**'), options));
}

describe('listing', () => {
  it('gives the files that match, by path, with size and time', async () => {
    const at = await write({'b.csv': 'xx', 'a.csv': 'x', 'c.txt': '', 'sub/d.csv': '', 'sub/deep/e.csv': ''});
    const names = async (glob: string): Promise<readonly string[]> =>
      (await sources.list(at, glob)).map((file) => file.path.slice(at.length + 1));
    expect(await names('*.csv')).toEqual(['a.csv', 'b.csv']);
    expect(await names('**/*.csv')).toEqual(['a.csv', 'b.csv', 'sub/d.csv', 'sub/deep/e.csv']);
    expect(await names('**')).toHaveLength(5);
    expect(await names('{a,c}.*')).toEqual(['a.csv', 'c.txt']);
    expect(await names('sub/*')).toEqual(['sub/d.csv']);
    expect((await sources.list(at, 'b.csv'))[0]).toMatchObject({
      sizeBytes: 2,
      modifiedAtMs: expect.any(Number) as unknown,
    });
  });

  it('refuses folders that are not there or not under the inputs, also by links', async () => {
    await expect(sources.list(join(folder, 'inputs', 'nowhere'), '**')).rejects.toMatchObject({code: 'UNKNOWN_TABLE'});
    await expect(sources.list(folder, '**')).rejects.toMatchObject({code: 'PERMISSION_DENIED'});
    await expect(sources.list(join(folder, 'inputs', '..', 'temp'), '**')).rejects.toMatchObject({
      code: 'PERMISSION_DENIED',
    });
    await symlink(join(folder, 'temp'), join(folder, 'inputs', 'link'));
    await expect(sources.list(join(folder, 'inputs', 'link'), '**')).rejects.toMatchObject({code: 'PERMISSION_DENIED'});
  });
});

describe('globs', () => {
  it('match within parts, over parts, and characters as they are', () => {
    const cases: readonly (readonly [string, string, boolean])[] = [
      ['*.csv', 'a.csv', true],
      ['*.csv', 'x/a.csv', false],
      ['**/*.csv', 'a.csv', true],
      ['**/*.csv', 'x/y/a.csv', true],
      ['**', 'x/y', true],
      ['a?c', 'abc', true],
      ['a?c', 'a/c', false],
      ['{a,b*}/x', 'bcd/x', true],
      ['a.c', 'abc', false],
      ['a\\*', 'a*', true],
      ['a\\*', 'ab', false],
      ['a,b}', 'a,b}', true],
      ['x(1)+[2]^$|-é.csv', 'x(1)+[2]^$|-é.csv', true],
    ];
    for (const [glob, path, matches] of cases)
      expect([glob, path, globMatcher(glob)(path)]).toEqual([glob, path, matches]);
  });

  it('never throw, and every path matches itself when escaped', () => {
    fc.assert(
      fc.property(fc.string({maxLength: 12}), (text) => {
        globMatcher(text);
        expect(globMatcher(text.replaceAll(/[\\*?{},]/g, '\\$&'))(text)).toBe(true);
      }),
    );
  });
});

describe('inference', () => {
  it('finds the narrowest types of CSV', async () => {
    const content = [
      'id,big,price,zip,phone,ok,day,at,mixed,none,money,nan',
      '1,99999999999999999999,1.5,00501,+311,true,2024-01-05,2024-01-05 10:00:00,1,,12345678901234567.89,NaN',
      '-2,1,2,10001,12,FALSE,2024-02-29,2024-01-05T10:00:00.5+02:00,x,,1.5,1.5',
    ].join('\n');
    expect(await infer({'a.csv': content}, {format: 'csv'})).toBe(
      'id BIGINT, big DECIMAL(38,0), price DOUBLE, zip STRING, phone STRING, ok BOOLEAN, day DATE, at TIMESTAMP, mixed STRING, none STRING, money DECIMAL(38,2), nan DOUBLE',
    );
  });

  it('unites the columns of CSV files and widens their types', async () => {
    const contents = {
      'a.csv': 'a,b\n1,2024-01-05\n',
      'b.csv': 'b,a,c\n2024-01-05 10:00:00,1.5,\n',
      'c.csv': 'c,A\nx,3\n',
      'd.csv': '',
    };
    expect(await infer(contents, {format: 'csv'})).toBe('a DOUBLE, b TIMESTAMP, c STRING');
  });

  it('looks past lines that are not well-formed', async () => {
    expect(await infer({'a.csv': 'a,b\n1,x\nbroken\n2,"y\n3,z\n'}, {format: 'csv'})).toBe('a BIGINT, b STRING');
    expect(await infer({'a.json': '{"a":1}\n{"a":\n[]\n{"a":2}\n'}, {format: 'json'})).toBe('a BIGINT');
  });

  it('finds structs, lists and times in JSON and leaves mixed values as text', async () => {
    const lines = [
      '{"id":1,"n":{"x":1,"at":"2024-01-05T10:00:00Z","s":"7"},"l":[1,2.5],"o":[{"k":"v"}],"d":"2024-01-05","mixed":1,"e":{},"nothing":null,"u":18446744073709551615}',
      '{"id":-2,"n":{"x":null,"y":true},"l":[],"mixed":"a","dec":12345678901234567.89,"ID":"other"}',
    ];
    expect(await infer({'a.json': lines.join('\n')}, {format: 'json'})).toBe(
      'id BIGINT, n STRUCT<x: BIGINT, at: TIMESTAMP, s: STRING, y: BOOLEAN>, l ARRAY<DOUBLE>, o ARRAY<STRUCT<k: STRING>>, d DATE, mixed STRING, e STRING, nothing STRING, u DECIMAL(38,0), dec DECIMAL(38,2)',
    );
  });

  it('takes the types of Parquet as Delta has them', async () => {
    const at = await write({});
    await mkdir(at, {recursive: true});
    await engine.run(
      `COPY (SELECT 1::TINYINT a, 1::UBIGINT b, 1::UINTEGER c, 'x' d, TIMESTAMP '2024-01-01' e, TIMESTAMPTZ '2024-01-01' f, TIME '10:00:00' g, uuid() h,
        {'x y': [1.5::FLOAT], "q""q": MAP {'k': DATE '2024-01-01'}} i, 1.5::DECIMAL(9, 3) j, 'b'::BLOB k) TO '${at}/a.parquet' (FORMAT parquet)`,
    );
    expect(toDdl(await sources.inferSchema(await sources.list(at, '**'), {format: 'parquet'}))).toBe(
      'a TINYINT, b DECIMAL(20,0), c BIGINT, d STRING, e TIMESTAMP_NTZ, f TIMESTAMP, g STRING, h STRING, i STRUCT<`x y`: ARRAY<FLOAT>, `q"q`: MAP<STRING, DATE>>, j DECIMAL(9,3), k BINARY',
    );
  });

  it('finds types that the reader then reads without a misfit', async () => {
    for (const [name, format, rows] of [
      ['airports.csv', 'csv', 3376],
      ['zipcodes.csv', 'csv', 42049],
      ['seattle-weather.csv', 'csv', 1461],
      ['movies.json', 'json', 3201],
      ['flights-2k.json', 'json', 2000],
      ['earthquakes.json', 'json', 1],
    ] as const) {
      const files = await sources.list(samples, name);
      const schema = await sources.inferSchema(files, {format});
      await using opened = await fileSelect(
        engine,
        files.map((file) => ({localPath: file.path, options: {format}})),
        schema,
      );
      expect([
        name,
        await engine.query(`SELECT count(*) AS n, count(_rescued_data) AS rescued FROM (${opened.select})`),
      ]).toEqual([name, [{n: BigInt(rows), rescued: 0n}]]);
    }
  });
});
