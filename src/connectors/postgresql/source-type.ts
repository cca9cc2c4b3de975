import type {DataType} from '../../sdk/index.ts';

/** A column's type in the source, domains resolved to what they are made of. */
export interface SourceType {
  /** `pg_type.typname` of a built-in type; of others only for messages. */
  readonly name: string;
  /** True for types of `pg_catalog`: only those have a known binary form. */
  readonly builtIn: boolean;
  readonly isEnum: boolean;
  /** Type modifier, -1 for none. */
  readonly modifier: number;
}

/** How a value is read from a binary COPY. All but `text`, `bytes`, `jsonb` and `uuid` have one width. */
export type Decoding =
  | 'boolean'
  | 'int2'
  | 'int4'
  | 'int8'
  | 'oid'
  | 'float4'
  | 'float8'
  | 'date'
  | 'timestamp'
  | 'decimal'
  | 'text'
  | 'bytes'
  | 'jsonb'
  | 'uuid';

/** Where a source type lands, and how it gets there. */
export interface TypeMapping {
  readonly type: DataType;
  readonly decoding: Decoding;
  /** The server turns the value into the text that it would print; the connector knows no binary form. */
  readonly asText: boolean;
}

/**
 * Maps a type. What Delta has no type for (intervals, arrays, ranges, network addresses, ...) lands as the server's text;
 * numerics that 38 digits cannot hold, or that declare no precision, land as text too, with their own scale.
 */
export function mapType(source: SourceType): TypeMapping {
  if (source.isEnum) return binary('string', 'text');
  if (!source.builtIn) return AS_TEXT;
  if (source.name === 'numeric') return mapNumeric(source.modifier);
  return BUILT_IN.get(source.name) ?? AS_TEXT;
}

/** True for types whose values can order the changes of a table without rounding. */
export function canBeCursor(source: SourceType): boolean {
  return source.builtIn && CURSOR_TYPES.has(source.name);
}

/** Digits after the second that a type keeps: 6, unless it is declared with fewer, and -1 for a date. */
export function timeDigits(source: SourceType): number {
  if (source.name === 'date') return -1;
  return source.modifier >= 0 ? source.modifier : 6;
}

const AS_TEXT: TypeMapping = {type: 'string', decoding: 'text', asText: true};

const CURSOR_TYPES = new Set(
  'int2 int4 int8 numeric oid date timestamp timestamptz text varchar bpchar uuid pg_lsn xid8'.split(' '),
);

const BUILT_IN: ReadonlyMap<string, TypeMapping> = new Map([
  ['bool', binary('boolean', 'boolean')],
  ['int2', binary('short', 'int2')],
  ['int4', binary('integer', 'int4')],
  ['int8', binary('long', 'int8')],
  ['oid', binary('long', 'oid')],
  ['float4', binary('float', 'float4')],
  ['float8', binary('double', 'float8')],
  ['date', binary('date', 'date')],
  ['timestamp', binary('timestamp_ntz', 'timestamp')],
  ['timestamptz', binary('timestamp', 'timestamp')],
  ['text', binary('string', 'text')],
  ['varchar', binary('string', 'text')],
  ['bpchar', binary('string', 'text')],
  ['name', binary('string', 'text')],
  ['json', binary('string', 'text')],
  ['jsonb', binary('string', 'jsonb')],
  ['uuid', binary('string', 'uuid')],
  ['bytea', binary('binary', 'bytes')],
]);

function binary(type: DataType, decoding: Decoding): TypeMapping {
  return {type, decoding, asText: false};
}

/** A scale may be negative (-2: hundreds) or larger than the precision (only zeros after the point). */
function mapNumeric(modifier: number): TypeMapping {
  if (modifier < 4) return AS_TEXT;
  const declared = ((modifier - 4) >> 16) & 0xffff;
  const scale = (((modifier - 4) & 0x7ff) ^ 1024) - 1024;
  const precision = scale < 0 ? declared - scale : Math.max(declared, scale);
  if (precision > 38) return AS_TEXT;
  return binary({type: 'decimal', precision, scale: Math.max(scale, 0)}, 'decimal');
}
