import {stringifyJson} from '../../core/json-reader.ts';
import type {JsonObject, JsonValue} from '../../core/json-value.ts';
import type {Offset} from '../../core/offset.ts';
import type {Page} from '../contract.ts';
import {pathReader} from '../json-path.ts';
import {listPages} from './listing.ts';
import type {PlanCall} from './plan-call.ts';
import {planIdentity} from './record-identity.ts';
import type {DeletesPlan} from './rest-spec.ts';
import type {RecordShape} from './shape-records.ts';

/**
 * Reads the whole list of deleted rows and gives those that are new in it: the ledger remembers each with its version, so that a
 * row that was restored and deleted again counts again.
 */
export async function* readArchived(
  plan: Extract<DeletesPlan, {kind: 'archived'}>,
  start: Offset | null,
  {call, shape}: {readonly call: PlanCall; readonly shape: RecordShape},
): AsyncGenerator<Page, Offset | null> {
  const trigger = String(call.ctx.triggerStartedAt);
  if (!call.ctx.isFirstCall && start?.['done'] === trigger) return start;
  const identity = planIdentity(undefined, call.table);
  const version = plan.version === undefined ? null : pathReader(plan.version);
  const key = (record: JsonObject): string => `${call.ledgerPrefix}gone:${identity(record)}`;
  const versionOf = (record: JsonObject): string => textOf(version?.(record));
  let count = typeof start?.['count'] === 'number' ? start['count'] : 0;
  const before = count;
  for await (const {records} of listPages(call.env, plan.list, call.scope)) {
    const known = await call.ctx.ledger.get(records.map(key));
    const fresh = records.filter((record) => known.get(key(record)) !== versionOf(record));
    for (const record of fresh) call.ctx.ledger.put(key(record), versionOf(record));
    count += fresh.length;
    if (fresh.length > 0) yield {kind: 'records', rows: shape.records(fresh, call.scope), offset: {count}};
  }
  return count === before ? start : {count, done: trigger};
}

function textOf(value: JsonValue | undefined): string {
  return value === undefined ? '' : stringifyJson(value);
}
