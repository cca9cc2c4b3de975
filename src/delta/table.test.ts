import {mkdir, mkdtemp, readFile, readdir, rm, unlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import * as t from '../core/schema.ts';
import type {Action, Protocol} from './actions.ts';
import type {DeltaTable, TableSnapshot} from './delta-table.ts';
import type {Lake} from './lake.ts';
import {openLake} from './lake.ts';

const schema = t.struct({id: t.long(), name: t.string()});
const signal = new AbortController().signal;

let folder: string;
let lake: Lake;
let tableCount = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-table-'));
  lake = await openLake(folder, {memoryLimitMb: 256});
});
afterAll(async () => {
  await lake[Symbol.asyncDispose]();
  await rm(folder, {recursive: true, force: true});
});

const freshRoot = (): string => `main/raw/t${tableCount++}`;

async function append(table: DeltaTable, from: number, count = 1): Promise<TableSnapshot> {
  const select = `SELECT i::BIGINT AS id, 'n' || i AS name FROM range(${from}, ${from + count}) AS r(i)`;
  const adds = await table.writeFiles({select, schema}, signal);
  return table.commit({base: table.snapshot, operation: 'WRITE', adds, blindAppend: true});
}

async function ids(table: DeltaTable, snapshot?: TableSnapshot): Promise<number[]> {
  const sql = await table.readSql(snapshot === undefined ? {columns: ['id']} : {columns: ['id'], snapshot});
  return (await lake.engine.query(`${sql} ORDER BY id`)).map((row) => Number(row['id']));
}

const logPath = (root: string, name: string): string => join(folder, root, '_delta_log', name);
const commitPath = (root: string, version: number): string =>
  logPath(root, `${String(version).padStart(20, '0')}.json`);
const checkpointPath = (root: string, version: number): string =>
  logPath(root, `${String(version).padStart(20, '0')}.checkpoint.parquet`);
const range = (end: number): number[] => Array.from({length: end}, (_, index) => index);

async function open(root: string): Promise<DeltaTable> {
  const table = await lake.open(root);
  if (table === null) throw new Error('the table is not there');
  return table;
}

async function actionsOf(root: string, version: number): Promise<Action[]> {
  const text = await readFile(commitPath(root, version), 'utf8');
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Action);
}

/** A table with a row per version after 0: row i is committed by version i + 1. */
async function tableOf(versions: number): Promise<{root: string; table: DeltaTable}> {
  const root = freshRoot();
  const table = await lake.create(root, {schema});
  for (const id of range(versions)) await append(table, id);
  return {root, table};
}

