import {IngestError} from '../core/errors.ts';
import type {CommitInfo} from './actions.ts';
import type {Commit} from './commit-file.ts';
import type {CommitRequest} from './delta-table.ts';

/** True when a commit of the log is the attempt with this id: its answer was lost on the way. */
export function isOurs(commit: Commit, txnId: string): boolean {
  return infoOf(commit).txnId === txnId;
}

const OVERWRITES: ReadonlySet<string> = new Set([
  'RESTORE',
  'REPLACE TABLE',
  'REPLACE TABLE AS SELECT',
  'CREATE OR REPLACE TABLE',
  'CREATE OR REPLACE TABLE AS SELECT',
  'TRUNCATE',
  'CLONE',
]);

/** True for a commit that puts other rows in the place of all: whoever counts on the rows before must not go on. */
export function isOverwrite({operation, operationParameters}: CommitInfo): boolean {
  return OVERWRITES.has(operation ?? '') || (operation === 'WRITE' && operationParameters?.['mode'] === 'Overwrite');
}

/**
 * Checks that a request holds after a commit that was made since its base.
 * @throws COMMIT_CONFLICT naming the winner's operation when it does not.
 */
export function checkConflict(root: string, request: CommitRequest, winner: Commit): void {
  const reason = conflictOf(request, winner);
  if (reason === null) return;
  const {operation = 'unknown'} = infoOf(winner);
  throw new IngestError(
    'COMMIT_CONFLICT',
    `Table ${root}: version ${winner.version} (${operation}) was committed by another writer and ${reason}.`,
    {
      fix: 'Read the table again and repeat; if it happens often, two pipelines write this table.',
      context: {table: root, version: winner.version, operation},
    },
  );
}

function conflictOf(request: CommitRequest, winner: Commit): string | null {
  const gone = new Set((request.removes ?? []).map(({path}) => path));
  const domains = new Set((request.domains ?? []).map(({domain}) => domain));
  // An offset says which rows are there: it does not hold for others.
  if (request.txn !== undefined && isOverwrite(infoOf(winner))) return 'replaced the rows of the table';
  for (const action of winner.actions) {
    if ('metaData' in action) return 'changed the metadata';
    if ('protocol' in action) return 'changed the protocol';
    if ('txn' in action && action.txn.appId === request.txn?.appId)
      return `is a transaction of the same flow (${action.txn.appId})`;
    if ('domainMetadata' in action && domains.has(action.domainMetadata.domain)) {
      return `changed the metadata domain ${action.domainMetadata.domain}`;
    }
    if ('remove' in action && gone.has(action.remove.path)) return 'changed files that this commit rests on';
    if ('add' in action && action.add.dataChange && !request.blindAppend)
      return 'added rows that this commit does not know';
  }
  return null;
}

function infoOf(commit: Commit): CommitInfo {
  for (const action of commit.actions) if ('commitInfo' in action) return action.commitInfo;
  return {};
}
