import {ByteReader} from './byte-reader.ts';
import {BINARY_COLLATION, collationDecode} from './charsets.ts';
import {EVENT_HEADER} from './events.ts';

/** Codes of column types in the log. @see https://dev.mysql.com/doc/dev/mysql-server/latest/field__types_8h.html */
export const TYPE = {
  tiny: 1,
  short: 2,
  long: 3,
  float: 4,
  double: 5,
  timestamp: 7,
  longlong: 8,
  int24: 9,
  date: 10,
  time: 11,
  datetime: 12,
  year: 13,
  varchar: 15,
  bit: 16,
  timestamp2: 17,
  datetime2: 18,
  time2: 19,
  blobCompressed: 140,
  varcharCompressed: 141,
  vector: 242,
  json: 245,
  decimal: 246,
  enum: 247,
  set: 248,
  blob: 252,
  string: 254,
  geometry: 255,
} as const;

/** A column as a TABLE_MAP event with full metadata describes it. */
export interface BinlogColumn {
  readonly name: string;
  /** One of {@link TYPE}; ENUM and SET, which the log files under `string`, have their own. */
  readonly type: number;
  /** Width, digits or precision, as the type has it: bytes of the length for blobs, precision << 8 | scale for decimals, bits for BIT, else bytes or digits. */
  readonly meta: number;
  readonly isUnsigned: boolean;
  /** Of texts; 63 for bytes; 0 for other types. */
  readonly collation: number;
  /** Of ENUM and SET, in their order. */
  readonly labels: readonly string[];
  readonly isNullable: boolean;
}

/** A table as the log describes it before its rows. */
export interface TableMap {
  readonly database: string;
  readonly name: string;
  readonly columns: readonly BinlogColumn[];
  /** Places of the primary key's columns, in its order. */
  readonly key: readonly number[];
  /** False: `binlog_row_metadata` is MINIMAL, so that names are missing. */
  readonly isFull: boolean;
}

/** Names of database and table alone. */
export function readTableName(event: Buffer): {readonly database: string; readonly name: string} {
  let at = EVENT_HEADER + 8;
  const databaseLength = event[at] ?? 0;
  const database = event.toString('utf8', at + 1, at + 1 + databaseLength);
  at += databaseLength + 2;
  return {database, name: event.toString('utf8', at + 1, at + 1 + (event[at] ?? 0))};
}

/**
 * Reads a TABLE_MAP event. @param end where it ends, without checksum.
 * @see https://dev.mysql.com/doc/dev/mysql-server/latest/classmysql_1_1binlog_1_1event_1_1Table__map__event.html
 */
export function readTableMap(event: Buffer, end: number): TableMap {
  const reader = new ByteReader(event, EVENT_HEADER + 8);
  const database = reader.take(reader.lengthEncoded()).toString('utf8');
  reader.at++;
  const name = reader.take(reader.lengthEncoded()).toString('utf8');
  reader.at++;
  const count = reader.lengthEncoded();
  const codes = reader.take(count);
  const metaEnd = reader.lengthEncoded() + reader.at;
  const types = Array.from(codes, (code) => readMeta(reader, code));
  reader.at = metaEnd;
  const nullable = reader.take((count + 7) >> 3);
  const optional = readOptional(reader, end);
  return {
    database,
    name,
    columns: describeColumns(types, nullable, optional),
    key: readKey(optional),
    isFull: count === 0 || optional.has(FIELD.names),
  };
}

/** Field numbers of the optional metadata. */
const FIELD = {
  signedness: 1,
  defaultCharset: 2,
  columnCharset: 3,
  names: 4,
  setLabels: 5,
  enumLabels: 6,
  key: 8,
  prefixKey: 9,
  enumDefaultCharset: 10,
  enumColumnCharset: 11,
} as const;

interface TypeAndMeta {
  readonly type: number;
  readonly meta: number;
}

const SIGNED = new Set<number>([
  TYPE.tiny,
  TYPE.short,
  TYPE.int24,
  TYPE.long,
  TYPE.longlong,
  TYPE.decimal,
  TYPE.float,
  TYPE.double,
]);
const TEXT = new Set<number>([TYPE.varchar, TYPE.blob, TYPE.string, TYPE.blobCompressed, TYPE.varcharCompressed]);

function readMeta(reader: ByteReader, code: number): TypeAndMeta {
  switch (code) {
    case TYPE.string: {
      const [first = 0, second = 0] = reader.take(2);
      if (first === TYPE.enum || first === TYPE.set) return {type: first, meta: second};
      // Two bits of the length are in the type, upside down.
      const high = (first & 0x30) === 0x30 ? 0 : ((first & 0x30) ^ 0x30) << 4;
      return {type: code, meta: second | high};
    }
    case TYPE.decimal: {
      const [precision = 0, scale = 0] = reader.take(2);
      return {type: code, meta: (precision << 8) | scale};
    }
    case TYPE.bit: {
      const [bits = 0, bytes = 0] = reader.take(2);
      return {type: code, meta: bytes * 8 + bits};
    }
    case TYPE.varchar:
    case TYPE.varcharCompressed:
      return {type: code, meta: reader.take(2).readUInt16LE(0)};
    case TYPE.float:
    case TYPE.double:
      reader.at++;
      return {type: code, meta: 0};
    case TYPE.blob:
    case TYPE.blobCompressed:
    case TYPE.geometry:
    case TYPE.json:
    case TYPE.vector:
    case TYPE.timestamp2:
    case TYPE.datetime2:
    case TYPE.time2:
      return {type: code, meta: reader.take(1)[0] ?? 0};
    default:
      return {type: code, meta: 0};
  }
}

