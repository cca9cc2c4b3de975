import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import {replayUntilNow} from '../../../test/change-log-replay.ts';
import {testContext} from '../../../test/read-context.ts';
import {typeToDdl} from '../../core/schema-ddl.ts';
import type {ColumnBatch, JsonValue} from '../../sdk/index.ts';
import {canonicalCell, parseTimestamp} from '../../sdk/index.ts';
import {SqlServerChangeLog} from './change-log.ts';
import {sqlServerCodec} from './log-codec.ts';
import {connectionOptions} from './session.ts';
import type {ModelColumnInit, ModelValue} from './simulator-database.ts';
import type {SqlServerSimulator} from './simulator.ts';
import {startSimulator} from './simulator.ts';

interface TypeCase {
  readonly column: Omit<ModelColumnInit, 'name'>;
  readonly lands: string;
  /** As the server writes it, and what lands of it, in canonical form. */
  readonly values: readonly (readonly [written: ModelValue, lands: string | null])[];
}

const BYTES = Buffer.from([0, 1, 0xff, 0x80]);
const micros = (text: string): string => String(parseTimestamp(text)?.micros);
const doubleBits = (value: number): string => {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleBE(value);
  return bytes.toString('hex');
};

const CASES: readonly TypeCase[] = [
  {
    column: {type: 'bit'},
    lands: 'BOOLEAN',
    values: [
      [true, '1'],
      [false, '0'],
    ],
  },
  {
    column: {type: 'tinyint'},
    lands: 'SMALLINT',
    values: [
      [0, '0'],
      [255, '255'],
    ],
  },
  {
    column: {type: 'smallint'},
    lands: 'SMALLINT',
    values: [
      [-32_768, '-32768'],
      [32_767, '32767'],
    ],
  },
  {
    column: {type: 'int'},
    lands: 'INT',
    values: [
      [-2_147_483_648, '-2147483648'],
      [2_147_483_647, '2147483647'],
    ],
  },
  {
    column: {type: 'bigint'},
    lands: 'BIGINT',
    values: [
      ['-9223372036854775808', '-9223372036854775808'],
      ['9223372036854775807', '9223372036854775807'],
    ],
  },
  {
    column: {type: 'decimal', precision: 38, scale: 0},
    lands: 'DECIMAL(38,0)',
    values: [
      ['-99999999999999999999999999999999999999', '-99999999999999999999999999999999999999'],
      ['12345678901234567890', '12345678901234567890'],
    ],
  },
  {
    column: {type: 'numeric', precision: 38, scale: 38},
    lands: 'DECIMAL(38,38)',
    values: [['-0.00000000000000000000000000000000000001', '-0.00000000000000000000000000000000000001']],
  },
  {
    column: {type: 'decimal', precision: 20, scale: 4},
    lands: 'DECIMAL(20,4)',
    values: [
      ['1234567890123456.7891', '1234567890123456.7891'],
      ['-0.5000', '-0.5000'],
    ],
  },
  {
    column: {type: 'decimal', precision: 4, scale: 2},
    lands: 'DECIMAL(4,2)',
    values: [
      ['-99.99', '-99.99'],
      ['0.01', '0.01'],
    ],
  },
  {column: {type: 'decimal', precision: 9, scale: 0}, lands: 'DECIMAL(9,0)', values: [['999999999', '999999999']]},
  {
    column: {type: 'money'},
    lands: 'DECIMAL(19,4)',
    values: [
      ['-922337203685477.5808', '-922337203685477.5808'],
      ['0.0001', '0.0001'],
    ],
  },
  {column: {type: 'smallmoney'}, lands: 'DECIMAL(10,4)', values: [['214748.3647', '214748.3647']]},
  {
    column: {type: 'float'},
    lands: 'DOUBLE',
    values: [
      [0.1, doubleBits(0.1)],
      [-0, doubleBits(-0)],
      [1.797_693_134_862_315_7e308, doubleBits(1.797_693_134_862_315_7e308)],
      [5e-324, doubleBits(5e-324)],
    ],
  },
  {
    column: {type: 'real'},
    lands: 'FLOAT',
    values: [
      [1.1, doubleBits(Math.fround(1.1))],
      [16_777_216, doubleBits(16_777_216)],
    ],
  },
  {
    column: {type: 'date'},
    lands: 'DATE',
    values: [
      ['0001-01-01', '-719162'],
      ['9999-12-31', '2932896'],
    ],
  },
  {column: {type: 'time', scale: 7}, lands: 'STRING', values: [['23:59:59.9999999', '23:59:59.9999999']]},
  {
    column: {type: 'datetime'},
    lands: 'TIMESTAMP_NTZ',
    values: [
      ['1753-01-01 00:00:00.000', micros('1753-01-01 00:00:00.000')],
      ['9999-12-31 23:59:59.997', micros('9999-12-31 23:59:59.997')],
    ],
  },
  {
    column: {type: 'smalldatetime'},
    lands: 'TIMESTAMP_NTZ',
    values: [['2079-06-06 23:59:00', micros('2079-06-06 23:59:00')]],
  },
  {
    column: {type: 'datetime2', scale: 7},
    lands: 'TIMESTAMP_NTZ',
    values: [
      ['0001-01-01 00:00:00.0000000', micros('0001-01-01 00:00:00')],
      // The seventh digit is cut off.
      ['9999-12-31 23:59:59.9999999', micros('9999-12-31 23:59:59.999999')],
    ],
  },
  {
    column: {type: 'datetime2', scale: 0},
    lands: 'TIMESTAMP_NTZ',
    values: [['2026-11-28 10:00:00', micros('2026-11-28 10:00:00')]],
  },
  {
    column: {type: 'datetimeoffset', scale: 7},
    lands: 'TIMESTAMP',
    values: [
      ['2026-11-28 10:00:00.1234560 +14:00', micros('2026-11-27 20:00:00.123456')],
      ['2026-11-28 10:00:00.0000000 -05:30', micros('2026-11-28 15:30:00')],
      // In UTC it lies before the year 1.
      ['0001-01-01 00:00:00.0000000 +14:00', null],
    ],
  },
  {
    column: {type: 'char', length: 4},
    lands: 'STRING',
    values: [
      ['ab  ', 'ab  '],
      ['', ''],
    ],
  },
  {column: {type: 'varchar', length: 8000}, lands: 'STRING', values: [['é'.repeat(3000), 'é'.repeat(3000)]]},
  {column: {type: 'varchar', length: -1}, lands: 'STRING', values: [['x'.repeat(70_000), 'x'.repeat(70_000)]]},
  {column: {type: 'nchar', length: 20}, lands: 'STRING', values: [['héé😀     ', 'héé😀     ']]},
  {column: {type: 'nvarchar', length: 100}, lands: 'STRING', values: [['😀\0\n', '😀\0\n']]},
  {
    column: {type: 'nvarchar', length: -1},
    lands: 'STRING',
    values: [
      ['漢'.repeat(40_000), '漢'.repeat(40_000)],
      ['', ''],
    ],
  },
  {column: {type: 'text'}, lands: 'STRING', values: [['old', 'old']]},
  {column: {type: 'ntext'}, lands: 'STRING', values: [['älter', 'älter']]},
  {column: {type: 'xml'}, lands: 'STRING', values: [['<a b="1"/>', '<a b="1"/>']]},
  {
    column: {type: 'uniqueidentifier'},
    lands: 'STRING',
    values: [['6F9619FF-8B86-D011-B42D-00C04FC964FF', '6F9619FF-8B86-D011-B42D-00C04FC964FF']],
  },
  {column: {type: 'sql_variant'}, lands: 'STRING', values: [['0.10000000000000001', '0.10000000000000001']]},
  {column: {type: 'hierarchyid'}, lands: 'STRING', values: [['/1/2.5/', '/1/2.5/']]},
  {column: {type: 'binary', length: 4}, lands: 'BINARY', values: [[BYTES, '0001ff80']]},
  {
    column: {type: 'varbinary', length: 10},
    lands: 'BINARY',
    values: [
      [BYTES, '0001ff80'],
      [Buffer.alloc(0), ''],
    ],
  },
  {column: {type: 'varbinary', length: -1}, lands: 'BINARY', values: [[Buffer.alloc(50_000, 7), '07'.repeat(50_000)]]},
  {column: {type: 'image'}, lands: 'BINARY', values: [[BYTES, '0001ff80']]},
  {
    column: {type: 'timestamp'},
    lands: 'BINARY',
    values: [[Buffer.from('00000000000007d1', 'hex'), '00000000000007d1']],
  },
  {column: {type: 'geometry'}, lands: 'BINARY', values: [[BYTES, '0001ff80']]},
  {column: {type: 'geography'}, lands: 'BINARY', values: [[BYTES, '0001ff80']]},
];

