import {promisify} from 'node:util';
import {brotliCompress, brotliDecompress, constants, crc32} from 'node:zlib';

import {damaged} from './damage.ts';

/** How blocks are compressed. Brotli at its fastest costs about 4 to 8 ns of CPU per byte and makes rows of text 5 times smaller. */
export type Compression = 'none' | 'brotli';

/** Bytes before a block: its length raw and as stored (u32 each, little-endian); a raw length of 0 ends the blocks. */
const BLOCK_HEADER = 8;
/** An empty block, the counts and the CRC. */
const FOOT_BYTES: number = BLOCK_HEADER + 16;
const MAGIC = Buffer.from('SLSTG\x01\r\n', 'latin1');

const NO_ROOM = Buffer.alloc(0);

const compress = promisify(brotliCompress);
const decompress = promisify(brotliDecompress);

/** One block as it lies in a file. */
export interface StoredBlock {
  readonly rawBytes: number;
  readonly stored: Buffer;
}

/** Compresses a block, outside of this thread. The bytes must not change until it resolves. */
export async function storeBlock(raw: Buffer, compression: Compression): Promise<StoredBlock> {
  if (compression === 'none') return {rawBytes: raw.length, stored: raw};
  const stored = await compress(raw, {
    params: {[constants.BROTLI_PARAM_QUALITY]: 1, [constants.BROTLI_PARAM_SIZE_HINT]: raw.length},
  });
  return {rawBytes: raw.length, stored: stored.length < raw.length ? stored : raw};
}

/** The head of a file: magic, length of the description, description as JSON text. */
export function fileHead(description: Uint8Array): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(description.length);
  return Buffer.concat([MAGIC, length, description]);
}

/** What goes before the bytes of a block. */
export function blockHead({rawBytes, stored}: StoredBlock): Buffer {
  const head = Buffer.alloc(BLOCK_HEADER);
  head.writeUInt32LE(rawBytes);
  head.writeUInt32LE(stored.length, 4);
  return head;
}

/** The end of a file: an empty block, the number of blocks and of raw bytes, and the CRC-32 of all that comes before it. */
export function fileFoot(
  blocks: number,
  rawBytes: number,
  crcBefore: number,
): {readonly foot: Buffer; readonly crc: number} {
  const foot = Buffer.alloc(FOOT_BYTES);
  foot.writeUInt32LE(blocks, BLOCK_HEADER);
  foot.writeBigUInt64LE(BigInt(rawBytes), BLOCK_HEADER + 4);
  const crc = crc32(foot.subarray(0, -4), crcBefore);
  foot.writeUInt32LE(crc, foot.length - 4);
  return {foot, crc};
}

/**
 * A whole file from its blocks, copied once.
 * @param room what the bytes are written into where it is large enough: fresh memory costs as much as the copy
 */
export function wholeFile(
  description: Uint8Array,
  blocks: readonly StoredBlock[],
  room: Buffer = NO_ROOM,
): {readonly bytes: Buffer; readonly crc: number; readonly rawBytes: number} {
  const head = fileHead(description);
  const stored = blocks.reduce((total, block) => total + BLOCK_HEADER + block.stored.length, 0);
  const length = head.length + stored + FOOT_BYTES;
  const bytes = length <= room.length ? room.subarray(0, length) : Buffer.allocUnsafe(length);
  let at = head.copy(bytes);
  let rawBytes = 0;
  for (const block of blocks) {
    at += blockHead(block).copy(bytes, at);
    at += block.stored.copy(bytes, at);
    rawBytes += block.rawBytes;
  }
  const {foot, crc} = fileFoot(blocks.length, rawBytes, crc32(bytes.subarray(0, at)));
  foot.copy(bytes, at);
  return {bytes, crc, rawBytes};
}

/** A file as it was read: its description and its blocks, raw. */
export interface BlockFile {
  readonly description: unknown;
  readonly blocks: readonly Buffer[];
}

