import {restConnector, type ConnectorDefinition} from '../../sdk/index.ts';
import {createZendeskClient} from './client.ts';
import {tables} from './tables.ts';

/** Zendesk Support, Guide and Gather: tickets, users and what belongs to them, by incremental exports and lists. */
export const zendesk: ConnectorDefinition = restConnector({
  name: 'zendesk',
  displayName: 'Zendesk',
  description:
    'Tickets, their events, comments and metrics, users, organizations, rules and settings, help center and community, over the REST API.',
  connection: {
    subdomain: {type: 'string', description: 'The part before `.zendesk.com`. This or base_url is needed.'},
    base_url: {type: 'string', description: 'Address of the account, for example with a host of its own.'},
    start_date: {
      type: 'string',
      description: 'Timestamp at which exports begin: older changes are not read. Default: everything.',
    },
    page_size: {type: 'integer', default: 100, min: 1, max: 100, description: 'Rows of a page of a list.'},
    export_page_size: {
      type: 'integer',
      default: 1000,
      min: 1,
      max: 1000,
      description: 'Rows of a page of an export; made smaller by itself while Zendesk does not answer in time.',
    },
    export_requests_per_minute: {
      type: 'integer',
      default: 10,
      min: 1,
      description: 'Budget of exports: 10, or 30 with the High Volume API add-on.',
    },
  },
  authMethods: {
    api_token: {
      description: 'An API token of an administrator.',
      options: {
        email: {type: 'string', required: true, description: 'Address of the user to whom the token belongs.'},
        api_token: {type: 'string', required: true, secret: true, description: 'The token.'},
      },
    },
    access_token: {
      description: 'An OAuth access token.',
      options: {
        access_token: {type: 'string', required: true, secret: true, description: 'The token, with scope read.'},
      },
    },
    oauth: {
      description: 'An OAuth client with a refresh token, as `sluice connections login` gets it.',
      options: {
        client_id: {type: 'string', required: true, description: 'Unique identifier of the OAuth client.'},
        client_secret: {type: 'string', required: true, secret: true, description: 'Its secret.'},
        refresh_token: {
          type: 'string',
          required: true,
          secret: true,
          description: 'Exchanged for tokens, and replaced by each exchange.',
        },
      },
    },
  },
  oauth: {
    authorizationUrl: 'https://{subdomain}.zendesk.com/oauth/authorizations/new',
    tokenUrl: 'https://{subdomain}.zendesk.com/oauth/tokens',
    scopes: 'read',
    tokenParams: {scope: 'read'},
    jsonBody: true,
  },
  client: createZendeskClient,
  tables,
  check: {url: '/api/v2/users/me.json', about: 'credentials'},
});
