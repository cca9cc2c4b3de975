import type {DecimalType} from '../core/types.ts';

/** A number of up to 126 bits: epoch (12 bits), position (64), frame in the transaction (36), change in the frame (14). */
export const SEQUENCE_TYPE: DecimalType = {type: 'decimal', precision: 38, scale: 0};

const LAST_CHANGE = 0x3fff;
const MAX_EPOCH = 0xfff;
const MAX_ORDINAL = 2 ** 36 - 1;

/** Where a change stands in all that a gateway ever read. */
export interface LogPlace {
  readonly epoch: number;
  readonly position: bigint;
  /** Of the frame in its transaction. */
  readonly ordinal: number;
  /** Of the change in its frame; changes beyond 16,383 are ordered by their arrival. */
  readonly change: number;
}

/** Orders the changes of a staging area as they were committed, whatever server and epoch they come from. @throws RangeError */
export function sequenceAt({epoch, position, ordinal, change}: LogPlace): bigint {
  return placeIn(sequenceBase(epoch, position), ordinal, change);
}

/** What the sequences of one transaction have in common, for {@link placeIn}. @throws RangeError */
export function sequenceBase(epoch: number, position: bigint): bigint {
  if (epoch > MAX_EPOCH) throw new RangeError('the log has more epochs than can be ordered');
  return ((BigInt(epoch) << 64n) | position) << 50n;
}

/** The sequence of a change within a transaction. @throws RangeError */
export function placeIn(base: bigint, ordinal: number, change: number): bigint {
  if (ordinal > MAX_ORDINAL) throw new RangeError('the log has a larger transaction than can be ordered');
  // Below 2^50, so that one number holds it.
  return base + BigInt(ordinal * (LAST_CHANGE + 1) + Math.min(change, LAST_CHANGE));
}