/** Reads a whole file. @throws STAGING_DAMAGED when the bytes are not those that were written */
export async function readBlockFile(
  bytes: Buffer,
  file: string,
  expected: {readonly bytes: number; readonly crc: number},
): Promise<BlockFile> {
  if (bytes.length !== expected.bytes) throw damaged(file, `has ${bytes.length} bytes instead of ${expected.bytes}`);
  if (crc32(bytes.subarray(0, -4)) !== expected.crc)
    throw damaged(file, 'does not hold the bytes that were written: its CRC differs');
  const {description, start} = readHead(bytes, file);
  const blocks: Buffer[] = [];
  let at = start;
  for (;;) {
    const rawBytes = bytes.readUInt32LE(at);
    if (rawBytes === 0) return {description, blocks};
    const end = at + BLOCK_HEADER + bytes.readUInt32LE(at + 4);
    blocks.push(await rawBlock(bytes.subarray(at + BLOCK_HEADER, end), rawBytes, file));
    at = end;
  }
}

/**
 * The raw blocks of a file that is read piece by piece; what was yielded counts only when all was, because the CRC is at the end.
 * @throws STAGING_DAMAGED when the bytes are not those that were written
 */
export async function* streamBlocks(
  pieces: AsyncIterable<Uint8Array>,
  file: string,
  expected: {readonly bytes: number; readonly crc: number},
): AsyncGenerator<Buffer, void> {
  const input = new PieceReader(pieces, file);
  const head = await input.take(MAGIC.length + 4);
  if (!head.subarray(0, MAGIC.length).equals(MAGIC)) throw damaged(file, 'is no file of this staging format');
  await input.take(head.readUInt32LE(MAGIC.length));
  for (;;) {
    const block = await input.take(BLOCK_HEADER);
    const rawBytes = block.readUInt32LE();
    if (rawBytes === 0) break;
    yield await rawBlock(await input.take(block.readUInt32LE(4)), rawBytes, file);
  }
  await input.take(12);
  const crc = input.crc;
  const foot = await input.take(4);
  const isWhole = foot.readUInt32LE() === crc && crc === expected.crc && input.taken === expected.bytes;
  if (!isWhole) throw damaged(file, 'does not hold the bytes that were written: its CRC or length differs');
}

async function rawBlock(stored: Buffer, rawBytes: number, file: string): Promise<Buffer> {
  if (stored.length === rawBytes) return stored;
  let raw: Buffer;
  try {
    raw = await decompress(stored, {maxOutputLength: rawBytes});
  } catch (error) {
    throw damaged(file, 'has a block that cannot be decompressed', error);
  }
  if (raw.length !== rawBytes) throw damaged(file, 'has a block of another length than it says');
  return raw;
}

function readHead(bytes: Buffer, file: string): {readonly description: unknown; readonly start: number} {
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) throw damaged(file, 'is no file of this staging format');
  const start = MAGIC.length + 4 + bytes.readUInt32LE(MAGIC.length);
  return {description: JSON.parse(bytes.toString('utf8', MAGIC.length + 4, start)) as unknown, start};
}

/** Exact numbers of bytes from pieces of any size, with the CRC of what was taken. */
class PieceReader {
  crc = 0;
  taken = 0;
  readonly #pieces: AsyncIterator<Uint8Array>;
  readonly #file: string;
  #rest: Buffer = Buffer.alloc(0);

  constructor(pieces: AsyncIterable<Uint8Array>, file: string) {
    this.#pieces = pieces[Symbol.asyncIterator]();
    this.#file = file;
  }

  async take(length: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    let missing = length;
    while (missing > 0) {
      if (this.#rest.length === 0) this.#rest = await this.#next();
      const part = this.#rest.subarray(0, missing);
      this.#rest = this.#rest.subarray(part.length);
      missing -= part.length;
      parts.push(part);
    }
    const [only] = parts;
    const bytes = parts.length === 1 && only !== undefined ? only : Buffer.concat(parts);
    this.crc = crc32(bytes, this.crc);
    this.taken += length;
    return bytes;
  }

  async #next(): Promise<Buffer> {
    const {done, value} = await this.#pieces.next();
    if (done === true || value === undefined) throw damaged(this.#file, `ends after ${this.taken} bytes`);
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  }
}
