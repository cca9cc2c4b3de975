import {spawn} from 'node:child_process';
import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';

import pg from 'pg';

import {openGatewayStaging} from '../src/runtime/gateway/open-gateway.ts';
import {catchUp, loadState} from '../src/staging/staging.ts';
import type {StagingState} from '../src/staging/state.ts';
import {parseLsn} from '../src/wire/pg/replication.ts';
import {startPostgres, type PostgresServer} from '../test/postgres.ts';
import {watchTree} from './process-tree.ts';
import type {BenchResult} from './result.ts';

const ROWS = 1_000_000;
const FEW = 1_000_000;
const MANY = 4_000_000;
const PER_TRANSACTION = 1000;
const LIMIT_MB = 200;
const bin = fileURLToPath(new URL('../bin/sluice', import.meta.url));

/** The memory of `sluice gateway run` while it reads a snapshot, then a million changes that wait in the log, then four million. */
export async function run(): Promise<readonly BenchResult[]> {
  await using server = await startPostgres({max_wal_size: '8GB'});
  const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-memory-'));
  const client = new pg.Client(server.url);
  await client.connect();
  await client.query(
    'create table t (id bigint primary key, a int, n numeric(12,2), s text, at timestamptz, j jsonb, f float8, u uuid)',
  );
  await client.query(
    `insert into t select k, k % 1000, k / 7.0, repeat(md5(k::text), 2), now(), jsonb_build_object('k', k), k / 3.0, gen_random_uuid() from generate_series(1, ${ROWS}) k`,
  );
  await writeFile(join(folder, 'sluice.yml'), JSON.stringify(bundle(server)));
  const lake = join(folder, 'lake');
  try {
    const gateway = {folder, lake};
    const snapshot = await peak(gateway, ({tables}) => [...tables.values()].some((table) => table.snapshot !== null));
    const few = await peak(gateway, await changes(client, FEW));
    const many = await peak(gateway, await changes(client, MANY));
    return results({snapshot, few, many});
  } finally {
    await client.end();
    await rm(folder, {recursive: true, force: true});
  }
}

/** The most megabytes that a gateway held until staging was as it should be. */
async function peak(
  {folder, lake}: {readonly folder: string; readonly lake: string},
  isDone: (state: StagingState) => boolean,
): Promise<number> {
  const child = spawn(process.execPath, [bin, 'gateway', 'run', '--lake', lake], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const watch = watchTree(child.pid ?? 0);
  try {
    await using opened = await openGatewayStaging({lake}, 'bench');
    let state = await loadState(opened.staging);
    while (!isDone(state)) {
      if (child.exitCode !== null) throw new Error(`the gateway ended with ${child.exitCode}`);
      await sleep(100);
      state = await catchUp(opened.staging, state);
    }
    return watch.stop() / 1e6;
  } finally {
    watch.stop();
    child.kill('SIGINT');
    await exited;
  }
}

/** Makes changes that the next gateway finds in the log, so that it reads as fast as it can. */
async function changes(client: pg.Client, count: number): Promise<(state: StagingState) => boolean> {
  const groups = ROWS / PER_TRANSACTION;
  await client.query(`do $$ begin
    for i in 1..${count / PER_TRANSACTION} loop
      update t set a = a + 1, n = n + 1 where id > ((i * 7919) % ${groups}) * ${PER_TRANSACTION} and id <= ((i * 7919) % ${groups} + 1) * ${PER_TRANSACTION};
      commit;
    end loop; end $$`);
  const {rows} = await client.query<{lsn: string}>('select pg_current_wal_lsn() as lsn');
  const end = parseLsn(rows[0]?.lsn ?? '') ?? 0n;
  return (state) => state.end !== null && state.end.position >= end;
}

function bundle(server: PostgresServer): object {
  const options = {host: server.host, port: server.port, database: 'postgres', user: 'postgres', sslmode: 'disable'};
  const objects = [{table: {source_schema: 'public', source_table: 't'}}];
  return {
    resources: {
      connections: {db: {connection_type: 'POSTGRESQL', options}},
      pipelines: {bench: {ingestion_definition: {connection_name: 'db', connector_type: 'CDC', objects}}},
    },
  };
}

function results({
  snapshot,
  few,
  many,
}: {
  readonly snapshot: number;
  readonly few: number;
  readonly many: number;
}): readonly BenchResult[] {
  const peak = Math.max(snapshot, few, many);
  return [
    {
      name: `cdc: memory of the gateway, process tree: snapshot of ${ROWS} rows, ${FEW} changes, ${MANY}`,
      measured: `${[snapshot, few, many].map((mb) => Math.round(mb)).join(', ')} MB`,
      limit: `<= ${LIMIT_MB} MB`,
      ok: peak <= LIMIT_MB,
    },
    {
      name: `cdc: memory of the gateway at ${MANY} changes / at ${FEW}`,
      measured: `${(many / few).toFixed(2)}x`,
      limit: '<= 1.15x',
      ok: many / few <= 1.15,
    },
  ];
}
