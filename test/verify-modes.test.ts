import {rm} from 'node:fs/promises';

import {beforeEach, describe, expect, it} from 'vitest';

import {exampleApi, resetExampleApi, type ExampleApi} from '../src/connectors/example/api.ts';
import {example} from '../src/connectors/example/index.ts';
import {systemClock} from '../src/core/clock.ts';
import {openTestLake} from '../src/testkit/run-connector.ts';
import {ingest, rewrite, verify, type VerifyBench} from './verify-bench.ts';

const OPTIONS = {username: 'u', password: 'p', fault_rate: 0};
const MODES = ['full', 'reread'] as const;
let bench: VerifyBench;
let api: ExampleApi;

beforeEach(async () => {
  const lake = await openTestLake();
  const options = {...OPTIONS, seed: 42, ties: 3};
  const connector = example.create({options, connectionName: 'verify', clock: systemClock, random: Math.random});
  api = exampleApi({connectionName: 'verify'});
  bench = {lake, definition: example, connector, options: OPTIONS, table: 'users', configuration: {}};
  return async () => {
    resetExampleApi('verify');
    await lake[Symbol.asyncDispose]();
    await rm(lake.folder, {recursive: true, force: true});
  };
});

const TABLES = [
  ['users', 'SCD_TYPE_1'],
  ['users', 'SCD_TYPE_2'],
  ['orders', 'SCD_TYPE_1'],
  ['orders', 'SCD_TYPE_2'],
  ['products', 'SCD_TYPE_1'],
  ['products', 'SCD_TYPE_2'],
  ['events', 'APPEND_ONLY'],
  ['metrics', 'SCD_TYPE_1'],
] as const;

describe('what landed is equal to its source', () => {
  it.each(TABLES.flatMap(([table, scdType]) => MODES.map((mode) => [table, scdType, mode] as const)))(
    '%s as %s, %s',
    async (table, scdType, mode) => {
      const own = {...bench, table, configuration: {scdType}};
      await ingest(own);
      const verdict = await verify(own, mode);
      expect(verdict).toMatchObject({verdict: 'equal', reason: null, bucketsDifferent: 0});
      expect(verdict.level).toBe(mode === 'full' ? 'source_sums' : 'reread');
      expect(verdict.destinationVersion).toBeGreaterThan(0);
      expect(verdict.collisionBound).toBeGreaterThan(0);
      expect(verdict.sourceRows).toBe(verdict.destinationRows);
      expect(verdict.sourceRows).toBeGreaterThan(30);
    },
  );

  it.each(MODES)('also after changes, deletes and another run, %s', async (mode) => {
    const own = {...bench, table: 'orders'};
    await ingest(own);
    api.post('/tables/orders/records', {order_id: 3, user_id: 1, status: 'paid', amount: '7.5', items: null});
    api.delete('/tables/orders/records/5');
    await ingest(own);
    expect(await verify(own, mode)).toMatchObject({verdict: 'equal', reason: null, destinationRows: 102});
  });
});

describe('a table with history', () => {
  it('is compared by its current versions, and its history by itself', async () => {
    const own = {...bench, table: 'orders', configuration: {scdType: 'SCD_TYPE_2'}} as const;
    await ingest(own);
    const order = {user_id: 1, status: 'paid', amount: '7.5', items: null};
    for (const id of [3, 4]) api.post('/tables/orders/records', {order_id: id, ...order});
    api.delete('/tables/orders/records/5');
    await ingest(own);
    api.post('/tables/orders/records', {order_id: 5, ...order});
    await ingest(own);
    const verdict = await verify(own);
    expect(verdict).toMatchObject({verdict: 'equal', reason: null, destinationRows: 103});
    expect(verdict.history).toEqual({versions: 106, keys: 103, overlaps: 0, gaps: 1, openTwice: 0, backwards: 0});
  });

  const SPOILT = [
    ['open twice', `SELECT * REPLACE (NULL AS "__END_AT") FROM live`, 'openTwice'],
    ['overlapping', `SELECT * REPLACE ("__END_AT" + INTERVAL 1 MICROSECOND AS "__END_AT") FROM live`, 'overlaps'],
    [
      'backwards',
      `SELECT * REPLACE (CASE WHEN "__END_AT" IS NOT NULL THEN "__END_AT" ELSE "__START_AT" END AS "__START_AT") FROM live`,
      'backwards',
    ],
  ] as const;
  it.each(SPOILT)('is different where versions are %s', async (_, sql, count) => {
    const own = {...bench, configuration: {scdType: 'SCD_TYPE_2'}} as const;
    await ingest(own);
    await systemClock.sleep(5, new AbortController().signal);
    api.post('/tables/users/records', {user_id: 3, name: 'n', email: null, country: null, signed_up_on: null});
    await ingest(own);
    await rewrite(own, (live) => `WITH live AS (${live}) ${sql}`);
    const verdict = await verify(own);
    expect(verdict).toMatchObject({verdict: 'different', reason: expect.stringContaining('the history is broken')});
    expect(verdict.history?.[count]).toBe(1);
  });
});

