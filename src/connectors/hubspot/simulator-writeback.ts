import type {JsonObject, JsonValue} from '../../sdk/index.ts';
import type {ProofApi, ProofWrites} from '../../testkit/index.ts';

/** Properties of a new record by its type: what HubSpot needs, a text that is changed later, and the text itself. */
interface RecordSample {
  readonly text: string;
  readonly given: (mark: string) => Readonly<Record<string, string>>;
}

const NOW = '2026-10-01T12:00:00Z';

const SAMPLES: Readonly<Record<string, RecordSample>> = {
  contacts: {text: 'lastname', given: (mark) => ({email: `${mark}@example.com`, firstname: 'Ann'})},
  companies: {text: 'industry', given: (mark) => ({name: mark, domain: `${mark}.example.com`})},
  deals: {text: 'dealname', given: () => ({amount: '250'})},
  tickets: {text: 'subject', given: () => ({hs_pipeline: '0', hs_pipeline_stage: '1'})},
  products: {text: 'name', given: () => ({description: 'A product'})},
  line_items: {text: 'name', given: () => ({quantity: '2'})},
  quotes: {text: 'hs_title', given: () => ({hs_expiration_date: '2027-01-31'})},
  orders: {text: 'hs_order_name', given: () => ({})},
  calls: {text: 'hs_call_title', given: () => ({hs_timestamp: NOW})},
  emails: {text: 'hs_email_subject', given: () => ({hs_timestamp: NOW, hs_email_direction: 'EMAIL'})},
  meetings: {text: 'hs_meeting_title', given: () => ({hs_timestamp: NOW})},
  notes: {text: 'hs_note_body', given: () => ({hs_timestamp: NOW})},
  tasks: {text: 'hs_task_subject', given: () => ({hs_timestamp: NOW})},
};

/** A lead belongs to a contact, and is made with it. */
const LEAD_TO_CONTACT = 578;

/**
 * What is written to HubSpot to see whether it is read: records of every standard type, their associations, emails and campaigns.
 * Other marketing tables have no endpoint that makes a row, or none without a person's consent.
 */
export const HUBSPOT_WRITES: Readonly<Record<string, ProofWrites>> = {
  ...Object.fromEntries(Object.keys(SAMPLES).map((type) => [type, records(type)])),
  leads: {
    async insert(_, api) {
      const mark = api.mark();
      const contact = await newRecord(api, 'contacts');
      const types = [{associationCategory: 'HUBSPOT_DEFINED', associationTypeId: LEAD_TO_CONTACT}];
      const made = await write(api, 'POST', '/crm/v3/objects/leads', {
        properties: {hs_lead_name: mark},
        associations: [{to: {id: contact}, types}],
      });
      return {id: made['id'] ?? null, hs_lead_name: mark};
    },
    ...changes('leads', 'hs_lead_name'),
  },
  marketing_emails: {
    async insert(_, api) {
      const name = api.mark();
      const {id = null} = await write(api, 'POST', '/marketing/v3/emails', {name, subject: 'first text'});
      return {id, name, subject: 'first text'};
    },
    async update(_, {id}, api) {
      await write(api, 'PATCH', `/marketing/v3/emails/${text(id)}`, {subject: 'second text'});
      return {subject: 'second text'};
    },
    delete: (_, {id}, api) => remove(api, `/marketing/v3/emails/${text(id)}`),
  },
  marketing_campaigns: {
    async insert(_, api) {
      const properties = {hs_name: api.mark(), hs_notes: 'first text'};
      const {id = null} = await write(api, 'POST', '/marketing/v3/campaigns', {properties});
      return {id, ...properties};
    },
    async update(_, {id}, api) {
      const properties = {hs_notes: 'second text'};
      await write(api, 'PATCH', `/marketing/v3/campaigns/${text(id)}`, {properties});
      return properties;
    },
    delete: (_, {id}, api) => remove(api, `/marketing/v3/campaigns/${text(id)}`),
  },
};

/** Associations of two types: both records are new. */
export function associationWrites(from: string, to: string): ProofWrites {
  return {
    async insert(_, api) {
      const [fromId, toId] = [await newRecord(api, from), await newRecord(api, to)];
      await api.send({method: 'PUT', url: `/crm/v4/objects/${from}/${fromId}/associations/default/${to}/${toId}`});
      return {from_id: fromId, to_id: toId};
    },
    async delete(_, {from_id: fromId, to_id: toId}, api) {
      await remove(api, `/crm/v4/objects/${from}/${text(fromId)}/associations/${to}/${text(toId)}`);
    },
    async cleanUp(_, {from_id: fromId, to_id: toId}, api) {
      await remove(api, `/crm/v3/objects/${from}/${text(fromId)}`);
      await remove(api, `/crm/v3/objects/${to}/${text(toId)}`);
    },
  };
}

function records(type: string): ProofWrites {
  return {
    async insert(_, api) {
      const properties = propertiesOf(type, api.mark());
      return {id: await newRecord(api, type, properties), ...properties};
    },
    ...changes(type, SAMPLES[type]?.text ?? ''),
  };
}

function changes(type: string, property: string): ProofWrites {
  const path = (row: JsonObject): string => `/crm/v3/objects/${type}/${text(row['id'])}`;
  return {
    async update(_, row, api) {
      const properties = {[property]: `changed ${api.mark()}`};
      await write(api, 'PATCH', path(row), {properties});
      return properties;
    },
    delete: (_, row, api) => remove(api, path(row)),
  };
}

function propertiesOf(type: string, mark: string): Readonly<Record<string, string>> {
  const sample = SAMPLES[type];
  return sample === undefined ? {} : {[sample.text]: mark, ...sample.given(mark)};
}

/** The id of a new record. */
async function newRecord(
  api: ProofApi,
  type: string,
  properties: Readonly<Record<string, string>> = propertiesOf(type, api.mark()),
): Promise<string> {
  return text((await write(api, 'POST', `/crm/v3/objects/${type}`, {properties}))['id']);
}

function write(api: ProofApi, method: 'POST' | 'PATCH', url: string, value: JsonObject): Promise<JsonObject> {
  return api.send({method, url, body: {kind: 'json', value}});
}

async function remove(api: ProofApi, url: string): Promise<void> {
  await api.send({method: 'DELETE', url});
}

function text(value: JsonValue | undefined): string {
  return value === undefined || value === null ? '' : String(value);
}
