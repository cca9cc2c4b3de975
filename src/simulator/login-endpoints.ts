import type {JsonObject} from '../core/json-value.ts';
import type {OAuth2Auth, SessionAuth, SimulatedUser, SimulatorAuth} from './auth-spec.ts';
import {basicCredentials, pkceChallenge} from './auth.ts';
import {verifyJwt} from './jwt.ts';
import {json, type SimulatedReply, type SimulatedRequest} from './request.ts';
import {isObject, withValue} from './row-values.ts';
import type {EndpointSpec} from './simulator-spec.ts';
import type {TokenStore} from './token-store.ts';

const CODE_LIFETIME_MS = 60_000;
const JWT_GRANT = 'urn:ietf:params:oauth:grant-type:jwt-bearer';

/** Token, authorization and login endpoints of all logins; their refresh tokens become good. */
export function loginEndpoints(
  auths: readonly SimulatorAuth[],
  tokens: TokenStore,
  nowMs: () => number,
): EndpointSpec[] {
  return auths.flatMap((auth): EndpointSpec[] => {
    if (auth.kind === 'any') return loginEndpoints(auth.of, tokens, nowMs);
    if (auth.kind === 'session') return [sessionEndpoint(auth, tokens)];
    return auth.kind === 'oauth2' ? oauth2Endpoints(auth, tokens, nowMs) : [];
  });
}

function oauth2Endpoints(auth: OAuth2Auth, tokens: TokenStore, nowMs: () => number): EndpointSpec[] {
  for (const token of auth.refreshTokens ?? []) tokens.addRefreshToken(auth.clients[0]?.id ?? 'client', token);
  const token: EndpointSpec = {
    method: 'POST',
    path: auth.tokenPath,
    auth: {kind: 'none'},
    handler: (request) => answerTokenRequest({auth, tokens, nowMs: nowMs()}, request),
  };
  if (auth.authorizePath === undefined) return [token];
  const authorize: EndpointSpec = {
    method: 'GET',
    path: auth.authorizePath,
    auth: {kind: 'none'},
    handler: (request) => authorizationPage({auth, tokens, nowMs: nowMs()}, request),
  };
  return [token, authorize];
}

interface Login {
  readonly auth: OAuth2Auth;
  readonly tokens: TokenStore;
  readonly nowMs: number;
}

function answerTokenRequest(login: Login, request: SimulatedRequest): SimulatedReply {
  const {auth} = login;
  const body = isObject(request.body) ? request.body : {};
  const grant = text(body, 'grant_type') === JWT_GRANT ? 'jwt_bearer' : text(body, 'grant_type');
  if (!auth.grants.some((one) => one === grant)) return oauthError('unsupported_grant_type');
  if (grant === 'jwt_bearer') return jwtGrant(login, body);
  const clientId = clientOf(auth, request, body);
  if (clientId === null) return oauthError('invalid_client', 401);
  switch (grant) {
    case 'client_credentials':
      return granted(login, clientId, null);
    case 'password': {
      const user = {username: text(body, 'username'), password: text(body, 'password')};
      return isUser(auth.users ?? [], user)
        ? granted(login, user.username, login.tokens.addRefreshToken(user.username))
        : oauthError('invalid_grant');
    }
    case 'refresh_token':
      return refreshGrant(login, text(body, 'refresh_token'));
    default:
      return codeGrant(login, clientId, body);
  }
}

function refreshGrant(login: Login, refreshToken: string): SimulatedReply {
  const rotates = login.auth.rotates === true;
  const principal = login.tokens.refresh(refreshToken, rotates);
  if (principal === null) return oauthError('invalid_grant');
  return granted(login, principal, rotates ? login.tokens.addRefreshToken(principal) : null);
}

function codeGrant(login: Login, clientId: string, body: JsonObject): SimulatedReply {
  const code = login.tokens.takeCode(text(body, 'code'));
  if (code === null || code.clientId !== clientId) return oauthError('invalid_grant');
  if (code.redirectUri !== text(body, 'redirect_uri')) return oauthError('invalid_grant');
  if (code.challenge !== null && code.challenge !== pkceChallenge(text(body, 'code_verifier')))
    return oauthError('invalid_grant');
  return granted(login, clientId, login.tokens.addRefreshToken(clientId));
}

function jwtGrant(login: Login, body: JsonObject): SimulatedReply {
  if (login.auth.jwt === undefined) return oauthError('unsupported_grant_type');
  const outcome = verifyJwt(text(body, 'assertion'), login.auth.jwt, login.nowMs);
  if ('problem' in outcome) return oauthError('invalid_grant', 400, outcome.problem);
  return granted(login, String(outcome.claims['sub'] ?? outcome.claims['iss'] ?? 'service'), null);
}

