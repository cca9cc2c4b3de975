import {Buffer} from 'node:buffer';

import type {CreateContext} from '../define-connector.ts';
import type {AuthSpec} from './auth.ts';
import type {HttpClient, HttpContext} from './http-client.ts';
import {isCredentialName, type Redactor} from './redaction.ts';
import type {OutgoingRequest} from './transport.ts';

/** Credentials of a connection. */
export interface Credentials {
  /** Makes sure that there is a valid token; called before a place is taken. @throws AUTH_FAILED when none can be had. */
  prepare(ctx: HttpContext): Promise<void>;
  /** True while what {@link prepare} brought is valid. */
  isReady(): boolean;
  /** Adds the credentials; gives the version that {@link renew} is told. */
  apply(request: OutgoingRequest): number;
  /** The source refused the credentials of that version: true when there are new ones to try. */
  renew(version: number, ctx: HttpContext): Promise<boolean>;
}

/** What credentials that are fetched need. */
export interface CredentialsContext {
  /** Sends without credentials, through the same door; what it exchanges is kept from the trace until {@link releaseTrace}. */
  readonly client: HttpClient;
  /** Tells the trace what `client` exchanged, once the secrets in it are known. */
  readonly releaseTrace: () => void;
  readonly create: CreateContext;
  readonly redactor: Redactor;
  /** Aborts when the connection closes: a fetch is for all who wait, so no single caller's signal ends it. */
  readonly lifetime: AbortSignal;
}

/** Where a token is put. */
export type SendToken = {readonly header: string; readonly prefix?: string} | {readonly cookie: string};

/** Credentials that never change. */
export function fixedCredentials(apply: (request: OutgoingRequest) => void): Credentials {
  return {
    prepare: () => Promise.resolve(),
    isReady: () => true,
    apply(request) {
      apply(request);
      return 0;
    },
    renew: () => Promise.resolve(false),
  };
}

/** Credentials of the kinds that need no call: key, Basic, a bearer token, none. */
export function staticCredentials(
  spec: Extract<AuthSpec, {kind: 'none' | 'apiKey' | 'basic' | 'bearer'}>,
): Credentials {
  switch (spec.kind) {
    case 'none':
      return fixedCredentials(() => undefined);
    case 'apiKey':
      return fixedCredentials((request) => {
        putKey(request, spec);
      });
    case 'basic': {
      const value = `Basic ${basicToken(spec.username, spec.password)}`;
      return fixedCredentials((request) => {
        request.headers['authorization'] = value;
      });
    }
    case 'bearer': {
      const value = `${spec.scheme ?? 'Bearer'} ${spec.token}`;
      return fixedCredentials((request) => {
        request.headers['authorization'] = value;
      });
    }
  }
}

/** The secrets that a declaration holds, for redaction. */
export function secretsOf(spec: AuthSpec): readonly (string | undefined)[] {
  switch (spec.kind) {
    case 'none':
    case 'custom':
      return [];
    case 'apiKey':
      return [spec.value];
    case 'basic':
      // Without a password the user is a key.
      return [spec.password === '' ? spec.username : spec.password, basicToken(spec.username, spec.password)];
    case 'bearer':
      return [spec.token];
    case 'oauth1':
      return [spec.consumerSecret, spec.tokenSecret, spec.token];
    case 'oauth2':
      return [
        spec.clientSecret,
        spec.refreshToken,
        spec.password,
        spec.code?.value,
        spec.code?.verifier,
        spec.jwt?.privateKey,
      ];
    case 'session':
      return loginSecrets(spec.login.body);
  }
}

/** User and password as Basic credentials. @see https://www.rfc-editor.org/rfc/rfc7617#section-2 */
export function basicToken(username: string, password: string): string {
  return Buffer.from(`${username}:${password}`).toString('base64');
}

/** Puts a token where the source wants it. */
export function putToken(request: OutgoingRequest, token: string, send: SendToken): void {
  if ('cookie' in send) putCookie(request, send.cookie, token);
  else request.headers[send.header.toLowerCase()] = `${send.prefix ?? ''}${token}`;
}

function putKey(request: OutgoingRequest, spec: Extract<AuthSpec, {kind: 'apiKey'}>): void {
  if (spec.in === 'header') request.headers[spec.name.toLowerCase()] = spec.value;
  else if (spec.in === 'cookie') putCookie(request, spec.name, spec.value);
  else {
    const {search} = request.url;
    const pair = `${encodeURIComponent(spec.name)}=${encodeURIComponent(spec.value)}`;
    const url = new URL(request.url);
    url.search = search === '' ? pair : `${search}&${pair}`;
    request.url = url;
  }
}

function putCookie(request: OutgoingRequest, name: string, value: string): void {
  const before = request.headers['cookie'];
  request.headers['cookie'] = `${before === undefined ? '' : `${before}; `}${name}=${value}`;
}

function loginSecrets(body: Extract<AuthSpec, {kind: 'session'}>['login']['body']): readonly string[] {
  const fields = body?.kind === 'form' ? body.fields : body?.kind === 'json' ? body.value : null;
  if (typeof fields !== 'object' || fields === null) return [];
  return Object.entries(fields).flatMap(([name, value]): string[] =>
    typeof value === 'string' && isCredentialName(name) ? [value] : [],
  );
}
