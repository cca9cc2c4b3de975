import type {TableResult} from '../runtime/api.ts';
import {jsonText} from './json-text.ts';
import {visible, type Paint} from './terminal-text.ts';
import {tableLines} from './text-table.ts';

/** Longest cell before clipping to the terminal. */
const MAX_CELL = 200;
const NULL_TEXT = 'NULL';

/** The rows of a result as an aligned table; nulls are told from texts by their paint. */
export function resultLines(
  result: TableResult,
  options: {readonly width: number; readonly paint: Paint},
): readonly string[] {
  const {paint, width} = options;
  const types = result.types ?? [];
  const values = result.rows.map((row) => result.columns.map((column) => row[column] ?? null));
  const columns = result.columns.map((title, index) => ({
    title: visible(title),
    align: isNumeric(
      values.map((row) => row[index]),
      types[index],
    )
      ? ('right' as const)
      : ('left' as const),
  }));
  const rows = values.map((row) => row.map((value, index) => cellText(value, types[index]).slice(0, MAX_CELL)));
  const paintCell = (text: string, column: number, row: number): string =>
    values[row]?.[column] === null ? paint.dim(text) : text;
  const lines = tableLines({columns, rows}, {width, paint, paintCell});
  const count = `${result.rows.length} ${result.rows.length === 1 ? 'row' : 'rows'}`;
  return [...lines, paint.dim(result.truncated ? `${count} shown, there are more` : count)];
}

/** The result as plain data: rows as objects, dates and times as ISO text. */
export function resultJson(result: TableResult): object {
  const types = result.types ?? [];
  const rows = result.rows.map((row) =>
    Object.fromEntries(
      result.columns.map((column, index) => [
        column,
        timeText(row[column] ?? null, types[index]) ?? row[column] ?? null,
      ]),
    ),
  );
  return {columns: result.columns, ...(result.types === undefined ? {} : {types}), rows, truncated: result.truncated};
}

function cellText(value: unknown, type: string | undefined): string {
  if (value === null || value === undefined) return NULL_TEXT;
  const time = timeText(value, type);
  if (time !== null) return time;
  if (typeof value === 'string') return visible(value);
  if (value instanceof Uint8Array)
    return `\\x${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')}`;
  if (typeof value === 'object') return visible(jsonText(value));
  return String(value);
}

function isNumeric(values: readonly unknown[], type: string | undefined): boolean {
  if (type !== undefined && /^(DATE|TIME)/.test(type)) return false;
  if (type !== undefined && type.startsWith('DECIMAL')) return true;
  const present = values.filter((value) => value !== null);
  return present.length > 0 && present.every((value) => typeof value === 'number' || typeof value === 'bigint');
}

/** Days and microseconds since 1970 as text, by the column's type; null for other values. */
function timeText(value: unknown, type: string | undefined): string | null {
  if (type === 'DATE' && typeof value === 'number') return dateText(value);
  if (type === undefined || !type.startsWith('TIMESTAMP') || typeof value !== 'bigint') return null;
  const day = 86_400_000_000n;
  const days = value / day - (value % day < 0n ? 1n : 0n);
  const micros = value - days * day;
  const two = (part: bigint): string => String(part).padStart(2, '0');
  const seconds = micros / 1_000_000n;
  const fraction = String(micros % 1_000_000n)
    .padStart(6, '0')
    .replace(/0+$/, '');
  const time = `${two(seconds / 3600n)}:${two((seconds / 60n) % 60n)}:${two(seconds % 60n)}${fraction === '' ? '' : `.${fraction}`}`;
  return `${dateText(Number(days))}T${time}${type.includes('ZONE') ? 'Z' : ''}`;
}

function dateText(days: number): string | null {
  const date = new Date(days * 86_400_000);
  return Number.isNaN(date.getTime()) ? null : date.toISOString().replace(/T.*$/, '');
}
