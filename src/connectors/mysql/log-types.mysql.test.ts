import {describe, expect, inject, it} from 'vitest';

import {replayUntilNow} from '../../../test/change-log-replay.ts';
import {createMysqlDatabase} from '../../../test/mysql-database.ts';
import type {MysqlKind} from '../../../test/mysql-server.ts';
import {mysqlKinds, needMysql} from '../../../test/mysql.ts';
import {testContext} from '../../../test/read-context.ts';
import {createCoercer} from '../../core/coerce.ts';
import type {JsonObject, LogTable, RescuedCell} from '../../sdk/index.ts';
import {canonicalCell, typeToDdl} from '../../sdk/index.ts';
import {MysqlChangeLog} from './change-log.ts';
import {binlogCodec} from './log-codec.ts';
import {connectionOptions} from './session.ts';

/** Source type, landed type, SQL values. NULL is added to each. */
type TypeCase = readonly [type: string, landed: string, values: readonly string[]];

const DIGITS_65 = '9'.repeat(35);
const COMMON: readonly TypeCase[] = [
  ['tinyint', 'SMALLINT', ['0', '-128', '127']],
  ['tinyint unsigned', 'SMALLINT', ['0', '128', '255']],
  ['tinyint(1)', 'SMALLINT', ['0', '1', '2']],
  ['bool', 'SMALLINT', ['true', 'false']],
  ['smallint', 'SMALLINT', ['-32768', '32767']],
  ['smallint unsigned', 'INT', ['0', '65535']],
  ['mediumint', 'INT', ['-8388608', '8388607', '-1']],
  ['mediumint unsigned', 'INT', ['0', '16777215']],
  ['int', 'INT', ['-2147483648', '2147483647', '0']],
  ['int unsigned', 'BIGINT', ['0', '4294967295']],
  ['int(5) zerofill', 'BIGINT', ['7']],
  ['bigint', 'BIGINT', ['-9223372036854775808', '9223372036854775807', '9007199254740993', '-1', '-9007199254740993']],
  ['bigint unsigned', 'DECIMAL(20,0)', ['0', '18446744073709551615', '9223372036854775808', '9007199254740993']],
  ['float', 'FLOAT', ['1.1', '16777217', '-0.5', '1e-38', '3.4e38', '0']],
  ['float unsigned', 'FLOAT', ['1.1']],
  ['double', 'DOUBLE', ['1.1', '1.7976931348623157e308', '-2.2250738585072014e-308', '0.1', '-0']],
  ['double(10,3)', 'DOUBLE', ['1234.567']],
  ['decimal(4,0)', 'DECIMAL(4,0)', ['9999', '-9999', '0']],
  ['decimal(9,3)', 'DECIMAL(9,3)', ['999999.999', '-999999.999', '0.001', '-0.001', '10']],
  ['decimal(10,2) unsigned', 'DECIMAL(10,2)', ['99999999.99', '0']],
  ['decimal(18,6)', 'DECIMAL(18,6)', ['999999999999.999999', '-0.000001', '123456789.5']],
  ['decimal(18,0)', 'DECIMAL(18,0)', ['999999999999999999', '-999999999999999999', '9007199254740993']],
  [
    'decimal(38,10)',
    'DECIMAL(38,10)',
    [`${'9'.repeat(28)}.9999999999`, `-${'9'.repeat(28)}.9999999999`, '0.0000000001'],
  ],
  ['decimal(38,0)', 'DECIMAL(38,0)', ['9'.repeat(38), '-1', '18446744073709551616']],
  ['decimal(65,30)', 'STRING', [`${DIGITS_65}.${'9'.repeat(30)}`, '-1.5', '0']],
  ['bit(1)', 'BOOLEAN', ["b'0'", "b'1'"]],
  ['bit(9)', 'BINARY', ["b'1'", "b'111111111'", "b'0'"]],
  ['bit(64)', 'BINARY', ['18446744073709551615', '1']],
  ['year', 'STRING', ['2024', '1901', '2155', "'0000'"]],
  [
    'date',
    'DATE',
    [
      "'2024-02-29'",
      "'1970-01-01'",
      "'1000-01-01'",
      "'9999-12-31'",
      "'0000-00-00'",
      "'2024-00-00'",
      "'2024-02-00'",
      "'0001-01-01'",
    ],
  ],
  [
    'datetime',
    'TIMESTAMP_NTZ',
    [
      "'2024-02-29 23:59:59'",
      "'0000-00-00 00:00:00'",
      "'1000-01-01 00:00:00'",
      "'9999-12-31 23:59:59'",
      "'2024-01-00 01:02:03'",
    ],
  ],
  ['datetime(3)', 'TIMESTAMP_NTZ', ["'2024-02-29 23:59:59.123'", "'1969-12-31 23:59:59.999'", "'0000-00-00'"]],
  [
    'datetime(6)',
    'TIMESTAMP_NTZ',
    ["'2024-02-29 23:59:59.123456'", "'9999-12-31 23:59:59.999999'", "'2024-01-01'", "'0000-00-00'"],
  ],
  [
    'timestamp null',
    'TIMESTAMP',
    ["'2024-02-29 23:59:59'", "'1970-01-01 03:00:01'", "'2038-01-19 03:14:07'", "'0000-00-00 00:00:00'"],
  ],
  ['timestamp(1) null', 'TIMESTAMP', ["'2024-02-29 23:59:59.9'", "'0000-00-00 00:00:00'"]],
  ['timestamp(4) null', 'TIMESTAMP', ["'2024-02-29 23:59:59.1234'"]],
  ['timestamp(6) null', 'TIMESTAMP', ["'2024-02-29 23:59:59.000001'", "'2024-03-31 02:30:00'"]],
  ['time', 'STRING', ["'838:59:59'", "'-838:59:59'", "'00:00:00'", "'12:34:56'", "'-00:00:01'"]],
  ['time(2)', 'STRING', ["'-00:00:00.01'", "'12:34:56.78'", "'-12:34:56.78'"]],
  ['time(3)', 'STRING', ["'-838:59:58.999'", "'00:00:00.001'"]],
  ['time(6)', 'STRING', ["'-00:00:00.000001'", "'838:59:58.999999'", "'100:00:00'"]],
  ['char(10)', 'STRING', ["'abc'", "''", "'ä😀'", "'a  '"]],
  ['char(255)', 'STRING', ["repeat('😀', 255)", "'x'"]],
  ['varchar(20)', 'STRING', ["'ä😀\\\\'", "''", "' a '"]],
  ['varchar(1000)', 'STRING', ["repeat('ab', 500)", "''"]],
  ['varchar(20) character set latin1', 'STRING', ["'äöü€'", "'abc'"]],
  ['varchar(20) character set cp1251', 'STRING', ["'привет'"]],
  ['varchar(20) character set greek', 'STRING', ["'αβγ'"]],
  ['varchar(20) character set gbk', 'STRING', ["'中文'"]],
  ['varchar(20) character set big5', 'STRING', ["'中文'"]],
  ['varchar(20) character set sjis', 'STRING', ["'日本語'"]],
  ['varchar(20) character set ujis', 'STRING', ["'日本語'"]],
  ['varchar(20) character set euckr', 'STRING', ["'한국어'"]],
  ['varchar(20) character set utf16', 'STRING', ["'ä😀'"]],
  ['varchar(20) character set utf16le', 'STRING', ["'ä😀'"]],
  ['varchar(20) character set utf32', 'STRING', ["'ä😀'"]],
  ['varchar(20) character set ucs2', 'STRING', ["'äЖ'"]],
  ['varchar(20) character set ascii', 'STRING', ["'abc'"]],
  ['varchar(20) character set cp850', 'STRING', ["'äéñ'"]],
  ['varchar(20) character set utf8mb3', 'STRING', ["'äЖ中'"]],
  ['tinytext', 'STRING', ["'abc'"]],
  ['text', 'STRING', ["repeat('x', 60000)", "'ä'", "''"]],
  ['mediumtext', 'STRING', ["repeat('y', 70000)"]],
  ['longtext', 'STRING', ["'l'"]],
  ['text character set latin1', 'STRING', ["'äöü'"]],
  ['binary(4)', 'BINARY', ["x'00010000'", "x'01'", "x''", "x'ffffffff'"]],
  ['binary(16)', 'BINARY', ["x'00112233445566778899aabbccddee00'"]],
  ['binary(255)', 'BINARY', ["x'0100'"]],
  ['varbinary(10)', 'BINARY', ["x'000100'", "x''"]],
  ['varbinary(300)', 'BINARY', ["x'000100'"]],
  ['tinyblob', 'BINARY', ["x'00ff'"]],
  ['blob', 'BINARY', ["x'00ff80'", "repeat('b', 3000)"]],
  ['mediumblob', 'BINARY', ["repeat('b', 70000)"]],
  ['longblob', 'BINARY', ["x'c3'"]],
  ["enum('a','ö','it''s','x,y')", 'STRING', ["'a'", "'ö'", "'it''s'", "'x,y'", "''"]],
  [`enum(${Array.from({length: 300}, (_, index) => `'e${index}'`).join(',')})`, 'STRING', ["'e0'", "'e299'"]],
  ["enum('a','ä') character set latin1", 'STRING', ["'ä'"]],
  ["set('a','b','ö')", 'STRING', ["'a'", "'a,ö'", "''", "'a,b,ö'"]],
  [`set(${Array.from({length: 64}, (_, index) => `'s${index}'`).join(',')})`, 'STRING', ["'s0,s63'", "'s40'"]],
  [
    'json',
    'STRING',
    [`'{"b": 1, "a": [1, 2.5, true, null, "x\\\\"y"]}'`, `'[]'`, `'"text"'`, `'12345678901234567890'`, 'null'],
  ],
  ['point', 'BINARY', ['point(1, 2)']],
  ['geometry', 'BINARY', ["st_geomfromtext('LINESTRING(0 0,1 1)')"]],
];
const ONLY: Readonly<Record<MysqlKind, readonly TypeCase[]>> = {
  mariadb: [
    [
      'uuid',
      'STRING',
      [
        "'123e4567-e89b-12d3-a456-426655440000'",
        "'00000000-0000-0000-0000-000000000000'",
        "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
        "'f47ac10b-58cc-4372-a567-0e02b2c3d479'",
        "'01890a5d-ac96-774b-bcce-b302099a8057'",
        "'1ec9414c-232a-6b00-b3c8-9e6bdeced846'",
        "'320c3d4d-cc00-875b-8ec9-32d5f69181c0'",
        "'12345678-0000-0000-0000-000000000000'",
      ],
    ],
    [
      'inet6',
      'STRING',
      [
        "'::'",
        "'::1'",
        "'2001:db8::ff00:42:8329'",
        "'::ffff:192.0.2.128'",
        "'1:2:3:4:5:6:7:8'",
        "'2001:db8:0:1:1:1:1:0'",
        "'fe80::'",
        "'::192.0.2.1'",
      ],
    ],
    ['inet4', 'STRING', ["'0.0.0.0'", "'192.0.2.10'", "'255.255.255.255'"]],
    ['varchar(2000) compressed', 'STRING', ["repeat('ab', 900)", "'x'", "''"]],
    ['blob compressed', 'BINARY', ["repeat('ab', 900)", "x'00'"]],
    ['text compressed', 'STRING', ["repeat('ä', 900)"]],
    ['varchar(20) character set cp1250', 'STRING', ["'ěšč'"]],
  ],
  mysql: [
    [
      'json',
      'STRING',
      [
        `'{"z": -1, "aa": 1.0, "b": 1e100, "c": 1e-7, "d": 123456789.125, "e": 1e15, "f": 0.1, "g": -0.0}'`,
        "json_object('d', cast(1.50 as decimal(10,2)), 't', cast('12:34:56.5' as time(6)), 'dt', cast('2024-02-29 01:02:03.000004' as datetime(6)), 'day', cast('2024-02-29' as date))",
        'json_array(18446744073709551615, -9223372036854775808, 65536, -32769, 4294967296)',
        "json_object('k', repeat('x', 70000), 'n', json_array(1, 2, json_object('q', 'ä😀\\n\\t\\u0001')))",
        `'true'`,
        `'1.5'`,
      ],
    ],
    ['vector(3)', 'BINARY', ["string_to_vector('[1,2,3.5]')"]],
    ['varchar(20) character set gb18030', 'STRING', ["'中文😀'"]],
  ],
};

