import * as oauth from 'oauth4webapi';

import {IngestError, isIngestError, messageOf} from '../../core/errors.ts';
import {LinkedAbort} from '../../core/linked-abort.ts';
import type {ConnectionSpec} from '../../pipeline/spec.ts';
import type {OAuthEndpoints} from '../../sdk/define-connector.ts';
import {basicToken} from '../../sdk/http/credentials.ts';
import {createRedactor} from '../../sdk/http/redaction.ts';
import {listenForCallback} from './login-callback.ts';
import {filledUrl} from './login-urls.ts';

/** How a login goes. */
export interface LoginOptions {
  /** Port of the address that the browser comes back to; default: any free one. */
  readonly port?: number | undefined;
  /** How that address names this machine; some sources take only one of them. Default `127.0.0.1`. */
  readonly redirectHost?: '127.0.0.1' | 'localhost' | undefined;
  /** Asked for instead of the scopes that the connector names, separated by blanks. */
  readonly scopes?: string | undefined;
  /** Default 300,000. */
  readonly timeoutMs?: number;
  readonly signal: AbortSignal;
  /** Gets the address to open in a browser. */
  readonly onUrl: (url: string) => void;
}

/** What a login gave. */
export interface LoginToken {
  /** The connection's option that it belongs to. */
  readonly option: string;
  readonly kind: 'refresh token' | 'access token';
  readonly value: string;
  /** As granted; null when the source does not say. */
  readonly scopes: string | null;
}

const DEFAULT_TIMEOUT_MS = 300_000;

/**
 * Logs in with the browser: authorization code over loopback with PKCE (S256) and a state, exchanged here. The client is the
 * one that the connection's options `client_id` and `client_secret` (if any) name.
 * @see https://www.rfc-editor.org/rfc/rfc8252 (OAuth 2.0 for native apps)
 * @throws INVALID_OPTION for options that are missing; AUTH_FAILED when the source or its user refuses; CANCELLED after the time.
 */
