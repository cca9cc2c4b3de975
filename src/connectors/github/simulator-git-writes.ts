import type {JsonObject} from '../../core/json-value.ts';
import {
  json,
  type EndpointSpec,
  type HandlerContext,
  type SimulatedReply,
  type SimulatedRequest,
} from '../../simulator/index.ts';
import {headOf} from './simulator-commits.ts';
import * as rows from './simulator-rows.ts';
import {apiOf, visible, type Place} from './simulator-rows.ts';
import {bodyOf, invalid, notFound, placeOf, shaOf, textOf} from './simulator-writes.ts';

const REPOSITORY = '/repos/{owner}/{repo}';
/** The default branch of every repository; it is known by its head alone. */
const MAIN = 'main';

/**
 * Branches and tags as references, and commits made by writing a file.
 * @see https://docs.github.com/en/rest/git/refs, https://docs.github.com/en/rest/repos/contents
 */
export function gitWriteEndpoints(): readonly EndpointSpec[] {
  return [
    {path: `${REPOSITORY}/git/ref/heads/{name}`, handler: readHead},
    {path: `${REPOSITORY}/git/refs`, method: 'POST', handler: createRef},
    {path: `${REPOSITORY}/git/refs/heads/{name}`, method: 'PATCH', handler: moveHead},
    {path: `${REPOSITORY}/git/refs/heads/{name}`, method: 'DELETE', handler: deleteRef('branches')},
    {path: `${REPOSITORY}/git/refs/tags/{name}`, method: 'DELETE', handler: deleteRef('tags')},
    {path: `${REPOSITORY}/contents/{path*}`, method: 'PUT', handler: writeFile},
    {path: `${REPOSITORY}/commits/{sha}`, handler: readCommit},
  ];
}

function readHead(request: SimulatedRequest, context: HandlerContext): SimulatedReply {
  const name = request.params['name'] ?? '';
  const sha = tipOf(context, placeOf(request), name);
  return sha === null ? notFound() : json(refOf(`refs/heads/${name}`, sha));
}

function createRef(request: SimulatedRequest, context: HandlerContext): SimulatedReply {
  const place = placeOf(request);
  const body = bodyOf(request);
  const [, kind = '', name = ''] = /^refs\/(heads|tags)\/(.+)$/.exec(textOf(body['ref'])) ?? [];
  if (name === '') return invalid('Reference', 'ref');
  const sha = textOf(body['sha']);
  if (context.collection('commits').get([place.owner, place.repo, sha]) === undefined)
    return json({message: 'Object does not exist'}, {status: 422});
  const all = context.collection(kind === 'heads' ? 'branches' : 'tags');
  if (name === MAIN || all.get([place.owner, place.repo, name]) !== undefined)
    return json({message: 'Reference already exists'}, {status: 422});
  const row = kind === 'heads' ? rows.branch(place, 1) : rows.tag(place, 1);
  all.insert({...row, name, commit: commitRef(place, sha), ...(kind === 'heads' ? {protected: false} : {})});
  return json(refOf(`refs/${kind}/${name}`, sha), {status: 201});
}

/** Moves the default branch; what its old head had and the new one has not is lost. */
function moveHead(request: SimulatedRequest, context: HandlerContext): SimulatedReply {
  const place = placeOf(request);
  const sha = textOf(bodyOf(request)['sha']);
  if (request.params['name'] !== MAIN || headOf(context, place) === null) return notFound();
  if (context.collection('commits').get([place.owner, place.repo, sha]) === undefined)
    return json({message: 'Object does not exist'}, {status: 422});
  if (bodyOf(request)['force'] !== true) return json({message: 'Update is not a fast forward'}, {status: 422});
  context.collection('heads').update([place.owner, place.repo], {sha});
  return json(refOf(`refs/heads/${MAIN}`, sha));
}

/** A branch that goes takes its pull requests along: they are closed. */
function deleteRef(kind: 'branches' | 'tags') {
  return (request: SimulatedRequest, context: HandlerContext): SimulatedReply => {
    const {owner, repo} = placeOf(request);
    const name = request.params['name'] ?? '';
    const all = context.collection(kind);
    if (all.get([owner, repo, name]) === undefined) return json({message: 'Reference does not exist'}, {status: 422});
    all.delete([owner, repo, name]);
    const pulls = context.collection('pull_requests');
    for (const pull of kind === 'tags' ? [] : pulls.rows()) {
      const {head} = pull;
      const isOf = typeof head === 'object' && head !== null && 'ref' in head && head['ref'] === name;
      if (isOf && pull['owner_'] === owner && pull['repo_'] === repo && pull['state'] === 'open')
        pulls.update(pulls.keyOf(pull), {state: 'closed'});
    }
    return {status: 204};
  };
}

/** A new file is a commit on its branch. */
function writeFile(request: SimulatedRequest, context: HandlerContext): SimulatedReply {
  const place = placeOf(request);
  const {message, content, branch = MAIN} = bodyOf(request);
  if (textOf(message) === '' || textOf(content) === '') return invalid('Commit', 'message');
  const tip = tipOf(context, place, textOf(branch));
  if (tip === null) return notFound();
  const path = request.params['path'] ?? '';
  const sha = rows.shaOf(`${place.owner}/${place.repo} ${tip} ${path} ${textOf(message)}`);
  const stamp = `${new Date(context.clock.stampMs()).toISOString().slice(0, 19)}Z`;
  const row = rows.commit(place, sha, {parents: [tip], stamp});
  const made = {...row, commit: {...(row['commit'] as JsonObject), message: textOf(message)}};
  context.collection('commits').insert(made);
  if (branch === MAIN) context.collection('heads').update([place.owner, place.repo], {sha});
  else
    context.collection('branches').update([place.owner, place.repo, textOf(branch)], {commit: commitRef(place, sha)});
  const commit = {sha, message: textOf(message), parents: [{sha: tip}]};
  return json({content: {name: path, path, type: 'file'}, commit}, {status: 201});
}

function readCommit(request: SimulatedRequest, context: HandlerContext): SimulatedReply {
  const {owner, repo} = placeOf(request);
  const row = context.collection('commits').get([owner, repo, request.params['sha'] ?? '']);
  return row === undefined ? notFound() : json(visible(row));
}

function tipOf(context: HandlerContext, place: Place, branch: string): string | null {
  if (branch === MAIN) return headOf(context, place);
  const row = context.collection('branches').get([place.owner, place.repo, branch]);
  return row === undefined ? null : shaOf(row);
}

function commitRef(place: Place, sha: string): JsonObject {
  return {sha, url: `${apiOf(place)}/commits/${sha}`};
}

function refOf(ref: string, sha: string): JsonObject {
  return {ref, object: {type: 'commit', sha}};
}
