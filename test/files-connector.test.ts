import {mkdir, mkdtemp, rm, utimes, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';

import {afterAll, beforeAll, beforeEach, describe, expect, it} from 'vitest';

import {files} from '../src/connectors/files/index.ts';
import {openTable} from '../src/delta/table.ts';
import {createSourceFiles} from '../src/runtime/source-files.ts';
import {
  fromDdl,
  toDdl,
  type CallContext,
  type Connector,
  type ConnectorLog,
  type TableOptions,
} from '../src/sdk/index.ts';
import {
  openTestLake,
  runConnector,
  type TestLake,
  type TestRunEnd,
  type TestTable,
} from '../src/testkit/run-connector.ts';

let home: string;
let inputs: string;
let lake: TestLake;
let tests = 0;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'sluice-files-connector-'));
  lake = await openTestLake(join(home, 'lake'), {inputs: [home]});
});

beforeEach(async () => {
  inputs = join(home, `inputs${tests++}`);
  await mkdir(inputs);
});

afterAll(async () => {
  await lake[Symbol.asyncDispose]();
  await rm(home, {recursive: true, force: true});
});

async function put(name: string, content: string, modifiedAt?: Date): Promise<void> {
  const path = join(inputs, name);
  await mkdir(dirname(path), {recursive: true});
  await writeFile(path, content);
  if (modifiedAt !== undefined) await utimes(path, modifiedAt, modifiedAt);
}

/** Every test has its own destination. */
function table(source: string, rest: Omit<TestTable, 'source'> = {}): TestTable {
  return {source, destination: `t${tests}`, ...rest};
}

async function run(one: TestTable, fullRefresh = false): Promise<TestRunEnd> {
  return runConnector(lake, {
    definition: files,
    options: {path: inputs},
    tables: [one],
    fullRefresh,
    files: createSourceFiles(lake.context.engine, [inputs]),
  });
}

async function landed(columns: string): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const opened = await openTable(lake.context, `main/test/t${tests}`);
  if (opened === null) throw new Error('no table');
  return lake.context.engine.query(`SELECT ${columns} FROM (${await opened.readSql()}) ORDER BY ALL`);
}

function context(landedSchema?: string): CallContext {
  const log: ConnectorLog = {debug: () => undefined, info: () => undefined, warn: () => undefined};
  return {
    signal: new AbortController().signal,
    clock: lake.context.clock,
    log,
    files: createSourceFiles(lake.context.engine, [inputs]),
    ...(landedSchema === undefined ? {} : {landedSchema: () => Promise.resolve(fromDdl(landedSchema))}),
  };
}

function connector(): Connector {
  return files.create({
    options: {path: inputs},
    clock: lake.context.clock,
    random: Math.random,
    connectionName: 'test',
  });
}

async function schemaOf(source: string, options: TableOptions, landedSchema?: string): Promise<string> {
  return toDdl(await connector().getTableSchema(source, options, context(landedSchema)));
}

describe('tables', () => {
  it('are files and folders; hidden, unfinished and unknown files are none', async () => {
    for (const name of [
      'a.csv',
      'b.json',
      'c.txt',
      '.hidden.csv',
      '_tmp/x.csv',
      'd/1.csv',
      'd/2.parquet',
      'e/deep/1.ndjson',
      'f/readme.md',
      'g.csv.tmp',
      'h.csv.gz',
    ]) {
      await put(name, 'a\n1\n');
    }
    expect(await connector().listTables(context())).toEqual(['a.csv', 'b.json', 'd', 'e', 'h.csv.gz']);
  });

  it('are found by file, folder, path and glob', async () => {
    await put('x/1.csv', 'a\n1\n');
    await put('x/2.csv', 'a\n2\n');
    await put('we{ird*.csv', 'b\n1\n');
    expect(await schemaOf('x', {})).toBe('a BIGINT');
    expect(await schemaOf('x/2.csv', {})).toBe('a BIGINT');
    expect(await schemaOf('x/*.csv', {})).toBe('a BIGINT');
    await expect(schemaOf('y', {})).rejects.toMatchObject({code: 'UNKNOWN_TABLE'});
    await expect(schemaOf('X.csv', {})).rejects.toMatchObject({code: 'UNKNOWN_TABLE'});
    await expect(schemaOf('../outside', {})).rejects.toMatchObject({code: 'UNKNOWN_TABLE'});
    await expect(schemaOf('x', {pattern: '*.json'})).rejects.toMatchObject({code: 'UNKNOWN_TABLE'});
  });
});

