/** SQL that makes the types of {@link matrixOf} that no server has. */
export const TYPES_SQL = `
    create type mood as enum ('sad', 'ok', 'happy', 'ä,''"');
    create type pair as (a int, b text);
    create domain positive as numeric(12,2) check (value > 0);
    create domain nested_domain as positive;
    create domain short_text as varchar(20);
    create extension citext; create extension hstore; create extension ltree;
  `;

const BIG = '9'.repeat(36);
const MATRIX: readonly (readonly [string, string, readonly string[]])[] = [
  ['bool', 'boolean', ['true', 'false']],
  ['int2', 'short', ['0', '-32768', '32767', '-1', '256']],
  ['int4', 'integer', ['0', '-2147483648', '2147483647', '-1', '65536']],
  [
    'int8',
    'long',
    ['0', '-9223372036854775808', '9223372036854775807', '-1', '4294967296', '9007199254740993', '-4294967296'],
  ],
  ['oid', 'long', ['0', '1', '4294967295', '2147483648']],
  ['float4', 'float', ["'NaN'", "'Infinity'", "'-Infinity'", "'-0'", '0', '1.1', '1e-45', '3.4028235e38', '16777217']],
  [
    'float8',
    'double',
    [
      "'NaN'",
      "'Infinity'",
      "'-Infinity'",
      "'-0'",
      '0',
      '0.1',
      '5e-324',
      '1.7976931348623157e308',
      '2417851639229258349412352',
      '9007199254740993',
    ],
  ],
  ['numeric(4,0)', 'decimal(4,0)', ['0', '9999', '-9999', '1000']],
  ['numeric(4,4)', 'decimal(4,4)', ['0', '0.9999', '-0.0001', '0.1', "'NaN'"]],
  ['numeric(9,3)', 'decimal(9,3)', ['0', '999999.999', '-999999.999', '0.001', '10000', '-0.1', "'NaN'"]],
  [
    'numeric(12,2)',
    'decimal(12,2)',
    ['0', '9999999999.99', '-9999999999.99', '0.01', '1234.5', '10000', '100000000', "'NaN'"],
  ],
  [
    'numeric(18,0)',
    'decimal(18,0)',
    [
      '0',
      '999999999999999999',
      '-999999999999999999',
      '9007199254740992',
      '9007199254740991',
      '-9007199254740993',
      '100000000000000000',
    ],
  ],
  [
    'numeric(18,6)',
    'decimal(18,6)',
    ['0.000001', '-123456789012.123456', '999999999999.999999', '4294967296', '-4294967296.000001'],
  ],
  ['numeric(18,18)', 'decimal(18,18)', ['0', '0.999999999999999999', '-0.000000000000000001']],
  [
    'numeric(38,0)',
    'decimal(38,0)',
    [
      '0',
      '99999999999999999999999999999999999999',
      '-99999999999999999999999999999999999999',
      '18446744073709551616',
      '-18446744073709551615',
      '-1',
    ],
  ],
  [
    'numeric(38,10)',
    'decimal(38,10)',
    [`${'9'.repeat(28)}.9999999999`, `-${'9'.repeat(28)}.9999999999`, '0.0000000001', '12345', "'NaN'"],
  ],
  ['numeric(38,38)', 'decimal(38,38)', [`0.${'9'.repeat(38)}`, `-0.${'0'.repeat(37)}1`]],
  ['numeric(5,-2)', 'decimal(7,0)', ['0', '9999900', '-12345', '100']],
  ['numeric(3,5)', 'decimal(5,5)', ['0', '0.00999', '-0.00001']],
  ['numeric', 'string', ['0', '0.00', '1.500', `${BIG}${BIG}.${BIG}`, "'NaN'", "'Infinity'", "'-Infinity'", '1e-20']],
  ['numeric(60,5)', 'string', [`${BIG}.00001`, '-1']],
  [
    'date',
    'date',
    [
      "'2024-02-29'",
      "'1970-01-01'",
      "'1969-12-31'",
      "'0001-01-01'",
      "'0044-03-15 BC'",
      "'4713-01-01 BC'",
      "'5874897-12-31'",
      "'infinity'",
      "'-infinity'",
      "'10000-01-01'",
    ],
  ],
  [
    'timestamp',
    'timestamp_ntz',
    [
      "'2024-02-29 23:59:59.999999'",
      "'1970-01-01'",
      "'1969-12-31 23:59:59.999999'",
      "'0001-01-01'",
      "'4713-01-01 BC'",
      "'infinity'",
      "'-infinity'",
      "'294247-01-10 04:00:54.775806'",
      "'294247-01-10 04:00:54.775807'",
      "'294276-12-31 23:59:59.999999'",
      "'10000-01-01'",
    ],
  ],
  [
    'timestamptz',
    'timestamp',
    [
      "'2024-02-29 23:59:59.999999+05:45'",
      "'1970-01-01Z'",
      "'1969-12-31 23:59:59.999999Z'",
      "'0001-01-01Z'",
      "'4713-01-02 BC'",
      "'infinity'",
      "'-infinity'",
      "'294247-01-10 04:00:54.775806Z'",
      "'294247-01-10 04:00:54.775807Z'",
      "'294276-12-31 23:59:59.5Z'",
    ],
  ],
  ['timestamp(0)', 'timestamp_ntz', ["'2024-02-29 23:59:59.6'"]],
  [
    'text',
    'string',
    ["''", "'a'", "'ä€😀'", "' pad '", "E'line\\nfeed\\\\'", "repeat('x', 300000)", "'12345678901234567890'"],
  ],
  ['varchar(20)', 'string', ["''", "'ä,b'", "'trailing  '"]],
  ['char(5)', 'string', ["''", "'ab'", "'abcde'", "'ä'"]],
  ['name', 'string', ["''", "'pg_class'"]],
  ['"char"', 'string', ["'a'", "''"]],
  ['json', 'string', [`'{"a": 1,  "b":[1.10]}'`, "'null'", `'"x"'`]],
  ['jsonb', 'string', [`'{"b": 1, "a":[1.10, 1e400]}'`, "'null'", "'{}'", `'"ä"'`]],
  [
    'uuid',
    'string',
    [
      "'00000000-0000-0000-0000-000000000000'",
      "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'",
      "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
    ],
  ],
  ['bytea', 'binary', ["''", "'\\x00'", "'\\xdeadbeef'", "decode(repeat('00ff', 5000), 'hex')"]],
  ['time', 'string', ["'24:00:00'", "'00:00:00.000001'"]],
  ['timetz', 'string', ["'24:00:00+05:30'", "'01:02:03.5-15:59:59'"]],
  ['interval', 'string', ["'1 year 2 mons -3 days 04:05:06.789'", "'infinity'", "'0'"]],
  ['money', 'string', ["'-12.5'", "'92233720368547758.07'"]],
  ['bit(5)', 'string', ["B'01010'"]],
  ['varbit', 'string', ["B''", "B'1'"]],
  ['inet', 'string', ["'10.0.0.1'", "'10.0.0.1/8'", "'::1'"]],
  ['cidr', 'string', ["'10.0.0.0/8'"]],
  ['macaddr', 'string', ["'08:00:2b:01:02:03'"]],
  ['xml', 'string', ["'<a>ä</a>'", '\'<?xml version="1.0"?><a/>\'']],
  ['tsvector', 'string', ["'fat:2 cat:3'"]],
  ['point', 'string', ["'(1,2.5)'"]],
  ['int4[]', 'string', ["'{}'", "'{1,NULL,3}'", "'[0:1]={7,8}'", "'{{1,2},{3,4}}'"]],
  ['text[]', 'string', [`'{"a,b",NULL,"NULL",""}'`]],
  ['int4range', 'string', ["'empty'", "'[1,5)'", "'(,)'"]],
  ['nummultirange', 'string', ["'{[1,2),[3,4)}'"]],
  ['pg_lsn', 'string', ["'16/B374D848'"]],
  ['xid8', 'string', ["'18446744073709551615'"]],
  ['mood', 'string', ["'sad'", "'ä,''\"'"]],
  ['mood[]', 'string', ["'{sad,ok}'"]],
  ['pair', 'string', ['row(1, null)', 'row(null, null)', "row(2, 'x,y')"]],
  ['positive', 'decimal(12,2)', ['0.01', '9999999999.99']],
  ['nested_domain', 'decimal(12,2)', ['1']],
  ['short_text', 'string', ["'abc'"]],
  ['citext', 'string', ["'AbC'"]],
  ['hstore', 'string', ["'a=>1, b=>NULL'"]],
  ['ltree', 'string', ["'Top.Science'"]],
];

/** Scales below zero and above the precision. @see https://www.postgresql.org/docs/15/release-15.html */
const NUMERIC_SCALES_OF_15: ReadonlySet<string> = new Set(['numeric(5,-2)', 'numeric(3,5)']);

/** Source type, landed type, and SQL values, to which tests add NULL: those that a version of the server has. */
export function matrixOf(version: number): typeof MATRIX {
  return MATRIX.filter(([type]) => version >= 15 || !NUMERIC_SCALES_OF_15.has(type)).map(([type, landed, values]) => [
    type,
    landed,
    version < 17 && type === 'interval' ? values.filter((value) => value !== "'infinity'") : values,
  ]);
}
