import {
  type AuthSpec,
  type CreateContext,
  createHttpClient,
  type ErrorRule,
  type HttpClient,
  type OptionValue,
} from '../../sdk/index.ts';

const TEN_SECONDS = 10;
/** Longer than any run waits for a limit: the run stops and keeps what it has. */
const TOMORROW_SECONDS = 86_400;

/** The HTTP client of a connection: its login, HubSpot's limits and what it says when they are reached. */
export function hubspotClient(options: Readonly<Record<string, OptionValue>>, create: CreateContext): HttpClient {
  return createHttpClient(
    {
      baseUrl: String(options['base_url']),
      auth: authOf(options),
      errors: ERRORS,
      rate: {
        budgets: [
          {requests: numberOr(options['requests_per_10_seconds'], 110), perSeconds: TEN_SECONDS},
          {
            requests: numberOr(options['searches_per_second'], 4),
            perSeconds: 1,
            matches: ({url}) => url.pathname.endsWith('/search'),
          },
        ],
      },
    },
    create,
  );
}

function authOf(options: Readonly<Record<string, OptionValue>>): AuthSpec {
  const {access_token: token} = options;
  if (typeof token === 'string') return {kind: 'bearer', token};
  return {
    kind: 'oauth2',
    grant: 'refresh_token',
    tokenUrl: `${String(options['base_url'])}/oauth/v1/token`,
    clientId: String(options['client_id']),
    clientSecret: String(options['client_secret']),
    refreshToken: String(options['refresh_token']),
    defaultLifetimeSeconds: 1800,
  };
}

/** @see https://developers.hubspot.com/docs/api/usage-details, https://developers.hubspot.com/docs/api/error-handling */
const ERRORS: readonly ErrorRule[] = [
  {
    when: {status: 429, body: {path: 'policyName', equals: 'DAILY'}},
    then: 'rateLimit',
    wait: [{seconds: TOMORROW_SECONDS}],
    message: "HubSpot's daily limit is used up",
    fix: 'Run again after midnight in the time zone of the HubSpot account, or read fewer tables.',
  },
  {
    when: {status: 429, body: {path: 'policyName', equals: 'TEN_SECONDLY_ROLLING'}},
    then: 'rateLimit',
    wait: [{header: 'retry-after', unit: 'seconds'}, {seconds: TEN_SECONDS}],
  },
  {when: {status: 429}, then: 'rateLimit', wait: [{header: 'retry-after', unit: 'seconds'}, {seconds: 1}]},
  {
    when: {status: 477},
    then: 'rateLimit',
    wait: [{header: 'retry-after', unit: 'seconds'}, {seconds: 60}],
    message: 'HubSpot is moving the account to another data centre',
  },
  {
    when: {status: 403, body: {path: 'category', equals: 'MISSING_SCOPES'}},
    then: 'fail',
    code: 'PERMISSION_DENIED',
    fix: 'Give the private app or the OAuth app the scopes of this table (docs/connectors/hubspot.md), or leave it out.',
  },
];

function numberOr(value: OptionValue, otherwise: number): number {
  return typeof value === 'number' ? value : otherwise;
}
