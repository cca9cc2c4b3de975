import type {JsonObject, JsonValue} from '../../core/json-value.ts';
import type {ProofApi, ProofWrites} from '../../testkit/index.ts';

/** Rows of one address: what a create gives, and what a change. */
interface ListWrites {
  readonly path: string;
  readonly single: string;
  readonly create: (mark: string, api: ProofApi) => JsonObject | Promise<JsonObject>;
  readonly change?: JsonObject;
  /** Columns to look at. Default: those of the create. */
  readonly columns?: readonly string[];
  /** False: rows cannot be deleted. Default true. */
  readonly deletes?: boolean;
}

const OPEN = {field: 'status', operator: 'is', value: 'open'};
const SET_OPEN = [{field: 'status', value: 'open'}];
const SECOND = {description: 'second text'};

const LISTS: Readonly<Record<string, ListWrites>> = {
  organizations: {
    path: 'organizations',
    single: 'organization',
    create: (mark) => ({name: mark, notes: 'first text'}),
    change: {notes: 'second text'},
  },
  groups: list('group', (name) => ({name, description: 'first text'}), SECOND),
  brands: list('brand', (mark) => ({name: mark, subdomain: mark}), {signature_template: 'second text'}),
  ticket_fields: list('ticket_field', (title) => ({type: 'text', title, description: 'first text'}), SECOND),
  user_fields: field('user_field'),
  organization_fields: field('organization_field'),
  ticket_forms: list('ticket_form', (name) => ({name, display_name: 'first text'}), {display_name: 'second text'}),
  organization_memberships: list('organization_membership', member),
  organization_subscriptions: list('organization_subscription', member),
  macros: {
    ...list('macro', (title) => ({title, description: 'first text', actions: SET_OPEN}), SECOND),
    columns: ['title', 'description'],
  },
  automations: rule('automation', [OPEN, {field: 'OPEN', operator: 'greater_than', value: '500'}]),
  triggers: rule('trigger', [OPEN]),
  trigger_categories: {
    ...list('trigger_category', (name) => ({name}), {name: 'sluice-test second name'}),
    path: 'trigger_categories',
  },
  views: {
    ...list('view', (title) => ({title, description: 'first text', all: [OPEN]}), SECOND),
    columns: ['title', 'description'],
  },
  custom_roles: list('custom_role', (name) => ({name, description: 'first text'}), SECOND),
  custom_statuses: {
    path: 'custom_statuses',
    single: 'custom_status',
    create: (mark) => ({status_category: 'open', agent_label: mark.slice(0, 40)}),
    change: SECOND,
    deletes: false,
  },
  sla_policies: {
    path: 'slas/policies',
    single: 'sla_policy',
    create: (title) => ({
      title,
      description: 'first text',
      filter: {all: [{field: 'type', operator: 'is', value: 'incident'}], any: []},
      policy_metrics: [{priority: 'normal', metric: 'first_reply_time', target: 30, business_hours: false}],
    }),
    change: SECOND,
    columns: ['title', 'description'],
  },
  schedules: {
    path: 'business_hours/schedules',
    single: 'schedule',
    create: (name) => ({name, time_zone: 'Berlin'}),
    change: {time_zone: 'London'},
  },
  categories: {
    path: 'help_center/categories',
    single: 'category',
    create: (name) => ({name, description: 'first text', locale: 'en-us'}),
    change: {position: 7},
  },
  topics: {
    path: 'community/topics',
    single: 'topic',
    create: (name) => ({name, description: 'first text'}),
    change: SECOND,
  },
  posts: {
    path: 'community/posts',
    single: 'post',
    create: async (title, api) => {
      const topic = await create(api, 'community/topics', 'topic', {name: title});
      return {title, details: 'first text', topic_id: topic['id'] ?? null};
    },
    change: {details: 'second text'},
    columns: ['title', 'topic_id'],
  },
};

/**
 * What is written to Zendesk to see whether it is read. Tables that are not here have no endpoint that makes a row by itself, or
 * record what people do (skips, activities, ratings, votes, suspended tickets).
 */
