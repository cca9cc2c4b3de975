import {existsSync} from 'node:fs';

import pg from 'pg';

import {PostgresChangeLog} from '../src/connectors/postgresql/change-log.ts';
import {pgCodec} from '../src/connectors/postgresql/log-codec.ts';
import {connectionOptions} from '../src/connectors/postgresql/session.ts';
import {systemClock} from '../src/core/clock.ts';
import type {CallContext, Change, LogBatch, LogPoint} from '../src/sdk/index.ts';
import {FRAME, readFrames, readSchema} from '../src/sdk/index.ts';
import {parseLsn} from '../src/wire/pg/replication.ts';
import {startPostgres} from '../test/postgres.ts';
import {receiveToNowhere, RECVLOGICAL} from './recvlogical.ts';
import type {BenchResult} from './result.ts';

const CHANGES = 200_000;
const PER_TRANSACTION = 100;
const RUNS = 5;
const TABLES = ['public.t'];

/** The log of PostgreSQL into frames, against the server's own client that throws everything away. */
export async function run(): Promise<readonly BenchResult[]> {
  await using server = await startPostgres({max_wal_size: '4GB', max_wal_senders: '20', max_replication_slots: '20'});
  const client = new pg.Client(server.url);
  await client.connect();
  await client.query(
    `create table t (id bigint primary key, a int, n numeric(12,2), s text, at timestamptz, d date, j jsonb, b bool, f float8, u uuid)`,
  );
  const options = {host: server.host, port: server.port, database: 'postgres', user: 'postgres'};
  const log = new PostgresChangeLog(connectionOptions(options, 'bench'), {gatewayId: 'bench'});
  const from = await log.prepare(TABLES, context());
  for (let index = 0; index < RUNS; index++)
    await client.query(`select pg_create_logical_replication_slot('peer_${index}', 'pgoutput')`);
  await client.query(WORKLOAD);
  const {rows} = await client.query<{lsn: string}>('select pg_current_wal_lsn() as lsn');
  const end = rows[0]?.lsn ?? '';
  const ours: Reading[] = [];
  const peers: number[] = [];
  for (let index = 0; index < RUNS; index++) {
    if (existsSync(RECVLOGICAL)) peers.push(await receiveToNowhere(server, {slot: `peer_${index}`, end}));
    ours.push(await read(log, from, parseLsn(end) ?? 0n));
  }
  const decoded = await decode(log, from, parseLsn(end) ?? 0n);
  await log.release(context());
  await log.close();
  await client.end();
  return results(ours, peers, decoded);
}

/** 60 % inserts, 30 % updates, 10 % deletes, about 220 bytes each. */
const WORKLOAD = `do $$ begin
  for i in 1..${CHANGES / PER_TRANSACTION} loop
    insert into t select k, k % 1000, k / 7.0, repeat(md5(k::text), 2), now(), current_date, jsonb_build_object('k', k), k % 2 = 0, k / 3.0, gen_random_uuid()
      from generate_series((i - 1) * 60 + 1, i * 60) k;
    update t set a = a + 1 where id between (i - 1) * 60 + 1 and (i - 1) * 60 + 30;
    delete from t where id between i * 60 - 9 and i * 60;
    commit;
  end loop; end $$`;

interface Reading {
  readonly ms: number;
  readonly cpuMicros: number;
  readonly changes: number;
}

/** Frames into memory that is used again. */
async function read(log: PostgresChangeLog, from: LogPoint, end: bigint): Promise<Reading> {
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  let changes = 0;
  await follow(log, {from, end}, (batch) => {
    for (const count of batch.changes.values()) changes += count;
  });
  const ms = performance.now() - startedAt;
  const used = process.cpuUsage(cpu);
  return {ms, cpuMicros: used.user + used.system, changes};
}

/** Milliseconds that it takes to decode all frames into changes. */
async function decode(log: PostgresChangeLog, from: LogPoint, end: bigint): Promise<number> {
  const batches: Buffer[] = [];
  await follow(log, {from, end}, (batch) => batches.push(Buffer.from(batch.bytes)));
  const startedAt = performance.now();
  let decoder: ReturnType<typeof pgCodec.createDecoder> | null = null;
  for (const bytes of batches) {
    const out: Change[] = [];
    for (const frame of readFrames(bytes)) {
      if (frame.kind === FRAME.schema) decoder = pgCodec.createDecoder(readSchema(bytes, frame));
      else if (frame.kind === FRAME.change) decoder?.decode(bytes.subarray(frame.start, frame.end), out);
    }
  }
  return performance.now() - startedAt;
}

async function follow(
  log: PostgresChangeLog,
  {from, end}: {readonly from: LogPoint; readonly end: bigint},
  take: (batch: LogBatch) => void,
): Promise<void> {
  await using reader = await log.openLog(from, TABLES, context());
  for await (const batch of reader.batches()) {
    take(batch);
    if (batch.end !== null && batch.end.position >= end) return;
  }
}

function results(ours: readonly Reading[], peers: readonly number[], decodeMs: number): readonly BenchResult[] {
  const best = Math.min(...ours.map(({ms}) => ms));
  const changes = ours[0]?.changes ?? 0;
  const cpu = Math.min(...ours.map(({cpuMicros}) => cpuMicros)) / changes;
  const rate = (ms: number): string => `${Math.round(changes / ms)}k/s`;
  const list: BenchResult[] = [
    {
      name: 'PostgreSQL log into frames, CPU per change',
      measured: `${cpu.toFixed(2)} us`,
      limit: '<= 4 us',
      ok: cpu <= 4,
    },
    {name: `PostgreSQL log into frames, ${changes} changes`, measured: rate(best), limit: '', ok: true},
    {name: 'frames of PostgreSQL into changes', measured: rate(decodeMs), limit: '', ok: true},
  ];
  if (peers.length > 0) {
    const ratio = Math.min(...peers) / best;
    list.unshift({
      name: `PostgreSQL log into frames / pg_recvlogical to /dev/null (${rate(Math.min(...peers))})`,
      measured: `${ratio.toFixed(2)} x`,
      limit: '>= 0.9 x',
      ok: ratio >= 0.9,
    });
  }
  return list;
}

function context(): CallContext {
  const quiet = (): void => undefined;
  return {
    signal: new AbortController().signal,
    clock: systemClock,
    log: {debug: quiet, info: quiet, warn: quiet},
    files: {list: () => Promise.resolve([]), inferSchema: () => Promise.reject(new Error('no files'))},
  };
}
