import type {JsonObject} from '../../core/json-value.ts';
import type {Offset, PlainJson} from '../../core/offset.ts';
import {formatTimestamp} from '../../core/time-text.ts';
import type {Change} from '../contract.ts';
import type {CursorValue} from '../cursor.ts';
import {pathReader, type PathReader} from '../json-path.ts';
import {deletes, keyCodec, upserts} from './change-page.ts';
import {openFormat, type OpenFormat} from './cursor-format.ts';
import {KnownKeys} from './known-keys.ts';
import {listPages} from './listing.ts';
import {lagMicros, upperBound, type PlanCall, type PlanPages} from './plan-call.ts';
import type {EventLogPlan} from './read-plan.ts';
import {TouchedKeys} from './touched-keys.ts';

const LAG_SECONDS = 60;
/** A read of events that takes so long that the horizon passes in between would miss some. */
const HORIZON_MARGIN_SECONDS = 3600;
const MICROS = 1_000_000n;

/**
 * Lists first, then events. Of several events of an object the newest counts. An offset older than what the source keeps of its events
 * makes a full read, after which known objects that are missing are deleted.
 */
export async function* readEventLog(plan: EventLogPlan, start: Offset | null, call: PlanCall): PlanPages {
  const reader = new EventLogReader(plan, call, start);
  const cursor = start?.['cursor'];
  if (typeof cursor !== 'string' && typeof cursor !== 'number') return yield* reader.backfill(start, null);
  if (!reader.isExpired(cursor)) return yield* reader.events(cursor, start);
  call.ctx.log.warn('The offset is older than the events that the source keeps: everything is read again.', {
    table: call.table.name,
  });
  call.ctx.progress({
    note: `${call.table.name}: the offset is older than the source's events; everything is read again.`,
  });
  return yield* reader.backfill(null, await reader.known());
}

/** Where the listing of everything began, by the clock of the source. */
interface Origin {
  /** Microseconds since 1970. */
  readonly begun: bigint;
  /** From where on events are read afterwards. */
  readonly cursor: CursorValue;
  /** Below every event that is read afterwards: those go by the clock of the source, which may be behind ours. */
  readonly sequence: bigint;
}

class EventLogReader {
  readonly #plan: EventLogPlan;
  readonly #call: PlanCall;
  readonly #keys: KnownKeys;
  readonly #codec: ReturnType<typeof keyCodec>;
  readonly #format: OpenFormat;
  readonly #time: PathReader;
  readonly #settings: {readonly lagSeconds: number};
  /** Keys were remembered that the offset did not know of. */
  #remembered = false;

  constructor(plan: EventLogPlan, call: PlanCall, start: Offset | null) {
    this.#plan = plan;
    this.#call = call;
    this.#keys = new KnownKeys(call, start?.['keys']);
    this.#codec = keyCodec(call.table);
    this.#format = openFormat(plan.time.format ?? 'epoch_seconds');
    this.#time = pathReader(plan.time.field);
    this.#settings = {lagSeconds: plan.lagSeconds ?? LAG_SECONDS};
  }

  known(): Promise<Set<string>> {
    return this.#keys.load();
  }

  isExpired(cursor: CursorValue): boolean {
    const kept = Math.max(
      this.#plan.horizonSeconds - Math.min(HORIZON_MARGIN_SECONDS, this.#plan.horizonSeconds / 24),
      0,
    );
    return this.#call.ctx.triggerStartedAt - this.#format.micros(cursor) > BigInt(Math.round(kept)) * MICROS;
  }

