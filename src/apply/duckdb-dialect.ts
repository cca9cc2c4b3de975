import type {DataType} from '../core/types.ts';
import {quoteIdentifier, quoteLiteral, sqlType} from '../engine/sql-types.ts';
import type {SqlDialect} from './sql-dialect.ts';

/** DuckDB's words. */
export const duckDbDialect: SqlDialect = {
  quote: quoteIdentifier,
  type: sqlType,
  semiJoin: 'SEMI JOIN',
  antiJoin: 'ANTI JOIN',
  hash: (expressions) => `hash(${expressions.join(', ')})`,
  // A sum tells rows that occur twice from rows that occur never, which an exclusive or does not.
  fingerprint: (hash) => `concat_ws(' ', sum(${hash})::VARCHAR, sum(hash(${hash}))::VARCHAR)`,
  json: (names) => `CAST(to_json(struct_pack(${names.map((name) => `${name} := ${name}`).join(', ')})) AS VARCHAR)`,
  text: quoteLiteral,
  struct: (fields) =>
    `struct_pack(${fields.map(([name, expression]) => `${quoteIdentifier(name)} := ${expression}`).join(', ')})`,
  successor,
  origin: (type) => `CAST(${originText(type)} AS ${sqlType(type)})`,
  holds: (list, value) => `coalesce(list_contains(${list}, ${quoteLiteral(value)}), FALSE)`,
  listOf: (texts) => `nullif(list_filter([${texts.join(', ')}], lambda t: t IS NOT NULL), [])`,
  unnest: (list) => `unnest(${list})`,
  jsonAt,
  jsonJoin: (left, right) =>
    `CASE WHEN ${left} IS NULL THEN ${right} WHEN ${right} IS NULL THEN ${left} ELSE ${left}[:-2] || ',' || ${right}[2:] END`,
  newest: (expression, by, condition) => `arg_max(${expression}, ${by}) FILTER (WHERE ${condition})`,
  createTable: (name, select) => `CREATE OR REPLACE TABLE ${quoteIdentifier(name)} AS ${select}`,
};

function successor(expression: string, type: DataType): string {
  const name = typeof type === 'object' ? type.type : type;
  switch (name) {
    case 'timestamp':
    case 'timestamp_ntz':
      return `${expression} + INTERVAL 1 MICROSECOND`;
    case 'float':
    case 'double':
      return `CAST(nextafter(${expression}, CAST('infinity' AS ${sqlType(type)})) AS ${sqlType(type)})`;
    case 'decimal': {
      const scale = typeof type === 'object' && type.type === 'decimal' ? type.scale : 0;
      return `CAST(${expression} + ${scale === 0 ? '1' : `0.${'1'.padStart(scale, '0')}`} AS ${sqlType(type)})`;
    }
    case 'string':
    case 'variant':
      return `${expression} || ' '`;
    case 'binary':
      return `${expression} || '\\x00'::BLOB`;
    case 'boolean':
      return `${expression} OR TRUE`;
    default:
      return `CAST(${expression} + 1 AS ${sqlType(type)})`;
  }
}

function originText(type: DataType): string {
  switch (typeof type === 'object' ? type.type : type) {
    case 'timestamp':
    case 'timestamp_ntz':
    case 'date':
      return "'1970-01-01'";
    case 'string':
    case 'variant':
    case 'binary':
      return "''";
    case 'boolean':
      return "'false'";
    default:
      return '0';
  }
}

/** Only where other entries must be left out is the text parsed, because the engine writes numbers its own way. */
function jsonAt(object: string, part: string): string {
  const [whole, field, element] = [quoteLiteral(part), quoteLiteral(`${part}.`), quoteLiteral(`${part}[`)];
  const isAt = (key: string): string =>
    `(${key} = ${whole} OR starts_with(${key}, ${field}) OR starts_with(${key}, ${element}))`;
  const found = `len(list_filter(json_keys(${object}), lambda k: ${isAt('k')}))`;
  const entries = `list_filter(map_entries(CAST(CAST(${object} AS JSON) AS MAP(VARCHAR, JSON))), lambda e: ${isAt('e.key')})`;
  return `CASE WHEN coalesce(${found}, 0) = 0 THEN NULL WHEN ${found} = len(json_keys(${object})) THEN ${object}
    ELSE CAST(to_json(map_from_entries(${entries})) AS VARCHAR) END`;
}
