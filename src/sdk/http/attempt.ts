import {type Buffer, isUtf8} from 'node:buffer';
import type {Readable} from 'node:stream';

import type {Dispatcher} from 'undici';

import {IngestError, isIngestError, messageOf} from '../../core/errors.ts';
import {parseJson} from '../../core/json-reader.ts';
import type {JsonValue} from '../../core/json-value.ts';
import {parseLazily} from '../../core/lazy-object.ts';
import {charsetOf, WholeBody} from '../decode/body-text.ts';
import type {Permit} from './admission.ts';
import type {RememberedBody} from './conditional-memory.ts';
import {judged, type JudgedAnswer} from './error-rules.ts';
import type {Exchange} from './exchange-parts.ts';
import type {ErrorRule, HttpContext, HttpHead, HttpRequest} from './http-client.ts';
import {judge} from './judge.ts';
import {networkFailure} from './network-error.ts';
import {outgoingRequest} from './outgoing.ts';
import {decompressor, readBody} from './read-body.ts';
import {redirectTarget} from './redirects.ts';
import {encodingOf, type RawHeaders, replyHeaders} from './reply-headers.ts';
import type {EndTrace} from './trace.ts';
import {DEFAULT_TIMEOUTS, type OutgoingRequest} from './transport.ts';
import type {Target, Verdict} from './verdict.ts';

/** How the body of a successful answer is read. */
export type ReadAs = 'json' | 'text' | 'stream';

/** One attempt at a request. */
export interface Attempt {
  readonly request: HttpRequest;
  readonly readAs: ReadAs;
  readonly target: Target;
  readonly rules: readonly ErrorRule[];
  /** From 1 on. */
  readonly number: number;
}

/** An attempt under way. */
interface Sent {
  readonly shared: Exchange;
  readonly tried: Attempt;
  readonly outgoing: OutgoingRequest;
  readonly credentialsVersion: number;
  readonly permit: Permit;
  readonly remembered: RememberedBody | undefined;
  readonly memoryKey: string;
  readonly endTrace: EndTrace | null;
}

const nothing = (): void => undefined;
const DEFAULT_MAX_BODY_BYTES = 268_435_456;

/** True when no credentials go with a request. */
export function isAnonymous(request: HttpRequest, target: Target): boolean {
  return request.anonymous === true || target.isForeign;
}

/** Sends a request once, when it is its turn, and judges what came of it. @throws what fails for good. */
export async function attempt(shared: Exchange, tried: Attempt, ctx: HttpContext): Promise<Verdict> {
  const {request, target} = tried;
  const credentials = isAnonymous(request, target) ? null : shared.credentials();
  const permit = await enter(shared, target, credentials, ctx);
  let isSuccess = false;
  try {
    const outgoing = outgoingRequest(shared.options, request, target);
    const memoryKey = request.conditional === true ? `${target.method} ${target.url.href}` : '';
    const remembered = memoryKey === '' ? undefined : shared.memory.get(memoryKey);
    if (remembered !== undefined) outgoing.headers['if-none-match'] = remembered.etag;
    const credentialsVersion = credentials?.apply(outgoing) ?? 0;
    const endTrace = shared.tracer?.begin(outgoing, {attempt: tried.number, about: request.about}) ?? null;
    const sent: Sent = {shared, tried, outgoing, credentialsVersion, permit, remembered, memoryKey, endTrace};
    const verdict = await sendAndRead(sent, ctx);
    isSuccess = verdict.kind === 'done';
    if (verdict.kind === 'throttled') permit.throttled();
    return verdict;
  } finally {
    permit.release(isSuccess);
  }
}

async function enter(
  shared: Exchange,
  target: Target,
  credentials: ReturnType<Exchange['credentials']> | null,
  ctx: HttpContext,
): Promise<Permit> {
  for (;;) {
    await credentials?.prepare(ctx);
    const permit = await shared.admission.enter(target, ctx.signal);
    if (credentials === null || credentials.isReady()) return permit;
    // The wait was longer than the token lived.
    permit.release(false);
  }
}

