import type {JsonObject} from '../core/json-value.ts';
import type {SimulatedRequest} from './request.ts';
import type {ErrorReply} from './simulator-spec.ts';
import type {HandlerContext} from './simulator.ts';

/** How an API knows who asks. */
export type SimulatorAuth =
  | {readonly kind: 'none'}
  | ApiKeyAuth
  | BasicAuth
  | BearerAuth
  | OAuth2Auth
  | OAuth1Auth
  | SessionAuth
  | AnyAuth
  | CustomAuth;

/** What the vendor answers to wrong credentials. */
export interface AuthReplies {
  /** Default: 401. */
  readonly unauthorized?: ErrorReply;
  /** To a token that was good once. Default: as `unauthorized`. */
  readonly expired?: ErrorReply;
}

/** A fixed key in a header, the query or a cookie. */
export interface ApiKeyAuth extends AuthReplies {
  readonly kind: 'apiKey';
  readonly in: 'header' | 'query' | 'cookie';
  readonly name: string;
  readonly keys: readonly string[];
}

/** User name and password with every request. */
export interface BasicAuth extends AuthReplies {
  readonly kind: 'basic';
  readonly users: readonly SimulatedUser[];
}

/** Who may log in. */
export interface SimulatedUser {
  readonly username: string;
  readonly password: string;
}

/** A token in `Authorization`: one of the list, or one that `simulator.auth.issueToken` gave. */
export interface BearerAuth extends AuthReplies {
  readonly kind: 'bearer';
  readonly tokens?: readonly string[];
  /** The words before the token, in any case. Default `Bearer`. */
  readonly schemes?: readonly string[];
}

/** Grants of a token endpoint. */
export type SimulatedGrant = 'client_credentials' | 'refresh_token' | 'password' | 'authorization_code' | 'jwt_bearer';

/** OAuth 2.0 with a token endpoint of its own. */
export interface OAuth2Auth extends AuthReplies {
  readonly kind: 'oauth2';
  /** From the root of the server, for example `/oauth/token`; takes forms and JSON. */
  readonly tokenPath: string;
  readonly grants: readonly SimulatedGrant[];
  /** A client without a secret is public. */
  readonly clients: readonly {readonly id: string; readonly secret?: string}[];
  /** Where client id and secret must be. Default `either`, but never in both places: that is an error. */
  readonly clientAuth?: 'basic' | 'body' | 'either';
  readonly users?: readonly SimulatedUser[];
  /** Good at the start. */
  readonly refreshTokens?: readonly string[];
  /** Every refresh gives a new refresh token and the old one dies. Default false. */
  readonly rotates?: boolean;
  /** Of access tokens. Default 3600. */
  readonly lifetimeSeconds?: number;
  /** An access token dies after so many requests. Default: never. */
  readonly maxUses?: number;
  /** Answers without `expires_in` when false. Default true. */
  readonly tellsLifetime?: boolean;
  /** Makes the page that asks the user; it agrees at once and sends the browser back. */
  readonly authorizePath?: string;
  /** Allowed addresses to send the browser back to; a loopback one matches on any port. Default: loopback only. */
  readonly redirectUris?: readonly string[];
  /** Default true: a code without a challenge is refused. */
  readonly requiresPkce?: boolean;
  /** For `jwt_bearer`. */
  readonly jwt?: JwtRules;
  /** Further fields of the token endpoint's answer. */
  readonly tokenExtras?: JsonObject;
  /** The words before the token. Default `Bearer`. */
  readonly schemes?: readonly string[];
}

/** What a signed JWT must be. */
export interface JwtRules {
  /** PEM of the public key, or the secret of `HS256`. */
  readonly key: string;
  /** Default RS256, PS256, ES256. */
  readonly algorithms?: readonly ('RS256' | 'PS256' | 'ES256' | 'HS256')[];
  readonly issuer?: string;
  readonly audience?: string;
  /** The longest `exp - iat`. Default 3600. */
  readonly maxLifetimeSeconds?: number;
}

/** OAuth 1.0a: the signature is checked, a nonce is good once, the timestamp within five minutes. */
export interface OAuth1Auth extends AuthReplies {
  readonly kind: 'oauth1';
  readonly consumerKey: string;
  readonly consumerSecret: string;
  readonly token: string;
  readonly tokenSecret: string;
  /** The realm that the header must name. */
  readonly realm?: string;
  /** Default both. */
  readonly signatures?: readonly ('HMAC-SHA1' | 'HMAC-SHA256')[];
}

/** A login call that gives a token or a cookie. */
export interface SessionAuth extends AuthReplies {
  readonly kind: 'session';
  /** From the root of the server. POST of a form or JSON. */
  readonly loginPath: string;
  readonly users: readonly SimulatedUser[];
  /** Names of the fields of the login's body. Default `username` and `password`. */
  readonly fields?: {readonly username: string; readonly password: string};
  /** Dotted path of the token in the answer. Default `token`. */
  readonly tokenPath?: string;
  /** Where later requests bring it. */
  readonly send: {readonly header: string; readonly prefix?: string} | {readonly cookie: string};
  /** Default 3600. */
  readonly lifetimeSeconds?: number;
  readonly maxUses?: number;
}

/** Any of several; the last one answers when none agrees. */
export interface AnyAuth {
  readonly kind: 'any';
  readonly of: readonly SimulatorAuth[];
}

/** A check of the vendor's own. */
export interface CustomAuth {
  readonly kind: 'custom';
  /** Gives the principal, or the answer to wrong credentials. */
  readonly check: (request: SimulatedRequest, context: HandlerContext) => string | ErrorReply;
}
