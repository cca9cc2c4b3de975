import type {JsonObject} from '../../core/json-value.ts';
import {simulate, type Simulator} from '../../simulator/index.ts';
import {
  proofClock,
  type ConnectorProof,
  type ProofMutations,
  type ProofSource,
  type ProofStart,
  type ProofTable,
  simulatedFault,
} from '../../testkit/index.ts';
import {zendesk} from './index.ts';
import {freshRow, SIMULATED_LOGIN, type ZendeskSize, zendeskSimulator} from './simulator-api.ts';
import {eventView, visible} from './simulator-exports.ts';
import {ZENDESK_FAULTS} from './simulator-faults.ts';
import {idOf, isoOf} from './simulator-rows.ts';
import {ZENDESK_WRITES} from './simulator-writeback.ts';

export {zendeskSimulator} from './simulator-api.ts';

/** Rows of a page in proofs: small, so that few rows are many pages. */
const PAGE_SIZE = 5;
const ROWS = 12;
const MANY = 500;
/** The vendor does not export what changed in the last minute. */
const EXPORT_DELAY_MS = 65_000;

const sources = new WeakMap<ProofSource, Simulator>();
const numbers = new WeakMap<Simulator, number>();

/** Sets of rows whose table has another name. */
const SETS: Readonly<Record<string, string>> = {
  ticket_skips: 'skips',
  ticket_activities: 'activities',
  account_attributes: 'attributes',
};

const LISTS: readonly string[] =
  'groups group_memberships brands brand_agents ticket_fields ticket_forms user_fields organization_fields organization_memberships organization_subscriptions macros automations triggers trigger_categories views satisfaction_ratings suspended_tickets deleted_tickets tags ticket_skips ticket_activities categories sections topics posts'.split(
    ' ',
  );
const SHORT_LISTS: readonly string[] =
  'sla_policies group_sla_policies schedules custom_roles custom_statuses locales account_attributes deletion_schedules'.split(
    ' ',
  );
const CHILDREN: readonly (readonly [table: string, parents: string, field: string])[] = [
  ['article_comments', 'articles', 'source_id'],
  ['article_votes', 'articles', 'item_id'],
  ['article_attachments', 'articles', 'article_id'],
  ['post_comments', 'posts', 'post_id'],
  ['post_votes', 'posts', 'item_id'],
];

/** Everything that is proved of the connector. */
export const zendeskProof: ConnectorProof = {
  definition: zendesk,
  start: async (options) => sourceOf(await simulate(zendeskSimulator(sizeOf(options)))),
  tables: withWrites({
    tickets: softly('tickets', {status: 'open'}),
    users: softly('users', {active: true}),
    organizations: {
      ...softly('organizations', {deleted_: false, deleted_at: null}),
      pagingStyle: 'time',
      unfilled: {deleted_at: 'organizations that have it leave the table'},
    },
    ticket_events: {
      pagingStyle: 'time',
      visibleAfterMs: EXPORT_DELAY_MS,
      truth: (source) => rowsOf(source, 'ticket_events').map((row) => eventView(row, {query: new URLSearchParams()})),
      mutations: {insert: (source, count) => insertApart(source, 'ticket_events', count)},
    },
    ticket_comments: {
      pagingStyle: 'time',
      visibleAfterMs: EXPORT_DELAY_MS,
      truth: (source) => simulatorOf(source).collection('ticket_events').rows().flatMap(commentRows),
      mutations: {insert: (source, count) => insertApart(source, 'ticket_events', count)},
    },
    ticket_metric_events: {
      pagingStyle: 'time',
      visibleAfterMs: EXPORT_DELAY_MS,
      truth: (source) => rowsOf(source, 'ticket_metric_events'),
      mutations: {insert: (source, count) => insertApart(source, 'ticket_metric_events', count)},
    },
    ticket_metrics: {
      pagingStyle: 'token',
      visibleAfterMs: EXPORT_DELAY_MS,
      tracksDeletes: true,
      truth: metricRows,
      mutations: {
        insert: (source, count) =>
          insert(source, 'tickets', count, (number) =>
            insertRow(source, 'ticket_metrics', number, {ticket_id: idOf('tickets', number)}),
          ),
        update: (source, count) =>
          touching(source, {
            set: 'ticket_metrics',
            count,
            ticketOf: (row) => row['ticket_id'],
            fields: (n) => ({replies: n}),
          }),
        delete: (source, count) => listed('tickets').delete(source, count),
      },
    },
    user_identities: {
      pagingStyle: 'token',
      visibleAfterMs: EXPORT_DELAY_MS,
      truth: (source) => rowsOf(source, 'user_identities'),
      mutations: {
        insert: (source, count) => {
          for (let at = 0; at < count; at++) {
            const user = liveId(source, 'users', at);
            insertRow(source, 'user_identities', freshNumber(source), {user_id: user});
            touch(source, 'users', user);
          }
        },
      },
    },
    ticket_audits: ofTickets('ticket_audits', (source, at) => ({ticket_id: liveId(source, 'tickets', at)})),
    side_conversations: ofTickets('side_conversations', (source, at) => ({ticket_id: liveId(source, 'tickets', at)})),
    side_conversation_events: ofTickets('side_conversation_events', (source, at) => {
      const tickets = new Set(rowsOf(source, 'tickets').map((row) => row['id']));
      const open = rowsOf(source, 'side_conversations').filter((row) => tickets.has(row['ticket_id']));
      const conversation = open[at % open.length] ?? {};
      return {side_conversation_id: conversation['id'] ?? null, ticket_id: conversation['ticket_id'] ?? null};
    }),
    articles: {
      pagingStyle: 'time',
      visibleAfterMs: EXPORT_DELAY_MS,
      configuration: {hardDeletionSyncMinIntervalSeconds: 0},
      truth: (source) => rowsOf(source, 'articles'),
      mutations: {...listed('articles'), ties: (source, count) => insert(source, 'articles', count)},
    },
    audit_logs: {
      pagingStyle: 'cursor',
      truth: (source) => rowsOf(source, 'audit_logs'),
      mutations: {
        insert: (source, count) => insert(source, 'audit_logs', count),
        ties: (source, count) => insert(source, 'audit_logs', count),
      },
    },
    ...Object.fromEntries(LISTS.map((table) => [table, ofList(table, 'cursor')])),
    ...Object.fromEntries(SHORT_LISTS.map((table) => [table, ofList(table, 'none')])),
    ...Object.fromEntries(CHILDREN.map(([table, parents, field]) => [table, ofParents(table, parents, field)])),
  }),
};

