import {bucketing, bucketOf, hash60, rowText} from './canonical.ts';
import type {CallContext, KeyHash, RangeSum, VerifyColumn, VerifyPoint, VerifyScope} from './contract.ts';

/** One row of a source, as canonical texts of the compared columns. */
export interface VerifyRow {
  /** In the order of the scope's columns, without the excluded ones. */
  readonly cells: readonly (string | null)[];
  /** Columns whose value does not fit their type: their cell is null. */
  readonly misfits?: readonly string[];
  /** Changed after the flow's end, or maybe: about its key the comparison says nothing. */
  readonly isTouched?: boolean;
  /** Not up to the flow's end: it counts as touched only. Default true. */
  readonly isLanded?: boolean;
}

/** A source that can be read again, row by row. */
export interface VerifyRows {
  readonly token: string;
  readonly excluded: VerifyPoint['excluded'];
  readonly exact?: boolean;
  /** All rows of the table, in any order; called once for every question. */
  rows(ctx: CallContext): AsyncIterable<readonly VerifyRow[]>;
}

/**
 * A view of a source without sums of its own: its rows are read and added up here. Keys that several landed rows have are
 * touched: which of them is the newest nobody says.
 */
export function verifyRowsPoint(scope: VerifyScope, source: VerifyRows): VerifyPoint {
  return new RowsPoint(scope, source);
}

interface SummedRow {
  readonly row: VerifyRow;
  readonly hash: bigint;
  readonly key: readonly (string | null)[];
  readonly bucket: number;
}

class RowsPoint implements VerifyPoint {
  readonly token: string;
  readonly excluded: VerifyPoint['excluded'];
  readonly exact: boolean;
  readonly #source: VerifyRows;
  readonly #scope: VerifyScope;
  readonly #columns: readonly VerifyColumn[];
  readonly #keyIndexes: readonly number[];
  #misfits: ReadonlyMap<string, bigint> | null = null;

  constructor(scope: VerifyScope, source: VerifyRows) {
    const left = new Set(source.excluded.map(({name}) => name));
    this.token = source.token;
    this.excluded = source.excluded;
    this.exact = source.exact === true;
    this.#source = source;
    this.#scope = scope;
    this.#columns = scope.columns.filter(({name}) => !left.has(name));
    this.#keyIndexes = scope.keys
      .map((key) => this.#columns.findIndex(({name}) => name === key))
      .filter((index) => index >= 0);
  }

  async sums(ctx: CallContext): Promise<readonly RangeSum[]> {
    const sums = new Map<number, {count: bigint; sum: bigint}>();
    const misfits = new Map<string, bigint>();
    for await (const rows of this.#rows(ctx)) {
      for (const {row, bucket, hash} of rows) {
        if (row.isLanded === false) continue;
        const entry = sums.get(bucket) ?? {count: 0n, sum: 0n};
        entry.count++;
        entry.sum += hash;
        sums.set(bucket, entry);
        for (const name of row.misfits ?? []) misfits.set(name, (misfits.get(name) ?? 0n) + 1n);
      }
    }
    this.#misfits = misfits;
    return [...sums].map(([bucket, {count, sum}]) => ({bucket, count, hashed: count, sum}));
  }

  async *keys(buckets: readonly number[], ctx: CallContext): AsyncGenerator<readonly KeyHash[], void> {
    const wanted = new Set(buckets);
    for await (const rows of this.#rows(ctx)) {
      yield rows
        .filter(({bucket, row}) => row.isLanded !== false && wanted.has(bucket))
        .map(({key, hash}) => ({key, hash}));
    }
  }

  async columnHashes(
    keys: readonly (readonly (string | null)[])[],
    ctx: CallContext,
  ): Promise<ReadonlyMap<string, readonly (bigint | null)[]>> {
    const wanted = new Set(keys.map((key) => JSON.stringify(key)));
    const places = this.#scope.columns.map(({name}) => this.#columns.findIndex((column) => column.name === name));
    const found = new Map<string, readonly (bigint | null)[]>();
    for await (const rows of this.#rows(ctx)) {
      for (const {key, row} of rows) {
        const text = JSON.stringify(key);
        if (row.isLanded === false || !wanted.has(text)) continue;
        const hashes = row.cells.map((cell) => (cell === null ? null : hash60(cell)));
        found.set(
          text,
          places.map((place) => hashes[place] ?? null),
        );
      }
    }
    return found;
  }

  async misfits(ctx: CallContext): Promise<ReadonlyMap<string, bigint>> {
    if (this.#misfits === null) await this.sums(ctx);
    return this.#misfits ?? new Map();
  }

  async *touched(
    buckets: readonly number[],
    ctx: CallContext,
  ): AsyncGenerator<readonly (readonly (string | null)[])[], void> {
    if (this.#keyIndexes.length === 0) return;
    const wanted = new Set(buckets);
    const seen = new Set<string>();
    const touched = new Set<string>();
    for await (const rows of this.#rows(ctx)) {
      for (const {bucket, key, row} of rows) {
        if (!wanted.has(bucket)) continue;
        const text = JSON.stringify(key);
        if (row.isTouched === true || row.isLanded === false || seen.has(text)) touched.add(text);
        seen.add(text);
      }
    }
    yield [...touched].map((text) => JSON.parse(text) as readonly (string | null)[]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing is held between questions.
  }

  async *#rows(ctx: CallContext): AsyncGenerator<readonly SummedRow[], void> {
    const types = this.#columns.map(({type}) => type);
    for await (const rows of this.#source.rows(ctx)) {
      ctx.signal.throwIfAborted();
      yield rows.map((row) => {
        const hash = hash60(rowText(row.cells, types));
        const key = this.#keyIndexes.map((index) => row.cells[index] ?? null);
        return {row, hash, key, bucket: this.#bucket(key, hash)};
      });
    }
  }

  #bucket(key: readonly (string | null)[], rowHash: bigint): number {
    const {buckets} = this.#scope;
    const types = this.#keyIndexes.map((index) => this.#columns[index]?.type ?? 'string');
    switch (bucketing(types)) {
      case 'row-hash':
        return bucketOf(rowHash, buckets);
      case 'key-hash':
        return bucketOf(hash60(rowText(key, types)), buckets);
      case 'remainder':
        return Math.abs(Number(BigInt(key[0] ?? '0') % BigInt(buckets)));
    }
  }
}
