import {compareCursors, cursorMicros, formatTimestamp, type JsonObject, type RestReadCall} from '../../sdk/index.ts';
import {fetchPage, fetchPages, textOf} from './pages.ts';
import type {RepositoryPage, RepositoryReader, RepositoryState} from './per-repository.ts';
import {missing, type Repository} from './repositories.ts';

/** Requests for the children of pull requests that are under way at once; the connection's budget decides the speed. */
const CHILDREN_AT_ONCE = 8;

/** Reads pull requests, see {@link readChangedPulls}. */
export const readPulls: RepositoryReader = readChangedPulls;

/**
 * Reads the reviews of every pull request that changed: submitting or dismissing a review changes its pull request. Each
 * row gets `pull_request_number`.
 */
export async function* readReviews(
  repository: Repository,
  state: RepositoryState | null,
  call: RestReadCall,
): AsyncGenerator<RepositoryPage, RepositoryState | null> {
  const pages = readChangedPulls(repository, state, call);
  // Ends with the pages of pull requests.
  for (;;) {
    const step = await pages.next();
    if (step.done === true) return step.value;
    const rows: JsonObject[] = [];
    for (let at = 0; at < step.value.rows.length; at += CHILDREN_AT_ONCE) {
      const pulls = step.value.rows.slice(at, at + CHILDREN_AT_ONCE);
      for (const reviews of await Promise.all(pulls.map((pull) => reviewsOf(repository, pull, call))))
        rows.push(...reviews);
    }
    yield {...step.value, rows};
  }
}

async function reviewsOf(repository: Repository, pull: JsonObject, call: RestReadCall): Promise<readonly JsonObject[]> {
  const number = pull['number'] ?? null;
  const reviews: JsonObject[] = [];
  const url = `${repository.path}/pulls/${String(number)}/reviews`;
  for await (const rows of fetchPages(call, {url, query: {}, emptyOn: [404]}))
    reviews.push(...rows.map((row) => ({...row, repository: repository.fullName, pull_request_number: number})));
  return reviews;
}

/**
 * The list of pull requests has no `since`. The first load goes by creation, whose pages never change but by growing, and
 * from the last page back to the first, so that a row which disappears meanwhile pushes no other out of sight; a run that
 * is stopped goes on at its page. Afterwards: newest change first, down to the newest change that is known. The state moves
 * only after the whole pass, to what was newest when it began: rows that change during it are on top next time.
 * @see https://docs.github.com/en/rest/pulls/pulls#list-pull-requests
 */
async function* readChangedPulls(
  repository: Repository,
  before: RepositoryState | null,
  call: RestReadCall,
): AsyncGenerator<RepositoryPage, RepositoryState | null> {
  const url = `${repository.path}/pulls`;
  const withRepository = (rows: readonly JsonObject[]): readonly JsonObject[] =>
    rows.map((row) => ({...row, repository: repository.fullName}));
  let state = before ?? (await firstState(url, call));
  if (state === null) return null;
  // One page fewer is left in every turn.
  while (typeof state['load'] === 'number') {
    const load: number = state['load'];
    const {rows} = await fetchPage(call, {
      url,
      query: {state: 'all', sort: 'created', direction: 'asc', page: load},
      emptyOn: missing(call),
    });
    const cursor: string = String(state['cursor']);
    state = load > 1 ? {cursor, load: load - 1} : {cursor};
    yield {rows: withRepository(rows), state};
  }
  const cursor = String(state['cursor']);
  const bound = lowerBound(cursor, call);
  let newest = cursor;
  const query = {state: 'all', sort: 'updated', direction: 'desc'};
  for await (const rows of fetchPages(call, {url, query, emptyOn: missing(call)})) {
    const changed = rows.filter((row) => compareCursors('timestamp', textOf(row, 'updated_at'), bound) >= 0);
    const top = textOf(rows[0], 'updated_at');
    if (top !== '' && compareCursors('timestamp', top, newest) > 0) newest = top;
    if (changed.length > 0) yield {rows: withRepository(changed)};
    if (changed.length < rows.length) break;
  }
  return {cursor: newest};
}

/** Where the first read begins: at `start_timestamp`, else with the load of everything up to the newest change of now. */
async function firstState(url: string, call: RestReadCall): Promise<RepositoryState | null> {
  const from = call.option['start_timestamp'];
  if (typeof from === 'string') return {cursor: from};
  const emptyOn = missing(call);
  const newest = await fetchPage(call, {
    url,
    query: {state: 'all', sort: 'updated', direction: 'desc', per_page: 1},
    emptyOn,
  });
  const cursor = textOf(newest.rows[0], 'updated_at');
  if (cursor === '') return null;
  const first = await fetchPage(call, {url, query: {state: 'all', sort: 'created', direction: 'asc'}, emptyOn});
  return {cursor, load: first.lastPage};
}

/** The known cursor, less the lookback in the first call of a trigger. */
function lowerBound(cursor: string, call: RestReadCall): string {
  const seconds = call.option['lookback_seconds'];
  if (!call.ctx.isFirstCall || typeof seconds !== 'number' || seconds === 0) return cursor;
  return formatTimestamp(cursorMicros(cursor) - BigInt(Math.round(seconds * 1_000_000)));
}
