import {
  type JsonObject,
  type JsonValue,
  type Listing,
  type RestReadCall,
  type RestTable,
  isJsonObject,
} from '../../sdk/index.ts';
import {afterPaging} from './after-paging.ts';

const DAY_SECONDS = 86_400;
const HOUR_SECONDS = 3_600;
/** HubSpot has no events that are older. */
const FIRST_EVENT_MS = Date.UTC(2012, 0, 1);

/** Kinds of assets that a campaign may have, each a request of its own. @see https://developers.hubspot.com/docs/api/marketing/campaigns */
const ASSET_TYPES = [
  'AD_CAMPAIGN',
  'BLOG_POST',
  'CALL',
  'CASE_STUDY',
  'CTA',
  'EMAIL',
  'EXTERNAL_WEB_URL',
  'FEEDBACK_SURVEY',
  'FORM',
  'KNOWLEDGE_ARTICLE',
  'LANDING_PAGE',
  'MARKETING_EVENT',
  'MARKETING_SMS',
  'MEDIA',
  'MEETING_EVENT',
  'OBJECT_LIST',
  'PLAYBOOK',
  'PODCAST_EPISODE',
  'SALES_DOCUMENT',
  'SEQUENCE',
  'SITE_PAGE',
  'SOCIAL_BROADCAST',
  'WEB_INTERACTIVE',
  'AUTOMATION_PLATFORM_FLOW',
];

const CAMPAIGN_PROPERTIES = [
  'hs_name',
  'hs_start_date',
  'hs_end_date',
  'hs_notes',
  'hs_audience',
  'hs_currency_code',
  'hs_campaign_status',
  'hs_owner',
  'hs_color_hex',
  'hs_utm',
];

const CAMPAIGNS: Listing = afterPaging('/marketing/v3/campaigns', {
  limit: 100,
  query: () => ({properties: CAMPAIGN_PROPERTIES.join(',')}),
});
const EMAILS: Listing = afterPaging('/marketing/v3/emails', {limit: 100});
const FORMS: Listing = afterPaging('/marketing/v3/forms', {limit: 100, query: () => ({formTypes: 'all'})});
const EVENTS: Listing = afterPaging('/marketing/v3/marketing-events', {limit: 100});

