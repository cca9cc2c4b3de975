import type {JsonObject, JsonValue} from '../../core/json-value.ts';
import type {ProofApi, ProofWrites} from '../../testkit/index.ts';

/**
 * What is written to GitHub to see whether it is read: to the first repository and the first organisation of the connection.
 * Tables that are not here have no endpoint that makes a row and needs nobody else's consent.
 */
export const GITHUB_WRITES: Readonly<Record<string, ProofWrites>> = {
  issues: {
    async insert(_, api) {
      const made = await post(api, `${repositoryOf(api)}/issues`, {title: api.mark(), body: 'first text'});
      return written(api, made, ['id', 'number', 'title', 'body', 'state']);
    },
    async update(_, row, api) {
      await patch(api, `${repositoryOf(api)}/issues/${text(row['number'])}`, {body: 'second text', state: 'closed'});
      return {body: 'second text', state: 'closed'};
    },
    // Over REST an issue can be closed, and not deleted.
    async cleanUp(_, row, api) {
      await patch(api, `${repositoryOf(api)}/issues/${text(row['number'])}`, {state: 'closed'});
    },
  },
  comments: {
    async insert(_, api) {
      const repository = repositoryOf(api);
      const {number} = await post(api, `${repository}/issues`, {title: api.mark()});
      const made = await post(api, `${repository}/issues/${text(number)}/comments`, {body: api.mark()});
      return {...written(api, made, ['id', 'body']), issue_number: number ?? null};
    },
    async update(_, row, api) {
      await patch(api, `${repositoryOf(api)}/issues/comments/${text(row['id'])}`, {body: 'second text'});
      return {body: 'second text'};
    },
    async delete(_, row, api) {
      await remove(api, `${repositoryOf(api)}/issues/comments/${text(row['id'])}`);
    },
    async cleanUp(_, row, api) {
      await patch(api, `${repositoryOf(api)}/issues/${text(row['issue_number'])}`, {state: 'closed'});
    },
  },
  pull_requests: {
    async insert(_, api) {
      const {pull} = await openPull(api);
      return written(api, pull, ['id', 'number', 'title', 'state']);
    },
    async update(_, row, api) {
      await patch(api, `${repositoryOf(api)}/pulls/${text(row['number'])}`, {body: 'second text'});
      return {body: 'second text'};
    },
    cleanUp: (_, row, api) => closePull(api, row['number']),
  },
  reviews: {
    async insert(_, api) {
      const {pull} = await openPull(api);
      const number = pull['number'] ?? null;
      const review = {body: api.mark(), event: 'COMMENT'};
      const made = await post(api, `${repositoryOf(api)}/pulls/${text(number)}/reviews`, review);
      return {...written(api, made, ['id', 'body', 'state']), pull_request_number: number};
    },
    cleanUp: (_, row, api) => closePull(api, row['pull_request_number']),
  },
  review_comments: {
    async insert(_, api) {
      const {pull, path, sha} = await openPull(api);
      const number = pull['number'] ?? null;
      const comment = {body: api.mark(), commit_id: sha, path, line: 1, side: 'RIGHT'};
      const made = await post(api, `${repositoryOf(api)}/pulls/${text(number)}/comments`, comment);
      return {...written(api, made, ['id', 'body', 'path', 'commit_id']), pull_request_number: number};
    },
    async update(_, row, api) {
      await patch(api, `${repositoryOf(api)}/pulls/comments/${text(row['id'])}`, {body: 'second text'});
      return {body: 'second text'};
    },
    async delete(_, row, api) {
      await remove(api, `${repositoryOf(api)}/pulls/comments/${text(row['id'])}`);
    },
    cleanUp: (_, row, api) => closePull(api, row['pull_request_number']),
  },
  commits: {
    async insert(_, api) {
      const {sha} = await writeFile(api, {path: `${api.mark()}.txt`, branch: await defaultBranch(api)});
      return {repository: nameOf(api), sha};
    },
    /** The branch is set back to the commit before. */
    async delete(_, row, api) {
      const {parents} = await api.send({url: `${repositoryOf(api)}/commits/${text(row['sha'])}`});
      const [parent] = Array.isArray(parents) ? parents : [];
      const sha = objectOf(parent)['sha'] ?? null;
      await patch(api, `${repositoryOf(api)}/git/refs/heads/${await defaultBranch(api)}`, {sha, force: true});
    },
  },
  branches: {
    async insert(_, api) {
      return {repository: nameOf(api), name: await createRef(api, 'heads')};
    },
    delete: (_, row, api) => remove(api, `${repositoryOf(api)}/git/refs/heads/${text(row['name'])}`),
  },
  tags: {
    async insert(_, api) {
      return {repository: nameOf(api), name: await createRef(api, 'tags')};
    },
    delete: (_, row, api) => remove(api, `${repositoryOf(api)}/git/refs/tags/${text(row['name'])}`),
  },
  labels: inRepository('labels', 'name', {
    create: (mark) => ({name: mark, color: 'c0ffee', description: 'first text'}),
    change: {color: 'decade', description: 'second text'},
  }),
  milestones: inRepository('milestones', 'number', {
    create: (mark) => ({title: mark, description: 'first text'}),
    change: {description: 'second text'},
  }),
  releases: inRepository('releases', 'id', {
    create: (mark) => ({tag_name: mark, name: mark, body: 'first text'}),
    change: {body: 'second text'},
  }),
  teams: {
    async insert(_, api) {
      const made = await post(api, `${organizationOf(api)}/teams`, {name: api.mark(), description: 'first text'});
      return columns(made, ['id', 'slug', 'name', 'description']);
    },
    async update(_, row, api) {
      await patch(api, `${organizationOf(api)}/teams/${text(row['slug'])}`, {description: 'second text'});
      return {description: 'second text'};
    },
    delete: (_, row, api) => remove(api, `${organizationOf(api)}/teams/${text(row['slug'])}`),
  },
  team_members: {
    async insert(_, api) {
      const organization = organizationOf(api);
      const [member] = await listed(api, `${organization}/members`);
      if (member === undefined) throw new Error('The organisation has no member to put into a team.');
      const team = await post(api, `${organization}/teams`, {name: api.mark()});
      const path = `${organization}/teams/${text(team['slug'])}/memberships/${text(member['login'])}`;
      await api.send({method: 'PUT', url: path, body: {kind: 'json', value: {role: 'member'}}});
      const {id = null, login = null} = member;
      return {team_id: team['id'] ?? null, id, login, team_slug: team['slug'] ?? null};
    },
    async delete(_, row, api) {
      const team = `${organizationOf(api)}/teams/${text(row['team_slug'])}`;
      await remove(api, `${team}/memberships/${text(row['login'])}`);
    },
    cleanUp: (_, row, api) => remove(api, `${organizationOf(api)}/teams/${text(row['team_slug'])}`),
  },
  repositories: {
    async insert(_, api) {
      const repository = {name: api.mark(), description: 'first text', private: true};
      const made = await post(api, `${organizationOf(api)}/repos`, repository);
      return columns(made, ['id', 'full_name', 'description', 'private']);
    },
    async update(_, row, api) {
      await patch(api, `/repos/${text(row['full_name'])}`, {description: 'second text'});
      return {description: 'second text'};
    },
    delete: (_, row, api) => remove(api, `/repos/${text(row['full_name'])}`),
  },
};

