import type {AddFile} from './actions.ts';
import type {BatchFile} from './batch-file.ts';
import {batchFileName, decodeBatchFile, readBatchFile} from './batch-files.ts';
import type {Commit} from './commit-file.ts';
import {readCommit} from './commit-file.ts';
import {vectorName} from './deletion-vectors.ts';
import type {DeltaContext, DeltaTable} from './delta-table.ts';
import {decodePath} from './file-path.ts';

/** Commits and batch files are small: this many are read at once. */
const READ_AHEAD = 16;

/** Which files count. */
export interface Wanted {
  /** Versions since this time are kept; milliseconds since 1970. */
  readonly sinceMs: number;
  /** Flows that have batch files beside the table. */
  readonly flowIds: ReadonlySet<string>;
  /** When the store got the entries of the log, by version; one that is missing is new. */
  readonly commitTimes: ReadonlyMap<number, number>;
}

/** Files that a table needs. */
export interface NamedFiles {
  /** True when the object of this name is needed. */
  has(root: string, name: string): boolean;
}

/**
 * The files that the current version names or that a version since `sinceMs` has named: data files, deletion vectors, and
 * for the given flows the batch files of their txns with their side files and held data files.
 * @throws CORRUPT_LOG when the file of a flow's current batch is missing or unreadable.
 */
export async function namedFiles(context: DeltaContext, table: DeltaTable, wanted: Wanted): Promise<NamedFiles> {
  const found = new Found(context, table);
  for (const file of table.snapshot.files.values()) found.addFile(file);
  const {changedMetadata} = await found.addCommits(wanted);
  const current = table.snapshot.metadata.configuration[FLOW_ID_PROPERTY];
  for (const {appId, version} of table.snapshot.txns.values()) {
    if (!wanted.flowIds.has(appId)) continue;
    // The last batch of a flow that a reset has replaced is needed as long as a version that was its own can be read.
    const isGone = current !== undefined && appId !== current && !changedMetadata;
    if (!isGone) found.addBatch(await readBatchFile(context.store, table.root, appId, version));
  }
  return found;
}

/** Table property that names the flow which writes a table. */
const FLOW_ID_PROPERTY = 'sluice.flowId';

interface BatchName {
  readonly flowId: string;
  readonly batchId: number;
}

function keyOf({flowId, batchId}: BatchName): string {
  return `${flowId} ${batchId}`;
}

/** What an action names: a data file or change data file, maybe with a deletion vector. */
type NamedFile = Pick<AddFile, 'path' | 'deletionVector'>;

/** Data files count by the last part of their path: it is unique, and the same however a writer spells the rest. */
class Found implements NamedFiles {
  readonly #context: DeltaContext;
  readonly #table: DeltaTable;
  readonly #baseNames = new Set<string>();
  /** Batch files and side files, relative to the table. */
  readonly #sideNames = new Set<string>();

  constructor(context: DeltaContext, table: DeltaTable) {
    this.#context = context;
    this.#table = table;
  }

  has(root: string, name: string): boolean {
    return this.#sideNames.has(name.slice(root.length + 1)) || this.#baseNames.has(baseOf(name));
  }