async function sendAndRead(sent: Sent, ctx: HttpContext): Promise<Verdict> {
  const {shared, tried, outgoing, permit} = sent;
  const timeouts = {...DEFAULT_TIMEOUTS, ...shared.options.timeouts, ...tried.request.timeouts};
  let response: Dispatcher.ResponseData | null = null;
  try {
    response = await shared.transport.send(outgoing, timeouts, ctx.signal);
    permit.answered(replyHeaders(response.headers));
    return await readVerdict(sent, response);
  } catch (error) {
    response?.body.on('error', nothing).destroy();
    sent.endTrace?.({
      ...(response === null ? {} : {response: {status: response.statusCode, headers: response.headers, sizeBytes: 0}}),
      error: messageOf(error),
    });
    ctx.signal.throwIfAborted();
    return afterFailure(sent, error, response !== null);
  }
}

async function readVerdict(sent: Sent, response: Dispatcher.ResponseData): Promise<Verdict> {
  const {shared, tried, remembered, memoryKey} = sent;
  const {statusCode: status, headers} = response;
  const head = headOf(sent, status, headers);
  if (status === 304 && remembered !== undefined) {
    await response.body.dump();
    return remembersAnswer(sent, remembered, headers);
  }
  const redirect = redirectTarget(tried, head, shared);
  if (redirect !== null) {
    await response.body.dump();
    sent.endTrace?.({response: {status, headers, sizeBytes: 0}});
    return redirect;
  }
  const isSuccess = status >= 200 && status < 300;
  if (tried.readAs === 'stream' && isSuccess) return openStream(sent, response, head);

  const bytes = await readBody(
    response.body,
    encodingOf(headers),
    shared.options.maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES,
  );
  const sizeBytes = bytes.length;
  const body = new WholeBody(bytes, charsetIn(bytes, head, tried.readAs));
  sent.endTrace?.({response: {status, headers, sizeBytes, body: body.text}});
  const json = tried.readAs === 'json' && isSuccess ? parseBody(body) : undefined;
  const answer = json === undefined ? judged(status, head.headers, body.text) : judgedJson(head, body, json);
  const setback = judge(answer, judgeContext(sent));
  if (setback !== null) return setback;
  const etag = head.headers.get('etag');
  if (memoryKey !== '' && etag !== null && status === 200)
    shared.memory.put(memoryKey, {etag, body, sizeBytes, headers});
  const value = tried.readAs === 'json' ? (json ?? answer.json() ?? null) : null;
  const text = tried.readAs === 'json' ? '' : body.text;
  return {kind: 'done', answer: {head, text, json: value, sizeBytes, pieces: null, close: nothing}};
}

/** A 304 as the answer that it stands for. */
function remembersAnswer(sent: Sent, remembered: RememberedBody, headers: RawHeaders): Verdict {
  const head: HttpHead = {
    status: 200,
    headers: replyHeaders(remembered.headers, headers),
    url: sent.tried.target.url.href,
    notModified: true,
  };
  sent.endTrace?.({response: {status: 304, headers, sizeBytes: 0}});
  const {body, sizeBytes} = remembered;
  const {readAs} = sent.tried;
  const json = readAs === 'json' ? parseBody(body) : null;
  const pieces = readAs === 'stream' ? piecesOf(body.bytes) : null;
  const text = readAs === 'text' ? body.text : '';
  return {kind: 'done', answer: {head, text, json, sizeBytes, pieces, close: nothing}};
}

async function openStream(sent: Sent, response: Dispatcher.ResponseData, head: HttpHead): Promise<Verdict> {
  const answer = {status: head.status, headers: head.headers, text: null, json: () => undefined};
  const setback = judge(answer, judgeContext(sent));
  if (setback !== null) {
    response.body.on('error', nothing).destroy();
    return setback;
  }
  const close = (): void => void response.body.on('error', nothing).destroy();
  const source = pieces(response.body, encodingOf(response.headers), whereOf(sent));
  const first = await source.next();
  sent.endTrace?.({response: {status: head.status, headers: response.headers, sizeBytes: 0}});
  return {kind: 'done', answer: {head, text: '', json: null, sizeBytes: 0, pieces: withFirst(first, source), close}};
}