function readOptional(reader: ByteReader, end: number): ReadonlyMap<number, Buffer> {
  const fields = new Map<number, Buffer>();
  while (reader.at < end) {
    const field = reader.take(1)[0] ?? 0;
    fields.set(field, reader.take(reader.lengthEncoded()));
  }
  return fields;
}

function describeColumns(
  types: readonly TypeAndMeta[],
  nullable: Buffer,
  optional: ReadonlyMap<number, Buffer>,
): readonly BinlogColumn[] {
  const placesOf = (wanted: (type: number) => boolean): number[] =>
    types.flatMap(({type}, place) => (wanted(type) ? [place] : []));
  const names = readTexts(optional.get(FIELD.names));
  const unsigned = readUnsigned(
    optional.get(FIELD.signedness),
    placesOf((type) => SIGNED.has(type)),
  );
  const isChoice = (type: number): boolean => type === TYPE.enum || type === TYPE.set;
  const collations = new Map([
    ...readCharsets(
      optional.get(FIELD.defaultCharset),
      optional.get(FIELD.columnCharset),
      placesOf((type) => TEXT.has(type)),
    ),
    ...readCharsets(optional.get(FIELD.enumDefaultCharset), optional.get(FIELD.enumColumnCharset), placesOf(isChoice)),
  ]);
  const labels = new Map([
    ...readLabels(
      optional.get(FIELD.enumLabels),
      placesOf((type) => type === TYPE.enum),
    ),
    ...readLabels(
      optional.get(FIELD.setLabels),
      placesOf((type) => type === TYPE.set),
    ),
  ]);
  return types.map(({type, meta}, place) => {
    const collation = collations.get(place) ?? (TEXT.has(type) ? BINARY_COLLATION : 0);
    const decode = collationDecode(collation);
    return {
      name: names[place] ?? '',
      type,
      meta,
      isUnsigned: unsigned.has(place),
      collation,
      labels: (labels.get(place) ?? []).map((label) => decode(label, 0, label.length)),
      isNullable: (((nullable[place >> 3] ?? 0) >> (place & 7)) & 1) === 1,
    };
  });
}

function readTexts(field: Buffer | undefined): readonly string[] {
  if (field === undefined) return [];
  const reader = new ByteReader(field);
  const texts: string[] = [];
  while (reader.at < field.length) texts.push(reader.take(reader.lengthEncoded()).toString('utf8'));
  return texts;
}

/** A bit per numeric column, the first one highest. */
function readUnsigned(field: Buffer | undefined, places: readonly number[]): ReadonlySet<number> {
  return new Set(places.filter((_, index) => (((field?.[index >> 3] ?? 0) << (index & 7)) & 0x80) !== 0));
}

/** Either a default and the columns that differ, or a collation for every column of the kind. */
function readCharsets(
  byDefault: Buffer | undefined,
  byColumn: Buffer | undefined,
  places: readonly number[],
): readonly (readonly [number, number])[] {
  const numbers = readNumbers(byColumn ?? byDefault);
  if (byColumn !== undefined) return places.map((place, index) => [place, numbers[index] ?? 0]);
  const [common = 0, ...exceptions] = numbers;
  const different = new Map<number, number>();
  for (let index = 0; index < exceptions.length; index += 2)
    different.set(exceptions[index] ?? 0, exceptions[index + 1] ?? 0);
  return byDefault === undefined ? [] : places.map((place, index) => [place, different.get(index) ?? common]);
}

function readNumbers(field: Buffer | undefined): readonly number[] {
  const reader = new ByteReader(field ?? Buffer.alloc(0));
  const numbers: number[] = [];
  while (reader.at < reader.bytes.length) numbers.push(reader.lengthEncoded());
  return numbers;
}

function readLabels(
  field: Buffer | undefined,
  places: readonly number[],
): readonly (readonly [number, readonly Buffer[]])[] {
  if (field === undefined) return [];
  const reader = new ByteReader(field);
  return places.map((place) => {
    const count = reader.lengthEncoded();
    return [place, Array.from({length: count}, () => reader.take(reader.lengthEncoded()))];
  });
}

/** A key over the beginnings of columns is a key over the columns. */
function readKey(optional: ReadonlyMap<number, Buffer>): readonly number[] {
  const whole = optional.get(FIELD.key);
  if (whole !== undefined) return readNumbers(whole);
  return readNumbers(optional.get(FIELD.prefixKey)).filter((_, index) => index % 2 === 0);
}
