import type {DataType} from '../core/types.ts';
import {quoteIdentifier} from '../engine/sql-types.ts';
import {bucketing, isFreeText} from '../sdk/canonical.ts';
import type {VerifyColumn} from '../sdk/contract.ts';

/**
 * The canonical text of a landed column (see `docs/verify.md`) as the engine computes it. Doubles by their bits: the engine's
 * text of some doubles is wrong. Decimals of nothing but a fraction get the zero that the engine leaves out.
 */
export function canonicalSql({name, type}: VerifyColumn): string {
  const sql = quoteIdentifier(name);
  switch (type) {
    case 'string':
    case 'variant':
      return sql;
    case 'boolean':
      return `${sql}::INTEGER::VARCHAR`;
    case 'float':
    case 'double':
      return `CASE WHEN isnan(${sql}) THEN '7ff8000000000000' ELSE lower(hex(${sql}::DOUBLE::BIT::BLOB)) END`;
    case 'date':
      return `(${sql} - DATE '1970-01-01')::VARCHAR`;
    case 'timestamp':
    case 'timestamp_ntz':
      return `epoch_us(${sql})::VARCHAR`;
    case 'binary':
      return `lower(hex(${sql}))`;
    default:
      return isFraction(type) ? `regexp_replace(${sql}::VARCHAR, '^(-?)\\.', '\\10.')` : `${sql}::VARCHAR`;
  }
}

/** One text per row, as `rowText` of the SDK makes it. */
export function rowTextSql(columns: readonly VerifyColumn[]): string {
  const parts = columns.map((column) => {
    const text = canonicalSql(column);
    return isFreeText(column.type) ? `strlen(${text}), ':', ${text}` : `${text}, ','`;
  });
  return `concat(${parts.join(', ')})`;
}

/** The 60-bit hash of a text expression. */
export function hashSql(text: string): string {
  return `('0x' || sha256(${text})[1:15])::BIGINT`;
}

/** The bucket of a row, see {@link bucketing}. */
export function bucketSql(keys: readonly VerifyColumn[], rowHash: string, buckets: number): string {
  const [key] = keys;
  const rule = bucketing(keys.map(({type}) => type));
  if (rule === 'remainder' && key !== undefined)
    return `abs(${quoteIdentifier(key.name)}::BIGINT % ${buckets})::INTEGER`;
  const hash = rule === 'row-hash' ? rowHash : hashSql(rowTextSql(keys));
  return `((${hash} >> 48) % ${buckets})::INTEGER`;
}

/** Where the entry of a column stands in `_rescued_data`. */
export function jsonPointer(name: string): string {
  return `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
}

function isFraction(type: DataType): boolean {
  return typeof type === 'object' && type.type === 'decimal' && type.precision === type.scale;
}
