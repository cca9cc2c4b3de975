import {rm} from 'node:fs/promises';

import {afterEach, describe, expect, test} from 'vitest';

import {seededRandom} from '../core/clock.ts';
import {installFailpoints} from '../core/failpoint.ts';
import type {JsonObject} from '../core/json-value.ts';
import {toDdl} from '../core/schema-ddl.ts';
import {integer, long, string, struct} from '../core/schema.ts';
import type {StructType} from '../core/types.ts';
import {openTable} from '../delta/table.ts';
import {openTestLake, runConnector, type TestLake, type TestRunEnd} from '../testkit/run-connector.ts';
import {scriptedConnector, type ScriptedTable} from '../testkit/scripted-connector.ts';
import type {TableConfiguration} from './spec.ts';

afterEach(() => installFailpoints(null));

const before = struct({id: integer(), email: string(), gone: string(), s: struct({a: integer()}), at: long()});
const after = struct({
  id: long(),
  mail: string(),
  s: struct({a: integer(), b: string()}),
  fresh: string(),
  at: long(),
});

const old: readonly JsonObject[] = [1, 2, 3, 4].map((id) => ({id, email: `m${id}`, gone: 'g', s: {a: id}, at: id}));
const now: readonly JsonObject[] = [1, 2, 3, 4, 2 ** 40].map((id, at) => ({
  id,
  mail: `m${id}`,
  s: {a: at, b: `b${id}`},
  fresh: `f${id}`,
  at: at + 1,
}));

/** Pages of two rows by `at`. */
function table(schema: StructType, all: readonly JsonObject[]): ScriptedTable {
  return {
    schema,
    ingestionType: 'cdc',
    primaryKeys: ['id'],
    cursorField: 'at',
    read: (start) => {
      const rows = all.filter((row) => Number(row['at']) > Number(start?.['at'] ?? 0)).slice(0, 2);
      const last = rows.at(-1);
      return last === undefined ? {pages: [], end: start ?? {at: 0}} : {pages: [rows], end: {at: Number(last['at'])}};
    },
  };
}

const CONFIGURATION: Partial<TableConfiguration> = {
  tableProperties: {'delta.columnMapping.mode': 'name', 'delta.enableTypeWidening': 'true'},
  renamedColumns: {mail: 'email'},
  backfillNewColumns: true,
};

function run(lake: TestLake, source: ScriptedTable): Promise<TestRunEnd> {
  return runConnector(lake, {
    ...scriptedConnector({t: source}),
    tables: [{source: 't', configuration: CONFIGURATION}],
  });
}

async function result(lake: TestLake): Promise<unknown> {
  const landed = await openTable(lake.context, 'main/test/t');
  const {schema, metadata} = landed?.snapshot ?? {schema: after, metadata: {configuration: {}}};
  const properties = Object.entries(metadata.configuration).filter(([key]) => /inactive|backfill/i.test(key));
  const rows = await lake.context.engine.query(`SELECT * FROM (${await landed?.readSql()}) ORDER BY id`);
  return {ddl: toDdl(schema), properties, rows};
}

/** Runs into a failure at the given step, then again until it ends; returns whether the step was reached. */
async function failingAt(step: number | null): Promise<{readonly reached: boolean; readonly end: unknown}> {
  const lake = await openTestLake();
  try {
    await run(lake, table(before, old));
    let passed = 0;
    let reached = false;
    installFailpoints((name) => {
      passed += 1;
      if (passed !== step) return;
      reached = true;
      throw new Error(`stopped at ${name}`);
    });
    for (let attempt = 1; (await run(lake, table(after, now))).state !== 'COMPLETED'; attempt++)
      if (attempt > 3) throw new Error('the run does not end');
    return {reached, end: await result(lake)};
  } finally {
    installFailpoints(null);
    await lake[Symbol.asyncDispose]();
    await rm(lake.folder, {recursive: true, force: true});
  }
}

describe('a run that evolves a table', () => {
  test('ends alike wherever it is stopped on its way', async () => {
    const {end: whole} = await failingAt(null);
    expect(whole).toMatchObject({
      ddl: 'id BIGINT, mail STRING, gone STRING, s STRUCT<a: INT, b: STRING>, at BIGINT, fresh STRING, _rescued_data STRING',
      properties: [['sluice.inactiveColumns', '["gone"]']],
      rows: [1, 2, 3, 4, 2 ** 40].map((id) => ({id: BigInt(id), mail: `m${id}`, fresh: `f${id}`})),
    });
    const seed = Number(process.hrtime.bigint() % 1_000_000n);
    const random = seededRandom(seed);
    for (let round = 0; round < 6; round++) {
      const step = 1 + Math.floor(random() * 60);
      const {end} = await failingAt(step);
      expect(end, `seed ${seed}, step ${step}`).toEqual(whole);
    }
  }, 60_000);
});