  addFile({path, deletionVector}: NamedFile): void {
    this.#baseNames.add(baseOf(path)).add(baseOf(decodePath(path)));
    if (deletionVector === undefined || deletionVector.storageType === 'i') return;
    const isAbsolute = deletionVector.storageType === 'p';
    const {store} = this.#context;
    const name = isAbsolute ? deletionVector.pathOrInlineDv : vectorName(store, this.#table.root, deletionVector);
    this.#baseNames.add(baseOf(name)).add(baseOf(decodePath(name)));
  }

  addBatch({flowId, batchId, side}: BatchFile): void {
    this.#addBatchName(flowId, batchId);
    const {pending, ...lists} = side;
    for (const name of Object.values(lists).flat()) this.#sideNames.add(name);
    for (const {name} of pending) {
      this.#sideNames.add(name);
      if (!name.startsWith('_')) this.#baseNames.add(baseOf(name)).add(baseOf(decodePath(name)));
    }
  }

  /** Everything that commits since then have added or removed was named by a version in that time. */
  async addCommits(wanted: Wanted): Promise<{readonly changedMetadata: boolean}> {
    const batches = new Map<string, BatchName>();
    let changedMetadata = false;
    for await (const commit of this.#commitsSince(wanted)) {
      for (const action of commit.actions) {
        if ('add' in action) this.addFile(action.add);
        else if ('remove' in action) this.addFile(action.remove);
        else if ('cdc' in action) this.addFile(action.cdc);
        else if ('metaData' in action) changedMetadata = true;
        else if ('txn' in action && wanted.flowIds.has(action.txn.appId)) {
          const {appId: flowId, version: batchId} = action.txn;
          batches.set(keyOf({flowId, batchId}), {flowId, batchId});
        }
      }
    }
    await this.#addOlderBatches(batches);
    return {changedMetadata};
  }

  /** The batches with the one before each: the first of them is that of the version that was current at the start. */
  async #addOlderBatches(batches: ReadonlyMap<string, BatchName>): Promise<void> {
    const before: BatchName[] = [];
    for (const batch of await this.#batchFiles([...batches.values()])) {
      this.addBatch(batch);
      if (batch.previousBatchId === null) continue;
      const previous = {flowId: batch.flowId, batchId: batch.previousBatchId};
      if (!batches.has(keyOf(previous))) before.push(previous);
    }
    for (const batch of await this.#batchFiles(before)) this.addBatch(batch);
  }

  async #batchFiles(batches: readonly BatchName[]): Promise<readonly BatchFile[]> {
    const {store} = this.#context;
    const found: BatchFile[] = [];
    for (let at = 0; at < batches.length; at += READ_AHEAD) {
      const part = batches.slice(at, at + READ_AHEAD);
      const bytes = await Promise.all(
        part.map(({flowId, batchId}) => store.get(batchFileName(this.#table.root, flowId, batchId))),
      );
      // One that is gone was removed with a shorter retention.
      for (const each of bytes) if (each !== null) found.push(decodeBatchFile(each));
    }
    return found;
  }

  /** Newest first, up to the first that is older, as are all before it, or was cleaned up: versions before it cannot be read any more. */
  async *#commitsSince({sinceMs, commitTimes}: Wanted): AsyncGenerator<Commit> {
    const {store, clock} = this.#context;
    const {root, snapshot} = this.#table;
    // A clock that was wrong for a while makes some commits look older than those before them.
    const firstNew = Math.min(
      ...Array.from(commitTimes).map(([version, atMs]) => (atMs < sinceMs ? Infinity : version)),
    );
    for (let newest = snapshot.version; newest >= 0; newest -= READ_AHEAD) {
      const versions = Array.from({length: Math.min(READ_AHEAD, newest + 1)}, (_, index) => newest - index);
      const commits = await Promise.all(versions.map((version) => readCommit({store, clock, root}, version)));
      for (const commit of commits) {
        if (commit === null) return;
        // The clock of another writer may be behind: the store's counts, too.
        const writtenAtMs = commitTimes.get(commit.version) ?? Number.POSITIVE_INFINITY;
        if (commit.version < firstNew && Math.max(timestampOf(commit), writtenAtMs) < sinceMs) return;
        yield commit;
      }
    }
  }

  #addBatchName(flowId: string, batchId: number): void {
    const {root} = this.#table;
    this.#sideNames.add(batchFileName(root, flowId, batchId).slice(root.length + 1));
  }
}

function baseOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** A commit without a time counts as new. */
function timestampOf({actions}: Commit): number {
  for (const action of actions) {
    if (!('commitInfo' in action)) continue;
    const {inCommitTimestamp, timestamp} = action.commitInfo;
    const time = inCommitTimestamp ?? timestamp;
    if (typeof time === 'number') return time;
  }
  return Number.POSITIVE_INFINITY;
}
