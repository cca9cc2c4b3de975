import {BINARY_ENCODING, EMPTY_IS_NULL, EPOCH_UNIT, isNested} from '../core/schema.ts';
import type {ArrayType, DataType, DecimalType, MapType, PrimitiveType, StructField, StructType} from '../core/types.ts';
import type {FieldType, TypedSql} from './file-source.ts';
import {unmarkJson, unmarkText, unmarkTextOrJson} from './marked-json.ts';
import {quoteIdentifier, quoteList, quoteLiteral, sqlType} from './sql-types.ts';

/**
 * SQL that gives a text (of a CSV field) a type. DuckDB's casts are more generous than what may happen to data (they
 * round `1.5` to 2, drop the time of a date, take `1_000` and `infinity`), so every cast is checked.
 */
export function textValue(field: FieldType, text: string): TypedSql {
  const {type, metadata} = field;
  if (isNested(type)) return nestedValue(type, text, 0);
  const given = metadata[EMPTY_IS_NULL] === true ? `nullif(${text}, '')` : text;
  return typeof type === 'string' ? primitiveValue(type, metadata, given) : checked(decimalSql(type, given), given);
}

/**
 * SQL that gives a type to a JSON value as {@link jsonStructure} extracts it, with {@link textValue}'s checks. Unknown
 * fields of structs are misfits. Parts of nested values may be marked (see `marked-json.ts`); `depth` counts the levels around.
 */
export function jsonValue(field: FieldType, extracted: string, depth = 0): TypedSql {
  // As text: where the engine's JSON type meets a text it would parse the text.
  const json = `CAST(${extracted} AS VARCHAR)`;
  if (isNested(field.type)) return nestedValue(field.type, json, depth);
  if (field.type === 'variant') return {value: unmarkJson(json), misfit: null};
  const quoted = jsonStructure(field.type) === 'JSON' ? unquoted(json) : extracted;
  const mayBeMarked = depth > 0 || typeof field.type === 'object';
  const unmarked = field.type === 'string' ? unmarkTextOrJson : unmarkText;
  const given = mayBeMarked ? unmarked(quoted) : quoted;
  const text = field.metadata[EMPTY_IS_NULL] === true ? `nullif(${given}, '')` : given;
  const isString = `starts_with(${json}, '"')`;
  if (field.type === 'binary') {
    return checked(`CASE WHEN ${isString} THEN ${binarySql(field.metadata[BINARY_ENCODING], text)} END`, text);
  }
  if (field.type !== 'timestamp' && field.type !== 'timestamp_ntz') return textValue(field, text);
  // Digits in quotes may be anything, unless their unit is declared.
  const unit = field.metadata[EPOCH_UNIT];
  const epoch = epochSql(field.type, unit, text);
  const sinceEpoch = unit === undefined ? `CASE WHEN NOT ${isString} THEN ${epoch} END` : epoch;
  return checked(`coalesce(${timestampSql(field.type, text)}, ${sinceEpoch})`, text);
}

/**
 * How `json_transform` extracts a value of a type: as JSON text where the text of the value is needed as it is, else
 * as the text that it means.
 */
export function jsonStructure(type: DataType): 'JSON' | 'VARCHAR' {
  return isNested(type) || (typeof type === 'object' ? type.type === 'decimal' : KEEP_JSON.has(type))
    ? 'JSON'
    : 'VARCHAR';
}

/**
 * Doubles: DuckDB prints some wrong (2^81 as 2^82), its JSON text of them is right. Decimals: one that is written as a string
 * is exact. Times and bytes: strings and numbers mean different things.
 */
const KEEP_JSON: ReadonlySet<PrimitiveType> = new Set([
  'variant',
  'double',
  'float',
  'timestamp',
  'timestamp_ntz',
  'binary',
]);

type NestedType = StructType | ArrayType | MapType;

/** The structure text with which `json_transform` extracts the fields of an object. */
export function structureOf(type: StructType): string {
  return JSON.stringify(Object.fromEntries(type.fields.map((field) => [field.name, jsonStructure(field.type)])));
}

