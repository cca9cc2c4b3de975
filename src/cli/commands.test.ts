import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterEach, beforeEach, describe, expect, it} from 'vitest';

import {IngestError} from '../core/errors.ts';
import type {PlannedTable, RuntimeApi, TableResult, TableStatus, VerifyReport} from '../runtime/api.ts';
import {loadPipelines} from '../runtime/config/load-pipelines.ts';
import {run} from './io.support.test.ts';

const ONE =
  'lake: l\nconnection_name: c\nobjects: [{table: {source_table: t}}]\nconnections: {c: {connection_type: EXAMPLE, options: {password: hunter2}}}\n';

let cwd = '';
beforeEach(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'cli-'));
  await writeFile(join(cwd, 'sluice.yml'), ONE);
});
afterEach(() => rm(cwd, {recursive: true, force: true}));

const cli = (runtime: Partial<RuntimeApi>, ...args: string[]): ReturnType<typeof run> => run(args, {cwd, runtime});

describe('the command line', () => {
  it('suggests commands, and exits with 2 for what it does not understand', async () => {
    const end = await cli({}, 'rum');
    expect(end.status).toBe(2);
    expect(end.stderr).toContain("error: unknown command 'rum'\n(Did you mean run?)");
    expect((await cli({}, 'run', '--fulrefresh')).stderr).toContain('(Did you mean --full-refresh?)');
    for (const args of [
      ['run', '--var', 'x'],
      ['run', '--parallel', '0'],
      ['query'],
      ['run', 'a', 'b', 'c'],
      ['run', '--full-refresh', '--full-refresh-tables', 'a'],
      ['run', '--backfill', 'a'],
      ['run', '--backfill', 'a:'],
    ]) {
      expect((await cli({}, ...args)).status).toBe(2);
    }
  });

  it('prints help to stdout and its version', async () => {
    const help = await cli({}, '--help');
    expect(help).toMatchObject({status: 0, stderr: ''});
    for (const command of [
      'init',
      'run',
      'validate',
      'plan',
      'preview',
      'tables',
      'status',
      'state',
      'query',
      'history',
      'verify',
    ])
      expect(help.stdout).toContain(`  ${command} `);
    const {version} = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8')) as {
      version: string;
    };
    expect(await cli({}, '--version')).toMatchObject({status: 0, stdout: `${version}\n`});
    expect((await cli({})).status).toBe(2);
  });
});

describe('sluice init', () => {
  it('writes a file that loads, and overwrites none', async () => {
    expect(await cli({}, 'init')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('sluice.yml exists already'),
    });
    const end = await cli({}, 'init', 'new');
    expect(end).toMatchObject({status: 0, stdout: expect.stringContaining('cd new && sluice run')});
    const {pipelines, warnings} = await loadPipelines({file: join(cwd, 'new'), variables: {}, cwd, env: {}});
    expect(pipelines[0]?.objects.map((object) => object.sourceTable)).toEqual([
      'users',
      'orders',
      'products',
      'events',
    ]);
    expect(pipelines[0]?.connection.connector).toBe('example');
    expect(warnings).toEqual([]);
  });
});

