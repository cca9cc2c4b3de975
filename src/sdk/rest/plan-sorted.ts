import type {Offset} from '../../core/offset.ts';
import type {CursorValue} from '../cursor.ts';
import type {HttpRequest} from '../http/http-client.ts';
import {granule, type OpenFormat} from './cursor-format.ts';
import {CursorState} from './cursor-state.ts';
import {listPages, type ListOptions} from './listing.ts';
import {openPager} from './open-pager.ts';
import {openRestart} from './pager-restart.ts';
import {openSize, type Pager} from './pager.ts';
import {firstBound, formatOf, type PlanCall, type PlanPages} from './plan-call.ts';
import type {DescendingPlan, IdPlan, SortedPlan} from './read-plan.ts';
import type {RequestScope} from './rest-request.ts';

/** Rows ascending by the cursor, from where the last call ended. */
export async function* readSorted(plan: SortedPlan, start: Offset | null, call: PlanCall): PlanPages {
  const first = await firstBound(plan, formatOf(plan), call);
  const order = plan.isSorted === false ? 'any' : 'ascending';
  const state = new CursorState(plan, call, {start, first, order});
  const asked = (bound: CursorValue | null): CursorValue | null => inclusive(plan, state.format, bound);
  const scope: RequestScope = {...call.scope, cursor: asked(state.from)};
  for await (const page of listPages(call.env, plan.list, scope, restartOptions(plan, call, {state, asked}))) {
    const records = await state.take(page.records);
    const offset = state.pageOffset();
    yield {records, scope, ...(offset === undefined ? {} : {offset})};
    // What follows in an ascending append table is younger still: it waits for a later trigger.
    if (state.sawWithheld && order === 'ascending') break;
  }
  return state.end(start);
}

function restartOptions(
  plan: SortedPlan,
  call: PlanCall,
  {state, asked}: {readonly state: CursorState; readonly asked: (bound: CursorValue | null) => CursorValue | null},
): ListOptions {
  const paginator = plan.list.paginator ?? {kind: 'none'};
  const isNumbered = paginator.kind === 'page' || paginator.kind === 'offset';
  if (plan.isSorted === false || !(plan.restart ?? isNumbered)) return {};
  if (paginator.kind === 'none' || paginator.kind === 'asyncJob' || paginator.kind === 'windowRestart') return {};
  const size = 'size' in paginator && typeof paginator.size === 'object' ? openSize(paginator.size) : null;
  const about = `Table "${call.table.name}"`;
  const pager = (make: (change?: Partial<RequestScope>) => HttpRequest): Pager =>
    openRestart({
      open: (bound) =>
        openPager(paginator, {about, first: make({cursor: asked(bound)}), ...(size === null ? {} : {size})}),
      from: state.from,
      format: state.format,
      valueOf: state.valueOf,
      idOf: state.idOf,
    });
  return {pager};
}

/** The bound to ask for so that the value itself is included. */
function inclusive({exclusiveBound}: SortedPlan, format: OpenFormat, bound: CursorValue | null): CursorValue | null {
  if (bound === null || exclusiveBound === undefined || !format.isTime) return bound;
  return format.print(format.micros(bound) - granule(exclusiveBound));
}

/** Rows after the last id. An id is greater than all before it, so every page but the last moves the offset. */
export async function* readIds(plan: IdPlan, start: Offset | null, call: PlanCall): PlanPages {
  const format = plan.format ?? 'number';
  const settings = {...(plan.field === undefined ? {} : {field: plan.field}), format};
  const state = new CursorState(settings, call, {start, first: plan.start ?? null, order: 'ascending'});
  const scope: RequestScope = {...call.scope, cursor: state.from};
  for await (const page of listPages(call.env, plan.list, scope)) {
    const records = await state.take(page.records);
    const offset = state.pageOffset();
    yield {records, scope, ...(offset === undefined ? {} : {offset})};
  }
  return state.end(start);
}

/** Newest first, down to where the last pass began. */
export async function* readDescending(plan: DescendingPlan, start: Offset | null, call: PlanCall): PlanPages {
  const first = await firstBound(plan, formatOf(plan), call);
  const state = new CursorState(plan, call, {start, first, order: 'descending'});
  const scope: RequestScope = {...call.scope, cursor: state.from};
  const isOld = (value: CursorValue | null): boolean =>
    value !== null && state.from !== null && state.format.compare(value, state.from) < 0;
  for await (const page of listPages(call.env, plan.list, scope)) {
    const border = page.records.findIndex((record) => isOld(state.valueOf(record)));
    const wanted = border < 0 ? page.records : page.records.slice(0, border);
    yield {records: await state.take(wanted), scope};
    if (border >= 0) break;
  }
  return state.end(start);
}