function primitiveValue(type: PrimitiveType, metadata: StructField['metadata'], text: string): TypedSql {
  switch (type) {
    case 'string':
      return {value: text, misfit: null};
    case 'variant':
      return {
        value: `CASE WHEN json_valid(${text}) THEN ${text} ELSE CAST(to_json(${text}) AS VARCHAR) END`,
        misfit: null,
      };
    case 'long':
    case 'integer':
    case 'short':
    case 'byte':
      return checked(integerSql(sqlType(type), text), text);
    case 'double':
    case 'float':
      return checked(floatSql(sqlType(type), text), text);
    case 'boolean':
      return checked(booleanSql(text), text);
    case 'binary':
      return checked(binarySql(metadata[BINARY_ENCODING], text), text);
    case 'date':
      return checked(dateSql(text), text);
    case 'timestamp':
    case 'timestamp_ntz':
      return checked(timestampSql(type, text), text);
  }
}

function checked(value: string, text: string): TypedSql {
  return {value, misfit: (result) => `(${text} IS NOT NULL AND ${result} IS NULL)`};
}

function integerSql(type: string, text: string): string {
  const cast = `TRY_CAST(${text} AS ${type})`;
  // The first branch is the fast one. A fraction of zeros is exact only below 2^53, where JSON numbers may have come from.
  return `CASE WHEN CAST(${cast} AS VARCHAR) = ${text} OR regexp_full_match(${text}, '\\s*[+-]?(\\d+|\\d{1,15}\\.0*)\\s*') THEN ${cast} END`;
}

function floatSql(type: string, text: string): string {
  const cast = `TRY_CAST(${text} AS ${type})`;
  // A number out of range becomes infinite, which only the word may.
  return `CASE WHEN strpos(${text}, '_') = 0 AND (isfinite(${cast}) OR NOT regexp_matches(${text}, '[0-9]')) THEN ${cast} END`;
}

function decimalSql(type: DecimalType, text: string): string {
  const cast = `TRY_CAST(${text} AS ${sqlType(type)})`;
  const digits = `regexp_full_match(${text}, '\\s*[+-]?\\d*(\\.\\d{0,${type.scale}}0*)?\\s*')`;
  // With an exponent the cast may round: it is exact if the number it gives is still the same.
  const power = `regexp_full_match(${text}, '\\s*[+-]?(\\d+\\.?\\d*|\\.\\d+)[eE][+-]?\\d+\\s*')`;
  const isZero = `NOT regexp_matches(${text}, '[1-9].*[eE]')`;
  const isSame = `CAST(${cast} AS DOUBLE) = TRY_CAST(${text} AS DOUBLE) AND (${cast} <> 0 OR ${isZero})`;
  return `CASE WHEN ${digits} THEN ${cast} WHEN ${power} AND ${isSame} THEN ${cast} END`;
}

function booleanSql(text: string): string {
  const word = `lower(trim(${text}))`;
  return `CASE WHEN ${word} IN ('true', 't', 'yes', 'y', '1') THEN true WHEN ${word} IN ('false', 'f', 'no', 'n', '0') THEN false END`;
}

/** Days as `core/time-text.ts` reads them, but no timestamps: their time of day would be lost. */
function dateSql(text: string): string {
  const form = (pattern: string, format: string): string =>
    `WHEN regexp_full_match(${text}, '${pattern}') THEN CAST(try_strptime(${text}, '${format}') AS DATE)`;
  return `CASE WHEN ${isDay(text)} THEN TRY_CAST(${text} AS DATE) ${[
    form('\\d{1,2}/\\d{1,2}/\\d{4}', '%m/%d/%Y'),
    form('\\d{1,2}-\\d{1,2}-\\d{4}', '%d-%m-%Y'),
    form('\\d{4}/\\d{1,2}/\\d{1,2}', '%Y/%m/%d'),
  ].join(' ')} END`;
}

/** True for a day as ISO 8601 writes it, of year 1 or later. */
function isDay(text: string): string {
  return `(regexp_full_match(${text}, '\\s*\\d{4}-\\d{2}-\\d{2}\\s*') AND NOT starts_with(trim(${text}), '0000'))`;
}

