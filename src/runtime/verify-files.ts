import type {StructType} from '../core/types.ts';
import type {Engine} from '../engine/engine.ts';
import {fileSelect, type FileSelect} from '../engine/file-relation.ts';
import {quoteLiteral} from '../engine/sql-types.ts';
import {bucketSql, canonicalSql, hashSql, rowTextSql} from '../pipeline/verify-sql.ts';
import type {CallContext, FileRef, KeyHash, RangeSum, VerifyColumn, VerifyPoint, VerifyScope} from '../sdk/contract.ts';

/**
 * Rows of files as the engine reads them, summed up for verification. Compares what the files hold with what landed, by
 * the reader that loaded them.
 */
export async function openFilesByEngine(
  engine: Engine,
  files: readonly FileRef[],
  scope: VerifyScope,
): Promise<VerifyPoint> {
  const schema: StructType = {
    type: 'struct',
    fields: scope.columns.map(({name, type}) => ({name, type, nullable: true, metadata: {}})),
  };
  const inputs = files.map(({file, options}) => ({localPath: file.path, options}));
  return new EnginePoint(engine, await fileSelect(engine, inputs, schema), {scope, fileCount: files.length});
}

class EnginePoint implements VerifyPoint {
  readonly token: string;
  readonly excluded = [];
  readonly #engine: Engine;
  readonly #select: FileSelect;
  readonly #columns: readonly VerifyColumn[];
  readonly #keys: readonly VerifyColumn[];
  readonly #buckets: number;

  constructor(
    engine: Engine,
    select: FileSelect,
    {scope, fileCount}: {readonly scope: VerifyScope; readonly fileCount: number},
  ) {
    this.token = `${fileCount} files, read by the engine that loaded them`;
    this.#engine = engine;
    this.#select = select;
    this.#columns = scope.columns;
    this.#keys = scope.keys.flatMap((key) => scope.columns.find(({name}) => name === key) ?? []);
    this.#buckets = scope.buckets;
  }

  async sums(ctx: CallContext): Promise<readonly RangeSum[]> {
    const rows = await this.#engine.query(
      `SELECT bucket, count(*) AS n, count(h) AS hashed, sum(h) AS total FROM (${this.#hashed()}) GROUP BY bucket`,
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
      `SELECT * FROM (${this.#hashed()}) WHERE bucket IN (${buckets.join(', ')})`,
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
      `SELECT ${[...this.#keyTexts(), ...hashes].join(', ')} FROM (${this.#select.select}) AS landed SEMI JOIN (VALUES ${wanted.join(', ')}) AS wanted(${names.join(', ')}) ON ${matches.join(' AND ')}`,
      ctx.signal,
    );
    return new Map(
      rows.map((row) => [
        JSON.stringify(this.#keyOf(row)),
        this.#columns.map((_, index) => (row[`c${index}`] === null ? null : big(row[`c${index}`]))),
      ]),
    );
  }

  /** Keys that several rows have: which of them is the newest the files do not say. */
  async *touched(
    buckets: readonly number[],
    ctx: CallContext,
  ): AsyncGenerator<readonly (readonly (string | null)[])[], void> {
    if (this.#keys.length === 0 || buckets.length === 0) return;
    const names = this.#keys.map((_, index) => `k${index}`).join(', ');
    const sql = `SELECT ${names} FROM (${this.#hashed()}) WHERE bucket IN (${buckets.join(', ')}) GROUP BY ${names} HAVING count(*) > 1`;
    for await (const rows of this.#engine.stream(sql, ctx.signal)) yield rows.map((row) => this.#keyOf(row));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve(this.#select[Symbol.asyncDispose]());
  }

  #hashed(): string {
    const hash = hashSql(rowTextSql(this.#columns));
    const columns = [`${bucketSql(this.#keys, hash, this.#buckets)} AS bucket`, `${hash} AS h`, ...this.#keyTexts()];
    return `SELECT ${columns.join(', ')} FROM (${this.#select.select}) AS landed`;
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
