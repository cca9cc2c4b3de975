import {IngestError} from '../../core/errors.ts';
import {stringifyJson} from '../../core/json-reader.ts';
import {ExactNumber, type JsonObject, type JsonValue} from '../../core/json-value.ts';
import type {Offset} from '../../core/offset.ts';
import {wholeObject} from '../../core/lazy-object.ts';
import {EMPTY_IS_NULL, EPOCH_UNIT, fieldAt} from '../../core/schema.ts';
import {formatTimestamp, parseDate, parseTimestamp} from '../../core/time-text.ts';
import type {StructType} from '../../core/types.ts';
import {canonicalText, isComparable} from '../canonical.ts';
import type {CallContext, VerifyColumn, VerifyPoint, VerifyScope} from '../contract.ts';
import type {CursorValue} from '../cursor.ts';
import {verifyRowsPoint, type VerifyRow} from '../verify-rows.ts';
import {openFormat} from './cursor-format.ts';
import type {CursorSettings} from './read-plan.ts';
import type {RestTable} from './rest-spec.ts';

/** What a comparison needs of the source. */
export interface RestVerifySource {
  readonly table: RestTable;
  readonly schema: StructType;
  /** Every row that the source lists now, as it lands. */
  readonly rows: (ctx: CallContext) => AsyncIterable<readonly JsonObject[]>;
  readonly nowMicros: bigint;
}

/**
 * The rows of a table listed again and added up by a reader of values that has nothing in common with the one that lands them. Rows
 * that are newer than the flow's end do not count; those at it may have come since.
 * @throws UNSUPPORTED with predicates, and for tables whose rows cannot be listed as a whole.
 */
export function openRestVerify(scope: VerifyScope, end: Offset | null, source: RestVerifySource): VerifyPoint {
  const {table, schema} = source;
  if (scope.filter !== undefined || scope.deleted !== undefined)
    throw new IngestError('UNSUPPORTED', `Rows of "${scope.table}" that a condition chooses cannot be compared.`);
  const volatile = table.volatileColumns ?? {};
  const excluded = scope.columns.flatMap(({name, type}) => {
    const reason = volatile[name] ?? (isComparable(type) ? null : 'nested values have no canonical text');
    return reason === null ? [] : [{name, reason}];
  });
  const left = new Set(excluded.map(({name}) => name));
  const readers = scope.columns.filter(({name}) => !left.has(name)).map((column) => cellReader(column, schema));
  const place = placeOf(table, end);
  return verifyRowsPoint(scope, {
    token: `listed again from ${formatTimestamp(source.nowMicros)}`,
    excluded,
    async *rows(ctx): AsyncGenerator<readonly VerifyRow[], void> {
      for await (const rows of source.rows(ctx)) yield rows.map((row) => verifyRow(wholeObject(row), readers, place));
    },
  });
}

interface CellReader {
  readonly name: string;
  /** Null for null; undefined when the value does not fit its type. */
  readonly read: (row: JsonObject) => string | null | undefined;
}

type Place = Pick<VerifyRow, 'isLanded' | 'isTouched'>;

function verifyRow(row: JsonObject, readers: readonly CellReader[], place: (row: JsonObject) => Place): VerifyRow {
  const misfits: string[] = [];
  const cells = readers.map(({name, read}) => {
    const cell = read(row);
    if (cell === undefined) misfits.push(name);
    return cell ?? null;
  });
  return {cells, ...place(row), ...(misfits.length === 0 ? {} : {misfits})};
}

