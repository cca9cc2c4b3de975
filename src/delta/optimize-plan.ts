import type {AddFile} from './actions.ts';
import type {TableSnapshot} from './delta-table.ts';
import type {Bounds} from './file-pruning.ts';
import {boundsOfColumn, isBelow} from './file-pruning.ts';
import {CLUSTERING_PROVIDER, clusteringColumnsOf, targetFileBytes} from './layout.ts';
import {recordCount} from './statistics.ts';

/** What is worth rewriting. */
export interface OptimizeOptions {
  /** Size that files are packed to; those under half of it are small. Default: the table's `delta.targetFileSize`, else 128 MB. */
  readonly targetSizeBytes?: number;
  /** A file whose deletion vector hides more than this fraction of its rows is written anew. Default 0.1. */
  readonly purgeAboveFraction?: number;
  /** Leaves files of clustered tables alone that only lie badly: packs and purges alone. */
  readonly onlyPack?: boolean;
  /** Files larger than this are not packed, only purged. Default: half of the target size. */
  readonly smallBelowBytes?: number;
  /** Stops taking files once so much is to be read: the rest is for the next time. Default: no limit. */
  readonly maxBytes?: number;
  /** Does nothing where fewer files are to be taken together. */
  readonly leastFiles?: number;
  /** Says what would be done, and writes nothing. */
  readonly dryRun?: boolean;
}

/** Files of one partition that are written anew together. */
export interface Bin {
  readonly files: readonly AddFile[];
  /** `pack`: they become one file. `cluster`: they are sorted together and cut at the target size. */
  readonly kind: 'pack' | 'cluster';
}

const PURGE_ABOVE = 0.1;
/** So many files of a clustered table may hold one key before their order is worth the work. */
const MAX_DEPTH = 3;
/** So much is sorted together: a conflict costs no more than this, and the next run goes on. */
const CLUSTER_BYTES = 4 * 1024 * 1024 * 1024;

/** What an optimize of a table rewrites, in the order in which it does so. */
export function binsOf(snapshot: TableSnapshot, options: OptimizeOptions): readonly Bin[] {
  const target = options.targetSizeBytes ?? targetFileBytes(snapshot.metadata);
  // What another implementation has clustered is its own: only its holes are ours.
  const foreign = (file: AddFile): boolean => (file.clusteringProvider ?? CLUSTERING_PROVIDER) !== CLUSTERING_PROVIDER;
  const badly = options.onlyPack === true ? [] : badlyClustered(snapshot, foreign);
  const clustered = new Set(badly.flat());
  const rest = [...snapshot.files.values()].filter((file) => !clustered.has(file));
  const isHoley = (file: AddFile): boolean => hiddenFraction(file) > (options.purgeAboveFraction ?? PURGE_ABOVE);
  const isSmall = (file: AddFile): boolean => file.size < (options.smallBelowBytes ?? target / 2) && !foreign(file);
  const wanted = rest.filter((file) => isSmall(file) || isHoley(file));
  const packs = packedBins(snapshot, {wanted, target}).filter((bin) => bin.length > 1 || bin.some(isHoley));
  const bins: readonly Bin[] = [
    ...badly.map((files): Bin => ({files, kind: 'cluster'})),
    ...packs.map((files): Bin => ({files, kind: 'pack'})),
  ];
  const taken = withinBytes(bins, options.maxBytes ?? Number.POSITIVE_INFINITY);
  return taken.reduce((sum, {files}) => sum + files.length, 0) < (options.leastFiles ?? 0) ? [] : taken;
}

/** Rows of a file that its deletion vector hides. */
export function hiddenRows(file: AddFile): number {
  return file.deletionVector?.cardinality ?? 0;
}

/** Bytes of all files. */
export function bytesOf(files: Iterable<AddFile>): number {
  let bytes = 0;
  for (const file of files) bytes += file.size;
  return bytes;
}

function hiddenFraction(file: AddFile): number {
  const rowCount = recordCount(file.stats);
  return rowCount === null || rowCount === 0 ? 0 : hiddenRows(file) / rowCount;
}

