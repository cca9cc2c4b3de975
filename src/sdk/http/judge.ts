import {IngestError} from '../../core/errors.ts';
import {valuesAt} from '../json-path.ts';
import {defaultRule, failureOf, type JudgedAnswer, ruleFor} from './error-rules.ts';
import type {ErrorRule} from './http-client.ts';
import type {Redactor} from './redaction.ts';
import type {Setback} from './verdict.ts';
import {retryAfterMs, sourceNowMs, waitMs} from './wait-from.ts';

/** What an answer is judged with. */
export interface JudgeContext {
  readonly rules: readonly ErrorRule[];
  /** The request in words, for example `GET https://api.example.com/users`, secrets removed. */
  readonly where: string;
  readonly about: string | undefined;
  readonly connectionName: string;
  readonly redactor: Redactor;
  readonly credentialsVersion: number;
  readonly isIdempotent: boolean;
  readonly nowMs: number;
}

const MESSAGE_PATHS = [
  'error.message',
  'message',
  'error_description',
  'errors.0.message',
  '0.message',
  'detail',
  'description',
  'errors.0.detail',
  'error',
  'title',
];
const MESSAGE_CHARS = 200;

/** What follows from an answer; null when it is to be taken. @throws what the rule or the status says when it fails for good. */
export function judge(answer: JudgedAnswer, context: JudgeContext): Setback | null {
  const rule = ruleFor(context.rules, answer) ?? defaultRule(answer.status, answer.headers);
  if (rule === null || rule.then === 'accept') return null;
  const failure = failureFor(rule, answer, context);
  const body = answer.json;
  const nowMs = sourceNowMs(answer.headers, context.nowMs);
  switch (rule.then) {
    case 'fail':
      throw failure;
    case 'refreshAuth':
      return {kind: 'refresh', credentialsVersion: context.credentialsVersion, failure};
    case 'retry': {
      if (!context.isIdempotent) throw failure;
      const wait = waitMs(rule.wait ?? [], {headers: answer.headers, body}, nowMs);
      return {kind: 'retry', waitMs: wait, rule, failure};
    }
    case 'rateLimit': {
      // Refused by a limit means not done: repeating does no harm. A failure with Retry-After may have been half done.
      if (!context.isIdempotent && answer.status >= 500) throw failure;
      const told = waitMs(rule.wait ?? [], {headers: answer.headers, body}, nowMs);
      return {kind: 'throttled', waitMs: told ?? retryAfterMs(answer.headers, nowMs), rule, failure};
    }
  }
}

function failureFor(rule: ErrorRule, answer: JudgedAnswer, context: JudgeContext): IngestError {
  const {status} = answer;
  const byStatus = rule.then === 'refreshAuth' ? {code: 'AUTH_FAILED' as const} : failureOf(status);
  const code = rule.code ?? (rule.then === 'rateLimit' ? 'THROTTLED' : byStatus.code);
  const errorClass = rule.code === undefined && code === byStatus.code ? byStatus.class : undefined;
  const fix = rule.fix ?? fixFor(code, context.connectionName);
  const said = sourceMessage(answer);
  const what =
    rule.message === undefined
      ? `${context.where} answered ${status}`
      : `${rule.message.replace(/\.$/, '')} (${context.where} answered ${status})`;
  const waitForMs =
    rule.then === 'rateLimit' ? retryAfterMs(answer.headers, sourceNowMs(answer.headers, context.nowMs)) : null;
  return new IngestError(code, context.redactor.text(said === null ? `${what}.` : `${what}: ${said}`), {
    context: {status, ...(context.about === undefined ? {} : {about: context.redactor.text(context.about)})},
    ...(rule.then === 'retry' && errorClass === undefined && rule.code === undefined ? {class: 'transient'} : {}),
    ...(errorClass === undefined || rule.then === 'retry' ? {} : {class: errorClass}),
    ...(fix === undefined ? {} : {fix}),
    ...(waitForMs === null ? {} : {retryAfterMs: waitForMs}),
  });
}

/** What the source says is wrong, if it says so in one of the usual places. */
function sourceMessage(answer: JudgedAnswer): string | null {
  const json = answer.json();
  if (json === undefined) return null;
  for (const path of MESSAGE_PATHS) {
    const [value] = valuesAt(json, path);
    if (typeof value === 'string' && value !== '') return value.replaceAll(/\s+/g, ' ').slice(0, MESSAGE_CHARS);
  }
  return null;
}

function fixFor(code: string, connectionName: string): string | undefined {
  if (code === 'AUTH_FAILED')
    return `Check the credentials of the connection "${connectionName}"; for OAuth run \`sluice connections login ${connectionName}\`.`;
  if (code === 'PERMISSION_DENIED')
    return `Give the user or token of the connection "${connectionName}" the right to read it, or leave the table out.`;
  return undefined;
}