/** The body piece by piece, decompressed. The first failure is thrown as it is, so that it can be judged; later ones are the caller's. */
async function* pieces(body: Readable, encoding: string | null, where: string): AsyncGenerator<Uint8Array> {
  let sizeBytes = 0;
  const transform = decompressor(encoding);
  if (transform !== null) {
    body.on('error', (error) => transform.destroy(error));
    body.pipe(transform);
  }
  try {
    for await (const piece of (transform ?? body) as AsyncIterable<Buffer>) {
      sizeBytes += piece.length;
      yield piece;
    }
  } catch (error) {
    if (sizeBytes === 0) throw error;
    throw new IngestError('SOURCE_ERROR', `The answer to ${where} broke off after ${sizeBytes} bytes.`, {
      cause: error,
      context: {sizeBytes},
    });
  } finally {
    transform?.destroy();
    body.on('error', nothing).destroy();
  }
}

async function* withFirst(
  first: IteratorResult<Uint8Array, unknown>,
  rest: AsyncGenerator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  try {
    if (first.done === true) return;
    yield first.value;
    yield* rest;
  } finally {
    await rest.return(undefined);
  }
}

async function* piecesOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}

function afterFailure(sent: Sent, error: unknown, hasAnswer: boolean): Verdict {
  const isIdempotent = isRepeatable(sent.tried.request);
  if (isIngestError(error)) {
    if (!(error instanceof MalformedBody) || !isIdempotent) throw error;
    return {kind: 'retry', waitMs: null, rule: null, failure: error};
  }
  const failure = networkFailure(error, whereOf(sent), hasAnswer);
  if (failure === null) throw error;
  if (!failure.isRetryable || (!isIdempotent && !failure.nothingSent)) throw failure.error;
  return {kind: 'retry', waitMs: null, rule: null, failure: failure.error};
}

/** A body that is not what it says it is, most often because it was cut off. */
class MalformedBody extends IngestError {}

/** Objects in lists are read from the body when they are looked at, see {@link parseLazily}. */
function parseBody(body: WholeBody): JsonValue {
  const lazy = parseLazily(body.bytes);
  if (lazy !== undefined) return lazy;
  const {text} = body;
  if (text.trim() === '') return null;
  try {
    return parseJson(text);
  } catch (error) {
    const kind = text.trimStart().startsWith('<') ? 'It looks like HTML or XML. ' : '';
    throw new MalformedBody('SOURCE_ERROR', `The source's answer is not valid JSON. ${kind}${messageOf(error)}`, {
      cause: error,
    });
  }
}

function judgedJson({status, headers}: HttpHead, body: WholeBody, json: JsonValue): JudgedAnswer {
  return {
    status,
    headers,
    get text() {
      return body.text;
    },
    json: () => json,
  };
}

function isRepeatable({method, isIdempotent}: HttpRequest): boolean {
  return isIdempotent ?? (method !== 'POST' && method !== 'PATCH');
}

function judgeContext(sent: Sent): Parameters<typeof judge>[1] {
  const {shared, tried} = sent;
  return {
    rules: tried.rules,
    where: whereOf(sent),
    about: tried.request.about,
    connectionName: shared.connectionName,
    redactor: shared.redactor,
    credentialsVersion: sent.credentialsVersion,
    isIdempotent: isRepeatable(tried.request),
    nowMs: shared.clock.nowMs(),
  };
}

/** The request in words, without its query. */
function whereOf({shared, tried: {target}}: Sent): string {
  return `${target.method} ${shared.redactor.url(target.url.origin + target.url.pathname)}`;
}

function headOf(sent: Sent, status: number, headers: RawHeaders): HttpHead {
  return {status, headers: replyHeaders(headers), url: sent.tried.target.url.href, notModified: false};
}

/** JSON is UTF-8 whatever its content type says, unless it is not. @see https://www.rfc-editor.org/rfc/rfc8259#section-8.1 */
function charsetIn(bytes: Buffer, head: HttpHead, readAs: ReadAs): string | undefined {
  return readAs === 'json' && isUtf8(bytes) ? undefined : charsetOf(head.headers.get('content-type'));
}