/** The bins with the most files come first; the first one is taken however large it is. */
function withinBytes(bins: readonly Bin[], maxBytes: number): readonly Bin[] {
  if (maxBytes === Number.POSITIVE_INFINITY) return bins;
  let bytes = 0;
  return bins
    .toSorted((left, right) => right.files.length - left.files.length)
    .filter(({files}, at) => {
      bytes += bytesOf(files);
      return at === 0 || bytes <= maxBytes;
    });
}

/** Bins by partition, in order of age, so that rows that came together stay together; in order of keys in a clustered table. */
function packedBins(
  snapshot: TableSnapshot,
  work: {readonly wanted: readonly AddFile[]; readonly target: number},
): readonly (readonly AddFile[])[] {
  const byPartition = new Map<string, AddFile[]>();
  for (const file of work.wanted) {
    const key = JSON.stringify(Object.entries(file.partitionValues).map(([name, value]) => [name, value || null]));
    const files = byPartition.get(key) ?? [];
    files.push(file);
    byPartition.set(key, files);
  }
  const order = orderOf(snapshot);
  return [...byPartition.values()].flatMap((files) => packed(files.sort(order), work.target));
}

type Order = (left: AddFile, right: AddFile) => number;

function orderOf(snapshot: TableSnapshot): Order {
  const [column] = clusteringColumnsOf(snapshot);
  if (column === undefined) return byAge;
  const boundsOf = boundsOfColumn(snapshot, column);
  return (left, right) => byMinimum(boundsOf(left), boundsOf(right)) || byAge(left, right);
}

function byAge(left: AddFile, right: AddFile): number {
  return left.modificationTime - right.modificationTime || (left.path < right.path ? -1 : 1);
}

function byMinimum(left: Bounds, right: Bounds): number {
  if (left.min === null || right.min === null) return Number(right.min === null) - Number(left.min === null);
  return Number(isBelow(right.min, left.min)) - Number(isBelow(left.min, right.min));
}

function packed(files: readonly AddFile[], targetBytes: number): readonly (readonly AddFile[])[] {
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

/**
 * Files of a clustered table where too many hold the same keys, by the first clustering column. Runs of files whose ranges
 * hang together are cut into parts of bounded size, in order of their keys: each part comes out without overlap.
 */
function badlyClustered(snapshot: TableSnapshot, foreign: (file: AddFile) => boolean): readonly (readonly AddFile[])[] {
  const [column] = clusteringColumnsOf(snapshot);
  if (column === undefined) return [];
  const boundsOf = boundsOfColumn(snapshot, column);
  const files = [...snapshot.files.values()].filter((file) => !foreign(file) && !boundsOf(file).allNull);
  const runs = overlappingRuns(files.toSorted(orderOf(snapshot)), boundsOf);
  return runs
    .filter((run) => depthOf(run, boundsOf) > MAX_DEPTH)
    .flatMap((run) => packed(run, CLUSTER_BYTES))
    .filter((part) => part.length > 1);
}

/** Cuts files, ascending by their minimum, where no file reaches over. */
function overlappingRuns(
  files: readonly AddFile[],
  boundsOf: (file: AddFile) => Bounds,
): readonly (readonly AddFile[])[] {
  const runs: AddFile[][] = [];
  let highest: Bounds['max'] = null;
  for (const file of files) {
    const {min, max} = boundsOf(file);
    if (runs.length === 0 || isBelow(highest, min)) {
      runs.push([]);
      highest = max;
    } else if (highest !== null && (max === null || isBelow(highest, max))) highest = max;
    runs.at(-1)?.push(file);
  }
  return runs;
}

/** The most files that may hold one key. */
function depthOf(run: readonly AddFile[], boundsOf: (file: AddFile) => Bounds): number {
  let open: Bounds[] = [];
  let depth = 0;
  for (const file of run) {
    const bounds = boundsOf(file);
    open = open.filter(({max}) => !isBelow(max, bounds.min));
    open.push(bounds);
    depth = Math.max(depth, open.length);
  }
  return depth;
}
