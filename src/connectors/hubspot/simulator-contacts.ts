/** A property of contacts: its type and how it is edited, as HubSpot names them, and its value in a record. */
export interface ContactProperty {
  readonly type: string;
  readonly fieldType: string;
  /** By the record's number. */
  readonly value: (number: number) => string;
}

const FIRST: readonly string[] = ['Ada', 'Grace', 'Linus', 'Edsger', 'Barbara', 'Donald', 'Zoë', 'Łukasz'];
const LAST: readonly string[] = ['Lovelace', 'Hopper', 'Nguyen', 'Dijkstra', 'Liskov', 'Knuth', 'García'];
const CITIES: readonly string[] = ['San Francisco', 'Lisboa', 'München', 'Dublin', 'Austin', '東京'];
const COUNTRIES: readonly string[] = ['United States', 'Portugal', 'Germany', 'Ireland', 'United States', 'Japan'];
const STAGES: readonly string[] = ['subscriber', 'lead', 'marketingqualifiedlead', 'opportunity', 'customer'];
const SOURCES: readonly string[] = ['ORGANIC_SEARCH', 'DIRECT_TRAFFIC', 'EMAIL_MARKETING', 'PAID_SEARCH', 'OFFLINE'];
const STATUSES: readonly string[] = ['NEW', 'OPEN', 'IN_PROGRESS', 'CONNECTED', 'BAD_TIMING'];

/**
 * Properties that an account of some years has of its contacts: default ones by their own names.
 * @see https://knowledge.hubspot.com/properties/hubspots-default-contact-properties
 */
export const CONTACT_PROPERTIES: Readonly<Record<string, ContactProperty>> = {
  email: text((n) => `contact.${n}@company-${n % 977}.example`),
  firstname: text((n) => of(FIRST, n)),
  lastname: text((n) => of(LAST, n >> 1)),
  phone: text((n) => `+1 555 ${String(n % 10_000_000).padStart(7, '0')}`),
  lifecyclestage: choice((n) => of(STAGES, n)),
  notes_of_sales: text((n) => `Asked for a price of ${1 + (n % 40)} seats, "call back" in week ${1 + (n % 52)}.`),
  company: text((n) => `Company ${n % 977} Inc.`),
  jobtitle: text((n) => of(['Head of Data', 'Data Engineer', 'CTO', 'Analyst, Finance'], n)),
  address: text((n) => `${1 + (n % 300)} Market Street`),
  city: text((n) => of(CITIES, n)),
  country: text((n) => of(COUNTRIES, n)),
  zip: text((n) => String(10_000 + (n % 80_000))),
  mobilephone: text((n) => `+351 91${String((n * 7) % 10_000_000).padStart(7, '0')}`),
  website: text((n) => `https://www.company-${n % 977}.example/about`),
  hs_email_domain: text((n) => `company-${n % 977}.example`),
  hs_analytics_first_url: text((n) => `https://www.acme.example/blog/post-${n % 127}?utm_source=newsletter`),
  hs_analytics_last_url: text((n) => `https://www.acme.example/pricing?plan=${n % 5}`),
  hs_object_source_label: text((n) => of(['FORM', 'IMPORT', 'CRM_UI', 'INTEGRATION'], n)),
  hs_lead_status: choice((n) => of(STATUSES, n)),
  hs_analytics_source: choice((n) => of(SOURCES, n)),
  hs_latest_source: choice((n) => of(SOURCES, n + 1)),
  hs_language: choice((n) => of(['en', 'pt-pt', 'de', 'en-ie', 'ja-jp'], n)),
  num_notes: number((n) => String(n % 24)),
  num_contacted_notes: number((n) => String(n % 12)),
  num_associated_deals: number((n) => String(n % 4)),
  associatedcompanyid: number((n) => String(8_000_000_000 + (n % 977))),
  hs_analytics_num_page_views: number((n) => String(n % 350)),
  hs_analytics_num_visits: number((n) => String(n % 40)),
  hs_email_delivered: number((n) => String(n % 60)),
  hs_email_open: number((n) => String(n % 30)),
  recent_deal_amount: number((n) => `${(n * 37) % 90_000}.5`),
  hs_predictivecontactscore_v2: number((n) => `${n % 100}.25`),
  hs_analytics_first_timestamp: time((n) => Date.UTC(2024, n % 12, 1 + (n % 28), 8, n % 60)),
  hs_analytics_last_visit_timestamp: time((n) => Date.UTC(2026, n % 9, 1 + (n % 28), 14, n % 60, 7, 321)),
  notes_last_contacted: time((n) => Date.UTC(2026, n % 10, 1 + (n % 28), 9, 30)),
  notes_last_updated: time((n) => Date.UTC(2026, n % 10, 1 + (n % 28), 16, 45, 12)),
  hs_lifecyclestage_lead_date: time((n) => Date.UTC(2025, n % 12, 1 + (n % 28))),
  hs_email_last_send_date: time((n) => Date.UTC(2026, n % 10, 2 + (n % 26), 6)),
  hs_email_optout: flag((n) => n % 19 === 0),
  hs_is_unworked: flag((n) => n % 3 === 0),
};

function of(values: readonly string[], number: number): string {
  return values[number % values.length] ?? '';
}

function text(value: ContactProperty['value']): ContactProperty {
  return {type: 'string', fieldType: 'text', value};
}

function choice(value: ContactProperty['value']): ContactProperty {
  return {type: 'enumeration', fieldType: 'select', value};
}

function number(value: ContactProperty['value']): ContactProperty {
  return {type: 'number', fieldType: 'number', value};
}

function time(value: (number: number) => number): ContactProperty {
  return {type: 'datetime', fieldType: 'date', value: (n) => new Date(value(n)).toISOString()};
}

function flag(value: (number: number) => boolean): ContactProperty {
  return {type: 'bool', fieldType: 'booleancheckbox', value: (n) => String(value(n))};
}
