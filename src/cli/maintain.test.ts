import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterEach, beforeEach, describe, expect, it} from 'vitest';

import type {
  OptimizedTable,
  RestoredTable,
  RuntimeApi,
  TableDescription,
  TableVersion,
  VacuumedTable,
  VacuumTablesOptions,
} from '../runtime/api.ts';
import {run} from './io.support.test.ts';

let cwd = '';
beforeEach(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'cli-'));
  await writeFile(
    join(cwd, 'sluice.yml'),
    'lake: l\nconnection_name: c\nobjects: [{table: {source_table: t}}]\nconnections: {c: {connection_type: EXAMPLE, options: {}}}\n',
  );
});
afterEach(() => rm(cwd, {recursive: true, force: true}));

const cli = (runtime: Partial<RuntimeApi>, ...args: string[]): ReturnType<typeof run> => run(args, {cwd, runtime});
const failure = {code: 'CORRUPT_LOG', message: 'A file is missing.', fix: 'Restore it.'};

describe('sluice optimize', () => {
  const optimized: OptimizedTable = {
    flow: 'main.default.t',
    report: {
      version: 5,
      filesBefore: 1200,
      filesAfter: 3,
      bytesBefore: 20_000_000,
      bytesAfter: 15_000_000,
      filesRemoved: 1198,
      bytesRemoved: 19_000_000,
      filesAdded: 1,
      bytesAdded: 14_000_000,
      purgedRows: 12,
      filesGivenUp: 0,
    },
    error: null,
    elapsedMs: 2500,
  };

  it('says what became of the files', async () => {
    const end = await cli({optimizeTables: () => Promise.resolve([optimized])}, 'optimize');
    expect(end).toMatchObject({status: 0, stderr: ''});
    expect(end.stdout.split('\n')[1]).toMatch(/^main\.default\.t +1,200 +3 +20\.0 MB +15\.0 MB +12 +0 +2\.5 s$/);
    expect((await cli({optimizeTables: () => Promise.resolve([])}, 'optimize')).stdout).toBe(
      'No table has landed yet.\n',
    );
  });

  it('goes over the named tables, and fails when one of them failed', async () => {
    const seen: unknown[] = [];
    const optimizeTables: RuntimeApi['optimizeTables'] = (spec, options) => {
      seen.push([spec.key, options.lake, options.tables]);
      return Promise.resolve([optimized, {...optimized, flow: 'main.default.u', report: null, error: failure}]);
    };
    const end = await cli({optimizeTables}, 'optimize', '--table', 'a*', '--table', 'b');
    expect(seen).toEqual([['sluice', join(cwd, 'l'), ['a*', 'b']]]);
    expect(end.status).toBe(1);
    expect(end.stderr).toBe('error: [CORRUPT_LOG] main.default.u: A file is missing.\n  fix: Restore it.\n');
    const json = JSON.parse((await cli({optimizeTables}, 'optimize', '--json')).stdout) as object;
    expect(json).toMatchObject({lake: join(cwd, 'l'), tables: [{report: {filesAfter: 3}}, {error: failure}]});
  });
});

describe('sluice vacuum', () => {
  const vacuumed: VacuumedTable = {
    flow: 'main.default.t',
    files: [
      {name: 'main/default/t/a.parquet', kind: 'data', sizeBytes: 1000},
      {name: 'main/default/t/.x.tmp', kind: 'temporary', sizeBytes: 10},
    ],
    log: {entriesRemoved: 4, bytesRemoved: 490, oldestVersion: 10},
    error: null,
  };

  it('passes its flags on', async () => {
    const seen: Partial<VacuumTablesOptions>[] = [];
    const vacuumTables: RuntimeApi['vacuumTables'] = (_, {tables, retainHours, dryRun, force}) => {
      seen.push({tables, retainHours, dryRun, force});
      return Promise.resolve([vacuumed]);
    };
    await cli({vacuumTables}, 'vacuum');
    await cli({vacuumTables}, 'vacuum', '--retain', '0.5', '--force', '--table', 't');
    const dry = await cli({vacuumTables}, 'vacuum', '--dry-run', '--verbose');
    expect(seen).toEqual([
      {tables: [], retainHours: null, dryRun: false, force: false},
      {tables: ['t'], retainHours: 0.5, dryRun: false, force: true},
      {tables: [], retainHours: null, dryRun: true, force: false},
    ]);
    expect(dry.stdout.split('\n').slice(1)).toEqual([
      expect.stringMatching(/^main\.default\.t +1 +0 +0 +1 +4 +1\.50 kB$/),
      'main/default/t/a.parquet',
      'main/default/t/.x.tmp',
      'Nothing was removed: this was a dry run.',
      '',
    ]);
    for (const retain of ['-1', 'week', '1e3']) expect((await cli({}, 'vacuum', '--retain', retain)).status).toBe(2);
  });
});

