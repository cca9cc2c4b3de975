import {createPublicKey, generateKeyPairSync} from 'node:crypto';

import type {JsonObject, JsonValue} from '../../core/json-value.ts';
import {
  bearerToken,
  json,
  verifyJwt,
  type CollectionSpec,
  type EndpointSpec,
  type HandlerContext,
  type ListEndpoint,
  type ParamSpec,
  type SeedContext,
  type SimulatedReply,
  type SimulatedRequest,
  type SimulatorSpec,
} from '../../simulator/index.ts';
import {commitEndpoints} from './simulator-commits.ts';
import {gitWriteEndpoints} from './simulator-git-writes.ts';
import {issue} from './simulator-issues.ts';
import * as rows from './simulator-rows.ts';
import {account, visible, type Place} from './simulator-rows.ts';
import {writeEndpoints} from './simulator-writes.ts';

/** A token that the simulator takes. */
export const SIMULATED_TOKEN = 'github_pat_simulated';

/** The App whose installation the simulator knows. */
export const SIMULATED_APP = {id: '4711', installation: '99'} as const;

let appKey: string | null = null;

/** The App's private key in the form that GitHub hands out; made when it is first asked for. */
export function simulatedAppKey(): string {
  appKey ??= generateKeyPairSync('rsa', {modulusLength: 2048})
    .privateKey.export({type: 'pkcs1', format: 'pem'})
    .toString();
  return appKey;
}

/** Repositories: two with rows (one in the organisation), one that is empty. */
export const WEB: Place = {owner: 'acme', repo: 'web'};
export const TOOL: Place = {owner: 'bob', repo: 'tool'};
export const EMPTY: Place = {owner: 'acme', repo: 'empty'};

/** How many rows the larger repository has. */
export interface GitHubSize {
  readonly rows: number;
  /** Of these collections another number. */
  readonly rowsOf?: Readonly<Record<string, number>>;
}

/** An API that behaves like GitHub's: its pages, orders, statuses and limits. */
export function githubSimulator(size: GitHubSize = {rows: 23}): SimulatorSpec {
  return {
    name: 'GitHub',
    auth: {
      kind: 'bearer',
      tokens: [SIMULATED_TOKEN],
      schemes: ['Bearer', 'token'],
      unauthorized: {
        status: 401,
        body: {message: 'Bad credentials', documentation_url: 'https://docs.github.com/rest'},
      },
    },
    errors: {
      noRoute: {status: 404, body: {message: 'Not Found', documentation_url: 'https://docs.github.com/rest'}},
      notFound: {status: 404, body: {message: 'Not Found', documentation_url: 'https://docs.github.com/rest'}},
      badRequest: {status: 422, body: {message: 'Validation Failed: {message}'}},
    },
    rateLimits: [
      {
        name: 'primary',
        window: 'fixed',
        windowMs: 3_600_000,
        max: 5000,
        per: 'principal',
        notModifiedIsFree: true,
        headers: {
          'x-ratelimit-limit': '{limit}',
          'x-ratelimit-remaining': '{remaining}',
          'x-ratelimit-used': '{used}',
          'x-ratelimit-reset': '{resetEpochSeconds}',
          'x-ratelimit-resource': 'core',
        },
        exceeded: {status: 403, body: {message: 'API rate limit exceeded for user ID 1.'}},
      },
      {
        name: 'secondary',
        concurrency: 100,
        exceeded: {
          status: 403,
          headers: {'retry-after': '60'},
          body: {message: 'You have exceeded a secondary rate limit.'},
        },
      },
    ],
    collections: collections(size),
    endpoints: [
      ...moved(),
      {path: '/rate_limit', handler: () => json({resources: {core: {limit: 5000}}})},
      {path: '/app/installations/{id}/access_tokens', method: 'POST', auth: {kind: 'none'}, handler: installationToken},
      ...organizationEndpoints(),
      ...repositoryEndpoints(),
      ...commitEndpoints(),
      ...writeEndpoints(),
      ...gitWriteEndpoints(),
    ],
  };
}

