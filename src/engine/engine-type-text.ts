import type {DataType} from '../core/types.ts';

/** A type of the engine as DESCRIBE names it. */
export interface EngineType {
  /** Upper case, without parameters: `DECIMAL`, `STRUCT`, `LIST`, .... */
  readonly name: string;
  /** Precision and scale. */
  readonly numbers: readonly number[];
  /** Fields of a struct; key and value of a map; the element of a list. */
  readonly parts: readonly {readonly name: string; readonly type: EngineType}[];
}

/** Reads the text of a type. Never fails: what it does not understand is a type of that name without parts. */
export function parseEngineType(text: string): EngineType {
  const trimmed = text.trim();
  const list = /^(.*)\[\d*\]$/su.exec(trimmed);
  if (list?.[1] !== undefined)
    return {name: 'LIST', numbers: [], parts: [{name: 'element', type: parseEngineType(list[1])}]};
  const call = /^([A-Z_ ]+)\((.*)\)$/su.exec(trimmed);
  if (call?.[1] === undefined || call[2] === undefined)
    return {name: SYNONYMS.get(trimmed) ?? trimmed, numbers: [], parts: []};
  const [, name, inner] = call;
  switch (name) {
    case 'DECIMAL':
      return {name, numbers: inner.split(',').map(Number), parts: []};
    case 'STRUCT':
      return {name, numbers: [], parts: splitTop(inner).map(structPart)};
    case 'MAP':
      return {
        name,
        numbers: [],
        parts: splitTop(inner).map((part, index) => ({
          name: index === 0 ? 'key' : 'value',
          type: parseEngineType(part),
        })),
      };
    default:
      return {name, numbers: [], parts: []};
  }
}

/** The Delta type that holds all values of an engine's type; a string where Delta has no such type. */
export function toDataType(type: EngineType): DataType {
  const simple = SIMPLE_TYPES.get(type.name);
  if (simple !== undefined) return simple;
  const [first, second] = type.parts;
  switch (type.name) {
    case 'DECIMAL':
      return {type: 'decimal', precision: type.numbers[0] ?? 18, scale: type.numbers[1] ?? 0};
    case 'LIST':
      return first === undefined ? 'string' : {type: 'array', elementType: toDataType(first.type), containsNull: true};
    case 'MAP':
      return first === undefined || second === undefined
        ? 'string'
        : {type: 'map', keyType: toDataType(first.type), valueType: toDataType(second.type), valueContainsNull: true};
    case 'STRUCT':
      return {
        type: 'struct',
        fields: type.parts.map((part) => ({
          name: part.name,
          type: toDataType(part.type),
          nullable: true,
          metadata: {},
        })),
      };
    default:
      return 'string';
  }
}

/** True when the engine's type and the Delta type are one: no cast is needed. Order and names of struct fields count. */
export function isSameType(type: EngineType, wanted: DataType): boolean {
  if (typeof wanted === 'string') return EXACT_NAMES[wanted] === type.name;
  const [first, second] = type.parts;
  switch (wanted.type) {
    case 'decimal':
      return type.name === 'DECIMAL' && type.numbers[0] === wanted.precision && type.numbers[1] === wanted.scale;
    case 'array':
      return type.name === 'LIST' && first !== undefined && isSameType(first.type, wanted.elementType);
    case 'map':
      return (
        type.name === 'MAP' &&
        first !== undefined &&
        second !== undefined &&
        isSameType(first.type, wanted.keyType) &&
        isSameType(second.type, wanted.valueType)
      );
    case 'struct':
      return (
        type.name === 'STRUCT' &&
        type.parts.length === wanted.fields.length &&
        type.parts.every((part, index) => {
          const field = wanted.fields[index];
          return field !== undefined && field.name === part.name && isSameType(part.type, field.type);
        })
      );
  }
}

const SYNONYMS: ReadonlyMap<string, string> = new Map([['TIMESTAMP WITH TIME ZONE', 'TIMESTAMPTZ']]);

const SIMPLE_TYPES: ReadonlyMap<string, DataType> = new Map<string, DataType>([
  ['BOOLEAN', 'boolean'],
  ['TINYINT', 'byte'],
  ['SMALLINT', 'short'],
  ['INTEGER', 'integer'],
  ['BIGINT', 'long'],
  ['UTINYINT', 'short'],
  ['USMALLINT', 'integer'],
  ['UINTEGER', 'long'],
  ['UBIGINT', {type: 'decimal', precision: 20, scale: 0}],
  ['HUGEINT', {type: 'decimal', precision: 38, scale: 0}],
  ['UHUGEINT', {type: 'decimal', precision: 38, scale: 0}],
  ['FLOAT', 'float'],
  ['DOUBLE', 'double'],
  ['VARCHAR', 'string'],
  ['BLOB', 'binary'],
  ['DATE', 'date'],
  ['TIMESTAMP', 'timestamp_ntz'],
  ['TIMESTAMP_S', 'timestamp_ntz'],
  ['TIMESTAMP_MS', 'timestamp_ntz'],
  ['TIMESTAMP_NS', 'timestamp_ntz'],
  ['TIMESTAMPTZ', 'timestamp'],
]);

const EXACT_NAMES = {
  string: 'VARCHAR',
  long: 'BIGINT',
  integer: 'INTEGER',
  short: 'SMALLINT',
  byte: 'TINYINT',
  float: 'FLOAT',
  double: 'DOUBLE',
  boolean: 'BOOLEAN',
  binary: 'BLOB',
  date: 'DATE',
  timestamp: 'TIMESTAMPTZ',
  timestamp_ntz: 'TIMESTAMP',
  variant: 'JSON',
} as const;

function structPart(text: string): EngineType['parts'][number] {
  const quoted = /^"((?:[^"]|"")*)"\s+(.*)$/su.exec(text.trim());
  if (quoted?.[1] !== undefined && quoted[2] !== undefined)
    return {name: quoted[1].replaceAll('""', '"'), type: parseEngineType(quoted[2])};
  const [, name = '', type = ''] = /^(\S+)\s+(.*)$/su.exec(text.trim()) ?? [];
  return {name, type: parseEngineType(type)};
}

/** Parts between commas that are in no brackets and no quotes. */
function splitTop(text: string): readonly string[] {
  const parts: string[] = [];
  let depth = 0;
  let quote = '';
  let start = 0;
  for (const [at, char] of [...text].entries()) {
    if (quote !== '') quote = char === quote ? '' : quote;
    else if (char === '"' || char === "'") quote = char;
    else if (char === '(') depth++;
    else if (char === ')') depth--;
    else if (char === ',' && depth === 0) {
      parts.push([...text].slice(start, at).join(''));
      start = at + 1;
    }
  }
  parts.push([...text].slice(start).join(''));
  return parts;
}
