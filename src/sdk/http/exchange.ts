import {setMaxListeners} from 'node:events';

import {IngestError} from '../../core/errors.ts';
import {throttledError} from './admission.ts';
import {attempt, type Attempt, isAnonymous, type ReadAs} from './attempt.ts';
import type {Exchange} from './exchange-parts.ts';
import type {ErrorRule, HttpContext, HttpRequest} from './http-client.ts';
import {requestUrl} from './request-url.ts';
import type {ReadAnswer, Setback, Target} from './verdict.ts';

const MOST_REDIRECTS = 10;
// With waits of its own choice a source could keep a request for ever.
const MOST_THROTTLES = 60;
const DEFAULT_MAX_WAIT_SECONDS = 900;

/** What one request has been through. */
interface Course {
  attempts: number;
  throttles: number;
  waitedMs: number;
  redirects: number;
  hasRenewed: boolean;
}

/** Sends a request until it succeeds, fails for good or was tried often enough. */
export async function exchange(
  shared: Exchange,
  request: HttpRequest,
  readAs: ReadAs,
  ctx: HttpContext,
): Promise<ReadAnswer> {
  allowManyListeners(ctx.signal);
  const start = firstTarget(shared, request);
  const course: Course = {attempts: 0, throttles: 0, waitedMs: 0, redirects: 0, hasRenewed: false};
  const rules = [...(request.errors ?? []), ...(shared.options.errors ?? [])];
  let target = start;
  for (;;) {
    const tried: Attempt = {request, readAs, target, rules, number: course.attempts + course.throttles + 1};
    const verdict = await attempt(shared, tried, ctx);
    if (verdict.kind === 'done') return verdict.answer;
    if (verdict.kind === 'redirect') {
      if (++course.redirects > MOST_REDIRECTS) throw verdict.failure;
      target = verdict.target;
      continue;
    }
    target = start;
    await beforeNext(shared, {verdict, course, hasCredentials: !isAnonymous(request, start)}, ctx);
  }
}

async function beforeNext(
  shared: Exchange,
  {verdict, course, hasCredentials}: {verdict: Setback; course: Course; hasCredentials: boolean},
  ctx: HttpContext,
): Promise<void> {
  switch (verdict.kind) {
    case 'refresh': {
      const isNew =
        hasCredentials && !course.hasRenewed && (await shared.credentials().renew(verdict.credentialsVersion, ctx));
      if (!isNew) throw verdict.failure;
      course.hasRenewed = true;
      return;
    }
    case 'throttled':
      throttle(shared, verdict, course);
      ctx.log.info('The source asks to slow down: all requests of the connection wait.', {
        waitMs: Math.round(course.waitedMs),
      });
      return;
    case 'retry': {
      const waitMs = verdict.waitMs ?? backoffMs(shared, course.attempts);
      if (++course.attempts >= (shared.options.retries?.attempts ?? 6)) throw verdict.failure;
      if (waitMs > maxWaitMs(verdict.rule)) throw throttledError(waitMs, verdict.failure.message);
      ctx.log.debug('A request failed and is sent again.', {attempt: course.attempts, waitMs: Math.round(waitMs)});
      await shared.clock.sleep(waitMs, ctx.signal);
    }
  }
}

/** Closes the door for everybody until the time that the source told. */
function throttle(
  shared: Exchange,
  {rule, waitMs, failure}: Extract<Setback, {kind: 'throttled'}>,
  course: Course,
): void {
  const atLeastMs = (rule.minWaitSeconds ?? 0) * 1000;
  const told = waitMs === null || waitMs === 0 ? backoffMs(shared, course.throttles) : waitMs;
  const wait = Math.max(told, waitMs === null ? atLeastMs : 0);
  const mostMs = maxWaitMs(rule);
  course.throttles++;
  course.waitedMs += wait;
  const said = `${failure.message.replace(/\.?$/, '.')}`;
  const refusal = (remainingMs: number): IngestError => throttledError(remainingMs, said, rule.fix);
  shared.admission.pause({untilMs: shared.clock.nowMs() + wait, maxWaitMs: mostMs, refusal});
  if (course.waitedMs > mostMs || course.throttles >= MOST_THROTTLES) throw refusal(wait);
}

function maxWaitMs(rule: ErrorRule | null): number {
  return (rule?.maxWaitSeconds ?? DEFAULT_MAX_WAIT_SECONDS) * 1000;
}

/** @see https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ for full jitter */
function backoffMs(shared: Exchange, failures: number): number {
  const {baseMs = 500, capMs = 60_000} = shared.options.retries ?? {};
  return shared.random() * Math.min(capMs, baseMs * 2 ** failures);
}

const allowed = new WeakSet<AbortSignal>();

/** All requests of a read listen to its one signal; that is no leak that Node should warn of. */
function allowManyListeners(signal: AbortSignal): void {
  if (allowed.has(signal)) return;
  allowed.add(signal);
  // Not 0, which means the same: `fetch` of Node 20 takes a signal with 0 for no signal.
  setMaxListeners(Infinity, signal);
}

function firstTarget(shared: Exchange, request: HttpRequest): Target {
  const url = requestUrl(shared.options.baseUrl, request.url, request.query);
  const isForeign = !shared.origins.has(url.origin);
  if (isForeign && request.anonymous !== true) throw foreign(shared, url);
  return {url, method: request.method ?? 'GET', hasBody: request.body !== undefined, isForeign, wasRedirected: false};
}

function foreign(shared: Exchange, url: URL): IngestError {
  const own = new URL(shared.options.baseUrl).origin;
  return new IngestError(
    'SOURCE_ERROR',
    `A request to ${url.origin} was not sent: it is neither the connection's address (${own}) nor an origin that may see its credentials.`,
    {
      class: 'config',
      context: {origin: url.origin},
      fix: 'If a link of the source leads there rightly, the connector must name that origin in allowedOrigins, or ask without credentials.',
    },
  );
}
