import {IngestError} from '../core/errors.ts';
import type {ReadContext} from './contract.ts';

/** Microseconds since 1970, start included, end not. */
export interface TimeWindow {
  readonly start: bigint;
  readonly end: bigint;
}

const MICROS_PER_SECOND = 1_000_000;

/**
 * Cuts a stretch of time into windows of `sizeSeconds`, oldest first, without gap or overlap; the last one may be shorter. For
 * sources that filter by time but do not sort: read a window to its end, then its end is the offset. Nothing for
 * `start >= end`.
 * @throws INVALID_OPTION unless `sizeSeconds` is at least a microsecond.
 */
export function* windows(start: bigint, end: bigint, sizeSeconds: number): Generator<TimeWindow, void> {
  const size = Number.isFinite(sizeSeconds) ? BigInt(Math.round(sizeSeconds * MICROS_PER_SECOND)) : 0n;
  if (size <= 0n) {
    throw new IngestError('INVALID_OPTION', 'The size of a time window must be a positive number of seconds.', {
      fix: 'Choose a size in which the source has a few pages of rows.',
    });
  }
  for (let at = start; at < end; at += size) yield {start: at, end: at + size < end ? at + size : end};
}

/**
 * The lower bound to read from: `seconds` before `from` in the first call of a trigger, `from` itself later. For sources
 * whose rows become visible later than their time says. Only for the query: the offset keeps the unsubtracted value, so
 * that lookbacks do not add up.
 */
export function withLookback(from: bigint, seconds: number, ctx: Pick<ReadContext, 'isFirstCall'>): bigint {
  return ctx.isFirstCall ? from - BigInt(Math.round(seconds * MICROS_PER_SECOND)) : from;
}