export async function loginInBrowser(
  connection: ConnectionSpec,
  endpoints: OAuthEndpoints,
  options: LoginOptions,
): Promise<LoginToken> {
  const client = clientOf(connection);
  const urls = urlsOf(connection, endpoints);
  const scopes = options.scopes ?? endpoints.scopes;
  const [verifier, state] = [oauth.generateRandomCodeVerifier(), oauth.generateRandomState()];
  using limit = new LinkedAbort(options.signal);
  const {signal} = limit;
  const timer = setTimeout(() => limit.controller.abort(), options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  try {
    await using callback = await listenForCallback({...options, state});
    const {redirectUri} = callback;
    const url = new URL(urls.authorize);
    const challenge = endpoints.pkce === false ? null : await oauth.calculatePKCECodeChallenge(verifier);
    const parameters = {
      ...endpoints.extraParams,
      response_type: 'code',
      client_id: client.id,
      redirect_uri: redirectUri,
      state,
      ...(scopes === undefined ? {} : {scope: scopes}),
      ...(challenge === null ? {} : {code_challenge: challenge, code_challenge_method: 'S256'}),
    };
    for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
    options.onUrl(url.href);
    const token = await callback.answered(signal, (answer) =>
      exchanged({
        connection,
        endpoints,
        client,
        urls,
        answer,
        state,
        redirectUri,
        signal,
        verifier: challenge === null ? null : verifier,
      }),
    );
    return chosenToken(token, endpoints.tokenOption ?? 'refresh_token', connection);
  } catch (error) {
    options.signal.throwIfAborted();
    if (!signal.aborted) throw error;
    throw new IngestError('CANCELLED', `Nobody logged in for connection "${connection.name}" in time.`, {
      fix: 'Run the command again and finish in the browser.',
      cause: error,
    });
  } finally {
    clearTimeout(timer);
  }
}

interface OAuthClient {
  readonly id: string;
  readonly secret: string | null;
}

interface Urls {
  readonly authorize: string;
  readonly token: string;
}

interface Exchange {
  readonly connection: ConnectionSpec;
  readonly client: OAuthClient;
  readonly urls: Urls;
  readonly answer: URLSearchParams;
  readonly state: string;
  readonly redirectUri: string;
  readonly signal: AbortSignal;
  readonly verifier: string | null;
  readonly endpoints: OAuthEndpoints;
}

function clientOf(connection: ConnectionSpec): OAuthClient {
  const {client_id: id, client_secret: secret} = connection.options;
  if (typeof id === 'string' && id !== '')
    return {id, secret: typeof secret === 'string' && secret !== '' ? secret : null};
  throw new IngestError('INVALID_OPTION', `connection "${connection.name}": a login needs the option "client_id".`, {
    fix: 'Register an OAuth app with the source and set client_id, and client_secret if it gave one.',
    context: {option: 'client_id'},
  });
}

function urlsOf(connection: ConnectionSpec, endpoints: OAuthEndpoints): Urls {
  return {
    authorize: filledUrl(endpoints.authorizationUrl, connection),
    token: filledUrl(endpoints.tokenUrl, connection),
  };
}

async function exchanged(exchange: Exchange): Promise<Readonly<Record<string, unknown>>> {
  const {connection, client, urls} = exchange;
  const redactor = createRedactor([
    client.secret ?? undefined,
    exchange.verifier ?? undefined,
    exchange.answer.get('code') ?? undefined,
  ]);
  const server: oauth.AuthorizationServer = {
    issuer: new URL(urls.authorize).origin,
    authorization_endpoint: urls.authorize,
    token_endpoint: urls.token,
  };
  const answer = new URLSearchParams(exchange.answer);
  // The issuer's own name is not known here, so it cannot be compared.
  answer.delete('iss');
  try {
    const parameters = oauth.validateAuthResponse(server, {client_id: client.id}, answer, exchange.state);
    const response = await oauth.authorizationCodeGrantRequest(
      server,
      {client_id: client.id},
      clientAuth(client, exchange.endpoints),
      parameters,
      exchange.redirectUri,
      exchange.verifier ?? oauth.nopkce,
      // Only addresses of this machine may be without TLS: filledUrl has refused all others.
      {
        [oauth.allowInsecureRequests]: true,
        [oauth.customFetch]: (url: string, init: TokenRequest) =>
          proxiedFetch(url, exchange.endpoints.jsonBody === true ? asJson(init) : init),
        additionalParameters: {...exchange.endpoints.tokenParams},
        signal: exchange.signal,
      },
    );
    return await tokenAnswer(response);
  } catch (error) {
    if (isIngestError(error)) throw error;
    const why = error instanceof oauth.AuthorizationResponseError ? error.error : messageOf(error);
    throw refused(connection, redactor.text(why), error);
  }

  async function tokenAnswer(response: Response): Promise<Readonly<Record<string, unknown>>> {
    const body: unknown = await response.json().catch(() => null);
    const fields: Readonly<Record<string, unknown>> = typeof body === 'object' && body !== null ? {...body} : {};
    // Some sources answer errors with status 200.
    const {error, error_description: description} = fields;
    if (response.ok && (error === undefined || error === null)) return fields;
    const words = [error, description]
      .filter((word) => typeof word === 'string')
      .join(': ')
      .slice(0, 300);
    throw refused(connection, redactor.text(words === '' ? `status ${response.status}` : words));
  }
}

function clientAuth({id, secret}: OAuthClient, endpoints: OAuthEndpoints): oauth.ClientAuth {
  if (secret === null) return oauth.None();
  if (endpoints.clientAuth !== 'basic') return oauth.ClientSecretPost(secret);
  // As the HTTP client of the SDK spells it when it refreshes; the library would also escape "-", "_" and ".".
  const token = basicToken(encodeURIComponent(id), encodeURIComponent(secret));
  return (_server, _client, _body, headers) => headers.set('authorization', `Basic ${token}`);
}

/** A token request as the library makes it: a form. */
interface TokenRequest {
  readonly body?: unknown;
  readonly headers: Record<string, string>;
  readonly method: string;
  readonly signal?: AbortSignal;
}

function asJson(request: TokenRequest): TokenRequest {
  const fields = Object.fromEntries(new URLSearchParams(String(request.body)));
  const headers = Object.entries(request.headers).filter(([name]) => name.toLowerCase() !== 'content-type');
  return {
    ...request,
    body: JSON.stringify(fields),
    headers: {...Object.fromEntries(headers), 'content-type': 'application/json'},
  };
}

/** A request that goes through the proxy that the environment names, if any. */
async function proxiedFetch(url: string, init: TokenRequest): Promise<Response> {
  const {EnvHttpProxyAgent, fetch} = await import('undici');
  const dispatcher = new EnvHttpProxyAgent();
  try {
    const response = await fetch(url, {
      method: init.method,
      headers: init.headers,
      body: init.body === undefined || init.body === null ? null : String(init.body),
      redirect: 'manual',
      signal: init.signal ?? null,
      dispatcher,
    });
    return new Response(await response.text(), {status: response.status, headers: [...response.headers]});
  } finally {
    await dispatcher.close();
  }
}

function refused(connection: ConnectionSpec, why: string, cause?: unknown): IngestError {
  return new IngestError('AUTH_FAILED', `The login for connection "${connection.name}" was refused: ${why}.`, {
    fix: 'Check client_id, client_secret and the redirect addresses that the app allows, then log in again.',
    ...(cause === undefined ? {} : {cause}),
  });
}

function chosenToken(token: Readonly<Record<string, unknown>>, option: string, connection: ConnectionSpec): LoginToken {
  const {refresh_token: refresh, access_token: access, scope} = token;
  const scopes = typeof scope === 'string' ? scope : null;
  if (typeof refresh === 'string' && refresh !== '') return {option, kind: 'refresh token', value: refresh, scopes};
  if (typeof access !== 'string' || access === '') throw refused(connection, 'the answer holds no token');
  if (option !== 'refresh_token') return {option, kind: 'access token', value: access, scopes};
  // Kept as a refresh token it would be refused by every run.
  throw refused(connection, 'the source gave no refresh token; its app may have to ask for offline access');
}
