import type {JsonObject} from '../../core/json-value.ts';
import type {Listing} from './rest-request.ts';

/** Keys of a generation; two are remembered: enough for every page that a row may move to while its neighbours are read. */
const GENERATION_KEYS = 125_000;

/** The last keys of a listing, to leave out rows that come twice while pages move. Memory is bounded. */
export class RecentKeys {
  #young = new Set<string>();
  #old = new Set<string>();

  has(key: string): boolean {
    return this.#young.has(key) || this.#old.has(key);
  }

  /** True for a key that is not remembered; afterwards it is. */
  isNew(key: string): boolean {
    if (this.has(key)) return false;
    // Whole generations go: the oldest keys of a set cannot be taken away one by one in constant time.
    if (this.#young.size >= GENERATION_KEYS) {
      this.#old = this.#young;
      this.#young = new Set();
    }
    this.#young.add(key);
    return true;
  }
}

/** Drops records that a listing by number gives again, because others moved in before them; null for listings that go on by what they gave. */
export function dropMoved(
  {paginator}: Listing,
  keyOf: (record: JsonObject) => string,
): ((records: readonly JsonObject[]) => readonly JsonObject[]) | null {
  const style = paginator?.kind === 'windowRestart' ? paginator.inner.kind : paginator?.kind;
  if (style !== 'page' && style !== 'offset') return null;
  const recent = new RecentKeys();
  return (records) => records.filter((record) => recent.isNew(keyOf(record)));
}