function withWrites(tables: ConnectorProof['tables']): ConnectorProof['tables'] {
  return Object.fromEntries(
    Object.entries(tables).map(([name, table]) => {
      const writes = ZENDESK_WRITES[name];
      return [name, writes === undefined ? table : {...table, writes}];
    }),
  );
}

/** Many rows are for measuring: nothing is limited. */
function sizeOf({rows = ROWS, table}: ProofStart): ZendeskSize {
  const isUnlimited = rows > MANY;
  return table === undefined ? {rows, isUnlimited} : {rows: ROWS, rowsOf: {[SETS[table] ?? table]: rows}, isUnlimited};
}

function sourceOf(simulator: Simulator): ProofSource {
  const source: ProofSource = {
    connectionOptions: {
      base_url: simulator.url,
      email: SIMULATED_LOGIN.email,
      api_token: SIMULATED_LOGIN.apiToken,
      page_size: PAGE_SIZE,
      export_page_size: PAGE_SIZE,
    },
    wrongCredentials: {api_token: 'a-token-of-nobody'},
    clock: proofClock(simulator.clock),
    faults: ZENDESK_FAULTS.map((fault) => simulatedFault(simulator, fault)),
    violations: () => simulator.violations.map(({limit, path}) => `${path} came above the limit ${limit}`),
    requestCount: () => simulator.requestCount,
    [Symbol.asyncDispose]: () => simulator.close(),
  };
  sources.set(source, simulator);
  return source;
}

function simulatorOf(source: ProofSource): Simulator {
  const simulator = sources.get(source);
  if (simulator === undefined) throw new Error('This source was not started by the proof of zendesk.');
  return simulator;
}

/** A table of an export by cursor whose rows are deleted by a mark. */
function softly(set: string, restored: JsonObject): ProofTable {
  return {
    pagingStyle: 'token',
    visibleAfterMs: EXPORT_DELAY_MS,
    tracksDeletes: true,
    truth: (source) => rowsOf(source, set),
    mutations: {
      ...listed(set, restored),
      ties: (source, count) => insert(source, set, count),
    },
  };
}

/** Rows below tickets: their tickets change with them. */
function ofTickets(set: string, fields: (source: ProofSource, at: number) => JsonObject): ProofTable {
  return {
    pagingStyle: 'token',
    visibleAfterMs: EXPORT_DELAY_MS,
    truth: (source) => rowsOf(source, set),
    mutations: {
      insert: (source, count) => {
        for (let at = 0; at < count; at++) {
          const row = insertRow(source, set, freshNumber(source), fields(source, at));
          touch(source, 'tickets', Number(row['ticket_id']));
        }
      },
    },
  };
}

/** A list that is read whole. */
function ofList(table: string, pagingStyle: string): ProofTable {
  const set = SETS[table] ?? table;
  return {pagingStyle, truth: (source) => rowsOf(source, set), mutations: listed(set)};
}

/** Lists below each row of another list. */
function ofParents(set: string, parents: string, field: string): ProofTable {
  return {
    pagingStyle: 'parents',
    isPartitioned: true,
    truth: (source) => {
      const known = new Set(rowsOf(source, parents).map((row) => row['id']));
      return rowsOf(source, set).filter((row) => known.has(row[field]));
    },
    mutations: listed(set),
  };
}