/** Values, in the order of rows, and what was rescued. */
interface Landed {
  readonly cells: readonly (string | null)[];
  readonly rescued: ReadonlyMap<number, string>;
}

for (const kind of mysqlKinds()) {
  describe(kind, () => {
    it('gives every type the same value through snapshot and log, and describes it alike', async (context) => {
      needMysql(context, kind);
      await using database = await createMysqlDatabase(inject('mysqlUrls')[kind] ?? '', 'log_types');
      const source = new MysqlChangeLog(connectionOptions(database.options, 'test'), {gatewayId: 'log_types'});
      const cases = [...COMMON, ...ONLY[kind]];
      await database.run(`set names utf8mb4; set sql_mode = ''`);
      for (const [index, [type]] of cases.entries()) {
        const clause = type.includes('null') ? type : `${type} null`;
        await database.run(`create table t${index} (id int primary key, v ${clause})`);
      }
      const names = cases.map((_, index) => `log_types.t${index}`);
      const from = await source.prepare(names, testContext());
      for (const [index, [, , values]] of cases.entries()) {
        const rows = [...values, 'null'].map((value, id) => `(${id}, ${value})`);
        await database.run(`insert into t${index} values ${rows.join(', ')}`);
      }
      const {replay} = await replayUntilNow(source, binlogCodec, {from, tables: names});
      const described = await source.describe(names, testContext());
      const wrong: string[] = [];
      for (const [index, [type, landed, values]] of cases.entries()) {
        const table = replay.tables.get(described.get(`log_types.t${index}`)?.id ?? 0);
        if (table === undefined) throw new Error(`no rows of ${type}`);
        const ddl = typeToDdl(binlogCodec.schemaOf(table).schema.fields[1]?.type ?? 'string');
        const rows = replay.changes
          .filter((logged) => logged.table.id === table.id)
          .map(({change}) => change.row ?? {});
        const [log, snapshot] = [fromLog(table, rows), await fromSnapshot(source, `log_types.t${index}`)];
        const complaints = [
          ddl !== landed && `lands as ${ddl}, not ${landed}`,
          JSON.stringify(described.get(`log_types.t${index}`)) !== JSON.stringify(table) &&
            `catalog ${JSON.stringify(described.get(`log_types.t${index}`)?.columns[1])} log ${JSON.stringify(table.columns[1])}`,
          JSON.stringify([log.cells, [...log.rescued]]) !== JSON.stringify([snapshot.cells, [...snapshot.rescued]]) &&
            `log ${JSON.stringify([log.cells, [...log.rescued]]).slice(0, 400)} snapshot ${JSON.stringify([snapshot.cells, [...snapshot.rescued]]).slice(0, 400)}`,
          log.cells.length !== values.length + 1 && `${log.cells.length} rows`,
          log.cells.at(-1) !== null && 'NULL is lost',
          log.cells.some(
            (cell, row) => cell === null && row < values.length && values[row] !== 'null' && !log.rescued.has(row),
          ) && 'a value is lost',
        ];
        for (const complaint of complaints)
          if (typeof complaint === 'string') wrong.push(`${type.slice(0, 60)}: ${complaint}`);
      }
      await source.close();
      expect(wrong).toEqual([]);
    });
  });
}

