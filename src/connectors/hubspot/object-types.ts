import type {JsonObject, RestCall} from '../../sdk/index.ts';

/** A type of CRM records. */
export interface ObjectType {
  /** Name of the table. */
  readonly name: string;
  /** In paths of the API: the name of a standard type, the id of a custom one. */
  readonly path: string;
  readonly description: string;
  /** The property that changes with every change of a record. */
  readonly modified: string;
  /** The property that names the records which were merged into this one. */
  readonly merged: string;
}

const MODIFIED = 'hs_lastmodifieddate';
const MERGED = 'hs_merged_object_ids';

const STANDARD_TYPES: readonly ObjectType[] = [
  {
    name: 'contacts',
    path: 'contacts',
    description: 'Contacts.',
    modified: 'lastmodifieddate',
    merged: 'hs_calculated_merged_vids',
  },
  ...[
    ['companies', 'Companies.'],
    ['deals', 'Deals.'],
    ['tickets', 'Tickets.'],
    ['products', 'Products.'],
    ['line_items', 'Line items of deals, quotes and orders.'],
    ['quotes', 'Quotes.'],
    ['leads', 'Leads.'],
    ['orders', 'Orders.'],
    ['calls', 'Calls.'],
    ['emails', 'Emails that were logged or sent one to one.'],
    ['meetings', 'Meetings.'],
    ['notes', 'Notes.'],
    ['tasks', 'Tasks.'],
  ].map(([name = '', description = '']) => ({name, path: name, description, modified: MODIFIED, merged: MERGED})),
];

/** Names of the standard types. */
export const STANDARD_NAMES: readonly string[] = STANDARD_TYPES.map(({name}) => name);

/** The types of an account by name: the standard ones and its own. */
export async function objectTypes(call: RestCall): Promise<ReadonlyMap<string, ObjectType>> {
  const types = new Map(STANDARD_TYPES.map((type) => [type.name, type]));
  for (const schema of await customSchemas(call)) {
    const [name, id] = [String(schema['name']), String(schema['objectTypeId'])];
    const unique = types.has(name) ? String(schema['fullyQualifiedName'] ?? id) : name;
    types.set(unique, {
      name: unique,
      path: id,
      description: `Custom object ${name} (${id}).`,
      modified: MODIFIED,
      merged: MERGED,
    });
  }
  return types;
}

/** A type that needs no question, null for others. */
export function standardType(name: string): ObjectType | null {
  return STANDARD_TYPES.find((type) => type.name === name) ?? null;
}

/** An account whose plan or scopes know no custom objects has none. */
async function customSchemas(call: RestCall): Promise<readonly JsonObject[]> {
  const found: JsonObject[] = [];
  const listing = {request: {url: '/crm/v3/schemas'}, records: 'results', emptyWhen: [{status: 403}]};
  for await (const page of call.list(listing)) found.push(...page.filter((schema) => schema['archived'] !== true));
  return found;
}
