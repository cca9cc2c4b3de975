import type {Offset} from '../../core/offset.ts';
import type {Page} from '../contract.ts';
import type {PlanCall, PlanPage, PlanPages} from './plan-call.ts';
import {readEventLog} from './plan-event-log.ts';
import {readSnapshot} from './plan-snapshot.ts';
import {readDescending, readIds, readSorted} from './plan-sorted.ts';
import {readTokens} from './plan-token.ts';
import {readWindows} from './plan-window.ts';
import type {CustomPlan, ReadPlan} from './read-plan.ts';

/** Reads one table or partition by its plan. */
export function readPlan(plan: ReadPlan, start: Offset | null, call: PlanCall): PlanPages {
  switch (plan.kind) {
    case 'snapshot':
      return readSnapshot(plan, start, call);
    case 'sorted':
      return readSorted(plan, start, call);
    case 'id':
      return readIds(plan, start, call);
    case 'window':
      return readWindows(plan, start, call);
    case 'descending':
      return readDescending(plan, start, call);
    case 'token':
      return readTokens(plan, start, call);
    case 'eventLog':
      return readEventLog(plan, start, call);
    case 'custom':
      return readCustom(plan, start, call);
  }
}

function readCustom(plan: CustomPlan, start: Offset | null, call: PlanCall): PlanPages {
  const {env, scope} = call;
  const own = {...call.call, ctx: {...call.call.ctx, signal: env.ctx.signal}, parent: scope.parent};
  return pagesOfCustom(plan.read(start, own), call);
}

/** Pages of an author's own generator. */
export async function* pagesOfCustom(pages: AsyncGenerator<Page, Offset | null | void>, call: PlanCall): PlanPages {
  let isDone = false;
  try {
    for (;;) {
      const step = await pages.next();
      if (step.done === true) {
        isDone = true;
        return step.value ?? null;
      }
      yield planPage(step.value, call);
    }
  } finally {
    if (!isDone) await pages.return(null);
  }
}

function planPage(page: Page, {scope}: PlanCall): PlanPage {
  if (!('kind' in page)) return {records: page, scope};
  const offset = page.offset === undefined ? {} : {offset: page.offset};
  if (page.kind === 'records') {
    const sequence = page.sequence === undefined ? {} : {sequence: page.sequence};
    return {records: page.rows, scope, ...sequence, ...offset};
  }
  if (page.kind === 'changes') return {records: [], scope, changes: page.changes, ...offset};
  return {records: [], scope, whole: page, ...offset};
}
