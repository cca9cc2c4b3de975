import type {LogPoint, PlainJson} from '../../sdk/index.ts';
import {IngestError} from '../../sdk/index.ts';

/** How the changes of a table are told: by change tracking, in versions, or by change data capture, in LSNs as one number. */
export type ChangeMethod = 'change_tracking' | 'cdc';

/** How tables are to be followed: each by the method that fits it, or all by one. */
export type WantedMethod = 'auto' | ChangeMethod;

/** Up to where changes have been read: a version, and an LSN of 80 bits. Null where no table is followed by the method. */
export type Marks = Readonly<Record<ChangeMethod, bigint | null>>;

/** A table as the changes up to a place had it. */
export interface FollowedAs {
  readonly method: ChangeMethod;
  /** A short text that changes with the definition. */
  readonly shape: string;
}

/** Where the changes of a database stand. Neither mark ever goes back. */
export interface LogPlace {
  /** Counted by the reader: nothing at the source says it. */
  readonly position: bigint;
  readonly marks: Marks;
  /** By table number. */
  readonly tables: ReadonlyMap<number, FollowedAs>;
}

/** Bits of an LSN's block and slot that a position has room for; the file's own numbers use less. */
const BLOCK_BITS = 24n;
const SLOT_BITS = 16n;

/** Room behind a version for the transactions of change data capture that are read before the next one. */
const ROOM_BITS = 20n;

/**
 * Positions of a log are at least this: so a view's own mark gives it a place among the changes, behind those that it saw. Of a log that
 * has both kinds only versions do; LSNs alone have all 64 bits.
 */
export function leastPosition(marks: Partial<Marks>, wanted: WantedMethod): bigint {
  if (wanted === 'cdc') return lsnPosition(marks.cdc ?? 0n) ?? 0n;
  const least = (marks.change_tracking ?? 0n) << ROOM_BITS;
  return least >> 63n === 0n ? least : 0n;
}

/**
 * An LSN (32 bits log file, 32 bits block, 16 bits slot) in 64 bits, where file and block have 24 bits each; null beyond that, which is
 * 16 million log files of 8 GB.
 */
export function lsnPosition(lsn: bigint): bigint | null {
  const [file, slot] = [lsn >> 48n, lsn & 0xffffn];
  const wholeBlock = (lsn >> 16n) & 0xffff_ffffn;
  // The LSN before the first one of a file.
  const block = wholeBlock === 0xffff_ffffn ? (1n << BLOCK_BITS) - 1n : wholeBlock;
  if (file >> 24n !== 0n || block >> BLOCK_BITS !== 0n) return null;
  return (file << (BLOCK_BITS + SLOT_BITS)) | (block << SLOT_BITS) | slot;
}

const LETTERS = {change_tracking: 't', cdc: 'c'} as const;

/** A place as the framework keeps it. */
export function toPoint({position, marks, tables}: LogPlace): LogPoint {
  const {change_tracking: version, cdc: lsn} = marks;
  const texts = [...tables].map(([id, {method, shape}]) => [String(id), `${LETTERS[method]}:${shape}`] as const);
  return {
    position,
    token: {
      marks: {
        ...(version !== null && {change_tracking: version.toString()}),
        ...(lsn !== null && {cdc: lsn.toString()}),
      },
      tables: Object.fromEntries(texts),
    },
  };
}

/** Reads what {@link toPoint} wrote, or what was written when a log had one method. @throws STAGING_DAMAGED when it is something else */
export function fromPoint({position, token}: LogPoint): LogPlace {
  const fields = fieldsOf(token);
  const {method, mark, shapes = null} = fields;
  if (method === 'change_tracking' || method === 'cdc') {
    const marks = {change_tracking: null, cdc: null, [method]: markOf(mark)};
    const tables = Object.entries(fieldsOf(shapes)).map(
      ([id, shape]) => [Number(id), {method, shape: String(shape)}] as const,
    );
    return {position, marks, tables: new Map(tables)};
  }
  const marks = fieldsOf(fields['marks']);
  const tables = Object.entries(fieldsOf(fields['tables'])).map(
    ([id, text]) => [Number(id), followedAs(String(text))] as const,
  );
  if (fields['marks'] === undefined) throw damaged();
  const {change_tracking: version, cdc: lsn} = marks;
  return {
    position,
    marks: {
      change_tracking: version === undefined ? null : markOf(version),
      cdc: lsn === undefined ? null : markOf(lsn),
    },
    tables: new Map(tables),
  };
}

function markOf(json: PlainJson | undefined): bigint {
  if (typeof json !== 'string' || !/^\d+$/.test(json)) throw damaged();
  return BigInt(json);
}

function followedAs(text: string): FollowedAs {
  return {method: text.startsWith(`${LETTERS.cdc}:`) ? 'cdc' : 'change_tracking', shape: text.slice(2)};
}

function damaged(): IngestError {
  return new IngestError('STAGING_DAMAGED', 'The place in the changes that was kept cannot be read.', {
    fix: 'Refresh the tables in full.',
  });
}

/** The name of a transaction in the log. */
export function transactionName(method: ChangeMethod, mark: bigint): string {
  return method === 'cdc' ? `lsn:${lsnText(mark)}` : `version:${mark}`;
}

/** The method and the mark in a transaction's name. @throws STAGING_DAMAGED */
export function markOfName(transaction: string): {readonly method: ChangeMethod; readonly mark: bigint} {
  const [, lsn, version] = /^(?:lsn:([0-9a-f]{20})|version:(\d+))$/.exec(transaction) ?? [];
  if (lsn !== undefined) return {method: 'cdc', mark: BigInt(`0x${lsn}`)};
  if (version !== undefined) return {method: 'change_tracking', mark: BigInt(version)};
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
export function fieldsOf(json: PlainJson | undefined): Readonly<Record<string, PlainJson>> {
  return typeof json === 'object' && json !== null && !Array.isArray(json) ? (json as Record<string, PlainJson>) : {};
}