function listed(set: string, restored: JsonObject = {}): ProofMutations & Required<Pick<ProofMutations, 'delete'>> {
  return {
    insert: (source, count) => insert(source, set, count),
    update: (source, count) => {
      const all = simulatorOf(source).collection(set);
      for (const row of spread(all.rows(), count))
        all.update(all.keyOf(row), changed(row, all.events().length, source));
    },
    delete: (source, count) => {
      const all = simulatorOf(source).collection(set);
      for (const row of spread(all.rows(), count)) all.delete(all.keyOf(row));
    },
    recreate: (source, count) => {
      const all = simulatorOf(source).collection(set);
      for (const {row} of all.tombstones().slice(0, count))
        if (all.get(all.keyOf(row)) === undefined) all.insert({...row, ...restored});
    },
  };
}

/** Another value in some text of the row. */
function changed(row: JsonObject, number: number, source: ProofSource): JsonObject {
  const field =
    ['url', 'subject', 'title'].find((name) => row[name] !== undefined) ??
    (row['count'] === undefined ? 'name' : 'count');
  const times = row['updated_at'] === undefined ? {} : {updated_at: isoOf(secondsOf(source))};
  return {[field]: field === 'count' ? 1000 + number : `changed ${number}`, ...times};
}

function insert(
  source: ProofSource,
  set: string,
  count: number,
  then: (number: number) => void = () => undefined,
): void {
  for (let at = 0; at < count; at++) {
    const number = freshNumber(source);
    insertRow(source, set, number);
    then(number);
  }
}

/** Rows of different seconds: more than a page of one second cannot be exported. */
function insertApart(source: ProofSource, set: string, count: number): void {
  for (let at = 0; at < count; at++) {
    insertRow(source, set, freshNumber(source));
    source.clock.advance(1000);
  }
}

function insertRow(source: ProofSource, set: string, number: number, fields: JsonObject = {}): JsonObject {
  return simulatorOf(source)
    .collection(set)
    .insert({...freshRow(set, number, secondsOf(source)), ...fields});
}

/** The id of some row that is not deleted. */
function liveId(source: ProofSource, set: string, at: number): number {
  const all = rowsOf(source, set);
  return Number(all[at % all.length]?.['id']);
}

function touch(source: ProofSource, set: string, id: number): void {
  simulatorOf(source)
    .collection(set)
    .update(id, {updated_at: isoOf(secondsOf(source))});
}

interface Touching {
  readonly set: string;
  readonly count: number;
  readonly ticketOf: (row: JsonObject) => unknown;
  readonly fields: (number: number) => JsonObject;
}

function touching(source: ProofSource, {set, count, ticketOf, fields}: Touching): void {
  const simulator = simulatorOf(source);
  const all = simulator.collection(set);
  const live = new Set(
    simulator
      .collection('tickets')
      .rows()
      .map((row) => row['id']),
  );
  const rows = all.rows().filter((row) => live.has(row['ticket_id']));
  for (const row of spread(rows, count)) {
    all.update(all.keyOf(row), fields(1000 + all.events().length));
    touch(source, 'tickets', Number(ticketOf(row)));
  }
}

function rowsOf(source: ProofSource, set: string): readonly JsonObject[] {
  return simulatorOf(source).collection(set).rows().map(visible);
}

function metricRows(source: ProofSource): readonly JsonObject[] {
  const tickets = new Map(rowsOf(source, 'tickets').map((row) => [row['id'], row]));
  return rowsOf(source, 'ticket_metrics').flatMap((row) => {
    const ticket = tickets.get(row['ticket_id']);
    return ticket === undefined ? [] : [{...row, generated_timestamp: ticket['generated_timestamp'] ?? null}];
  });
}

function commentRows(event: JsonObject): readonly JsonObject[] {
  const comments = event['comments_'];
  return Array.isArray(comments)
    ? (comments as readonly JsonObject[]).map((comment) => ({
        ...comment,
        ticket_id: event['ticket_id'] ?? null,
        created_at: event['created_at'] ?? null,
      }))
    : [];
}

/** Some of every page. */
function spread(all: readonly JsonObject[], count: number): readonly JsonObject[] {
  const wanted = Math.min(count, all.length);
  return Array.from({length: wanted}, (_, at) => all[Math.floor((at * all.length) / wanted)]).filter(
    (row) => row !== undefined,
  );
}

function secondsOf(source: ProofSource): number {
  return Math.floor(simulatorOf(source).clock.stampMs() / 1000);
}

function freshNumber(source: ProofSource): number {
  const simulator = simulatorOf(source);
  const number = (numbers.get(simulator) ?? 1000) + 1;
  numbers.set(simulator, number);
  return number;
}
