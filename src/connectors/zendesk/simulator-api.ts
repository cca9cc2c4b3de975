import type {JsonObject} from '../../core/json-value.ts';
import {
  json,
  type CollectionSpec,
  type EndpointSpec,
  type ParamSpec,
  type RateLimitSpec,
  type SeedContext,
  type SimulatorSpec,
} from '../../simulator/index.ts';
import {exportEndpoints, visible} from './simulator-exports.ts';
import {idOf, isoOf, SIMULATED_SETS, simulatedRow} from './simulator-rows.ts';
import {ticketWriteEndpoints} from './simulator-ticket-writes.ts';
import {ticketRow} from './simulator-tickets.ts';
import {writeEndpoints} from './simulator-writes.ts';

/** Logins that the simulator takes. */
export const SIMULATED_LOGIN = {
  email: 'admin@example.com',
  apiToken: 'zendesk-api-token-simulated',
  clientId: 'sluice',
  clientSecret: 'zendesk-client-secret-simulated',
  refreshToken: 'zendesk-refresh-token-simulated',
} as const;

const UNAUTHORIZED = {status: 401, body: {error: "Couldn't authenticate you"}};

/** How large a simulated account is. */
export interface ZendeskSize {
  /** Rows of each set. Default 15. */
  readonly rows?: number;
  /** Of these sets another number. */
  readonly rowsOf?: Readonly<Record<string, number>>;
  /** No budgets at all. Default false. */
  readonly isUnlimited?: boolean;
}

/** An API that behaves like Zendesk's: exports, cursor pages, budgets, rotating tokens. */
export function zendeskSimulator({rows = 15, rowsOf = {}, isUnlimited = false}: ZendeskSize = {}): SimulatorSpec {
  return {
    name: 'Zendesk',
    auth: {
      kind: 'any',
      of: [
        {
          kind: 'basic',
          users: [{username: `${SIMULATED_LOGIN.email}/token`, password: SIMULATED_LOGIN.apiToken}],
          unauthorized: UNAUTHORIZED,
        },
        {
          kind: 'oauth2',
          tokenPath: '/oauth/tokens',
          grants: ['refresh_token'],
          clients: [{id: SIMULATED_LOGIN.clientId, secret: SIMULATED_LOGIN.clientSecret}],
          clientAuth: 'body',
          refreshTokens: [SIMULATED_LOGIN.refreshToken],
          rotates: true,
          lifetimeSeconds: 1800,
          unauthorized: UNAUTHORIZED,
        },
      ],
    },
    errors: {
      noRoute: {status: 404, body: {error: 'InvalidEndpoint', description: 'Not found'}},
      notFound: {status: 404, body: {error: 'RecordNotFound', description: 'Not found'}},
      badRequest: {status: 400, body: {error: 'InvalidValue', description: '{message}'}},
    },
    rateLimits: isUnlimited ? [] : RATE_LIMITS,
    collections: collectionsOf((set) => rowsOf[set] ?? rows),
    endpoints: [
      {path: '/api/v2/users/me.json', handler: () => json({user: {id: 1, role: 'admin'}})},
      ...exportEndpoints(),
      ...writeEndpoints(rowOf),
      ...ticketWriteEndpoints(rowOf),
      ...PATHS.map(([path, set]) => cursorList(path, set)),
      ...SHORT_PATHS.map(([path, set]) => shortList(path, set)),
      ...CHILD_PATHS.map(([path, set, scope, records]) => cursorList(path, set, {scope, records})),
      auditLogs(),
    ],
  };
}

const RATE_LIMITS: readonly RateLimitSpec[] = [
  {
    name: 'exports',
    paths: ['/api/v2/incremental/*', '/api/v2/help_center/incremental/*'],
    windowMs: 60_000,
    max: 10,
    headers: {
      'zendesk-ratelimit-incremental-exports': 'total={limit}; remaining={remaining}; resets={resetSeconds}',
    },
    exceeded: {status: 429, headers: {'retry-after': '{resetSeconds}'}, body: {error: 'TooManyRequests'}},
  },
  {
    name: 'account',
    windowMs: 60_000,
    max: 700,
    headers: {
      'x-rate-limit': '{limit}',
      'x-rate-limit-remaining': '{remaining}',
      'ratelimit-limit': '{limit}',
      'ratelimit-remaining': '{remaining}',
      'ratelimit-reset': '{resetSeconds}',
    },
    exceeded: {status: 429, headers: {'retry-after': '{resetSeconds}'}, body: {error: 'TooManyRequests'}},
  },
];

