import {
  createHttpClient,
  IngestError,
  type AuthSpec,
  type CreateContext,
  type HttpClient,
  type TableOptions,
} from '../../sdk/index.ts';

/** Waits that the vendor asks for are a minute or so; more means that something else is wrong. */
const MAX_WAIT_SECONDS = 900;

/**
 * Opens a client for a connection. Incremental exports have a budget of their own, ten requests a minute unless the account
 * bought more; it is kept ahead of time, because a refusal costs a minute.
 * @see https://developer.zendesk.com/api-reference/introduction/rate-limits/
 */
export function createZendeskClient(options: TableOptions, create: CreateContext): HttpClient {
  const baseUrl = baseUrlOf(options);
  const exportsPerMinute = Number(options['export_requests_per_minute']);
  return createHttpClient(
    {
      baseUrl,
      auth: authOf(options, baseUrl),
      headers: {accept: 'application/json'},
      errors: [
        {
          when: {status: 429},
          then: 'rateLimit',
          wait: [{header: 'retry-after', unit: 'seconds'}],
          minWaitSeconds: 1,
          maxWaitSeconds: MAX_WAIT_SECONDS,
        },
        {
          when: {status: 401},
          then: 'refreshAuth',
          message: 'Zendesk refused the credentials.',
          fix: 'Check email and api_token (Admin Center > Apps and integrations > APIs), or log in anew.',
        },
        {
          when: {status: 403},
          then: 'fail',
          code: 'PERMISSION_DENIED',
          fix: 'Exports and settings need an administrator; some tables need a plan that has the feature.',
        },
        {
          when: {status: 404},
          then: 'fail',
          code: 'UNKNOWN_TABLE',
          message: 'Zendesk has nothing at this address.',
          fix: 'Check subdomain; the table may belong to a product that this account does not have.',
        },
      ],
      rate: {
        budgets: [
          {requests: exportsPerMinute, perSeconds: 60, matches: ({url}) => url.pathname.includes('/incremental/')},
        ],
        learnFrom: [
          {remaining: 'ratelimit-remaining', reset: 'ratelimit-reset', unit: 'seconds', limit: 'ratelimit-limit'},
        ],
      },
      maxConcurrency: 8,
    },
    create,
  );
}

function baseUrlOf(options: TableOptions): string {
  const {base_url: base, subdomain} = options;
  if (typeof base === 'string' && base !== '') return base;
  if (typeof subdomain === 'string' && /^[a-z0-9][a-z0-9-]*$/i.test(subdomain))
    return `https://${subdomain}.zendesk.com`;
  throw new IngestError('INVALID_OPTION', 'The connection names no Zendesk account.', {
    fix: 'Set subdomain (the part before .zendesk.com) or base_url.',
  });
}

/** @see https://developer.zendesk.com/api-reference/introduction/security-and-auth/ */
function authOf(options: TableOptions, baseUrl: string): AuthSpec {
  const option = (name: string): string => {
    const value = options[name];
    return typeof value === 'string' ? value : '';
  };
  if (option('api_token') !== '')
    return {kind: 'basic', username: `${option('email')}/token`, password: option('api_token')};
  if (option('access_token') !== '') return {kind: 'bearer', token: option('access_token')};
  return {
    kind: 'oauth2',
    grant: 'refresh_token',
    tokenUrl: `${baseUrl}/oauth/tokens`,
    clientId: option('client_id'),
    clientSecret: option('client_secret'),
    refreshToken: option('refresh_token'),
    jsonBody: true,
    // A token without `expires_in` lives until it is revoked; an hour keeps the refresh token in use.
    defaultLifetimeSeconds: 3600,
  };
}
