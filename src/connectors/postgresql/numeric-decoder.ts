/**
 * Reads `numeric` values from a binary COPY into unscaled integers: a header of four 16-bit words (digits, weight, sign,
 * scale), then digits to the base 10000. @see src/backend/utils/adt/numeric.c, numeric_send
 */
export interface NumericDecoder {
  /** Bytes per value: 2, 4, 8 or 16. */
  readonly width: number;
  /** Writes the value at byte `from` of `view` as row `row`; false when the type cannot hold it (NaN, infinity, overflow). */
  decode(view: DataView, from: number, row: number): boolean;
  /** The rows written so far, for a {@link FixedVector}. */
  readonly data: Int16Array | Int32Array | Uint32Array | BigUint64Array;
}

/** Makes a decoder for `decimal(precision, scale)` with room for `rows` values. */
export function numericDecoder(precision: number, scale: number, rows: number): NumericDecoder {
  if (precision <= 4) return narrowDecoder({precision, scale, width: 2, data: new Int16Array(rows)});
  if (precision <= 9) return narrowDecoder({precision, scale, width: 4, data: new Int32Array(rows)});
  return precision <= 18 ? longDecoder(precision, scale, rows) : hugeDecoder(precision, scale, rows);
}

/** The text that the server would print: for values that do not fit. */
export function numericText(view: DataView, from: number): string {
  const sign = view.getUint16(from + 4);
  if (sign === SIGN.nan) return 'NaN';
  if (sign === SIGN.plusInfinity) return 'Infinity';
  if (sign === SIGN.minusInfinity) return '-Infinity';
  const shown = view.getUint16(from + 6);
  const magnitude = unscaled(view, from, shown)
    .toString()
    .padStart(shown + 1, '0');
  const point = magnitude.length - shown;
  const digits = shown === 0 ? magnitude : `${magnitude.slice(0, point)}.${magnitude.slice(point)}`;
  return sign === SIGN.minus ? `-${digits}` : digits;
}

const SIGN = {minus: 0x4000, nan: 0xc000, plusInfinity: 0xd000, minusInfinity: 0xf000};
const TWO_32 = 4_294_967_296;
/** Products and sums below this are exact in a double. */
const EXACT = Number.MAX_SAFE_INTEGER;
const POWERS = Array.from({length: 39}, (_, exponent) => 10 ** exponent);
const BIG_POWERS = Array.from({length: 80}, (_, exponent) => 10n ** BigInt(exponent));

function narrowDecoder(target: {
  precision: number;
  scale: number;
  width: number;
  data: Int16Array | Int32Array;
}): NumericDecoder {
  const {precision, scale, width, data} = target;
  const limit = POWERS[precision] ?? 0;
  return {
    width,
    data,
    decode(view, from, row) {
      const sign = view.getUint16(from + 4);
      if (sign !== 0 && sign !== SIGN.minus) return false;
      const value = smallMagnitude(view, from, scale);
      if (!(value < limit)) return false;
      data[row] = sign === 0 ? value : -value;
      return true;
    },
  };
}

function longDecoder(precision: number, scale: number, rows: number): NumericDecoder {
  const data = new Uint32Array(rows * 2);
  const limit = POWERS[precision] ?? 0;
  const bigLimit = BIG_POWERS[precision] ?? 0n;
  return {
    width: 8,
    data,
    decode(view, from, row) {
      const sign = view.getUint16(from + 4);
      if (sign !== 0 && sign !== SIGN.minus) return false;
      let value = smallMagnitude(view, from, scale);
      let high: number;
      let low: number;
      if (value < EXACT) {
        if (value >= limit) return false;
        if (sign !== 0) value = -value;
        high = Math.floor(value / TWO_32);
        low = value - high * TWO_32;
      } else {
        const exact = unscaled(view, from, scale);
        if (exact >= bigLimit) return false;
        const signed = sign === 0 ? exact : -exact;
        high = Number(BigInt.asIntN(32, signed >> 32n));
        low = Number(BigInt.asUintN(32, signed));
      }
      data[2 * row] = low;
      data[2 * row + 1] = high;
      return true;
    },
  };
}

function hugeDecoder(precision: number, scale: number, rows: number): NumericDecoder {
  const data = new BigUint64Array(rows * 2);
  const limit = BIG_POWERS[precision] ?? 0n;
  return {
    width: 16,
    data,
    decode(view, from, row) {
      const sign = view.getUint16(from + 4);
      if (sign !== 0 && sign !== SIGN.minus) return false;
      const small = smallMagnitude(view, from, scale);
      const magnitude = small < EXACT ? BigInt(small) : unscaled(view, from, scale);
      if (magnitude >= limit) return false;
      const signed = sign === 0 ? magnitude : -magnitude;
      data[2 * row] = BigInt.asUintN(64, signed);
      data[2 * row + 1] = BigInt.asUintN(64, signed >> 64n);
      return true;
    },
  };
}

/** Magnitude times 10^scale as a double: exact if below 2^53 (then all intermediate values are), else at least 2^53. */
function smallMagnitude(view: DataView, from: number, scale: number): number {
  const digits = view.getUint16(from);
  const weight = view.getInt16(from + 2);
  if (digits === 0) return 0;
  let value = 0;
  // Decimal places that the current digit's unit is above 10^-scale; below 4 a digit is only partly wanted.
  let places = scale + 4 * weight;
  for (let at = from + 8, end = at + 2 * digits; at < end; at += 2, places -= 4) {
    const digit = view.getUint16(at);
    if (places >= 0) value = value * 10_000 + digit;
    else if (places > -4) return value * (POWERS[places + 4] ?? 1) + Math.floor(digit / (POWERS[-places] ?? 1));
    else return value;
  }
  // Trailing zeros are not sent; `places` is four below the unit of the last digit.
  return value * (POWERS[places + 4] ?? Infinity);
}

/** Magnitude times 10^scale, digits behind it cut off. */
function unscaled(view: DataView, from: number, scale: number): bigint {
  const digits = view.getUint16(from);
  const weight = view.getInt16(from + 2);
  let value = 0n;
  for (let index = 0; index < digits; index++) value = value * 10_000n + BigInt(view.getUint16(from + 8 + 2 * index));
  const exponent = scale + 4 * (weight - digits + 1);
  return exponent >= 0 ? value * power(exponent) : value / power(-exponent);
}

function power(exponent: number): bigint {
  return BIG_POWERS[exponent] ?? 10n ** BigInt(exponent);
}