/** Lists with cursor pages: path and set of rows, which is the field of the body too. */
const PATHS: readonly (readonly [path: string, set: string])[] = [
  ...[
    'groups',
    'group_memberships',
    'brands',
    'brand_agents',
    'ticket_fields',
    'ticket_forms',
    'user_fields',
    'organization_fields',
    'organization_memberships',
    'organization_subscriptions',
    'organizations',
    'macros',
    'automations',
    'triggers',
    'trigger_categories',
    'views',
    'satisfaction_ratings',
    'suspended_tickets',
    'deleted_tickets',
    'tags',
    'skips',
    'activities',
  ].map((set) => [`/api/v2/${set}.json`, set] as const),
  ['/api/v2/help_center/articles.json', 'articles'],
  ['/api/v2/help_center/categories.json', 'categories'],
  ['/api/v2/help_center/sections.json', 'sections'],
  ['/api/v2/community/topics.json', 'topics'],
  ['/api/v2/community/posts.json', 'posts'],
];

const SHORT_PATHS: readonly (readonly [path: string, set: string])[] = [
  ['/api/v2/slas/policies.json', 'sla_policies'],
  ['/api/v2/group_slas/policies.json', 'group_sla_policies'],
  ['/api/v2/business_hours/schedules.json', 'schedules'],
  ['/api/v2/custom_roles.json', 'custom_roles'],
  ['/api/v2/custom_statuses.json', 'custom_statuses'],
  ['/api/v2/locales.json', 'locales'],
  ['/api/v2/routing/attributes.json', 'attributes'],
  ['/api/v2/deletion_schedules.json', 'deletion_schedules'],
];

/** Lists below another object: path, set of rows, which parameter of the path is which field, field of the body. */
const CHILD_PATHS: readonly (readonly [string, string, Readonly<Record<string, string>>, string])[] = [
  ['/api/v2/tickets/{ticket}/audits.json', 'ticket_audits', {ticket: 'ticket_id'}, 'audits'],
  [
    '/api/v2/tickets/{ticket}/side_conversations.json',
    'side_conversations',
    {ticket: 'ticket_id'},
    'side_conversations',
  ],
  [
    '/api/v2/tickets/{ticket}/side_conversations/{id}/events.json',
    'side_conversation_events',
    {ticket: 'ticket_id', id: 'side_conversation_id'},
    'events',
  ],
  ['/api/v2/help_center/articles/{id}/comments.json', 'article_comments', {id: 'source_id'}, 'comments'],
  ['/api/v2/help_center/articles/{id}/votes.json', 'article_votes', {id: 'item_id'}, 'votes'],
  [
    '/api/v2/help_center/articles/{id}/attachments.json',
    'article_attachments',
    {id: 'article_id'},
    'article_attachments',
  ],
  ['/api/v2/community/posts/{id}/comments.json', 'post_comments', {id: 'post_id'}, 'comments'],
  ['/api/v2/community/posts/{id}/votes.json', 'post_votes', {id: 'item_id'}, 'votes'],
];

const CURSOR_PARAMS: Readonly<Record<string, ParamSpec>> = {
  'page[size]': {role: 'limit', default: 100, max: 100, above: 'error'},
  'page[after]': {role: 'cursor'},
};

function cursorList(
  path: string,
  set: string,
  {scope = {}, records = set}: {readonly scope?: Readonly<Record<string, string>>; readonly records?: string} = {},
): EndpointSpec {
  return {
    path,
    list: set,
    scope,
    params: CURSOR_PARAMS,
    paging: {
      style: 'cursor',
      hasMore: {body: 'meta.has_more'},
      next: {body: 'meta.after_cursor'},
      whenLast: 'null',
    },
    wrap: {records},
    map: (row) => visible(row),
  };
}

function shortList(path: string, set: string): EndpointSpec {
  return {
    path,
    list: set,
    params: {per_page: {role: 'limit', default: 100, max: 100}, page: {role: 'page', first: 1}},
    paging: {
      style: 'page',
      pageSize: 100,
      total: {body: 'count'},
      next: {body: 'next_page'},
      nextAs: 'url',
      whenLast: 'null',
    },
    wrap: {records: set},
    map: (row) => visible(row),
  };
}

function auditLogs(): EndpointSpec {
  const list = cursorList('/api/v2/audit_logs.json', 'audit_logs');
  if (!('list' in list)) return list;
  return {
    ...list,
    params: {
      ...CURSOR_PARAMS,
      sort: {role: 'sort', options: {created_at: 'created_at'}},
      'filter[created_at][]': {role: 'filter', field: 'created_at', op: 'between'},
    },
  };
}