describe('a table', () => {
  it('is not there before it is made, and made only once', async () => {
    const root = freshRoot();
    expect(await lake.open(root)).toBeNull();
    const table = await lake.create(root, {schema, description: 'orders', configuration: {'sluice.flowId': 'f'}});
    expect(table.snapshot).toMatchObject({
      version: 0,
      schema,
      protocol: {minReaderVersion: 1, minWriterVersion: 2},
      metadata: {description: 'orders', configuration: {'sluice.flowId': 'f'}},
    });
    await expect(lake.create(root, {schema})).rejects.toMatchObject({code: 'COMMIT_CONFLICT'});
    expect((await open(root)).snapshot).toEqual(table.snapshot);
  });

  it('shows what was committed, to itself and to those who open or refresh it', async () => {
    const {root, table} = await tableOf(3);
    const other = await open(root);
    await append(table, 3);
    expect(await ids(table)).toEqual([0, 1, 2, 3]);
    expect(await ids(other)).toEqual([0, 1, 2]);
    await other.refresh();
    expect(other.snapshot).toEqual(table.snapshot);
    expect(await ids(other)).toEqual([0, 1, 2, 3]);
  });

  it('shows no file that was written and not committed', async () => {
    const {table} = await tableOf(1);
    await table.writeFiles({select: "SELECT 9::BIGINT AS id, 'x' AS name", schema}, signal);
    expect(await ids(table)).toEqual([0]);
    expect(await table.writeFiles({select: "SELECT 9::BIGINT AS id, 'x' AS name WHERE false", schema}, signal)).toEqual(
      [],
    );
  });

  it('goes back to any version, before and after checkpoints', async () => {
    const {root, table} = await tableOf(23);
    for (const version of [0, 1, 9, 10, 11, 20, 22, 23]) {
      const snapshot = await (await open(root)).snapshotAt(version);
      expect(snapshot.version).toBe(version);
      expect(await ids(table, snapshot)).toEqual(range(version));
    }
    await expect(table.snapshotAt(24)).rejects.toMatchObject({code: 'NOT_A_DELTA_TABLE'});
  });

  it('tells its history, newest first', async () => {
    const {table} = await tableOf(3);
    const history = await table.history();
    expect(history.map(({version, info, addedRows}) => [version, info.operation, addedRows])).toEqual([
      [3, 'WRITE', 1],
      [2, 'WRITE', 1],
      [1, 'WRITE', 1],
      [0, 'CREATE TABLE', 0],
    ]);
    expect((await table.history({after: 1})).map(({version}) => version)).toEqual([3, 2]);
    expect((await table.history({limit: 1})).map(({version}) => version)).toEqual([3]);
    expect(history[3]).toMatchObject({metadataChanged: true, dataChange: false});
  });

  it('keeps the last transaction of every application', async () => {
    const {root, table} = await tableOf(0);
    for (const [appId, version] of [
      ['a', 1],
      ['b', 5],
      ['a', 2],
    ] as const) {
      await table.commit({base: table.snapshot, operation: 'WRITE', txn: {appId, version}, blindAppend: true});
    }
    const {txns} = (await open(root)).snapshot;
    expect(Object.fromEntries([...txns].map(([appId, {version}]) => [appId, version]))).toEqual({a: 2, b: 5});
  });

  it('writes commits with the commit information first and exactly what was asked', async () => {
    const {root, table} = await tableOf(1);
    const [add] = [...table.snapshot.files.values()];
    if (add === undefined) throw new Error('no file');
    await table.commit({
      base: table.snapshot,
      operation: 'DELETE',
      operationParameters: {predicate: 'true'},
      operationMetrics: {numRemovedFiles: '1'},
      removes: [table.removeOf(add)],
      blindAppend: false,
    });
    expect(await actionsOf(root, 2)).toMatchObject([
      {
        commitInfo: {
          operation: 'DELETE',
          operationParameters: {predicate: 'true'},
          operationMetrics: {numRemovedFiles: '1'},
          readVersion: 1,
          isBlindAppend: false,
        },
      },
      {remove: {path: add.path, dataChange: true, extendedFileMetadata: true, size: add.size, partitionValues: {}}},
    ]);
    expect(await ids(table)).toEqual([]);
  });
});

