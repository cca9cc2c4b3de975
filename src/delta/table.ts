import {IngestError} from '../core/errors.ts';
import type {StructType} from '../core/types.ts';
import type {AddCdcFile, AddFile, RemoveFile} from './actions.ts';
import {writeChangeFiles} from './change-files.ts';
import {changesSql} from './changes-sql.ts';
import type {CheckpointState} from './checkpoint-write.ts';
import {isCheckpointDue, writeCheckpoint} from './checkpoint-write.ts';
import {versionAtTime} from './commit-times.ts';
import {commitVersion} from './commit.ts';
import {commitFirstVersion} from './create-table.ts';
import type {WriteJob} from './data-files.ts';
import {stageDataFile, writeDataFiles} from './data-files.ts';
import type {
  CommitRequest,
  CommitSummary,
  CreateOptions,
  Deletions,
  DeltaContext,
  DeltaTable,
  NewDataFile,
  ReadOptions,
  TableSnapshot,
} from './delta-table.ts';
import {checkReadable} from './features.ts';
import {filesInRange} from './file-pruning.ts';
import {readHistory} from './history.ts';
import type {LoadedLog} from './load-log.ts';
import {advance, loadLog} from './load-log.ts';
import {listLog} from './log-segment.ts';
import {looseFilesFit, looseFilesSql} from './loose-files.ts';
import {readSql} from './read-sql.ts';
import type {DeletionActions} from './row-deletions.ts';
import {removeOf, writeRowDeletions} from './row-deletions.ts';
import {checkStoredRows} from './written-rows.ts';

/**
 * Opens the table at `root`, a name prefix in the store without trailing slash; null when there is no log.
 * @throws CORRUPT_LOG; UNSUPPORTED_TABLE_FEATURE when it cannot be read (a table that cannot be written opens).
 */
export async function openTable(context: DeltaContext, root: string): Promise<DeltaTable | null> {
  const log = await loadLog(context, root, null);
  if (log === null) return null;
  checkReadable(log.snapshot, root);
  return new LogTable(context, root, log);
}

/**
 * Makes a table with the least protocol that its schema and options need, and commits it as version 0.
 * @throws COMMIT_CONFLICT when the table exists; INVALID_SCHEMA when a column cannot be stored; UNSUPPORTED_TABLE_FEATURE
 * when a property asks for a feature that Sluice does not know.
 */
export async function createTable(context: DeltaContext, root: string, options: CreateOptions): Promise<DeltaTable> {
  const snapshot = await commitFirstVersion(context, root, options);
  return new LogTable(context, root, {snapshot, checkpoint: null});
}

const HISTORY_LIMIT = 1000;

class LogTable implements DeltaTable {
  readonly root: string;
  readonly #context: DeltaContext;
  #snapshot: TableSnapshot;
  #checkpoint: CheckpointState;
  #isCheckpointing = false;

  constructor(context: DeltaContext, root: string, log: LoadedLog) {
    this.root = root;
    this.#context = context;
    this.#snapshot = log.snapshot;
    this.#checkpoint = {newest: log.checkpoint, writtenInMs: 0};
  }

  get snapshot(): TableSnapshot {
    return this.#snapshot;
  }

