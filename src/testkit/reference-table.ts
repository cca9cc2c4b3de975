import type {Cell} from '../core/cells.ts';
import type {ResolvedFlow} from '../pipeline/resolved-flow.ts';
import {compareSequences, type ProofRow} from './proof-rows.ts';

/**
 * A destination table in memory that applies rows as the real one does: keyed tables keep the newest row of a key,
 * deletes leave tombstones, append tables keep everything but what they know from the last cursor.
 */
export class ReferenceTable {
  /** Rows have no key: they are only added, or replaced all together. */
  readonly #isBag: boolean;
  readonly #knowsTail: boolean;
  readonly #keyed = new Map<string, ProofRow>();
  readonly #tombstones = new Map<string, readonly Cell[]>();
  #appended: ProofRow[] = [];
  #tail: {readonly cursor: readonly Cell[]; readonly keys: Set<string>} | null = null;

  constructor(flow: ResolvedFlow) {
    this.#isBag = flow.target === 'append' || flow.keys.length === 0;
    this.#knowsTail = flow.keys.length > 0 && flow.cursorField !== null;
  }

  /** The rows now; in an append table in the order of arrival. */
  get rows(): readonly ProofRow[] {
    return this.#isBag ? this.#appended : [...this.#keyed.values()];
  }

  /** Applies one micro-batch, rows before deletes; gives how many rows it changed. */
  apply(rows: readonly {readonly row: ProofRow; readonly cursor: Cell}[], deletes: readonly ProofRow[]): number {
    if (this.#isBag) return this.#append(rows);
    let changed = 0;
    for (const {row} of rows) if (this.#upsert(row)) changed++;
    for (const row of deletes) if (this.#delete(row)) changed++;
    return changed;
  }

  /** Puts one snapshot in the place of all rows; gives how many rows it changed. */
  replace(rows: readonly ProofRow[]): number {
    const before = new Map(this.rows.map((row) => [row.key, row.text]));
    this.#keyed.clear();
    this.#tombstones.clear();
    this.#appended = [];
    for (const row of rows) {
      if (this.#isBag) this.#appended.push(row);
      else this.#keyed.set(row.key, row);
    }
    const changed = rows.filter((row) => before.get(row.key) !== row.text).length;
    const now = new Set(rows.map((row) => row.key));
    return changed + [...before.keys()].filter((key) => !now.has(key)).length;
  }

  /** Deletes the rows that a key scan misses; gives how many. */
  retain(keys: ReadonlySet<string>): number {
    const gone = [...this.#keyed.keys()].filter((key) => !keys.has(key));
    for (const key of gone) {
      this.#tombstones.set(key, this.#keyed.get(key)?.sequence ?? []);
      this.#keyed.delete(key);
    }
    return gone.length;
  }

  #append(rows: readonly {readonly row: ProofRow; readonly cursor: Cell}[]): number {
    const known = this.#tail;
    const fresh = rows.filter(
      ({row, cursor}) =>
        !this.#knowsTail ||
        known === null ||
        compareSequences([cursor], known.cursor) !== 0 ||
        !known.keys.has(row.key),
    );
    for (const {row, cursor} of fresh) {
      this.#appended.push(row);
      const order = this.#tail === null ? 1 : compareSequences([cursor], this.#tail.cursor);
      if (order > 0) this.#tail = {cursor: [cursor], keys: new Set([row.key])};
      else if (order === 0) this.#tail?.keys.add(row.key);
    }
    return fresh.length;
  }

  #upsert(row: ProofRow): boolean {
    const buried = this.#tombstones.get(row.key);
    if (buried !== undefined && compareSequences(row.sequence, buried) < 0) return false;
    const stored = this.#keyed.get(row.key);
    if (stored !== undefined && compareSequences(row.sequence, stored.sequence) < 0) return false;
    this.#keyed.set(row.key, row);
    this.#tombstones.delete(row.key);
    return stored?.text !== row.text;
  }

  #delete(row: ProofRow): boolean {
    const stored = this.#keyed.get(row.key);
    // Of a row and a delete with one sequence the row stays.
    if (stored !== undefined && compareSequences(row.sequence, stored.sequence) <= 0 && row.sequence.length > 0)
      return false;
    const buried = this.#tombstones.get(row.key);
    if (buried === undefined || compareSequences(buried, row.sequence) < 0) this.#tombstones.set(row.key, row.sequence);
    return this.#keyed.delete(row.key);
  }
}
