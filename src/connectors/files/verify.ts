import {
  bucketing,
  bucketOf,
  formatTimestamp,
  hash60,
  IngestError,
  rowText,
  type CallContext,
  type DataType,
  type KeyHash,
  type Offset,
  type RangeSum,
  type VerifyColumn,
  type VerifyPoint,
  type VerifyScope,
} from '../../sdk/index.ts';
import type {TableFile} from './file-tables.ts';
import {rawRecords, type RawRecord} from './raw-records.ts';
import {NESTED_TEXT, rawCell} from './raw-values.ts';

/** Which part of the files the flow has seen. */
export function filesUntil(files: readonly TableFile[], end: Offset | null): readonly TableFile[] {
  const listedAt = end?.['listed_at'];
  return typeof listedAt === 'number' ? files.filter(({file}) => file.modifiedAtMs <= listedAt) : files;
}

/**
 * Reads CSV and JSON files again, with readers of its own. Parquet files are read by the engine, as the point's
 * token says: there the comparison proves what was written, not how it was read.
 * @throws UNSUPPORTED with predicates, and for files whose text is broken.
 */
export async function openFilesVerify(
  files: readonly TableFile[],
  scope: VerifyScope,
  ctx: CallContext,
): Promise<VerifyPoint> {
  if (scope.filter !== undefined || scope.deleted !== undefined) {
    throw new IngestError('UNSUPPORTED', 'Files with a row_filter or deletion_condition cannot be compared.');
  }
  const newest = files.reduce((latest, {file}) => Math.max(latest, file.modifiedAtMs), 0);
  const token = `${files.length} files, the newest of ${formatTimestamp(BigInt(Math.floor(newest)) * 1000n)}`;
  if (files.some(({options}) => options.format === 'parquet')) {
    const point = await ctx.files.openVerify?.(
      files.map(({file, options}) => ({file, options})),
      scope,
    );
    if (point !== undefined) return point;
    throw new IngestError('UNSUPPORTED', 'Nothing but the engine can read Parquet files here.');
  }
  const excluded = await nestedTextColumns(files, scope, ctx);
  return new FilesPoint(
    files,
    {...scope, columns: scope.columns.filter(({name}) => !excluded.includes(name))},
    {token, excluded},
  );
}

interface Row {
  readonly cells: readonly (string | null)[];
  /** Columns whose value does not fit. */
  readonly misfits: readonly string[];
  readonly hash: bigint;
  readonly key: readonly (string | null)[];
  readonly bucket: number;
}

/** What files add up to, read again with every question. */
class FilesPoint implements VerifyPoint {
  readonly token: string;
  readonly excluded: VerifyPoint['excluded'];
  readonly #files: readonly TableFile[];
  readonly #columns: readonly VerifyColumn[];
  readonly #keyIndexes: readonly number[];
  readonly #buckets: number;
  readonly #types: readonly DataType[];
  readonly #keyTypes: readonly DataType[];
  #misfits: ReadonlyMap<string, bigint> | null = null;

  constructor(
    files: readonly TableFile[],
    scope: VerifyScope,
    {token, excluded}: {readonly token: string; readonly excluded: readonly string[]},
  ) {
    this.token = token;
    this.excluded = excluded.map((name) => ({name, reason: 'the files hold nested values in a column of text'}));
    this.#files = files;
    this.#columns = scope.columns;
    this.#keyIndexes = scope.keys
      .map((key) => scope.columns.findIndex(({name}) => name === key))
      .filter((index) => index >= 0);
    this.#buckets = scope.buckets;
    this.#types = scope.columns.map(({type}) => type);
    this.#keyTypes = this.#keyIndexes.flatMap((index) => this.#types[index] ?? []);
  }

  async sums(ctx: CallContext): Promise<readonly RangeSum[]> {
    const sums = new Map<number, {count: bigint; sum: bigint}>();
    const misfits = new Map<string, bigint>();
    for await (const rows of this.#rows(ctx)) {
      for (const row of rows) {
        const entry = sums.get(row.bucket) ?? {count: 0n, sum: 0n};
        entry.count++;
        entry.sum += row.hash;
        sums.set(row.bucket, entry);
        for (const name of row.misfits) misfits.set(name, (misfits.get(name) ?? 0n) + 1n);
      }
    }
    this.#misfits = misfits;
    return [...sums].map(([bucket, {count, sum}]) => ({bucket, count, hashed: count, sum}));
  }

