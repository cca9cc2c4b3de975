import type {ErrorCode} from '../core/error-codes.ts';
import {IngestError, type ErrorClass} from '../core/errors.ts';
import type {ClientFailure, FailureKind, ObjectClient} from './object-client.ts';

/** Where a call failed. */
export interface FailedCall {
  readonly action: string;
  /** Root and name as a URL. */
  readonly path: string;
  readonly client: Pick<ObjectClient, 'rights' | 'credentials'>;
}

/** Turns a classified failure into an error that says what to do about it. Never holds the vendor's error: that may carry the request. */
export function objectError(failure: ClientFailure, {action, path, client}: FailedCall): IngestError {
  const answer = ANSWERS[failure.kind];
  const message = withoutSignatures(failure.message);
  return new IngestError(answer.code, `Cannot ${action} ${path}: ${message} (${failure.code})`, {
    class: answer.class,
    fix: answer.fix(client),
    context: {path, storeCode: failure.code},
    ...(failure.retryAfterMs === undefined ? {} : {retryAfterMs: failure.retryAfterMs}),
  });
}

/** Takes signatures and tokens out of addresses that a message may quote. */
function withoutSignatures(message: string): string {
  const line = message.split('\n', 1)[0] ?? '';
  return line.replace(/\b(sig|sv|se|X-Amz-[A-Za-z-]+|token|access_token)=[^&\s"']+/g, '$1=***').slice(0, 500);
}

interface Answer {
  readonly code: ErrorCode;
  readonly class: ErrorClass;
  readonly fix: (client: FailedCall['client']) => string;
}

const ANSWERS: Readonly<Record<FailureKind, Answer>> = {
  transient: {
    code: 'STORAGE_FAILED',
    class: 'transient',
    fix: () =>
      'The store failed again and again: run once more when it is well; the run goes on after the last commit.',
  },
  busy: {
    code: 'STORAGE_FAILED',
    class: 'transient',
    fix: () => 'Other writers keep writing the same name: run again.',
  },
  throttled: {
    code: 'STORAGE_FAILED',
    class: 'throttled',
    fix: () => 'The store asks for fewer requests: run fewer pipelines at once on this bucket, or again later.',
  },
  unreachable: {
    code: 'STORAGE_FAILED',
    class: 'transient',
    fix: () => 'Look at the network, the region and the endpoint under lake_options.',
  },
  auth: {code: 'AUTH_FAILED', class: 'config', fix: ({credentials}) => credentials},
  denied: {
    code: 'PERMISSION_DENIED',
    class: 'config',
    fix: ({rights}) => `Give these credentials the right to do it: ${rights}`,
  },
  'no-bucket': {
    code: 'STORAGE_FAILED',
    class: 'config',
    fix: () => 'Create it, or correct the name in the URL of the lake (or the endpoint under lake_options).',
  },
  'wrong-address': {
    code: 'STORAGE_FAILED',
    class: 'config',
    fix: () => 'The bucket is in another region or at another address: set region or endpoint under lake_options.',
  },
  refused: {
    code: 'STORAGE_FAILED',
    class: 'config',
    fix: () => 'The store does not take this request; what it says is above.',
  },
};
