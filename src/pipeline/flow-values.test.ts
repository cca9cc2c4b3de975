import {rm} from 'node:fs/promises';

import {afterEach, beforeEach, describe, expect, test} from 'vitest';

import {parseJson} from '../core/json-reader.ts';
import type {JsonObject, JsonValue} from '../core/json-value.ts';
import {
  binary,
  boolean,
  byte,
  date,
  decimal,
  double,
  float,
  long,
  short,
  string,
  struct,
  timestamp,
  timestampNtz,
  type Column,
} from '../core/schema.ts';
import {openTable} from '../delta/table.ts';
import type {EngineRow} from '../engine/engine.ts';
import {openTestLake, runConnector, type TestLake, type TestRunEnd, type TestTable} from '../testkit/run-connector.ts';
import {batches, scriptedConnector, type ScriptedTable} from '../testkit/scripted-connector.ts';

let lake: TestLake;
beforeEach(async () => {
  lake = await openTestLake();
});
afterEach(async () => {
  await lake[Symbol.asyncDispose]();
  await rm(lake.folder, {recursive: true, force: true});
});

async function run(
  table: ScriptedTable,
  options: Partial<TestTable> & {readonly fullRefresh?: boolean} = {},
): Promise<TestRunEnd> {
  const {fullRefresh = false, ...rest} = options;
  return runConnector(lake, {...scriptedConnector({t: table}), tables: [{source: 't', ...rest}], fullRefresh});
}

async function rows(order = 'note'): Promise<readonly EngineRow[]> {
  const table = await openTable(lake.context, 'main/test/t');
  if (table === null) throw new Error('no table');
  return lake.context.engine.query(`SELECT * FROM (${await table.readSql()}) ORDER BY ${order}`);
}

const LONG_TEXT = 'x'.repeat(40);

/** Values that are all different, by the type of their column. */
const VALUES: Readonly<Record<string, readonly [Column, string]>> = {
  long: [long(), '[-9223372036854775808, -9007199254740993, -1, 0, 9007199254740993, 9223372036854775807]'],
  short: [short(), '[-32768, 0, 32767]'],
  byte: [byte(), '[-128, 0, 127]'],
  boolean: [boolean(), '[true, false]'],
  float: [float(), '[0.1, 0.3, 16777217.5, 3.4e38, -0.7, 1e-40, "Infinity", "-Infinity", "NaN"]'],
  double: [double(), '[0.1, 1e308, 5e-324, -0.7, 9007199254740993.0, "Infinity", "-Infinity", "NaN"]'],
  decimal: [
    decimal(38, 10),
    '[1234567890123456789012345678.0123456789, -1234567890123456789012345678.0123456789, 0.0000000001, 0]',
  ],
  wide: [decimal(38, 0), '[99999999999999999999999999999999999999, -99999999999999999999999999999999999999]'],
  text: [
    string(),
    JSON.stringify([
      '',
      ' ',
      'a',
      'A',
      'ä',
      'a\u0308',
      '\u{1F600}',
      '\uFFFF',
      LONG_TEXT,
      `${LONG_TEXT}y`,
      "it's",
      '"',
      '\\',
      '\n',
      'null',
      'NULL',
      '\u0001',
      '\u{10FFFF}',
      `${'\u{10FFFF}'.repeat(40)}`,
      'x\u0000y',
    ]),
  ],
  binary: [binary(), '["", "AA==", "AAA=", "/////w==", "QQ=="]'],
  date: [date(), '["0001-01-01", "1582-10-04", "1969-12-31", "1970-01-01", "9999-12-31"]'],
  timestamp: [
    timestamp(),
    '["0001-01-01T00:00:00Z", "1969-12-31T23:59:59.999999Z", "1970-01-01T00:00:00.000001Z", "2024-02-29T12:00:00.123456Z", "9999-12-31T23:59:59.999999Z"]',
  ],
  timestamp_ntz: [
    timestampNtz(),
    '["0001-01-01T00:00:00", "1969-12-31T23:59:59.999999", "1900-01-01T00:00:00.0005", "9999-12-31T23:59:59.999999"]',
  ],
};

function valuesOf(type: string): readonly JsonValue[] {
  return parseJson(VALUES[type]?.[1] ?? '[]') as readonly JsonValue[];
}

function tableOf(
  type: string,
  all: readonly (readonly JsonObject[])[],
  more: Partial<ScriptedTable> = {},
): ScriptedTable {
  const column = VALUES[type]?.[0] ?? string();
  return {
    schema: struct({k: column, note: string(), at: long()}),
    ingestionType: 'cdc',
    primaryKeys: ['k'],
    cursorField: 'at',
    read: batches(all),
    ...more,
  };
}

describe('keys', () => {
  for (const deletionVectors of ['true', 'false'] as const) {
    test.each(Object.keys(VALUES))(
      `of type %s are found again one by one (deletion vectors ${deletionVectors})`,
      async (type) => {
        const values = valuesOf(type);
        const first = values.map((k, at) => ({k, note: `old ${at}`, at: 1}));
        const again = values.map((k, at) => [{k, note: `new ${at}`, at: 2}]);
        const end = await run(tableOf(type, [first, ...again]), {configuration: {deletionVectors}});
        expect(end).toMatchObject({
          state: 'COMPLETED',
          flows: [{rowsInserted: values.length, rowsUpdated: values.length, quarantinedRows: 0, rescuedValues: 0}],
        });
        expect((await rows()).map((row) => row['note'])).toEqual(
          again
            .flat()
            .map((row) => row.note)
            .sort(),
        );
      },
    );
  }

  test.each(Object.keys(VALUES))('of type %s are told apart in a snapshot', async (type) => {
    const values = valuesOf(type);
    let note = 'a';
    const whole = tableOf(type, [], {
      ingestionType: 'snapshot',
      read: () => ({pages: [values.map((k) => ({k, note, at: 1}))], end: null}),
    });
    expect(await run(whole)).toMatchObject({state: 'COMPLETED', flows: [{rowsInserted: values.length}]});
    note = 'b';
    expect(await run(whole)).toMatchObject({
      state: 'COMPLETED',
      flows: [{rowsInserted: 0, rowsUpdated: values.length, rowsDeleted: 0}],
    });
  });
});

describe('sequences', () => {
  test.each(['long', 'short', 'float', 'double', 'decimal', 'text', 'binary', 'date', 'timestamp', 'timestamp_ntz'])(
    'of type %s order changes, NULL lowest, whatever the batches',
    async (type) => {
      const column = VALUES[type]?.[0] ?? string();
      const values = valuesOf(type);
      const table = (all: readonly (readonly JsonObject[])[]): ScriptedTable => ({
        schema: struct({id: long(), s: column}),
        ingestionType: 'cdc',
        primaryKeys: ['id'],
        cursorField: 's',
        read: batches(all),
      });
      const all = table([
        [...values].map((s) => ({id: 1, s})),
        [{id: 1, s: null}],
        ...values.map((s) => [{id: 2, s}]),
        [{id: 2, s: null}],
      ]);
      // A timestamp after now ends the trigger, and the next one goes on.
      for (let trigger = 0; trigger <= values.length; trigger++) await run(all);
      const [one, two, ...rest] = await rows('id');
      expect(rest).toEqual([]);
      expect(two?.['s']).toEqual(one?.['s']);
      expect(one?.['s']).not.toBeNull();
    },
  );
});
