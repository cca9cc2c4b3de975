import type {JsonObject, JsonValue} from '../../core/json-value.ts';
import {
  json,
  type EndpointSpec,
  type HandlerContext,
  type SimulatedCollection,
  type SimulatedReply,
  type SimulatedRequest,
} from '../../simulator/index.ts';
import {issue} from './simulator-issues.ts';
import * as rows from './simulator-rows.ts';
import {apiOf, visible, type Place} from './simulator-rows.ts';

type Handler = (request: SimulatedRequest, context: HandlerContext) => SimulatedReply;

const REPOSITORY = '/repos/{owner}/{repo}';

/**
 * What GitHub lets write over REST: issues cannot be deleted there, and what is written below an issue or a pull request
 * changes it too.
 * @see https://docs.github.com/en/rest/issues, https://docs.github.com/en/rest/pulls, https://docs.github.com/en/rest/teams
 */
export function writeEndpoints(): readonly EndpointSpec[] {
  return [
    {path: `${REPOSITORY}/issues`, method: 'POST', handler: inRepository(createIssue)},
    {path: `${REPOSITORY}/issues/{number}`, method: 'PATCH', handler: changing('issues', 'number', ISSUE_FIELDS)},
    {path: `${REPOSITORY}/issues/{number}/comments`, method: 'POST', handler: inRepository(createComment)},
    ...comments('issues', 'comments', (row) => numberAtEnd(row['issue_url'])),
    {path: `${REPOSITORY}/pulls`, method: 'POST', handler: inRepository(createPull)},
    {
      path: `${REPOSITORY}/pulls/{number}`,
      handler: (request, context) => found(rowAt(context, 'pull_requests', request, 'number')),
    },
    {path: `${REPOSITORY}/pulls/{number}`, method: 'PATCH', handler: changing('pull_requests', 'number', ISSUE_FIELDS)},
    {path: `${REPOSITORY}/pulls/{number}/reviews`, method: 'POST', handler: inRepository(createReview)},
    {path: `${REPOSITORY}/pulls/{number}/comments`, method: 'POST', handler: inRepository(createLineComment)},
    ...comments('pulls', 'review_comments', (row) => numberAtEnd(row['pull_request_url'])),
    {path: `${REPOSITORY}/labels`, method: 'POST', handler: inRepository(createLabel)},
    ...changedAndDeleted('labels', 'name', ['color', 'description']),
    {path: `${REPOSITORY}/milestones`, method: 'POST', handler: inRepository(createMilestone)},
    ...changedAndDeleted('milestones', 'number', ['title', 'description', 'state', 'due_on']),
    {path: `${REPOSITORY}/releases`, method: 'POST', handler: inRepository(createRelease)},
    ...changedAndDeleted('releases', 'id', ['name', 'body', 'draft', 'prerelease', 'tag_name']),
    ...teamEndpoints(),
    {path: '/orgs/{org}/repos', method: 'POST', handler: createRepository},
    {path: REPOSITORY, method: 'PATCH', handler: changeRepository},
    {path: REPOSITORY, method: 'DELETE', handler: deleteRepository},
  ];
}

const ISSUE_FIELDS = ['title', 'body', 'state', 'state_reason'];

function comments(path: string, collection: string, numberOf: (row: JsonObject) => number): readonly EndpointSpec[] {
  const parents = path === 'issues' ? 'issues' : 'pull_requests';
  return [
    {path: `${REPOSITORY}/${path}/comments/{id}`, method: 'PATCH', handler: changing(collection, 'id', ['body'])},
    {
      path: `${REPOSITORY}/${path}/comments/{id}`,
      method: 'DELETE',
      handler: (request, context) => {
        const row = rowAt(context, collection, request, 'id');
        if (row === undefined) return notFound();
        remove(context.collection(collection), row);
        touch(context, parents, {place: placeOf(request), number: numberOf(row), comments: -1});
        return {status: 204};
      },
    },
  ];
}

function changedAndDeleted(collection: string, by: string, fields: readonly string[]): readonly EndpointSpec[] {
  const path = `${REPOSITORY}/${collection}/{${by}}`;
  return [
    {path, method: 'PATCH', handler: changing(collection, by, fields)},
    {
      path,
      method: 'DELETE',
      handler: (request, context) => {
        const row = rowAt(context, collection, request, by);
        if (row === undefined) return notFound();
        remove(context.collection(collection), row);
        return {status: 204};
      },
    },
  ];
}

