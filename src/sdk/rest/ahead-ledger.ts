import type {PlainJson} from '../../core/offset.ts';
import type {Ledger} from '../contract.ts';
import type {PlanCall} from './plan-call.ts';

/** What goes into the ledger with a page. */
export type LedgerEntries = readonly (readonly [key: string, value: PlainJson])[];

/**
 * The ledger of a plan whose pages are read before they are taken: what it puts waits for its page. Else the batch of an earlier page
 * would commit it, and after a stop there the rows of the later page would seem to be known already.
 */
export class AheadLedger implements Ledger {
  readonly #ledger: Ledger;
  readonly #unseen = new Map<string, PlainJson>();
  #entries: (readonly [string, PlainJson])[] = [];

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  async get(keys: readonly string[]): Promise<ReadonlyMap<string, PlainJson>> {
    const found = new Map(await this.#ledger.get(keys));
    for (const key of keys) {
      const value = this.#unseen.get(key);
      if (value !== undefined) found.set(key, value);
    }
    return found;
  }

  put(key: string, value: PlainJson): void {
    this.#unseen.set(key, value);
    this.#entries.push([key, value]);
  }

  /** What was put since the last page: to be told to {@link keep} when the page is taken. */
  take(): LedgerEntries {
    const taken = this.#entries;
    this.#entries = [];
    return taken;
  }

  /** Puts entries into the ledger itself. */
  keep(entries: LedgerEntries): void {
    for (const [key, value] of entries) {
      this.#ledger.put(key, value);
      if (this.#unseen.get(key) === value) this.#unseen.delete(key);
    }
  }
}

/** The call with another ledger. */
export function withLedger(call: PlanCall, ledger: Ledger): PlanCall {
  return {...call, ctx: {...call.ctx, ledger}, call: {...call.call, ctx: {...call.call.ctx, ledger}}};
}
