import type {JsonObject, JsonValue} from '../../core/json-value.ts';
import {
  json,
  type EndpointSpec,
  type HandlerContext,
  type SimulatedReply,
  type SimulatedRequest,
} from '../../simulator/index.ts';
import {visible} from './simulator-exports.ts';
import {isoOf} from './simulator-rows.ts';

/** Makes a row of a set as the simulator makes its first ones. */
export type MakeRow = (set: string, number: number, seconds: number) => JsonObject;

/** What is created, changed and deleted at one address. */
interface WritableSet {
  readonly set: string;
  /** Of one row: the row's id is put behind it. */
  readonly path: string;
  /** Where rows are created, if elsewhere: `{parent}` is an id. */
  readonly createPath?: string;
  /** Field that gets the parent of the path. */
  readonly parentField?: string;
  /** Field of the body that holds the row. */
  readonly single: string;
  /** Fields that a create must give. */
  readonly needs?: readonly string[];
  /** False: rows cannot be deleted. Default true. */
  readonly deletes?: boolean;
}

const GUIDE = '/api/v2/help_center';
const COMMUNITY = '/api/v2/community';

/**
 * Rows that stand by themselves. Zendesk takes one as an object in a field of its singular, and answers alike.
 * @see https://developer.zendesk.com/api-reference/ticketing/introduction/, https://developer.zendesk.com/api-reference/help_center/help-center-api/introduction/
 */
const WRITABLE: readonly WritableSet[] = [
  ...[
    ['organizations', 'organization', 'name'],
    ['groups', 'group', 'name'],
    ['brands', 'brand', 'name subdomain'],
    ['ticket_fields', 'ticket_field', 'type title'],
    ['ticket_forms', 'ticket_form', 'name'],
    ['user_fields', 'user_field', 'type title key'],
    ['organization_fields', 'organization_field', 'type title key'],
    ['organization_memberships', 'organization_membership', 'user_id organization_id'],
    ['organization_subscriptions', 'organization_subscription', 'user_id organization_id'],
    ['macros', 'macro', 'title actions'],
    ['automations', 'automation', 'title conditions actions'],
    ['triggers', 'trigger', 'title conditions actions'],
    ['trigger_categories', 'trigger_category', 'name'],
    ['views', 'view', 'title all'],
    ['custom_roles', 'custom_role', 'name'],
  ].map(([set = '', single = '', needs = '']) => ({set, path: `/api/v2/${set}`, single, needs: needs.split(' ')})),
  {set: 'custom_statuses', path: '/api/v2/custom_statuses', single: 'custom_status', deletes: false},
  {set: 'sla_policies', path: '/api/v2/slas/policies', single: 'sla_policy', needs: ['title', 'filter']},
  {set: 'schedules', path: '/api/v2/business_hours/schedules', single: 'schedule', needs: ['name', 'time_zone']},
  {set: 'categories', path: `${GUIDE}/categories`, single: 'category', needs: ['name']},
  {
    set: 'sections',
    path: `${GUIDE}/sections`,
    createPath: `${GUIDE}/categories/{parent}/sections`,
    parentField: 'category_id',
    single: 'section',
    needs: ['name'],
  },
  {
    set: 'articles',
    path: `${GUIDE}/articles`,
    createPath: `${GUIDE}/sections/{parent}/articles`,
    parentField: 'section_id',
    single: 'article',
    needs: ['title', 'locale', 'permission_group_id'],
  },
  {
    set: 'article_comments',
    path: `${GUIDE}/articles/{parent}/comments`,
    parentField: 'source_id',
    single: 'comment',
    needs: ['body'],
  },
  {set: 'topics', path: `${COMMUNITY}/topics`, single: 'topic', needs: ['name']},
  {set: 'posts', path: `${COMMUNITY}/posts`, single: 'post', needs: ['title', 'topic_id']},
  {
    set: 'post_comments',
    path: `${COMMUNITY}/posts/{parent}/comments`,
    parentField: 'post_id',
    single: 'comment',
    needs: ['body'],
  },
];

/** Creates, changes and deletes of rows that stand by themselves, and of users, who are known by their addresses. */
export function writeEndpoints(make: MakeRow): readonly EndpointSpec[] {
  return [
    ...WRITABLE.flatMap((one) => endpointsOf(one, make)),
    {path: '/api/v2/guide/permission_groups', handler: () => json({permission_groups: [{id: 1, name: 'Managers'}]})},
    {path: '/api/v2/users', method: 'POST', handler: (request, context) => createUser(make, {request, context})},
    {
      path: '/api/v2/users/{id}',
      method: 'PUT',
      handler: (request, context) => change({set: 'users', path: '', single: 'user'}, {request, context}),
    },
    {path: '/api/v2/users/{id}', method: 'DELETE', handler: deleteUser},
    {
      path: '/api/v2/users/{id}/identities',
      method: 'POST',
      handler: (request, context) => createIdentity(make, {request, context}),
    },
  ];
}

