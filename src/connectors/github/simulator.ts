import type {JsonObject} from '../../core/json-value.ts';
import {simulate, type Simulator} from '../../simulator/index.ts';
import {
  proofClock,
  type ConnectorProof,
  type ProofMutations,
  type ProofSource,
  type ProofTable,
  simulatedFault,
} from '../../testkit/index.ts';
import {github} from './index.ts';
import {githubSimulator, publicRows, pullOf, SIMULATED_TOKEN, WEB} from './simulator-api.ts';
import {headOf, reachable} from './simulator-commits.ts';
import {githubFaults} from './simulator-faults.ts';
import {issue} from './simulator-issues.ts';
import * as rows from './simulator-rows.ts';
import {GITHUB_WRITES} from './simulator-writeback.ts';

export {githubSimulator} from './simulator-api.ts';

/** Rows of a page in proofs: small, so that few rows are many pages. */
const PAGE_SIZE = 6;
const ROWS = 13;

const sources = new WeakMap<ProofSource, Simulator>();

/** Everything that is proved of the connector. */
export const githubProof: ConnectorProof = {
  definition: github,
  start: async ({rows: count = ROWS, table}) =>
    sourceOf(
      await simulate(githubSimulator(table === undefined ? {rows: count} : {rows: ROWS, rowsOf: {[table]: count}})),
    ),
  tables: withWrites({
    issues: changing('issues', issue, {row: withPull}),
    pull_requests: {
      ...changing('pull_requests', rows.pull),
      pagingStyle: 'state',
      tracksDeletes: false,
      configuration: {},
      mutations: changes('pull_requests', rows.pull, {isDeletable: false}),
    },
    comments: changing('comments', rows.comment, {row: (row) => ({...row, issue_number: numberOf(row, 'issue_url')})}),
    review_comments: changing('review_comments', rows.reviewComment, {
      row: (row) => ({...row, pull_request_number: numberOf(row, 'pull_request_url')}),
    }),
    reviews: {
      pagingStyle: 'state',
      truth: (source) =>
        simulatorOf(source)
          .collection('reviews')
          .rows()
          .map((row) => ({
            ...rows.visible(row),
            repository: repositoryOf(row),
            pull_request_number: row['pull_'] ?? null,
          })),
      mutations: {insert: addReviews, update: dismissReviews},
    },
    commits: {
      pagingStyle: 'state',
      tracksDeletes: true,
      truth: commitTruth,
      mutations: {
        insert: (source, count) => push(source, count, 0),
        update: (source, count) => {
          rewind(source, Math.min(count, 5));
          push(source, count, 0);
        },
        delete: rewind,
        // A merged branch brings commits that are older than those that were read.
        late: (source, count) => push(source, count, 86_400_000),
      },
    },
    organizations: {
      pagingStyle: 'none',
      truth: (source) => publicRows(simulatorOf(source), 'organizations'),
      mutations: {
        update: (source, count) => {
          simulatorOf(source)
            .collection('organizations')
            .update('acme', {description: `Changed ${count} ${eventCount(source, 'organizations')}`});
        },
      },
    },
    repositories: {
      pagingStyle: 'link',
      truth: (source) => publicRows(simulatorOf(source), 'repositories'),
      mutations: listed(
        'repositories',
        (n) => rows.repositoryRow({owner: 'acme', repo: `repo-${n}`}, n),
        // The connection names the others: without them it fails, and says so.
        (row) => row['owner_'] === 'acme',
      ),
    },
    users: {
      pagingStyle: 'link',
      truth: (source) =>
        simulatorOf(source)
          .collection('members')
          .rows()
          .map((row) => ({...rows.visible(row), organization: row['org_'] ?? null, role: row['role_'] ?? null})),
      mutations: {
        ...listed('members', (n) => ({org_: 'acme', role_: 'member', ...rows.account(n)})),
        update: (source, count) =>
          change(source, 'members', count, (row) => ({role_: row['role_'] === 'admin' ? 'member' : 'admin'})),
      },
    },
    teams: {
      pagingStyle: 'link',
      truth: (source) =>
        simulatorOf(source)
          .collection('teams')
          .rows()
          .map((row) => ({...rows.visible(row), organization: row['org_'] ?? null})),
      mutations: listed('teams', (n) => rows.team('acme', n)),
    },
    team_members: {
      pagingStyle: 'link',
      isPartitioned: true,
      truth: teamMembers,
      mutations: listed('team_members', (n) => ({org_: 'acme', slug_: 'team-1', role_: 'member', ...rows.account(n)})),
    },
    branches: ofList('branches', rows.branch),
    tags: ofList('tags', rows.tag),
    releases: ofList('releases', rows.release),
    labels: ofList('labels', rows.label),
    milestones: ofList('milestones', rows.milestone),
    assignees: ofList('assignees', rows.assignee),
    collaborators: ofList('collaborators', rows.collaborator),
  }),
};

