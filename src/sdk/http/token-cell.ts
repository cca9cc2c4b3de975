import type {Clock} from '../../core/clock.ts';
import {type IngestError, isIngestError} from '../../core/errors.ts';
import type {HttpContext} from './http-client.ts';

/** A token and how long it lives. */
export interface Token {
  readonly value: string;
  /** Undefined: until the source refuses it. */
  readonly expiresAtMs: number | undefined;
}

/** One token for all requests of a connection: whoever needs a new one waits for the same fetch. */
export interface TokenCell {
  /** The token that is valid now; null when one must be fetched. */
  current(): {readonly token: Token; readonly version: number} | null;
  /** Fetches a token unless there is a valid one. @throws what the fetch threw; a refusal is remembered and not tried again. */
  ensure(ctx: HttpContext): Promise<void>;
  /** Fetches anew unless somebody did so since that version. */
  replace(version: number, ctx: HttpContext): Promise<void>;
}

const EARLY_MS = 60_000;

/**
 * Makes a cell. Tokens are renewed a minute before they expire, short-lived ones at half of their life. A caller that is
 * aborted leaves; the fetch goes on for the others until `lifetime` ends.
 */
export function tokenCell(
  clock: Clock,
  lifetime: AbortSignal,
  fetchToken: (ctx: HttpContext) => Promise<Token>,
): TokenCell {
  let held: {readonly token: Token; readonly renewAtMs: number} | null = null;
  let version = 0;
  let refusal: IngestError | null = null;
  let underWay: Promise<void> | null = null;

  const current = (): ReturnType<TokenCell['current']> =>
    held === null || clock.nowMs() >= held.renewAtMs ? null : {token: held.token, version};

  const fetchOnce = (ctx: HttpContext): Promise<void> => {
    underWay ??= (async () => {
      try {
        const fetchedAtMs = clock.nowMs();
        const token = await fetchToken({...ctx, signal: lifetime});
        held = {token, renewAtMs: renewAtMs(token, fetchedAtMs, clock.nowMs())};
        version++;
      } catch (error) {
        held = null;
        if (isIngestError(error, 'AUTH_FAILED')) refusal = error;
        throw error;
      } finally {
        underWay = null;
      }
    })();
    return leavable(underWay, ctx.signal);
  };

  return {
    current,
    async ensure(ctx) {
      if (current() !== null) return;
      if (refusal !== null) throw refusal;
      await fetchOnce(ctx);
    },
    async replace(refused, ctx) {
      if (refused !== version && current() !== null) return;
      if (refusal !== null) throw refusal;
      await fetchOnce(ctx);
    },
  };
}

function renewAtMs({expiresAtMs}: Token, fetchedAtMs: number, nowMs: number): number {
  if (expiresAtMs === undefined) return Infinity;
  const renewAt = expiresAtMs - Math.min(EARLY_MS, (expiresAtMs - fetchedAtMs) / 2);
  // Fresh, and yet at its end by this clock: clocks differ, and only the source can tell. Else it would be asked for ever.
  return renewAt <= nowMs ? Infinity : renewAt;
}

/** Waits for work that others wait for too; an abort ends the waiting, not the work. */
function leavable(work: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const leave = (): void => {
      reject(signal.reason as Error);
    };
    if (signal.aborted) leave();
    signal.addEventListener('abort', leave, {once: true});
    work
      .then(resolve, reject)
      .finally(() => {
        signal.removeEventListener('abort', leave);
      })
      .catch(() => undefined);
  });
}