describe('sluice validate', () => {
  it('asks the connector, and shows no secrets', async () => {
    const text = await cli({}, 'validate');
    expect(text).toMatchObject({
      status: 0,
      stdout: `sluice.yml is valid. Lake: ${join(cwd, 'l')}\n  sluice: 1 object from c (example)\n    t -> main.default.t\n`,
    });
    const json = await cli({}, 'validate', '--json');
    expect(JSON.parse(json.stdout)).toMatchObject({
      file: 'sluice.yml',
      pipelines: [{key: 'sluice', connection: {name: 'c', options: ['password']}}],
    });
    expect(json.stdout).not.toContain('hunter2');
    const checkPipeline = (): Promise<void> =>
      Promise.reject(new IngestError('INVALID_OPTION', 'No such option.', {fix: 'Remove it.'}));
    expect(await run(['validate'], {cwd, checkPipeline})).toMatchObject({
      status: 2,
      stderr: 'error: [INVALID_OPTION] No such option.\n  fix: Remove it.\n',
    });
  });

  it('prints every problem, with place and fix', async () => {
    await writeFile(join(cwd, 'sluice.yml'), 'connection_name: 5\nobjects: [{table: {sorce_table: t}}]\n');
    const end = await cli({}, 'validate');
    expect(end.status).toBe(2);
    expect(end.stderr).toContain(
      'error: [INVALID_SPEC] connection_name: expected text, found 5\n  at sluice.yml:1:18\n  fix: Put it in quotes.\n',
    );
    expect(end.stderr).toContain(
      'error: [INVALID_SPEC] objects[0].table.sorce_table: unknown key\n  at sluice.yml:2:20\n  fix: Did you mean "source_table"?\n',
    );
    const json = await cli({}, 'validate', '--json');
    expect(json.stderr).toBe('');
    expect(JSON.parse(json.stdout)).toMatchObject({
      error: {
        code: 'INVALID_SPEC',
        path: 'connection_name',
        at: 'sluice.yml:1:18',
        fix: 'Put it in quotes.',
        others: [{code: 'INVALID_SPEC'}, {code: 'INVALID_SPEC'}],
      },
    });
  });

  it('prints warnings', async () => {
    await writeFile(
      join(cwd, 'sluice.yml'),
      'resources: {jobs: {}, connections: {c: {connection_type: EXAMPLE}}, pipelines: {p: {ingestion_definition: {connection_name: c, objects: [{table: {source_table: t}}]}}}}',
    );
    expect((await cli({}, 'validate')).stderr).toBe(
      'warning: sluice.yml: resources.jobs has no effect: Sluice does not deploy resources of this kind\n',
    );
    expect((await cli({}, 'validate', '--quiet')).stderr).toBe('');
  });
});

describe('sluice query and preview', () => {
  const result: TableResult = {
    columns: ['id', 'at', 'day', 'name', 'blob', 'tags'],
    types: ['BIGINT', 'TIMESTAMP WITH TIME ZONE', 'DATE', 'VARCHAR', 'BLOB', 'VARCHAR[]'],
    rows: [
      {
        id: 9223372036854775807n,
        at: 1_785_000_000_123_456n,
        day: 20_000,
        name: 'a\nb\x1b[31m',
        blob: new Uint8Array([1, 255]),
        tags: ['x', null],
      },
      {id: 1n, at: -1n, day: -1, name: null, blob: null, tags: null},
    ],
    truncated: true,
  };

  it('align columns, keep values whole and show nulls', async () => {
    const {stdout, status} = await cli({queryLake: () => Promise.resolve(result)}, 'query', 'SELECT 1');
    expect(status).toBe(0);
    expect(stdout.split('\n')).toEqual([
      '                 id  at                           day         name            blob    tags',
      '9223372036854775807  2026-07-25T17:20:00.123456Z  2024-10-04  a\\nb\\u001b[31m  \\x01ff  ["x",null]',
      '                  1  1969-12-31T23:59:59.999999Z  1969-12-31  NULL            NULL    NULL',
      '2 rows shown, there are more',
      '',
    ]);
  });

  it('print JSON that loses no digit', async () => {
    const {stdout} = await cli({queryLake: () => Promise.resolve(result)}, 'query', 'SELECT 1', '--json');
    const {rows} = JSON.parse(stdout) as {rows: readonly unknown[]};
    expect(rows).toEqual([
      {
        id: '9223372036854775807',
        at: '2026-07-25T17:20:00.123456Z',
        day: '2024-10-04',
        name: 'a\nb\x1b[31m',
        blob: '01ff',
        tags: ['x', null],
      },
      {id: 1, at: '1969-12-31T23:59:59.999999Z', day: '1969-12-31', name: null, blob: null, tags: null},
    ]);
  });

  it('clip to a terminal and say what is left out', async () => {
    const {stdout} = await run(['query', 'SELECT 1'], {
      cwd,
      terminal: {columns: 40, rows: 10},
      env: {NO_COLOR: '1'},
      runtime: {queryLake: () => Promise.resolve(result)},
    });
    for (const line of stdout.split('\n').slice(0, 3)) expect(line.length).toBeLessThanOrEqual(39);
    expect(stdout).toContain('more columns');
  });

  it('hand on the lake, the table and the limit', async () => {
    const seen: unknown[] = [];
    const runtime: Partial<RuntimeApi> = {
      queryLake: (sql, options) => (seen.push([sql, options.lake, options.limit, options.at]), Promise.resolve(result)),
      previewTable: (spec, table, options) => (seen.push([spec.key, table, options.limit]), Promise.resolve(result)),
      tableHistory: (table, options) => (seen.push([table, options.lake, options.limit]), Promise.resolve([])),
    };
    await cli(runtime, 'query', 'SELECT 1', '--limit', '5', '--at', 'a.b=3', '--at', 'c=2026-01-01T00:00:00Z');
    await cli(runtime, 'preview', 'users');
    await cli(runtime, 'history', 'a.b.c', '--lake', '/x');
    expect(seen).toEqual([
      [
        'SELECT 1',
        join(cwd, 'l'),
        5,
        [
          {table: 'a.b', at: '3'},
          {table: 'c', at: '2026-01-01T00:00:00Z'},
        ],
      ],
      ['sluice', 'users', 10],
      ['a.b.c', '/x', 20],
    ]);
  });

  it('work without a configuration when only the lake is needed', async () => {
    await rm(join(cwd, 'sluice.yml'));
    const lakes: string[] = [];
    await cli({queryLake: (_, options) => (lakes.push(options.lake), Promise.resolve(result))}, 'query', 'SELECT 1');
    expect(lakes).toEqual([join(cwd, 'lake')]);
    expect((await cli({}, 'query', ' ')).status).toBe(2);
    expect((await cli({}, 'preview', 't')).status).toBe(2);
  });
});

