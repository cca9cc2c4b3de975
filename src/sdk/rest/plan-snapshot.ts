import type {Offset} from '../../core/offset.ts';
import {listPages} from './listing.ts';
import type {PlanCall, PlanPages} from './plan-call.ts';
import type {SnapshotPlan} from './read-plan.ts';

/**
 * The whole table. Where pages go on by a key the snapshot may be cut and gone on with after any page; other paginators give
 * places that mean something only for a while, and the snapshot is one batch.
 */
export async function* readSnapshot({list}: SnapshotPlan, start: Offset | null, call: PlanCall): PlanPages {
  const isResumable = list.paginator?.kind === 'keyset';
  const from = isResumable ? start?.['after'] : undefined;
  for await (const page of listPages(call.env, list, call.scope, from === undefined ? {} : {from})) {
    const {position} = page;
    const hasOffset = isResumable && position !== undefined && position !== null && !page.isLast;
    yield {records: page.records, scope: call.scope, ...(hasOffset ? {offset: {after: position}} : {})};
  }
  return null;
}
