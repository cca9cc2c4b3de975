import {
  frameworkOptions,
  IngestError,
  type ErrorRule,
  type FieldMaker,
  type JsonObject,
  type JsonValue,
  type OptionSpecs,
  type RestCall,
  type RestReadCall,
  type RestTable,
  isJsonObject,
} from '../../sdk/index.ts';
import {readCommits} from './commits.ts';
import {ofOrganizations, ofRepository, readWhole, snapshotOf, type ListRequest} from './lists.ts';
import {pageSize, textOf} from './pages.ts';
import {readRepository, REPOSITORIES, type RepositoryReader} from './per-repository.ts';
import {readPulls, readReviews} from './pulls.ts';
import {missing, organizationsOf, repositoryRows} from './repositories.ts';
import {githubSchema} from './schemas.ts';

const IN_REPOSITORY: OptionSpecs = {
  repository: {type: 'string', description: 'Only this repository, `owner/name`; a namespace sets it.'},
};
const IN_ORGANIZATION: OptionSpecs = {
  organization: {type: 'string', description: 'Only this organisation; a namespace sets it.'},
};

const REPOSITORY_COLUMN: Readonly<Record<string, FieldMaker>> = {
  repository: (_, {parent}) => textOf(parent, 'repository'),
};

/** Tables that an organisation has. */
export const organizationTables: readonly RestTable[] = [
  {
    ...snapshot('organizations', 'The organisations of the connection.', ['id']),
    options: IN_ORGANIZATION,
    read: {kind: 'custom', read: (_, call) => readOrganizations(call)},
  },
  {
    ...snapshot('repositories', 'Repositories that the connection names, and all of its organisations.', ['id']),
    options: {...IN_ORGANIZATION, ...IN_REPOSITORY},
    read: {kind: 'custom', read: (_, call) => readRepositories(call)},
  },
  {
    ...snapshot('users', 'Members of the organisations.', ['organization', 'id']),
    options: IN_ORGANIZATION,
    read: snapshotOf(
      (call) => ofOrganizations(call, (path) => byRole(`${path}/members`, ['admin', 'member'])),
      ['organization', 'id'],
    ),
  },
  {
    ...snapshot('teams', 'Teams of the organisations.', ['id']),
    options: IN_ORGANIZATION,
    read: snapshotOf((call) => ofOrganizations(call, (path) => [{url: `${path}/teams`}]), ['id']),
  },
  {
    ...snapshot('team_members', 'Members of teams, those of child teams included.', ['team_id', 'id']),
    options: IN_ORGANIZATION,
    partitions: {kind: 'custom', key: ['team_id'], list: teamsOf},
    read: snapshotOf(memberLists, ['team_id', 'id']),
  },
];

/** Tables that a repository has. */
export const repositoryTables: readonly RestTable[] = [
  {
    ...changes('issues', 'Issues; the API counts pull requests among them.', {state: 'all'}),
    options: {
      ...IN_REPOSITORY,
      include_pull_requests: {
        type: 'boolean',
        default: true,
        description: 'Pull requests come as issues too, with `is_pull_request` true. False leaves them out.',
      },
    },
    set: {...REPOSITORY_COLUMN, is_pull_request: isPullRequest},
    transform: (record, {option}) =>
      option['include_pull_requests'] === false && record['is_pull_request'] === true ? null : record,
  },
  {
    ...byState('pull_requests', 'Pull requests.', readPulls),
    primaryKeys: ['id'],
    cursorField: 'updated_at',
    ingestionType: 'cdc',
  },
  {
    ...changes('comments', 'Comments on issues and pull requests.'),
    set: {...REPOSITORY_COLUMN, issue_number: numberAtEnd('issue_url')},
  },
  {
    ...changes('review_comments', 'Comments on lines of pull requests.'),
    set: {...REPOSITORY_COLUMN, pull_request_number: numberAtEnd('pull_request_url')},
  },
  {
    ...byState('reviews', 'Reviews of pull requests, read again for every pull request that changed.', readReviews),
    primaryKeys: ['id'],
    cursorField: 'submitted_at',
    ingestionType: 'cdc',
  },
  {
    ...byState('commits', 'Commits of a branch; those that a rewritten branch loses are deleted.', readCommits),
    primaryKeys: ['repository', 'sha'],
    ingestionType: 'cdc',
    options: {
      ...IN_REPOSITORY,
      ...frameworkOptions(['start_timestamp']),
      branch: {type: 'string', description: 'The branch to read. Default: the default branch of each repository.'},
    },
    read: {...readRepository(readCommits), changes: {sequence: 'long'}},
  },
  list('branches', 'Branches with their head.', {keys: ['repository', 'name']}),
  list('tags', 'Tags with their commit.', {keys: ['repository', 'name']}),
  list('releases', 'Releases with their assets.'),
  list('labels', 'Labels.'),
  list('milestones', 'Milestones, open and closed.', {query: {state: 'all'}}),
  list('assignees', 'Accounts to which issues can be assigned.', {keys: ['repository', 'id']}),
  list('collaborators', 'Accounts with access and their permissions; needs push access.', {keys: ['repository', 'id']}),
];

const PATHS: Readonly<Record<string, string>> = {
  issues: '/issues',
  comments: '/issues/comments',
  review_comments: '/pulls/comments',
};

