import {randomUUID} from 'node:crypto';

import {IngestError, isIngestError} from '../../core/errors.ts';
import type {JsonObject, JsonValue} from '../../core/json-value.ts';
import {ExactNumber} from '../../core/json-value.ts';
import type {OAuth2Spec} from './auth.ts';
import {basicToken, type Credentials, type CredentialsContext} from './credentials.ts';
import type {ErrorRule, HttpContext, HttpRequest} from './http-client.ts';
import {signAssertion} from './jwt.ts';
import {type KeptRefreshToken, keptRefreshToken, type KeptValue} from './kept-refresh-token.ts';
import type {Token} from './token-cell.ts';
import {tokenCredentials} from './token-credentials.ts';

const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const CLIENT_ASSERTION = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
// Refusals of a token endpoint are read for their reason instead of being taken for those of the API.
const REFUSALS: readonly ErrorRule[] = [{when: {status: [400, 401, 403]}, then: 'accept'}];
// Another process that rotates the same token may be first; that it always is would be no race any more.
const MOST_RACES = 5;
// A token with less to live is not worth taking over.
const LEAST_LIFE_MS = 120_000;

/** What a token endpoint answered. */
interface TokenAnswer {
  readonly token: Token;
  readonly refreshToken: string | undefined;
}

/** OAuth 2.0 by the grant of the declaration. @see https://www.rfc-editor.org/rfc/rfc6749 */
export function oauth2Credentials(spec: OAuth2Spec, context: CredentialsContext): Credentials {
  const kept = keptRefreshToken(context.create.secrets, spec.refreshToken ?? spec.code?.value);
  const endpoint: Endpoint = {spec, context};
  let mine: string | undefined;
  return tokenCredentials(context, {header: 'authorization', prefix: 'Bearer '}, async (ctx) => {
    switch (spec.grant) {
      case 'refresh_token':
      case 'authorization_code':
        return kept.alone(async () => {
          const token = (await givenToOthers(endpoint, kept, mine)) ?? (await rotate(endpoint, kept, ctx));
          mine = token.value;
          return token;
        });
      case 'client_credentials':
        return (await ask(endpoint, {grant_type: 'client_credentials', scope: spec.scope}, ctx)).token;
      case 'password': {
        const {username, password, scope} = spec;
        return (await ask(endpoint, {grant_type: 'password', username, password, scope}, ctx)).token;
      }
      case 'jwt_bearer':
        return (await ask(endpoint, await assertionFields(endpoint), ctx)).token;
    }
  });
}

interface Endpoint {
  readonly spec: OAuth2Spec;
  readonly context: CredentialsContext;
}

type Fields = Readonly<Record<string, string | undefined>>;

/**
 * Refreshes; a new refresh token is durable before its access token is used, so that a crash never leaves only a token
 * that was replaced. Whoever loses the race for the place takes the winner's token.
 */
async function rotate(endpoint: Endpoint, kept: KeptRefreshToken, ctx: HttpContext): Promise<Token> {
  for (let race = 0; race < MOST_RACES; race++) {
    const read = await kept.read();
    const answer = await askOrYield(endpoint, kept, read, ctx);
    if (answer === null) continue;
    const {token, refreshToken} = answer;
    if (refreshToken === undefined || refreshToken === read.token) return token;
    endpoint.context.redactor.add(refreshToken);
    if (!(await kept.keep(read, refreshToken))) continue;
    await kept.keepAccess(token);
    return token;
  }
  throw new IngestError('AUTH_FAILED', 'The refresh token was replaced by another process again and again.', {
    class: 'transient',
    fix: 'Run fewer pipelines of this connection at once, or run again.',
  });
}

/**
 * The access token that another process was given, unless it is the one that was used here. A source whose tokens rotate may
 * refuse the former access token as well: processes that each refreshed for themselves would lock each other out.
 */
async function givenToOthers(
  {context}: Endpoint,
  kept: KeptRefreshToken,
  mine: string | undefined,
): Promise<Token | null> {
  const token = await kept.readAccess();
  if (token === null || token.value === mine) return null;
  const leftMs = (token.expiresAtMs ?? Infinity) - context.create.clock.nowMs();
  return leftMs > LEAST_LIFE_MS ? token : null;
}

/** Asks for a token; null when the refusal only means that another process has replaced the token meanwhile. */
async function askOrYield(
  endpoint: Endpoint,
  kept: KeptRefreshToken,
  read: KeptValue,
  ctx: HttpContext,
): Promise<TokenAnswer | null> {
  endpoint.context.redactor.add(read.token);
  try {
    return await ask(endpoint, grantFields(endpoint, read), ctx);
  } catch (error) {
    if (!isIngestError(error, 'AUTH_FAILED')) throw error;
    const now = await kept.read();
    if (now.token === read.token) throw error;
    return null;
  }
}

/** The first time the code of the browser's login is exchanged; it works once. */
function grantFields({spec, context}: Endpoint, {token, stored}: KeptValue): Fields {
  const {code} = spec;
  if (code !== undefined && token === code.value && spec.refreshToken === undefined)
    return {
      grant_type: 'authorization_code',
      code: code.value,
      code_verifier: code.verifier,
      redirect_uri: code.redirectUri,
    };
  if (token === undefined)
    throw new IngestError('AUTH_FAILED', `The connection "${context.create.connectionName}" has no refresh token.`, {
      fix: loginFix(context.create.connectionName),
      context: {wasKept: stored !== null},
    });
  return {grant_type: 'refresh_token', refresh_token: token, scope: spec.scope};
}