describe('sluice plan', () => {
  const planned: PlannedTable = {
    flow: 'main.default.t',
    sourceTable: 't',
    action: 'create',
    ingestionType: 'cdc',
    scdType: 'SCD_TYPE_1',
    keys: ['id'],
    sequence: ['at'],
    columns: [{name: 'id', type: 'BIGINT', change: 'new'}],
    deletionVectors: false,
    readers: {can: ['Spark'], cannot: []},
    trackedColumns: [],
    partitionColumns: [],
    clusteringColumns: ['id'],
    schemaEvolution: 'freeze',
    estimatedRows: 1000,
    notes: ['deletes are not seen'],
  };

  it('says what would happen', async () => {
    const {stdout, status} = await cli({planPipeline: () => Promise.resolve([planned])}, 'plan');
    expect(status).toBe(0);
    expect(stdout.split('\n')).toEqual([
      'sluice:',
      '  create   main.default.t from t',
      '    cdc, SCD_TYPE_1, key id, ordered by at, about 1,000 rows',
      '    deletion vectors off; readers: Spark',
      '    clustered by id',
      '    schema_evolution: freeze',
      '      + id BIGINT',
      '    note: deletes are not seen',
      '',
    ]);
  });

  it('fails when a table is blocked', async () => {
    const blocked: PlannedTable = {
      ...planned,
      action: 'blocked',
      error: {code: 'MISSING_KEY', message: 'No key.', fix: 'Set primary_keys.'},
    };
    const end = await cli({planPipeline: () => Promise.resolve([blocked])}, 'plan');
    expect(end.status).toBe(1);
    expect(end.stdout).toContain('    error: [MISSING_KEY] No key.\n      fix: Set primary_keys.');
  });
});

