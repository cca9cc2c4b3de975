import {createHash} from 'node:crypto';

import type {
  ApiKeyAuth,
  AuthReplies,
  BasicAuth,
  BearerAuth,
  OAuth2Auth,
  SessionAuth,
  SimulatedUser,
  SimulatorAuth,
} from './auth-spec.ts';
import {oauth1Problem} from './oauth1.ts';
import type {SimulatedRequest} from './request.ts';
import type {ErrorReply} from './simulator-spec.ts';
import type {HandlerContext} from './simulator.ts';
import type {TokenStore} from './token-store.ts';

/** Who asks, or why nobody does. */
export type AuthOutcome =
  | {readonly principal: string | null}
  | {readonly refused: ErrorReply; readonly message: string};

/** Checks the credentials of a request; a use of a token is counted. */
export function checkAuth(
  auth: SimulatorAuth,
  request: SimulatedRequest,
  tokens: TokenStore,
  context: HandlerContext,
): AuthOutcome {
  switch (auth.kind) {
    case 'none':
      return {principal: null};
    case 'apiKey':
      return checkApiKey(auth, request);
    case 'basic':
      return checkBasic(auth, request);
    case 'bearer':
      return checkToken(auth, bearerToken(request, auth.schemes), tokens, auth.tokens ?? []);
    case 'oauth2':
      return checkToken(auth, bearerToken(request, auth.schemes), tokens, []);
    case 'session':
      return checkToken(auth, sessionToken(auth, request), tokens, []);
    case 'oauth1': {
      const problem = oauth1Problem(auth, request, tokens, context.clock.nowMs());
      return problem === null ? {principal: auth.token} : refuse(auth, problem);
    }
    case 'any':
      return checkAny(auth.of, (one) => checkAuth(one, request, tokens, context));
    case 'custom': {
      const outcome = auth.check(request, context);
      return typeof outcome === 'string' ? {principal: outcome} : {refused: outcome, message: 'Not authorized.'};
    }
  }
}

/** The token behind one of the schemes in `Authorization`, null when there is none. */
export function bearerToken(request: SimulatedRequest, schemes: readonly string[] = ['Bearer']): string | null {
  const header = request.headers['authorization'] ?? '';
  const blank = header.indexOf(' ');
  const scheme = header.slice(0, Math.max(blank, 0)).toLowerCase();
  return schemes.some((one) => one.toLowerCase() === scheme) ? header.slice(blank + 1).trim() : null;
}

/** User name and password of `Authorization: Basic`, null when there are none. */
export function basicCredentials(request: SimulatedRequest): SimulatedUser | null {
  const token = bearerToken(request, ['Basic']);
  if (token === null) return null;
  const decoded = Buffer.from(token, 'base64').toString();
  const colon = decoded.indexOf(':');
  return colon < 0 ? null : {username: decoded.slice(0, colon), password: decoded.slice(colon + 1)};
}

/** The value of a cookie, null when it is absent. */
export function cookie(request: SimulatedRequest, name: string): string | null {
  for (const part of (request.headers['cookie'] ?? '').split(';')) {
    const [key, ...value] = part.trim().split('=');
    if (key === name) return value.join('=');
  }
  return null;
}

/** The S256 challenge of a PKCE verifier. */
export function pkceChallenge(verifier: string): string {
  return createHash('sha256').update(verifier).digest('base64url');
}

function checkApiKey(auth: ApiKeyAuth, request: SimulatedRequest): AuthOutcome {
  const key = {
    header: () => request.headers[auth.name.toLowerCase()] ?? null,
    query: () => request.query.get(auth.name),
    cookie: () => cookie(request, auth.name),
  }[auth.in]();
  if (key === null) return refuse(auth, 'The API key is missing.');
  return auth.keys.includes(key) ? {principal: key} : refuse(auth, 'The API key is not valid.');
}

function checkBasic(auth: BasicAuth, request: SimulatedRequest): AuthOutcome {
  const given = basicCredentials(request);
  if (given === null) return refuse(auth, 'User name and password are missing.');
  const isKnown = auth.users.some((one) => one.username === given.username && one.password === given.password);
  return isKnown ? {principal: given.username} : refuse(auth, 'User name or password is wrong.');
}

function checkToken(
  auth: BearerAuth | OAuth2Auth | SessionAuth,
  token: string | null,
  tokens: TokenStore,
  fixed: readonly string[],
): AuthOutcome {
  if (token === null) return refuse(auth, 'The token is missing.');
  if (fixed.includes(token)) return {principal: token};
  const use = tokens.use(token);
  if (use === 'unknown') return refuse(auth, 'The token is not valid.');
  if (use !== 'expired') return use;
  return {refused: auth.expired ?? auth.unauthorized ?? UNAUTHORIZED, message: 'The token has expired.'};
}

function sessionToken({send}: SessionAuth, request: SimulatedRequest): string | null {
  if ('cookie' in send) return cookie(request, send.cookie);
  const header = request.headers[send.header.toLowerCase()];
  const prefix = send.prefix ?? '';
  return header === undefined || !header.startsWith(prefix) ? null : header.slice(prefix.length);
}

function checkAny(all: readonly SimulatorAuth[], check: (auth: SimulatorAuth) => AuthOutcome): AuthOutcome {
  let last: AuthOutcome = {refused: UNAUTHORIZED, message: 'Credentials are missing.'};
  for (const auth of all) {
    last = check(auth);
    if ('principal' in last) return last;
  }
  return last;
}

function refuse({unauthorized}: AuthReplies, message: string): AuthOutcome {
  return {refused: unauthorized ?? UNAUTHORIZED, message};
}

const UNAUTHORIZED: ErrorReply = {status: 401, body: {error: 'unauthorized', message: '{message}'}};