/** Tables of marketing: what was sent, to whom, and what came back. */
export const MARKETING_TABLES: readonly RestTable[] = [
  {
    name: 'email_events',
    description: 'What happened to marketing emails: sent, delivered, opened, clicked, bounced, ...',
    primaryKeys: ['id', 'created'],
    cursorField: 'created',
    ingestionType: 'cdc',
    schema: `id STRING NOT NULL, created TIMESTAMP NOT NULL, type STRING, recipient STRING, appId BIGINT, appName STRING,
      portalId BIGINT, emailCampaignId BIGINT, emailCampaignGroupId BIGINT, sentBy STRUCT<id: STRING, created: TIMESTAMP>,
      obsoletedBy STRUCT<id: STRING, created: TIMESTAMP>, causedBy STRUCT<id: STRING, created: TIMESTAMP>, subject STRING,
      \`from\` STRING, replyTo ARRAY<STRING>, cc ARRAY<STRING>, bcc ARRAY<STRING>, response STRING, status STRING,
      category STRING, attempt BIGINT, dropReason STRING, dropMessage STRING, bounced BOOLEAN, requestedBy STRING,
      source STRING, subscriptions VARIANT, portalSubscriptionStatus STRING, url STRING, referer STRING, linkId BIGINT,
      duration BIGINT, browser VARIANT, location VARIANT, deviceType STRING, userAgent STRING, ipAddress STRING,
      filteredEvent BOOLEAN, hmid STRING, sendId STRING, smtpId STRING, suppressedReason STRING, suppressedMessage STRING`,
    read: {
      ...timeline('/email/public/v1/events', 'events'),
      // Younger events may still be joined by others, also where this machine's clock is ahead of HubSpot's.
      lagSeconds: 60,
      lookbackSeconds: HOUR_SECONDS,
    },
  },
  {
    name: 'email_subscription_change',
    description: 'When recipients subscribed, unsubscribed or bounced.',
    primaryKeys: [],
    cursorField: 'timestamp',
    ingestionType: 'append',
    schema: `timestamp TIMESTAMP NOT NULL, portalId BIGINT, recipient STRING, normalizedEmailId STRING,
      changes VARIANT`,
    read: {...timeline('/email/public/v1/subscriptions/timeline', 'timeline'), lagSeconds: 600},
  },
  {
    name: 'marketing_emails',
    description: 'Marketing emails with their content.',
    primaryKeys: ['id'],
    cursorField: 'updatedAt',
    ingestionType: 'cdc_with_deletes',
    schema: `id STRING NOT NULL, name STRING, subject STRING, state STRING, type STRING, subcategory STRING,
      emailTemplateMode STRING, createdAt TIMESTAMP, updatedAt TIMESTAMP, publishedAt TIMESTAMP, publishDate TIMESTAMP,
      createdById STRING, updatedById STRING, publishedById STRING, archived BOOLEAN, isPublished BOOLEAN,
      isTransactional BOOLEAN, isAb BOOLEAN, activeDomain STRING, campaign STRING, campaignName STRING,
      businessUnitId STRING, clonedFrom STRING, feedbackSurveyId STRING, folderIdV2 BIGINT, jitterSendTime BOOLEAN,
      language STRING, previewKey STRING, rssData VARIANT, sendOnPublish BOOLEAN, subscriptionDetails VARIANT,
      testing VARIANT, \`from\` VARIANT, \`to\` VARIANT, webversion VARIANT, content VARIANT, allEmailCampaignIds ARRAY<STRING>,
      primaryEmailCampaignId STRING`,
    read: {
      kind: 'sorted',
      format: 'iso_ms',
      // Pages are places in the list, and an email that is changed moves to its end.
      restart: true,
      exclusiveBound: 'millisecond',
      list: afterPaging('/marketing/v3/emails', {
        limit: 100,
        query: ({cursor}) => ({sort: 'updatedAt', updatedAfter: cursor ?? undefined}),
      }),
    },
    deletes: {
      kind: 'archived',
      version: 'updatedAt',
      list: afterPaging('/marketing/v3/emails', {limit: 100, query: () => ({archived: true})}),
    },
  },
  {
    name: 'email_campaign_list',
    description: 'Contact lists that marketing emails go to, or leave out.',
    primaryKeys: ['email_id', 'list_id', 'kind'],
    ingestionType: 'snapshot',
    schema: 'email_id STRING NOT NULL, list_id STRING NOT NULL, kind STRING NOT NULL',
    read: {kind: 'snapshot', list: EMAILS},
    transform: emailLists,
  },
  {
    name: 'email_campaigns',
    description: 'Sendings of marketing emails, with their counts.',
    primaryKeys: ['id'],
    ingestionType: 'snapshot',
    schema: `id BIGINT NOT NULL, appId BIGINT, appName STRING, contentId BIGINT, name STRING, subject STRING, type STRING,
      subType STRING, numIncluded BIGINT, numQueued BIGINT, lastProcessingFinishedAt TIMESTAMP,
      lastProcessingStartedAt TIMESTAMP, lastProcessingStateChangeAt TIMESTAMP, processingState STRING,
      scheduledAt TIMESTAMP, counters MAP<STRING, BIGINT>`,
    read: {
      kind: 'snapshot',
      list: {
        request: {url: '/email/public/v1/campaigns/by-id', query: {limit: 500}},
        paginator: {kind: 'cursor', slot: {query: 'offset'}, next: {body: 'offset'}, hasMore: 'hasMore'},
        records: 'campaigns',
      },
    },
    expand: {
      list: {
        request: ({parent}) => ({
          url: `/email/public/v1/campaigns/${String(parent['id'])}`,
          query: {appId: plain(parent['appId'])},
        }),
        emptyWhen: [{status: 404}],
      },
    },
  },
  {
    name: 'email_subscriptions',
    description: 'Types of emails that recipients may subscribe to.',
    primaryKeys: ['id'],
    ingestionType: 'snapshot',
    schema: `id STRING NOT NULL, name STRING, description STRING, purpose STRING, communicationMethod STRING,
      isActive BOOLEAN, isDefault BOOLEAN, isInternal BOOLEAN, createdAt TIMESTAMP, updatedAt TIMESTAMP,
      businessUnitId BIGINT`,
    read: {
      kind: 'snapshot',
      list: {request: {url: '/communication-preferences/v3/definitions'}, records: 'subscriptionDefinitions'},
    },
  },
  {
    name: 'forms',
    description: 'Forms.',
    primaryKeys: ['id'],
    ingestionType: 'snapshot',
    schema: `id STRING NOT NULL, name STRING, formType STRING, createdAt TIMESTAMP, updatedAt TIMESTAMP,
      archived BOOLEAN, fieldGroups VARIANT, configuration VARIANT, displayOptions VARIANT, legalConsentOptions VARIANT`,
    read: {kind: 'snapshot', list: FORMS},
  },
  {
    name: 'form_submissions',
    description: 'Submissions of forms; submitted forms are never changed.',
    primaryKeys: ['form_id', 'conversionId'],
    cursorField: 'submittedAt',
    ingestionType: 'cdc',
    schema: `form_id STRING NOT NULL, conversionId STRING NOT NULL, submittedAt TIMESTAMP, values VARIANT, pageUrl STRING`,
    partitions: {kind: 'parent', list: FORMS, values: {form_id: 'id'}},
    set: {form_id: (_, {parent}) => parent['form_id']},
    read: {
      kind: 'descending',
      format: 'epoch_ms',
      lookbackSeconds: HOUR_SECONDS,
      list: {
        ...afterPaging(
          ({parent}) => `/form-integrations/v1/submissions/forms/${encodeURIComponent(String(parent['form_id']))}`,
          {limit: 50},
        ),
        emptyWhen: [{status: 404}],
      },
    },
  },
  {
    name: 'marketing_campaigns',
    description: 'Marketing campaigns.',
    primaryKeys: ['id'],
    ingestionType: 'snapshot',
    schema: `id STRING NOT NULL, createdAt TIMESTAMP, updatedAt TIMESTAMP, businessUnits VARIANT,
      ${CAMPAIGN_PROPERTIES.map((name) => `${name} STRING`).join(', ')}`,
    read: {kind: 'snapshot', list: CAMPAIGNS},
    lift: ['properties'],
  },
  {
    name: 'marketing_campaign_asset',
    description: `Assets of marketing campaigns: ${ASSET_TYPES.length} requests per campaign.`,
    primaryKeys: ['campaign_id', 'asset_type', 'id'],
    ingestionType: 'snapshot',
    schema: 'campaign_id STRING NOT NULL, asset_type STRING NOT NULL, id STRING NOT NULL, name STRING, metrics VARIANT',
    partitions: {kind: 'parent', list: CAMPAIGNS, values: {id: 'id'}},
    read: {kind: 'custom', read: readAssets},
  },
  campaignItems('marketing_campaign_budget', 'budgetItems', 'Planned amounts of marketing campaigns.'),
  campaignItems('marketing_campaign_spend', 'spendItems', 'Spent amounts of marketing campaigns.'),
  {
    name: 'marketing_events',
    description: 'Marketing events.',
    primaryKeys: ['objectId'],
    ingestionType: 'snapshot',
    schema: `objectId STRING NOT NULL, eventName STRING, eventType STRING, eventOrganizer STRING, eventDescription STRING,
      eventUrl STRING, eventStatus STRING, eventCancelled BOOLEAN, eventCompleted BOOLEAN, startDateTime TIMESTAMP,
      endDateTime TIMESTAMP, attendees BIGINT, cancellations BIGINT, noShows BIGINT, registrants BIGINT,
      externalEventId STRING, appInfo VARIANT, customProperties VARIANT, createdAt TIMESTAMP, updatedAt TIMESTAMP`,
    read: {kind: 'snapshot', list: EVENTS},
  },
  {
    name: 'marketing_event_list',
    description: 'Contact lists that belong to marketing events.',
    primaryKeys: ['event_id', 'listId'],
    ingestionType: 'snapshot',
    schema: `event_id STRING NOT NULL, listId STRING NOT NULL, name STRING, objectTypeId STRING, processingType STRING,
      processingStatus STRING, listVersion BIGINT, createdAt TIMESTAMP, updatedAt TIMESTAMP`,
    read: {kind: 'snapshot', list: EVENTS},
    expand: {
      list: {
        request: ({parent}) => ({
          url: `/marketing/v3/marketing-events/associations/${encodeURIComponent(String(parent['objectId']))}/lists`,
        }),
        records: 'results',
        emptyWhen: [{status: 404}],
      },
      include: {event_id: 'objectId'},
    },
  },
];

