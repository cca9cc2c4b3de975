import {fork} from 'node:child_process';
import {existsSync} from 'node:fs';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';

import pg from 'pg';

import type {PipelineSpec} from '../src/pipeline/spec.ts';
import {loadPipelines} from '../src/runtime/config/load-pipelines.ts';
import {ownGateway} from '../src/runtime/config/resolve-gateway.ts';
import {openGatewayStaging} from '../src/runtime/gateway/open-gateway.ts';
import {runGatewayHere} from '../src/runtime/gateway/run-gateway.ts';
import {catchUp, loadState} from '../src/staging/staging.ts';
import type {StagingState} from '../src/staging/state.ts';
import {parseLsn} from '../src/wire/pg/replication.ts';
import {startPostgres, type PostgresServer} from '../test/postgres.ts';
import {readToNowhere} from './raw-copy.ts';
import {receiveToNowhere, RECVLOGICAL} from './recvlogical.ts';
import type {BenchResult} from './result.ts';

const ROWS = 1_000_000;
const CHANGES = 1_000_000;
const TURNS = 3;
const CHILD = fileURLToPath(new URL('cdc-update-child.mjs', import.meta.url));

/** A table of PostgreSQL through gateway, staging and pipeline: its snapshot, then as many changes as it has rows. */
export async function run(): Promise<readonly BenchResult[]> {
  await using server = await startPostgres({max_wal_size: '8GB', max_replication_slots: '20', max_wal_senders: '20'});
  const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-cdc-'));
  const client = new pg.Client(server.url);
  await client.connect();
  try {
    await client.query(
      `create table t (id bigint primary key, a int, n numeric(12,2), s text, at timestamptz, d date, j jsonb, b bool, f float8, u uuid)`,
    );
    await client.query(
      `insert into t select k, k % 1000, k / 7.0, repeat(md5(k::text), 2), now(), current_date, jsonb_build_object('k', k), k % 2 = 0, k / 3.0, gen_random_uuid() from generate_series(1, ${ROWS}) k`,
    );
    await client.query('checkpoint');
    const copies: number[] = [];
    const wholes: number[] = [];
    for (let turn = 0; turn < TURNS; turn++) {
      copies.push(await copy(server));
      // One call from the source to Delta: the pipeline is its own gateway.
      const key = `whole_${turn}`;
      wholes.push((await update(await pipeline(server, key), join(folder, key), true)).ms);
    }
    const spec = await pipeline(server, 'bench');
    const stagedMs = await measureSnapshot(spec, folder);
    await update(spec, folder, false);
    await client.query(`select pg_create_logical_replication_slot('peer', 'pgoutput')`);
    await client.query(WORKLOAD);
    const {rows} = await client.query<{lsn: string}>('select pg_current_wal_lsn() as lsn');
    const end = rows[0]?.lsn ?? '';
    const peerMs = existsSync(RECVLOGICAL) ? await receiveToNowhere(server, {slot: 'peer', end}) : null;
    const staged = await measureLog(spec, folder, parseLsn(end) ?? 0n);
    const apply = await update(spec, folder, false);
    return results({copyMs: Math.min(...copies), stagedMs, visibleMs: Math.min(...wholes), peerMs, staged, apply});
  } finally {
    await client.end();
    await rm(folder, {recursive: true, force: true});
  }
}

/** Three updates of one row in four, in transactions of a thousand, with inserts and deletes between. */
const WORKLOAD = `do $$ begin
  for i in 1..${CHANGES / 1000} loop
    update t set a = a + 1, n = n + 1 where id between ((i * 7919) % ${ROWS / 1000}) * 1000 + 1 and ((i * 7919) % ${ROWS / 1000}) * 1000 + 700;
    insert into t select ${ROWS} + i * 200 + k, k, k / 7.0, repeat(md5(k::text), 2), now(), current_date, jsonb_build_object('k', k), true, k / 3.0, gen_random_uuid() from generate_series(1, 200) k;
    delete from t where id between ${ROWS} + i * 200 + 1 and ${ROWS} + i * 200 + 100;
    commit;
  end loop; end $$`;

async function pipeline(server: PostgresServer, key: string): Promise<PipelineSpec> {
  const options = {host: server.host, port: server.port, database: 'postgres', user: 'postgres', sslmode: 'disable'};
  const {pipelines} = await loadPipelines({
    data: {
      resources: {
        connections: {db: {connection_type: 'POSTGRESQL', options}},
        pipelines: {
          [key]: {
            ingestion_definition: {
              connection_name: 'db',
              connector_type: 'CDC',
              table_configuration: {verify_after_snapshot: false},
              objects: [{table: {source_schema: 'public', source_table: 't'}}],
            },
          },
        },
      },
    },
    variables: {},
    cwd: process.cwd(),
    env: {},
  });
  const [spec] = pipelines;
  if (spec === undefined) throw new Error('no pipeline');
  return spec;
}

