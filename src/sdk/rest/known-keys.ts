import type {PlainJson} from '../../core/offset.ts';
import type {PlanCall} from './plan-call.ts';

const ENTRIES_PER_GET = 500;
const KEYS_PER_ENTRY = 5000;
/** Entries beyond twice those that the last compaction left. */
const ENTRIES_BEFORE_COMPACTION = 1000;

/**
 * The keys that were delivered, so that a full read knows which of them are gone. A log in the ledger: one entry for each page, read
 * back only when it is needed. A key is there again whenever it changes, so the log is compacted from time to time: it grows with the
 * keys that exist, and not with what happens to them.
 */
export class KnownKeys {
  readonly #call: PlanCall;
  #log: number;
  #entries: number;
  /** Entries after the last compaction. */
  #compacted: number;

  constructor(call: PlanCall, state: PlainJson | undefined) {
    this.#call = call;
    const known =
      typeof state === 'object' && state !== null && !Array.isArray(state)
        ? (state as {readonly [key: string]: PlainJson})
        : {};
    this.#log = typeof known['log'] === 'number' ? known['log'] : 0;
    this.#entries = typeof known['entries'] === 'number' ? known['entries'] : 0;
    this.#compacted = typeof known['compacted'] === 'number' ? known['compacted'] : 0;
  }

  /** How far the log goes, for the offset: which one, and its entries. */
  get state(): {readonly log: number; readonly entries: number; readonly compacted?: number} {
    const compacted = this.#compacted === 0 ? {} : {compacted: this.#compacted};
    return {log: this.#log, entries: this.#entries, ...compacted};
  }

  /** Remembers keys with the next page. */
  add(upserts: readonly string[], deletes: readonly string[]): void {
    if (upserts.length === 0 && deletes.length === 0) return;
    this.#call.ctx.ledger.put(this.#key(this.#log, this.#entries), [[...upserts], [...deletes]]);
    this.#entries++;
  }

  /** All keys that are known to exist. */
  async load(): Promise<Set<string>> {
    const keys = new Set<string>();
    for (let from = 0; from < this.#entries; from += ENTRIES_PER_GET) {
      const names = Array.from({length: Math.min(ENTRIES_PER_GET, this.#entries - from)}, (_, index) =>
        this.#key(this.#log, from + index),
      );
      const found = await this.#call.ctx.ledger.get(names);
      for (const name of names) {
        const entry = found.get(name);
        if (!Array.isArray(entry)) continue;
        for (const key of listOf(entry[0])) keys.add(key);
        for (const key of listOf(entry[1])) keys.delete(key);
      }
    }
    return keys;
  }

  /** Begins the log anew. */
  restart(): void {
    this.#forget(0);
    this.#entries = 0;
    this.#compacted = 0;
  }

  /** Writes the log anew, without what is repeated or gone, once it is long. {@link state} must be part of the next offset. */
  async compact(): Promise<void> {
    if (this.#entries <= ENTRIES_BEFORE_COMPACTION + 2 * this.#compacted) return;
    const keys = [...(await this.load())];
    const before = this.#entries;
    this.#entries = 0;
    for (let from = 0; from < keys.length; from += KEYS_PER_ENTRY)
      this.add(keys.slice(from, from + KEYS_PER_ENTRY), []);
    this.#compacted = this.#entries;
    this.#forget(this.#compacted, before);
  }

  /** Entries that no longer count lose what they hold; their names are used again. */
  #forget(from: number, to: number = this.#entries): void {
    for (let entry = from; entry < to; entry++) this.#call.ctx.ledger.put(this.#key(this.#log, entry), null);
  }

  #key(log: number, entry: number): string {
    return `${this.#call.ledgerPrefix}keys:${log}:${entry}`;
  }
}

function listOf(value: PlainJson | undefined): readonly string[] {
  return Array.isArray(value) ? value.map(String) : [];
}
