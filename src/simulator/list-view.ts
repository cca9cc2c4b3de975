import type {JsonObject, JsonValue} from '../core/json-value.ts';
import {type Condition, keyLike, rowFilter} from './row-filter.ts';
import {sortKey, type SortKey, valueAt} from './row-values.ts';
import type {SortField} from './simulator-spec.ts';

/** Operators that keep one end of a list that is ordered by their field. */
const LOWER = new Set(['gt', 'gte']);
const UPPER = new Set(['lt', 'lte']);

/** Conditions apart: those that keep one end of the ordered list, which changes from page to page, and the others. */
export function splitRanges(
  conditions: readonly Condition[],
  [first]: readonly SortField[],
): {readonly ranges: readonly Condition[]; readonly others: readonly Condition[]} {
  const isRange = ({field, op}: Condition): boolean => field === first?.field && (LOWER.has(op) || UPPER.has(op));
  return {
    ranges: conditions.filter(isRange),
    others: conditions.filter((condition) => !isRange(condition)),
  };
}

/** Ordered rows that are kept while their collection does not change. */
export class ListView {
  readonly rows: readonly JsonObject[];
  readonly #first: SortField | undefined;
  #isUniform: boolean | null = null;

  constructor(rows: readonly JsonObject[], sort: readonly SortField[]) {
    this.rows = rows;
    [this.#first] = sort;
  }

  /** The rows that meet all ranges, found by halving where values can be compared with those that are asked for. */
  within(ranges: readonly Condition[]): readonly JsonObject[] {
    if (ranges.length === 0) return this.rows;
    if (!ranges.every((range) => this.#isEnd(range))) return this.rows.filter(rowFilter(ranges));
    let [from, to] = [0, this.rows.length];
    for (const range of ranges) {
      const isMet = rowFilter([range]);
      const isUpTo = LOWER.has(range.op) === (this.#first?.descending === true);
      if (isUpTo)
        to = Math.min(
          to,
          this.#firstWhere((row) => !isMet(row)),
        );
      else from = Math.max(from, this.#firstWhere(isMet));
    }
    return from === 0 && to === this.rows.length ? this.rows : this.rows.slice(from, Math.max(from, to));
  }

  /** The index of the first row of which a test holds, and then of all behind it. */
  #firstWhere(holds: (row: JsonObject) => boolean): number {
    let low = 0;
    let high = this.rows.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const row = this.rows[middle];
      if (row === undefined || holds(row)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** True when the rows that meet a range are one end: values of several kinds, and null, are ordered otherwise. */
  #isEnd({field, values: [said = null], as}: Condition): boolean {
    this.#isUniform ??= new Set(this.rows.map((row) => kindOf(valueAt(row, field)))).size <= 1;
    const value = valueAt(this.rows[0], field) ?? null;
    if (!this.#isUniform || value === null) return false;
    return as === undefined ? isNumeric(sortKey(value)) === isNumeric(keyLike(value, said)) : typeof value === 'string';
  }
}

function kindOf(value: JsonValue | undefined): string {
  return value === undefined || value === null ? 'null' : `${typeof value} ${typeof sortKey(value)}`;
}

function isNumeric(key: SortKey): boolean {
  return typeof key === 'number' || typeof key === 'bigint';
}