function inRepository(create: (place: Place, body: JsonObject, at: Writing) => SimulatedReply): Handler {
  return (request, context) => {
    const place = placeOf(request);
    if (context.collection('repositories').get([place.owner, place.repo]) === undefined) return notFound();
    return create(place, bodyOf(request), {request, context});
  };
}

interface Writing {
  readonly request: SimulatedRequest;
  readonly context: HandlerContext;
}

function createIssue(place: Place, body: JsonObject, {context}: Writing): SimulatedReply {
  if (textOf(body['title']) === '') return invalid('Issue', 'title');
  const row = issue(place, oddNumber(nextNumber(context, place)), stampOf(context));
  const open = {state: 'open', closed_at: null, closed_by: null, state_reason: null, comments: 0};
  const given = {title: body['title'] ?? null, body: body['body'] ?? null};
  return created(context.collection('issues').insert({...row, ...open, ...given}));
}

/** Every fourth issue of the samples is a pull request. */
function oddNumber(number: number): number {
  return number % 4 === 0 ? number + 1 : number;
}

function createComment(place: Place, body: JsonObject, {request, context}: Writing): SimulatedReply {
  const parent = rowAt(context, 'issues', request, 'number');
  if (parent === undefined) return notFound();
  if (textOf(body['body']) === '') return invalid('IssueComment', 'body');
  const number = Number(parent['number']);
  const row = rows.comment(place, nextId(context, 'comments') - 40_000, stampOf(context));
  touch(context, 'issues', {place, number, comments: 1});
  return created(
    context
      .collection('comments')
      .insert({...row, body: body['body'] ?? null, issue_url: `${apiOf(place)}/issues/${number}`}),
  );
}

/** A pull request is an issue too, with the same number. */
function createPull(place: Place, body: JsonObject, {context}: Writing): SimulatedReply {
  if (textOf(body['title']) === '') return invalid('PullRequest', 'title');
  const head = context.collection('branches').get([place.owner, place.repo, textOf(body['head'])]);
  if (head === undefined || textOf(body['base']) === '') return invalid('PullRequest', 'head');
  const number = nextNumber(context, place);
  const given = {title: body['title'] ?? null, body: body['body'] ?? null};
  const open = {state: 'open', closed_at: null, merged_at: null, ...given};
  const row = rows.pull(place, number, stampOf(context));
  const ref = {...(row['head'] as JsonObject), ref: head['name'] ?? null, sha: shaOf(head)};
  const sample = issue(place, number - (number % 4) + 4, stampOf(context));
  context.collection('issues').insert({...sample, ...open, id: 10_000 + number, number});
  return created(context.collection('pull_requests').insert({...row, ...open, head: ref}));
}

function createReview(place: Place, body: JsonObject, {request, context}: Writing): SimulatedReply {
  const parent = rowAt(context, 'pull_requests', request, 'number');
  if (parent === undefined) return notFound();
  const number = Number(parent['number']);
  const id = nextId(context, 'reviews') - 30_000;
  const state = body['event'] === 'APPROVE' ? 'APPROVED' : 'COMMENTED';
  touch(context, 'pull_requests', {place, number, comments: 0});
  const row = rows.review(place, id, {pull: number, stamp: stampOf(context)});
  return {...created(context.collection('reviews').insert({...row, body: body['body'] ?? '', state})), status: 200};
}

function createLineComment(place: Place, body: JsonObject, {request, context}: Writing): SimulatedReply {
  const parent = rowAt(context, 'pull_requests', request, 'number');
  if (parent === undefined) return notFound();
  for (const field of ['body', 'commit_id', 'path'])
    if (textOf(body[field]) === '') return invalid('PullRequestReviewComment', field);
  const number = Number(parent['number']);
  const row = rows.reviewComment(place, nextId(context, 'review_comments') - 50_000, stampOf(context));
  touch(context, 'pull_requests', {place, number, comments: 1});
  const {body: text = null, path = null, line = null, commit_id: commitId = null} = body;
  const given = {body: text, path, line, commit_id: commitId, pull_request_url: `${apiOf(place)}/pulls/${number}`};
  return created(context.collection('review_comments').insert({...row, ...given}));
}

function createLabel(place: Place, body: JsonObject, {context}: Writing): SimulatedReply {
  const name = textOf(body['name']);
  const labels = context.collection('labels');
  if (name === '') return invalid('Label', 'name');
  if (ofPlace(labels, place).some((row) => row['name'] === name)) return invalid('Label', 'name', 'already_exists');
  const {color = 'ededed', description = null} = body;
  const row = rows.label(place, nextId(context, 'labels') - 70_000);
  return created(
    labels.insert({...row, name, color, description, default: false, url: `${apiOf(place)}/labels/${name}`}),
  );
}

