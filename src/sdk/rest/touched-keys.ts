import type {Change} from '../contract.ts';
import type {CursorValue} from '../cursor.ts';
import {RecentKeys} from './recent-keys.ts';

/** Keys whose events will come again, as the offset keeps them: it stays small. */
const RECENT_KEYS = 300;

interface Touch {
  readonly op: Change['op'];
  readonly at: CursorValue;
}

/** What events did to keys in one read. Memory is bounded. */
export class TouchedKeys {
  readonly #compare: (left: CursorValue, right: CursorValue) => number;
  /** Of keys that are forgotten the sequence of their changes decides. */
  readonly #keys = new RecentKeys();
  /** Candidates for {@link again}. */
  readonly #recent = new Map<string, Touch>();

  constructor(compare: (left: CursorValue, right: CursorValue) => number) {
    this.#compare = compare;
  }

  has(key: string): boolean {
    return this.#keys.has(key);
  }

  /** @param end where the offset will be at least. */
  add(key: string, touch: Touch, end: CursorValue): void {
    this.#keys.isNew(key);
    if (this.#compare(touch.at, end) < 0) return;
    if (this.#recent.size > 2 * RECENT_KEYS)
      for (const [old, {at}] of this.#recent) if (this.#compare(at, end) < 0) this.#recent.delete(old);
    if (this.#recent.has(key) || this.#recent.size <= 2 * RECENT_KEYS) this.#recent.set(key, touch);
  }

  /** Keys whose events come again in a read from there on, with what was done to them: as many as an offset holds. */
  again(end: CursorValue): Readonly<Record<string, Change['op']>> {
    const all = [...this.#recent].filter(([, {at}]) => this.#compare(at, end) >= 0).slice(0, RECENT_KEYS);
    return Object.fromEntries(all.map(([key, {op}]) => [key, op]));
  }
}
