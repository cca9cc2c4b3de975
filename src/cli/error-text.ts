import type {ErrorCode} from '../core/error-codes.ts';
import {IngestError, isIngestError, messageOf} from '../core/errors.ts';
import type {FlowProgress, RunResult} from '../runtime/api.ts';
import {EXIT} from './io.ts';
import {visible, type Paint} from './terminal-text.ts';

/** Codes of what the user wrote wrong: nothing was written because of it. */
const BAD_INPUT: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'INVALID_SPEC',
  'INVALID_OPTION',
  'INVALID_PREDICATE',
  'INVALID_SCHEMA',
  'UNKNOWN_CONNECTOR',
  'INVALID_CONNECTOR',
  'UNKNOWN_TABLE',
  'UNKNOWN_COLUMN',
  'MISSING_SECRET',
  'MISSING_KEY',
  'MISSING_SEQUENCE',
  'UNBOUNDED_TABLE',
  'UNSUPPORTED',
]);
const CONFLICT: ReadonlySet<string> = new Set<ErrorCode>(['CONCURRENT_RUN', 'COMMIT_CONFLICT']);

/** The exit status of a command that threw. */
export function exitStatusOf(error: unknown): number {
  if (!isIngestError(error)) return EXIT.failed;
  if (error.code === 'CANCELLED') return EXIT.interrupted;
  if (CONFLICT.has(error.code)) return EXIT.conflict;
  return BAD_INPUT.has(error.code) ? EXIT.badInput : EXIT.failed;
}

/** The exit status of runs that ended: a conflict only when nothing else went wrong. */
export function exitStatusOfRuns(results: readonly RunResult[]): number {
  const failed = results.flatMap((result) => result.flows).filter(isFailed);
  if (failed.some((flow) => !CONFLICT.has(flow.errorCode ?? ''))) return EXIT.failed;
  if (failed.length > 0) return EXIT.conflict;
  if (results.some((result) => result.state === 'CANCELED')) return EXIT.interrupted;
  if (!results.every((result) => result.state === 'COMPLETED')) return EXIT.failed;
  return results.some((result) => result.flows.some(isDifferent)) ? EXIT.different : EXIT.ok;
}

/** True for a flow that ended badly. */
export function isFailed(flow: FlowProgress): boolean {
  return flow.state === 'FAILED';
}

/** True for a flow whose table was compared with its source and is wrong. */
export function isDifferent(flow: FlowProgress): boolean {
  return flow.verdict === 'different';
}

/** What was thrown as lines for people: what, where, how to fix it; the stack only when `verbose`. */
export function errorLines(error: unknown, paint: Paint, verbose: boolean): readonly string[] {
  const lines = unfolded(error).flatMap((one) => {
    const {code, message, at, fix} = errorParts(one);
    return problemLines({code, message, at, fix}, paint);
  });
  if (!verbose) return lines;
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause)
    lines.push(paint.dim(cause.stack ?? cause.message));
  return lines;
}

/** What was thrown as plain data. */
export function errorJson(error: unknown): object {
  const [first, ...others] = unfolded(error).map((one) => {
    const {code, message, at, fix} = errorParts(one);
    return {
      code,
      message,
      ...(at === null ? {} : {at}),
      ...(one instanceof IngestError && typeof one.context['path'] === 'string' ? {path: one.context['path']} : {}),
      ...(fix === null ? {} : {fix}),
    };
  });
  return {...first, ...(others.length === 0 ? {} : {others})};
}

/** A problem as a person reads it. */
export interface ProblemText {
  readonly code: string;
  readonly message: string;
  readonly at: string | null;
  readonly fix: string | null;
}

/** `error: [CODE] message`, then where and how to fix it. */
export function problemLines(problem: ProblemText, paint: Paint): string[] {
  const lines = problem.message.split('\n').map(visible);
  lines[0] = `${paint.red('error:')} [${problem.code}] ${lines[0] ?? ''}`;
  if (problem.at !== null) lines.push(`  at ${visible(problem.at)}`);
  if (problem.fix !== null) lines.push(`  ${paint.bold('fix:')} ${visible(problem.fix)}`);
  return lines;
}

function errorParts(error: unknown): ProblemText {
  if (!(error instanceof IngestError)) {
    return {
      code: 'INTERNAL',
      message: messageOf(error),
      at: null,
      fix: 'This is a defect of Sluice; run again with --verbose and report what it prints.',
    };
  }
  const {at, table} = error.context;
  return {
    code: error.code,
    message: error.message,
    at: typeof at === 'string' ? at : typeof table === 'string' ? table : null,
    fix: error.fix ?? null,
  };
}

/** Several problems found at once come as an AggregateError beneath the first. */
function unfolded(error: unknown): readonly unknown[] {
  return error instanceof IngestError && error.cause instanceof AggregateError ? error.cause.errors : [error];
}
