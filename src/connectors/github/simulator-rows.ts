import {createHash} from 'node:crypto';

import type {JsonObject, JsonValue} from '../../core/json-value.ts';

/** Where a simulated row lives. */
export interface Place {
  readonly owner: string;
  readonly repo: string;
}

const accounts = new Map<number, JsonObject>();

/** An account as every object shows it; the same object for equal numbers. */
export function account(number: number): JsonObject {
  const known = accounts.get(number) ?? makeAccount(number);
  accounts.set(number, known);
  return known;
}

function makeAccount(number: number): JsonObject {
  const login = `user-${number}`;
  const url = `https://api.github.example/users/${login}`;
  return {
    login,
    id: 1000 + number,
    node_id: `MDQ6VXNlcj${1000 + number}`,
    avatar_url: `https://avatars.example.com/u/${1000 + number}?v=4`,
    gravatar_id: '',
    url,
    html_url: `https://github.example/${login}`,
    followers_url: `${url}/followers`,
    following_url: `${url}/following{/other_user}`,
    gists_url: `${url}/gists{/gist_id}`,
    starred_url: `${url}/starred{/owner}{/repo}`,
    subscriptions_url: `${url}/subscriptions`,
    organizations_url: `${url}/orgs`,
    repos_url: `${url}/repos`,
    events_url: `${url}/events{/privacy}`,
    received_events_url: `${url}/received_events`,
    type: number % 7 === 0 ? 'Bot' : 'User',
    user_view_type: 'public',
    site_admin: number % 11 === 0,
  };
}

/** An organisation. */
export function organization(login: string, number: number): JsonObject {
  return {
    id: 500 + number,
    node_id: `O_${number}`,
    login,
    name: `${login} Inc.`,
    company: 'Holding',
    description: 'Makes things',
    blog: 'https://example.com',
    location: 'Lisbon',
    email: 'hello@example.com',
    type: 'Organization',
    is_verified: true,
    public_repos: 3,
    public_gists: 0,
    followers: 12,
    following: 0,
    total_private_repos: 2,
    owned_private_repos: 2,
    url: `https://api.github.example/orgs/${login}`,
    html_url: `https://github.example/${login}`,
    avatar_url: 'https://avatars.example.com/o/1',
    created_at: '2020-01-01T00:00:00Z',
    updated_at: '2024-01-01T00:00:00Z',
    archived_at: '2024-12-01T00:00:00Z',
  };
}

/** A repository. */
export function repositoryRow({owner, repo}: Place, id: number): JsonObject {
  const full = `${owner}/${repo}`;
  return {
    ...hidden({owner, repo}),
    id,
    node_id: `R_${id}`,
    name: repo,
    full_name: full,
    owner: {...account(1), login: owner},
    private: true,
    visibility: 'private',
    description: `The repository ${full}`,
    fork: false,
    homepage: 'https://example.com',
    language: 'TypeScript',
    license: {key: 'mit', name: 'MIT License', spdx_id: 'MIT', url: null},
    topics: ['data', 'sync'],
    default_branch: 'main',
    archived: false,
    disabled: false,
    is_template: false,
    has_issues: true,
    has_projects: true,
    has_wiki: false,
    has_pages: false,
    has_discussions: false,
    allow_forking: true,
    size: 1234,
    forks_count: 3,
    stargazers_count: 21,
    watchers_count: 21,
    open_issues_count: 9,
    url: `https://api.github.example/repos/${full}`,
    html_url: `https://github.example/${full}`,
    clone_url: `https://github.example/${full}.git`,
    ssh_url: `git@github.example:${full}.git`,
    created_at: '2023-01-01T00:00:00Z',
    updated_at: '2024-06-01T00:00:00Z',
    pushed_at: '2024-12-30T00:00:00Z',
  };
}

/** A pull request. */
export function pull(place: Place, id: number, stamp: string): JsonObject {
  const isClosed = id % 3 === 0;
  return {
    ...hidden(place),
    id: 20_000 + id,
    node_id: `PR_${id}`,
    number: id,
    title: `Pull request ${id}`,
    body: `What changes: ${id}`,
    state: isClosed ? 'closed' : 'open',
    draft: id % 8 === 0,
    locked: false,
    active_lock_reason: id % 13 === 0 ? 'too heated' : null,
    user: account(id % 9),
    assignees: [account((id + 1) % 9)],
    requested_reviewers: [account((id + 2) % 9)],
    requested_teams: [{id: 1, node_id: 'T_1', name: 'Core', slug: 'core', privacy: 'closed'}],
    labels: [label(place, 1 + (id % 3))].map(visible),
    milestone: visible(milestone(place, 1)),
    author_association: 'CONTRIBUTOR',
    head: ref(place, `feature-${id}`),
    base: ref(place, 'main'),
    merge_commit_sha: shaOf(`merge ${id}`),
    auto_merge: {merge_method: 'squash', commit_title: 'Merge', commit_message: 'Merged', enabled_by: account(1)},
    url: `${apiOf(place)}/pulls/${id}`,
    html_url: `${webOf(place)}/pull/${id}`,
    created_at: stamp,
    updated_at: stamp,
    closed_at: isClosed ? stamp : null,
    merged_at: isClosed ? stamp : null,
  };
}