  async refresh(): Promise<TableSnapshot> {
    const snapshot = await advance(this.#context, this.root, {snapshot: this.#snapshot});
    checkReadable(snapshot, this.root);
    this.#snapshot = snapshot;
    return snapshot;
  }

  async snapshotAt(version: number): Promise<TableSnapshot> {
    if (version === this.#snapshot.version) return this.#snapshot;
    const log = await loadLog(this.#context, this.root, version);
    if (log !== null) {
      checkReadable(log.snapshot, this.root);
      return log.snapshot;
    }
    throw new IngestError('NOT_A_DELTA_TABLE', `Table ${this.root} has no version ${version}.`, {
      fix: `The newest is ${this.#snapshot.version}; old ones go when the log is cleaned up.`,
      context: {table: this.root, version},
    });
  }

  versionAtTime(timestampMs: number): Promise<number> {
    return versionAtTime(this.#context, this.root, {snapshot: this.#snapshot, timestampMs});
  }

  writeFiles(job: WriteJob, signal: AbortSignal): Promise<readonly AddFile[]> {
    return writeDataFiles({context: this.#context, root: this.root, snapshot: this.#snapshot}, job, signal);
  }

  writeChanges(job: WriteJob, signal: AbortSignal): Promise<readonly AddCdcFile[]> {
    return writeChangeFiles({context: this.#context, root: this.root, snapshot: this.#snapshot}, job, signal);
  }

  changesSql(range: {readonly from: number; readonly to?: number}): Promise<string> {
    return changesSql(this.#context, this, range);
  }

  newDataFile(): Promise<NewDataFile> {
    return stageDataFile(this.#context, this.root, '');
  }

  writeDeletions(deletions: Deletions, signal: AbortSignal): Promise<DeletionActions> {
    signal.throwIfAborted();
    return writeRowDeletions({context: this.#context, root: this.root, snapshot: this.#snapshot}, deletions);
  }

  removeOf(add: AddFile): RemoveFile {
    return removeOf(add, this.#context.clock.nowMs());
  }

  readSql(options: ReadOptions = {}): Promise<string> {
    return readSql(this.#context, this.root, {...options, snapshot: options.snapshot ?? this.#snapshot});
  }

  looseFilesSql(names: readonly string[], schema: StructType): Promise<string> {
    return looseFilesSql(this.#context, {snapshot: this.#snapshot, names, schema});
  }

  looseFilesFit(names: readonly string[], schema: StructType): Promise<boolean> {
    return looseFilesFit(this.#context, {snapshot: this.#snapshot, names, schema});
  }

  filesInRange(column: string, min: unknown, max: unknown): readonly AddFile[] {
    return filesInRange(this.#snapshot, column, {min, max});
  }

  async commit(request: CommitRequest): Promise<TableSnapshot> {
    await checkStoredRows(this.#context, this, {base: request.base, metadata: request.metadata});
    this.#snapshot = await commitVersion(this.#context, this.root, {request, known: this.#snapshot});
    if (isCheckpointDue(this.#snapshot, this.#checkpoint)) await this.#checkpointed();
    return this.#snapshot;
  }

  history(options: {readonly after?: number; readonly limit?: number} = {}): Promise<readonly CommitSummary[]> {
    const range = {snapshot: this.#snapshot, after: options.after ?? -1, limit: options.limit ?? HISTORY_LIMIT};
    return readHistory(this.#context, this.root, range);
  }

  /** One at a time: a checkpoint that is due while another is written is made up for by the next. */
  async #checkpointed(): Promise<void> {
    const {background} = this.#context;
    if (this.#isCheckpointing) return;
    this.#isCheckpointing = true;
    const work = this.#writeCheckpoint(this.#snapshot).finally(() => {
      this.#isCheckpointing = false;
    });
    // The commit stands, and a checkpoint only saves time: the next one that is due makes up for it.
    if (background === undefined) await work.catch(() => undefined);
    else background.add(`Checkpoint of ${this.root}`, work);
  }

  async #writeCheckpoint(snapshot: TableSnapshot): Promise<void> {
    const {clock} = this.#context;
    const startedAtMs = clock.nowMs();
    try {
      const log = {snapshot, checkpoint: this.#checkpoint.newest};
      const newest = await writeCheckpoint(this.#context, this.root, log);
      this.#checkpoint = {newest, writtenInMs: clock.nowMs() - startedAtMs};
    } catch (error) {
      await this.#forgetCheckpoint();
      throw error;
    }
  }

  /** The checkpoint that we know may be what could not be read: another writer may have replaced it. */
  async #forgetCheckpoint(): Promise<void> {
    try {
      const log = await listLog(this.#context.store, this.root, {fromStart: false});
      this.#checkpoint = {newest: log?.checkpoints[0] ?? null, writtenInMs: 0};
    } catch {
      // As above; the next attempt asks again.
    }
  }
}