/** A list that has a collection of its own. */
function list(
  path: string,
  collection: string,
  more: Partial<ListEndpoint> & {readonly params?: Readonly<Record<string, ParamSpec>>} = {},
): EndpointSpec {
  return {
    path,
    list: collection,
    etag: true,
    map: (row: JsonObject) => visible(row),
    ...more,
    params: {
      per_page: {role: 'limit', default: 30, max: 100, above: 'cap'},
      page: {role: 'page', first: 1},
      ...more.params,
    },
    paging: {style: 'page', linkHeader: true},
  };
}

const BY_UPDATE: Readonly<Record<string, ParamSpec>> = {
  sort: {role: 'sort', options: {created: 'created_at', updated: 'updated_at', comments: 'comments'}},
  direction: {role: 'order'},
  since: {role: 'since', field: 'updated_at'},
};
const BY_STATE: Readonly<Record<string, ParamSpec>> = {
  state: {role: 'filter', field: 'state', any: 'all', default: 'open'},
};

function ofRepository(
  path: string,
  collection: string,
  params: Readonly<Record<string, ParamSpec>> = {},
): EndpointSpec {
  return list(`/repos/{owner}/{repo}${path}`, collection, {scope: {owner: 'owner_', repo: 'repo_'}, params});
}

function repositoryEndpoints(): readonly EndpointSpec[] {
  return [
    {
      path: '/repos/{owner}/{repo}',
      get: 'repositories',
      scope: {owner: 'owner_', repo: 'repo_'},
      etag: true,
      map: visible,
    },
    ofRepository('/issues', 'issues', {...BY_STATE, ...BY_UPDATE}),
    ofRepository('/issues/comments', 'comments', BY_UPDATE),
    ofRepository('/pulls/comments', 'review_comments', BY_UPDATE),
    ofRepository('/pulls', 'pull_requests', {
      ...BY_STATE,
      sort: {role: 'sort', options: {created: 'created_at', updated: 'updated_at'}},
      direction: {role: 'order'},
    }),
    list('/repos/{owner}/{repo}/pulls/{number}/reviews', 'reviews', {
      scope: {owner: 'owner_', repo: 'repo_', number: 'pull_'},
      sort: [{field: 'submitted_at'}],
    }),
    ofRepository('/branches', 'branches'),
    ofRepository('/tags', 'tags'),
    ofRepository('/releases', 'releases'),
    ofRepository('/labels', 'labels'),
    ofRepository('/milestones', 'milestones', BY_STATE),
    ofRepository('/assignees', 'assignees'),
    ofRepository('/collaborators', 'collaborators'),
  ];
}

function organizationEndpoints(): readonly EndpointSpec[] {
  const role: Readonly<Record<string, ParamSpec>> = {role: {role: 'filter', field: 'role_', any: 'all'}};
  return [
    {path: '/orgs/{org}', get: 'organizations', scope: {org: 'login'}, etag: true},
    list('/orgs/{org}/repos', 'repositories', {
      scope: {org: 'owner_'},
      params: {
        sort: {role: 'sort', options: {created: 'created_at', full_name: 'full_name'}},
        direction: {role: 'order'},
      },
    }),
    list('/orgs/{org}/members', 'members', {scope: {org: 'org_'}, params: role}),
    list('/orgs/{org}/teams', 'teams', {scope: {org: 'org_'}}),
    list('/orgs/{org}/teams/{slug}/members', 'team_members', {scope: {org: 'org_', slug: 'slug_'}, params: role}),
    list('/user/repos', 'repositories', {
      params: {sort: {role: 'sort', options: {created: 'created_at'}}, direction: {role: 'order'}},
    }),
    list('/installation/repositories', 'repositories', {
      wrap: {records: 'repositories', extras: ({total}) => ({total_count: total})},
    }),
  ];
}