/** A request and what it can reach. */
export interface Writing {
  readonly request: SimulatedRequest;
  readonly context: HandlerContext;
}

function endpointsOf(one: WritableSet, make: MakeRow): readonly EndpointSpec[] {
  const path = `${one.path}/{id}`;
  return [
    {
      path: one.createPath ?? one.path,
      method: 'POST',
      handler: (request, context) => create(one, make, {request, context}),
    },
    {path, method: 'PUT', handler: (request, context) => change(one, {request, context})},
    ...(one.deletes === false
      ? []
      : [
          {
            path,
            method: 'DELETE' as const,
            handler: (request: SimulatedRequest, context: HandlerContext) => remove(one, {request, context}),
          },
        ]),
  ];
}

function create(one: WritableSet, make: MakeRow, {request, context}: Writing): SimulatedReply {
  const given = rowIn(request, one.single);
  const absent = (one.needs ?? []).find((name) => given[name] === undefined);
  if (absent !== undefined) return invalid(absent, 'cannot be blank', 'BlankValue');
  const {set, parentField} = one;
  const parent = parentField === undefined ? {} : {[parentField]: Number(request.params['parent'])};
  const number = nextNumber(context, set);
  // What is no column of a row is a part of others: conditions of views are among its conditions.
  const {all: _, ...fields} = given;
  const row = {...make(set, number, secondsOf(context)), ...fields, ...parent};
  return json({[one.single]: visible(context.collection(set).insert(row))}, {status: 201});
}

function change({set, single}: WritableSet, {request, context}: Writing): SimulatedReply {
  const all = context.collection(set);
  const row = all.get(idIn(request));
  if (row === undefined) return notFound();
  const times = row['updated_at'] === undefined ? {} : {updated_at: isoOf(secondsOf(context))};
  return json({[single]: visible(all.update(all.keyOf(row), {...rowIn(request, single), ...times}))});
}

function remove({set}: WritableSet, {request, context}: Writing): SimulatedReply {
  const all = context.collection(set);
  if (all.get(idIn(request)) === undefined) return notFound();
  all.delete(idIn(request));
  return {status: 204};
}

/** A user has an identity for the address; no two have the same one. */
function createUser(make: MakeRow, {request, context}: Writing): SimulatedReply {
  const given = rowIn(request, 'user');
  const users = context.collection('users');
  if (given['name'] === undefined) return invalid('name', 'cannot be blank', 'BlankValue');
  const {email = null} = given;
  if (users.rows().some((row) => row['email'] === email))
    return invalid('email', 'is already being used by another user', 'DuplicateValue');
  const row = users.insert({...make('users', nextNumber(context, 'users'), secondsOf(context)), ...given});
  addIdentity(make, context, {user_id: row['id'] ?? null, type: 'email', value: email, primary: true});
  return json({user: visible(row)}, {status: 201});
}

/** A deleted user stays as an inactive one. */
function deleteUser(request: SimulatedRequest, context: HandlerContext): SimulatedReply {
  const users = context.collection('users');
  if (users.get(idIn(request)) === undefined) return notFound();
  return json({user: visible(users.delete(idIn(request)).row)});
}

function createIdentity(make: MakeRow, {request, context}: Writing): SimulatedReply {
  const users = context.collection('users');
  const user = users.get(idIn(request));
  if (user === undefined) return notFound();
  const given = rowIn(request, 'identity');
  users.update(users.keyOf(user), {});
  return json(
    {identity: addIdentity(make, context, {...given, user_id: user['id'] ?? null, primary: false})},
    {status: 201},
  );
}

function addIdentity(make: MakeRow, context: HandlerContext, fields: JsonObject): JsonObject {
  const number = nextNumber(context, 'user_identities');
  return context
    .collection('user_identities')
    .insert({...make('user_identities', number, secondsOf(context)), ...fields});
}

/** Above the numbers of rows that are made otherwise. */
const WRITTEN = 300_000;

/** The number of the next row of a set. */
export function nextNumber(context: HandlerContext, set: string): number {
  return WRITTEN + context.collection(set).events().length;
}

/** The time of a write. */
export function secondsOf({clock}: HandlerContext): number {
  return Math.floor(clock.stampMs() / 1000);
}

/** The object that a request sends in a field; empty when there is none. */
export function rowIn({body}: SimulatedRequest, single: string): JsonObject {
  return objectOf(objectOf(body)[single]);
}

/** The id in a path: a number, unless the rows of the set have texts. */
export function idIn({params}: SimulatedRequest): string {
  return params['id'] ?? '';
}

/** The answer to a request for what does not exist. */
export function notFound(): SimulatedReply {
  return json({error: 'RecordNotFound', description: 'Not found'}, {status: 404});
}

/** The answer to a row that cannot be. */
export function invalid(field: string, description: string, error: string): SimulatedReply {
  const details = {[field]: [{description: `${field}: ${description}`, error}]};
  return json({error: 'RecordInvalid', description: 'Record validation errors', details}, {status: 422});
}

/** An object; empty for anything else. */
export function objectOf(value: JsonValue | undefined): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
}
