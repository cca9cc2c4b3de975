import type {JsonObject} from '../core/json-value.ts';
import type {Offset} from '../core/offset.ts';
import {formatTimestamp} from '../core/time-text.ts';
import type {Page, ReadContext, TableOptions} from './contract.ts';
import {cursorMicros} from './cursor.ts';
import type {OptionSpec} from './define-connector.ts';
import {frameworkOptions} from './framework-options.ts';
import {type TimeWindow, windows, withLookback} from './windows.ts';

/** What {@link readByWindows} takes, for the `table` part of a connector's spec: `start_timestamp`, `window_seconds`, `lookback_seconds`. */
export const WINDOW_OPTIONS: Readonly<Record<string, OptionSpec>> = frameworkOptions([
  'start_timestamp',
  'window_seconds',
  'lookback_seconds',
]);

/** How a table is read in windows of time. */
export interface WindowedRead {
  /** As `readTable` got it. */
  readonly start: Offset | null;
  readonly options: TableOptions;
  readonly ctx: ReadContext;
  /** Microseconds since 1970 at which the first read begins without `start_timestamp`; null: there is nothing yet. */
  readonly first: () => Promise<bigint | null>;
  /** Rows of [start, end), in any order, page by page; in an append table none of any other time. */
  readonly rows: (window: TimeWindow) => AsyncIterable<readonly JsonObject[]>;
  /** Without the option: one window. */
  readonly windowSeconds?: number;
  /** Without the option: 0. */
  readonly lookbackSeconds?: number;
  /** Windows end so long before the trigger: a source whose clock is behind ours still stamps rows. Default 60. */
  readonly lagSeconds?: number;
}

/**
 * Reads a table whose rows have a time, for a connector that is written by hand: `return yield* readByWindows({...})` in `readTable`, with
 * {@link WINDOW_OPTIONS} declared, does what the options say. A batch may end after every window. The lookback belongs to the first
 * call of a trigger and makes rows come again: for tables with a key.
 */
export async function* readByWindows(read: WindowedRead): AsyncGenerator<Page, Offset | null> {
  const {start, options, ctx} = read;
  const until = ctx.triggerStartedAt - micros(read.lagSeconds ?? 60);
  const committed = typeof start?.['until'] === 'string' ? cursorMicros(start['until']) : null;
  const from = committed ?? (await firstOf(read));
  if (from === null || from >= until) return start;
  const seconds = numberOf(options['window_seconds']) ?? read.windowSeconds ?? Number(until - from) / 1_000_000;
  const lookback = committed === null ? 0 : (numberOf(options['lookback_seconds']) ?? read.lookbackSeconds ?? 0);
  let lower = withLookback(from, lookback, ctx);
  for (const {end} of windows(from, until, seconds)) {
    for await (const rows of read.rows({start: lower, end})) if (rows.length > 0) yield {kind: 'records', rows};
    lower = end;
    if (end < until) yield {kind: 'records', rows: [], offset: {until: formatTimestamp(end)}};
  }
  return {until: formatTimestamp(until)};
}

async function firstOf({options, first}: WindowedRead): Promise<bigint | null> {
  const option = options['start_timestamp'];
  return typeof option === 'string' && option !== '' ? cursorMicros(option) : first();
}

function micros(seconds: number): bigint {
  return BigInt(Math.round(seconds * 1_000_000));
}

function numberOf(value: TableOptions[string]): number | undefined {
  return typeof value === 'number' ? value : undefined;
}