describe('sluice history', () => {
  const version: TableVersion = {
    version: 3,
    timestamp: '2026-01-01T00:00:00.000Z',
    operation: 'MERGE',
    parameters: {},
    metrics: {numTargetRowsInserted: '1200', numTargetRowsUpdated: '3', numTargetRowsDeleted: '0'},
    engine: 'sluice',
    rowsAdded: 1203,
    filesAdded: 2,
    filesRemoved: 1,
    dataChange: true,
    metadataChanged: false,
    txns: [{appId: 'f', version: 2}],
    batchId: 2,
  };

  it('shows what each version did, and who wrote it', async () => {
    const others = [
      {...version, version: 2, operation: 'RESTORE', parameters: {version: 1}, metrics: {}},
      {...version, version: 1, operation: 'WRITE', metrics: {}, engine: null, batchId: null},
      {...version, version: 0, operation: 'CREATE TABLE', metrics: {}, rowsAdded: 0},
    ];
    const tableHistory: RuntimeApi['tableHistory'] = () => Promise.resolve([version, ...others]);
    const end = await cli({tableHistory}, 'history', 't', '--lake', '/lake');
    expect(end.stdout.split('\n').map((line) => line.replaceAll(/ {2,}/g, ' | '))).toEqual([
      'VERSION | TIME | OPERATION | ROWS | FILES ADDED | FILES REMOVED | BATCH | ENGINE',
      expect.stringContaining(' | MERGE | +1,200 ~3 | '),
      expect.stringContaining(' | RESTORE | as of 1 | '),
      expect.stringContaining(' | WRITE | +1,203 | '),
      expect.stringContaining(' | CREATE TABLE | - | '),
      '',
    ]);
    expect(JSON.parse((await cli({tableHistory}, 'history', 't', '--json')).stdout)).toEqual({
      table: 't',
      versions: [version, ...others],
    });
  });
});

describe('sluice changes', () => {
  it('asks for a range of versions or times', async () => {
    const seen: unknown[] = [];
    const tableChanges: RuntimeApi['tableChanges'] = (table, {from, to, limit}) => {
      seen.push([table, from, to, limit]);
      return Promise.resolve({
        columns: ['id', '_change_type'],
        rows: [{id: 1n, _change_type: 'insert'}],
        truncated: false,
      });
    };
    const end = await cli({tableChanges}, 'changes', 'a.b.c', '--from', '3');
    expect(end.stdout).toContain('insert');
    await cli({tableChanges}, 'changes', 't', '--from', '2026-01-01', '--to', '7', '--limit', '5');
    expect(seen).toEqual([
      ['a.b.c', '3', null, 100],
      ['t', '2026-01-01', '7', 5],
    ]);
    expect((await cli({tableChanges}, 'changes', 't')).status).toBe(2);
  });
});

