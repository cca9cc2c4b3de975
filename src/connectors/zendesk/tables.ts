import {
  frameworkOptions,
  type JsonObject,
  type Listing,
  type OptionSpecs,
  type RequestScope,
  type RestTable,
  isJsonObject,
  objectsAt,
} from '../../sdk/index.ts';
import {childrenOf, cursorListing, type ChildList} from './children.ts';
import {COLUMNS} from './columns.ts';
import {cursorExport, startSeconds, timeExport} from './exports.ts';

const KEEP_DELETED: OptionSpecs = {
  keep_deleted: {
    type: 'boolean',
    default: false,
    description: 'Rows that were deleted at the source stay, with what they say of it, instead of leaving the table.',
  },
};

/** An export by time can begin again before the place that it has reached; one by cursor cannot, and gives all that changed since. */
const LOOKBACK = frameworkOptions(['lookback_seconds']);

/** What orders the changes of a row: the time of the export where rows have it, else that of the last update. */
const BY_EXPORT = {column: 'generated_timestamp', type: 'long'} as const;
const BY_UPDATE = {column: 'updated_at', type: 'timestamp'} as const;

const TICKETS = '/api/v2/incremental/tickets/cursor.json';
const USERS = '/api/v2/incremental/users/cursor.json';
const TICKET_EVENTS = '/api/v2/incremental/ticket_events.json';

/** Tables that are read by an export of what changed. */
const exported: readonly RestTable[] = [
  {
    ...changing('tickets', 'Tickets; the export tells of deleted ones.', 'generated_timestamp'),
    options: KEEP_DELETED,
    read: cursorExport({
      path: TICKETS,
      records: 'tickets',
      deletes: {isDeleted: ({status}) => status === 'deleted', sequence: BY_EXPORT},
    }),
  },
  {
    ...changing('users', 'Users; deleted ones are inactive in the export.', 'updated_at'),
    options: KEEP_DELETED,
    read: cursorExport({
      path: USERS,
      records: 'users',
      deletes: {isDeleted: ({active}) => active === false, sequence: BY_UPDATE},
    }),
  },
  {
    ...changing('organizations', 'Organizations; the export tells of deleted ones.', 'updated_at'),
    options: {...KEEP_DELETED, ...LOOKBACK},
    read: timeExport({
      path: '/api/v2/incremental/organizations.json',
      records: 'organizations',
      deletes: {isDeleted: (row) => typeof row['deleted_at'] === 'string', sequence: BY_UPDATE},
      drain: (_, call) => call.list(cursorListing('/api/v2/organizations.json', 'organizations')),
    }),
  },
  {
    ...changing('ticket_events', 'What happened to tickets, one row per update.', 'created_at'),
    options: LOOKBACK,
    read: timeExport({path: TICKET_EVENTS, records: 'ticket_events'}),
  },
  {
    ...changing('ticket_comments', 'Comments of tickets.', 'created_at'),
    options: LOOKBACK,
    read: timeExport({
      path: TICKET_EVENTS,
      records: 'ticket_events',
      include: 'comment_events',
      rows: (events) => events.flatMap(commentsOf),
    }),
  },
  {
    ...changing('ticket_metric_events', 'Beginnings and ends of what ticket metrics measure.', 'time'),
    options: LOOKBACK,
    read: timeExport({path: '/api/v2/incremental/ticket_metric_events.json', records: 'ticket_metric_events'}),
  },
  {
    ...changing(
      'ticket_metrics',
      'Measures of each ticket, read with the tickets that changed.',
      'generated_timestamp',
    ),
    read: cursorExport({
      path: TICKETS,
      records: 'tickets',
      include: 'metric_sets',
      rows: (tickets, body) => metricsOf(tickets, body),
      deletes: {isDeleted: (row) => row['is_deleted'] === true, sequence: BY_EXPORT},
    }),
  },
  {
    ...changing('user_identities', 'Addresses and accounts by which users are known.', 'updated_at'),
    read: cursorExport({
      path: USERS,
      records: 'users',
      include: 'identities',
      rows: (_, body) => objectsAt(body, 'identities'),
    }),
  },
  {
    ...changing('ticket_audits', 'Audits of tickets that changed: each update with its events.', 'created_at'),
    read: cursorExport({
      path: TICKETS,
      records: 'tickets',
      rows: childrenOf((ticket) => ofTicket(ticket, 'audits', 'audits')),
    }),
  },
  {
    ...changing('side_conversations', 'Side conversations of tickets that changed.', 'updated_at'),
    read: cursorExport({
      path: TICKETS,
      records: 'tickets',
      rows: childrenOf((ticket) => ofTicket(ticket, 'side_conversations', 'side_conversations')),
    }),
  },
  {
    ...changing('side_conversation_events', 'Events of side conversations of tickets that changed.', 'created_at'),
    read: cursorExport({
      path: TICKETS,
      records: 'tickets',
      rows: async (tickets, body, call) => {
        const conversations = await childrenOf((ticket) =>
          ofTicket(ticket, 'side_conversations', 'side_conversations'),
        )(tickets, body, call);
        return childrenOf(({id, ticket_id}) => [
          {
            path: `/api/v2/tickets/${String(ticket_id)}/side_conversations/${String(id)}/events.json`,
            records: 'events',
            columns: {side_conversation_id: id ?? null, ticket_id: ticket_id ?? null},
          },
        ])(conversations, body, call);
      },
    }),
  },
  {
    ...changing('articles', 'Articles of the help center.', 'updated_at'),
    options: LOOKBACK,
    read: timeExport({
      path: '/api/v2/help_center/incremental/articles.json',
      records: 'articles',
      drain: (_, call) => call.list(cursorListing('/api/v2/help_center/articles.json', 'articles')),
    }),
    deletes: {kind: 'keyScan', list: cursorListing('/api/v2/help_center/articles.json', 'articles')},
  },
  {
    ...changing(
      'audit_logs',
      'What was changed in the settings of the account, and by whom (Enterprise).',
      'created_at',
    ),
    read: {
      kind: 'sorted',
      format: 'iso_seconds',
      start: (call) => Promise.resolve(isoOf(startSeconds(call))),
      list: {
        ...cursorListing('/api/v2/audit_logs.json', 'audit_logs'),
        request: ({cursor, config, triggerStartedAt}) => ({
          url: '/api/v2/audit_logs.json',
          query: {
            'page[size]': Number(config['page_size']),
            sort: 'created_at',
            'filter[created_at][]': [cursor ?? isoOf(0), isoOf(Number(triggerStartedAt / 1_000_000n) + 86_400)],
          },
        }),
      },
    },
  },
];

