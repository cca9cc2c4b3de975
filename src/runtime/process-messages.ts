import type {ErrorCode} from '../core/error-codes.ts';
import {IngestError, messageOf, type ErrorClass} from '../core/errors.ts';
import type {ExtractDone, ExtractJob} from '../pipeline/extract-runner.ts';
import type {Partition} from '../sdk/contract.ts';
import type {StoreOptions} from '../storage/store-options.ts';

/** An error as plain data, so that it can cross a process border. */
export interface PlainError {
  readonly code: ErrorCode | null;
  readonly class: ErrorClass | null;
  readonly message: string;
  readonly fix: string | null;
  readonly context: IngestError['context'];
  readonly retryAfterMs: number | null;
  readonly stack: string | null;
}

/** What an extract process starts with. */
export interface ExtractStart {
  readonly lake: string;
  readonly storeOptions: StoreOptions;
  readonly memoryLimitMb: number;
  readonly threads: number;
  /** Folders that may be read beside the lake. */
  readonly inputs: readonly string[];
  /** As in `LakeOptions`. */
  readonly traceFile?: string | undefined;
  /** The gateway that staged the rows; absent: the connector reads them at the source. */
  readonly gatewayId?: string | undefined;
  readonly job: ExtractJob;
}

/** To an extract process. */
export type ExtractRequest =
  | {readonly kind: 'start'; readonly start: ExtractStart}
  | {readonly kind: 'partition'; readonly partition: Partition | null}
  | {readonly kind: 'abort'; readonly reason: PlainError};

/** From an extract process: `next` asks for a partition. */
export type ExtractReply =
  | {readonly kind: 'next'}
  | {readonly kind: 'done'; readonly done: ExtractDone}
  | {readonly kind: 'end'}
  | {readonly kind: 'failed'; readonly error: PlainError};

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