async function assertionFields({spec, context}: Endpoint): Promise<Fields> {
  const {jwt, tokenUrl, scope} = spec;
  if (jwt === undefined) throw new IngestError('CONTRACT_VIOLATION', 'The grant jwt_bearer needs `jwt`.');
  const {issuer = spec.clientId, subject, audience = tokenUrl} = jwt;
  const withScope = scope === undefined ? jwt : {...jwt, claims: {scope, ...jwt.claims}};
  const issuedAtMs = context.create.clock.nowMs();
  return {
    grant_type: JWT_BEARER,
    assertion: await signAssertion(withScope, {issuer, subject, audience, issuedAtMs}),
    scope,
  };
}

async function ask(endpoint: Endpoint, fields: Fields, ctx: HttpContext): Promise<TokenAnswer> {
  const {spec, context} = endpoint;
  const {clock} = context.create;
  const request = await tokenRequest(endpoint, fields);
  const sentAtMs = clock.nowMs();
  const {body: text, status} = await context.client.text(request, ctx);
  const answer = tokenFields(text);
  const value = answer['access_token'];
  if (typeof value !== 'string' || value === '' || status >= 300) throw refused(endpoint, status, answer);
  const lifetime = secondsOf(answer['expires_in']) ?? spec.defaultLifetimeSeconds;
  const refreshToken = answer['refresh_token'];
  return {
    token: {value, expiresAtMs: lifetime === undefined ? undefined : sentAtMs + lifetime * 1000},
    refreshToken: typeof refreshToken === 'string' && refreshToken !== '' ? refreshToken : undefined,
  };
}

async function tokenRequest({spec, context}: Endpoint, grant: Fields): Promise<HttpRequest> {
  const {clientId, clientSecret, clientAuth = 'body', jwt, tokenUrl} = spec;
  const fields: Record<string, string> = {};
  const add = (more: Fields | undefined): void => {
    for (const [name, value] of Object.entries(more ?? {})) if (value !== undefined) fields[name] = value;
  };
  const headers: Record<string, string> = {accept: 'application/json'};
  add(grant);
  if (clientAuth === 'basic') {
    const token = basicToken(encodeURIComponent(clientId ?? ''), encodeURIComponent(clientSecret ?? ''));
    context.redactor.add(token);
    headers['authorization'] = `Basic ${token}`;
  } else {
    add({client_id: clientId});
    if (clientAuth === 'body') add({client_secret: clientSecret});
  }
  if (clientAuth === 'private_key_jwt') {
    if (jwt === undefined) throw new IngestError('CONTRACT_VIOLATION', 'private_key_jwt needs `jwt`.');
    const issuedAtMs = context.create.clock.nowMs();
    const {audience = tokenUrl} = jwt;
    const {claims: _, ...key} = jwt;
    const assertion = await signAssertion(key, {
      issuer: clientId,
      subject: clientId,
      audience,
      issuedAtMs,
      id: randomUUID(),
    });
    add({client_assertion_type: CLIENT_ASSERTION, client_assertion: assertion});
  }
  add(spec.extraParams);
  return {
    method: 'POST',
    url: tokenUrl,
    headers,
    body: spec.jsonBody === true ? {kind: 'json', value: fields} : {kind: 'form', fields},
    // Sent again after a failure of the network: the worst is a refusal, which a lost answer would bring anyway.
    isIdempotent: true,
    errors: REFUSALS,
    about: 'token',
  };
}

/** The answer's fields; some endpoints answer with a form instead of JSON. */
function tokenFields(text: string): JsonObject {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  } catch {
    // No JSON: perhaps a form.
  }
  return text.startsWith('<') ? {} : Object.fromEntries(new URLSearchParams(text));
}

function secondsOf(value: JsonValue | undefined): number | undefined {
  const seconds = typeof value === 'string' || value instanceof ExactNumber ? Number(value) : value;
  return typeof seconds === 'number' && seconds > 0 ? seconds : undefined;
}

function refused({spec, context}: Endpoint, status: number, answer: JsonObject): IngestError {
  const name = context.create.connectionName;
  const error = typeof answer['error'] === 'string' ? answer['error'] : `status ${status}`;
  const said = typeof answer['error_description'] === 'string' ? `: ${answer['error_description'].slice(0, 200)}` : '';
  const isLogin = spec.grant === 'refresh_token' || spec.grant === 'authorization_code';
  return new IngestError(
    'AUTH_FAILED',
    context.redactor.text(
      `The connection "${name}" got no token from ${new URL(spec.tokenUrl).origin} (${error}${said}).`,
    ),
    {
      context: {status, error: context.redactor.text(error.slice(0, 80))},
      fix:
        isLogin && error !== 'invalid_client'
          ? loginFix(name)
          : `Check the client id, secret, key and user of the connection "${name}".`,
    },
  );
}

function loginFix(connectionName: string): string {
  return `Log in again: sluice connections login ${connectionName}`;
}
