import type {JsonObject, JsonValue} from '../../core/json-value.ts';
import {account, apiOf, label, milestone, type Place, reactions, visible, webOf} from './simulator-rows.ts';

/** People, so that pages of issues are not all of the same. */
const PEOPLE = 211;
const LABELS = 23;
const MILESTONES = 7;

/** An issue; every fourth is a pull request too, with two fields more. */
export function issue(place: Place, id: number, stamp: string): JsonObject {
  const isClosed = id % 3 === 0;
  const isLocked = id % 13 === 0;
  const api = apiOf(place);
  const url = `${api}/issues/${id}`;
  const assignee = id % 3 === 1 ? account((id + 1) % PEOPLE) : null;
  const row: Record<string, JsonValue> = {
    owner_: place.owner,
    repo_: place.repo,
    url,
    repository_url: api,
    labels_url: `${url}/labels{/name}`,
    comments_url: `${url}/comments`,
    events_url: `${url}/events`,
    html_url: `${webOf(place)}/issues/${id}`,
    id: 10_000 + id,
    node_id: `I_kwDOAMm_X85${id}`,
    number: id,
    title: `${TITLES[id % TITLES.length] ?? ''} (${id})`,
    user: account((id * 31) % PEOPLE),
    labels: labelsOf(place, id),
    state: isClosed ? 'closed' : 'open',
    locked: isLocked,
    assignees: assignee === null ? [] : [assignee],
    milestone: id % 4 === 1 ? milestoneOf(place, 1 + (id % MILESTONES)) : null,
    comments: id % 6,
    created_at: stamp,
    updated_at: stamp,
    closed_at: isClosed ? stamp : null,
    assignee,
    author_association: ASSOCIATIONS[id % ASSOCIATIONS.length] ?? '',
    type: TYPES[id % TYPES.length] ?? null,
    active_lock_reason: isLocked ? 'resolved' : null,
    sub_issues_summary: {total: id % 4, completed: id % 2, percent_completed: 0},
    issue_dependencies_summary: {blocked_by: 0, total_blocked_by: id % 2, blocking: 0, total_blocking: id % 3},
    body: id % 5 === 0 ? null : bodyOf(id),
    closed_by: isClosed ? account((id * 7) % PEOPLE) : null,
    reactions: reactions(id, url),
    timeline_url: `${url}/timeline`,
    performed_via_github_app: null,
    state_reason: isClosed ? 'completed' : null,
  };
  if (id % 4 === 0) {
    row['draft'] = id % 8 === 0;
    row['pull_request'] = pullOf(place, id, isClosed ? stamp : null);
  }
  return row;
}

const ASSOCIATIONS: readonly string[] = ['MEMBER', 'CONTRIBUTOR', 'NONE', 'COLLABORATOR'];
const TYPES: readonly JsonObject[] = ['Bug', 'Feature', 'Task'].map((name, at) => ({
  id: 1 + at,
  node_id: `IT_kwDOAMm_X84A${at}`,
  name,
  description: `What is a ${name.toLowerCase()}`,
  color: 'red',
  created_at: '2024-01-01T00:00:00Z',
  updated_at: '2024-01-02T00:00:00Z',
  is_enabled: true,
}));

const TITLES: readonly string[] = [
  'Sync stops after the first page',
  'Add an option for the time zone of exports',
  'Wrong total when a currency has no minor unit',
  'Docs: how to rotate the key without downtime',
  'Crash on an empty file',
  'Retry only what failed, and say what was skipped',
  'Dark mode: the table header cannot be read',
  'Memory grows while a large table is loaded',
  'Typo in the message of a refused request',
  'Support names with accents – “naïve café” fails',
];

const SENTENCES: readonly string[] = [
  'It happens on the second run, never on the first one.',
  'The log says `timeout after 30000 ms`, but the source answers within a second.',
  'I expected the row to be updated, and found two rows with the same key instead.',
  '```\nError: unexpected end of file\n    at read (reader.ts:120)\n    at run (main.ts:42)\n```',
  'Steps:\r\n1. create a table\r\n2. insert 10 rows\r\n3. delete "every" other row',
  'Works with version 2.3, fails since 2.4; nothing else was changed.',
  'See also https://docs.example.com/guide/large-tables#memory for what is promised.',
  'Would it be enough to compare the hash of the file before it is read again?',
];

const bodies = new Map<number, string>();

/** One to seven sentences. */
function bodyOf(id: number): string {
  const at = id % 61;
  const known = bodies.get(at);
  const text =
    known ??
    Array.from({length: 1 + (at % 7)}, (_, n) => SENTENCES[(at * 5 + n * 3) % SENTENCES.length] ?? '').join('\n\n');
  if (known === undefined) bodies.set(at, text);
  return `${text}\n\nRun ${id}`;
}

function pullOf(place: Place, id: number, mergedAt: string | null): JsonObject {
  const web = `${webOf(place)}/pull/${id}`;
  return {
    url: `${apiOf(place)}/pulls/${id}`,
    html_url: web,
    diff_url: `${web}.diff`,
    patch_url: `${web}.patch`,
    merged_at: mergedAt,
  };
}

/** None, one or two of the repository's labels. */
function labelsOf(place: Place, id: number): JsonObject[] {
  return Array.from({length: id % 3}, (_, at) => labelOf(place, 1 + ((id * 3 + at) % LABELS)));
}

const parts = new Map<string, JsonObject>();

function labelOf(place: Place, id: number): JsonObject {
  return part(`label ${place.owner} ${place.repo} ${id}`, () => visible(label(place, id)));
}

function milestoneOf(place: Place, id: number): JsonObject {
  return part(`milestone ${place.owner} ${place.repo} ${id}`, () => visible(milestone(place, id)));
}

/** Equal parts of rows are made once. */
function part(key: string, make: () => JsonObject): JsonObject {
  const known = parts.get(key) ?? make();
  parts.set(key, known);
  return known;
}
