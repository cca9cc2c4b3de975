import {IngestError} from '../core/errors.ts';
import type {Offset, PlainJson} from '../core/offset.ts';
import type {LogMark} from './read-log.ts';

/** How far a pipeline has read a staged table. */
export type StagedOffset = {
  /** The staging area that it is of, see the id of its state. */
  readonly staging: string;
  /** Id and entry of the snapshot that the rows rest on. */
  readonly snapshot: string;
  readonly snapshotEntry: number;
  /** A position behind all views of the snapshot. */
  readonly until: bigint;
} & (
  | /** So many chunks of it. */ {readonly kind: 'snapshot'; readonly chunks: number}
  | /** All of it and the log behind it. */ {readonly kind: 'log'; readonly mark: LogMark}
);

/** As it is written into a batch file. */
export function stagedOffset(at: StagedOffset): Offset {
  const head = {
    staging: at.staging,
    snapshot: at.snapshot,
    snapshotEntry: at.snapshotEntry,
    until: at.until.toString(),
  };
  if (at.kind === 'snapshot') return {...head, chunks: at.chunks};
  const {entry, epoch, position, ordinal} = at.mark;
  return {...head, entry, epoch, position: position.toString(), ordinal};
}

/** @throws CONTRACT_VIOLATION for what {@link stagedOffset} did not make */
export function parseStagedOffset(offset: Offset | null, table: string): StagedOffset | null {
  if (offset === null) return null;
  const {staging = '', snapshot, snapshotEntry, until, chunks, entry, epoch, position, ordinal} = offset;
  if (typeof staging === 'string' && typeof snapshot === 'string' && isCount(snapshotEntry) && isPosition(until)) {
    const head = {staging, snapshot, snapshotEntry, until: BigInt(until)};
    if (isCount(chunks)) return {kind: 'snapshot', ...head, chunks};
    const isMark = isCount(entry) && isCount(epoch) && isCount(ordinal);
    if (isMark && isPosition(position))
      return {kind: 'log', ...head, mark: {entry, epoch, position: BigInt(position), ordinal}};
  }
  throw new IngestError('CONTRACT_VIOLATION', `The offset of table "${table}" is none of a staging area.`, {
    fix: 'The table was read in another way before: refresh it in full.',
    context: {table},
  });
}

function isCount(value: PlainJson | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isPosition(value: PlainJson | undefined): value is string {
  return typeof value === 'string' && /^-?\d+$/.test(value);
}