const COLUMNS = CASES.map(({column}, index): ModelColumnInit => ({...column, name: `c${index}`}));
const ROWS = Array.from({length: Math.max(...CASES.map(({values}) => values.length)) + 1}, (_, row) => ({
  // The last row is NULL everywhere.
  id: row,
  ...Object.fromEntries(CASES.map(({values}, index) => [`c${index}`, values[row]?.[0] ?? null])),
}));
const LANDED = ROWS.map((_, row) => CASES.map(({values}) => values[row]?.[1] ?? null));

const OFFSETS = `c${CASES.findIndex(({column}) => column.type === 'datetimeoffset')}`;

for (const method of ['change_tracking', 'cdc'] as const) {
  describe(`types by ${method}`, () => {
    let simulator: SqlServerSimulator;
    let source: SqlServerChangeLog;
    beforeAll(async () => {
      simulator = await startSimulator();
      simulator.database.createTable('types', [{name: 'id', type: 'int', nullable: false}, ...COLUMNS], ['id']);
      if (method === 'cdc') simulator.database.enableCapture('types', 'dbo_types');
      const options = connectionOptions({...simulator.options, change_method: method}, 'test');
      source = new SqlServerChangeLog(options, {gatewayId: 'types'});
    });
    afterAll(async () => {
      await source.close();
      await simulator[Symbol.asyncDispose]();
      expect(simulator.unknown).toEqual([]);
    });

    it('land the same through snapshots and changes, and lose nothing but what is said', async () => {
      const from = await source.prepare(['dbo.types'], testContext());
      await simulator.database.write(...ROWS.map((row) => ({table: 'types', insert: row})));
      const table = (await source.describe(['dbo.types'], testContext())).get('dbo.types');
      if (table === undefined) throw new Error('no table');
      const {schema} = sqlServerCodec.schemaOf(table);
      expect(schema.fields.slice(1).map(({type}) => typeToDdl(type))).toEqual(CASES.map(({lands}) => lands));
      const snapshot = await readSnapshot(source);
      expect(snapshot.rows).toEqual(LANDED);
      expect(snapshot.rescued).toEqual([[OFFSETS, '0001-01-01 00:00:00.0000000 +14:00']]);
      const {replay} = await replayUntilNow(source, sqlServerCodec, {from, tables: ['dbo.types']});
      const logged = replay.changes.map(({change}) =>
        schema.fields.slice(1).map(({name, type}) => landed(change.row?.[name], typeToDdl(type))),
      );
      expect(logged).toEqual(LANDED);
    });
  });
}

