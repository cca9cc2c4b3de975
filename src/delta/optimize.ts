import {IngestError, isIngestError} from '../core/errors.ts';
import {failpoint} from '../core/failpoint.ts';
import type {AddFile} from './actions.ts';
import type {DeltaContext, DeltaTable, TableSnapshot} from './delta-table.ts';
import {checkWritable} from './features.ts';
import {CLUSTERING_PROVIDER, clusteringColumnsOf, targetFileBytes} from './layout.ts';
import type {Bin, OptimizeOptions} from './optimize-plan.ts';
import {binsOf, bytesOf, hiddenRows} from './optimize-plan.ts';
import {vectorId} from './replay.ts';
import {recordCount} from './statistics.ts';
import {storedNameOf} from './stored-name.ts';

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

/** So much is read for one commit: few commits lose few races, and a kill costs no more work than this. */
const COMMIT_BYTES = 16 * 1024 * 1024 * 1024;
/** Every conflict is another writer's progress; a table this busy is optimized another time. */
const MAX_CONFLICTS = 20;

/**
 * Packs small files, sorts files of clustered tables that hold the same keys, and writes those anew that have lost many
 * rows, without changing a row (`dataChange: false`). Other writers win: where they changed a file meanwhile, what was made of it is thrown away and the rest is committed.
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
  const bins = binsOf(before, options);
  const targetBytes = options.targetSizeBytes ?? targetFileBytes(before.metadata);
  if (options.dryRun === true) return planned(before, bins, targetBytes);
  const run = new Optimization(context, table, {targetBytes, signal});
  for (const round of roundsOf(bins)) await run.rewrite(round);
  return run.report(before);
}

/** A bin with the files that hold its rows now. */
interface RewrittenBin {
  readonly bin: Bin;
  readonly adds: readonly AddFile[];
}

class Optimization {
  readonly #context: DeltaContext;
  readonly #table: DeltaTable;
  readonly #targetBytes: number;
  readonly #signal: AbortSignal;
  readonly #committed: RewrittenBin[] = [];
  #version: number | null = null;
  #filesGivenUp = 0;

  constructor(
    context: DeltaContext,
    table: DeltaTable,
    how: {readonly targetBytes: number; readonly signal: AbortSignal},
  ) {
    this.#context = context;
    this.#table = table;
    this.#targetBytes = how.targetBytes;
    this.#signal = how.signal;
  }

  /** Rewrites bins and commits them together. */
  async rewrite(bins: readonly Bin[]): Promise<void> {
    const written: RewrittenBin[] = [];
    try {
      for (const bin of bins) {
        if (isUnchanged(bin, this.#table.snapshot)) written.push({bin, adds: await this.#write(bin)});
        else this.#filesGivenUp += bin.files.length;
      }
    } catch (error) {
      await this.#discard(written);
      throw error;
    }
    await this.#commit(written);
  }

  report(before: TableSnapshot): OptimizeReport {
    const removed = this.#committed.flatMap(({bin}) => bin.files);
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

  async #write({files, kind}: Bin): Promise<readonly AddFile[]> {
    const {snapshot} = this.#table;
    const select = await this.#table.readSql({files: files.map(({path}) => path)});
    // What is packed is one file, even where it comes out a little larger than its parts.
    const targetBytes = kind === 'pack' ? 2 * Math.max(this.#targetBytes, bytesOf(files)) : this.#targetBytes;
    const job = {select, schema: snapshot.schema, compressionLevel: 3, targetBytes} as const;
    const adds = await this.#table.writeFiles(job, this.#signal);
    failpoint('optimize.bin-written');
    checkRows(this.#table.root, files, adds);
    const isClustered = clusteringColumnsOf(snapshot).length > 0;
    return adds.map((add) => ({
      ...add,
      dataChange: false,
      ...(isClustered ? {clusteringProvider: CLUSTERING_PROVIDER} : {}),
    }));
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
    const removed = bins.flatMap(({bin}) => bin.files);
    const adds = bins.flatMap((each) => each.adds);
    try {
      const {version} = await this.#table.commit({
        base,
        operation: 'OPTIMIZE',
        operationParameters: {predicate: '[]', zOrderBy: '[]', clusterBy: JSON.stringify(clusteringColumnsOf(base))},
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
    for (const {bin} of bins) this.#filesGivenUp += bin.files.length;
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

/** What would be done; how large files come out is a guess. */
function planned(before: TableSnapshot, bins: readonly Bin[], targetBytes: number): OptimizeReport {
  const removed = bins.flatMap(({files}) => files);
  const bytes = bytesOf(removed);
  const filesAdded = sumOf(
    bins.map(({files, kind}) => (kind === 'pack' ? 1 : Math.ceil(bytesOf(files) / targetBytes))),
  );
  return {
    version: null,
    filesBefore: before.files.size,
    filesAfter: before.files.size - removed.length + filesAdded,
    bytesBefore: bytesOf(before.files.values()),
    bytesAfter: bytesOf(before.files.values()),
    filesRemoved: removed.length,
    bytesRemoved: bytes,
    filesAdded,
    bytesAdded: bytes,
    purgedRows: sumOf(removed.map(hiddenRows)),
    filesGivenUp: 0,
  };
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
    bytes += bytesOf(bin.files);
  }
  return rounds;
}

/** True when every file is live with the deletion vector that it was read with. */
function isUnchanged({files}: Bin, snapshot: TableSnapshot): boolean {
  return files.every((file) => {
    const live = snapshot.files.get(file.path);
    return live !== undefined && vectorId(live.deletionVector) === vectorId(file.deletionVector);
  });
}

/** The rows that go in must come out: a rewrite that loses one would be a delete that nobody asked for. */
function checkRows(root: string, bin: readonly AddFile[], adds: readonly AddFile[]): void {
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

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0);
}
