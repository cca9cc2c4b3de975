import {IngestError} from '../../core/errors.ts';
import type {Offset, PlainJson} from '../../core/offset.ts';
import {formatTimestamp} from '../../core/time-text.ts';
import type {Partition} from '../contract.ts';
import {cursorMicros} from '../cursor.ts';
import {withLookback} from '../windows.ts';
import {floorTo, granule} from './cursor-format.ts';
import {listPages} from './listing.ts';
import {formatOf, lagMicros, lookbackSeconds, upperBound, type PlanCall, type PlanPages} from './plan-call.ts';
import {appendFilter, boundsOf, firstMicros, LAG_SECONDS, readOne, stepOf, windowsOf} from './plan-window.ts';
import type {WindowPlan} from './read-plan.ts';
import type {RestTable} from './rest-spec.ts';
import {expanded, type TableParts} from './table-parts.ts';

/** Windows of one commit: so much is read again after a kill. */
const WINDOWS = 32;
/** A read that is fewer windows behind is no load. */
const FEW_WINDOWS = 4n;

/**
 * Windows of time as parts, in a first load and wherever many windows are to be read; a commit after every so many of them. Rows of
 * append tables that are looked back for are told apart by the ledger, which parts do not have.
 */
export function windowParts(plan: WindowPlan, table: RestTable): TableParts {
  const isAppend = table.ingestionType === 'append';
  return {
    isCut(start, {option, nowMicros}) {
      const step = stepOf(plan, option);
      if (step === null || (isAppend && lookbackSeconds(plan, {scope: {option}}) > 0)) return false;
      const committed = committedOf(start);
      return committed === null || nowMicros - committed > FEW_WINDOWS * step;
    },
    async end(start, call) {
      const {from, until, unit, step} = await stretchOf(plan, start, call);
      if (from >= until) return start;
      await askTime(plan, call, {until, unit});
      const reach = floorTo(upperBound({lagSeconds: LAG_SECONDS, ...plan}, call), unit);
      const end = least(from + step * BigInt(WINDOWS), least(until, reach));
      return end <= from ? start : {until: formatTimestamp(end)};
    },
    async list({start, end}, call) {
      const until = committedOf(end);
      const {from, unit, step} = await stretchOf(plan, start, call);
      if (until === null || from >= until) return [];
      const lookback = committedOf(start) === null ? 0 : lookbackSeconds(plan, call);
      const stretch = {from: withLookback(from, lookback, call.ctx), moved: from, until, unit, step};
      return [...windowsOf(plan, formatOf(plan), stretch)].map((window) => ({
        from: formatTimestamp(window.start),
        until: formatTimestamp(window.end),
      }));
    },
    read: (part, call) => expanded(call.table.expand, (own) => readPart(plan, part, own), call),
  };
}

async function* readPart(plan: WindowPlan, part: Partition, call: PlanCall): PlanPages {
  const [start, end] = [micros(part['from'], call), micros(part['until'], call)];
  const window = boundsOf(plan, formatOf(plan), {start, end, unit: granule(plan.granularity ?? 'second')});
  const take = appendFilter(plan, call, false);
  for await (const page of readOne(plan, call, window)) yield {...page, records: await take(page.records, window)};
  return null;
}

async function stretchOf(
  plan: WindowPlan,
  start: Offset | null,
  call: PlanCall,
): Promise<{readonly from: bigint; readonly until: bigint; readonly unit: bigint; readonly step: bigint}> {
  const unit = granule(plan.granularity ?? 'second');
  const first = committedOf(start) ?? (await firstMicros(plan, formatOf(plan), call));
  const until = floorTo(call.ctx.triggerStartedAt - lagMicros({lagSeconds: LAG_SECONDS, ...plan}), unit);
  const from = floorTo(first, unit);
  return {from, until, unit, step: stepOf(plan, call.scope.option) ?? until - from};
}

/** The first page of the newest, shortest window: its answer tells the time of the source. */
async function askTime(
  plan: WindowPlan,
  call: PlanCall,
  {until, unit}: {readonly until: bigint; readonly unit: bigint},
): Promise<void> {
  const window = boundsOf(plan, formatOf(plan), {start: until - unit, end: until, unit});
  for await (const _ of listPages(call.env, plan.list, {...call.scope, window, cursor: window.from})) return;
}

function committedOf(offset: Offset | null): bigint | null {
  const until = offset?.['until'];
  return typeof until === 'string' ? cursorMicros(until) : null;
}

function micros(value: PlainJson | undefined, {table}: PlanCall): bigint {
  if (typeof value === 'string') return cursorMicros(value);
  throw new IngestError('CONTRACT_VIOLATION', `A partition of table "${table.name}" is none of its windows.`, {
    context: {table: table.name},
  });
}

function least(left: bigint, right: bigint): bigint {
  return left < right ? left : right;
}