it('keep the seventh digit of times as text where that is asked for', async () => {
  await using simulator = await startSimulator();
  const column = {name: 'at', type: 'datetime2', scale: 7};
  simulator.database.createTable('wide', [{name: 'id', type: 'int', nullable: false}, column], ['id']);
  await simulator.database.write({table: 'wide', insert: {id: 1, at: '2026-11-28 10:00:00.1234567'}});
  const options = connectionOptions({...simulator.options, hundred_nanoseconds: 'text'}, 'test');
  const source = new SqlServerChangeLog(options, {gatewayId: 'types'});
  expect((await readSnapshot(source, 'dbo.wide')).rows).toEqual([['2026-11-28 10:00:00.1234567']]);
  await source.close();
});

async function readSnapshot(
  source: SqlServerChangeLog,
  name = 'dbo.types',
): Promise<{rows: (string | null)[][]; rescued: [string, string][]}> {
  const ctx = testContext();
  await using snapshot = await source.planSnapshot(name, ctx);
  const rows: (string | null)[][] = [];
  const rescued: [string, string][] = [];
  for (const chunk of snapshot.chunks) {
    for await (const {batch, rescued: cells = []} of sqlServerCodec.decodeChunk(
      snapshot.table,
      pieces(snapshot.readChunk(chunk, ctx)),
    )) {
      rows.push(...cellsOf(batch));
      for (const {column, text} of cells) rescued.push([column, text]);
    }
  }
  return {rows, rescued};
}

/** Staging gives bytes back as it likes. */
async function* pieces(parts: AsyncGenerator<Uint8Array, unknown>): AsyncGenerator<Uint8Array, void> {
  for await (const part of parts) for (let at = 0; at < part.length; at += 1000) yield part.subarray(at, at + 1000);
}

function cellsOf({columns, schema, rowCount}: ColumnBatch): (string | null)[][] {
  return Array.from({length: rowCount}, (_, row) =>
    columns.slice(1).map((column, index) => canonicalCell(column, row, schema.fields[index + 1]?.type ?? 'string')),
  );
}

/** A value of a change in canonical form, as a pipeline lands it. */
function landed(value: JsonValue | undefined, type: string): string | null {
  if (value === null || value === undefined) return null;
  switch (type) {
    case 'BOOLEAN':
      return value === true ? '1' : '0';
    case 'FLOAT':
    case 'DOUBLE':
      return doubleBits(type === 'FLOAT' ? Math.fround(Number(value)) : Number(value));
    case 'BINARY':
      return Buffer.from(String(value), 'base64').toString('hex');
    case 'DATE':
      return String(Date.parse(`${String(value)}T00:00:00Z`) / 86_400_000);
    case 'TIMESTAMP':
    case 'TIMESTAMP_NTZ': {
      const found = parseTimestamp(String(value));
      return found === null ? null : String(found.micros);
    }
    default:
      return String(value);
  }
}
