import {
  createHttpClient,
  type CreateContext,
  type ErrorRule,
  type HttpClient,
  type TableOptions,
} from '../../sdk/index.ts';
import {appAuth} from './app-auth.ts';

/** A budget is refilled after an hour at the latest. */
const MAX_WAIT_SECONDS = 3700;

/**
 * The signs of GitHub's limits: a spent budget names the second at which it is refilled; the secondary limit names a
 * wait, or asks for a minute at least.
 * @see https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit
 */
const LIMITS: readonly ErrorRule[] = [
  {
    when: {status: [403, 429], header: {name: 'retry-after', matches: /\d/}},
    then: 'rateLimit',
    wait: [{header: 'retry-after', unit: 'seconds'}],
    maxWaitSeconds: MAX_WAIT_SECONDS,
  },
  {
    when: {status: [403, 429], header: {name: 'x-ratelimit-remaining', equals: '0'}},
    then: 'rateLimit',
    wait: [{header: 'x-ratelimit-reset', unit: 'epochSeconds'}],
    maxWaitSeconds: MAX_WAIT_SECONDS,
  },
  {
    when: {status: [403, 429], text: /secondary rate limit|abuse detection/i},
    then: 'rateLimit',
    wait: [{seconds: 60}],
    minWaitSeconds: 60,
    maxWaitSeconds: MAX_WAIT_SECONDS,
  },
];

const ERRORS: readonly ErrorRule[] = [
  ...LIMITS,
  {when: {status: 202}, then: 'retry'},
  {
    when: {status: 401},
    then: 'refreshAuth',
    message: 'GitHub refused the credentials.',
    fix: 'Check that the token has not expired or been revoked; for an App, its id, private key and installation.',
  },
  {
    when: {status: 403},
    then: 'fail',
    code: 'PERMISSION_DENIED',
    fix: 'Give the token (or the App) read access to this resource; an organisation with single sign-on must authorise it too.',
  },
  {
    when: {status: [404, 410]},
    then: 'fail',
    code: 'UNKNOWN_TABLE',
    message: 'GitHub has nothing at this address, or does not show it to these credentials.',
    fix: 'Correct the name or give the token access; or set missing_repositories to skip.',
  },
  {
    when: {status: 451},
    then: 'fail',
    code: 'PERMISSION_DENIED',
    message: 'GitHub has taken this repository down for legal reasons.',
    fix: 'Take it out of the connection, or set missing_repositories to skip.',
  },
];

/** Opens a client for a connection; no request is sent before the first call. */
export function createGitHubClient(options: TableOptions, create: CreateContext): HttpClient {
  const option = (name: string): string => {
    const value = options[name];
    return typeof value === 'string' ? value : '';
  };
  return createHttpClient(
    {
      baseUrl: option('base_url'),
      auth: option('token') === '' ? appAuth(option) : {kind: 'bearer', token: option('token')},
      headers: {accept: 'application/vnd.github+json', 'x-github-api-version': '2022-11-28'},
      errors: ERRORS,
      rate: {
        learnFrom: [
          {
            remaining: 'x-ratelimit-remaining',
            reset: 'x-ratelimit-reset',
            unit: 'epochSeconds',
            limit: 'x-ratelimit-limit',
          },
        ],
      },
      maxConcurrency: 8,
      secrets: [option('private_key')].filter((secret) => secret !== ''),
    },
    create,
  );
}
