import {isFreeText} from '../../sdk/index.ts';
import type {SourceColumn} from './catalog.ts';
import {columnName} from './catalog.ts';

/**
 * The canonical text of a column (see `docs/verify.md`) computed by the server, NULL where the value lands as NULL: NaN and
 * infinities in types that have none, times beyond 64 bits of microseconds.
 */
export function canonicalSql({name, mapping, source}: SourceColumn): string {
  const sql = columnName(name);
  // The output function, as the read uses it: a cast to text is another text for some types.
  const printed = `case when num_nonnulls(${sql}) = 1 then pg_catalog.concat(${sql}) end`;
  if (mapping.asText) return printed;
  switch (mapping.decoding) {
    case 'boolean':
      return `${sql}::int::text`;
    case 'int2':
    case 'int4':
    case 'int8':
    case 'oid':
      return `${sql}::int8::text`;
    case 'float4':
    case 'float8':
      // All NaN are one.
      return `case when ${sql} = 'NaN' then '7ff8000000000000' else encode(float8send(${sql}::float8), 'hex') end`;
    case 'decimal':
      return `case when ${sql} <> 'NaN' then ${sql}::text end`;
    case 'date':
      return `case when isfinite(${sql}) then (${sql} - date '1970-01-01')::text end`;
    case 'timestamp':
      return timestampSql(sql, source.name);
    case 'bytes':
      return `encode(${sql}, 'hex')`;
    case 'text':
      return source.name === 'text' || source.name === 'varchar' ? sql : printed;
    case 'jsonb':
    case 'uuid':
      return printed;
  }
}

/**
 * One text per row, as `rowText` of the SDK makes it: free text after its length, all else before a comma.
 */
export function rowTextSql(columns: readonly SourceColumn[]): string {
  const parts = columns.map((column) => {
    const text = canonicalSql(column);
    return isFreeText(column.mapping.type) ? `octet_length(${text}), ':', ${text}` : `${text}, ','`;
  });
  return `pg_catalog.concat(${parts.join(', ')})`;
}

/** The 60-bit hash of a text expression. */
export function hashSql(text: string): string {
  return `('x' || substr(encode(sha256(convert_to(${text}, 'UTF8')), 'hex'), 1, 15))::bit(60)::int8`;
}

/** The binary form: exact in every version, and half the price of extract(). */
function timestampSql(sql: string, type: string): string {
  const end = `${type} '294247-01-10 04:00:54.775807${type === 'timestamptz' ? '+00' : ''}'`;
  const micros = `('x' || encode(${type}_send(${sql}), 'hex'))::bit(64)::int8 + ${MICROS_TO_2000}`;
  return `case when isfinite(${sql}) and ${sql} < ${end} then (${micros})::text end`;
}

const MICROS_TO_2000 = '946684800000000';