  /** Every object; what happens meanwhile is in the events from where the read began. */
  async *backfill(start: Offset | null, known: Set<string> | null): PlanPages {
    const {scope, env} = this.#call;
    const begun = typeof start?.['begun'] === 'string' ? BigInt(start['begun']) : null;
    const from: PlainJson | undefined = start?.['after'];
    let origin: Origin | null = null;
    if (start === null) this.#keys.restart();
    for await (const page of listPages(env, this.#plan.backfill, scope, from === undefined ? {} : {from})) {
      origin ??= this.#originOf(begun);
      const changes = upserts(page.records, origin.sequence);
      this.#remember(changes, known);
      const {position} = page;
      const isCut = position !== undefined && position !== null && !page.isLast && known === null;
      const offset: Offset = {begun: String(origin.begun), after: position ?? null, keys: this.#keys.state};
      yield {records: page.records, scope, changes, ...(isCut ? {offset} : {})};
    }
    const {cursor, sequence} = origin ?? this.#originOf(begun);
    if (known !== null && known.size > 0) {
      const rows = [...known].map((text) => this.#codec.row(text));
      yield {records: [], scope, changes: deletes(rows, sequence)};
    }
    return {cursor, keys: this.#keys.state};
  }

  #originOf(given: bigint | null): Origin {
    const begun = given ?? this.#call.sourceTime.startOf(this.#call.ctx.triggerStartedAt);
    const cursor = this.#format.print(begun - lagMicros(this.#settings));
    return {begun, cursor, sequence: this.#format.micros(cursor) - 1n};
  }

  /** Events from the cursor on, itself included: those of the lag come again, and change nothing. */
  async *events(cursor: CursorValue, start: Offset | null): PlanPages {
    const scope = {...this.#call.scope, cursor};
    const isNewestFirst = this.#plan.order !== 'oldestFirst';
    const known = recentOf(start);
    const touched = new TouchedKeys((left, right) => this.#format.compare(left, right));
    let newest = cursor;
    for await (const page of listPages(this.#call.env, this.#plan.events, scope)) {
      const upper = upperBound(this.#settings, this.#call);
      const changes: Change[] = [];
      for (const event of page.records) {
        const at = this.#format.plain(this.#time(event)) ?? cursor;
        if (this.#format.compare(at, newest) > 0 && this.#format.micros(at) <= upper) newest = at;
        const change = this.#change(event, at);
        if (change === null) continue;
        const key = this.#codec.text(change.row ?? {});
        if (isNewestFirst && touched.has(key)) continue;
        touched.add(key, {op: change.op, at}, newest);
        changes.push(change);
      }
      this.#remember(
        changes.filter(({op, row = {}}) => known.get(this.#codec.text(row)) !== op),
        null,
      );
      yield {records: [], scope, changes};
    }
    return await this.#end(newest, touched, {cursor, start});
  }

  /** An old cursor moves on though nothing happened, lest it outlive the source's events. */
  async #end(
    newest: CursorValue,
    touched: TouchedKeys,
    {cursor, start}: {readonly cursor: CursorValue; readonly start: Offset | null},
  ): Promise<Offset | null> {
    const horizon = BigInt(Math.round(this.#plan.horizonSeconds)) * MICROS;
    const upper = upperBound(this.#settings, this.#call);
    const isOld = upper - this.#format.micros(newest) > horizon / 10n;
    const end = isOld ? this.#format.print(upper) : newest;
    const isSame = this.#format.compare(end, cursor) === 0;
    if (isSame && !this.#remembered) return start;
    await this.#keys.compact();
    return {cursor: end, keys: this.#keys.state, recent: touched.again(end)};
  }

  #change(event: JsonObject, at: CursorValue): Change | null {
    const meaning = this.#plan.meaning(event, this.#call.scope);
    if (meaning === null) return null;
    // A delete is the last that happens to an object: within one instant it comes after what changed it.
    const micros = this.#format.micros(at) + (meaning.op === 'delete' ? this.#halfUnit() : 0n);
    return {op: meaning.op, row: meaning.row, sequence: formatTimestamp(micros)};
  }

  #halfUnit(): bigint {
    return this.#plan.time.format === 'epoch_ms' || this.#plan.time.format === 'iso_ms' ? 500n : 500_000n;
  }

  #remember(changes: readonly Change[], known: Set<string> | null): void {
    const [kept, gone]: [string[], string[]] = [[], []];
    for (const {op, row = {}} of changes) {
      const key = this.#codec.text(row);
      (op === 'delete' ? gone : kept).push(key);
      known?.delete(key);
    }
    if (changes.length > 0) this.#remembered = true;
    this.#keys.add(kept, gone);
  }
}

/** What the last call did to the keys whose events come again. */
function recentOf(start: Offset | null): ReadonlyMap<string, PlainJson> {
  const recent = start?.['recent'];
  return new Map(typeof recent === 'object' && recent !== null && !Array.isArray(recent) ? Object.entries(recent) : []);
}
