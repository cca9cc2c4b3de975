/**
 * Roaring bitmaps in the portable format, and the 64-bit form that Delta's deletion vectors use. A bitmap is held as its
 * positions: ascending, each once.
 * @see https://github.com/RoaringBitmap/RoaringFormatSpec (read 2025)
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#deletion-vector-format
 */

/** Positions in a file, ascending, each once. A file of Parquet has less than 2^32 rows. */
export type Positions = Uint32Array;

const MAGIC = 1681511377;
/** An older form, big-endian, that only inline vectors of early writers have. */
const MAGIC_BIG_ENDIAN = 1681511376;
const COOKIE_WITHOUT_RUNS = 12346;
const COOKIE_WITH_RUNS = 12347;
const NO_OFFSETS_BELOW = 4;
const ARRAY_MAX = 4096;
const BITMAP_BYTES = 8192;

/** The bytes of a deletion vector: magic number, one 32-bit bitmap for key 0, without size and checksum. */
export function encodeVector(positions: Positions): Uint8Array {
  const bitmap = encodeBitmap(positions);
  const bytes = new Uint8Array(16 + bitmap.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  view.setBigUint64(4, 1n, true);
  view.setUint32(12, 0, true);
  bytes.set(bitmap, 16);
  return bytes;
}

/** Reads what {@link encodeVector} or another writer wrote. @throws RangeError when it is no such bitmap or goes beyond 2^32. */
export function decodeVector(bytes: Uint8Array): Positions {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) === MAGIC) return decodeMap(view);
  if (view.getUint32(0, false) === MAGIC_BIG_ENDIAN) return decodeBigEndian(view);
  throw new RangeError('The magic number of a deletion vector is missing.');
}

/** Both sets in one, or `left` itself when `right` adds nothing. */
export function unionOf(left: Positions, right: Positions): Positions {
  const merged = new Uint32Array(left.length + right.length);
  let [count, atLeft, atRight] = [0, 0, 0];
  while (atLeft < left.length || atRight < right.length) {
    const nextLeft = left[atLeft] ?? Number.POSITIVE_INFINITY;
    const nextRight = right[atRight] ?? Number.POSITIVE_INFINITY;
    merged[count++] = Math.min(nextLeft, nextRight);
    if (nextLeft <= nextRight) atLeft++;
    if (nextRight <= nextLeft) atRight++;
  }
  return count === left.length ? left : merged.slice(0, count);
}

function decodeMap(view: DataView): Positions {
  const bitmapCount = Number(view.getBigUint64(4, true));
  if (bitmapCount === 0) return new Uint32Array(0);
  if (bitmapCount !== 1 || view.getUint32(12, true) !== 0)
    throw new RangeError('A deletion vector goes beyond 2^32 rows.');
  return decodeBitmap(view, 16);
}

/** `[magic][count]([key][size][bitmap])*`, all numbers big-endian but those inside the bitmap. */
function decodeBigEndian(view: DataView): Positions {
  const bitmapCount = view.getUint32(4, false);
  if (bitmapCount === 0) return new Uint32Array(0);
  if (bitmapCount !== 1) throw new RangeError('A deletion vector goes beyond 2^32 rows.');
  return decodeBitmap(view, 12);
}

/** A run of positions that share their upper 16 bits. */
interface Container {
  readonly key: number;
  readonly start: number;
  readonly end: number;
  readonly runCount: number;
}

function containersOf(positions: Positions): readonly Container[] {
  const containers: Container[] = [];
  for (let start = 0; start < positions.length;) {
    const key = (positions[start] ?? 0) >>> 16;
    let end = start + 1;
    let runCount = 1;
    while (end < positions.length && (positions[end] ?? 0) >>> 16 === key) {
      if (positions[end] !== (positions[end - 1] ?? 0) + 1) runCount++;
      end++;
    }
    containers.push({key, start, end, runCount});
    start = end;
  }
  return containers;
}

function plainBytes({start, end}: Container): number {
  return end - start > ARRAY_MAX ? BITMAP_BYTES : 2 * (end - start);
}

function runBytes({runCount}: Container): number {
  return 2 + 4 * runCount;
}

/** The 32-bit bitmap; each container in its smallest form. */
function encodeBitmap(positions: Positions): Uint8Array {
  const containers = containersOf(positions);
  const isRun = containers.map((container) => runBytes(container) < plainBytes(container));
  const sizes = containers.map((container, index) => (isRun[index] ? runBytes(container) : plainBytes(container)));
  const hasRuns = isRun.includes(true);
  const count = containers.length;
  const hasOffsets = !hasRuns || count >= NO_OFFSETS_BELOW;
  const flagBytes = hasRuns ? Math.ceil(count / 8) : 0;
  const dataStart = (hasRuns ? 4 + flagBytes : 8) + 4 * count + (hasOffsets ? 4 * count : 0);
  const bytes = new Uint8Array(sizes.reduce((sum, size) => sum + size, dataStart));
  const view = new DataView(bytes.buffer);
  let at = writeCookie(view, count, hasRuns);
  isRun.forEach((run, index) => {
    if (run) bytes[at + (index >> 3)] = (bytes[at + (index >> 3)] ?? 0) | (1 << (index & 7));
  });
  at += flagBytes;
  for (const {key, start, end} of containers) {
    view.setUint16(at, key, true);
    view.setUint16(at + 2, end - start - 1, true);
    at += 4;
  }
  let dataAt = dataStart;
  containers.forEach((container, index) => {
    if (hasOffsets) view.setUint32(at + 4 * index, dataAt, true);
    const target = new DataView(bytes.buffer, dataAt, sizes[index] ?? 0);
    if (isRun[index]) writeRuns(target, positions, container);
    else writePlain(target, positions, container);
    dataAt += sizes[index] ?? 0;
  });
  return bytes;
}