/** ISO 8601; digits beyond microseconds are cut off. A wall clock takes no offset but UTC's: it could not say which clock is meant. */
function timestampSql(type: 'timestamp' | 'timestamp_ntz', text: string): string {
  const zone =
    type === 'timestamp' ? '(?: ?(?:Z|z|UTC|[+-]\\d{2}(?::?\\d{2})?))?' : '(?: ?(?:Z|z|UTC|[+-]00(?::?00)?))?';
  const pattern = `\\s*\\d{4}-\\d{2}-\\d{2}(?:[Tt ](?:[01]\\d|2[0-3]):\\d{2}(?::\\d{2}(?:\\.\\d{1,9})?)?${zone})?\\s*`;
  const cast = `TRY_CAST(${text} AS ${sqlType(type)})`;
  // The engine knows fewer forms: the others are brought into its own, which costs more.
  const rewritten = `TRY_CAST(${rewrittenTime(text)} AS ${sqlType(type)})`;
  return `CASE WHEN regexp_full_match(${text}, '${pattern}') AND NOT starts_with(trim(${text}), '0000') THEN coalesce(${cast}, ${rewritten}) END`;
}

function rewrittenTime(text: string): string {
  const withSeconds = `regexp_replace(upper(trim(${text})), '^(.{10}[T ]\\d{2}:\\d{2})([^:0-9].*)?$', '\\1:00\\2')`;
  return `regexp_replace(${withSeconds}, ' (Z|[+-])', '\\1')`;
}

/** Numbers since 1970 in a column of instants, by their magnitude unless the unit is declared. */
function epochSql(type: 'timestamp' | 'timestamp_ntz', unit: unknown, text: string): string {
  const number = `TRY_CAST(${text} AS BIGINT)`;
  const factor = unit === 's' ? '1000000' : unit === 'ms' ? '1000' : unit === 'us' ? '1' : byMagnitude(number);
  const made = `make_timestamp(TRY(${number} * ${factor}))`;
  return `CASE WHEN regexp_full_match(${text}, '-?\\d{1,16}') THEN ${type === 'timestamp' ? `CAST(${made} AS TIMESTAMPTZ)` : made} END`;
}

function byMagnitude(number: string): string {
  return `CASE WHEN abs(${number}) < 100000000000 THEN 1000000 WHEN abs(${number}) < 100000000000000 THEN 1000 ELSE 1 END`;
}

function binarySql(encoding: unknown, text: string): string {
  if (encoding === 'utf8') return `encode(${text})`;
  if (encoding === 'hex') return `TRY(unhex(${text}))`;
  return `TRY(from_base64(${text}))`;
}

function nestedValue(type: NestedType, json: string, depth: number): TypedSql {
  const checkedParts = checkedNested(type, json, depth);
  const structure = depth === 0 ? nativeStructure(type) : null;
  if (structure === null) return checkedParts;
  // Most values print again as they were: then nothing was changed or left out, and no part needs its own check.
  const plain = `json_transform(${json}, ${quoteLiteral(JSON.stringify(structure))})`;
  const printsAlike = (value: string): string => `CAST(to_json(${value}) AS VARCHAR) = ${json}`;
  return {
    value: `CASE WHEN NOT json_valid(${json}) THEN NULL WHEN ${printsAlike(plain)} THEN ${plain} ELSE ${checkedParts.value} END`,
    misfit: (value) =>
      `CASE WHEN ${printsAlike(value)} THEN false ELSE ${checkedParts.misfit === null ? 'false' : checkedParts.misfit(value)} END`,
  };
}

/** What `json_transform` takes to give a whole value its type; null where a part is no type of JSON's own. */
function nativeStructure(type: DataType): PlainStructure | null {
  if (typeof type === 'string') return NATIVE_TYPES.get(type) ?? null;
  if (type.type === 'array') {
    const element = nativeStructure(type.elementType);
    return element === null ? null : [element];
  }
  if (type.type !== 'struct') return null;
  const fields = type.fields.map((field) => [field.name, nativeStructure(field.type)] as const);
  return fields.some(([, structure]) => structure === null)
    ? null
    : (Object.fromEntries(fields) as {readonly [name: string]: PlainStructure});
}

type PlainStructure = string | readonly PlainStructure[] | {readonly [name: string]: PlainStructure};

const NATIVE_TYPES: ReadonlyMap<string, string> = new Map([
  ['string', 'VARCHAR'],
  ['long', 'BIGINT'],
  ['integer', 'INTEGER'],
  ['double', 'DOUBLE'],
  ['boolean', 'BOOLEAN'],
]);

