import type {ByteReader} from './byte-reader.ts';

/** Bytes for so many digits; nine digits take four. */
const DIGIT_BYTES = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4] as const;

/** Bytes of a DECIMAL. */
export function decimalBytes(precision: number, scale: number): number {
  const whole = precision - scale;
  return groupBytes(whole) + groupBytes(scale);
}

/**
 * A DECIMAL as text with `scale` digits after the point. Digits are in groups of nine, big-endian; negative numbers have all
 * bits turned over, and the first bit is the sign.
 */
export function readDecimal(reader: ByteReader, precision: number, scale: number): string {
  const {bytes} = reader;
  const isNegative = ((bytes[reader.at] ?? 0) & 0x80) === 0;
  const whole = precision - scale;
  const leading = whole % 9;
  let text = '';
  let isFirst = true;
  const group = (width: number): number => {
    if (width === 0) return 0;
    let value = bytes.readUIntBE(reader.at, width);
    reader.at += width;
    if (isNegative) value = 2 ** (8 * width) - 1 - value;
    if (isFirst) value %= 2 ** (8 * width - 1);
    isFirst = false;
    return value;
  };
  if (leading > 0) {
    const value = group(DIGIT_BYTES[leading] ?? 0);
    if (value > 0) text = String(value);
  }
  for (let left = whole - leading; left > 0; left -= 9) {
    const value = group(4);
    if (text !== '') text += padded(value, 9);
    else if (value > 0) text = String(value);
  }
  if (text === '') text = '0';
  if (scale > 0) {
    text += '.';
    let left = scale;
    for (; left >= 9; left -= 9) text += padded(group(4), 9);
    if (left > 0) text += padded(group(DIGIT_BYTES[left] ?? 0), left);
  }
  return isNegative ? `-${text}` : text;
}

function groupBytes(digits: number): number {
  return Math.floor(digits / 9) * 4 + (DIGIT_BYTES[digits % 9] ?? 0);
}

function padded(value: number, digits: number): string {
  return String(value).padStart(digits, '0');
}