/** A list that is read whole in every trigger. */
interface WholeList {
  readonly name: string;
  readonly description: string;
  /** Below `/api/v2`. Default: the name. */
  readonly path?: string;
  /** Field of the body. Default: the last part of the path. */
  readonly records?: string;
}

/** Lists by cursor. */
const LISTS: readonly WholeList[] = [
  {name: 'groups', description: 'Groups of agents.'},
  {name: 'group_memberships', description: 'Agents in groups.'},
  {name: 'brands', description: 'Brands.'},
  {name: 'brand_agents', description: 'Agents of brands.'},
  {name: 'ticket_fields', description: 'Fields of tickets.'},
  {name: 'ticket_forms', description: 'Forms of tickets.'},
  {name: 'user_fields', description: 'Fields of users.'},
  {name: 'organization_fields', description: 'Fields of organizations.'},
  {name: 'organization_memberships', description: 'Users in organizations.'},
  {name: 'organization_subscriptions', description: 'Users that follow the tickets of organizations.'},
  {name: 'macros', description: 'Macros, inactive ones too.'},
  {name: 'automations', description: 'Automations.'},
  {name: 'triggers', description: 'Triggers of tickets.'},
  {name: 'trigger_categories', description: 'Categories of triggers.'},
  {name: 'views', description: 'Views.'},
  {name: 'satisfaction_ratings', description: 'Ratings of tickets by their requesters.'},
  {name: 'suspended_tickets', description: 'Messages that became no tickets.'},
  {name: 'deleted_tickets', description: 'Tickets deleted in the last 30 days that can be restored.'},
  {name: 'tags', description: 'Tags and how often they were used.'},
  {name: 'ticket_skips', path: 'skips', description: 'Tickets that agents skipped.'},
  {
    name: 'ticket_activities',
    path: 'activities',
    description: 'What happened to the tickets of the user of this connection in the last 30 days.',
  },
  {name: 'categories', path: 'help_center/categories', description: 'Categories of the help center.'},
  {name: 'sections', path: 'help_center/sections', description: 'Sections of the help center.'},
  {name: 'topics', path: 'community/topics', description: 'Topics of the community.'},
  {name: 'posts', path: 'community/posts', description: 'Posts of the community.'},
];

/** Lists without cursor pages: few rows, in one answer or by the address of the next page. */
const SHORT_LISTS: readonly WholeList[] = [
  {name: 'sla_policies', path: 'slas/policies', records: 'sla_policies', description: 'Service level policies.'},
  {
    name: 'group_sla_policies',
    path: 'group_slas/policies',
    records: 'group_sla_policies',
    description: 'Service level policies of groups.',
  },
  {name: 'schedules', path: 'business_hours/schedules', description: 'Business hours.'},
  {name: 'custom_roles', description: 'Roles of agents (Enterprise).'},
  {name: 'custom_statuses', description: 'Statuses of tickets.'},
  {name: 'locales', description: 'Languages of the account.'},
  {name: 'account_attributes', path: 'routing/attributes', description: 'Attributes of skills-based routing.'},
  {name: 'deletion_schedules', description: 'Schedules by which data is deleted.'},
];