describe('sluice restore', () => {
  const done: RestoredTable = {
    table: 'main.default.t',
    pipeline: 'p',
    restoredVersion: 3,
    fromVersion: 7,
    newVersion: 8,
    filesRestored: 2,
    filesRemoved: 1,
    bytesRestored: 1500,
    bytesRemoved: 500,
    metadataRestored: true,
    restoredBatchId: 4,
    newBatchId: 9,
    offset: {rows: {at: 5}, deletes: null},
    warning: null,
  };

  it('says what comes back and where the flow goes on', async () => {
    const seen: unknown[] = [];
    const restoreTable: RuntimeApi['restoreTable'] = (table, {to, dryRun}) => {
      seen.push([table, to, dryRun]);
      return Promise.resolve(dryRun ? {...done, newVersion: null, newBatchId: null} : done);
    };
    const end = await cli({restoreTable}, 'restore', 't', '--version', '3');
    expect(end.stdout.split('\n')).toEqual([
      'main.default.t is what it was at version 3 (version 8).',
      '2 files (1.50 kB) come back, 1 (500 B) go; columns and properties are those of then.',
      'The flow goes on after batch 4, at offset {"rows":{"at":5},"deletes":null}.',
      '',
    ]);
    const dry = await cli({restoreTable}, 'restore', 't', '--timestamp', '2026-01-01', '--dry-run');
    expect(dry.stdout).toContain('would go from version 7 back to 3');
    const json = await cli({restoreTable}, 'restore', 't', '--version', '3', '--json');
    expect(JSON.parse(json.stdout)).toEqual({...done, dryRun: false});
    expect(seen).toEqual([
      ['t', '3', false],
      ['t', '2026-01-01', true],
      ['t', '3', false],
    ]);
    for (const flags of [[], ['--version', '3', '--timestamp', '2026-01-01'], ['--version', 'x']])
      expect((await cli({restoreTable}, 'restore', 't', ...flags)).status).toBe(2);
  });

  it('says aloud what else went wrong', async () => {
    const restoreTable: RuntimeApi['restoreTable'] = () =>
      Promise.resolve({...done, warning: 'The event log is full.'});
    const end = await cli({restoreTable}, 'restore', 't', '--version', '3');
    expect(end).toMatchObject({status: 0, stderr: 'warning: The event log is full.\n'});
  });
});

describe('sluice describe', () => {
  const description: TableDescription = {
    table: 'main.default.t',
    location: '/lake/main/default/t',
    description: null,
    version: 7,
    createdAt: null,
    lastCommitAt: '2026-01-01T00:00:00.000Z',
    columns: [{name: 'id', type: 'BIGINT', nullable: false, comment: 'key'}],
    partitionColumns: ['day'],
    clusteringColumns: ['id'],
    constraints: {positive: 'id > 0'},
    rows: 1234,
    files: 2,
    sizeBytes: 5000,
    filesWithVectors: 1,
    hiddenRows: 3,
    minReaderVersion: 1,
    minWriterVersion: 2,
    features: [],
    properties: {'sluice.flowId': 'f'},
    pipeline: 'p',
    sourceTable: 't',
    flowId: 'f',
    lastBatch: null,
  };

  it('shows columns and facts, or JSON', async () => {
    const describeTable: RuntimeApi['describeTable'] = () => Promise.resolve(description);
    const end = await cli({describeTable}, 'describe', 't', '--lake', '/lake');
    expect(end).toMatchObject({status: 0, stderr: ''});
    expect(end.stdout.split('\n')).toEqual([
      'COLUMN  TYPE    NULLABLE  COMMENT',
      'id      BIGINT  no        key',
      '',
      'table           main.default.t',
      'location        /lake/main/default/t',
      'version         7, committed 2026-01-01T00:00:00.000Z',
      'rows            1,234',
      'files           2, 5.00 kB',
      'hidden rows     3 by deletion vectors of 1 files',
      'partitioned by  day',
      'clustered by    id',
      'constraint      positive: id > 0',
      'protocol        reader 1, writer 2',
      'pipeline        p',
      'source table    t',
      'flow            f',
      'property        sluice.flowId = f',
      '',
    ]);
    expect(JSON.parse((await cli({describeTable}, 'describe', 't', '--json')).stdout)).toEqual(description);
  });
});
