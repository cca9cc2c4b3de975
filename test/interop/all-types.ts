import type {DataType, StructType} from '../../src/core/types.ts';
import type {Row, Value} from './values.ts';

/** A column of one type with values at its edges; null is added to each. */
interface Edges {
  readonly name: string;
  readonly type: DataType;
  readonly values: readonly Value[];
}

const day = (iso: string): string => String(Date.parse(`${iso}T00:00:00Z`) / 86_400_000);
const micros = (iso: string): string => {
  const [seconds = '', fraction = ''] = iso.split('.');
  return String(BigInt(Date.parse(`${seconds}Z`)) * 1000n + BigInt(fraction.padEnd(6, '0')));
};
const decimal = (precision: number, scale: number): DataType => ({type: 'decimal', precision, scale});
const nullable = (name: string, type: DataType): StructType['fields'][number] => ({
  name,
  type,
  nullable: true,
  metadata: {},
});

const instants = [
  '0001-01-01T00:00:00',
  '1582-10-10T01:02:03.4',
  '1969-12-31T23:59:59.999999',
  '2024-02-29T12:34:56.789012',
  '9999-12-31T23:59:59.999999',
];
const words = [
  '',
  ' ',
  'o\'clock "quoted" \\ back',
  'two\nlines\ttab',
  'Žluťoučký kůň 日本語',
  '😀\u{10FFFF}',
  'x'.repeat(300),
  'ž'.repeat(300),
  '\u0001',
];

const person: StructType = {
  type: 'struct',
  fields: [
    nullable('name', 'string'),
    nullable('seen', {type: 'array', elementType: 'timestamp', containsNull: true}),
    nullable('home', {type: 'struct', fields: [nullable('zip', 'string'), nullable('since', 'date')]}),
  ],
};

const columns: readonly Edges[] = [
  {name: 'boolean', type: 'boolean', values: [true, false]},
  {name: 'byte', type: 'byte', values: ['-128', '127', '0']},
  {name: 'short', type: 'short', values: ['-32768', '32767']},
  {name: 'integer', type: 'integer', values: ['-2147483648', '2147483647']},
  {name: 'long', type: 'long', values: ['-9223372036854775808', '9223372036854775807', '9007199254740993']},
  {
    name: 'float',
    type: 'float',
    values: [1.5, -0, Number.NaN, Infinity, -Infinity, 3.4028234663852886e38, 1.401298464324817e-45],
  },
  {
    name: 'double',
    type: 'double',
    values: [0.1, -0, Number.NaN, Infinity, -Infinity, Number.MAX_VALUE, Number.MIN_VALUE],
  },
  {name: 'plain_double', type: 'double', values: [0.1, -1e300, 1e300, 123456789.12345679]},
  {name: 'decimal_4_2', type: decimal(4, 2), values: ['-99.99', '0.01', '99.99']},
  {name: 'decimal_9_0', type: decimal(9, 0), values: ['999999999', '-1']},
  {name: 'decimal_18_6', type: decimal(18, 6), values: ['123456789012.345678', '-0.000001']},
  {name: 'decimal_38_10', type: decimal(38, 10), values: ['9999999999999999999999999999.9999999999', '-1.0000000000']},
  {name: 'decimal_38_38', type: decimal(38, 38), values: ['0.12345678901234567890123456789012345678']},
  {name: 'string', type: 'string', values: words},
  {name: 'binary', type: 'binary', values: ['', '00ff', 'ab'.repeat(400)]},
  {name: 'date', type: 'date', values: ['0001-01-01', '1582-10-15', '1969-12-31', '2024-02-29', '9999-12-31'].map(day)},
  {name: 'timestamp', type: 'timestamp', values: instants.map(micros)},
  {name: 'timestamp_ntz', type: 'timestamp_ntz', values: instants.map(micros)},
  {name: 'array', type: {type: 'array', elementType: 'long', containsNull: true}, values: [[], ['1', null, '-1']]},
  {
    name: 'map',
    type: {type: 'map', keyType: 'string', valueType: decimal(10, 2), valueContainsNull: true},
    values: [
      [],
      [
        ['a', '1.50'],
        ['', null],
      ],
    ],
  },
  {
    name: 'struct',
    type: person,
    values: [
      {name: 'Ada', seen: [micros('2024-02-29T12:34:56.789012'), null], home: {zip: '10115', since: day('1999-12-31')}},
      {name: null, seen: [], home: null},
    ],
  },
  {
    name: 'array_of_struct',
    type: {type: 'array', elementType: person, containsNull: true},
    values: [[{name: 'x', seen: null, home: {zip: null, since: null}}, null]],
  },
  {
    name: 'map_of_array',
    type: {
      type: 'map',
      keyType: 'long',
      valueType: {type: 'array', elementType: 'double', containsNull: true},
      valueContainsNull: true,
    },
    values: [
      [
        ['-1', [0.5, null]],
        ['7', []],
      ],
    ],
  },
];

/** One column per type that Sluice writes, and `id`. */
export const allTypesSchema: StructType = {
  type: 'struct',
  fields: [
    {name: 'id', type: 'long', nullable: false, metadata: {}},
    ...columns.map(({name, type}) => nullable(name, type)),
  ],
};

/** Rows that hold every edge of every type, and nulls. */
export const allTypesRows: readonly Row[] = Array.from({length: 10}, (_, index) => ({
  id: String(index),
  ...Object.fromEntries(columns.map(({name, values}) => [name, values[index] ?? null])),
}));

/** Top-level columns whose statistics a reader may use to skip files, with the values to look for. */
export const searchedColumns: readonly Edges[] = columns.filter(
  ({type}) => typeof type === 'string' || type.type === 'decimal',
);
