import type {LogPoint, PlainJson} from '../../sdk/index.ts';
import {IngestError} from '../../sdk/index.ts';

/** What orders the changes of a database: the version of change tracking, or the LSN of change data capture as one number. */
export type ChangeMethod = 'change_tracking' | 'cdc';

/** Where the changes of a database stand. */
export interface LogPlace {
  readonly method: ChangeMethod;
  /** Changes up to here have been read: a version, or an LSN of 80 bits. */
  readonly mark: bigint;
  /** Tables as the changes up to here had them, by table number: a short text that changes with the definition. */
  readonly shapes: Readonly<Record<string, string>>;
}

/** Bits of an LSN's block and slot that a position has room for; the file's own numbers use less. */
const BLOCK_BITS = 24n;
const SLOT_BITS = 16n;

/**
 * Orders marks in 64 bits. Of an LSN (32 bits log file, 32 bits block, 16 bits slot) file and block have 24 bits each: that is
 * 16 million log files of 8 GB.
 * @throws UNSUPPORTED for an LSN beyond that
 */
export function positionOf(method: ChangeMethod, mark: bigint): bigint {
  if (method === 'change_tracking') return mark;
  const [file, slot] = [mark >> 48n, mark & 0xffffn];
  const wholeBlock = (mark >> 16n) & 0xffff_ffffn;
  // The mark before the first one of a file.
  const block = wholeBlock === 0xffff_ffffn ? (1n << BLOCK_BITS) - 1n : wholeBlock;
  if (file >> 24n !== 0n || block >> BLOCK_BITS !== 0n) {
    throw new IngestError('UNSUPPORTED', 'The LSN of the database does not fit into 64 bits.', {
      fix: 'Follow the tables by change tracking (change_method: change_tracking).',
    });
  }
  return (file << (BLOCK_BITS + SLOT_BITS)) | (block << SLOT_BITS) | slot;
}

/** A place as the framework keeps it. */
export function toPoint({method, mark, shapes}: LogPlace): LogPoint {
  return {position: positionOf(method, mark), token: {method, mark: mark.toString(), shapes: {...shapes}}};
}

/** Reads what {@link toPoint} wrote. @throws STAGING_DAMAGED when it is something else */
export function fromPoint({token}: LogPoint): LogPlace {
  const {method, mark, shapes = null} = fieldsOf(token);
  if ((method === 'change_tracking' || method === 'cdc') && typeof mark === 'string' && /^\d+$/.test(mark)) {
    const texts = Object.entries(fieldsOf(shapes)).map(([table, shape]) => [table, String(shape)]);
    return {method, mark: BigInt(mark), shapes: Object.fromEntries(texts) as Record<string, string>};
  }
  throw new IngestError('STAGING_DAMAGED', 'The place in the changes that was kept cannot be read.', {
    fix: 'Refresh the tables in full.',
  });
}

/** The name of a transaction in the log. */
export function transactionName(method: ChangeMethod, mark: bigint): string {
  return method === 'cdc' ? `lsn:${lsnText(mark)}` : `version:${mark}`;
}

/** The mark in a transaction's name. @throws STAGING_DAMAGED */
export function markOfName(transaction: string): bigint {
  const [, lsn, version] = /^(?:lsn:([0-9a-f]{20})|version:(\d+))$/.exec(transaction) ?? [];
  if (lsn !== undefined) return BigInt(`0x${lsn}`);
  if (version !== undefined) return BigInt(version);
  throw new IngestError('STAGING_DAMAGED', 'The name of a staged transaction cannot be read.', {
    fix: 'Refresh the tables in full.',
  });
}

/** An LSN as 20 hex digits. */
export function lsnText(lsn: bigint): string {
  return lsn.toString(16).padStart(20, '0');
}

/** An LSN from ten bytes. */
export function lsnOfBytes(bytes: Buffer): bigint {
  return BigInt(`0x${bytes.toString('hex')}`);
}

/** An LSN as ten bytes. */
export function lsnBytes(lsn: bigint): Buffer {
  return Buffer.from(lsnText(lsn), 'hex');
}

/** The fields of a plain JSON object; none for anything else. */
export function fieldsOf(json: PlainJson): Readonly<Record<string, PlainJson>> {
  return typeof json === 'object' && json !== null && !Array.isArray(json) ? (json as Record<string, PlainJson>) : {};
}