/**
 * A log that is listed newest first within a stretch of time, both ends included.
 * @see https://developers.hubspot.com/docs/api-reference/legacy/email-analytics-v1/events/get-email-public-v1-events
 */
function timeline(url: string, records: string): Extract<RestTable['read'], {kind: 'window'}> {
  return {
    kind: 'window',
    format: 'epoch_ms',
    granularity: 'millisecond',
    inclusiveEnd: true,
    start: FIRST_EVENT_MS,
    stepSeconds: 30 * DAY_SECONDS,
    list: {
      request: ({window}) => ({
        url,
        query: {limit: 1000, startTimestamp: window?.from, endTimestamp: window?.to},
      }),
      paginator: {kind: 'cursor', slot: {query: 'offset'}, next: {body: 'offset'}, hasMore: 'hasMore'},
      records,
    },
  };
}

/** Items of the budget of every campaign. @see https://developers.hubspot.com/docs/api-reference/legacy/marketing/campaigns/budget/get-budget-totals */
function campaignItems(name: string, records: string, description: string): RestTable {
  return {
    name,
    description,
    primaryKeys: ['campaign_id', 'id'],
    ingestionType: 'snapshot',
    schema: `campaign_id STRING NOT NULL, id STRING NOT NULL, name STRING, description STRING, amount DOUBLE,
      \`order\` BIGINT, createdAt TIMESTAMP, updatedAt TIMESTAMP`,
    read: {kind: 'snapshot', list: CAMPAIGNS},
    expand: {
      list: {
        request: ({parent}) => ({
          url: `/marketing/v3/campaigns/${encodeURIComponent(String(parent['id']))}/budget/totals`,
        }),
        records,
        recordsOptional: true,
        emptyWhen: [{status: 404}],
      },
      include: {campaign_id: 'id'},
    },
  };
}

/** Assets of the campaign that is the partition. */
async function* readAssets(_: unknown, call: RestReadCall): AsyncGenerator<readonly JsonObject[], null> {
  const id = String(call.parent['id']);
  for (const type of ASSET_TYPES) {
    const url = `/marketing/v3/campaigns/${encodeURIComponent(id)}/assets/${type}`;
    const assets = {...afterPaging(url, {limit: 100}), emptyWhen: [{status: [400, 404]}]};
    for await (const page of call.list(assets))
      yield page.map((asset) => ({...asset, campaign_id: id, asset_type: type}));
  }
  return null;
}

function emailLists(email: JsonObject): readonly JsonObject[] {
  const {to} = email;
  const lists = isJsonObject(to) && isJsonObject(to['contactIlsLists']) ? to['contactIlsLists'] : {};
  return (['include', 'exclude'] as const).flatMap((kind) => {
    const ids = lists[kind];
    return Array.isArray(ids)
      ? ids.map((id: JsonValue) => ({email_id: email['id'] ?? null, list_id: String(id), kind}))
      : [];
  });
}

function plain(value: JsonValue | undefined): string | undefined {
  return value === undefined || value === null ? undefined : String(value);
}
