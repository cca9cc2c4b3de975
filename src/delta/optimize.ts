import {IngestError, isIngestError} from '../core/errors.ts';
import type {AddFile} from './actions.ts';
import type {DeltaContext, DeltaTable, TableSnapshot} from './delta-table.ts';
import {checkWritable} from './features.ts';
import {vectorId} from './replay.ts';
import {recordCount} from './statistics.ts';
import {storedNameOf} from './stored-name.ts';

/** What is worth rewriting. */
export interface OptimizeOptions {
  /** Size that files are packed to; those under half of it are small. Default 128 MB. */
  readonly targetSizeBytes?: number;
  /** A file whose deletion vector hides more than this fraction of its rows is written anew. Default 0.1. */
  readonly purgeAboveFraction?: number;
}

/** A table before and after, and what was done in between. */
export interface OptimizeReport {
  /** Of the last commit; null when there was nothing to do. */
  readonly version: number | null;
  readonly filesBefore: number;
  readonly filesAfter: number;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  /** Files that were packed or purged. */
  readonly filesRemoved: number;
  readonly bytesRemoved: number;
  readonly filesAdded: number;
  readonly bytesAdded: number;
  /** Rows that deletion vectors hid and that no live file holds any more. */
  readonly purgedRows: number;
  /** Small or holey files that another writer changed meanwhile: they are left for the next time. */
  readonly filesGivenUp: number;
}

const TARGET_BYTES = 128 * 1024 * 1024;
const PURGE_ABOVE = 0.1;
/** So much is read for one commit: few commits lose few races, and a kill costs no more work than this. */
const COMMIT_BYTES = 16 * 1024 * 1024 * 1024;
/** Every conflict is another writer's progress; a table this busy is optimized another time. */
const MAX_CONFLICTS = 20;

/**
 * Packs small files and writes those anew that have lost many rows, without changing a row (`dataChange: false`). Other
 * writers win: where they changed a file meanwhile, what was made of it is thrown away and the rest is committed.
 * @throws UNSUPPORTED_TABLE_FEATURE when the table cannot be written.
 */
export async function optimizeTable(
  context: DeltaContext,
  table: DeltaTable,
  options: OptimizeOptions,
  signal: AbortSignal,
): Promise<OptimizeReport> {
  const before = await table.refresh();
  checkWritable(before, table.root);
  const run = new Optimization(context, table, signal);
  for (const bins of roundsOf(binsOf(before, options))) await run.rewrite(bins);
  return run.report(before);
}

/** Files of one partition that become one. */
type Bin = readonly AddFile[];

/** A bin with the files that hold its rows now. */
interface RewrittenBin {
  readonly bin: Bin;
  readonly adds: readonly AddFile[];
}

class Optimization {
  readonly #context: DeltaContext;
  readonly #table: DeltaTable;
  readonly #signal: AbortSignal;
  readonly #committed: RewrittenBin[] = [];
  #version: number | null = null;
  #filesGivenUp = 0;

  constructor(context: DeltaContext, table: DeltaTable, signal: AbortSignal) {
    this.#context = context;
    this.#table = table;
    this.#signal = signal;
  }