describe('schemas', () => {
  it('follow hints, and are strings where types are not inferred', async () => {
    await put('a.csv', 'id,price\n1,1.5\n');
    expect(await schemaOf('a.csv', {schema_hints: 'price DECIMAL(9,2), note STRING'})).toBe(
      'id BIGINT, price DECIMAL(9,2), note STRING',
    );
    expect(await schemaOf('a.csv', {infer_column_types: false, schema_hints: 'id INT'})).toBe('id INT, price STRING');
    await expect(schemaOf('a.csv', {schema_hints: 'price MONEY'})).rejects.toMatchObject({code: 'INVALID_OPTION'});
  });

  it('keep what landed and take new columns as they are told', async () => {
    await put('a.csv', 'id,price,new\nx,1.5,1\n');
    const knows = 'id BIGINT, gone STRING, _rescued_data STRING';
    expect(await schemaOf('a.csv', {}, knows)).toBe('id BIGINT, gone STRING, price DOUBLE, new BIGINT');
    expect(await schemaOf('a.csv', {schema_evolution_mode: 'RESCUE'}, knows)).toBe('id BIGINT, gone STRING');
    expect(await schemaOf('a.csv', {schema_evolution_mode: 'NONE'}, knows)).toBe('id BIGINT, gone STRING');
    await expect(schemaOf('a.csv', {schema_evolution_mode: 'FAIL_ON_NEW_COLUMNS'}, knows)).rejects.toMatchObject({
      code: 'INCOMPATIBLE_SCHEMA_CHANGE',
      message: expect.stringContaining('"price", "new"') as unknown,
    });
  });

  it('unite files of different formats', async () => {
    await put('x/1.csv', 'a\n1\n', new Date(1000));
    await put('x/2.json', '{"a":2,"b":[1]}', new Date(2000));
    expect(await schemaOf('x', {})).toBe('a BIGINT, b ARRAY<BIGINT>');
  });
});