function createMilestone(place: Place, body: JsonObject, {context}: Writing): SimulatedReply {
  if (textOf(body['title']) === '') return invalid('Milestone', 'title');
  const row = rows.milestone(place, nextId(context, 'milestones') - 80_000);
  const {title = null, description = null, due_on: dueOn = null} = body;
  const open = {state: 'open', closed_at: null, open_issues: 0, closed_issues: 0};
  return created(context.collection('milestones').insert({...row, ...open, title, description, due_on: dueOn}));
}

function createRelease(place: Place, body: JsonObject, {context}: Writing): SimulatedReply {
  const tag = textOf(body['tag_name']);
  if (tag === '') return invalid('Release', 'tag_name');
  const tags = context.collection('tags');
  if (tags.get([place.owner, place.repo, tag]) === undefined) tags.insert({...rows.tag(place, 1), name: tag});
  const {name = null, body: text = null, draft = false} = body;
  const row = rows.release(place, nextId(context, 'releases') - 60_000);
  return created(context.collection('releases').insert({...row, tag_name: tag, name, body: text, draft}));
}

function teamEndpoints(): readonly EndpointSpec[] {
  const team = ({params}: SimulatedRequest, context: HandlerContext): JsonObject | undefined =>
    context
      .collection('teams')
      .rows()
      .find((row) => row['slug'] === params['slug'] && row['org_'] === params['org']);
  return [
    {path: '/orgs/{org}/teams', method: 'POST', handler: createTeam},
    {
      path: '/orgs/{org}/teams/{slug}',
      method: 'PATCH',
      handler: (request, context) => changed(context.collection('teams'), team(request, context), request, TEAM_FIELDS),
    },
    {
      path: '/orgs/{org}/teams/{slug}',
      method: 'DELETE',
      handler: (request, context) => {
        const row = team(request, context);
        if (row === undefined) return notFound();
        const members = context.collection('team_members');
        for (const one of members.rows()) if (one['slug_'] === row['slug']) remove(members, one);
        remove(context.collection('teams'), row);
        return {status: 204};
      },
    },
    {
      path: '/orgs/{org}/teams/{slug}/memberships/{login}',
      method: ['PUT', 'DELETE'],
      handler: (request, context) => (team(request, context) === undefined ? notFound() : membership(request, context)),
    },
  ];
}

const TEAM_FIELDS = ['name', 'description', 'privacy'];

function createTeam(request: SimulatedRequest, context: HandlerContext): SimulatedReply {
  const {params} = request;
  const {name = null, description = null, privacy = 'closed'} = bodyOf(request);
  if (textOf(name) === '') return invalid('Team', 'name');
  const row = rows.team(params['org'] ?? '', nextId(context, 'teams') - 90_000);
  return created(context.collection('teams').insert({...row, name, slug: name, description, privacy, parent: null}));
}

/** Members of the organisation are in the team at once. */
function membership({method, params, body}: SimulatedRequest, context: HandlerContext): SimulatedReply {
  const {org = '', slug = '', login = ''} = params;
  const person = context
    .collection('members')
    .rows()
    .find((row) => row['login'] === login);
  if (person === undefined) return notFound();
  const members = context.collection('team_members');
  const key = [slug, Number(person['id'])];
  const known = members.get(key);
  if (method === 'DELETE') {
    if (known === undefined) return notFound();
    members.delete(key);
    return {status: 204};
  }
  const role = isObject(body) && body['role'] === 'maintainer' ? 'maintainer' : 'member';
  members.upsert({...visible(person), org_: org, slug_: slug, role_: role});
  return json({state: 'active', role});
}

function createRepository(request: SimulatedRequest, context: HandlerContext): SimulatedReply {
  const {name = null, description = null, private: isPrivate = false} = bodyOf(request);
  const owner = request.params['org'] ?? '';
  const repo = textOf(name);
  if (repo === '') return invalid('Repository', 'name');
  const all = context.collection('repositories');
  if (all.get([owner, repo]) !== undefined) return invalid('Repository', 'name', 'already_exists');
  const ids = all.rows().map((row) => Number(row['id']));
  const row = rows.repositoryRow({owner, repo}, Math.max(100, ...ids) + 1);
  return created(all.insert({...row, description, private: isPrivate}));
}