function snapshot(name: string, description: string, primaryKeys: readonly string[]): Omit<RestTable, 'read'> {
  return {name, description, primaryKeys, ingestionType: 'snapshot', schema: githubSchema(name)};
}

/** Rows of repositories that are read whole in every trigger. */
function list(
  name: string,
  description: string,
  {
    keys = ['id'],
    query = {},
  }: {readonly keys?: readonly string[]; readonly query?: Readonly<Record<string, string>>} = {},
): RestTable {
  return {
    ...snapshot(name, description, keys),
    options: IN_REPOSITORY,
    partitions: REPOSITORIES,
    read: snapshotOf((call) => ofRepository(call, (path) => ({url: `${path}/${name}`, query})), keys),
  };
}

/** Rows of repositories that the API filters and sorts by `updated_at`, each repository with an offset of its own. */
function changes(name: string, description: string, query: Readonly<Record<string, string>> = {}): RestTable {
  return {
    name,
    description,
    primaryKeys: ['id'],
    cursorField: 'updated_at',
    ingestionType: 'cdc',
    schema: githubSchema(name),
    options: IN_REPOSITORY,
    partitions: REPOSITORIES,
    read: {
      kind: 'sorted',
      format: 'iso_seconds',
      restart: true,
      list: {
        request: ({parent, cursor, config}) => ({
          url: `${textOf(parent, 'path')}${PATHS[name] ?? ''}`,
          query: {
            ...query,
            per_page: pageSize(config),
            sort: 'updated',
            direction: 'asc',
            ...(cursor === null ? {} : {since: cursor}),
          },
          errors: acceptMissing({config}),
        }),
        paginator: {kind: 'page', slot: {query: 'page'}, linkHeader: true},
        records: ({head, body}) => (head.status >= 400 ? [] : rowsOf(body)),
      },
    },
    set: REPOSITORY_COLUMN,
    deletes: {kind: 'keyScan'},
    volatileColumns: {reactions: 'a reaction does not change updated_at'},
  };
}

/** Rows of repositories that are read by a state of each repository. */
function byState(
  name: string,
  description: string,
  read: RepositoryReader,
): Pick<RestTable, 'name' | 'description' | 'schema' | 'options' | 'partitions' | 'read'> {
  const options = {...IN_REPOSITORY, ...frameworkOptions(['start_timestamp', 'lookback_seconds'])};
  return {name, description, schema: githubSchema(name), options, partitions: REPOSITORIES, read: readRepository(read)};
}

async function* readOrganizations(call: RestReadCall): AsyncGenerator<readonly JsonObject[], null> {
  for (const organization of organizationsOf(call.config, call.option)) {
    const url = `/orgs/${encodeURIComponent(organization)}`;
    const {body} = await call.client.json({url, about: call.table, conditional: true}, call.ctx);
    if (isJsonObject(body)) yield [body];
  }
  return null;
}

async function* readRepositories(call: RestReadCall): AsyncGenerator<readonly JsonObject[], null> {
  const seen = new Set<JsonValue>();
  for await (const rows of repositoryRows(call)) {
    const fresh = rows.filter(({id = null}) => !seen.has(id) && seen.add(id).size > 0);
    if (fresh.length > 0) yield fresh;
  }
  return null;
}

/** Every team of the organisations. */
async function* teamsOf(call: RestCall): AsyncGenerator<JsonObject, void> {
  for await (const teams of ofOrganizations(call, (path) => [{url: `${path}/teams`}])) {
    for (const {id = null, slug = null} of (await readWhole(call, teams)).flat())
      yield {...teams.columns, team_id: id, team_slug: slug};
  }
}

/** The lists of members of the team that is the partition; rows do not say their role, so each role is a list. */
async function* memberLists({parent}: RestReadCall): AsyncGenerator<ListRequest, void> {
  await Promise.resolve();
  const team = encodeURIComponent(textOf(parent, 'team_slug'));
  const url = `/orgs/${encodeURIComponent(textOf(parent, 'organization'))}/teams/${team}/members`;
  // A team that was deleted in between has no members.
  for (const request of byRole(url, ['maintainer', 'member']))
    yield {...request, emptyOn: [404], columns: {...parent, ...request.columns}};
}

function byRole(url: string, roles: readonly string[]): readonly ListRequest[] {
  return roles.map((role) => ({url, query: {role}, columns: {role}}));
}

function acceptMissing(call: Pick<RestReadCall, 'config'>): readonly ErrorRule[] {
  const status = missing(call);
  return status.length === 0 ? [] : [{when: {status}, then: 'accept'}];
}

function rowsOf(body: JsonValue): readonly JsonObject[] {
  if (Array.isArray(body) && body.every(isJsonObject)) return body;
  throw new IngestError('SOURCE_ERROR', 'GitHub answered a list in another form than documented.', {
    fix: 'Check base_url: it must be the address of the REST API.',
  });
}

function isPullRequest(record: JsonObject): boolean {
  return isJsonObject(record['pull_request']);
}

/** A number at the end of an address: the API names the parent of a comment no other way. */
function numberAtEnd(field: string): FieldMaker {
  return (record) => {
    const digits = /\/(\d+)$/.exec(textOf(record, field))?.[1];
    return digits === undefined ? null : Number(digits);
  };
}