function checkedNested(type: NestedType, json: string, depth: number): TypedSql {
  switch (type.type) {
    case 'struct':
      return structValue(type, json, depth + 1);
    case 'array':
      return arrayValue(type, json, depth + 1);
    case 'map':
      return mapValue(type, json, depth + 1);
  }
}

function structValue(type: StructType, json: string, depth: number): TypedSql {
  const parts = `s${depth}`;
  const bound = (body: string): string =>
    bind(parts, `json_transform(${json}, ${quoteLiteral(structureOf(type))})`, body);
  const typed = type.fields.map((field) => ({
    field,
    sql: jsonValue(field, `struct_extract(${parts}, ${quoteLiteral(field.name)})`, depth),
  }));
  const isObject = hasJsonType(json, 'OBJECT');
  const known = quoteList(type.fields.map((field) => field.name));
  const value = `struct_pack(${typed.map(({field, sql}) => `${quoteIdentifier(field.name)} := ${sql.value}`).join(', ')})`;
  const misfits = typed.flatMap(({sql}) => misfitOf(sql));
  const inFields = misfits.length === 0 ? '' : ` OR ${bound(misfits.join(' OR '))}`;
  return {
    value: `CASE WHEN ${isObject} THEN ${bound(value)} END`,
    misfit: misfitUnless(json, isObject, `(NOT list_has_all(${known}, json_keys(${json}))${inFields})`),
  };
}

/** Gives an expression a name within another, so that it is computed once. */
function bind(name: string, expression: string, body: string): string {
  return `list_transform([${expression}], lambda ${name}: ${body})[1]`;
}

function arrayValue(type: ArrayType, json: string, depth: number): TypedSql {
  const item = `e${depth}`;
  const elements = `json_transform(${json}, '["${jsonStructure(type.elementType)}"]')`;
  const element = jsonValue({type: type.elementType, metadata: {}}, item, depth);
  const isArray = hasJsonType(json, 'ARRAY');
  const value = element.value === item ? elements : `list_transform(${elements}, lambda ${item}: ${element.value})`;
  const [inElement] = misfitOf(element);
  const misfit = inElement === undefined ? 'false' : `len(list_filter(${elements}, lambda ${item}: ${inElement})) > 0`;
  return {value: `CASE WHEN ${isArray} THEN ${value} END`, misfit: misfitUnless(json, isArray, misfit)};
}

function mapValue(type: MapType, json: string, depth: number): TypedSql {
  const entry = `e${depth}`;
  const entries = `map_entries(json_transform(${json}, '"MAP(VARCHAR, ${jsonStructure(type.valueType)})"'))`;
  const key = textValue({type: type.keyType, metadata: {}}, `${entry}.key`);
  const item = jsonValue({type: type.valueType, metadata: {}}, `${entry}.value`, depth);
  const isObject = hasJsonType(json, 'OBJECT');
  // A key that does not fit would be NULL, which a map cannot hold: such entries are left to the rescued text.
  const [inKey] = misfitOf(key);
  const fitting = inKey === undefined ? entries : `list_filter(${entries}, lambda ${entry}: NOT ${inKey})`;
  const pairs = `list_transform(${fitting}, lambda ${entry}: {'key': ${key.value}, 'value': ${item.value}})`;
  const misfits = [...misfitOf(key), ...misfitOf(item)];
  const misfit =
    misfits.length === 0 ? 'false' : `len(list_filter(${entries}, lambda ${entry}: ${misfits.join(' OR ')})) > 0`;
  return {
    value: `CASE WHEN ${isObject} THEN map_from_entries(${pairs}) END`,
    misfit: misfitUnless(json, isObject, misfit),
  };
}

function misfitOf(typed: TypedSql): readonly string[] {
  return typed.misfit === null ? [] : [typed.misfit(typed.value)];
}

function misfitUnless(json: string, rightType: string, misfit: string): () => string {
  return () => `(${json} IS NOT NULL AND CASE WHEN ${rightType} THEN ${misfit} ELSE true END)`;
}

function hasJsonType(json: string, jsonType: string): string {
  return `CASE WHEN json_valid(${json}) THEN json_type(${json}) = '${jsonType}' ELSE false END`;
}

/** The text of a JSON value: a string without its quotes, anything else as it is. */
function unquoted(json: string): string {
  return `CASE WHEN starts_with(${json}, '"') THEN json_extract_string(${json}, '$') ELSE ${json} END`;
}