function copy(server: PostgresServer): Promise<number> {
  return readToNowhere(server, 'COPY t TO STDOUT (FORMAT binary)');
}

/** Milliseconds until the snapshot is staged; ends when it can be read, once the log behind it is sealed. */
async function measureSnapshot(spec: PipelineSpec, lake: string): Promise<number> {
  const startedAt = performance.now();
  let stagedMs: number | null = null;
  await stage(spec, lake, ({tables, end}) => {
    const snapshots = [...tables.values()].flatMap(({snapshot}) => snapshot ?? []);
    if (snapshots.length > 0) stagedMs ??= performance.now() - startedAt;
    return snapshots.some(({until}) => end !== null && until <= end.position);
  });
  return stagedMs ?? Number.NaN;
}

async function measureLog(
  spec: PipelineSpec,
  lake: string,
  end: bigint,
): Promise<{readonly ms: number; readonly cpuMicros: number; readonly rssMb: number}> {
  const startedAt = performance.now();
  const cpu = process.cpuUsage();
  await stage(spec, lake, (state) => state.end !== null && state.end.position >= end);
  const used = process.cpuUsage(cpu);
  return {
    ms: performance.now() - startedAt,
    cpuMicros: used.user + used.system,
    rssMb: process.memoryUsage.rss() / 1e6,
  };
}

/** Runs the gateway until the staging area is as it should be. */
async function stage(spec: PipelineSpec, lake: string, isDone: (state: StagingState) => boolean): Promise<void> {
  const stop = new AbortController();
  const gateway = ownGateway(spec);
  const running = runGatewayHere(gateway, {
    lake,
    signal: stop.signal,
    onEvent: ({level, message}) => {
      if (level !== 'info') console.error(message);
    },
    limits: {advanceMs: 200, statusMs: 60_000},
  });
  await using opened = await openGatewayStaging({lake}, gateway.gatewayId);
  let state = await loadState(opened.staging);
  while (!isDone(state)) {
    await Promise.race([sleep(50), running]);
    // No more than what is new: to look on must not cost what is measured.
    state = await catchUp(opened.staging, state);
  }
  stop.abort(new Error('done'));
  await running;
}

/** One update, from its call to its end: of what is staged, or staging it itself first. */
function update(spec: PipelineSpec, lake: string, isIntegrated: boolean): Promise<Updated> {
  const child = fork(CHILD, {stdio: 'inherit', execArgv: [], serialization: 'advanced'});
  const {changeLog} = spec;
  if (changeLog === undefined) throw new Error('no change log');
  child.send({spec: {...spec, changeLog: {...changeLog, isIntegrated}}, lake});
  return new Promise((resolve, reject) => {
    let updated: Updated | null = null;
    child.on('message', (message: Updated) => {
      updated = message;
    });
    child.once('error', reject);
    child.once('exit', (code) => {
      if (code === 0 && updated !== null) resolve(updated);
      else reject(new Error(`The update ended with code ${code}.`));
    });
  });
}

interface Updated {
  readonly ms: number;
  readonly rows: number;
}

function results(figures: {
  readonly copyMs: number;
  readonly stagedMs: number;
  readonly visibleMs: number;
  readonly peerMs: number | null;
  readonly staged: {readonly ms: number; readonly cpuMicros: number; readonly rssMb: number};
  readonly apply: {readonly ms: number; readonly rows: number};
}): readonly BenchResult[] {
  const {copyMs, stagedMs, visibleMs, peerMs, staged, apply} = figures;
  const times = (name: string, ms: number, limit: number): BenchResult => ({
    name,
    measured: `${(ms / copyMs).toFixed(2)}x (${Math.round(ms)} ms against ${Math.round(copyMs)} ms)`,
    limit: `<= ${limit}x`,
    ok: ms <= limit * copyMs,
  });
  const cpu = staged.cpuMicros / apply.rows;
  const perSecond = (apply.rows / apply.ms) * 1000;
  return [
    times(`cdc: snapshot of ${ROWS} rows staged / binary COPY to nowhere`, stagedMs, 1.6),
    times(`cdc: ${ROWS} rows from the source to Delta, in one run / binary COPY to nowhere`, visibleMs, 2.8),
    {
      name: `cdc: gateway of ${apply.rows} changes / pg_recvlogical to nowhere`,
      measured:
        peerMs === null
          ? 'no peer here'
          : `${(peerMs / staged.ms).toFixed(2)}x (${Math.round(staged.ms)} ms against ${Math.round(peerMs)} ms)`,
      limit: '>= 0.9x',
      ok: peerMs !== null && peerMs / staged.ms >= 0.9,
    },
    {name: 'cdc: gateway, CPU per change', measured: `${cpu.toFixed(2)} us`, limit: '<= 4 us', ok: cpu <= 4},
    {
      name: `cdc: ${apply.rows} staged changes into a table of ${ROWS} rows`,
      measured: `${Math.round(perSecond / 1000)}k/s`,
      limit: '>= 100k/s',
      ok: perSecond >= 100_000,
    },
  ];
}