/** Rows of a repository that one path creates, and the same with their `by` changes and deletes. */
function inRepository(
  path: string,
  by: string,
  {create, change}: {readonly create: (mark: string) => JsonObject; readonly change: JsonObject},
): ProofWrites {
  const one = (row: JsonObject, api: ProofApi): string => `${repositoryOf(api)}/${path}/${text(row[by])}`;
  return {
    async insert(_, api) {
      const given = create(api.mark());
      return written(api, await post(api, `${repositoryOf(api)}/${path}`, given), ['id', by, ...Object.keys(given)]);
    },
    async update(_, row, api) {
      await patch(api, one(row, api), change);
      return change;
    },
    delete: (_, row, api) => remove(api, one(row, api)),
  };
}

interface OpenPull {
  readonly pull: JsonObject;
  /** The file that it adds, and the commit that does. */
  readonly path: string;
  readonly sha: string;
}

/** A pull request that adds a file. */
async function openPull(api: ProofApi): Promise<OpenPull> {
  const branch = await createRef(api, 'heads');
  const path = `${branch}.txt`;
  const {sha} = await writeFile(api, {path, branch});
  const base = await defaultBranch(api);
  const pull = await post(api, `${repositoryOf(api)}/pulls`, {title: branch, head: branch, base});
  return {pull, path, sha};
}

