import type {JsonObject, JsonValue} from '../../core/json-value.ts';
import {LinkedAbort} from '../../core/linked-abort.ts';
import type {Offset} from '../../core/offset.ts';
import {isJsonObject, pathReader} from '../json-path.ts';
import {AheadLedger, type LedgerEntries, withLedger} from './ahead-ledger.ts';
import {listPages} from './listing.ts';
import {orderedParallel} from './ordered-parallel.ts';
import {isTrue} from './pager.ts';
import type {PlanCall, PlanPage, PlanPages} from './plan-call.ts';
import {dropMoved} from './recent-keys.ts';
import {digestOf} from './record-identity.ts';
import type {RequestScope} from './rest-request.ts';
import type {Expand} from './rest-spec.ts';

const CONCURRENCY = 8;

/** Turns the records of a plan into their children; offsets stay those of the parents and come after their children. */
export async function* expandPages(read: (call: PlanCall) => PlanPages, expand: Expand, call: PlanCall): PlanPages {
  using abort = new LinkedAbort(call.env.ctx.signal);
  const inner: PlanCall = {...call, env: {...call.env, ctx: {...call.env.ctx, signal: abort.signal}}};
  const end: Expansion['end'] = {offset: null, entries: []};
  const ledger = new AheadLedger(call.ctx.ledger);
  const parts = partsOf(read(withLedger(call, ledger)), {expand, call: inner, end, ledger});
  const concurrency = call.table.concurrency ?? CONCURRENCY;
  for await (const step of orderedParallel(parts, {concurrency, abort: abort.controller})) {
    if (!('item' in step)) continue;
    const {page, entries} = step.item;
    ledger.keep(entries);
    yield page;
  }
  ledger.keep(end.entries);
  return end.offset;
}

interface Expansion {
  readonly expand: Expand;
  readonly call: PlanCall;
  readonly ledger: AheadLedger;
  readonly end: {offset: Offset | null; entries: LedgerEntries};
}

/** A page of children, or what comes behind the children of a page. */
interface Piece {
  readonly page: PlanPage;
  readonly entries: LedgerEntries;
}

/** One part for each group of parents, and one for each offset behind them. */
async function* partsOf(pages: PlanPages, expansion: Expansion): AsyncGenerator<AsyncGenerator<Piece, void>, void> {
  let isDone = false;
  try {
    for (;;) {
      const step = await pages.next();
      if (step.done === true) {
        isDone = true;
        expansion.end.offset = step.value;
        expansion.end.entries = expansion.ledger.take();
        return;
      }
      const {records, scope, offset} = step.value;
      const entries = expansion.ledger.take();
      yield* groupsOf(records, scope, expansion);
      const behind = offset === undefined ? {} : {offset};
      if (offset !== undefined || entries.length > 0) yield only({page: {records: [], scope, ...behind}, entries});
    }
  } finally {
    if (!isDone) await pages.return(null);
  }
}

async function* only(piece: Piece): AsyncGenerator<Piece, void> {
  yield piece;
}

function* groupsOf(
  records: readonly JsonObject[],
  scope: RequestScope,
  {expand, call}: Expansion,
): Generator<AsyncGenerator<Piece, void>, void> {
  const wanted = expand.filter === undefined ? records : records.filter(expand.filter);
  const {asked, ready} = splitEmbedded(wanted, expand);
  if (ready.length > 0) yield only({page: {records: ready, scope}, entries: []});
  const size = expand.groupSize ?? 1;
  for (let from = 0; from < asked.length; from += size)
    yield childrenOf(asked.slice(from, from + size), scope, {expand, call});
}

/** Parents whose children are to be listed, and children that came with theirs. */
function splitEmbedded(
  parents: readonly JsonObject[],
  expand: Expand,
): {readonly asked: readonly JsonObject[]; readonly ready: readonly JsonObject[]} {
  if (expand.embedded === undefined) return {asked: parents, ready: []};
  const children = pathReader(expand.embedded);
  const hasMore = expand.hasMore === undefined ? null : pathReader(expand.hasMore);
  const asked: JsonObject[] = [];
  const ready: JsonObject[] = [];
  for (const parent of parents) {
    if (expand.list !== undefined && hasMore !== null && isTrue(hasMore(parent))) asked.push(parent);
    else ready.push(...included(listOf(children(parent)), parent, expand));
  }
  return {asked, ready};
}

async function* childrenOf(
  parents: readonly JsonObject[],
  scope: RequestScope,
  {expand, call}: Pick<Expansion, 'expand' | 'call'>,
): AsyncGenerator<Piece, void> {
  const [parent] = parents;
  if (expand.list === undefined || parent === undefined) return;
  const inner: RequestScope = {...scope, parent: {...scope.parent, ...parent}, parents};
  // Keys may be made of the parent later: a child that comes twice is known by all that it has.
  const moved = call.isAppend && call.table.primaryKeys.length > 0 ? dropMoved(expand.list, digestOf) : null;
  for await (const {records} of listPages(call.env, expand.list, inner)) {
    const fresh = moved === null ? records : moved(records);
    yield {
      page: {records: parents.length === 1 ? included(fresh, parent, expand) : fresh, scope: inner},
      entries: [],
    };
  }
}

function included(children: readonly JsonObject[], parent: JsonObject, {include}: Expand): readonly JsonObject[] {
  if (include === undefined) return children;
  const values: JsonObject = Object.fromEntries(
    Object.entries(include).map(([name, path]) => [name, pathReader(path)(parent)]),
  );
  return children.map((child) => ({...child, ...values}));
}

function listOf(value: JsonValue | undefined): readonly JsonObject[] {
  if (!Array.isArray(value)) return isJsonObject(value) ? [value] : [];
  const list = value as readonly JsonValue[];
  return list.map((one) => (isJsonObject(one) ? one : {value: one}));
}
