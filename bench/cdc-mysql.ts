import {mkdtemp, open, readFile, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {MysqlChangeLog} from '../src/connectors/mysql/change-log.ts';
import {binlogCodec} from '../src/connectors/mysql/log-codec.ts';
import {connectionOptions} from '../src/connectors/mysql/session.ts';
import type {Change, LogPoint} from '../src/sdk/index.ts';
import {FRAME, readFrames, readSchema} from '../src/sdk/index.ts';
import {createMysqlDatabase, type MysqlDatabase} from '../test/mysql-database.ts';
import {type MysqlKind, prepareServer, startMysql} from '../test/mysql-server.ts';
import {testContext} from '../test/read-context.ts';
import type {BenchResult} from './result.ts';

const INSERTS = 240_000;
const ROUNDS = 3;
const MIN_STAGING = 100;
const MIN_ROWS: Readonly<Record<MysqlKind, number>> = {mariadb: 200_000, mysql: 150_000};
const TABLE = ['bench.t'];

/**
 * A binary log of 400,000 changes (60 % inserts, 30 % updates, 10 % deletes) of a table of 10 columns, about 220 bytes a row: from the
 * server into frames on disk, flushed; and the frames into changes.
 */
export async function run(): Promise<readonly BenchResult[]> {
  const results: BenchResult[] = [];
  for (const kind of ['mariadb', 'mysql'] as const) {
    await prepareServer(kind);
    await using server = await startMysql(kind);
    await using database = await createMysqlDatabase(server.url, 'bench');
    const log = new MysqlChangeLog(connectionOptions(database.options, 'bench'), {gatewayId: 'bench'});
    const from = await log.prepare(TABLE, testContext());
    await fill(database);
    results.push(...(await measure(kind, log, from)));
    await log.close();
  }
  return results;
}

async function measure(kind: MysqlKind, log: MysqlChangeLog, from: LogPoint): Promise<readonly BenchResult[]> {
  const until = await log.currentPosition(testContext());
  const bytes = Number((until & OFFSET_MASK) - (from.position & OFFSET_MASK));
  const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  try {
    let staging = Infinity;
    const path = join(folder, 'frames');
    for (let round = 0; round < ROUNDS; round++) {
      const at = performance.now();
      await stage(log, {from, until, path});
      staging = Math.min(staging, performance.now() - at);
    }
    const frames = await readFile(path);
    const megabytes = bytes / 1e6 / (staging / 1000);
    let decoding = Infinity;
    let rows = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const before = process.cpuUsage();
      rows = decode(frames);
      const used = process.cpuUsage(before);
      decoding = Math.min(decoding, (used.user + used.system) / 1e6);
    }
    const perSecond = rows / decoding;
    return [
      {
        name: `${kind}: ${(bytes / 1e6).toFixed(0)} MB of binary log into frames on disk`,
        measured: `${megabytes.toFixed(0)} MB/s`,
        limit: `>= ${MIN_STAGING} MB/s`,
        ok: megabytes >= MIN_STAGING,
      },
      {
        name: `${kind}: ${rows} changes of 10 columns decoded, per core`,
        measured: `${Math.round(perSecond / 1000)}k rows/s`,
        limit: `>= ${MIN_ROWS[kind] / 1000}k rows/s`,
        ok: perSecond >= MIN_ROWS[kind],
      },
    ];
  } finally {
    await rm(folder, {recursive: true, force: true});
  }
}

/** Frames of the log, written to a file that is flushed at the end. */
async function stage(
  log: MysqlChangeLog,
  {from, until, path}: {readonly from: LogPoint; readonly until: bigint; readonly path: string},
): Promise<void> {
  const file = await open(path, 'w');
  try {
    await using reader = await log.openLog(from, TABLE, testContext());
    for await (const batch of reader.batches()) {
      await file.write(batch.bytes);
      if (batch.end !== null && batch.end.position >= until) break;
    }
    await file.datasync();
  } finally {
    await file.close();
  }
}

function decode(frames: Buffer): number {
  let rows = 0;
  let decoder = null;
  for (const frame of readFrames(frames)) {
    if (frame.kind === FRAME.schema) decoder = binlogCodec.createDecoder(readSchema(frames, frame));
    else if (frame.kind === FRAME.change && decoder !== null) {
      const out: Change[] = [];
      decoder.decode(frames.subarray(frame.start, frame.end), out);
      rows += out.length;
    }
  }
  return rows;
}

async function fill(database: MysqlDatabase): Promise<void> {
  await database.run(`create table t (id bigint primary key, n int, price decimal(12,2), name varchar(60), made datetime(6), day date,
    seen timestamp(3) null, flag bool, weight double, token char(36));
    create table digits (d int primary key); insert into digits values (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)`);
  const number = 'a.d + 10 * b.d + 100 * c.d + 1000 * e.d';
  for (let thousand = 0; thousand < INSERTS; thousand += 10_000) {
    await database.run(`insert into t select i, i % 1000, i / 100, concat('name of the row ', i, repeat('x', 30)), '2020-01-01' + interval i second + interval i microsecond,
      date '2000-01-01' + interval (i % 9000) day, '2021-01-01' + interval i second, i % 2, i * 1.5, uuid()
      from (select ${thousand} + ${number} as i from digits a, digits b, digits c, digits e) as numbers`);
  }
  for (let part = 0; part < 12; part++) {
    await database.run(`update t set n = n + 1, price = price + 1.5 where id % 24 = ${part}`);
    if (part % 3 === 0) await database.run(`delete from t where id % 24 = ${12 + part / 3}`);
  }
}

const OFFSET_MASK = (1n << 40n) - 1n;