/** Repositories that were renamed, deleted, or taken down. */
function moved(): readonly EndpointSpec[] {
  return [
    {
      path: '/repos/acme/old-web/{rest*}',
      handler: ({origin, params, query}) => ({
        status: 301,
        headers: {
          location: `${origin}/repos/acme/web/${params['rest'] ?? ''}${query.size > 0 ? `?${query.toString()}` : ''}`,
        },
        body: {message: 'Moved Permanently'},
      }),
    },
    {path: '/repos/acme/gone/{rest*}', handler: () => json({message: 'Not Found'}, {status: 404})},
    {path: '/repos/acme/banned/{rest*}', handler: () => json({message: 'Repository access blocked'}, {status: 451})},
  ];
}

/** Exchanges a JWT of the App for a token of an hour. */
function installationToken(request: SimulatedRequest, context: HandlerContext): SimulatedReply {
  const key = createPublicKey(simulatedAppKey()).export({type: 'spki', format: 'pem'}).toString();
  const outcome = verifyJwt(
    bearerToken(request) ?? '',
    {key, algorithms: ['RS256'], issuer: SIMULATED_APP.id, maxLifetimeSeconds: 600},
    context.clock.nowMs(),
  );
  if ('problem' in outcome)
    return json({message: `A JSON web token could not be decoded: ${outcome.problem}`}, {status: 401});
  if (request.params['id'] !== SIMULATED_APP.installation) return json({message: 'Not Found'}, {status: 404});
  const token = context.auth.issueToken({principal: 'installation', lifetimeSeconds: 3600});
  const expiresAt = `${new Date(context.clock.nowMs() + 3_600_000).toISOString().slice(0, 19)}Z`;
  return json(
    {token, expires_at: expiresAt, permissions: {contents: 'read'}, repository_selection: 'all'},
    {status: 201},
  );
}

const STAMP = {field: 'updated_at', format: 'isoSeconds'} as const;
const HIDDEN_KEY = ['owner_', 'repo_', 'id'] as const;

/** First rows by their number: equal starts have equal rows, and the suites start many. */
const known = new Map<string, Readonly<Record<string, CollectionSpec>>>();

function collections(size: GitHubSize): Readonly<Record<string, CollectionSpec>> {
  const key = JSON.stringify(size);
  const made = known.get(key) ?? makeCollections(size);
  known.set(key, made);
  return made;
}

function makeCollections({rows: size, rowsOf = {}}: GitHubSize): Readonly<Record<string, CollectionSpec>> {
  const few = Math.max(2, Math.floor(size / 4));
  const each = (name: string, make: (place: Place, id: number) => JsonObject): JsonObject[] => [
    ...Array.from({length: rowsOf[name] ?? size}, (_, at) => make(WEB, at + 1)),
    ...Array.from({length: few}, (_, at) => make(TOOL, TOOL_IDS + at + 1)),
  ];
  const ofPlace = (name: string, make: (place: Place, id: number) => JsonObject): [string, CollectionSpec] => [
    name,
    {key: [...HIDDEN_KEY], rows: each(name, make)},
  ];
  const named = (name: string, make: (place: Place, id: number) => JsonObject): [string, CollectionSpec] => [
    name,
    {key: ['owner_', 'repo_', 'name'], rows: each(name, make)},
  ];
  const stamped = (
    name: string,
    make: (place: Place, id: number, stamp: string) => JsonObject,
  ): [string, CollectionSpec] => [
    name,
    {
      key: [...HIDDEN_KEY],
      updatedAt: STAMP,
      rows: atStart((nowMs) => each(name, (place, id) => make(place, id, stampOf(nowMs, numberIn(id))))),
    },
  ];
  return {
    organizations: {key: 'login', rows: [rows.organization('acme', 1)]},
    repositories: {
      key: ['owner_', 'repo_'],
      rows: [rows.repositoryRow(WEB, 1), rows.repositoryRow(EMPTY, 2), rows.repositoryRow(TOOL, 3)],
    },
    members: {key: ['org_', 'id'], rows: Array.from({length: size}, (_, at) => member('acme', at + 1))},
    teams: {key: 'id', rows: Array.from({length: few}, (_, at) => rows.team('acme', at + 1))},
    team_members: {key: ['slug_', 'id'], rows: teamMembers(size)},
    ...Object.fromEntries([
      stamped('issues', issue),
      stamped('pull_requests', rows.pull),
      stamped('comments', rows.comment),
      stamped('review_comments', rows.reviewComment),
      named('branches', rows.branch),
      named('tags', rows.tag),
      ofPlace('releases', rows.release),
      ofPlace('labels', rows.label),
      ofPlace('milestones', rows.milestone),
      ofPlace('assignees', rows.assignee),
      ofPlace('collaborators', rows.collaborator),
    ]),
    reviews: {
      key: [...HIDDEN_KEY],
      rows: atStart((nowMs) =>
        each('reviews', (place, id) => rows.review(place, id, {pull: pullOf(id), stamp: stampOf(nowMs, numberIn(id))})),
      ),
    },
    commits: {
      key: ['owner_', 'repo_', 'sha'],
      rows: atStart((nowMs) => [...history(WEB, rowsOf['commits'] ?? size, nowMs), ...history(TOOL, few, nowMs)]),
    },
    heads: {key: ['owner_', 'repo_'], rows: [head(WEB, rowsOf['commits'] ?? size), head(TOOL, few)]},
  };
}

