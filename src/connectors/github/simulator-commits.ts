import type {JsonObject} from '../../core/json-value.ts';
import {
  json,
  type EndpointSpec,
  type HandlerContext,
  type SimulatedReply,
  type SimulatedRequest,
} from '../../simulator/index.ts';
import {visible, type Place} from './simulator-rows.ts';

/** The commits of repositories as a graph: lists from a commit on, and comparisons of two. */
export function commitEndpoints(): readonly EndpointSpec[] {
  return [
    {path: '/repos/{owner}/{repo}/commits', etag: true, handler: listCommits},
    {path: '/repos/{owner}/{repo}/compare/{range}', handler: compareCommits},
  ];
}

/** Everything that is reachable from a commit, by its id: the commit itself, then always the newest of the parents that are left. */
export function reachable(
  context: Pick<HandlerContext, 'collection'>,
  place: Place,
  from: string,
): ReadonlyMap<string, JsonObject> {
  const commits = context.collection('commits');
  const found = new Map<string, JsonObject>();
  const find = (sha: string): readonly JsonObject[] => {
    const row = found.has(sha) ? undefined : commits.get([place.owner, place.repo, sha]);
    return row === undefined ? [] : [row];
  };
  const open = [...find(from)];
  // Each commit is taken once.
  while (open.length > 0) {
    let newest = 0;
    for (const [at, row] of open.entries()) if (timeOf(row) > timeOf(open[newest] ?? row)) newest = at;
    const [row] = open.splice(newest, 1);
    if (row === undefined || found.has(String(row['sha']))) continue;
    found.set(String(row['sha']), row);
    open.push(...parentsOf(row).flatMap(find));
  }
  return found;
}

/** The head of a repository's only branch; null while it is empty. */
export function headOf(context: Pick<HandlerContext, 'collection'>, {owner, repo}: Place): string | null {
  const sha = context.collection('heads').get([owner, repo])?.['sha'];
  return typeof sha === 'string' ? sha : null;
}

function listCommits(request: SimulatedRequest, context: HandlerContext): SimulatedReply {
  const place = placeOf(request);
  if (context.collection('repositories').get([place.owner, place.repo]) === undefined) return notFound();
  const asked = request.query.get('sha');
  const head = asked === null || asked === 'main' ? headOf(context, place) : asked;
  if (head === null) return json({message: 'Git Repository is empty.'}, {status: 409});
  const since = Date.parse(request.query.get('since') ?? '1970-01-01T00:00:00Z');
  const found = [...reachable(context, place, head).values()];
  if (found.length === 0) return notFound();
  const rows = found.filter((row) => timeOf(row) >= since);
  return paged(rows, request, (page) => page.map(visible));
}

function compareCommits(request: SimulatedRequest, context: HandlerContext): SimulatedReply {
  const place = placeOf(request);
  const [base = '', head = ''] = (request.params['range'] ?? '').split('...');
  const [ofBase, ofHead] = [reachable(context, place, base), reachable(context, place, head)];
  if (ofBase.size === 0 || ofHead.size === 0) return notFound();
  const ahead = [...ofHead.values()].filter((row) => !ofBase.has(String(row['sha']))).toReversed();
  const behind = [...ofBase.keys()].filter((sha) => !ofHead.has(sha)).length;
  const status = ahead.length > 0 ? (behind > 0 ? 'diverged' : 'ahead') : behind > 0 ? 'behind' : 'identical';
  return paged(ahead, request, (page) => ({
    status,
    ahead_by: ahead.length,
    behind_by: behind,
    total_commits: ahead.length,
    commits: page.map(visible),
    files: [],
  }));
}

function paged(
  rows: readonly JsonObject[],
  request: SimulatedRequest,
  bodyOf: (page: readonly JsonObject[]) => JsonObject | readonly JsonObject[],
): SimulatedReply {
  const size = Math.min(Number(request.query.get('per_page') ?? 30), 100);
  const page = Number(request.query.get('page') ?? 1);
  const last = Math.max(1, Math.ceil(rows.length / size));
  const address = (number: number, rel: string): string => {
    const query = new URLSearchParams(request.query);
    query.set('page', String(number));
    return `<${request.origin}${request.path}?${query.toString()}>; rel="${rel}"`;
  };
  const links = [
    ...(page > 1 ? [address(page - 1, 'prev'), address(1, 'first')] : []),
    ...(page < last ? [address(page + 1, 'next'), address(last, 'last')] : []),
  ];
  const body = bodyOf(rows.slice((page - 1) * size, page * size));
  return json(body, links.length === 0 ? {} : {headers: {link: links.join(', ')}});
}

function timeOf(row: JsonObject): number {
  const commit = row['commit'];
  const committer = isObject(commit) ? commit['committer'] : undefined;
  return Date.parse(String(isObject(committer) ? committer['date'] : ''));
}

function parentsOf(row: JsonObject): readonly string[] {
  const parents = row['parents'];
  return Array.isArray(parents) ? parents.filter(isObject).map((parent: JsonObject) => String(parent['sha'])) : [];
}

function placeOf({params}: SimulatedRequest): Place {
  return {owner: params['owner'] ?? '', repo: params['repo'] ?? ''};
}

function notFound(): SimulatedReply {
  return json({message: 'Not Found'}, {status: 404});
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