function withWrites(tables: ConnectorProof['tables']): ConnectorProof['tables'] {
  return Object.fromEntries(
    Object.entries(tables).map(([name, table]) => {
      const writes = GITHUB_WRITES[name];
      return [name, writes === undefined ? table : {...table, writes}];
    }),
  );
}

function sourceOf(simulator: Simulator): ProofSource {
  const source: ProofSource = {
    connectionOptions: {
      token: SIMULATED_TOKEN,
      organizations: ['acme'],
      repositories: ['bob/tool'],
      base_url: simulator.url,
      page_size: PAGE_SIZE,
    },
    wrongCredentials: {token: 'github_pat_of_nobody'},
    clock: proofClock(simulator.clock),
    faults: githubFaults(simulator).map((fault) => simulatedFault(simulator, fault)),
    violations: () => simulator.violations.map(({limit, path}) => `${path} came above the limit ${limit}`),
    requestCount: () => simulator.requestCount,
    [Symbol.asyncDispose]: () => simulator.close(),
  };
  sources.set(source, simulator);
  return source;
}

/** The simulator of a source that the proof started. */
export function simulatorOf(source: ProofSource): Simulator {
  const simulator = sources.get(source);
  if (simulator === undefined) throw new Error('This source was not started by the proof of github.');
  return simulator;
}

type Make = (place: rows.Place, id: number, stamp: string) => JsonObject;

/** A table of rows with `updated_at`. */
function changing(
  collection: string,
  make: Make,
  {row = (one: JsonObject): JsonObject => one}: {readonly row?: (row: JsonObject) => JsonObject} = {},
): ProofTable {
  return {
    pagingStyle: 'updated',
    options: {lookback_seconds: 60},
    configuration: {hardDeletionSyncMinIntervalSeconds: 0},
    truth: (source) => publicRows(simulatorOf(source), collection).map(row),
    mutations: changes(collection, make),
  };
}

function changes(
  collection: string,
  make: Make,
  {isDeletable = true}: {readonly isDeletable?: boolean} = {},
): ProofMutations {
  const insert = (source: ProofSource, count: number): void => {
    const simulator = simulatorOf(source);
    for (let at = 0; at < count; at++) {
      const stamp = secondOf(simulator.clock.stampMs());
      simulator.collection(collection).insert(make(WEB, freshNumber(source), stamp));
    }
  };
  return {
    ...(isDeletable ? listed(collection, (n) => make(WEB, n, '')) : {}),
    insert,
    ties: insert,
    update: (source, count) => change(source, collection, count, (_, n) => ({body: `Changed ${n}`})),
    late: (source, count) => {
      const simulator = simulatorOf(source);
      for (let at = 0; at < count; at++) {
        const stamp = secondOf(simulator.clock.stampMs() - 30_000);
        // Loaded, not inserted: an insert would be stamped with now.
        simulator.collection(collection).load([make(WEB, freshNumber(source), stamp)]);
      }
    },
  };
}

/** A table that is read whole. */
function ofList(collection: string, make: (place: rows.Place, id: number) => JsonObject): ProofTable {
  return {
    pagingStyle: 'list',
    isPartitioned: true,
    truth: (source) => publicRows(simulatorOf(source), collection),
    mutations: listed(collection, (n) => make(WEB, n)),
  };
}

function listed(
  collection: string,
  make: (number: number) => JsonObject,
  mayGo: (row: JsonObject) => boolean = () => true,
): ProofMutations {
  return {
    insert: (source, count) => {
      for (let at = 0; at < count; at++)
        simulatorOf(source)
          .collection(collection)
          .insert(make(freshNumber(source)));
    },
    update: (source, count) => change(source, collection, count, (_, n) => ({url: `https://changed.example/${n}`})),
    delete: (source, count) => {
      const all = simulatorOf(source).collection(collection);
      for (const row of spread(all.rows().filter(mayGo), count)) all.delete(all.keyOf(row));
    },
    recreate: (source, count) => {
      const all = simulatorOf(source).collection(collection);
      for (const {row} of all.tombstones().slice(0, count)) if (all.get(all.keyOf(row)) === undefined) all.insert(row);
    },
  };
}

function change(
  source: ProofSource,
  collection: string,
  count: number,
  fields: (row: JsonObject, number: number) => JsonObject,
): void {
  const all = simulatorOf(source).collection(collection);
  for (const row of spread(all.rows(), count)) all.update(all.keyOf(row), fields(row, all.events().length));
}

/** Some of every page. */
function spread(all: readonly JsonObject[], count: number): readonly JsonObject[] {
  const wanted = Math.min(count, all.length);
  return Array.from({length: wanted}, (_, at) => all[Math.floor((at * all.length) / wanted)]).filter(
    (row) => row !== undefined,
  );
}

