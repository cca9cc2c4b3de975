import {IngestError} from '../../core/errors.ts';
import type {JsonObject, JsonValue} from '../../core/json-value.ts';
import type {HttpReply, HttpRequest} from '../http/http-client.ts';
import {valueAt} from '../json-path.ts';
import {listingRules, type ListEnv} from './fetch-page.ts';
import {textOf} from './pager.ts';
import type {AsyncJobPaginator, Listing, RequestScope} from './rest-request.ts';

const POLL_MS = 500;
const MAX_POLL_MS = 30_000;
const TIMEOUT_SECONDS = 7200;

/** A job to run. */
export interface Job {
  readonly listing: Listing;
  readonly job: AsyncJobPaginator;
  /** The request that creates it. */
  readonly first: HttpRequest;
  readonly scope: RequestScope;
}

/**
 * Creates a job, waits for it, lists its results, and cleans it up whatever happened.
 * @throws SOURCE_ERROR when the job fails, takes too long, or gives another number of records than it says.
 */
export async function* runJob<Listed extends {readonly records: readonly JsonObject[]}>(
  env: ListEnv,
  {listing, job, first, scope}: Job,
  list: (env: ListEnv, listing: Listing, scope: RequestScope) => AsyncGenerator<Listed, void>,
): AsyncGenerator<Listed, void> {
  const send = (request: HttpRequest): Promise<HttpReply<JsonValue>> => {
    const errors = [...(request.errors ?? []), ...listingRules(env, listing, false)];
    return env.client.json({...request, about: request.about ?? env.table, errors}, env.ctx);
  };
  const created = await send(first);
  const id = textOf(valueAt(created.body, job.id));
  if (id === null) throw failed(env, `gave no id of the job at "${job.id}"`);
  try {
    const poll = await waitFor(env, job, () => send(job.poll(id, scope)));
    const {paginator: _, ...rest} = listing;
    const results: Listing = {...rest, request: job.results(id, poll, scope), paginator: job.pages ?? {kind: 'none'}};
    let count = 0;
    for await (const page of list(env, results, scope)) {
      count += page.records.length;
      yield page;
    }
    const total = job.total === undefined ? null : Number(valueAt(poll, job.total));
    if (total !== null && total !== count) throw failed(env, `counts ${total} records and gave ${count}`);
  } finally {
    if (job.cleanup !== undefined) await cleanUp(env, job.cleanup(id, scope));
  }
}

async function waitFor(
  env: ListEnv,
  job: AsyncJobPaginator,
  poll: () => Promise<HttpReply<JsonValue>>,
): Promise<JsonValue> {
  const {clock, signal} = env.ctx;
  const deadlineMs = clock.nowMs() + (job.timeoutSeconds ?? TIMEOUT_SECONDS) * 1000;
  let waitMs = job.pollMs ?? POLL_MS;
  // Ends: by the deadline.
  for (;;) {
    const {body} = await poll();
    const state = textOf(valueAt(body, job.state)) ?? '';
    if (job.done.includes(state)) return body;
    if (job.failed.includes(state)) throw failed(env, `reports the job as ${state}`);
    if (clock.nowMs() >= deadlineMs) throw failed(env, `still reports the job as ${state}`);
    await clock.sleep(waitMs, signal);
    waitMs = Math.min(waitMs * 2, job.maxPollMs ?? MAX_POLL_MS);
  }
}

/** The source forgets jobs by itself: one that stays is no reason to fail. */
async function cleanUp(env: ListEnv, request: HttpRequest): Promise<void> {
  const signal = AbortSignal.timeout(10_000);
  await env.client
    .json({...request, about: env.table}, {...env.ctx, signal})
    .catch(() => env.ctx.log.debug('A job of the source was not cleaned up.', {table: env.table}));
}

function failed(env: ListEnv, what: string): IngestError {
  return new IngestError('SOURCE_ERROR', `Table "${env.table}": the source ${what}.`, {
    class: 'transient',
    fix: 'Run again; if it stays so, look the job up at the source.',
    context: {table: env.table},
  });
}
