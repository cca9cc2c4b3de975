import {RESCUED_COLUMN} from '../core/types.ts';
import type {Engine} from '../engine/engine.ts';
import {quoteIdentifier, quoteLiteral} from '../engine/sql-types.ts';
import type {CallContext, KeyHash, RangeSum, VerifyColumn, VerifyPoint, VerifyScope} from '../sdk/contract.ts';
import {bucketSql, canonicalSql, hashSql, jsonPointer, rowTextSql} from './verify-sql.ts';

/** Rows of a source that the engine can read. */
export interface EngineRows {
  readonly token: string;
  /** SELECT with the columns of the scope, their types those that landed. */
  readonly select: string;
  /** The select has `_rescued_data`, as the read made it. */
  readonly hasRescued?: boolean;
  /** SQL condition of rows that lie behind the flow's end: they count as touched only. */
  readonly touched?: string;
  /** Runs when the point is disposed. */
  readonly close: () => Promise<void>;
}

/**
 * A view of a source as the engine reads it. Keys that several rows have are touched: which of them is the newest
 * nobody says.
 */
export function enginePoint(engine: Engine, scope: VerifyScope, rows: EngineRows): VerifyPoint {
  return new EnginePoint(engine, scope, rows);
}

class EnginePoint implements VerifyPoint {
  readonly token: string;
  readonly excluded = [];
  readonly #engine: Engine;
  readonly #rows: EngineRows;
  readonly #columns: readonly VerifyColumn[];
  readonly #keys: readonly VerifyColumn[];
  readonly #buckets: number;

  constructor(engine: Engine, scope: VerifyScope, rows: EngineRows) {
    this.token = rows.token;
    this.#engine = engine;
    this.#rows = rows;
    this.#columns = scope.columns;
    this.#keys = scope.keys.flatMap((key) => scope.columns.find(({name}) => name === key) ?? []);
    this.#buckets = scope.buckets;
  }

  async sums(ctx: CallContext): Promise<readonly RangeSum[]> {
    const rows = await this.#engine.query(
      `SELECT bucket, count(*) AS n, count(h) AS hashed, sum(h) AS total FROM (${this.#hashed()})${this.#landed('WHERE')} GROUP BY bucket`,
      ctx.signal,
    );
    return rows.map((row) => ({
      bucket: Number(row['bucket']),
      count: big(row['n']),
      hashed: big(row['hashed']),
      sum: big(row['total']),
    }));
  }

  async *keys(buckets: readonly number[], ctx: CallContext): AsyncGenerator<readonly KeyHash[], void> {
    if (buckets.length === 0) return;
    for await (const rows of this.#engine.stream(
      `SELECT * FROM (${this.#hashed()}) WHERE bucket IN (${buckets.join(', ')})${this.#landed('AND')}`,
      ctx.signal,
    )) {
      yield rows.map((row) => ({key: this.#keyOf(row), hash: big(row['h'])}));
    }
  }

  async columnHashes(
    keys: readonly (readonly (string | null)[])[],
    ctx: CallContext,
  ): Promise<ReadonlyMap<string, readonly (bigint | null)[]>> {
    const wanted = keys.map(
      (key) => `(${key.map((text) => (text === null ? 'NULL' : quoteLiteral(text))).join(', ')})`,
    );
    if (wanted.length === 0 || this.#keys.length === 0) return new Map();
    const hashes = this.#columns.map((column, index) => `${hashSql(canonicalSql(column))} AS c${index}`);
    const matches = this.#keys.map((key, index) => `${canonicalSql(key)} IS NOT DISTINCT FROM wanted.w${index}`);
    const names = this.#keys.map((_, index) => `w${index}`);
    const rows = await this.#engine.query(
      `SELECT ${[...this.#keyTexts(), ...hashes].join(', ')} FROM (SELECT * FROM (${this.#rows.select})${this.#landed('WHERE', this.#touchedSql())}) AS landed SEMI JOIN (VALUES ${wanted.join(', ')}) AS wanted(${names.join(', ')}) ON ${matches.join(' AND ')}`,
      ctx.signal,
    );
    return new Map(
      rows.map((row) => [
        JSON.stringify(this.#keyOf(row)),
        this.#columns.map((_, index) => (row[`c${index}`] === null ? null : big(row[`c${index}`]))),
      ]),
    );
  }

  async misfits(ctx: CallContext): Promise<ReadonlyMap<string, bigint>> {
    if (this.#rows.hasRescued !== true || this.#columns.length === 0) return new Map();
    const counts = this.#columns.map(
      ({name}, index) =>
        `count(json_extract(${quoteIdentifier(RESCUED_COLUMN)}, ${quoteLiteral(jsonPointer(name))})) AS c${index}`,
    );
    const [row] = await this.#engine.query(`SELECT ${counts.join(', ')} FROM (${this.#rows.select})`, ctx.signal);
    return new Map(this.#columns.map(({name}, index) => [name, big(row?.[`c${index}`])]));
  }

  async *touched(
    buckets: readonly number[],
    ctx: CallContext,
  ): AsyncGenerator<readonly (readonly (string | null)[])[], void> {
    if (this.#keys.length === 0 || buckets.length === 0) return;
    const names = this.#keys.map((_, index) => `k${index}`).join(', ');
    const moved = this.#rows.touched === undefined ? '' : ' OR bool_or(touched)';
    const sql = `SELECT ${names} FROM (${this.#hashed()}) WHERE bucket IN (${buckets.join(', ')}) GROUP BY ${names} HAVING count(*) > 1${moved}`;
    for await (const rows of this.#engine.stream(sql, ctx.signal)) yield rows.map((row) => this.#keyOf(row));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#rows.close();
  }

  #hashed(): string {
    const hash = hashSql(rowTextSql(this.#columns));
    const touched = this.#touchedSql();
    const columns = [
      `${bucketSql(this.#keys, hash, this.#buckets)} AS bucket`,
      `${hash} AS h`,
      ...this.#keyTexts(),
      ...(touched === null ? [] : [`${touched} AS touched`]),
    ];
    return `SELECT ${columns.join(', ')} FROM (${this.#rows.select}) AS landed`;
  }

  #touchedSql(): string | null {
    return this.#rows.touched === undefined ? null : `coalesce(${this.#rows.touched}, false)`;
  }

  /** Condition that leaves out what lies behind the flow's end. */
  #landed(word: 'WHERE' | 'AND', touched: string | null = 'touched'): string {
    return this.#rows.touched === undefined || touched === null ? '' : ` ${word} NOT ${touched}`;
  }

  #keyTexts(): readonly string[] {
    return this.#keys.map((key, index) => `${canonicalSql(key)} AS k${index}`);
  }

  #keyOf(row: Readonly<Record<string, unknown>>): readonly (string | null)[] {
    return this.#keys.map((_, index) => (row[`k${index}`] ?? null) as string | null);
  }
}

function big(value: unknown): bigint {
  return typeof value === 'bigint' || typeof value === 'number' ? BigInt(value) : 0n;
}
