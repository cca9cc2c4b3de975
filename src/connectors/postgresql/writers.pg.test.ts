import pg from 'pg';
import {afterAll, beforeAll, expect, inject, it} from 'vitest';

import type {TestDatabase} from '../../../test/pg-database.ts';
import {createDatabase} from '../../../test/pg-database.ts';
import {testContext} from '../../../test/read-context.ts';
import {seededRandom} from '../../core/clock.ts';
import type {Offset} from '../../sdk/index.ts';
import {canonicalCell} from '../../sdk/index.ts';
import {PostgresConnector} from './connector.ts';
import {connectionOptions} from './session.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await createDatabase(inject('pgUrl'), 'pg_writers');
});
afterAll(() => database[Symbol.asyncDispose]());

const SEED = 20_240_229;
const WRITERS = 5;
const RUNS = 15;

it.each([
  ['timestamptz', 'now()'],
  ['timestamptz(0)', 'now()'],
  ['bigint', `nextval('versions')`],
])('loses no change of many writers by a cursor of type %s, with transactions of any length', async (type, stamp) => {
  await database.run(`drop schema public cascade; create schema public; create sequence versions;
    create table t (id int primary key, v int, at ${type} default ${stamp}); insert into t (id, v) select i, 0 from generate_series(1, 200) i`);
  const options = {cursor_column: 'at'};
  const connector = new PostgresConnector(connectionOptions(database.options, 'test'));
  const landed = new Map<string, string>();
  let start: Offset | null = null;
  const ingest = async (): Promise<void> => {
    const ctx = testContext();
    const pages = connector.readTable('public.t', start, options, ctx);
    for (;;) {
      const step = await pages.next();
      if (step.done === true) {
        start = step.value;
        return;
      }
      if (!('kind' in step.value) || step.value.kind !== 'columns') throw new Error('no columns');
      const {columns, rowCount} = step.value.batch;
      const cell = (column: number, row: number): string => {
        const vector = columns[column];
        return vector === undefined ? '' : (canonicalCell(vector, row, 'integer') ?? '');
      };
      for (let row = 0; row < rowCount; row++) landed.set(cell(0, row), cell(1, row));
    }
  };
  let stopped = false;
  const writers = Array.from({length: WRITERS}, (_, index) => write(stamp, SEED + index, () => stopped));
  for (let run = 0; run < RUNS; run++) {
    await ingest();
    await new Promise((resolve) => setTimeout(resolve, 40));
  }
  stopped = true;
  const transactions = (await Promise.all(writers)).reduce((sum, count) => sum + count);
  await ingest();
  if (type === 'timestamptz') {
    // The horizon is the server's clock: what was committed last waits for the next run at the latest.
    await ingest();
  }
  const source = await database.texts('select id, v from t');
  const lost = source.filter(([id, v]) => landed.get(id ?? '') !== v);
  expect({seed: SEED, transactions: transactions > 50, lost}).toEqual({seed: SEED, transactions: true, lost: []});
  await connector.close();
});

/** Transactions of one to six changes with pauses between; some roll back. Returns how many. */
async function write(stamp: string, seed: number, isStopped: () => boolean): Promise<number> {
  const random = seededRandom(seed);
  const client = new pg.Client(database.options);
  await client.connect();
  let count = 0;
  for (; !isStopped(); count++) {
    await client.query('begin');
    // In the order of the keys, so that writers do not block each other for good.
    const keys = Array.from({length: 1 + Math.floor(random() * 6)}, () => 1 + Math.floor(random() * 260)).sort(
      (a, b) => a - b,
    );
    for (const key of keys) {
      const sql = `insert into t (id, v, at) values ($1, $2, ${stamp}) on conflict (id) do update set v = t.v + 1, at = excluded.at`;
      await client.query(sql, [key, seed]);
      if (random() < 0.3) await new Promise((resolve) => setTimeout(resolve, random() * 30));
    }
    await client.query(random() < 0.1 ? 'rollback' : 'commit');
  }
  await client.end();
  return count;
}