/** How the rows of a set change. */
const CHANGES: Readonly<Record<string, Partial<CollectionSpec>>> = {
  tickets: {
    updatedAt: {field: 'generated_timestamp', format: 'epochSeconds'},
    deletes: {field: 'status', value: 'deleted'},
  },
  users: {updatedAt: {field: 'updated_at', format: 'isoSeconds'}, deletes: {field: 'active', value: false}},
  organizations: {
    updatedAt: {field: 'updated_at', format: 'isoSeconds'},
    deletes: {field: 'deleted_', value: true, at: {field: 'deleted_at', format: 'isoSeconds'}},
  },
  articles: {updatedAt: {field: 'updated_at', format: 'isoSeconds'}},
};

/** Sets of rows with numbers that refer to tickets, articles and posts. */
function rowOf(set: string, number: number, seconds: number): JsonObject {
  if (set === 'tickets') return ticketRow(number, seconds);
  const row = simulatedRow(set, number, seconds);
  const ticket = idOf('tickets', 1 + (number % 7));
  switch (set) {
    case 'ticket_events':
      return {...row, ticket_id: ticket, comments_: [commentOf(row, number)]};
    case 'ticket_audits':
    case 'side_conversations':
      return {...row, ticket_id: ticket};
    case 'side_conversation_events':
      return {...row, ticket_id: ticket, side_conversation_id: `side_conversations-${number}`};
    case 'ticket_metrics':
      return {...row, ticket_id: idOf('tickets', number)};
    case 'user_identities':
      return {...row, user_id: idOf('users', 1 + (number % 7))};
    case 'article_comments':
      return {...row, source_id: idOf('articles', 1 + (number % 5))};
    case 'article_votes':
      return {...row, item_id: idOf('articles', 1 + (number % 5))};
    case 'article_attachments':
      return {...row, article_id: idOf('articles', 1 + (number % 5))};
    case 'post_comments':
      return {...row, post_id: idOf('posts', 1 + (number % 5))};
    case 'post_votes':
      return {...row, item_id: idOf('posts', 1 + (number % 5))};
    default:
      return row;
  }
}

/** A further row of a set, as the simulator makes its first ones. */
export function freshRow(set: string, number: number, seconds: number): JsonObject {
  return rowOf(set, number, seconds);
}

function commentOf(event: JsonObject, number: number): JsonObject {
  return {
    id: Number(event['id']) + 700_000,
    event_type: 'Comment',
    type: 'Comment',
    author_id: 100 + number,
    body: `Comment ${number}`,
    html_body: `<p>Comment ${number}</p>`,
    plain_body: `Comment ${number}`,
    public: number % 2 === 0,
    audit_id: event['id'] ?? null,
    attachments: [],
    via: {channel: 'web'},
    metadata: {system: {client: 'browser'}},
  };
}

const START_STEP_SECONDS = 60;

/** The first rows: three share each second, all are hours old. */
function collectionsOf(countOf: (set: string) => number): Readonly<Record<string, CollectionSpec>> {
  return Object.fromEntries(
    SIMULATED_SETS.map((set): [string, CollectionSpec] => [
      set,
      {
        key: set === 'tags' ? 'name' : 'id',
        ...CHANGES[set],
        rows: (context) => firstRows(set, countOf(set), context),
      },
    ]),
  );
}

const made = new Map<string, readonly JsonObject[]>();

/** Equal starts have equal rows, and the suites start many. */
function firstRows(set: string, count: number, {nowMs}: SeedContext): readonly JsonObject[] {
  const key = `${set} ${count} ${nowMs}`;
  const known = made.get(key);
  if (known !== undefined) return known;
  // Very many begin earlier, lest they lie in the future.
  const start = Math.floor(nowMs / 1000) - Math.max(86_400, Math.ceil(count / 3) * START_STEP_SECONDS + 3600);
  const rows = Array.from({length: count}, (_, at) =>
    rowOf(set, at + 1, start + Math.floor(at / 3) * START_STEP_SECONDS),
  );
  made.set(key, set === 'organizations' ? withDeleted(rows, start) : rows);
  return made.get(key) ?? rows;
}

/** One organization was deleted before anybody looked. */
function withDeleted(rows: readonly JsonObject[], seconds: number): readonly JsonObject[] {
  return rows.map((row, at) => (at === 0 ? {...row, deleted_: true, deleted_at: isoOf(seconds)} : row));
}