/** A review of a pull request. */
export function review(
  place: Place,
  id: number,
  {pull: number, stamp}: {readonly pull: number; readonly stamp: string},
): JsonObject {
  return {
    ...hidden(place),
    pull_: number,
    id: 30_000 + id,
    node_id: `PRR_${id}`,
    user: account(id % 9),
    body: `Review ${id}`,
    state: id % 2 === 0 ? 'APPROVED' : 'CHANGES_REQUESTED',
    commit_id: shaOf(`review ${id}`),
    author_association: 'MEMBER',
    html_url: `${webOf(place)}/pull/${number}#pullrequestreview-${id}`,
    pull_request_url: `${apiOf(place)}/pulls/${number}`,
    submitted_at: stamp,
  };
}

/** A comment on an issue. */
export function comment(place: Place, id: number, stamp: string): JsonObject {
  const number = 1 + (id % 20);
  return {
    ...hidden(place),
    id: 40_000 + id,
    node_id: `IC_${id}`,
    issue_url: `${apiOf(place)}/issues/${number}`,
    user: account(id % 9),
    body: `Comment ${id}`,
    author_association: 'NONE',
    reactions: reactions(id),
    url: `${apiOf(place)}/issues/comments/${40_000 + id}`,
    html_url: `${webOf(place)}/issues/${number}#issuecomment-${id}`,
    created_at: stamp,
    updated_at: stamp,
  };
}

/** A comment on a line of a pull request. */
export function reviewComment(place: Place, id: number, stamp: string): JsonObject {
  const number = 4 * (1 + (id % 5));
  return {
    ...hidden(place),
    id: 50_000 + id,
    node_id: `PRRC_${id}`,
    pull_request_review_id: 30_000 + (id % 10),
    pull_request_url: `${apiOf(place)}/pulls/${number}`,
    in_reply_to_id: id % 2 === 0 ? 50_001 : null,
    user: account(id % 9),
    body: `Line comment ${id}`,
    path: 'src/index.ts',
    diff_hunk: '@@ -1,3 +1,4 @@',
    commit_id: shaOf(`commit ${id}`),
    original_commit_id: shaOf(`original ${id}`),
    line: 10 + (id % 5),
    original_line: 9,
    start_line: 8,
    original_start_line: 7,
    side: 'RIGHT',
    start_side: 'RIGHT',
    subject_type: 'line',
    author_association: 'MEMBER',
    reactions: reactions(id),
    url: `${apiOf(place)}/pulls/comments/${50_000 + id}`,
    html_url: `${webOf(place)}/pull/${number}#discussion_r${id}`,
    created_at: stamp,
    updated_at: stamp,
  };
}

/** A commit with its parents. */
export function commit(
  place: Place,
  sha: string,
  {parents, stamp}: {readonly parents: readonly string[]; readonly stamp: string},
): JsonObject {
  const signature = {name: 'Ada', email: 'ada@example.com', date: stamp};
  return {
    ...hidden(place),
    sha,
    node_id: `C_${sha}`,
    commit: {
      author: signature,
      committer: signature,
      message: `Change ${sha.slice(0, 7)}`,
      tree: {sha: shaOf(`tree ${sha}`), url: ''},
      comment_count: 0,
      verification: {verified: true, reason: 'valid', signature: null, payload: null},
    },
    author: account(3),
    committer: account(4),
    parents: parents.map((parent) => ({sha: parent, url: `${apiOf(place)}/commits/${parent}`})),
    url: `${apiOf(place)}/commits/${sha}`,
    html_url: `${webOf(place)}/commit/${sha}`,
  };
}

/** A branch. */
export function branch(place: Place, number: number): JsonObject {
  const sha = shaOf(`branch ${number}`);
  const name = number === 0 ? 'main' : `branch-${number}`;
  return {...hidden(place), name, commit: {sha, url: `${apiOf(place)}/commits/${sha}`}, protected: number === 0};
}

/** A tag. */
export function tag(place: Place, number: number): JsonObject {
  const sha = shaOf(`tag ${number}`);
  const name = `v1.${number}.0`;
  return {
    ...hidden(place),
    name,
    node_id: `REF_${number}`,
    commit: {sha, url: `${apiOf(place)}/commits/${sha}`},
    zipball_url: `${apiOf(place)}/zipball/${name}`,
    tarball_url: `${apiOf(place)}/tarball/${name}`,
  };
}

