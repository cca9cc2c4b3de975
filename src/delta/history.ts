import type {AddFile, CommitInfo, RemoveFile, TxnAction} from './actions.ts';
import type {Commit} from './commit-file.ts';
import {readCommit} from './commit-file.ts';
import {commitTimes} from './commit-times.ts';
import type {CommitSummary, DeltaContext, TableSnapshot} from './delta-table.ts';
import {recordCount} from './statistics.ts';

const READ_AHEAD = 16;

/** Commits up to the snapshot's version, newest first, until `after`, the limit or the oldest that the log has kept. */
export async function readHistory(
  context: DeltaContext,
  root: string,
  range: {readonly snapshot: TableSnapshot; readonly after: number; readonly limit: number},
): Promise<readonly CommitSummary[]> {
  const found: CommitSummary[] = [];
  const oldest = Math.max(range.after + 1, range.snapshot.version - range.limit + 1, 0);
  const times = await commitTimes(context, root, {snapshot: range.snapshot, from: oldest});
  for (let newest = range.snapshot.version; newest >= oldest; newest -= READ_AHEAD) {
    const versions = Array.from({length: Math.min(READ_AHEAD, newest - oldest + 1)}, (_, index) => newest - index);
    const commits = await Promise.all(
      versions.map((version) => readCommit({store: context.store, clock: context.clock, root}, version)),
    );
    for (const commit of commits) {
      // Older entries are cleaned up once a checkpoint covers them.
      if (commit === null) return found;
      found.push(summaryOf(commit, times.of(commit)));
    }
  }
  return found;
}

function summaryOf({version, actions}: Commit, timestampMs: number): CommitSummary {
  let info: CommitInfo = {};
  const adds: AddFile[] = [];
  const removes: RemoveFile[] = [];
  const txns: TxnAction[] = [];
  for (const action of actions) {
    if ('commitInfo' in action) info = action.commitInfo;
    else if ('add' in action) adds.push(action.add);
    else if ('remove' in action) removes.push(action.remove);
    else if ('txn' in action) txns.push(action.txn);
  }
  return {
    version,
    timestampMs,
    info,
    addedFiles: adds.length,
    removedFiles: removes.length,
    addedRows: rowsOf(adds),
    dataChange: [...adds, ...removes].some((file) => file.dataChange),
    txns,
    metadataChanged: actions.some((action) => 'metaData' in action),
  };
}

function rowsOf(adds: readonly AddFile[]): number | null {
  let sum = 0;
  for (const add of adds) {
    const count = recordCount(add.stats);
    if (count === null) return null;
    sum += count - (add.deletionVector?.cardinality ?? 0);
  }
  return sum;
}