export const ZENDESK_WRITES: Readonly<Record<string, ProofWrites>> = {
  ...Object.fromEntries(Object.entries(LISTS).map(([name, one]) => [name, writesOf(one)])),
  tickets: {
    async insert(_, api) {
      const {ticket} = await newTicket(api);
      return columns(ticket, ['id', 'subject', 'priority', 'description']);
    },
    async update(_, {id}, api) {
      await change(api, `tickets/${text(id)}`, 'ticket', {priority: 'urgent', tags: ['sluice-test']});
      return {priority: 'urgent', tags: ['sluice-test']};
    },
    delete: (_, {id}, api) => remove(api, `tickets/${text(id)}`),
  },
  ticket_metrics: {
    async insert(_, api) {
      const {ticket} = await newTicket(api);
      const {ticket_metric: metrics} = await api.send({url: `/api/v2/tickets/${text(ticket['id'])}/metrics`});
      return columns(objectOf(metrics), ['id', 'ticket_id']);
    },
    delete: (_, row, api) => remove(api, `tickets/${text(row['ticket_id'])}`),
  },
  ticket_audits: {
    async insert(_, api) {
      const {audit} = await newTicket(api);
      return columns(audit, ['id', 'ticket_id']);
    },
    cleanUp: (_, row, api) => remove(api, `tickets/${text(row['ticket_id'])}`),
  },
  ticket_events: {
    async insert(_, api) {
      const {audit} = await newTicket(api);
      return columns(audit, ['id', 'ticket_id']);
    },
    cleanUp: (_, row, api) => remove(api, `tickets/${text(row['ticket_id'])}`),
  },
  ticket_comments: {
    async insert(_, api) {
      const {ticket} = await newTicket(api);
      const body = api.mark();
      const {audit} = await change(api, `tickets/${text(ticket['id'])}`, 'ticket', {comment: {body}});
      const comment = listIn(objectOf(audit), 'events').find((event) => event['type'] === 'Comment') ?? {};
      return {id: comment['id'] ?? null, ticket_id: ticket['id'] ?? null, plain_body: body};
    },
    cleanUp: (_, row, api) => remove(api, `tickets/${text(row['ticket_id'])}`),
  },
  deleted_tickets: {
    async insert(_, api) {
      const {ticket} = await newTicket(api);
      await remove(api, `tickets/${text(ticket['id'])}`);
      return columns(ticket, ['id', 'subject']);
    },
    delete: (_, {id}, api) => remove(api, `deleted_tickets/${text(id)}`),
  },
  users: {
    async insert(_, api) {
      return columns(await newUser(api), ['id', 'name', 'email', 'active']);
    },
    async update(_, {id}, api) {
      await change(api, `users/${text(id)}`, 'user', {notes: 'second text'});
      return {notes: 'second text'};
    },
    delete: (_, {id}, api) => remove(api, `users/${text(id)}`),
  },
  user_identities: {
    async insert(_, api) {
      const user = await newUser(api);
      const value = `${api.mark()}@example.com`;
      const made = await create(api, `users/${text(user['id'])}/identities`, 'identity', {type: 'email', value});
      return columns(made, ['id', 'user_id', 'type', 'value']);
    },
    cleanUp: (_, row, api) => remove(api, `users/${text(row['user_id'])}`),
  },
  sections: {
    async insert(_, api) {
      return columns(await newSection(api), ['id', 'name', 'category_id']);
    },
    async update(_, {id}, api) {
      await change(api, `help_center/sections/${text(id)}`, 'section', {position: 7});
      return {position: 7};
    },
    delete: (_, {id}, api) => remove(api, `help_center/sections/${text(id)}`),
    cleanUp: (_, row, api) => remove(api, `help_center/categories/${text(row['category_id'])}`),
  },
  articles: {
    async insert(_, api) {
      return columns(await newArticle(api), ['id', 'title', 'section_id']);
    },
    async update(_, {id}, api) {
      await change(api, `help_center/articles/${text(id)}`, 'article', {promoted: true});
      return {promoted: true};
    },
    delete: (_, {id}, api) => remove(api, `help_center/articles/${text(id)}`),
    cleanUp: (_, row, api) => remove(api, `help_center/sections/${text(row['section_id'])}`),
  },
  article_comments: {
    async insert(_, api) {
      const article = await newArticle(api);
      const path = `help_center/articles/${text(article['id'])}/comments`;
      const made = await create(api, path, 'comment', {body: api.mark(), locale: 'en-us'});
      return columns(made, ['id', 'source_id']);
    },
    delete: (_, row, api) => remove(api, `help_center/articles/${text(row['source_id'])}/comments/${text(row['id'])}`),
    cleanUp: (_, row, api) => remove(api, `help_center/articles/${text(row['source_id'])}`),
  },
  post_comments: {
    async insert(_, api) {
      const topic = await create(api, 'community/topics', 'topic', {name: api.mark()});
      const given = {title: api.mark(), details: 'first text', topic_id: topic['id'] ?? null};
      const post = await create(api, 'community/posts', 'post', given);
      const made = await create(api, `community/posts/${text(post['id'])}/comments`, 'comment', {body: api.mark()});
      return columns(made, ['id', 'post_id']);
    },
    delete: (_, row, api) => remove(api, `community/posts/${text(row['post_id'])}/comments/${text(row['id'])}`),
    cleanUp: (_, row, api) => remove(api, `community/posts/${text(row['post_id'])}`),
  },
};

