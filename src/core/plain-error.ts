import type {ErrorCode} from './error-codes.ts';
import {type ErrorClass, IngestError, messageOf} from './errors.ts';

/** An error as plain data, so that it can cross the border of a process or thread. */
export interface PlainError {
  readonly code: ErrorCode | null;
  readonly class: ErrorClass | null;
  readonly message: string;
  readonly fix: string | null;
  readonly context: IngestError['context'];
  readonly retryAfterMs: number | null;
  readonly stack: string | null;
}

/** Keeps code, class and fix of our own errors and the message of others. */
export function toPlainError(error: unknown): PlainError {
  const ours = error instanceof IngestError ? error : null;
  return {
    code: ours?.code ?? null,
    class: ours?.class ?? null,
    message: messageOf(error),
    fix: ours?.fix ?? null,
    context: ours?.context ?? {},
    retryAfterMs: ours?.retryAfterMs ?? null,
    stack: error instanceof Error ? (error.stack ?? null) : null,
  };
}

/** The inverse of {@link toPlainError}. */
export function fromPlainError(plain: PlainError): Error {
  if (plain.code === null) {
    const error = new Error(plain.message);
    if (plain.stack !== null) error.stack = plain.stack;
    return error;
  }
  return new IngestError(plain.code, plain.message, {
    ...(plain.class === null ? {} : {class: plain.class}),
    ...(plain.fix === null ? {} : {fix: plain.fix}),
    ...(plain.retryAfterMs === null ? {} : {retryAfterMs: plain.retryAfterMs}),
    context: plain.context,
  });
}