/** A release. */
export function release(place: Place, id: number): JsonObject {
  return {
    ...hidden(place),
    id: 60_000 + id,
    node_id: `RE_${id}`,
    tag_name: `v1.${id}.0`,
    target_commitish: 'main',
    name: `Release ${id}`,
    body: 'What is new',
    draft: false,
    prerelease: id % 5 === 0,
    author: account(id % 9),
    assets: [
      {
        id,
        name: 'dist.tgz',
        label: null,
        content_type: 'application/gzip',
        state: 'uploaded',
        size: 1024,
        download_count: 7,
        browser_download_url: 'https://example.com/dist.tgz',
        created_at: '2024-01-01T00:00:00Z',
        updated_at: '2024-01-01T00:00:00Z',
      },
    ],
    url: `${apiOf(place)}/releases/${60_000 + id}`,
    html_url: `${webOf(place)}/releases/tag/v1.${id}.0`,
    created_at: '2024-01-01T00:00:00Z',
    published_at: '2024-01-02T00:00:00Z',
  };
}

/** A label. */
export function label(place: Place, id: number): JsonObject {
  return {
    ...hidden(place),
    id: 70_000 + id,
    node_id: `LA_${id}`,
    name: `label-${id}`,
    color: 'f29513',
    description: 'What it means',
    default: id === 1,
    url: `${apiOf(place)}/labels/label-${id}`,
  };
}

/** A milestone. */
export function milestone(place: Place, id: number): JsonObject {
  const isClosed = id % 3 === 0;
  return {
    ...hidden(place),
    id: 80_000 + id,
    node_id: `MI_${id}`,
    number: id,
    title: `Milestone ${id}`,
    description: 'What is to be done',
    state: isClosed ? 'closed' : 'open',
    creator: account(1),
    open_issues: 3,
    closed_issues: 4,
    url: `${apiOf(place)}/milestones/${id}`,
    html_url: `${webOf(place)}/milestone/${id}`,
    due_on: '2025-06-01T07:00:00Z',
    created_at: '2024-01-01T00:00:00Z',
    updated_at: '2024-02-01T00:00:00Z',
    closed_at: isClosed ? '2024-03-01T00:00:00Z' : null,
  };
}

/** An account to which issues can be assigned. */
export function assignee(place: Place, number: number): JsonObject {
  return {...hidden(place), ...account(number)};
}

/** An account with access to a repository. */
export function collaborator(place: Place, number: number): JsonObject {
  return {
    ...hidden(place),
    ...account(number),
    permissions: {pull: true, triage: true, push: true, maintain: false, admin: number === 1},
    role_name: number === 1 ? 'admin' : 'write',
  };
}

/** A team of an organisation. */
export function team(organizationLogin: string, id: number): JsonObject {
  return {
    org_: organizationLogin,
    id: 90_000 + id,
    node_id: `T_${id}`,
    slug: `team-${id}`,
    name: `Team ${id}`,
    description: 'Who they are',
    privacy: 'closed',
    notification_setting: 'notifications_enabled',
    permission: 'pull',
    url: `https://api.github.example/organizations/500/team/${id}`,
    html_url: `https://github.example/orgs/${organizationLogin}/teams/team-${id}`,
    parent: id > 1 ? {id: 90_001, node_id: 'T_1', name: 'Team 1', slug: 'team-1', privacy: 'closed'} : null,
  };
}

/** A row as requests see it: without the fields that only the simulator knows, whose names end in `_`. */
export function visible(row: JsonObject): JsonObject {
  const seen: Record<string, JsonValue> = {};
  for (const name of Object.keys(row)) if (!name.endsWith('_')) seen[name] = row[name] ?? null;
  return seen;
}

/** A commit id of a text. */
export function shaOf(text: string): string {
  return createHash('sha1').update(text).digest('hex');
}

/** How people answered with one sign. */
export function reactions(number: number, url = ''): JsonObject {
  return {
    url: `${url}/reactions`,
    total_count: number % 3,
    '+1': number % 3,
    '-1': 0,
    laugh: 0,
    hooray: 0,
    confused: 0,
    heart: 0,
    rocket: 0,
    eyes: 0,
  };
}

function ref(place: Place, name: string): JsonObject {
  return {
    label: `${place.owner}:${name}`,
    ref: name,
    sha: shaOf(name),
    user: account(1),
    repo: {id: 100, name: place.repo, full_name: `${place.owner}/${place.repo}`},
  };
}

function hidden({owner, repo}: Place): JsonObject {
  return {owner_: owner, repo_: repo};
}

/** Address of a repository in the API. */
export function apiOf({owner, repo}: Place): string {
  return `https://api.github.example/repos/${owner}/${repo}`;
}

/** Address of a repository for people. */
export function webOf({owner, repo}: Place): string {
  return `https://github.example/${owner}/${repo}`;
}