function list(single: string, made: ListWrites['create'], changed?: JsonObject): ListWrites {
  return {path: `${single}s`, single, create: made, ...(changed === undefined ? {} : {change: changed})};
}

/** A field of users or organizations: its key holds no dashes. */
function field(single: string): ListWrites {
  return list(
    single,
    (mark) => ({type: 'text', key: mark.replaceAll('-', '_'), title: mark, description: 'first text'}),
    SECOND,
  );
}

/** A rule that is not active. */
function rule(single: string, all: readonly JsonObject[]): ListWrites {
  return {
    ...list(single, (title) => ({title, active: false, conditions: {all, any: []}, actions: SET_OPEN}), {position: 7}),
    columns: ['title', 'active'],
  };
}

async function member(_: string, api: ProofApi): Promise<JsonObject> {
  const organization = await create(api, 'organizations', 'organization', {name: api.mark()});
  const user = await newUser(api);
  return {user_id: user['id'] ?? null, organization_id: organization['id'] ?? null};
}

function writesOf({path, single, create: given, change: changed, columns: names, deletes}: ListWrites): ProofWrites {
  return {
    async insert(_, api) {
      const row = await given(api.mark(), api);
      return columns(await create(api, path, single, row), ['id', ...(names ?? Object.keys(row))]);
    },
    ...(changed === undefined
      ? {}
      : {
          async update(_, {id}, api) {
            await change(api, `${path}/${text(id)}`, single, changed);
            return changed;
          },
        }),
    ...(deletes === false ? {} : {delete: (_, {id}, api) => remove(api, `${path}/${text(id)}`)}),
  };
}

async function newTicket(api: ProofApi): Promise<{readonly ticket: JsonObject; readonly audit: JsonObject}> {
  const mark = api.mark();
  const value = {ticket: {subject: mark, priority: 'low', comment: {body: `first text of ${mark}`}}};
  const {ticket, audit} = await api.send({method: 'POST', url: '/api/v2/tickets', body: {kind: 'json', value}});
  return {ticket: objectOf(ticket), audit: objectOf(audit)};
}

function newUser(api: ProofApi): Promise<JsonObject> {
  const name = api.mark();
  return create(api, 'users', 'user', {name, email: `${name}@example.com`, role: 'end-user', skip_verify_email: true});
}

async function newSection(api: ProofApi): Promise<JsonObject> {
  const category = await create(api, 'help_center/categories', 'category', {name: api.mark(), locale: 'en-us'});
  const path = `help_center/categories/${text(category['id'])}/sections`;
  return create(api, path, 'section', {name: api.mark(), locale: 'en-us'});
}

async function newArticle(api: ProofApi): Promise<JsonObject> {
  const section = await newSection(api);
  const groups = listIn(await api.send({url: '/api/v2/guide/permission_groups'}), 'permission_groups');
  return create(api, `help_center/sections/${text(section['id'])}/articles`, 'article', {
    title: api.mark(),
    body: 'first text',
    locale: 'en-us',
    permission_group_id: groups[0]?.['id'] ?? null,
    user_segment_id: null,
  });
}

async function create(api: ProofApi, path: string, single: string, row: JsonObject): Promise<JsonObject> {
  const body = {kind: 'json', value: {[single]: row}} as const;
  return objectOf((await api.send({method: 'POST', url: `/api/v2/${path}`, body}))[single]);
}

async function change(api: ProofApi, path: string, single: string, fields: JsonObject): Promise<JsonObject> {
  const body = {kind: 'json', value: {[single]: fields}} as const;
  return api.send({method: 'PUT', url: `/api/v2/${path}`, body});
}

async function remove(api: ProofApi, path: string): Promise<void> {
  await api.send({method: 'DELETE', url: `/api/v2/${path}`});
}

function listIn(body: JsonObject, name: string): readonly JsonObject[] {
  const all = body[name];
  return Array.isArray(all) ? all.map(objectOf) : [];
}

function columns(from: JsonObject, names: readonly string[]): JsonObject {
  return Object.fromEntries(names.map((name) => [name, from[name] ?? null]));
}

function objectOf(value: JsonValue | undefined): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
}

function text(value: JsonValue | undefined): string {
  return value === undefined || value === null ? '' : String(value);
}