/** Makes rows once for each start; they are never changed, only replaced. */
function atStart(make: (nowMs: number) => readonly JsonObject[]): (context: SeedContext) => readonly JsonObject[] {
  let last: {readonly nowMs: number; readonly rows: readonly JsonObject[]} | null = null;
  return ({nowMs}) => {
    if (last?.nowMs !== nowMs) last = {nowMs, rows: make(nowMs)};
    return last.rows;
  };
}

/** A member of the organisation. */
export function member(organizationLogin: string, number: number): JsonObject {
  return {org_: organizationLogin, role_: number % 5 === 1 ? 'admin' : 'member', ...account(number)};
}

/** Ids above are those of the smaller repository. */
const TOOL_IDS = 10_000_000;

/** Which row of its repository it is, by its id. */
export function numberIn(id: number): number {
  return id > TOOL_IDS ? id - TOOL_IDS : id;
}

/** The time of the first rows: three share each second, the newest is an hour old. */
export function stampOf(nowMs: number, number: number): string {
  const minutes = Math.floor(number / 3);
  // Those of a very large repository go on before the first ones, lest they lie in the future.
  const at = minutes < 1380 ? minutes : 1379 - minutes;
  return `${new Date(nowMs - 86_400_000 + at * 60_000).toISOString().slice(0, 19)}Z`;
}

/** The pull request of a review. */
export function pullOf(id: number): number {
  return id > TOOL_IDS ? TOOL_IDS + 1 + (id % 2) : 1 + (id % 9);
}

function teamMembers(size: number): readonly JsonObject[] {
  const inTeam = (slug: string, count: number): JsonObject[] =>
    Array.from({length: count}, (_, at) => ({
      org_: 'acme',
      slug_: slug,
      role_: at === 0 ? 'maintainer' : 'member',
      ...account(at + 1),
    }));
  return [...inTeam('team-1', size), ...inTeam('team-2', 3)];
}

/** A line of commits, oldest first, with a merge of an old branch now and then. */
function history(place: Place, count: number, nowMs: number): readonly JsonObject[] {
  return Array.from({length: count}, (_, at) =>
    rows.commit(place, commitSha(place, at), {
      parents: at === 0 ? [] : [commitSha(place, at - 1)],
      stamp: stampOf(nowMs, at),
    }),
  );
}

function head(place: Place, count: number): JsonObject {
  return {owner_: place.owner, repo_: place.repo, sha: commitSha(place, count - 1)};
}

/** The id of a commit of the first history. */
export function commitSha({owner, repo}: Place, number: number): string {
  return rows.shaOf(`${owner}/${repo} ${number}`);
}

/** Rows of a collection as requests see them, with the place that the connector adds. */
export function publicRows(context: Pick<HandlerContext, 'collection'>, collection: string): readonly JsonObject[] {
  return context
    .collection(collection)
    .rows()
    .map((row) => {
      const owner: JsonValue = row['owner_'] ?? null;
      return owner === null ? visible(row) : {...visible(row), repository: `${String(owner)}/${String(row['repo_'])}`};
    });
}