const numbers = new WeakMap<Simulator, number>();

function freshNumber(source: ProofSource): number {
  const simulator = simulatorOf(source);
  const number = (numbers.get(simulator) ?? 1000) + 1;
  numbers.set(simulator, number);
  return number;
}

function eventCount(source: ProofSource, collection: string): number {
  return simulatorOf(source).collection(collection).events().length;
}

function secondOf(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

function repositoryOf(row: JsonObject): string {
  return `${String(row['owner_'])}/${String(row['repo_'])}`;
}

function numberOf(row: JsonObject, field: string): number {
  return Number(String(row[field]).split('/').at(-1));
}

function withPull(row: JsonObject): JsonObject {
  return {...row, is_pull_request: row['pull_request'] !== undefined};
}

function teamMembers(source: ProofSource): readonly JsonObject[] {
  const simulator = simulatorOf(source);
  const teams = new Map(
    simulator
      .collection('teams')
      .rows()
      .map((team) => [team['slug'], team]),
  );
  return simulator
    .collection('team_members')
    .rows()
    .filter((row) => teams.has(row['slug_']))
    .map((row) => ({
      ...rows.visible(row),
      organization: row['org_'] ?? null,
      role: row['role_'] ?? null,
      team_id: teams.get(row['slug_'])?.['id'] ?? null,
      team_slug: row['slug_'] ?? null,
    }));
}

function addReviews(source: ProofSource, count: number): void {
  const simulator = simulatorOf(source);
  for (let at = 0; at < count; at++) {
    const id = freshNumber(source);
    const pull = pullOf(id % 500);
    simulator.collection('reviews').insert(rows.review(WEB, id, {pull, stamp: secondOf(simulator.clock.stampMs())}));
    touchPull(simulator, pull);
  }
}

function dismissReviews(source: ProofSource, count: number): void {
  const simulator = simulatorOf(source);
  const reviews = simulator.collection('reviews');
  const ours = reviews.rows().filter((row) => row['owner_'] === WEB.owner);
  for (const row of spread(ours, count)) {
    reviews.update(reviews.keyOf(row), {state: 'DISMISSED', body: `Dismissed ${reviews.events().length}`});
    touchPull(simulator, Number(row['pull_']));
  }
}

/** A review changes its pull request. */
function touchPull(simulator: Simulator, number: number): void {
  simulator.collection('pull_requests').update([WEB.owner, WEB.repo, 20_000 + number], {});
}

function commitTruth(source: ProofSource): readonly JsonObject[] {
  const simulator = simulatorOf(source);
  return simulator
    .collection('heads')
    .rows()
    .flatMap((head) => {
      const place = {owner: String(head['owner_']), repo: String(head['repo_'])};
      return [...reachable(simulator, place, String(head['sha'])).values()].map((row) => commitRow(row));
    });
}

function commitRow(row: JsonObject): JsonObject {
  const commit = row['commit'] as JsonObject;
  const [author, committer] = [commit['author'] as JsonObject, commit['committer'] as JsonObject];
  return {
    ...rows.visible(row),
    repository: repositoryOf(row),
    message: commit['message'] ?? null,
    committed_at: committer['date'] ?? null,
    authored_at: author['date'] ?? null,
  };
}

/** Puts commits on the branch; older ones come by a merge. */
function push(source: ProofSource, count: number, olderByMs: number): void {
  const simulator = simulatorOf(source);
  const commits = simulator.collection('commits');
  const head = headOf(simulator, WEB) ?? '';
  const stamp = secondOf(simulator.clock.stampMs() - olderByMs);
  let tip = head;
  for (let at = 0; at < count; at++) {
    const sha = rows.shaOf(`pushed ${freshNumber(source)}`);
    commits.insert(rows.commit(WEB, sha, {parents: [tip], stamp}));
    tip = sha;
  }
  if (olderByMs > 0) {
    const sha = rows.shaOf(`merge ${freshNumber(source)}`);
    const now = secondOf(simulator.clock.stampMs());
    commits.insert(rows.commit(WEB, sha, {parents: [head, tip], stamp: now}));
    tip = sha;
  }
  simulator.collection('heads').update([WEB.owner, WEB.repo], {sha: tip});
}

/** Takes the newest commits off the branch, as a forced push does; they stay known by their id. */
function rewind(source: ProofSource, count: number): void {
  const simulator = simulatorOf(source);
  let tip = headOf(simulator, WEB) ?? '';
  for (let at = 0; at < count; at++) {
    const parents = simulator.collection('commits').get([WEB.owner, WEB.repo, tip])?.['parents'];
    const first: unknown = Array.isArray(parents) ? parents[0] : undefined;
    if (typeof first !== 'object' || first === null || !('sha' in first)) break;
    tip = String(first.sha);
  }
  simulator.collection('heads').update([WEB.owner, WEB.repo], {sha: tip});
}
