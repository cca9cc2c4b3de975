import {IngestError} from '../../core/errors.ts';
import type {JsonObject} from '../../core/json-value.ts';
import {LinkedAbort} from '../../core/linked-abort.ts';
import type {Offset} from '../../core/offset.ts';
import {formatTimestamp} from '../../core/time-text.ts';
import type {TableOptions} from '../contract.ts';
import {cursorMicros} from '../cursor.ts';
import {pathReader} from '../json-path.ts';
import {withLookback} from '../windows.ts';
import {floorTo, granule, type OpenFormat} from './cursor-format.ts';
import {listPages} from './listing.ts';
import {orderedParallel} from './ordered-parallel.ts';
import {
  firstBound,
  formatOf,
  lagMicros,
  lookbackSeconds,
  upperBound,
  type PlanCall,
  type PlanPage,
  type PlanPages,
} from './plan-call.ts';
import type {WindowPlan} from './read-plan.ts';
import {dropMoved} from './recent-keys.ts';
import {planIdentity, versionOf} from './record-identity.ts';
import type {RequestScope, WindowBounds} from './rest-request.ts';

const CONCURRENCY = 4;
/** Windows end by our clock, and rows are stamped by the source's: one that is a little behind must not lose its newest rows. */
export const LAG_SECONDS = 60;

/** Windows of time, oldest first, several at once; the offset moves from window to window. */
export async function* readWindows(plan: WindowPlan, start: Offset | null, call: PlanCall): PlanPages {
  const format = formatOf(plan);
  const unit = granule(plan.granularity ?? 'second');
  const until = floorTo(call.ctx.triggerStartedAt - lagMicros({lagSeconds: LAG_SECONDS, ...plan}), unit);
  const committed = typeof start?.['until'] === 'string' ? cursorMicros(start['until']) : null;
  const from = floorTo(committed ?? (await firstMicros(plan, format, call)), unit);
  if (from >= until) return start;
  const lookback = committed === null ? 0 : lookbackSeconds(plan, call);
  using abort = new LinkedAbort(call.env.ctx.signal);
  const inner: PlanCall = {...call, env: {...call.env, ctx: {...call.env.ctx, signal: abort.signal}}};
  const bounds = windowsOf(plan, format, {
    from: withLookback(from, lookback, call.ctx),
    moved: from,
    until,
    unit,
    step: stepOf(plan, call.scope.option),
  });
  const take = appendFilter(plan, call, lookback > 0 || lookbackSeconds(plan, call) > 0);
  let rows = 0;
  let isFirst = true;
  const parts = orderedParallel(readEach(plan, inner, bounds), {
    concurrency: plan.concurrency ?? CONCURRENCY,
    abort: abort.controller,
  });
  // Known with the first answer: where the clock of the source has not come as far as ours, the offset ends there.
  const reach = (): bigint => least(until, floorTo(upperBound({lagSeconds: LAG_SECONDS, ...plan}, call), unit));
  for await (const step of parts) {
    if ('item' in step) {
      const {window} = step.item.scope;
      const taken = window === null ? null : {...window, end: least(window.end, reach())};
      const records = taken === null ? step.item.records : await take(step.item.records, taken);
      rows += records.length;
      if (records.length > 0) yield {records, scope: step.item.scope};
      continue;
    }
    const {end} = step.end;
    const offset: Offset = {until: formatTimestamp(end)};
    // A page without rows only carries the offset; without any rows so far nothing is worth a commit.
    if (end < reach() && rows > 0 && !(isFirst && end <= from)) yield {records: [], scope: call.scope, offset};
    isFirst = false;
  }
  const isIdle = reach() <= from || (rows === 0 && committed !== null && reach() - from < 86_400_000_000n);
  return isIdle ? start : {until: formatTimestamp(reach())};
}

function least(left: bigint, right: bigint): bigint {
  return left < right ? left : right;
}

/** Reads one window, which it returns. */
export async function* readOne(
  plan: WindowPlan,
  call: PlanCall,
  window: WindowBounds,
): AsyncGenerator<PlanPage, WindowBounds> {
  const scope: RequestScope = {...call.scope, window, cursor: window.from};
  const moved = call.isAppend ? dropMoved(plan.list, versionReader(plan, call)) : null;
  for await (const {records} of listPages(call.env, plan.list, scope))
    yield {records: moved === null ? records : moved(records), scope};
  return window;
}