function writeCookie(view: DataView, count: number, hasRuns: boolean): number {
  if (hasRuns) {
    view.setUint32(0, ((count - 1) << 16) | COOKIE_WITH_RUNS, true);
    return 4;
  }
  view.setUint32(0, COOKIE_WITHOUT_RUNS, true);
  view.setUint32(4, count, true);
  return 8;
}

function writePlain(target: DataView, positions: Positions, {start, end}: Container): void {
  const isArray = end - start <= ARRAY_MAX;
  for (let index = start; index < end; index++) {
    const low = (positions[index] ?? 0) & 0xffff;
    if (isArray) target.setUint16(2 * (index - start), low, true);
    else target.setUint8(low >> 3, target.getUint8(low >> 3) | (1 << (low & 7)));
  }
}

function writeRuns(target: DataView, positions: Positions, {start, end, runCount}: Container): void {
  target.setUint16(0, runCount, true);
  let at = 2;
  for (let index = start; index < end;) {
    const first = positions[index] ?? 0;
    let length = 1;
    while (index + length < end && positions[index + length] === first + length) length++;
    target.setUint16(at, first & 0xffff, true);
    target.setUint16(at + 2, length - 1, true);
    at += 4;
    index += length;
  }
}

function decodeBitmap(view: DataView, start: number): Positions {
  const cookie = view.getUint32(start, true);
  const hasRuns = (cookie & 0xffff) === COOKIE_WITH_RUNS;
  if (!hasRuns && cookie !== COOKIE_WITHOUT_RUNS) throw new RangeError('The cookie of a roaring bitmap is missing.');
  const count = hasRuns ? (cookie >>> 16) + 1 : view.getUint32(start + 4, true);
  if (count > 0x10000) throw new RangeError('A roaring bitmap has too many containers.');
  const flagsAt = start + 4;
  const headerAt = hasRuns ? flagsAt + Math.ceil(count / 8) : start + 8;
  const hasOffsets = !hasRuns || count >= NO_OFFSETS_BELOW;
  let at = headerAt + 4 * count + (hasOffsets ? 4 * count : 0);
  const parts: Positions[] = [];
  for (let index = 0; index < count; index++) {
    const high = (view.getUint16(headerAt + 4 * index, true) << 16) >>> 0;
    const cardinality = view.getUint16(headerAt + 4 * index + 2, true) + 1;
    const isRun = hasRuns && (view.getUint8(flagsAt + (index >> 3)) & (1 << (index & 7))) !== 0;
    const part = isRun ? readRuns(view, at, high) : readPlain(view, {at, high, cardinality});
    at += isRun ? 2 + 4 * view.getUint16(at, true) : cardinality > ARRAY_MAX ? BITMAP_BYTES : 2 * cardinality;
    parts.push(part);
  }
  return concatenated(parts);
}

function readPlain(
  view: DataView,
  {at, high, cardinality}: {at: number; high: number; cardinality: number},
): Positions {
  const positions = new Uint32Array(cardinality);
  if (cardinality <= ARRAY_MAX) {
    for (let index = 0; index < cardinality; index++) positions[index] = high + view.getUint16(at + 2 * index, true);
    return positions;
  }
  let filled = 0;
  for (let byte = 0; byte < BITMAP_BYTES; byte++) {
    let bits = view.getUint8(at + byte);
    for (; bits !== 0; bits &= bits - 1) positions[filled++] = high + byte * 8 + (31 - Math.clz32(bits & -bits));
  }
  if (filled !== cardinality) throw new RangeError('A roaring bitmap contradicts its own cardinality.');
  return positions;
}

function readRuns(view: DataView, at: number, high: number): Positions {
  const runCount = view.getUint16(at, true);
  let total = 0;
  for (let run = 0; run < runCount; run++) total += view.getUint16(at + 4 + 4 * run, true) + 1;
  if (total > 0x10000) throw new RangeError('The runs of a roaring bitmap overlap.');
  const positions = new Uint32Array(total);
  let filled = 0;
  for (let run = 0; run < runCount; run++) {
    const first = view.getUint16(at + 2 + 4 * run, true);
    const length = view.getUint16(at + 4 + 4 * run, true) + 1;
    for (let step = 0; step < length; step++) positions[filled++] = high + first + step;
  }
  return positions;
}

function concatenated(parts: readonly Positions[]): Positions {
  const [only] = parts;
  if (parts.length === 1 && only !== undefined) return only;
  const all = new Uint32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