describe('the log', () => {
  it.each([
    ['says nothing of a checkpoint', (root: string) => unlink(logPath(root, '_last_checkpoint'))],
    ['names a checkpoint that is gone', (root: string) => unlink(checkpointPath(root, 20))],
    ['names a damaged checkpoint', (root: string) => writeFile(checkpointPath(root, 20), 'no Parquet')],
    ['has a damaged hint', (root: string) => writeFile(logPath(root, '_last_checkpoint'), '{"version":')],
    [
      'names a checkpoint of the future',
      (root: string) => writeFile(logPath(root, '_last_checkpoint'), '{"version":99}'),
    ],
    [
      'has no checkpoint left',
      async (root: string) => {
        await unlink(checkpointPath(root, 10));
        await unlink(checkpointPath(root, 20));
      },
    ],
    [
      'has half of a checkpoint of two parts',
      (root: string) =>
        writeFile(logPath(root, `${'22'.padStart(20, '0')}.checkpoint.0000000001.0000000002.parquet`), 'x'),
    ],
    [
      'has files of others',
      async (root: string) => {
        await writeFile(logPath(root, '00000000000000000021.crc'), '{}');
        await writeFile(logPath(root, '00000000000000000001.00000000000000000009.compacted.json'), '{}');
        await writeFile(logPath(root, '.00000000000000000099.json.tmp'), 'x');
      },
    ],
  ])('is read whole when it %s', async (_, damage) => {
    const {root, table} = await tableOf(22);
    await damage(root);
    const opened = await open(root);
    expect(opened.snapshot.version).toBe(22);
    expect(new Set(opened.snapshot.files.keys())).toEqual(new Set(table.snapshot.files.keys()));
  });

  it('is read without the entries that a checkpoint covers, and no further back', async () => {
    const {root} = await tableOf(12);
    for (const version of range(10)) await unlink(commitPath(root, version));
    const table = await open(root);
    expect(await ids(table)).toEqual(range(12));
    expect((await table.history()).map(({version}) => version)).toEqual([12, 11, 10]);
    await expect(table.snapshotAt(9)).rejects.toMatchObject({code: 'NOT_A_DELTA_TABLE'});
    await expect(lake.create(root, {schema})).rejects.toMatchObject({code: 'COMMIT_CONFLICT'});
  });

  it.each([3, 9])('is refused, by name, when entry %i is missing', async (version) => {
    const {root} = await tableOf(10);
    await unlink(checkpointPath(root, 10));
    await unlink(commitPath(root, version));
    await expect(lake.open(root)).rejects.toMatchObject({
      code: 'CORRUPT_LOG',
      message: expect.stringContaining(`${String(version).padStart(20, '0')}.json`) as string,
    });
  });

  it('is refused, by name, when its newest entry stays half-written, and read when it is completed', async () => {
    const {root} = await tableOf(2);
    const whole = await readFile(commitPath(root, 2));
    await writeFile(commitPath(root, 2), whole.subarray(0, whole.length - 30));
    await expect(lake.open(root)).rejects.toMatchObject({
      code: 'CORRUPT_LOG',
      message: expect.stringContaining('00000000000000000002.json') as string,
    });
    const opening = open(root);
    setTimeout(() => void writeFile(commitPath(root, 2), whole), 60);
    expect(await ids(await opening)).toEqual([0, 1]);
  });

  it('is refused when it lacks protocol or metadata', async () => {
    const {root} = await tableOf(0);
    await writeFile(commitPath(root, 0), '{"commitInfo":{}}\n');
    await expect(lake.open(root)).rejects.toMatchObject({code: 'CORRUPT_LOG'});
  });

  it('may hold actions that nobody knows', async () => {
    const {root} = await tableOf(1);
    await writeFile(
      commitPath(root, 2),
      '{"commitInfo":{"operation":"X"}}\n{"newThing":{"a":1}}\n{"cdc":{"path":"x"}}\n',
    );
    expect(await ids(await open(root))).toEqual([0]);
  });

  it('keeps all that counts over checkpoints', async () => {
    const root = freshRoot();
    const table = await lake.create(root, {schema, deletionVectors: true, configuration: {k: 'v'}, description: 'd'});
    await append(table, 0, 10);
    const [first] = [...table.snapshot.files.values()];
    if (first === undefined) throw new Error('no file');
    const gone = await table.writeDeletions(new Map([[first.path, [3]]]), signal);
    await table.commit({
      base: table.snapshot,
      operation: 'DELETE',
      ...gone,
      txn: {appId: 'a', version: 3},
      blindAppend: false,
    });
    await append(table, 10);
    const second = [...table.snapshot.files.values()].at(-1);
    if (second === undefined) throw new Error('no file');
    await table.commit({
      base: table.snapshot,
      operation: 'DELETE',
      removes: [table.removeOf(second)],
      blindAppend: false,
    });
    for (const id of range(6)) await append(table, 20 + id);
    expect(await readdir(join(folder, root, '_delta_log'))).toContain('00000000000000000010.checkpoint.parquet');
    const opened = await open(root);
    // Read from the checkpoint, the files are no change of data any more.
    const still = (snapshot: TableSnapshot): unknown => ({
      ...snapshot,
      files: [...snapshot.files.values()]
        .map((add) => ({...add, dataChange: false}))
        .sort((a, b) => (a.path < b.path ? -1 : 1)),
      timestampMs: 0,
    });
    expect(still(opened.snapshot)).toEqual(still(table.snapshot));
    const removed = await lake.engine.query(
      `SELECT remove.path AS path FROM '${checkpointPath(root, 10)}' WHERE remove IS NOT NULL ORDER BY ALL`,
    );
    expect(new Set(removed.map((row) => row['path']))).toEqual(new Set([first.path, second.path]));
    for (const id of range(10)) await append(opened, 30 + id);
    const later = await lake.engine.query(
      `SELECT remove.path AS path FROM '${checkpointPath(root, 20)}' WHERE remove IS NOT NULL`,
    );
    expect(later).toHaveLength(2);
  });

  it('has checkpoints as often as the table asks', async () => {
    const root = freshRoot();
    const table = await lake.create(root, {schema, configuration: {'delta.checkpointInterval': '3'}});
    for (const id of range(7)) await append(table, id);
    const names = (await readdir(join(folder, root, '_delta_log'))).filter((name) => name.includes('checkpoint'));
    expect(names.sort()).toEqual([
      '00000000000000000003.checkpoint.parquet',
      '00000000000000000006.checkpoint.parquet',
      '_last_checkpoint',
    ]);
    expect(JSON.parse(await readFile(logPath(root, '_last_checkpoint'), 'utf8'))).toMatchObject({
      version: 6,
      numOfAddFiles: 6,
      size: 8,
    });
  });

  /** Takes the checkpoint at version 10 apart, all but its adds here and those there; the entries before it go. */
  async function splitCheckpoint(root: string, places: {readonly rest: string; readonly adds: string}): Promise<void> {
    const source = checkpointPath(root, 10);
    await lake.engine.run(`COPY (FROM '${source}' WHERE add IS NULL) TO '${places.rest}' (FORMAT parquet)`);
    await lake.engine.run(
      `COPY (SELECT add FROM '${source}' WHERE add IS NOT NULL) TO '${places.adds}' (FORMAT parquet)`,
    );
    await unlink(source);
    for (const version of range(10)) await unlink(commitPath(root, version));
  }

  it('may have checkpoints of several parts', async () => {
    const {root} = await tableOf(10);
    const part = (index: number): string =>
      logPath(root, `00000000000000000010.checkpoint.000000000${index}.0000000002.parquet`);
    await splitCheckpoint(root, {rest: part(1), adds: part(2)});
    expect(await ids(await open(root))).toEqual(range(10));
  });

  it.each(['json', 'parquet'])('may have checkpoints of version 2 with sidecars, as %s', async (format) => {
    const {root} = await tableOf(10);
    const sidecar = '00000000-1111-2222-3333-444444444444.parquet';
    await mkdir(logPath(root, '_sidecars'));
    await splitCheckpoint(root, {rest: logPath(root, 'rest.parquet'), adds: logPath(root, join('_sidecars', sidecar))});
    const name = `00000000000000000010.checkpoint.80a083e8-7026-4e79-81be-64bd76c43a11.${format}`;
    const features = ['v2Checkpoint'];
    const protocol = {minReaderVersion: 3, minWriterVersion: 7, readerFeatures: features, writerFeatures: features};
    const metadata = await lake.engine.query(
      `SELECT to_json(metaData)::VARCHAR AS line FROM '${logPath(root, 'rest.parquet')}' WHERE metaData IS NOT NULL`,
    );
    const lines = [
      {protocol},
      {metaData: JSON.parse(String(metadata[0]?.['line'])) as unknown},
      {checkpointMetadata: {version: 10}},
      {sidecar: {path: sidecar, sizeInBytes: 1, modificationTime: 1}},
    ];
    const json = logPath(root, format === 'json' ? name : 'lines');
    await writeFile(json, lines.map((line) => JSON.stringify(line)).join('\n'));
    if (format === 'parquet') {
      const empty = `SELECT add, remove, txn, domainMetadata FROM '${logPath(root, 'rest.parquet')}' WHERE false`;
      const source = `FROM read_json('${json}', format = 'newline_delimited') UNION ALL BY NAME (${empty})`;
      await lake.engine.run(`COPY (${source}) TO '${logPath(root, name)}' (FORMAT parquet)`);
    }
    const table = await open(root);
    expect(await ids(table)).toEqual(range(10));
    for (const id of range(11)) await append(table, 10 + id);
    expect(await ids(await open(root))).toEqual(range(21));
    expect(await readdir(join(folder, root, '_delta_log'))).not.toContain('00000000000000000020.checkpoint.parquet');
  });
});

