import {CONTACT_PROPERTIES} from './simulator-contacts.ts';

/** A property of a simulated type. */
export interface PortalProperty {
  readonly name: string;
  readonly label: string;
  readonly type: string;
  readonly fieldType: string;
}

/** A type of records as the simulated portal has it. */
export interface PortalType {
  /** As the API's documentation names it; for custom objects the schema's name. */
  readonly name: string;
  /** In paths. */
  readonly path: string;
  readonly modified: string;
  readonly merged: string;
  readonly properties: readonly PortalProperty[];
  /** Custom objects have a schema. */
  readonly isCustom: boolean;
}

const TEXTS = {
  contacts: [],
  companies: ['name', 'domain', 'industry', 'id'],
  deals: ['dealname', 'dealstage', 'pipeline'],
  tickets: ['subject', 'hs_pipeline', 'hs_pipeline_stage'],
  products: ['name', 'description'],
  line_items: ['name', 'quantity'],
  quotes: ['hs_title', 'hs_expiration_date'],
  leads: ['hs_lead_name'],
  orders: ['hs_order_name'],
  calls: ['hs_call_title'],
  emails: ['hs_email_subject', 'hs_email_direction'],
  meetings: ['hs_meeting_title'],
  notes: ['hs_note_body'],
  tasks: ['hs_task_subject'],
} as const satisfies Record<string, readonly string[]>;

const STANDARD = [
  'contacts',
  'companies',
  'deals',
  'tickets',
  'products',
  'line_items',
  'quotes',
  'leads',
  'orders',
  'calls',
  'emails',
  'meetings',
  'notes',
  'tasks',
];

/** Types of what happens at a time. */
const ACTIVITIES: readonly string[] = ['calls', 'emails', 'meetings', 'notes', 'tasks'];

/** So many that their names do not fit into one address. */
const MANY = 130;

/** The types of the portal: the standard ones, and one of its own. */
export const PORTAL_TYPES: readonly PortalType[] = [
  ...STANDARD.map((name) => portalType(name, {path: name, isCustom: false})),
  portalType('cars', {path: '2-3456789', isCustom: true}),
];

function portalType(name: string, {path, isCustom}: {readonly path: string; readonly isCustom: boolean}): PortalType {
  const modified = name === 'contacts' ? 'lastmodifieddate' : 'hs_lastmodifieddate';
  const merged = name === 'contacts' ? 'hs_calculated_merged_vids' : 'hs_merged_object_ids';
  const texts: readonly string[] = name in TEXTS ? TEXTS[name as keyof typeof TEXTS] : ['hs_title'];
  const many =
    name === 'tickets' ? Array.from({length: MANY}, (_, n) => `answer_to_question_number_${n}_of_the_survey`) : [];
  return {
    name,
    path,
    modified,
    merged,
    isCustom,
    properties: [
      property('hs_object_id', 'number', 'number'),
      property('createdate', 'datetime', 'date'),
      property(modified, 'datetime', 'date'),
      property(merged, merged === 'hs_merged_object_ids' ? 'enumeration' : 'string', 'text'),
      property('amount', 'number', 'number'),
      property('closedate', 'date', 'date'),
      property('is_important', 'bool', 'booleancheckbox'),
      property('hs_tags', 'enumeration', 'checkbox'),
      property('hubspot_owner_id', 'enumeration', 'select'),
      ...(ACTIVITIES.includes(name) ? [property('hs_timestamp', 'datetime', 'date')] : []),
      ...[...texts, ...many].map((text) => property(text, 'string', 'text')),
      ...(name === 'contacts' ? Object.entries(CONTACT_PROPERTIES) : []).map(([own, {type, fieldType}]) =>
        property(own, type, fieldType),
      ),
    ],
  };
}

function property(name: string, type: string, fieldType: string): PortalProperty {
  return {name, label: `${name.slice(0, 1).toUpperCase()}${name.slice(1).replaceAll('_', ' ')}`, type, fieldType};
}
