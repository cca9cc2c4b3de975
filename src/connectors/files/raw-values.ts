import {canonicalText, parseTimestamp, parseDate, type DataType, type DecimalType} from '../../sdk/index.ts';
import type {RawValue} from './raw-records.ts';

/** What a value of a file is in a column: its canonical text, or NULL, which is a misfit when there was a value. */
export interface RawCell {
  readonly text: string | null;
  readonly isMisfit: boolean;
}

/** A text column got a nested value: how the ingest prints that is its own. */
export const NESTED_TEXT: unique symbol = Symbol('nested value in a text column');

/**
 * The canonical text of a value in a column of a landed type, by the rules of `docs/connectors/files.md`, and without the
 * code that the ingest applies them with.
 */
export function rawCell(value: RawValue, type: DataType): RawCell | typeof NESTED_TEXT {
  if (value === null) return {text: null, isMisfit: false};
  const plain = value.kind === 'text' ? value.text : jsonText(value.text);
  if (type === 'string' || type === 'variant') return plain === null ? NESTED_TEXT : {text: plain, isMisfit: false};
  const isBare = value.kind === 'json' && !value.text.startsWith('"');
  const text = plain === null ? null : canonical(plain, type, isBare);
  return {text, isMisfit: text === null};
}

/** What a JSON value means as text; null for objects and lists. */
function jsonText(raw: string): string | null {
  if (raw.startsWith('"')) return JSON.parse(raw) as string;
  if (raw.startsWith('{') || raw.startsWith('[')) return null;
  // A whole number has no negative zero.
  return raw === '-0' ? '0' : raw;
}

function canonical(text: string, type: Exclude<DataType, 'string' | 'variant'>, isBare: boolean): string | null {
  switch (type) {
    case 'byte':
      return whole(text, 8n, isBare);
    case 'short':
      return whole(text, 16n, isBare);
    case 'integer':
      return whole(text, 32n, isBare);
    case 'long':
      return whole(text, 64n, isBare);
    case 'float':
    case 'double':
      return floating(text, type);
    case 'boolean':
      return truth(text);
    case 'binary':
      return isBare ? null : bytes(text);
    case 'date': {
      const day = DATE_FORMS.test(text) && !text.trim().startsWith('0000') ? parseDate(text.trim()) : null;
      return day === null ? null : canonicalText(day, 'date');
    }
    case 'timestamp':
    case 'timestamp_ntz':
      return moment(text, type, isBare);
    default:
      return type.type === 'decimal' ? decimalText(text, type) : null;
  }
}

function whole(text: string, bits: bigint, isBare: boolean): string | null {
  const digits =
    isBare && /[.eE]/u.test(text) && Number.isInteger(Number(text)) && Math.abs(Number(text)) < 1e15
      ? String(Number(text))
      : text;
  const match = /^\s*([+-]?)(\d+|\d{1,15}\.0*)\s*$/u.exec(digits);
  if (match === null) return null;
  const value = BigInt(`${match[2]?.split('.')[0]}`) * (match[1] === '-' ? -1n : 1n);
  return BigInt.asIntN(Number(bits), value) === value ? String(value) : null;
}

function floating(text: string, type: 'float' | 'double'): string | null {
  const trimmed = text.trim();
  const word = /^([+-]?)(?:(nan)|inf|infinity)$/iu.exec(trimmed);
  if (word !== null) return canonicalText(word[2] !== undefined ? NaN : word[1] === '-' ? -Infinity : Infinity, type);
  if (!/^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/u.test(trimmed)) return null;
  const value = type === 'float' ? Math.fround(Number(trimmed)) : Number(trimmed);
  return Number.isFinite(value) ? canonicalText(value, type) : null;
}

function truth(text: string): string | null {
  const word = text.trim().toLowerCase();
  if (['true', 't', 'yes', 'y', '1'].includes(word)) return '1';
  return ['false', 'f', 'no', 'n', '0'].includes(word) ? '0' : null;
}

function bytes(text: string): string | null {
  const decoded = Buffer.from(text, 'base64');
  return decoded.toString('base64') === text ? decoded.toString('hex') : null;
}

function decimalText(text: string, {precision, scale}: DecimalType): string | null {
  const match = /^\s*([+-]?)(\d*)(?:\.(\d*))?\s*$/u.exec(withoutExponent(text));
  if (match === null) return null;
  const [, sign, wholePart = '', fraction = ''] = match;
  if (wholePart === '' && fraction === '') return null;
  const kept = fraction.slice(0, scale).padEnd(scale, '0');
  if (/[1-9]/u.test(fraction.slice(scale))) return null;
  const digits = wholePart.replace(/^0+/u, '');
  if (digits.length > precision - scale) return null;
  const isZero = !/[1-9]/u.test(digits + kept);
  const shown = `${digits === '' ? '0' : digits}${scale === 0 ? '' : `.${kept}`}`;
  return sign === '-' && !isZero ? `-${shown}` : shown;
}

/** `1.5e3` as `1500`; other text as it is. */
function withoutExponent(text: string): string {
  const match = /^\s*([+-]?)(\d*)\.?(\d*)[eE]([+-]?\d{1,4})\s*$/u.exec(text);
  if (match === null) return text;
  const [, sign = '', wholePart = '', fraction = '', exponent = '0'] = match;
  if (wholePart + fraction === '') return text;
  const point = wholePart.length + Number(exponent);
  const digits = (wholePart + fraction)
    .padStart(wholePart.length + fraction.length - Math.min(point, 0), '0')
    .padEnd(point, '0');
  const at = Math.max(point, 0);
  return `${sign}${digits.slice(0, at)}.${digits.slice(at)}`;
}

const DATE_FORMS =
  /^(?:\s*\d{4}-\d{2}-\d{2}\s*|\d{1,2}\/\d{1,2}\/\d{4}|\d{1,2}-\d{1,2}-\d{4}|\d{4}\/\d{1,2}\/\d{1,2})$/u;
const TIME =
  /^\s*\d{4}-\d{2}-\d{2}(?:[Tt ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?( ?(?:Z|z|UTC|[+-]\d{2}(?::?\d{2})?))?)?\s*$/u;

function moment(text: string, type: 'timestamp' | 'timestamp_ntz', isBare: boolean): string | null {
  if (isBare && /^-?\d{1,16}$/u.test(text)) return String(sinceEpoch(BigInt(text)));
  const match = TIME.exec(text);
  const zone = match?.[1]?.trim().toUpperCase();
  if (match === null || text.trim().startsWith('0000')) return null;
  if (type === 'timestamp_ntz' && zone !== undefined && !/^(?:Z|UTC|[+-]00(?::?00)?)$/u.test(zone)) return null;
  const parsed = parseTimestamp(text.trim());
  return parsed === null ? null : String(parsed.micros);
}

/** Seconds, milliseconds or microseconds, by magnitude. */
function sinceEpoch(value: bigint): bigint {
  const size = value < 0n ? -value : value;
  return value * (size < 100_000_000_000n ? 1_000_000n : size < 100_000_000_000_000n ? 1000n : 1n);
}