function granted({auth, tokens}: Login, principal: string, refreshToken: string | null): SimulatedReply {
  const lifetimeSeconds = auth.lifetimeSeconds ?? 3600;
  const life = auth.maxUses === undefined ? {} : {maxUses: auth.maxUses};
  return json(
    {
      access_token: tokens.issueToken({principal, lifetimeSeconds, ...life}),
      token_type: 'Bearer',
      ...(auth.tellsLifetime === false ? {} : {expires_in: lifetimeSeconds}),
      ...(refreshToken === null ? {} : {refresh_token: refreshToken}),
      ...auth.tokenExtras,
    },
    {headers: {'cache-control': 'no-store'}},
  );
}

/** The client of a token request; null when it is unknown, its secret is wrong, or it says itself twice. */
function clientOf(auth: OAuth2Auth, request: SimulatedRequest, body: JsonObject): string | null {
  const basic = basicCredentials(request);
  const place = auth.clientAuth ?? 'either';
  const hasSecretInBody = text(body, 'client_secret') !== '';
  if (basic !== null && hasSecretInBody) return null;
  if (place === 'basic' && basic === null) return null;
  if (place === 'body' && basic !== null) return null;
  const id = basic === null ? text(body, 'client_id') : decodeURIComponent(basic.username);
  const secret = basic === null ? text(body, 'client_secret') : decodeURIComponent(basic.password);
  const client = auth.clients.find((one) => one.id === id);
  if (client === undefined) return null;
  return client.secret === undefined || client.secret === secret ? client.id : null;
}

function authorizationPage({auth, tokens, nowMs}: Login, {query}: SimulatedRequest): SimulatedReply {
  const clientId = query.get('client_id') ?? '';
  const redirectUri = query.get('redirect_uri') ?? '';
  const isKnown = auth.clients.some((one) => one.id === clientId) && isAllowed(auth.redirectUris, redirectUri);
  if (!isKnown) return {status: 400, headers: {'content-type': 'text/plain'}, body: Buffer.from('Unknown client.')};
  const challenge = query.get('code_challenge');
  const back = new URL(redirectUri);
  const state = query.get('state');
  if (state !== null) back.searchParams.set('state', state);
  const isPlain = (query.get('code_challenge_method') ?? 'plain') !== 'S256';
  const lacksPkce = auth.requiresPkce !== false && (challenge === null || isPlain);
  if (query.get('response_type') !== 'code' || lacksPkce) back.searchParams.set('error', 'invalid_request');
  else {
    const code = {clientId, redirectUri, challenge, expiresAtMs: nowMs + CODE_LIFETIME_MS};
    back.searchParams.set('code', tokens.addCode(code));
  }
  return {status: 302, headers: {location: back.href}};
}

function isAllowed(allowed: readonly string[] | undefined, redirectUri: string): boolean {
  const given = parsedUrl(redirectUri);
  if (given === null) return false;
  const isLoopback = ['127.0.0.1', 'localhost', '[::1]'].includes(given.hostname);
  if (allowed === undefined) return isLoopback;
  return allowed.some((one) => {
    if (one === redirectUri) return true;
    const known = parsedUrl(one);
    return isLoopback && known?.hostname === given.hostname && known.pathname === given.pathname;
  });
}

function parsedUrl(url: string): URL | null {
  return URL.canParse(url) ? new URL(url) : null;
}

function sessionEndpoint(auth: SessionAuth, tokens: TokenStore): EndpointSpec {
  const names = auth.fields ?? {username: 'username', password: 'password'};
  return {
    method: 'POST',
    path: auth.loginPath,
    auth: {kind: 'none'},
    handler(request) {
      const body = isObject(request.body) ? request.body : {};
      const user = {username: text(body, names.username), password: text(body, names.password)};
      if (!isUser(auth.users, user)) return json({error: 'invalid_login'}, {status: 401});
      const life = auth.maxUses === undefined ? {} : {maxUses: auth.maxUses};
      const lifetimeSeconds = auth.lifetimeSeconds ?? 3600;
      const token = tokens.issueToken({principal: user.username, lifetimeSeconds, ...life});
      const headers: Record<string, string> =
        'cookie' in auth.send ? {'set-cookie': `${auth.send.cookie}=${token}`} : {};
      return json(withValue({}, auth.tokenPath ?? 'token', token), {headers});
    },
  };
}

function isUser(users: readonly SimulatedUser[], given: SimulatedUser): boolean {
  return users.some((one) => one.username === given.username && one.password === given.password);
}

function oauthError(error: string, status = 400, description?: string): SimulatedReply {
  return json({error, ...(description === undefined ? {} : {error_description: description})}, {status});
}

function text(body: JsonObject, name: string): string {
  const value = body[name];
  return typeof value === 'string' ? value : '';
}