function fromLog(table: LogTable, rows: readonly JsonObject[]): Landed {
  const {schema, primaryKeys} = binlogCodec.schemaOf(table);
  const fields = [...schema.fields, {name: '_rescued_data', type: 'string', nullable: true, metadata: {}} as const];
  const coercer = createCoercer({type: 'struct', fields}, {keys: primaryKeys, rescue: true});
  for (const row of rows) expect(coercer.add(row)).toBe(true);
  const {batch} = coercer.take();
  const [, values, rescued] = batch.columns;
  const type = schema.fields[1]?.type;
  if (values === undefined || rescued === undefined || type === undefined) throw new Error('columns are missing');
  const texts = new Map<number, string>();
  for (let row = 0; row < batch.rowCount; row++) {
    const json = canonicalCell(rescued, row, 'string');
    if (json !== null) texts.set(row, String((JSON.parse(json) as {v: unknown}).v));
  }
  return {cells: Array.from({length: batch.rowCount}, (_, row) => canonicalCell(values, row, type)), rescued: texts};
}

async function fromSnapshot(source: MysqlChangeLog, name: string): Promise<Landed> {
  const ctx = testContext();
  await using snapshot = await source.planSnapshot(name, ctx);
  const cells: (string | null)[] = [];
  const rescued = new Map<number, string>();
  for (const chunk of snapshot.chunks) {
    const decoded = binlogCodec.decodeChunk(snapshot.table, snapshot.readChunk(chunk, ctx));
    for await (const {batch, rescued: cellsRescued = []} of decoded) {
      const type = batch.schema.fields[1]?.type;
      const values = batch.columns[1];
      if (type === undefined || values === undefined) throw new Error('columns are missing');
      for (const {row, text} of cellsRescued as readonly RescuedCell[]) rescued.set(cells.length + row, text);
      for (let row = 0; row < batch.rowCount; row++) cells.push(canonicalCell(values, row, type));
    }
  }
  return {cells, rescued};
}