describe('appending', () => {
  it('reads each file once, also when files come later', async () => {
    await put('x/1.csv', 'a,b\n1,x\n2,y\n');
    await put('x/2.csv', 'a,b\n3,z\n');
    const one = table('x');
    expect((await run(one)).flows[0]).toMatchObject({state: 'COMPLETED', rowsInserted: 3});
    expect((await run(one)).flows[0]).toMatchObject({state: 'COMPLETED', rowsInserted: 0});
    await put('x/0.csv', 'a,b\n4,w\n');
    expect((await run(one)).flows[0]).toMatchObject({rowsInserted: 1});
    expect(await landed('a, b')).toEqual([
      {a: 1n, b: 'x'},
      {a: 2n, b: 'y'},
      {a: 3n, b: 'z'},
      {a: 4n, b: 'w'},
    ]);
  });

  it('reads in batches of files', async () => {
    for (let file = 0; file < 7; file++) await put(`x/${file}.csv`, `a\n${file}\n`);
    const end = await run(table('x', {options: {max_files_per_batch: 2}}));
    expect(end.flows[0]).toMatchObject({rowsInserted: 7, batches: 4});
    expect(await landed('count(*) AS n')).toEqual([{n: 7n}]);
  });

  it('reads a changed file again only where that is allowed', async () => {
    await put('x/1.csv', 'a\n1\n', new Date(1000));
    const strict = table('x');
    await run(strict);
    await put('x/1.csv', 'a\n1\n2\n', new Date(2000));
    expect((await run(strict)).flows[0]).toMatchObject({state: 'COMPLETED', rowsInserted: 0});
    expect((await run({...strict, options: {allow_overwrites: true}})).flows[0]).toMatchObject({rowsInserted: 2});
    expect((await run({...strict, options: {allow_overwrites: true}})).flows[0]).toMatchObject({rowsInserted: 0});
  });

  it('replaces rows by key where the table has one', async () => {
    await put('x/1.csv', 'id,v,at\n1,old,2024-01-01\n2,kept,2024-01-01\n');
    const one = table('x', {configuration: {scdType: 'SCD_TYPE_1', primaryKeys: ['id'], sequenceBy: ['at']}});
    await run(one);
    await put('x/2.csv', 'id,v,at\n1,new,2024-02-01\n2,late,2023-01-01\n');
    await run(one);
    expect(await landed('id, v')).toEqual([
      {id: 1n, v: 'new'},
      {id: 2n, v: 'kept'},
    ]);
  });

  it('leaves files alone that were changed a moment ago', async () => {
    await put('x/1.csv', 'a\n1\n', new Date(Date.now() - 3_600_000));
    await put('x/2.csv', 'a\n2\n');
    expect((await run(table('x', {options: {min_age_seconds: 60}}))).flows[0]).toMatchObject({rowsInserted: 1});
  });

  it('reads every file again on a full refresh, and only then', async () => {
    for (let file = 0; file < 3; file++) await put(`x/${file}.csv`, `a\n${file}\n`);
    const one = table('x', {options: {max_files_per_batch: 1}});
    await run(one);
    await put('x/0.csv', 'a\n10\n');
    expect((await run(one, true)).flows[0]).toMatchObject({state: 'COMPLETED'});
    expect(await landed('a')).toEqual([{a: 1n}, {a: 2n}, {a: 10n}]);
    expect((await run(one)).flows[0]).toMatchObject({rowsInserted: 0});
  });

  it('rescues what does not fit and counts it', async () => {
    await put('x/1.csv', 'a,b\n1,x\n');
    const one = table('x', {options: {schema_hints: 'a BIGINT', schema_evolution_mode: 'RESCUE'}});
    await run(one);
    await put('x/2.csv', 'a,b\nbad,y\n7,z,long\n');
    const end = await run(one);
    expect(end.flows[0]).toMatchObject({state: 'COMPLETED', rowsInserted: 2});
    expect(await landed('a, b, _rescued_data IS NOT NULL AS rescued')).toEqual([
      {a: 1n, b: 'x', rescued: false},
      {a: 7n, b: 'z', rescued: true},
      {a: null, b: 'y', rescued: true},
    ]);
  });
});

describe('snapshots', () => {
  it('are all files together, every time, by key where there is one', async () => {
    await put('x/1.csv', 'id,v\n1,a\n2,b\n');
    const one = table('x', {options: {mode: 'snapshot'}, configuration: {primaryKeys: ['id']}});
    await run(one);
    await rm(join(inputs, 'x/1.csv'));
    await put('x/2.csv', 'id,v\n2,b\n3,c\n');
    await run(one);
    expect(await landed('id, v')).toEqual([
      {id: 2n, v: 'b'},
      {id: 3n, v: 'c'},
    ]);
    const again = await run(one);
    expect(again.flows[0]).toMatchObject({state: 'COMPLETED'});
    expect(await landed('count(*) AS n')).toEqual([{n: 2n}]);
  });

  it('may span several batches', async () => {
    for (let file = 0; file < 5; file++) await put(`x/${file}.csv`, `a\n${file}\n`);
    await run(table('x', {options: {mode: 'snapshot', max_files_per_batch: 2}}));
    expect(await landed('count(*) AS n, count(DISTINCT a) AS d')).toEqual([{n: 5n, d: 5n}]);
  });
});
