import {IngestError, type JsonObject, type JsonValue, type RestReadCall, isJsonObject} from '../../sdk/index.ts';
import {fetchPage, pageSize, parseLinks, textOf} from './pages.ts';
import type {RepositoryPage, RepositoryState} from './per-repository.ts';
import {missing, type Repository} from './repositories.ts';

/**
 * Reads the commits of a branch by its head, not by time: a branch that is merged brings commits of any age, which a window
 * of time would miss. What is reachable from one commit never changes, so pages of it can be counted on and a read goes on
 * where it stopped. First everything reachable from the head; then what the new head has and the old one had not; and where
 * the branch was rewritten, what the old one had and the new one has not, as deletes.
 * @see https://docs.github.com/en/rest/commits/commits#compare-two-commits
 */
export async function* readCommits(
  repository: Repository,
  before: RepositoryState | null,
  call: RestReadCall,
): AsyncGenerator<RepositoryPage, RepositoryState | null> {
  let state = before;
  if (state === null) {
    const head = await headOf(repository, call);
    if (head === null) return null;
    state = {head, page: 1};
  }
  if (typeof state['page'] === 'number' && state['to'] === undefined) state = yield* load(repository, state, call);
  const old = String(state['head']);
  const head = typeof state['to'] === 'string' ? state['to'] : await headOf(repository, call);
  if (head === null || head === old) return state;
  return yield* advance(repository, {old, head, state}, call);
}

/** Everything that is reachable from the head, newest first. */
async function* load(
  repository: Repository,
  from: RepositoryState,
  call: RestReadCall,
): AsyncGenerator<RepositoryPage, RepositoryState> {
  const head = String(from['head']);
  const since = call.option['start_timestamp'];
  let state = from;
  // Ends with the last page of the list.
  for (let page = pageOf(from); ; page++) {
    const {rows, next} = await fetchPage(call, {
      url: `${repository.path}/commits`,
      query: {sha: head, page, ...(typeof since === 'string' ? {since} : {})},
      emptyOn: [409, ...missing(call)],
    });
    const sequence = nextSequence(state, call);
    state = next === null ? {head, sequence} : {head, page: page + 1, sequence};
    yield {rows: rows.map((row) => landed(row, repository)), changes: {deleted: [], sequence}, state};
    if (next === null) return state;
  }
}

interface Step {
  readonly old: string;
  readonly head: string;
}

/** From one head of the branch to the next. */
async function* advance(
  repository: Repository,
  {old, head, state: before}: Step & {readonly state: RepositoryState},
  call: RestReadCall,
): AsyncGenerator<RepositoryPage, RepositoryState> {
  let state = before;
  // Ends with the last page of the comparison.
  for (let page = pageOf(before); ; page++) {
    const answer = await compare(repository, {old, head, page}, call);
    const sequence = nextSequence(state, call);
    if (answer === null) {
      call.ctx.log.warn('the commit read last is gone; the branch is read again', {repository: repository.fullName});
      return yield* load(repository, {head, page: 1, sequence}, call);
    }
    const {isLast, isRewritten} = answer;
    const rows = answer.commits.filter((row) => isWanted(row, call)).map((row) => landed(row, repository));
    const deleted = isLast && isRewritten ? await removedBy(repository, {old, head}, call) : [];
    state = isLast ? {head, sequence} : {head: old, to: head, page: page + 1, sequence};
    yield {rows, changes: {deleted, sequence}, state};
    if (isLast) return state;
  }
}

/** Above all before it, also where a state was lost: no less than the trigger's time, in microseconds. */
function nextSequence(state: RepositoryState, call: RestReadCall): number {
  const last = typeof state['sequence'] === 'number' ? state['sequence'] : 0;
  return Math.max(last + 1, Number(call.ctx.triggerStartedAt));
}

/** Keys of the commits that a rewritten branch no longer has. */
async function removedBy(
  repository: Repository,
  {old, head}: Step,
  call: RestReadCall,
): Promise<readonly JsonObject[]> {
  const removed: JsonObject[] = [];
  // Ends with the last page of the comparison.
  for (let page = 1; ; page++) {
    const answer = await compare(repository, {old: head, head: old, page}, call);
    for (const row of answer?.commits ?? []) {
      removed.push({repository: repository.fullName, sha: row['sha'] ?? null});
    }
    if (answer === null || answer.isLast) return removed;
  }
}

/** What `head` has and `old` has not; null when GitHub no longer knows one of them. */
async function compare(
  repository: Repository,
  {old, head, page}: Step & {readonly page: number},
  call: RestReadCall,
): Promise<{readonly commits: readonly JsonObject[]; readonly isLast: boolean; readonly isRewritten: boolean} | null> {
  const {status, headers, body} = await call.client.json(
    {
      url: `${repository.path}/compare/${encodeURIComponent(old)}...${encodeURIComponent(head)}`,
      query: {per_page: pageSize(call.config), page},
      about: call.table,
      errors: [{when: {status: [404, 422]}, then: 'accept'}],
    },
    call.ctx,
  );
  if (status === 404 || status === 422) return null;
  const commits = isJsonObject(body) ? body['commits'] : undefined;
  if (!isJsonObject(body) || !Array.isArray(commits) || !commits.every(isJsonObject))
    throw new IngestError('SOURCE_ERROR', 'GitHub answered a comparison of commits in another form than documented.');
  return {
    commits,
    isLast: !parseLinks(headers.get('link') ?? '').has('next'),
    isRewritten: textOf(body, 'status') === 'diverged' || textOf(body, 'status') === 'behind',
  };
}

/** The newest commit of the branch; null for an empty repository. */
async function headOf(repository: Repository, call: RestReadCall): Promise<string | null> {
  const branch = call.option['branch'];
  const {rows} = await fetchPage(call, {
    url: `${repository.path}/commits`,
    query: {per_page: 1, ...(typeof branch === 'string' ? {sha: branch} : {})},
    emptyOn: [409, ...missing(call)],
  });
  const sha = textOf(rows[0], 'sha');
  return sha === '' ? null : sha;
}

function isWanted(row: JsonObject, call: RestReadCall): boolean {
  const since = call.option['start_timestamp'];
  return typeof since !== 'string' || Date.parse(dateOf(row, 'committer')) >= Date.parse(since);
}

function landed(row: JsonObject, repository: Repository): JsonObject {
  const commit = row['commit'];
  return {
    ...row,
    repository: repository.fullName,
    message: isJsonObject(commit) ? commit['message'] : null,
    committed_at: orNull(dateOf(row, 'committer')),
    authored_at: orNull(dateOf(row, 'author')),
  };
}

function dateOf(row: JsonObject, role: 'author' | 'committer'): string {
  const commit = row['commit'];
  const person = isJsonObject(commit) ? commit[role] : undefined;
  return isJsonObject(person) ? textOf(person, 'date') : '';
}

function orNull(text: string): JsonValue {
  return text === '' ? null : text;
}

function pageOf(state: RepositoryState): number {
  return typeof state['page'] === 'number' ? state['page'] : 1;
}
