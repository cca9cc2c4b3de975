import {LinkedAbort} from '../../core/linked-abort.ts';
import type {Offset, PlainJson} from '../../core/offset.ts';
import {offsetsEqual} from '../../core/offset.ts';
import {AheadLedger, type LedgerEntries, withLedger} from './ahead-ledger.ts';
import {orderedParallel} from './ordered-parallel.ts';
import {listPartitions, type FindTable, type TablePartition} from './partition-list.ts';
import type {PlanCall, PlanPage, PlanPages} from './plan-call.ts';
import type {Partitions} from './rest-spec.ts';

const CONCURRENCY = 8;
/** States stand in the offset up to this size in bytes; beyond it in the ledger. */
const OFFSET_BYTES = 40_000;

/**
 * Reads the partitions of a table, several at once, their pages as they come. Each has its own offset: in the table's offset while
 * they are few, in the ledger beyond. Partitions that the source no longer lists are forgotten.
 */
export async function* readPartitions(
  partitions: Partitions,
  start: Offset | null,
  call: PlanCall,
  {find, read}: {readonly find: FindTable; readonly read: (start: Offset | null, call: PlanCall) => PlanPages},
): PlanPages {
  const states = new PartitionStates(call, start);
  using abort = new LinkedAbort(call.env.ctx.signal);
  const {controller, signal} = abort;
  const isSnapshot = call.table.ingestionType === 'snapshot';
  const part = async function* ({key, parent, parents}: TablePartition): AsyncGenerator<Step, Step> {
    const ledger = new AheadLedger(call.ctx.ledger);
    const inner: PlanCall = {
      ...withLedger(call, ledger),
      env: {...call.env, ctx: {...call.env.ctx, signal}},
      scope: {...call.scope, parent, parents},
      ledgerPrefix: `${call.ledgerPrefix}p:${key}:`,
    };
    const pages = read(isSnapshot ? null : await states.get(key), inner);
    let isDone = false;
    try {
      for (;;) {
        const step = await pages.next();
        if (step.done === true) {
          isDone = true;
          return {key, ledger, entries: ledger.take(), end: step.value};
        }
        yield {key, ledger, entries: ledger.take(), page: step.value};
      }
    } finally {
      if (!isDone) await pages.return(null);
    }
  };
  const parts = async function* (): AsyncGenerator<AsyncGenerator<Step, Step>, void> {
    for await (const partition of listPartitions(partitions, call, find)) yield part(partition);
  };
  const listed = new Set<string>();
  const concurrency = call.table.concurrency ?? CONCURRENCY;
  // Rows of one partition must not be committed by the offset of another: in append tables they would come twice.
  const order = call.isAppend ? 'parts' : 'any';
  for await (const step of orderedParallel(parts(), {concurrency, abort: controller, order})) {
    const {key, ledger, entries, page, end} = 'item' in step ? step.item : step.end;
    ledger.keep(entries);
    if (page !== undefined) {
      yield withOffset(page, isSnapshot || page.offset === undefined ? undefined : states.set(key, page.offset));
      continue;
    }
    listed.add(key);
    if (isSnapshot || end === undefined || end === null) continue;
    const offset = states.set(key, end);
    if (offset !== undefined) yield {records: [], scope: call.scope, offset};
  }
  return isSnapshot ? null : states.end(listed, start);
}

interface Step {
  readonly key: string;
  readonly ledger: AheadLedger;
  readonly entries: LedgerEntries;
  readonly page?: PlanPage;
  readonly end?: Offset | null;
}

function withOffset(page: PlanPage, offset: Offset | undefined): PlanPage {
  const {offset: _, ...rest} = page;
  return offset === undefined ? rest : {...rest, offset};
}

/** The offsets of partitions. */
class PartitionStates {
  readonly #call: PlanCall;
  #states: Map<string, Offset>;
  #isInLedger: boolean;
  /** Counts moves of partitions whose offsets are in the ledger: the table's offset must move with them. */
  #moves: number;
  #moved = false;
  #sizeBytes = 0;

  constructor(call: PlanCall, start: Offset | null) {
    this.#call = call;
    this.#isInLedger = start?.['inLedger'] === true;
    this.#moves = typeof start?.['moves'] === 'number' ? start['moves'] : 0;
    const inner = start?.['parts'];
    this.#states = new Map(
      isRecord(inner) ? Object.entries(inner).flatMap(([key, state]) => (isRecord(state) ? [[key, state]] : [])) : [],
    );
    for (const [key, state] of this.#states) this.#sizeBytes += sizeOf(key, state);
  }

  async get(key: string): Promise<Offset | null> {
    if (!this.#isInLedger) return this.#states.get(key) ?? null;
    const name = this.#name(key);
    const state = (await this.#call.ctx.ledger.get([name])).get(name);
    if (!isRecord(state)) return null;
    this.#states.set(key, state);
    return state;
  }

  /** The table's offset with a new one of a partition; undefined when that did not move. */
  set(key: string, state: Offset): Offset | undefined {
    const known = this.#states.get(key) ?? null;
    if (offsetsEqual(known, state)) return undefined;
    this.#moved = true;
    this.#moves++;
    this.#states.set(key, state);
    this.#sizeBytes += sizeOf(key, state) - (known === null ? 0 : sizeOf(key, known));
    if (!this.#isInLedger && this.#sizeBytes > OFFSET_BYTES) this.#move();
    else if (this.#isInLedger) this.#call.ctx.ledger.put(this.#name(key), state);
    return this.#offset();
  }

  end(listed: ReadonlySet<string>, start: Offset | null): Offset | null {
    if (!this.#moved) return start;
    if (!this.#isInLedger) for (const key of this.#states.keys()) if (!listed.has(key)) this.#states.delete(key);
    return this.#offset();
  }

  #move(): void {
    this.#isInLedger = true;
    for (const [key, state] of this.#states) this.#call.ctx.ledger.put(this.#name(key), state);
  }

  #offset(): Offset {
    if (this.#isInLedger) return {inLedger: true, moves: this.#moves};
    return {parts: Object.fromEntries(this.#states)};
  }

  #name(key: string): string {
    return `${this.#call.ledgerPrefix}state:${key}`;
  }
}

function isRecord(value: PlainJson | undefined): value is {readonly [key: string]: PlainJson} {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function sizeOf(key: string, state: Offset): number {
  return Buffer.byteLength(key) + Buffer.byteLength(JSON.stringify(state)) + 6;
}
