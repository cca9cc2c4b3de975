import {createHash} from 'node:crypto';

import type {SecretStore} from '../define-connector.ts';
import type {Token} from './token-cell.ts';

/** The refresh token of a connection: what its options say, or what it was replaced with since. */
export interface KeptRefreshToken {
  /** The newest token; undefined when there is none. */
  read(): Promise<KeptValue>;
  /** Keeps a new token in place of what {@link read} gave, durable when it resolves; false when another process was first. */
  keep(read: KeptValue, token: string): Promise<boolean>;
  /** Runs work while no other process refreshes, where the store can tell. */
  alone<T>(work: () => Promise<T>): Promise<T>;
  /** The access token that another process was given since, for stores that all processes take turns with; null when there is none. */
  readAccess(): Promise<Token | null>;
  /** Keeps an access token for the other processes. */
  keepAccess(token: Token): Promise<void>;
}

/** A token with what the store held when it was read. */
export interface KeptValue {
  readonly token: string | undefined;
  readonly stored: string | null;
}

/** The name under which the newest refresh token is kept. */
export const REFRESH_TOKEN_SECRET = 'oauth_refresh_token';
const ACCESS_TOKEN_SECRET = 'oauth_access_token';

/**
 * Keeps a rotating token. The stored text names by a hash the option that it descends from: after a new login the option
 * counts again, not the descendant of the former one.
 */
export function keptRefreshToken(secrets: SecretStore | undefined, given: string | undefined): KeptRefreshToken {
  const origin = createHash('sha256')
    .update(given ?? '')
    .digest('hex')
    .slice(0, 32);
  let inMemory: string | undefined;
  return {
    async read() {
      if (secrets === undefined) return {token: inMemory ?? given, stored: null};
      const stored = await secrets.get(REFRESH_TOKEN_SECRET);
      return {token: stored?.startsWith(`${origin}:`) === true ? stored.slice(origin.length + 1) : given, stored};
    },
    async keep({stored}, token) {
      inMemory = token;
      return secrets === undefined || secrets.replace(REFRESH_TOKEN_SECRET, stored, `${origin}:${token}`);
    },
    alone: (work) => (takesTurns(secrets) ? secrets.exclusively(REFRESH_TOKEN_SECRET, work) : work()),
    async readAccess() {
      if (!takesTurns(secrets)) return null;
      const stored = await secrets.get(ACCESS_TOKEN_SECRET);
      return stored?.startsWith(`${origin}:`) === true ? tokenOf(stored.slice(origin.length + 1)) : null;
    },
    async keepAccess({value, expiresAtMs}) {
      if (!takesTurns(secrets)) return;
      const text = `${origin}:${expiresAtMs ?? ''}:${value}`;
      await secrets.replace(ACCESS_TOKEN_SECRET, await secrets.get(ACCESS_TOKEN_SECRET), text);
    },
  };
}

function takesTurns(
  secrets: SecretStore | undefined,
): secrets is SecretStore & Required<Pick<SecretStore, 'exclusively'>> {
  return secrets?.exclusively !== undefined;
}

function tokenOf(text: string): Token | null {
  const [, expires = '', value = ''] = /^(\d*):(.+)$/s.exec(text) ?? [];
  return value === '' ? null : {value, expiresAtMs: expires === '' ? undefined : Number(expires)};
}
