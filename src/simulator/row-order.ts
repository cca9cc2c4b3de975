import type {JsonObject} from '../core/json-value.ts';
import {compareKeys, sortKey, type SortKey, valueAt} from './row-values.ts';
import type {SortField} from './simulator-spec.ts';

/** A place in an ordered list: what rows are compared by. */
export type OrderPosition = readonly SortKey[];

/** A total order of rows: by the fields, ties by the key in the direction of the last field. */
export class RowOrder {
  readonly #fields: readonly string[];
  readonly #signs: readonly number[];

  constructor(sort: readonly SortField[], keyFields: readonly string[]) {
    const last = sort.at(-1)?.descending === true;
    const named = new Set(sort.map(({field}) => field));
    const ties = keyFields.filter((field) => !named.has(field)).map((field) => ({field, descending: last}));
    const all = [...sort, ...ties];
    this.#fields = all.map(({field}) => field);
    this.#signs = all.map(({descending}) => (descending === true ? -1 : 1));
  }

  /** Where a row stands. */
  positionOf(row: JsonObject): OrderPosition {
    return this.#fields.map((field) => sortKey(valueAt(row, field)));
  }

  /** A sorted copy. */
  sort(rows: readonly JsonObject[]): readonly JsonObject[] {
    const placed = rows.map((row) => ({row, position: this.positionOf(row)}));
    placed.sort((left, right) => this.compare(left.position, right.position));
    return placed.map(({row}) => row);
  }

  /** Negative, zero or positive. */
  compare(left: OrderPosition, right: OrderPosition): number {
    for (let index = 0; index < this.#signs.length; index++) {
      const order = compareKeys(left[index] ?? null, right[index] ?? null);
      if (order !== 0) return order * (this.#signs[index] ?? 1);
    }
    return 0;
  }

  /** The index of the first of the sorted rows that stands behind a place; with `isAt`, at or behind it. */
  firstBehind(rows: readonly JsonObject[], position: OrderPosition, isAt = false): number {
    let low = 0;
    let high = rows.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const row = rows[middle];
      const order = row === undefined ? 1 : this.compare(this.positionOf(row), position);
      if (order > 0 || (isAt && order === 0)) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
