import type {JsonObject, JsonValue} from '../../sdk/index.ts';

/** Rows of marketing tables and settings, as the API gives them. */
export interface MarketingRows {
  /** Newest last. */
  readonly rows: JsonObject[];
  /** A further row, stamped with a time. */
  readonly make: (n: number, atMs: number) => JsonObject;
  /** What a change sets. */
  readonly change?: (row: JsonObject, atMs: number, n: number) => JsonObject;
}

/** Names of what the portal keeps beside CRM records. */
export type MarketingName =
  | 'owners'
  | 'email_events'
  | 'subscription_changes'
  | 'marketing_emails'
  | 'email_campaigns'
  | 'email_subscriptions'
  | 'forms'
  | 'form_submissions'
  | 'campaigns'
  | 'budget_items'
  | 'spend_items'
  | 'assets'
  | 'marketing_events'
  | 'event_lists';

const START = Date.UTC(2026, 8, 1);
const HOUR_MS = 3_600_000;
/** Rows in a row that share a time. */
const TIES = 3;

/** Everything at the start: so many rows of each, an hour between them. */
export function marketingRows(count: number): Readonly<Record<MarketingName, MarketingRows>> {
  const seeded = (name: MarketingName): MarketingRows => {
    const {make, change} = MAKERS[name];
    const rows = Array.from({length: count}, (_, n) => make(n, START + Math.floor(n / TIES) * HOUR_MS));
    return {rows, make, ...(change === undefined ? {} : {change})};
  };
  return Object.fromEntries(Object.keys(MAKERS).map((name) => [name, seeded(name as MarketingName)])) as Readonly<
    Record<MarketingName, MarketingRows>
  >;
}

const MAKERS: Readonly<Record<MarketingName, Pick<MarketingRows, 'make' | 'change'>>> = {
  owners: {
    make: (n, at) => ({
      id: String(50 + n),
      email: `owner${n}@example.com`,
      type: 'PERSON',
      firstName: 'Ada',
      lastName: `Owner ${n}`,
      userId: n % 4 === 0 ? null : 900 + n,
      userIdIncludingInactive: 900 + n,
      createdAt: iso(at),
      updatedAt: iso(at),
      archived: n % 4 === 0,
      ...(n % 2 === 0 ? {teams: [{id: '7', name: 'Sales', primary: true}]} : {}),
    }),
    change: renamed('lastName'),
  },
  email_events: {make: emailEvent},
  subscription_changes: {
    make: (n, at) => ({
      timestamp: at,
      portalId: 62515,
      recipient: `r${n}@example.com`,
      normalizedEmailId: `n-${n}`,
      changes: [
        {change: 'SUBSCRIBED', source: 'SOURCE_RECIPIENT', changeType: 'SUBSCRIPTION_STATUS', subscriptionId: n},
      ],
    }),
  },
  marketing_emails: {
    make: marketingEmail,
    change: (row, at, n) => ({...row, name: `Renamed ${n}`, updatedAt: iso(at)}),
  },
  email_campaigns: {
    make: (n, at) => ({
      id: 100 + n,
      appId: 113,
      appName: 'Batch',
      contentId: 7000 + n,
      name: `Campaign ${n}`,
      subject: `Hello ${n}`,
      type: 'BATCH_EMAIL',
      subType: 'MARKETING_BATCH_EMAIL',
      numIncluded: 12,
      numQueued: 12,
      lastProcessingFinishedAt: at + 5,
      lastProcessingStartedAt: at + 1,
      lastProcessingStateChangeAt: at + 6,
      processingState: 'DONE',
      scheduledAt: at,
      counters: {delivered: 10 + n, open: 3, sent: 12},
    }),
    change: (row, _, n) => ({...row, counters: {delivered: 10, open: n, sent: 12}}),
  },
  email_subscriptions: {
    make: (n, at) => ({
      id: String(2800 + n),
      name: `Newsletter ${n}`,
      description: 'What is new',
      purpose: 'Marketing',
      communicationMethod: 'Email',
      isActive: true,
      isDefault: n === 0,
      isInternal: false,
      createdAt: iso(at),
      updatedAt: iso(at),
      businessUnitId: 0,
    }),
    change: renamed('name'),
  },
  forms: {
    make: (n, at) => ({
      id: `form-${n}`,
      name: `Form ${n}`,
      formType: 'hubspot',
      createdAt: iso(at),
      updatedAt: iso(at),
      archived: false,
      fieldGroups: [{groupType: 'default_group', fields: [{name: 'email'}]}],
      configuration: {language: 'en'},
      displayOptions: {theme: 'default_style'},
      legalConsentOptions: {type: 'none'},
    }),
    change: renamed('name'),
  },
  form_submissions: {
    make: (n, at) => ({
      conversionId: `conversion-${n}`,
      submittedAt: at,
      values: [{name: 'email', value: `s${n}@example.com`, objectTypeId: '0-1'}],
      pageUrl: 'https://example.com/contact',
    }),
  },
  campaigns: {
    make: (n, at) => ({
      id: `guid-${n}`,
      createdAt: iso(at),
      updatedAt: iso(at),
      businessUnits: [{id: 0}],
      properties: {
        hs_name: `Spring ${n}`,
        hs_start_date: '2026-03-01',
        hs_end_date: '2026-04-01',
        hs_notes: 'To do',
        hs_audience: 'All',
        hs_currency_code: 'EUR',
        hs_campaign_status: 'in_progress',
        hs_owner: '51',
        hs_color_hex: '#fea58e',
        hs_utm: `spring-${n}`,
      },
    }),
    change: (row, at, n) => ({
      ...row,
      updatedAt: iso(at),
      properties: {...(row['properties'] as JsonObject), hs_notes: `Note ${n}`},
    }),
  },
  budget_items: {make: amountItem, change: renamed('name')},
  spend_items: {make: amountItem, change: renamed('name')},
  assets: {make: (n) => ({id: `asset-${n}`, name: `Asset ${n}`, metrics: {clicks: n}}), change: renamed('name')},
  marketing_events: {
    make: (n, at) => ({
      objectId: String(90_000 + n),
      eventName: `Fair ${n}`,
      eventType: 'FAIR',
      eventOrganizer: 'Sales',
      eventDescription: 'Meet us',
      eventUrl: 'https://example.com/fair',
      eventStatus: 'UPCOMING',
      eventCancelled: false,
      eventCompleted: false,
      startDateTime: iso(at),
      endDateTime: iso(at + HOUR_MS),
      attendees: n,
      cancellations: 0,
      noShows: 1,
      registrants: n + 1,
      externalEventId: `ext-${n}`,
      appInfo: {id: '1', name: 'App'},
      customProperties: [{name: 'hall', value: '3'}],
      createdAt: iso(at),
      updatedAt: iso(at),
    }),
    change: renamed('eventName'),
  },
  event_lists: {
    make: (n, at) => ({
      listId: String(300 + n),
      name: `List ${n}`,
      objectTypeId: '0-1',
      processingType: 'MANUAL',
      processingStatus: 'COMPLETE',
      listVersion: 1,
      createdAt: iso(at),
      updatedAt: iso(at),
    }),
    change: renamed('name'),
  },
};