/** Where a row stands to the end of the flow: only plans with a cursor in the landed rows can tell. */
function placeOf(table: RestTable, end: Offset | null): (row: JsonObject) => Place {
  const {cursorField, read} = table;
  const bound = end?.['cursor'] ?? end?.['until'];
  if (cursorField === undefined || (typeof bound !== 'string' && typeof bound !== 'number')) return () => ({});
  if (read.kind !== 'sorted' && read.kind !== 'window' && read.kind !== 'descending' && read.kind !== 'id')
    return () => ({});
  const format = openFormat('format' in read ? (read as CursorSettings).format : undefined);
  const isClosed = end?.['until'] !== undefined;
  const limit: CursorValue =
    isClosed && typeof bound === 'string' ? format.print(openFormat('iso').micros(bound)) : bound;
  return (row) => {
    const value = format.plain(row[cursorField]);
    if (value === null) return {};
    const compared = format.compare(value, limit);
    if (isClosed) return compared < 0 ? {} : {isLanded: false, isTouched: true};
    return compared < 0 ? {} : compared === 0 ? {isTouched: true} : {isTouched: true, isLanded: true};
  };
}

function cellReader({name, type}: VerifyColumn, schema: StructType): CellReader {
  const {[EPOCH_UNIT]: unit, [EMPTY_IS_NULL]: emptyIsNull} = fieldAt(schema, name)?.metadata ?? {};
  return {
    name,
    read: (row) => {
      const value = row[name];
      const isNull = value === null || value === undefined || (value === '' && emptyIsNull === true);
      return isNull ? null : cellOf(value, type, typeof unit === 'string' ? unit : null);
    },
  };
}

function cellOf(value: JsonValue, type: VerifyColumn['type'], unit: string | null): string | undefined {
  switch (type) {
    case 'string':
      return typeof value === 'string'
        ? value
        : typeof value === 'object' && !(value instanceof ExactNumber)
          ? stringifyJson(value)
          : String(value);
    case 'boolean':
      return truthOf(value);
    case 'date': {
      const day = parseDate(String(value));
      return day === null ? undefined : String(day);
    }
    case 'timestamp':
    case 'timestamp_ntz':
      return timeOf(value, unit);
    case 'float':
    case 'double': {
      const number = Number(value);
      return Number.isNaN(number) ? undefined : (canonicalText(number, type) ?? undefined);
    }
    case 'byte':
    case 'short':
    case 'integer':
    case 'long':
      return wholeOf(value);
    default:
      return typeof type === 'object' && type.type === 'decimal'
        ? decimalOf(String(value), type.scale)
        : stringifyJson(value);
  }
}

/** Sources say it in words, letters and digits. */
function truthOf(value: JsonValue): string | undefined {
  const word = String(value).toLowerCase();
  if (['true', 't', 'yes', 'y', '1'].includes(word)) return '1';
  return ['false', 'f', 'no', 'n', '0'].includes(word) ? '0' : undefined;
}

function timeOf(value: JsonValue, unit: string | null): string | undefined {
  if (typeof value === 'string') {
    const parsed = parseTimestamp(value);
    if (parsed !== null) return String(parsed.micros);
    if (unit === null || value.trim() === '') return undefined;
  }
  const number = Number(value);
  if (!Number.isFinite(number)) return undefined;
  const scale = unit ?? (Math.abs(number) < 1e11 ? 's' : Math.abs(number) < 1e14 ? 'ms' : 'us');
  return String(Math.round(number * (scale === 's' ? 1_000_000 : scale === 'ms' ? 1000 : 1)));
}

function wholeOf(value: JsonValue): string | undefined {
  if (typeof value === 'boolean') return value ? '1' : '0';
  const text = String(value).trim();
  if (/^-?\d+$/.test(text)) return String(BigInt(text));
  const number = Number(text);
  return text !== '' && Number.isSafeInteger(number) ? String(number) : undefined;
}

function decimalOf(text: string, scale: number): string | undefined {
  const match = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text.trim());
  if (match === null) return undefined;
  const [, sign = '', whole = '0', fraction = ''] = match;
  const kept = fraction.replace(/0+$/, '');
  if (kept.length > scale) return undefined;
  const digits = String(BigInt(whole));
  const isZero = /^0*$/.test(digits) && kept === '';
  return `${isZero ? '' : sign}${digits}${scale === 0 ? '' : `.${kept.padEnd(scale, '0')}`}`;
}
