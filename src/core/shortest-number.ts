const ZERO = 0x30;
const POINT_MINUS_ZERO = 0x2e - ZERO;
const MINUS = 0x2d;
const SAFE_DIGITS = 15;
const MAX_DIGITS = 17;
/** The largest power of ten that a double holds exactly. */
const MAX_SCALE = 22;
const HEAD_DIGITS = 8;
const SPLITTER = 134_217_729;
const MARGIN = 1e-3;
const EXPONENT_BITS = 0x7ff00000;
/** 52 in the place of the exponent. */
const STEP_BELOW = 52 << 20;

const POWERS_OF_TEN = Float64Array.from({length: MAX_SCALE + 1}, (_, power) => Number(`1e${power}`));

// The words of a double, little-endian as on every machine that Node supports.
const double = new Float64Array(1);
const words = new Uint32Array(double.buffer);

/**
 * True when it is proved that a plain decimal number is what the double nearest to it prints as; false when it is not
 * proved, then the texts must be compared. Reading and printing 17 digits costs several times what JSON.parse takes to read
 * them, and this is needed for each number of a list of coordinates or embeddings.
 *
 * A double prints as the shortest decimal within half a step around it, and as the closest one of that length. So with
 * `v` a double and `d` the number, both in units of the last digit of `d`: `v` and `d` are less than half a step and half a
 * unit apart, and no multiple of ten units lies within half a step of `v`. The differences are computed without the errors
 * of floating point, so that the margin is more than enough.
 */
export function isProvedShortest(codes: Uint8Array, start: number, end: number): boolean {
  let head = 0;
  let tail = 0;
  let digitCount = 0;
  let scale = 0;
  let afterPoint = 0;
  for (let at = codes[start] === MINUS ? start + 1 : start; at < end; at++) {
    const digit = (codes[at] ?? 0) - ZERO;
    if (digit === POINT_MINUS_ZERO) afterPoint = 1;
    else if (digit < 0 || digit > 9) return false;
    else {
      scale += afterPoint;
      if (digitCount === 0 && digit === 0) continue;
      // Two parts, because a double holds no 17 digits.
      if (digitCount++ < HEAD_DIGITS) head = head * 10 + digit;
      else tail = tail * 10 + digit;
    }
  }
  if (digitCount === 0 || digitCount > MAX_DIGITS || scale === 0 || scale > MAX_SCALE) return false;
  return digitCount <= SAFE_DIGITS || printsAs(head * (POWERS_OF_TEN[digitCount - HEAD_DIGITS] ?? NaN), tail, scale);
}

/** {@link isProvedShortest} for `(high + tail) / 10^scale`, a number of 16 or 17 digits. */
function printsAs(high: number, tail: number, scale: number): boolean {
  const unitsPerOne = POWERS_OF_TEN[scale] ?? NaN;
  const near = (high + tail) / unitsPerOne;
  const nearest = near - productMinus(near, unitsPerOne, high, tail) / unitsPerOne;
  const error = productMinus(nearest, unitsPerOne, high, tail);
  const halfStep = (stepOf(nearest) / 2) * unitsPerOne;
  const lastDigit = (tail % 10) + error;
  const toTen = Math.min(Math.abs(lastDigit), Math.abs(10 - lastDigit));
  return Math.abs(error) < Math.min(0.5, halfStep) - MARGIN && toTen > halfStep + MARGIN;
}

/** `left * right - (high + tail)` without the error of the product (Dekker), where the difference is small. */
function productMinus(left: number, right: number, high: number, tail: number): number {
  const product = left * right;
  const leftHigh = splitHigh(left);
  const rightHigh = splitHigh(right);
  const [leftLow, rightLow] = [left - leftHigh, right - rightHigh];
  const lost = leftLow * rightLow - (product - leftHigh * rightHigh - leftLow * rightHigh - leftHigh * rightLow);
  return product - high - tail + lost;
}

/** The upper half of the digits of a double. */
function splitHigh(value: number): number {
  const scaled = SPLITTER * value;
  return scaled - (scaled - value);
}

/** The distance from a double above 1e-290 to the next larger one. */
function stepOf(value: number): number {
  double[0] = value;
  words[1] = ((words[1] ?? 0) & EXPONENT_BITS) - STEP_BELOW;
  words[0] = 0;
  return double[0];
}
