import type {Change, CustomPlan, JsonObject, Partitions, PlainJson, RestReadCall} from '../../sdk/index.ts';
import {textOf} from './pages.ts';
import {repositoriesOf, type Repository} from './repositories.ts';

/** Where the reading of one repository stands. */
export type RepositoryState = {readonly [key: string]: PlainJson};

/** Rows of one repository; `state` says "complete up to here". */
export interface RepositoryPage {
  readonly rows: readonly JsonObject[];
  /** The page as changes: keys of rows that are no longer there, and the sequence of all that it brings. */
  readonly changes?: {readonly deleted: readonly JsonObject[]; readonly sequence: number};
  readonly state?: RepositoryState;
}

/** Reads one repository from a state on; returns where it stands, null while there is nothing to remember. */
export type RepositoryReader = (
  repository: Repository,
  state: RepositoryState | null,
  call: RestReadCall,
) => AsyncGenerator<RepositoryPage, RepositoryState | null>;

/** Every repository of the connection, each with an offset of its own. */
export const REPOSITORIES: Partitions = {
  kind: 'custom',
  key: ['repository'],
  async *list(call) {
    for await (const {fullName, path} of repositoriesOf(call)) yield {repository: fullName, path};
  },
};

/** A plan that reads one repository, the partition of its call. */
export function readRepository(read: RepositoryReader): CustomPlan {
  return {
    kind: 'custom',
    async *read(start, call) {
      const repository = {fullName: textOf(call.parent, 'repository'), path: textOf(call.parent, 'path')};
      const pages = read(repository, start, call);
      // Ends with the pages of the repository.
      for (;;) {
        const step = await pages.next();
        if (step.done === true) return step.value;
        const {rows, changes, state} = step.value;
        const at = state === undefined ? {} : {offset: state};
        if (changes === undefined) yield {kind: 'records', rows, ...at};
        else yield {kind: 'changes', changes: changesOf(rows, changes), ...at};
      }
    },
  };
}

function changesOf(
  rows: readonly JsonObject[],
  {deleted, sequence}: NonNullable<RepositoryPage['changes']>,
): readonly Change[] {
  return [
    ...rows.map((row): Change => ({op: 'upsert', row, sequence})),
    ...deleted.map((row): Change => ({op: 'delete', row, sequence})),
  ];
}
