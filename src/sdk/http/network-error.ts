import {IngestError, messageOf} from '../../core/errors.ts';

/** Codes of wrong calls, not of the network. */
const OUR_MISTAKE = /^(?:ERR_(?!TLS|SSL|OSSL|STREAM)|UND_ERR_(?:INVALID_RETURN|NOT_SUPPORTED))/;

/** A failure below HTTP, judged. */
export interface NetworkFailure {
  /** Trying again may help. */
  readonly isRetryable: boolean;
  /** The request certainly did not reach the source, so that sending it again is no repetition. */
  readonly nothingSent: boolean;
  /** One word of the system or the transport, for example `ECONNRESET`. */
  readonly reason: string;
  readonly error: IngestError;
}

const NOTHING_SENT = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENETDOWN',
  'UND_ERR_CONNECT_TIMEOUT',
]);
const CERTIFICATE =
  /^(?:CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|ERR_TLS_CERT|HOSTNAME_MISMATCH|ERR_OSSL|INVALID_CA|PATH_LENGTH)/;

/** Judges what the transport threw; null for an error of another kind, which is not to be hidden. */
export function networkFailure(error: unknown, where: string, hasAnswer: boolean): NetworkFailure | null {
  const reason = codeOf(error);
  if (reason === null) return null;
  if (isClosed(reason)) {
    const closed = new IngestError('CANCELLED', 'The connection was closed while a request was under way.', {
      cause: error,
    });
    return {isRetryable: false, nothingSent: false, reason, error: closed};
  }
  if (reason === 'UND_ERR_INVALID_ARG') {
    const invalid = new IngestError(
      'INVALID_OPTION',
      `The request to ${where} cannot be made: its method or a header is not valid.`,
      {
        cause: error,
        fix: 'Check the credentials of the connection for blanks and line ends that were copied with them.',
      },
    );
    return {isRetryable: false, nothingSent: true, reason, error: invalid};
  }
  if (CERTIFICATE.test(reason)) {
    const untrusted = new IngestError('CONNECTION_FAILED', `The certificate of ${where} is not trusted (${reason}).`, {
      class: 'config',
      cause: error,
      fix: 'If an authority of your own issued it, name its certificate with the connection option for a CA file; verification cannot be switched off.',
    });
    return {isRetryable: false, nothingSent: true, reason, error: untrusted};
  }
  return {
    isRetryable: true,
    nothingSent: NOTHING_SENT.has(reason),
    reason,
    error: new IngestError(
      'CONNECTION_FAILED',
      hasAnswer
        ? `The answer to ${where} broke off: ${wordsFor(reason)}.`
        : `No answer to ${where}: ${wordsFor(reason)}.`,
      {
        cause: error,
        context: {reason},
        fix: fixFor(reason),
      },
    ),
  };
}

/** The code of a system's or the transport's error, also of one that wraps several. */
function codeOf(error: unknown): string | null {
  if (!(error instanceof Error)) return null;
  if ('code' in error && typeof error.code === 'string') return OUR_MISTAKE.test(error.code) ? null : error.code;
  if (error instanceof AggregateError) {
    for (const inner of error.errors) {
      const code = codeOf(inner);
      if (code !== null) return code;
    }
  }
  if (error.cause !== undefined) return codeOf(error.cause);
  return messageOf(error) === 'terminated' ? 'UND_ERR_SOCKET' : null;
}

function isClosed(reason: string): boolean {
  return reason === 'UND_ERR_DESTROYED' || reason === 'UND_ERR_CLOSED';
}

function wordsFor(reason: string): string {
  switch (reason) {
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `its name is not known to DNS (${reason})`;
    case 'ECONNREFUSED':
      return 'it refuses connections (ECONNREFUSED)';
    case 'ECONNRESET':
    case 'EPIPE':
    case 'UND_ERR_SOCKET':
      return `the connection broke off (${reason})`;
    case 'UND_ERR_CONNECT_TIMEOUT':
    case 'ETIMEDOUT':
      return `no connection in time (${reason})`;
    case 'UND_ERR_HEADERS_TIMEOUT':
      return 'it did not begin to answer in time (UND_ERR_HEADERS_TIMEOUT)';
    case 'Z_BUF_ERROR':
    case 'Z_DATA_ERROR':
      return `its compressed body is cut off or damaged (${reason})`;
    case 'UND_ERR_BODY_TIMEOUT':
      return 'its answer stopped in the middle (UND_ERR_BODY_TIMEOUT)';
    default:
      return reason;
  }
}

function fixFor(reason: string): string {
  return NOTHING_SENT.has(reason)
    ? 'Check the address in the connection, the network and, if one is needed, the proxy (HTTPS_PROXY).'
    : 'Run again; if it persists, the source or something between is overloaded, or a timeout of the connection is too short.';
}
