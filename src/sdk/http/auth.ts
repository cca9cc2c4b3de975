import type {HttpClient, HttpContext, HttpRequest} from './http-client.ts';

/** How requests prove who asks. Options of the connection give the values; none of them appears in a log, a trace or a message. */
export type AuthSpec =
  | {readonly kind: 'none'}
  | {readonly kind: 'apiKey'; readonly in: 'header' | 'query' | 'cookie'; readonly name: string; readonly value: string}
  | {readonly kind: 'basic'; readonly username: string; readonly password: string}
  | {readonly kind: 'bearer'; readonly token: string; readonly scheme?: string}
  | OAuth2Spec
  | OAuth1Spec
  | SessionSpec
  | CustomAuth;

/** OAuth 2.0 by any of its grants. Tokens are fetched once for all who wait, before they expire and after a 401. */
export interface OAuth2Spec {
  readonly kind: 'oauth2';
  readonly tokenUrl: string;
  readonly grant: 'refresh_token' | 'client_credentials' | 'jwt_bearer' | 'password' | 'authorization_code';
  readonly clientId?: string;
  readonly clientSecret?: string;
  /** How the client proves itself at the token endpoint. Default `body`. */
  readonly clientAuth?: 'basic' | 'body' | 'private_key_jwt' | 'none';
  readonly refreshToken?: string;
  readonly username?: string;
  readonly password?: string;
  /** For `authorization_code`: what `connections login` received; exchanged once, then refreshed. */
  readonly code?: {readonly value: string; readonly verifier: string; readonly redirectUri: string};
  readonly scope?: string;
  /** For `jwt_bearer` and `private_key_jwt`. */
  readonly jwt?: {
    readonly privateKey: string;
    readonly algorithm: 'RS256' | 'PS256' | 'ES256';
    readonly issuer?: string;
    readonly subject?: string;
    readonly audience?: string;
    readonly keyId?: string;
    readonly claims?: Readonly<Record<string, string>>;
  };
  readonly extraParams?: Readonly<Record<string, string>>;
  /** The token request's body is JSON instead of a form. */
  readonly jsonBody?: boolean;
  /** Life of a token whose answer does not say it. */
  readonly defaultLifetimeSeconds?: number;
}

/** OAuth 1.0a, every request signed. */
export interface OAuth1Spec {
  readonly kind: 'oauth1';
  readonly consumerKey: string;
  readonly consumerSecret: string;
  readonly token: string;
  readonly tokenSecret: string;
  readonly realm?: string;
  /** Default HMAC-SHA256. */
  readonly signature?: 'HMAC-SHA1' | 'HMAC-SHA256';
}

/** A login call whose answer holds a token. */
export interface SessionSpec {
  readonly kind: 'session';
  readonly login: HttpRequest;
  /** Path of the token in the answer's JSON. */
  readonly tokenPath: string;
  readonly send: {readonly header: string; readonly prefix?: string} | {readonly cookie: string};
  readonly lifetimeSeconds?: number;
}

/** Credentials that a connector fetches itself, for example an installation token. */
export interface CustomAuth {
  readonly kind: 'custom';
  /** Fetches a token; called once for all who wait. `client` sends without credentials. */
  fetchToken(client: HttpClient, ctx: HttpContext): Promise<{readonly token: string; readonly expiresAtMs?: number}>;
  readonly send: {readonly header: string; readonly prefix?: string};
}