  async *keys(buckets: readonly number[], ctx: CallContext): AsyncGenerator<readonly KeyHash[], void> {
    const wanted = new Set(buckets);
    for await (const rows of this.#rows(ctx)) {
      yield rows.filter(({bucket}) => wanted.has(bucket)).map(({key, hash}) => ({key, hash}));
    }
  }

  async columnHashes(
    keys: readonly (readonly (string | null)[])[],
    ctx: CallContext,
  ): Promise<ReadonlyMap<string, readonly (bigint | null)[]>> {
    const wanted = new Set(keys.map((key) => JSON.stringify(key)));
    const found = new Map<string, readonly (bigint | null)[]>();
    for await (const rows of this.#rows(ctx)) {
      for (const {key, cells} of rows) {
        const text = JSON.stringify(key);
        if (!wanted.has(text)) continue;
        const hashes = cells.map((cell) => (cell === null ? null : hash60(cell)));
        found.set(text, hashes);
      }
    }
    return found;
  }

  async misfits(ctx: CallContext): Promise<ReadonlyMap<string, bigint>> {
    if (this.#misfits === null) await this.sums(ctx);
    return this.#misfits ?? new Map();
  }

  /** Keys that several records have: which of them is the newest the files do not say. */
  async *touched(
    buckets: readonly number[],
    ctx: CallContext,
  ): AsyncGenerator<readonly (readonly (string | null)[])[], void> {
    if (this.#keyIndexes.length === 0) return;
    const wanted = new Set(buckets);
    const seen = new Set<string>();
    const repeated = new Set<string>();
    for await (const rows of this.#rows(ctx)) {
      for (const {bucket, key} of rows) {
        const text = JSON.stringify(key);
        if (!wanted.has(bucket)) continue;
        if (seen.has(text)) repeated.add(text);
        seen.add(text);
      }
    }
    yield [...repeated].map((text) => JSON.parse(text) as readonly (string | null)[]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing is held between questions.
  }

  async *#rows(ctx: CallContext): AsyncGenerator<readonly Row[], void> {
    for (const {file, options} of this.#files) {
      for await (const records of rawRecords(file.path, options)) {
        ctx.signal.throwIfAborted();
        yield records.map((record) => this.#row(record));
      }
    }
  }

  #row(record: RawRecord): Row {
    const {cells, misfits} = cellsOf(record, this.#columns);
    const hash = hash60(rowText(cells, this.#types));
    const key = this.#keyIndexes.map((index) => cells[index] ?? null);
    return {cells, misfits, hash, key, bucket: this.#bucket(key, hash)};
  }

  #bucket(key: readonly (string | null)[], rowHash: bigint): number {
    switch (bucketing(this.#keyTypes)) {
      case 'row-hash':
        return bucketOf(rowHash, this.#buckets);
      case 'key-hash':
        return bucketOf(hash60(rowText(key, this.#keyTypes)), this.#buckets);
      case 'remainder':
        return Math.abs(Number(BigInt(key[0] ?? '0') % BigInt(this.#buckets)));
    }
  }
}

function cellsOf(record: RawRecord, columns: readonly VerifyColumn[]): Pick<Row, 'cells' | 'misfits'> {
  const misfits: string[] = [];
  const cells = columns.map(({name, type}) => {
    const cell = rawCell(record.at(name), type);
    if (cell === NESTED_TEXT) {
      throw new IngestError('UNSUPPORTED', `Column "${name}" holds nested values since the comparison began.`);
    }
    if (cell.isMisfit) misfits.push(name);
    return cell.text;
  });
  return {cells, misfits};
}

/** Columns of text in which JSON files have objects or lists. */
async function nestedTextColumns(
  files: readonly TableFile[],
  {columns}: VerifyScope,
  ctx: CallContext,
): Promise<readonly string[]> {
  const texts = columns.filter(({type}) => type === 'string' || type === 'variant');
  const found = new Set<string>();
  for (const {file, options} of texts.length === 0 ? [] : files) {
    if (options.format !== 'json') continue;
    ctx.signal.throwIfAborted();
    for await (const records of rawRecords(file.path, options)) {
      for (const {name, type} of texts) {
        if (records.some((record) => rawCell(record.at(name), type) === NESTED_TEXT)) found.add(name);
      }
    }
  }
  return [...found];
}
