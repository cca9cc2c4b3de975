import type {SimulatorClock} from './simulator-clock.ts';

/** Life of a token that is issued. */
export interface TokenLife {
  /** Who it stands for. */
  readonly principal: string;
  /** Default: for ever. */
  readonly lifetimeSeconds?: number;
  /** Default: any number of requests. */
  readonly maxUses?: number;
}

/** What tests do with the logins of a simulator. */
export interface AuthControl {
  /** Gives an access token that `bearer`, `oauth2` and `session` take. */
  issueToken(life: TokenLife): string;
  /** Every access token and session that was issued is refused from now on. */
  expireTokens(): void;
  /** Every refresh token is refused from now on. */
  revokeRefreshTokens(): void;
  /** Refresh tokens that are good now. */
  readonly refreshTokens: readonly string[];
  /** Access tokens and sessions that were given. */
  readonly issuedCount: number;
}

/** What a code of the authorization page stands for. */
export interface AuthorizationCode {
  readonly clientId: string;
  readonly redirectUri: string;
  readonly challenge: string | null;
  readonly expiresAtMs: number;
}

interface IssuedToken {
  readonly principal: string;
  readonly expiresAtMs: number;
  usesLeft: number;
}

/** Tokens of one simulator, good and dead. */
export class TokenStore implements AuthControl {
  readonly #clock: SimulatorClock;
  readonly #random: () => number;
  readonly #access = new Map<string, IssuedToken>();
  readonly #refresh = new Map<string, string>();
  readonly #codes = new Map<string, AuthorizationCode>();
  readonly #nonces = new Set<string>();
  #issuedCount = 0;

  constructor(clock: SimulatorClock, random: () => number) {
    this.#clock = clock;
    this.#random = random;
  }

  get refreshTokens(): readonly string[] {
    return [...this.#refresh.keys()];
  }

  get issuedCount(): number {
    return this.#issuedCount;
  }

  issueToken({principal, lifetimeSeconds = Infinity, maxUses = Infinity}: TokenLife): string {
    const token = this.secret('at');
    const expiresAtMs = this.#clock.nowMs() + lifetimeSeconds * 1000;
    this.#access.set(token, {principal, expiresAtMs, usesLeft: maxUses});
    this.#issuedCount++;
    return token;
  }

  expireTokens(): void {
    for (const token of this.#access.values()) token.usesLeft = 0;
  }

  revokeRefreshTokens(): void {
    this.#refresh.clear();
  }

  /** Counts one use of an access token: whose it is, or why it is refused. */
  use(token: string): {readonly principal: string} | 'unknown' | 'expired' {
    const issued = this.#access.get(token);
    if (issued === undefined) return 'unknown';
    if (issued.usesLeft <= 0 || this.#clock.nowMs() >= issued.expiresAtMs) return 'expired';
    issued.usesLeft--;
    return {principal: issued.principal};
  }

  /** Makes a refresh token good. */
  addRefreshToken(principal: string, token: string = this.secret('rt')): string {
    this.#refresh.set(token, principal);
    return token;
  }

  /** Whose refresh token it is, null when it is not good; `isSpent` ends it. */
  refresh(token: string, isSpent: boolean): string | null {
    const principal = this.#refresh.get(token) ?? null;
    if (isSpent) this.#refresh.delete(token);
    return principal;
  }

  /** Gives a code for what the user allowed. */
  addCode(code: AuthorizationCode): string {
    const text = this.secret('code');
    this.#codes.set(text, code);
    return text;
  }

  /** Takes a code: it is good once. */
  takeCode(text: string): AuthorizationCode | null {
    const code = this.#codes.get(text) ?? null;
    this.#codes.delete(text);
    return code !== null && this.#clock.nowMs() < code.expiresAtMs ? code : null;
  }

  /** False when the nonce came before. */
  takeNonce(nonce: string): boolean {
    if (this.#nonces.has(nonce)) return false;
    this.#nonces.add(nonce);
    return true;
  }

  /** A text that nobody guesses, the same for equal seeds. */
  secret(prefix: string): string {
    const digits = Array.from({length: 24}, () => Math.floor(this.#random() * 36).toString(36)).join('');
    return `${prefix}_${digits}`;
  }
}
