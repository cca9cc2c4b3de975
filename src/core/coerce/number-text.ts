/** A number as digits: `digits` times ten to the power of `exponent`. */
interface Digits {
  readonly negative: boolean;
  /** Without leading zeros; empty for zero. */
  readonly digits: string;
  readonly exponent: number;
}

const NUMBER = /^\s*([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,9}))?\s*$/;
const SHORT_INTEGER = /^-?\d{1,15}$/;
const SPECIAL = /^\s*([+-]?)(?:(nan)|inf|infinity)\s*$/i;
const MAX_DIGITS = 38;

/**
 * The number that a text says times ten to the power of `scale`, exactly; null when the text is no number, when a digit
 * that is not zero would be lost, or above 38 digits. Blanks around it are allowed.
 */
export function unscaledOf(text: string, scale: number): bigint | null {
  if (scale === 0 && SHORT_INTEGER.test(text)) return BigInt(text);
  const number = digitsOf(text);
  if (number === null) return null;
  if (number.digits === '') return 0n;
  const shift = number.exponent + scale;
  if (number.digits.length + shift > MAX_DIGITS) return null;
  if (shift < 0 && !isZeros(number.digits.slice(shift))) return null;
  const digits = shift < 0 ? number.digits.slice(0, shift) : number.digits + '0'.repeat(shift);
  return number.negative ? -BigInt(digits) : BigInt(digits);
}

/**
 * The double nearest to the number that a text says; `nan`, `inf` and `infinity` are numbers too. Null when the text is no
 * number, or one too large for a double, or so small that zero would be left.
 */
export function doubleOf(text: string): number | null {
  const number = digitsOf(text);
  if (number === null) {
    const special = SPECIAL.exec(text);
    if (special === null) return null;
    return special[2] !== undefined ? NaN : special[1] === '-' ? -Infinity : Infinity;
  }
  const value = Number(text);
  return Number.isFinite(value) && (value !== 0 || number.digits === '') ? value : null;
}

function digitsOf(text: string): Digits | null {
  const match = NUMBER.exec(text);
  if (match === null) return null;
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = match;
  if (whole === '' && fraction === '') return null;
  return {
    negative: sign === '-',
    digits: (whole + fraction).replace(/^0+/, ''),
    exponent: Number(exponent) - fraction.length,
  };
}

function isZeros(digits: string): boolean {
  return /^0*$/.test(digits);
}