describe('table features', () => {
  async function withProtocol(protocol: Protocol, configuration: Record<string, string> = {}): Promise<string> {
    const {root, table} = await tableOf(1);
    const metaData = {...table.snapshot.metadata, configuration};
    const lines = [{commitInfo: {operation: 'UPGRADE'}}, {protocol}, {metaData}].map((line) => JSON.stringify(line));
    await writeFile(commitPath(root, 2), `${lines.join('\n')}\n`);
    return root;
  }
  const features = (readers: string[], writers: string[]): Protocol => ({
    minReaderVersion: 3,
    minWriterVersion: 7,
    readerFeatures: readers,
    writerFeatures: [...readers, ...writers],
  });

  it('are the least that a table needs', async () => {
    const made = async (options: Parameters<Lake['create']>[1]): Promise<Protocol> =>
      (await lake.create(freshRoot(), options)).snapshot.protocol;
    const named = {minReaderVersion: 3, minWriterVersion: 7};
    expect(await made({schema})).toEqual({minReaderVersion: 1, minWriterVersion: 2});
    expect(await made({schema, deletionVectors: true})).toEqual({
      ...named,
      readerFeatures: ['deletionVectors'],
      writerFeatures: ['deletionVectors', 'appendOnly', 'invariants'],
    });
    expect(await made({schema: t.struct({a: t.array(t.timestampNtz())})})).toEqual({
      ...named,
      readerFeatures: ['timestampNtz'],
      writerFeatures: ['timestampNtz', 'appendOnly', 'invariants'],
    });
    const [feed, times] = [{'delta.enableChangeDataFeed': 'true'}, {'delta.enableInCommitTimestamps': 'true'}];
    expect(await made({schema, configuration: feed})).toEqual({minReaderVersion: 1, minWriterVersion: 4});
    const both = await made({schema, configuration: {...feed, ...times}});
    expect(both).toMatchObject({minReaderVersion: 1, minWriterVersion: 7});
    expect(both.writerFeatures?.toSorted()).toEqual([
      'appendOnly',
      'changeDataFeed',
      'inCommitTimestamp',
      'invariants',
    ]);
  });

  it.each([
    ['variantType', features(['variantType'], []), {}],
    ['catalogManaged', features(['catalogManaged'], []), {}],
    ['reader version 4', {minReaderVersion: 4, minWriterVersion: 7}, {}],
  ])('that readers must know are refused by name: %s', async (feature, protocol, configuration) => {
    const root = await withProtocol(protocol, configuration);
    await expect(lake.open(root)).rejects.toMatchObject({code: 'UNSUPPORTED_TABLE_FEATURE', context: {feature}});
  });

  it.each([
    ['rowTracking', features([], ['rowTracking']), {}],
    ['someFutureThing', features([], ['someFutureThing']), {}],
    ['writer version 8', {minReaderVersion: 1, minWriterVersion: 8}, {}],
  ])('that writers must honour stop writing only: %s', async (feature, protocol, configuration) => {
    const table = await open(await withProtocol(protocol, configuration));
    expect(await ids(table)).toEqual([0]);
    await expect(append(table, 1)).rejects.toMatchObject({code: 'UNSUPPORTED_TABLE_FEATURE', context: {feature}});
  });

  it.each([
    {minReaderVersion: 2, minWriterVersion: 6},
    features(
      ['columnMapping', 'v2Checkpoint', 'vacuumProtocolCheck'],
      ['changeDataFeed', 'checkConstraints', 'inCommitTimestamp'],
    ),
  ])('that lie idle ask nothing of anybody: %j', async (protocol) => {
    const table = await open(await withProtocol(protocol));
    await append(table, 1);
    expect(await ids(table)).toEqual([0, 1]);
  });

  it('that a table was made without are not added by a commit', async () => {
    const {table} = await tableOf(1);
    const [add] = [...table.snapshot.files.values()];
    if (add === undefined) throw new Error('no file');
    const refused = {code: 'UNSUPPORTED_TABLE_FEATURE'};
    const base = {base: table.snapshot, operation: 'WRITE', blindAppend: true} as const;
    const metadata = (columns: Record<string, t.Column>): typeof table.snapshot.metadata => ({
      ...table.snapshot.metadata,
      schemaString: JSON.stringify(t.struct(columns)),
    });
    await append(table, 1, 2);
    const target = [...table.snapshot.files.keys()].at(-1) ?? '';
    await expect(table.writeDeletions(new Map([[target, [0]]]), signal)).rejects.toMatchObject(refused);
    await expect(
      table.commit({...base, domains: [{domain: 'd', configuration: '', removed: false}]}),
    ).rejects.toMatchObject(refused);
    await expect(
      table.commit({...base, metadata: metadata({id: t.long(), at: t.timestampNtz()})}),
    ).rejects.toMatchObject(refused);
    await expect(
      lake.create(freshRoot(), {schema, configuration: {'delta.enableIcebergCompatV1': 'true'}}),
    ).rejects.toMatchObject(refused);
  });

  it('keep rows in tables that are append-only', async () => {
    const table = await lake.create(freshRoot(), {schema, configuration: {'delta.appendOnly': 'true'}});
    await append(table, 0);
    const [add] = [...table.snapshot.files.values()];
    if (add === undefined) throw new Error('no file');
    const removes = [table.removeOf(add)];
    await expect(
      table.commit({base: table.snapshot, operation: 'DELETE', removes, blindAppend: false}),
    ).rejects.toMatchObject({
      code: 'UNSUPPORTED',
    });
  });
});

describe('schemas of tables', () => {
  it.each([
    [{a: t.long(), A: t.long()}, [], 'A'],
    [{}, [], 'no columns'],
    [{v: t.variant()}, [], 'variant'],
    [{file_row_number: t.long()}, [], 'file_row_number'],
    [{a: t.long()}, ['b'], 'b'],
    [{a: t.long()}, ['a'], 'every column'],
    [{a: t.long(), l: t.array(t.long())}, ['l'], 'l'],
  ])('are refused with a reason: %j partitioned by %j', async (columns, partitionColumns, reason) => {
    const error: unknown = await lake
      .create(freshRoot(), {schema: t.struct(columns), partitionColumns})
      .catch((caught: unknown) => caught);
    expect(error).toMatchObject({code: 'INVALID_SCHEMA', message: expect.stringContaining(reason) as string});
  });

  it('that promise a value refuse rows without one', async () => {
    const strict = t.struct({id: t.long().notNull()});
    const table = await lake.create(freshRoot(), {schema: strict});
    const job = {select: 'SELECT unnest([1, NULL])::BIGINT AS id', schema: strict};
    await expect(table.writeFiles(job, signal)).rejects.toMatchObject({code: 'BAD_RECORD'});
  });
});
