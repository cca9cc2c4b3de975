import type {CustomPlan, HttpQuery, JsonObject, JsonValue, RestCall, RestReadCall} from '../../sdk/index.ts';
import {fetchPage, textOf, type GitHubPage} from './pages.ts';
import {missing, organizationsOf} from './repositories.ts';

/** One list of the API, and what its rows get beside. */
export interface ListRequest {
  readonly url: string;
  readonly query?: HttpQuery;
  /** Statuses that mean that there are no rows. */
  readonly emptyOn?: readonly number[];
  /** Columns of the place where the rows were read. */
  readonly columns: JsonObject;
}

/** How often a list that changes while it is read is read again before it is taken as it is. */
const MAX_PASSES = 5;

/**
 * A snapshot made of several lists, in their order. `identity` names the columns that are unique: of a row that two lists
 * give, because it moved from one to the other in between, the first counts.
 */
export function snapshotOf(
  lists: (call: RestReadCall) => AsyncIterable<ListRequest>,
  identity: readonly string[],
): CustomPlan {
  return {
    kind: 'custom',
    async *read(_, call) {
      const seen = new Set<string>();
      for await (const list of lists(call)) {
        for (const page of await readWhole(call, list)) {
          const rows = page
            .map((row) => ({...row, ...list.columns}))
            .filter((row) => isFirst(seen, JSON.stringify(identity.map((field) => textValue(row, field)))));
          if (rows.length > 0) yield rows;
        }
      }
      return null;
    },
  };
}

/** A list of the repository that is the partition of the call. */
export async function* ofRepository(
  call: RestReadCall,
  list: (path: string) => Omit<ListRequest, 'columns' | 'emptyOn'>,
): AsyncGenerator<ListRequest, void> {
  await Promise.resolve();
  const columns = {repository: textOf(call.parent, 'repository')};
  yield {...list(textOf(call.parent, 'path')), emptyOn: [409, ...missing(call)], columns};
}

/** The lists of every organisation of the connection. */
export async function* ofOrganizations(
  call: RestCall,
  lists: (path: string) => readonly (Omit<ListRequest, 'columns'> & {readonly columns?: JsonObject})[],
): AsyncGenerator<ListRequest, void> {
  await Promise.resolve();
  for (const organization of organizationsOf(call.config, call.option)) {
    for (const list of lists(`/orgs/${encodeURIComponent(organization)}`))
      yield {...list, columns: {organization, ...list.columns}};
  }
}

/**
 * All pages of a list as it was at one moment. Pages go by number, so a row that comes or goes while they are read moves
 * others past the border of a page. A list of several pages is therefore asked again with its ETags, which costs nothing of
 * the budget as long as nothing changed, until a whole pass brings nothing new.
 * @see https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#use-conditional-requests-if-appropriate
 */
export async function readWhole(
  call: RestCall,
  {url, query = {}, emptyOn = []}: Omit<ListRequest, 'columns'>,
): Promise<readonly (readonly JsonObject[])[]> {
  const first = {url, query, emptyOn, conditional: true};
  let before: readonly GitHubPage[] = [];
  for (let pass = 1; pass <= MAX_PASSES; pass++) {
    const pages: GitHubPage[] = [await fetchPage(call, first)];
    // Ends with the last page of the list.
    for (let next = pages[0]?.next ?? null; next !== null; next = pages.at(-1)?.next ?? null)
      pages.push(await fetchPage(call, {url: next, emptyOn, conditional: true}));
    if (pages.length === 1 || isSame(pages, before)) return pages.map(({rows}) => rows);
    before = pages;
  }
  call.ctx.log.warn('a list changed whenever it was read; it is taken as it was read last', {table: call.table});
  return before.map(({rows}) => rows);
}

function isSame(pages: readonly GitHubPage[], before: readonly GitHubPage[]): boolean {
  return pages.length === before.length && pages.every((page, at) => page.notModified || sameRows(page, before[at]));
}

function sameRows(page: GitHubPage, other: GitHubPage | undefined): boolean {
  const key = (row: JsonObject): string => `${textValue(row, 'id')} ${textOf(row, 'name')}`;
  return other !== undefined && page.rows.map(key).join('\n') === other.rows.map(key).join('\n');
}

function isFirst(seen: Set<string>, key: string): boolean {
  return !seen.has(key) && seen.add(key).size > 0;
}

function textValue(row: JsonObject, field: string): string {
  const value: JsonValue | undefined = row[field];
  return value === undefined || value === null ? '' : String(value);
}