describe('sluice verify', () => {
  const report: VerifyReport = {
    flow: 'main.default.t',
    verdict: 'equal',
    mode: 'full',
    reason: null,
    bucketsDifferent: 0,
    missing: 0,
    extra: 0,
    extraReason: null,
    changed: 0,
    unproven: 0,
    samples: [],
    columnsDifferent: [],
    excluded: [],
    rescued: [],
    history: null,
    level: 'source_sums',
    collisionBound: 2 ** -60,
    sourcePoint: 'p',
    destinationVersion: 1,
    sourceRows: 5,
    destinationRows: 5,
    bucketsTotal: 1,
    columnsCompared: 2,
    elapsedMs: 3,
  };
  const verify = (more: Partial<VerifyReport>, ...args: string[]): ReturnType<typeof run> =>
    cli({verifyPipeline: () => Promise.resolve([{...report, ...more}])}, 'verify', ...args);

  it('exits with 0 only when every table is proven equal', async () => {
    expect((await verify({})).status).toBe(0);
    expect((await verify({verdict: 'different'})).status).toBe(1);
    expect((await verify({verdict: 'unproven'})).status).toBe(1);
    expect((await verify({verdict: 'not_comparable'}, '--json')).status).toBe(1);
  });

  it('names the keys that differ', async () => {
    const {stdout} = await verify({
      verdict: 'different',
      changed: 1,
      samples: [{key: '17', kind: 'changed', columns: ['name']}],
      excluded: [{name: 'x', reason: 'a float'}],
    });
    expect(stdout).toContain('main.default.t: changed key 17 in name\n');
    expect(stdout).toContain('main.default.t: column x is not compared: a float\n');
  });
});

describe('sluice status and state', () => {
  const table: TableStatus = {
    flow: 'main.default.t',
    pipeline: 'sluice',
    version: 4,
    rows: 1234,
    sizeBytes: 56_700_000,
    files: 3,
    lastCommitAt: '2026-01-01T00:00:00Z',
    lastBatchId: 7,
    inSnapshot: false,
    rescuedValues: 0,
    quarantinedRows: 2,
    lastVerification: {
      verdict: 'equal',
      at: '2026-01-01T00:00:00.000Z',
      ageMs: 60_000,
      version: 3,
      level: 'source_sums',
      reason: null,
    },
    recommendation: 'Compact it.',
  };

  it('show tables and advice', async () => {
    const {stdout} = await cli({status: () => Promise.resolve([table])}, 'status');
    expect(stdout).toContain(
      'main.default.t  sluice    1,234  56.7 MB      3        4  2026-01-01T00:00:00Z  equal at 3 1:00 ago        0            2\n',
    );
    expect(stdout).toContain('main.default.t: Compact it.\n');
    expect((await cli({status: () => Promise.resolve([])}, 'status')).stdout).toContain('No table has landed');
  });

  it('reset and adopt only what is named', async () => {
    const named: (readonly string[])[] = [];
    const runtime: Partial<RuntimeApi> = {
      resetState: (_, tables) => (named.push(tables), Promise.resolve([])),
      adoptTables: (_, tables) => (named.push(tables), Promise.resolve([])),
      showState: (_, tables) => (named.push(tables), Promise.resolve([])),
    };
    expect((await cli(runtime, 'state', 'reset')).status).toBe(2);
    expect((await cli(runtime, 'state', 'adopt')).status).toBe(2);
    await cli(runtime, 'state', 'reset', 'a', 'b');
    await cli(runtime, 'state', 'reset', '--all');
    await cli(runtime, 'state', 'adopt', 'x.y.z');
    await cli(runtime, 'state', 'show');
    expect(named).toEqual([['a', 'b'], [], ['x.y.z'], []]);
  });

  it('shows offsets', async () => {
    const flow = {
      flow: 'main.default.t',
      flowId: 'f',
      pipeline: 'sluice',
      batchId: 3,
      version: 4,
      offset: {rows: {at: 5n}, deletes: null},
      inSnapshot: true,
      sideFiles: {tombstones: 0, ledger: 0, tail: 0, pending: 0},
    };
    expect((await cli({showState: () => Promise.resolve([flow])}, 'state', 'show')).stdout).toContain(
      'main.default.t      3        4  yes          sluice    {"rows":{"at":5},"deletes":null}',
    );
  });

  it('lists the tables of the source', async () => {
    expect((await cli({listSourceTables: () => Promise.resolve([{name: 't', selected: true}])}, 'tables')).stdout).toBe(
      'SOURCE TABLE  SELECTED\nt             yes\n',
    );
  });
});
