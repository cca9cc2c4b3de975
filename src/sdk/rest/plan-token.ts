import {IngestError} from '../../core/errors.ts';
import type {JsonObject} from '../../core/json-value.ts';
import type {Offset, PlainJson} from '../../core/offset.ts';
import {formatTimestamp} from '../../core/time-text.ts';
import type {Change} from '../contract.ts';
import {valueAt} from '../json-path.ts';
import {deletes, keyCodec} from './change-page.ts';
import {AcceptedAnswer} from './fetch-page.ts';
import {KnownKeys} from './known-keys.ts';
import {listPages, type ListedPage} from './listing.ts';
import {textOf} from './pager.ts';
import type {PlanCall, PlanPage, PlanPages} from './plan-call.ts';
import type {TokenPlan} from './read-plan.ts';
import type {RequestScope} from './rest-request.ts';

/** A token that brought nothing is still replaced after so long, so that it does not expire: half a day. */
const KEEP_TOKEN_MICROS = 43_200_000_000n;

/**
 * A feed of changes: everything first, then what changed since the token. When the token has expired everything is read again, and
 * the keys that were known and are missing then are deleted.
 */
export async function* readTokens(plan: TokenPlan, start: Offset | null, call: PlanCall): PlanPages {
  const reader = new TokenReader(plan, call, start);
  if (start === null || typeof start['token'] !== 'string' || start['after'] !== undefined)
    return yield* reader.everything(null, start);
  try {
    return yield* reader.changes(start);
  } catch (error) {
    if (!(error instanceof AcceptedAnswer)) throw error;
    call.ctx.log.warn('The token of the source has expired: everything is read again.', {table: call.table.name});
    call.ctx.progress({note: `${call.table.name}: the token of the source has expired; everything is read again.`});
    return yield* reader.everything(await reader.known(), null);
  }
}

class TokenReader {
  readonly #plan: TokenPlan;
  readonly #call: PlanCall;
  readonly #keys: KnownKeys;
  readonly #codec: ReturnType<typeof keyCodec>;
  readonly #isDeleted: (record: JsonObject) => boolean;
  #token: string | null = null;
  /** Orders the changes, microseconds: above those of the last read also where the clock was set back since. */
  #sequence: bigint;

  constructor(plan: TokenPlan, call: PlanCall, start: Offset | null) {
    this.#plan = plan;
    this.#call = call;
    this.#keys = new KnownKeys(call, start?.['keys']);
    this.#codec = keyCodec(call.table);
    const {deletes: mode} = call.table;
    const last = takenAt(start);
    this.#sequence = last >= call.ctx.triggerStartedAt ? last + 1n : call.ctx.triggerStartedAt;
    this.#isDeleted = mode?.kind === 'stream' ? mode.isDeleted : () => false;
  }

  known(): Promise<Set<string>> {
    return this.#keys.load();
  }

  /**
   * Everything; then deletes for known keys that are missing. Where the token was there before, a batch may end after any page that the
   * paginator can go on from: what changed meanwhile comes by the token.
   */
  async *everything(known: Set<string> | null, start: Offset | null): PlanPages {
    const {call} = this.#call;
    const from = start?.['after'];
    const begun = typeof start?.['token'] === 'string' ? start['token'] : null;
    this.#token = begun ?? (await this.#plan.firstToken?.(call)) ?? null;
    if (start === null) this.#keys.restart();
    const keepsToken = this.#token !== null;
    const options = {known, keepsToken, canEnd: keepsToken && known === null, ...(from === undefined ? {} : {from})};
    yield* this.#pages(this.#plan.initial, {...this.#call.scope, token: null}, options);
    if (known !== null && known.size > 0) {
      const rows = [...known].map((text) => this.#codec.row(text));
      yield {records: [], scope: this.#call.scope, changes: deletes(rows, this.#next())};
    }
    return this.#end();
  }

  /** What changed since the token. */
  async *changes(start: Offset): PlanPages {
    const token = typeof start['token'] === 'string' ? start['token'] : '';
    const rows = yield* this.#pages(
      this.#plan.delta,
      {...this.#call.scope, token},
      {accept: this.#plan.expiredWhen, known: null},
    );
    const isFresh = this.#call.ctx.triggerStartedAt - takenAt(start) < KEEP_TOKEN_MICROS;
    if (rows === 0 && isFresh) return start;
    await this.#keys.compact();
    return this.#end();
  }

  async *#pages(
    listing: TokenPlan['initial'],
    scope: RequestScope,
    {known, accept, keepsToken = false, canEnd = false, from}: PageOptions,
  ): AsyncGenerator<PlanPage, number> {
    const env = accept === undefined ? this.#call.env : {...this.#call.env, accept};
    let rows = 0;
    for await (const page of listPages(env, listing, scope, from === undefined ? {} : {from})) {
      // A token of before the listing is not replaced by one that leaves out what changed while it went on.
      if (!keepsToken) this.#token = this.#tokenOf(page) ?? this.#token;
      rows += page.records.length;
      const changes = page.records.map((record) => this.#change(record));
      this.#remember(changes, known);
      const {position} = page;
      const isPlace = typeof position === 'string' || Array.isArray(position);
      const offset = canEnd && isPlace && !page.isLast ? {...this.#end(), after: position} : undefined;
      yield {records: page.records, scope, changes, ...(offset === undefined ? {} : {offset})};
    }
    return rows;
  }

  #change(row: JsonObject): Change {
    return {op: this.#isDeleted(row) ? 'delete' : 'upsert', row, sequence: formatTimestamp(this.#next())};
  }

  #next(): bigint {
    return this.#sequence++;
  }

  #remember(changes: readonly Change[], known: Set<string> | null): void {
    const [kept, gone]: [string[], string[]] = [[], []];
    for (const {op, row = {}} of changes) {
      const key = this.#codec.text(row);
      (op === 'delete' ? gone : kept).push(key);
      known?.delete(key);
    }
    this.#keys.add(kept, gone);
  }

  #tokenOf({reply}: ListedPage): string | null {
    if (reply === null) return null;
    const {token} = this.#plan;
    return textOf(
      'header' in token ? (reply.head.headers.get(token.header) ?? undefined) : valueAt(reply.body, token.body),
    );
  }

  #end(): Offset {
    if (this.#token === null) {
      throw new IngestError(
        'SOURCE_ERROR',
        `Table "${this.#call.table.name}": the source gave no token for the next read.`,
        {
          class: 'transient',
          fix: 'Check the place of the token in the plan.',
          context: {table: this.#call.table.name},
        },
      );
    }
    return {token: this.#token, at: String(this.#sequence), keys: this.#keys.state};
  }
}

/** How a listing of the feed is read. */
interface PageOptions {
  /** Keys that are not seen yet. */
  readonly known: Set<string> | null;
  readonly accept?: TokenPlan['expiredWhen'];
  /** The token is that of before the listing, whatever its pages say. Default false. */
  readonly keepsToken?: boolean;
  /** Pages carry offsets, where the paginator goes on from a key. Default false. */
  readonly canEnd?: boolean;
  /** Where the listing goes on. */
  readonly from?: PlainJson;
}

/** Microseconds since 1970 when the token of an offset was taken. */
function takenAt(offset: Offset | null): bigint {
  const at = offset?.['at'];
  return typeof at === 'string' ? BigInt(at) : 0n;
}
