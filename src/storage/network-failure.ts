import type {ClientFailure} from './object-client.ts';

/** Classifies by HTTP status what no code of the vendor tells. */
export function failureOfStatus(status: number | undefined, code: string, message: string): ClientFailure | null {
  if (status === undefined || status === 0) return null;
  if (status === 429 || status === 503) return {kind: 'throttled', code, message};
  if (status === 408 || status >= 500) return {kind: 'transient', code, message};
  if (status === 401) return {kind: 'auth', code, message};
  if (status === 403) return {kind: 'denied', code, message};
  if (status === 301 || status === 307 || status === 308) return {kind: 'wrong-address', code, message};
  if (status >= 400) return {kind: 'refused', code, message};
  return null;
}

/** Classifies a failure below HTTP by the codes of Node.js along the chain of causes; null when there is none. */
export function failureOfNetwork(error: unknown): ClientFailure | null {
  let at: unknown = error;
  for (let depth = 0; depth < 5 && at instanceof Error; depth++, at = at.cause) {
    const {code} = at as NodeJS.ErrnoException;
    const name = typeof code === 'string' ? code : at.name;
    if (UNREACHABLE.has(name)) return {kind: 'unreachable', code: name, message: at.message};
    if (BROKEN.has(name)) return {kind: 'transient', code: name, message: at.message};
  }
  return null;
}

const UNREACHABLE: ReadonlySet<string> = new Set([
  'ENOTFOUND',
  'ECONNREFUSED',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
]);

const BROKEN: ReadonlySet<string> = new Set([
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'ESOCKETTIMEDOUT',
  'ERR_STREAM_PREMATURE_CLOSE',
  'ABORT_ERR',
  'AbortError',
  'TimeoutError',
  'RequestTimeout',
]);