function renamed(field: string): NonNullable<MarketingRows['change']> {
  return (row, _, n) => ({...row, [field]: `Renamed ${n}`});
}

function amountItem(n: number, at: number): JsonObject {
  return {
    id: `item-${n}`,
    name: `Item ${n}`,
    description: 'Poster',
    amount: 100.5 + n,
    order: n,
    createdAt: at,
    updatedAt: at,
  };
}

function emailEvent(n: number, at: number): JsonObject {
  const cause = {id: `event-${n - 1}`, created: at - 1000};
  return {
    id: `event-${n}`,
    created: at,
    type: n % 2 === 0 ? 'SENT' : 'CLICK',
    recipient: `r${n}@example.com`,
    appId: 113,
    appName: 'Batch',
    portalId: 62515,
    emailCampaignId: 100 + n,
    emailCampaignGroupId: 7,
    sentBy: cause,
    obsoletedBy: cause,
    causedBy: cause,
    subject: 'Hello',
    from: 'us@example.com',
    replyTo: ['reply@example.com'],
    cc: ['cc@example.com'],
    bcc: ['bcc@example.com'],
    response: '250 ok',
    status: '5.0.0',
    category: 'UNKNOWN_USER',
    attempt: 1,
    dropReason: 'BOUNCED_PREVIOUSLY',
    dropMessage: 'no',
    bounced: false,
    requestedBy: 'user',
    source: 'SOURCE_RECIPIENT',
    subscriptions: [{id: 1, status: 'SUBSCRIBED'}],
    portalSubscriptionStatus: 'SUBSCRIBED',
    url: 'https://example.com',
    referer: 'https://example.org',
    linkId: 4,
    duration: 900,
    browser: {family: 'Firefox', version: ['1']},
    location: {city: 'Delft', country: 'NL'},
    deviceType: 'COMPUTER',
    userAgent: 'Mozilla',
    ipAddress: '192.0.2.1',
    filteredEvent: false,
    hmid: 'h',
    sendId: `send-${n}`,
    smtpId: `smtp-${n}`,
    suppressedReason: 'x',
    suppressedMessage: 'y',
  };
}

function marketingEmail(n: number, at: number): JsonObject {
  const lists: JsonValue = {include: [String(300 + n), String(301 + n)], exclude: n % 2 === 0 ? ['9'] : []};
  return {
    id: String(7000 + n),
    name: `Email ${n}`,
    subject: 'Hello',
    state: 'PUBLISHED',
    type: 'BATCH_EMAIL',
    subcategory: 'batch',
    emailTemplateMode: 'DRAG_AND_DROP',
    createdAt: iso(at),
    updatedAt: iso(at),
    publishedAt: iso(at),
    publishDate: iso(at),
    createdById: '1',
    updatedById: '2',
    publishedById: '3',
    archived: false,
    isPublished: true,
    isTransactional: false,
    isAb: false,
    activeDomain: 'example.com',
    campaign: 'guid-1',
    campaignName: 'Spring 1',
    businessUnitId: '0',
    clonedFrom: '6999',
    feedbackSurveyId: '5',
    folderIdV2: 12,
    jitterSendTime: false,
    language: 'en',
    previewKey: 'key',
    rssData: {url: 'https://example.com/rss'},
    sendOnPublish: true,
    subscriptionDetails: {subscriptionId: '2800'},
    testing: {abStatus: 'master'},
    from: {fromName: 'Us'},
    to: {contactIlsLists: lists},
    webversion: {slug: 'hello'},
    content: {templatePath: '@hubspot/email/dnd/welcome.html'},
    allEmailCampaignIds: [String(100 + n)],
    primaryEmailCampaignId: String(100 + n),
  };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
