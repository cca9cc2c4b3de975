import type {JsonObject, JsonValue} from '../../core/json-value.ts';
import {idOf, isoOf} from './simulator-rows.ts';

/**
 * A ticket with everything that an export gives of one; `seconds` is its time. All have the same fields in the same order.
 * @see https://developer.zendesk.com/api-reference/ticketing/tickets/tickets/
 */
export function ticketRow(number: number, seconds: number): JsonObject {
  const id = idOf('tickets', number);
  const at = isoOf(seconds);
  const subject = `${SUBJECTS[number % SUBJECTS.length] ?? ''} (order ${100_000 + number})`;
  const requester = idOf('users', 1 + ((number * 31) % 4001));
  const agent = idOf('users', 1 + (number % 23));
  return {
    url: `https://acme.zendesk.example/api/v2/tickets/${id}.json`,
    id,
    external_id: number % 4 === 0 ? null : `crm-${number}`,
    via: viaOf(number),
    created_at: at,
    updated_at: at,
    generated_timestamp: seconds,
    type: TYPES[number % TYPES.length] ?? null,
    subject,
    raw_subject: subject,
    description: descriptionOf(number),
    priority: PRIORITIES[number % PRIORITIES.length] ?? null,
    status: STATUSES[number % STATUSES.length] ?? null,
    custom_status_id: 100 + (number % 6),
    recipient: number % 3 === 0 ? null : 'support@acme.example',
    requester_id: requester,
    submitter_id: number % 2 === 0 ? requester : agent,
    assignee_id: number % 7 === 0 ? null : agent,
    organization_id: idOf('organizations', 1 + (number % 211)),
    group_id: idOf('groups', 1 + (number % 11)),
    collaborator_ids: idsOf(number, number % 3),
    follower_ids: idsOf(number + 1, number % 2),
    email_cc_ids: idsOf(number + 2, 1 + (number % 2)),
    forum_topic_id: number % 5 === 0 ? 100 + number : null,
    problem_id: number % 5 === 1 ? idOf('tickets', 1 + (number >> 1)) : null,
    has_incidents: number % 9 === 0,
    is_public: number % 10 !== 0,
    due_at: number % 4 === 1 ? isoOf(seconds + 86_400) : null,
    tags: tagsOf(number),
    custom_fields: customFieldsOf(number, at),
    satisfaction_rating: {
      score: SCORES[number % SCORES.length] ?? null,
      id: 700_000 + number,
      comment: number % 8 === 0 ? 'Quick and friendly, thank you!' : null,
      reason: number % 8 === 4 ? 'The issue took too long to resolve' : null,
      reason_id: number % 8 === 4 ? 1001 : null,
    },
    sharing_agreement_ids: number % 5 === 0 ? [84_432] : [],
    followup_ids: number % 5 === 2 ? [idOf('tickets', number + 1)] : [],
    ticket_form_id: idOf('ticket_forms', 1 + (number % 4)),
    brand_id: idOf('brands', 1 + (number % 3)),
    allow_channelback: number % 6 === 0,
    allow_attachments: number % 6 !== 1,
    from_messaging_channel: number % 4 === 2,
  };
}

const TYPES: readonly string[] = ['question', 'incident', 'problem', 'task'];
const PRIORITIES: readonly (string | null)[] = ['normal', 'high', null, 'low', 'urgent'];
const STATUSES: readonly string[] = ['open', 'pending', 'solved', 'new', 'hold'];
const SCORES: readonly string[] = ['unoffered', 'good', 'offered', 'bad'];
const CHANNELS: readonly string[] = ['email', 'web', 'api', 'messaging'];
const SUBJECTS: readonly string[] = [
  'The parcel has not arrived',
  'Invoice with the wrong address',
  'How do I change my password?',
  'Refund of the second item – “still waiting”',
  'App closes when I open the cart',
  'Rechnung für März fehlt',
];
const SENTENCES: readonly string[] = [
  'Hello, I ordered two weeks ago and the tracking page has said "in transit" since Monday.',
  'Could you please check with the carrier and tell me when it will be here?',
  'I have already tried another browser, and cleared the cache as the help page says.',
  'The invoice shows our old office; please send a corrected one before the end of the month.',
  'This is the third time that I write about it, and I would like to talk to a person.',
  'Thanks a lot in advance,\nkind regards',
];

/** One to six sentences, as the first comment of the ticket. */
function descriptionOf(number: number): string {
  const count = 1 + (number % 6);
  let text = '';
  for (let at = 0; at < count; at++) text += `${SENTENCES[(number * 5 + at) % SENTENCES.length] ?? ''}\n\n`;
  return `${text}Order: ${100_000 + number}`;
}

function viaOf(number: number): JsonObject {
  const channel = CHANNELS[number % CHANNELS.length] ?? '';
  const isMail = channel === 'email';
  const from = isMail ? {address: `customer.${number}@example.com`, name: `Customer ${number}`} : {};
  return {channel, source: {from, to: isMail ? {name: 'Acme', address: 'support@acme.example'} : {}, rel: null}};
}

function idsOf(number: number, count: number): readonly number[] {
  return Array.from({length: count}, (_, at) => idOf('users', 1 + ((number * 7 + at) % 4001)));
}

function tagsOf(number: number): readonly string[] {
  const tags = ['common', `product-${number % 17}`];
  if (number % 2 === 0) tags.push('vip');
  if (number % 3 === 0) tags.push('waiting_for_carrier', `country-${number % 29}`);
  return tags;
}

const CUSTOM_FIELDS = 18;
const FIRST_CUSTOM_FIELD = 360_008_214_420;

/** The account's own fields: texts, numbers, days, check boxes and choices; most are empty. */
function customFieldsOf(number: number, at: string): readonly JsonObject[] {
  const values: JsonObject[] = [];
  for (let field = 0; field < CUSTOM_FIELDS; field++)
    values.push({id: FIRST_CUSTOM_FIELD + field * 37, value: customValue(number + field, field, at)});
  return values;
}

function customValue(number: number, field: number, at: string): JsonValue {
  if (number % 3 === 0) return null;
  switch (field % 5) {
    case 0:
      return `choice_${number % 13}`;
    case 1:
      return String(number % 1000);
    case 2:
      return number % 2 === 0;
    case 3:
      return at.slice(0, 10);
    default:
      return [`part_${number % 7}`, 'shipping'];
  }
}