function* readEach(
  plan: WindowPlan,
  call: PlanCall,
  bounds: Iterable<WindowBounds>,
): Generator<AsyncGenerator<PlanPage, WindowBounds>, void> {
  for (const window of bounds) yield readOne(plan, call, window);
}

/** A stretch of time that is read in windows. */
export interface Stretch {
  /** Where reading begins: before `moved` by the lookback. */
  readonly from: bigint;
  readonly moved: bigint;
  readonly until: bigint;
  /** The granularity of the source's bounds. */
  readonly unit: bigint;
  /** Length of a window; null: one window. */
  readonly step: bigint | null;
}

/** The windows of a stretch, oldest first. */
export function* windowsOf(
  plan: WindowPlan,
  format: OpenFormat,
  {from, moved, until, unit, step}: Stretch,
): Generator<WindowBounds, void> {
  let start = from;
  // Ends: every turn moves the start.
  while (start < until) {
    // The lookback belongs to the first window: offsets are where windows without it would end.
    const base = start < moved ? moved : start;
    const end = step === null || base + step > until ? until : base + step;
    yield boundsOf(plan, format, {start, end, unit});
    start = end;
  }
}

/** The bounds of a window as the source writes them. */
export function boundsOf(
  plan: WindowPlan,
  format: OpenFormat,
  {start, end, unit}: {readonly start: bigint; readonly end: bigint; readonly unit: bigint},
): WindowBounds {
  return {
    start,
    end,
    from: format.print(plan.exclusiveStart === true ? start - unit : start),
    to: format.print(plan.inclusiveEnd === true ? end - unit : end),
  };
}

/** Length of a window in microseconds; null: one window for everything. */
export function stepOf({stepSeconds}: WindowPlan, option: TableOptions): bigint | null {
  const given = option['window_seconds'];
  const seconds = typeof given === 'number' ? given : stepSeconds;
  return seconds === undefined ? null : BigInt(Math.round(seconds * 1_000_000));
}

/** Where the first window begins. @throws INVALID_OPTION when nothing says so. */
export async function firstMicros(plan: WindowPlan, format: OpenFormat, call: PlanCall): Promise<bigint> {
  const first = await firstBound(plan, format, call);
  if (first !== null) return format.micros(first);
  if (plan.stepSeconds === undefined && call.scope.option['window_seconds'] === undefined) return 0n;
  throw new IngestError(
    'INVALID_OPTION',
    `Table "${call.table.name}" is read by windows and does not say where the first begins.`,
    {
      fix: 'Set the table option start_timestamp.',
      context: {table: call.table.name, option: 'start_timestamp'},
    },
  );
}

/** What tells the rows of an append table apart. */
function versionReader(plan: WindowPlan, {table}: PlanCall): (record: JsonObject) => string {
  const idOf = planIdentity(plan.id, table);
  const path = plan.field ?? table.cursorField;
  if (path === undefined) return idOf;
  const [format, read] = [formatOf(plan), pathReader(path)];
  return (record) => versionOf(format.plain(read(record)), idOf(record));
}

/** The rows that a window gives. Of an append table only rows of the window itself, and none twice where windows overlap by a lookback. */
export function appendFilter(
  plan: WindowPlan,
  call: PlanCall,
  looksBack: boolean,
): (records: readonly JsonObject[], window: WindowBounds) => Promise<readonly JsonObject[]> {
  const path = plan.field ?? call.table.cursorField;
  if (!call.isAppend || path === undefined) return (records) => Promise.resolve(records);
  const format = formatOf(plan);
  const read = pathReader(path);
  const version = versionReader(plan, call);
  const key = (record: JsonObject): string => `${call.ledgerPrefix}id:${version(record)}`;
  return async (records, {start, end}) => {
    const inside = records.filter((record) => {
      const value = format.plain(read(record));
      if (value === null) return true;
      const micros = format.micros(value);
      return micros >= start && micros < end;
    });
    if (!looksBack) return inside;
    const known = await call.ctx.ledger.get(inside.map(key));
    const fresh = inside.filter((record) => !known.has(key(record)));
    for (const record of fresh) call.ctx.ledger.put(key(record), true);
    return fresh;
  };
}