/** Lists below each row of another list. */
const CHILDREN: readonly (readonly [
  name: string,
  parent: readonly [path: string, records: string],
  child: string,
  records: string,
  description: string,
])[] = [
  ['article_comments', ['/api/v2/help_center/articles', 'articles'], 'comments', 'comments', 'Comments on articles.'],
  ['article_votes', ['/api/v2/help_center/articles', 'articles'], 'votes', 'votes', 'Votes on articles.'],
  [
    'article_attachments',
    ['/api/v2/help_center/articles', 'articles'],
    'attachments',
    'article_attachments',
    'Files of articles.',
  ],
  ['post_comments', ['/api/v2/community/posts', 'posts'], 'comments', 'comments', 'Comments on posts.'],
  ['post_votes', ['/api/v2/community/posts', 'posts'], 'votes', 'votes', 'Votes on posts.'],
];

/** Every table of the connector. */
export const tables: readonly RestTable[] = [
  ...exported.map((table) => ({...table, options: {...startOf(table), ...table.options}})),
  ...LISTS.map((list) => whole(list, (url, records) => cursorListing(url, records))),
  ...SHORT_LISTS.map((list) =>
    whole(list, (url, records) => ({
      request: {url},
      paginator: {kind: 'nextUrl', from: {body: 'next_page'}},
      records,
    })),
  ),
  ...CHILDREN.map(([name, [path, parents], child, records, description]) => ({
    ...snapshot(name, description),
    partitions: {kind: 'parent' as const, list: cursorListing(`${path}.json`, parents), values: {id: 'id'}},
    read: {
      kind: 'snapshot' as const,
      list: {
        ...cursorListing('', records),
        request: ({parent, config}: RequestScope) => ({
          url: `${path}/${String(parent['id'])}/${child}.json`,
          query: {'page[size]': Number(config['page_size'])},
        }),
      },
    },
  })),
];

/** Where the first read begins: plans of the framework declare it themselves. */
function startOf({read}: RestTable): OptionSpecs {
  return read.kind === 'custom' ? frameworkOptions(['start_timestamp']) : {};
}

function whole(
  {name, description, path = name, records = path.split('/').at(-1) ?? path}: WholeList,
  listing: (url: string, records: string) => Listing,
): RestTable {
  return {
    ...snapshot(name, description),
    read: {kind: 'snapshot', list: listing(`/api/v2/${path}.json`, records)},
  };
}

function snapshot(name: string, description: string): Omit<RestTable, 'read'> {
  return {
    name,
    description,
    primaryKeys: [name === 'tags' ? 'name' : 'id'],
    ingestionType: 'snapshot',
    schema: COLUMNS[name] ?? '',
  };
}

function changing(name: string, description: string, cursorField: string): Omit<RestTable, 'read'> {
  return {name, description, primaryKeys: ['id'], cursorField, ingestionType: 'cdc', schema: COLUMNS[name] ?? ''};
}

/** A list below a ticket; deleted tickets have none. */
function ofTicket({id, status}: JsonObject, child: string, records: string): readonly ChildList[] {
  return status === 'deleted' ? [] : [{path: `/api/v2/tickets/${String(id)}/${child}.json`, records}];
}

/** Comments among the events of one update. */
function commentsOf(event: JsonObject): readonly JsonObject[] {
  return objectsAt(event, 'child_events')
    .filter((child) => child['event_type'] === 'Comment' || child['type'] === 'Comment')
    .map((child) => ({
      ...child,
      type: 'Comment',
      ticket_id: event['ticket_id'] ?? null,
      audit_id: child['audit_id'] ?? event['id'] ?? null,
      created_at: child['created_at'] ?? event['created_at'] ?? null,
    }));
}

/** Metric sets of tickets, which come within each ticket or beside them. */
function metricsOf(tickets: readonly JsonObject[], body: JsonObject): readonly JsonObject[] {
  const beside = new Map(objectsAt(body, 'metric_sets').map((row) => [row['ticket_id'], row]));
  return tickets.flatMap((ticket) => {
    const within = ticket['metric_set'];
    const metrics = isJsonObject(within) ? within : beside.get(ticket['id']);
    if (metrics === undefined) return [];
    const {generated_timestamp: time = null, status, id = null} = ticket;
    return [{...metrics, ticket_id: id, generated_timestamp: time, is_deleted: status === 'deleted'}];
  });
}

function isoOf(seconds: number): string {
  return `${new Date(seconds * 1000).toISOString().slice(0, 19)}Z`;
}
