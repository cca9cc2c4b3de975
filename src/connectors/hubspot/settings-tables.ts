import {type Listing, type RestTable, objectsAt} from '../../sdk/index.ts';
import {afterPaging, resultsOf} from './after-paging.ts';

const PIPELINE_TYPES = ['deals', 'tickets', 'leads', 'orders'] as const;

const PIPELINES: Listing = {
  request: ({parent}) => ({url: `/crm/v3/pipelines/${String(parent['object_type'])}`}),
  records: 'results',
  // The account's plan has no such type, or the login may not read it.
  emptyWhen: [{status: [403, 404]}],
};

/** Owners and pipelines: what ids in properties of CRM records stand for. */
export const SETTINGS_TABLES: readonly RestTable[] = [
  {
    name: 'owners',
    description: 'Users that own records; those that were deactivated too.',
    primaryKeys: ['id'],
    ingestionType: 'snapshot',
    schema: `id STRING NOT NULL, email STRING, type STRING, firstName STRING, lastName STRING, userId BIGINT,
      userIdIncludingInactive BIGINT, createdAt TIMESTAMP, updatedAt TIMESTAMP, archived BOOLEAN,
      teams ARRAY<STRUCT<id: STRING, name: STRING, \`primary\`: BOOLEAN>>`,
    partitions: {kind: 'list', name: 'archived', values: ['false', 'true']},
    read: {
      kind: 'snapshot',
      list: afterPaging('/crm/v3/owners', {limit: 500, query: ({parent}) => ({archived: String(parent['archived'])})}),
    },
  },
  {
    name: 'pipelines',
    description: 'Pipelines of deals, tickets, leads and orders.',
    primaryKeys: ['object_type', 'id'],
    ingestionType: 'snapshot',
    schema: `object_type STRING NOT NULL, id STRING NOT NULL, label STRING, displayOrder BIGINT, archived BOOLEAN,
      createdAt TIMESTAMP, updatedAt TIMESTAMP`,
    partitions: {kind: 'list', name: 'object_type', values: PIPELINE_TYPES},
    set: {object_type: (_, {parent}) => parent['object_type']},
    drop: ['stages'],
    read: {kind: 'snapshot', list: PIPELINES},
  },
  {
    name: 'pipeline_stages',
    description: 'Stages of pipelines.',
    primaryKeys: ['object_type', 'pipeline_id', 'id'],
    ingestionType: 'snapshot',
    schema: `object_type STRING NOT NULL, pipeline_id STRING NOT NULL, id STRING NOT NULL, label STRING,
      displayOrder BIGINT, archived BOOLEAN, createdAt TIMESTAMP, updatedAt TIMESTAMP, metadata MAP<STRING, STRING>,
      writePermissions STRING`,
    partitions: {kind: 'list', name: 'object_type', values: PIPELINE_TYPES},
    read: {
      kind: 'snapshot',
      list: {
        ...PIPELINES,
        records: ({body}) =>
          resultsOf(body).flatMap((pipeline) =>
            objectsAt(pipeline, 'stages').map((stage) => ({...stage, pipeline_id: pipeline['id'] ?? null})),
          ),
      },
    },
    set: {object_type: (_, {parent}) => parent['object_type']},
  },
];
