import {
  type ConnectorDefinition,
  type DynamicTables,
  type RestCall,
  restConnector,
  type RestTable,
} from '../../sdk/index.ts';
import {associationName, ASSOCIATIONS, associationTable} from './association-table.ts';
import {hubspotClient} from './client.ts';
import {MARKETING_TABLES} from './marketing-tables.ts';
import {OBJECT_OPTIONS, objectTable} from './object-table.ts';
import {objectTypes, standardType} from './object-types.ts';
import {SETTINGS_TABLES} from './settings-tables.ts';

const FIXED_TABLES: readonly RestTable[] = [...SETTINGS_TABLES, ...MARKETING_TABLES];

const TABLES: DynamicTables = {
  options: OBJECT_OPTIONS,
  list: async (call) => [
    ...(await objectTypes(call)).keys(),
    ...ASSOCIATIONS.map(([from, to]) => associationName(from, to)),
    ...FIXED_TABLES.map(({name}) => name),
  ],
  fixed: FIXED_TABLES,
  get: tableOf,
};

/** HubSpot: CRM records of every type with their properties, associations, and the marketing tables. */
export const hubspot: ConnectorDefinition = restConnector({
  name: 'hubspot',
  displayName: 'HubSpot',
  description:
    'Contacts, companies, deals, tickets, activities and custom objects with all their properties, associations, owners, pipelines and marketing.',
  connection: {
    base_url: {type: 'string', default: 'https://api.hubapi.com', description: 'Where the API is.'},
    requests_per_10_seconds: {
      type: 'integer',
      min: 1,
      default: 110,
      description: 'Requests in ten seconds: 110 for OAuth apps; private apps may have 190 or more, by plan.',
    },
    searches_per_second: {
      type: 'integer',
      min: 1,
      default: 4,
      description: 'Searches in a second, which HubSpot counts for the whole account.',
    },
  },
  authMethods: {
    private_app: {
      description: 'The access token of a private app.',
      options: {
        access_token: {type: 'string', required: true, secret: true, description: 'Access token of the private app.'},
      },
    },
    oauth: {
      description: 'An OAuth app: `sluice connections login` gets the refresh token.',
      options: {
        client_id: {type: 'string', required: true, description: 'Client id of the app.'},
        client_secret: {type: 'string', required: true, secret: true, description: 'Client secret of the app.'},
        refresh_token: {type: 'string', required: true, secret: true, description: 'Refresh token of the account.'},
      },
    },
  },
  oauth: {
    authorizationUrl: 'https://app.hubspot.com/oauth/authorize',
    tokenUrl: '{base_url}/oauth/v1/token',
    scopes: 'oauth crm.objects.contacts.read crm.objects.companies.read crm.objects.deals.read crm.objects.owners.read',
    pkce: false,
  },
  client: hubspotClient,
  check: {url: '/crm/v3/owners', query: {limit: 1}},
  tables: TABLES,
});

async function tableOf(name: string, call: RestCall): Promise<RestTable | null> {
  const standard = standardType(name);
  if (standard !== null) return objectTable(standard, call);
  const types = await objectTypes(call);
  const custom = types.get(name);
  if (custom !== undefined) return objectTable(custom, call);
  for (const from of types.values()) {
    const to = name.startsWith(`${from.name}_to_`) ? types.get(name.slice(from.name.length + 4)) : undefined;
    if (to !== undefined) return associationTable(from, to);
  }
  return null;
}