function changeRepository(request: SimulatedRequest, context: HandlerContext): SimulatedReply {
  const {owner, repo} = placeOf(request);
  const all = context.collection('repositories');
  return changed(all, all.get([owner, repo]), request, ['description', 'homepage', 'has_issues', 'has_wiki']);
}

function deleteRepository(request: SimulatedRequest, context: HandlerContext): SimulatedReply {
  const {owner, repo} = placeOf(request);
  const all = context.collection('repositories');
  if (all.get([owner, repo]) === undefined) return notFound();
  all.delete([owner, repo]);
  return {status: 204};
}

function changing(collection: string, by: string, fields: readonly string[]): Handler {
  return (request, context) =>
    changed(context.collection(collection), rowAt(context, collection, request, by), request, fields);
}

/** Changes the fields that the request gives. */
function changed(
  collection: SimulatedCollection,
  row: JsonObject | undefined,
  request: SimulatedRequest,
  fields: readonly string[],
): SimulatedReply {
  if (row === undefined) return notFound();
  const body = bodyOf(request);
  const given = Object.fromEntries(fields.flatMap((name) => (name in body ? [[name, body[name] ?? null]] : [])));
  return found(collection.update(collection.keyOf(row), given));
}

/** What is written below an issue or a pull request moves its time of change. */
function touch(
  context: HandlerContext,
  collection: string,
  {place, number, comments: more}: {readonly place: Place; readonly number: number; readonly comments: number},
): void {
  const all = context.collection(collection);
  const row = ofPlace(all, place).find((one) => one['number'] === number);
  if (row === undefined) return;
  const count = typeof row['comments'] === 'number' ? {comments: row['comments'] + more} : {};
  all.update(all.keyOf(row), count);
}

/** The row of the request's repository whose field is what the path says. */
export function rowAt(
  context: HandlerContext,
  collection: string,
  request: SimulatedRequest,
  by: string,
): JsonObject | undefined {
  const wanted = request.params[by];
  return ofPlace(context.collection(collection), placeOf(request)).find((row) => String(row[by]) === wanted);
}

function ofPlace(collection: SimulatedCollection, {owner, repo}: Place): readonly JsonObject[] {
  return collection.rows().filter((row) => row['owner_'] === owner && row['repo_'] === repo);
}

/** Issues and pull requests of a repository are numbered together. */
function nextNumber(context: HandlerContext, place: Place): number {
  const known = ['issues', 'pull_requests'].flatMap((name) => ofPlace(context.collection(name), place));
  return Math.max(0, ...known.map((row) => Number(row['number']))) + 1;
}

function nextId(context: HandlerContext, name: string): number {
  return Math.max(
    100_000,
    ...context
      .collection(name)
      .rows()
      .map((row) => Number(row['id']) + 1),
  );
}

function remove(collection: SimulatedCollection, row: JsonObject): void {
  collection.delete(collection.keyOf(row));
}

function stampOf({clock}: HandlerContext): string {
  return `${new Date(clock.stampMs()).toISOString().slice(0, 19)}Z`;
}

function numberAtEnd(url: JsonValue | undefined): number {
  return Number(textOf(url).split('/').at(-1));
}

/** The commit that a branch points to. */
export function shaOf(branch: JsonObject): string {
  const {commit} = branch;
  return isObject(commit) ? textOf(commit['sha']) : '';
}

/** Where a request is about. */
export function placeOf({params}: SimulatedRequest): Place {
  return {owner: params['owner'] ?? '', repo: params['repo'] ?? ''};
}

/** The object that a request sends; empty when it sends none. */
export function bodyOf({body}: SimulatedRequest): JsonObject {
  return isObject(body) ? body : {};
}

/** A text; empty for anything else. */
export function textOf(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value : '';
}

function created(row: JsonObject): SimulatedReply {
  return json(visible(row), {status: 201});
}

function found(row: JsonObject | undefined): SimulatedReply {
  return row === undefined ? notFound() : json(visible(row));
}

/** The answer to a request for what does not exist. */
export function notFound(): SimulatedReply {
  return json({message: 'Not Found', documentation_url: 'https://docs.github.com/rest'}, {status: 404});
}

/** The answer to a request that misses or repeats a value. */
export function invalid(resource: string, field: string, code = 'missing_field'): SimulatedReply {
  return json({message: 'Validation Failed', errors: [{resource, field, code}]}, {status: 422});
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