  /** Rewrites bins and commits them together. */
  async rewrite(bins: readonly Bin[]): Promise<void> {
    const written: RewrittenBin[] = [];
    try {
      for (const bin of bins) {
        if (isUnchanged(bin, this.#table.snapshot)) written.push({bin, adds: await this.#write(bin)});
        else this.#filesGivenUp += bin.length;
      }
    } catch (error) {
      await this.#discard(written);
      throw error;
    }
    await this.#commit(written);
  }

  report(before: TableSnapshot): OptimizeReport {
    const removed = this.#committed.flatMap(({bin}) => bin);
    const added = this.#committed.flatMap(({adds}) => adds);
    const after = this.#table.snapshot;
    return {
      version: this.#version,
      filesBefore: before.files.size,
      filesAfter: after.files.size,
      bytesBefore: bytesOf(before.files.values()),
      bytesAfter: bytesOf(after.files.values()),
      filesRemoved: removed.length,
      bytesRemoved: bytesOf(removed),
      filesAdded: added.length,
      bytesAdded: bytesOf(added),
      purgedRows: removed.reduce((sum, file) => sum + hiddenRows(file), 0),
      filesGivenUp: this.#filesGivenUp,
    };
  }

  async #write(bin: Bin): Promise<readonly AddFile[]> {
    const {schema} = this.#table.snapshot;
    const select = await this.#table.readSql({files: bin.map(({path}) => path)});
    const adds = await this.#table.writeFiles({select, schema, compressionLevel: 3}, this.#signal);
    checkRows(this.#table.root, bin, adds);
    return adds.map((add) => ({...add, dataChange: false}));
  }

  async #commit(written: readonly RewrittenBin[]): Promise<void> {
    let left = written;
    for (let conflicts = 0; left.length > 0; conflicts++) {
      const base = this.#table.snapshot;
      const valid = left.filter(({bin}) => conflicts < MAX_CONFLICTS && isUnchanged(bin, base));
      await this.#giveUp(left.filter((each) => !valid.includes(each)));
      left = valid;
      if (left.length === 0 || (await this.#tryCommit(base, left))) return;
      await this.#table.refresh();
    }
  }

  /** False when another writer has changed what the commit rests on. */
  async #tryCommit(base: TableSnapshot, bins: readonly RewrittenBin[]): Promise<boolean> {
    const removed = bins.flatMap(({bin}) => bin);
    const adds = bins.flatMap((each) => each.adds);
    try {
      const {version} = await this.#table.commit({
        base,
        operation: 'OPTIMIZE',
        operationParameters: {predicate: '[]', zOrderBy: '[]'},
        operationMetrics: {
          numRemovedFiles: `${removed.length}`,
          numRemovedBytes: `${bytesOf(removed)}`,
          numAddedFiles: `${adds.length}`,
          numAddedBytes: `${bytesOf(adds)}`,
        },
        adds,
        removes: removed.map((file) => ({...this.#table.removeOf(file), dataChange: false})),
        // What others add does not matter here; a change of the files that are removed conflicts all the same.
        blindAppend: true,
      });
      this.#version = version;
      this.#committed.push(...bins);
      return true;
    } catch (error) {
      if (isIngestError(error, 'COMMIT_CONFLICT')) return false;
      throw error;
    }
  }

  async #giveUp(bins: readonly RewrittenBin[]): Promise<void> {
    for (const {bin} of bins) this.#filesGivenUp += bin.length;
    await this.#discard(bins);
  }

  /** Removes files that no commit has named. */
  async #discard(bins: readonly RewrittenBin[]): Promise<void> {
    const {store} = this.#context;
    for (const {adds} of bins) {
      for (const add of adds) await store.delete(storedNameOf(store, this.#table.root, add.path));
    }
  }
}

/** Small and holey files by partition, in order of age, so that rows that came together stay together. */
function binsOf(snapshot: TableSnapshot, options: OptimizeOptions): readonly Bin[] {
  const targetBytes = options.targetSizeBytes ?? TARGET_BYTES;
  const purgeAbove = options.purgeAboveFraction ?? PURGE_ABOVE;
  const isHoley = (file: AddFile): boolean => hiddenFraction(file) > purgeAbove;
  const wanted = [...snapshot.files.values()].filter((file) => file.size < targetBytes / 2 || isHoley(file));
  const byPartition = new Map<string, AddFile[]>();
  for (const file of wanted.sort(byAge)) {
    const key = JSON.stringify(snapshot.metadata.partitionColumns.map((name) => file.partitionValues[name] || null));
    const files = byPartition.get(key) ?? [];
    files.push(file);
    byPartition.set(key, files);
  }
  const bins = [...byPartition.values()].flatMap((files) => packed(files, targetBytes));
  return bins.filter((bin) => bin.length > 1 || bin.some(isHoley));
}

function byAge(left: AddFile, right: AddFile): number {
  return left.modificationTime - right.modificationTime || (left.path < right.path ? -1 : 1);
}

function packed(files: readonly AddFile[], targetBytes: number): readonly Bin[] {
  const bins: AddFile[][] = [];
  let bin: AddFile[] = [];
  let bytes = 0;
  for (const file of files) {
    const liveBytes = file.size * (1 - hiddenFraction(file));
    if (bin.length === 0 || bytes + liveBytes > targetBytes) {
      bin = [];
      bytes = 0;
      bins.push(bin);
    }
    bin.push(file);
    bytes += liveBytes;
  }
  return bins;
}

function roundsOf(bins: readonly Bin[]): readonly (readonly Bin[])[] {
  const rounds: Bin[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const bin of bins) {
    if (bytes >= COMMIT_BYTES) {
      rounds.push([]);
      bytes = 0;
    }
    rounds.at(-1)?.push(bin);
    bytes += bytesOf(bin);
  }
  return rounds;
}

/** True when every file is live with the deletion vector that it was read with. */
function isUnchanged(bin: Bin, snapshot: TableSnapshot): boolean {
  return bin.every((file) => {
    const live = snapshot.files.get(file.path);
    return live !== undefined && vectorId(live.deletionVector) === vectorId(file.deletionVector);
  });
}

/** The rows that go in must come out: a rewrite that loses one would be a delete that nobody asked for. */
function checkRows(root: string, bin: Bin, adds: readonly AddFile[]): void {
  const counts = bin.map((file) => recordCount(file.stats));
  if (counts.includes(null)) return;
  const expected = counts.reduce<number>((sum, count) => sum + (count ?? 0), 0) - sumOf(bin.map(hiddenRows));
  const written = sumOf(adds.map((add) => recordCount(add.stats) ?? 0));
  if (written === expected) return;
  throw new IngestError(
    'CORRUPT_LOG',
    `Files of table ${root} hold ${written} rows, but their statistics say ${expected}; they were left as they are.`,
    {
      fix: 'Find out who wrote these files; read the table anew with a full refresh if rows are missing.',
      context: {table: root, files: bin.length},
    },
  );
}

function hiddenRows(file: AddFile): number {
  return file.deletionVector?.cardinality ?? 0;
}

function hiddenFraction(file: AddFile): number {
  const rowCount = recordCount(file.stats);
  return rowCount === null || rowCount === 0 ? 0 : hiddenRows(file) / rowCount;
}

function bytesOf(files: Iterable<AddFile>): number {
  let bytes = 0;
  for (const file of files) bytes += file.size;
  return bytes;
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0);
}