/** Deletes the branch of a pull request, which closes it. */
async function closePull(api: ProofApi, number: JsonValue | undefined): Promise<void> {
  const {head} = await api.send({url: `${repositoryOf(api)}/pulls/${text(number)}`});
  await remove(api, `${repositoryOf(api)}/git/refs/heads/${text(objectOf(head)['ref'])}`);
}

async function createRef(api: ProofApi, kind: 'heads' | 'tags'): Promise<string> {
  const {object} = await api.send({url: `${repositoryOf(api)}/git/ref/heads/${await defaultBranch(api)}`});
  const name = api.mark();
  const sha = objectOf(object)['sha'] ?? null;
  await post(api, `${repositoryOf(api)}/git/refs`, {ref: `refs/${kind}/${name}`, sha});
  return name;
}

async function writeFile(
  api: ProofApi,
  {path, branch}: {readonly path: string; readonly branch: string},
): Promise<{readonly sha: string}> {
  const content = Buffer.from(`${path}\n`).toString('base64');
  const value = {message: `Add ${path}`, content, branch};
  const {commit} = await api.send({
    method: 'PUT',
    url: `${repositoryOf(api)}/contents/${path}`,
    isIdempotent: false,
    body: {kind: 'json', value},
  });
  return {sha: text(objectOf(commit)['sha'])};
}

async function defaultBranch(api: ProofApi): Promise<string> {
  return text((await api.send({url: repositoryOf(api)}))['default_branch']);
}

async function listed(api: ProofApi, url: string): Promise<readonly JsonObject[]> {
  return (await api.list({url, query: {per_page: 1}})).map(objectOf);
}

function post(api: ProofApi, url: string, value: JsonObject): Promise<JsonObject> {
  return api.send({method: 'POST', url, body: {kind: 'json', value}});
}

function patch(api: ProofApi, url: string, value: JsonObject): Promise<JsonObject> {
  return api.send({method: 'PATCH', url, body: {kind: 'json', value}});
}

async function remove(api: ProofApi, url: string): Promise<void> {
  await api.send({method: 'DELETE', url});
}

/** Columns of what was made in a repository. */
function written(api: ProofApi, made: JsonObject, names: readonly string[]): JsonObject {
  return {...columns(made, names), repository: nameOf(api)};
}

function columns(made: JsonObject, names: readonly string[]): JsonObject {
  return Object.fromEntries(names.map((name) => [name, made[name] ?? null]));
}

function repositoryOf(api: ProofApi): string {
  return `/repos/${nameOf(api)}`;
}

/** The first repository of the connection, `owner/name`. */
function nameOf({options}: ProofApi): string {
  return first(options['repositories'], 'repositories');
}

function organizationOf({options}: ProofApi): string {
  return `/orgs/${first(options['organizations'], 'organizations')}`;
}

function first(value: unknown, option: string): string {
  const [name]: readonly unknown[] = Array.isArray(value) ? value : [];
  if (typeof name === 'string') return name;
  throw new Error(`Name a place of a sandbox in the option "${option}" of the connection: it is written to.`);
}

function objectOf(value: JsonValue | undefined): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
}

function text(value: JsonValue | undefined): string {
  return value === undefined || value === null ? '' : String(value);
}
