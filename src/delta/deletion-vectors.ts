import {randomUUID} from 'node:crypto';
import {crc32} from 'node:zlib';

import {IngestError, messageOf} from '../core/errors.ts';
import {failpoint} from '../core/failpoint.ts';
import type {Store} from '../storage/store.ts';
import type {DeletionVectorDescriptor} from './actions.ts';
import type {Positions} from './roaring.ts';
import {decodeVector, encodeVector} from './roaring.ts';
import {storedNameOf} from './stored-name.ts';
import {decodeZ85, encodeZ85} from './z85.ts';

const FORMAT_VERSION = 1;
const UUID_CHARACTERS = 20;

/** Vectors that were read or written, kept as long as their descriptors. */
const KNOWN = new WeakMap<DeletionVectorDescriptor, Positions>();

/**
 * Writes vectors into one new file beside the table's data, durable but in no version yet.
 * Returns their descriptors in the order given.
 */
export async function writeVectors(
  store: Store,
  root: string,
  vectors: readonly Positions[],
): Promise<readonly DeletionVectorDescriptor[]> {
  const uuid = randomUUID();
  const pathOrInlineDv = encodeZ85(Buffer.from(uuid.replaceAll('-', ''), 'hex'));
  const parts: Uint8Array[] = [Uint8Array.of(FORMAT_VERSION)];
  let offset = 1;
  const descriptors = vectors.map((positions): DeletionVectorDescriptor => {
    const data = encodeVector(positions);
    parts.push(bigEndian(data.length), data, bigEndian(crc32(data)));
    const descriptor = {
      storageType: 'u',
      pathOrInlineDv,
      offset,
      sizeInBytes: data.length,
      cardinality: positions.length,
    } as const;
    offset += 4 + data.length + 4;
    KNOWN.set(descriptor, positions);
    return descriptor;
  });
  await store.put(`${root}/${fileName(uuid)}`, Buffer.concat(parts));
  failpoint('delta.deletion-vectors-written');
  return descriptors;
}

/**
 * The positions that a vector takes away.
 * @throws CORRUPT_LOG naming the file when it is missing or damaged; UNSUPPORTED when it lies outside of the store.
 */
export async function readVector(store: Store, root: string, vector: DeletionVectorDescriptor): Promise<Positions> {
  const known = KNOWN.get(vector);
  if (known !== undefined) return known;
  const place = vector.storageType === 'i' ? 'inline in the log' : vectorName(store, root, vector);
  try {
    const data = vector.storageType === 'i' ? inlineData(vector) : await storedData(store, place, vector);
    const positions = decodeVector(data);
    if (positions.length !== vector.cardinality)
      throw new RangeError(`it has ${positions.length} rows, the log says ${vector.cardinality}`);
    KNOWN.set(vector, positions);
    return positions;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new IngestError(
      'CORRUPT_LOG',
      `A deletion vector of table ${root} (${place}) cannot be read: ${messageOf(error)}`,
      {
        fix: 'Restore the file from a backup; without it deleted rows would come back.',
        cause: error,
        context: {table: root, name: place},
      },
    );
  }
}

/** Object name of the file that holds a vector which is not inline. @throws UNSUPPORTED when it lies outside of the store. */
export function vectorName(store: Store, root: string, vector: DeletionVectorDescriptor): string {
  if (vector.storageType === 'p') return storedNameOf(store, root, vector.pathOrInlineDv);
  const bytes = decodeZ85(vector.pathOrInlineDv.slice(-UUID_CHARACTERS));
  const hex = bytes === null ? '' : Buffer.from(bytes).toString('hex');
  const folder = vector.pathOrInlineDv.slice(0, -UUID_CHARACTERS);
  return `${root}/${folder === '' ? '' : `${folder}/`}${fileName(hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5'))}`;
}

function fileName(uuid: string): string {
  return `deletion_vector_${uuid}.bin`;
}

function inlineData(vector: DeletionVectorDescriptor): Uint8Array {
  const data = decodeZ85(vector.pathOrInlineDv);
  if (data === null) throw new RangeError('its text is damaged');
  return data.subarray(0, vector.sizeInBytes);
}

async function storedData(store: Store, name: string, vector: DeletionVectorDescriptor): Promise<Uint8Array> {
  const start = vector.offset ?? 1;
  const end = start + 4 + vector.sizeInBytes + 4;
  const bytes = await store.get(name, {start, end});
  if (bytes === null) throw new RangeError('the file is missing');
  if (bytes.length !== end - start) throw new RangeError('the file ends too early');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const data = bytes.subarray(4, 4 + vector.sizeInBytes);
  if (view.getUint32(0) !== vector.sizeInBytes) throw new RangeError('its size differs from the log');
  if (view.getUint32(4 + vector.sizeInBytes) !== crc32(data)) throw new RangeError('its checksum differs');
  return data;
}

function bigEndian(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}