describe('what moved in the source meanwhile is unproven', () => {
  it.each(MODES)('%s', async (mode) => {
    await ingest(bench);
    // A stamp of its own: that of the last row is one that more rows may still get.
    await systemClock.sleep(5, new AbortController().signal);
    api.post('/tables/users/records', {user_id: 3, name: 'new', email: null, country: null, signed_up_on: null});
    const verdict = await verify(bench, mode);
    expect(verdict).toMatchObject({verdict: 'unproven', missing: 0, extra: 0, changed: 0, unproven: 1});
    await ingest(bench);
    expect(await verify(bench, mode)).toMatchObject({verdict: 'equal'});
  });
});

describe('a defect is found and named', () => {
  const DEFECTS: readonly (readonly [string, string, readonly string[]])[] = [
    [
      'one bit of a number',
      'SELECT * REPLACE (CASE WHEN user_id = 9 THEN 8 ELSE user_id END AS user_id) FROM live',
      [],
    ],
    [
      'a space',
      `SELECT * REPLACE (CASE WHEN user_id = 7 THEN name || ' ' ELSE name END AS name) FROM live`,
      ['7 name'],
    ],
    [
      'NULL for empty',
      `SELECT * REPLACE (CASE WHEN user_id = 7 THEN NULL ELSE name END AS name) FROM live`,
      ['7 name'],
    ],
    [
      'swapped values',
      `SELECT * REPLACE (CASE user_id WHEN 7 THEN 'User 8' WHEN 8 THEN 'User 7' ELSE name END AS name) FROM live`,
      ['7 name', '8 name'],
    ],
    [
      'a microsecond',
      'SELECT * REPLACE (CASE WHEN user_id = 7 THEN updated_at + INTERVAL 1 MICROSECOND ELSE updated_at END AS updated_at) FROM live',
      ['7 updated_at'],
    ],
    ['a row lost', 'SELECT * FROM live WHERE user_id <> 7', []],
    ['a row twice', 'SELECT * FROM live UNION ALL SELECT * FROM live WHERE user_id = 7', []],
    ['a row more', 'SELECT * FROM live UNION ALL SELECT * REPLACE (900 AS user_id) FROM live WHERE user_id = 7', []],
  ];
  const WAYS = [
    ['SCD_TYPE_1', 'full'],
    ['SCD_TYPE_1', 'reread'],
    ['SCD_TYPE_2', 'full'],
    ['APPEND_ONLY', 'full'],
  ] as const;

  it.each(WAYS.flatMap(([scdType, mode]) => DEFECTS.map((defect) => [scdType, mode, ...defect] as const)))(
    '%s, %s: %s',
    async (scdType, mode, ...[name, sql, named]) => {
      const own = {...bench, configuration: {scdType}};
      await ingest(own);
      await rewrite(own, (live) => `WITH live AS (${live}) ${sql}`);
      const verdict = await verify(own, mode);
      const isOnlyMore = name === 'a row twice' || name === 'a row more';
      // What is only more, an append-only table or one that does not look for deletes may have.
      const isByDesign = name === 'a row more' || (isOnlyMore && scdType === 'APPEND_ONLY');
      expect(verdict.verdict).toBe(isByDesign ? 'unproven' : 'different');
      expect(verdict.missing + verdict.extra + verdict.changed).toBeGreaterThan(0);
      expect(verdict.samples.length).toBeGreaterThan(0);
      const changed = verdict.samples.filter(({kind}) => kind === 'changed');
      if (named.length > 0) expect(changed.map(({key, columns}) => `${key} ${columns.join()}`)).toEqual(named);
      else
        expect(verdict.samples.map(({key}) => key)).toContain(
          name === 'a row more' ? '900' : name.includes('bit') ? '9' : '7',
        );
    },
  );

  it('a row that was made up in a table that sees deletes', async () => {
    const own = {...bench, table: 'products'};
    await ingest(own);
    await rewrite(
      own,
      (live) =>
        `SELECT * FROM (${live}) UNION ALL SELECT * REPLACE ('P-X' AS product_id) FROM (${live}) WHERE product_id = 'P-0001'`,
    );
    expect(await verify(own)).toMatchObject({
      verdict: 'different',
      extra: 1,
      extraReason: null,
      samples: [{key: 'P-X', kind: 'extra'}],
    });
  });
});
