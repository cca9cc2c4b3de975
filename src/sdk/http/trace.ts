import type {TraceEntry} from '../define-connector.ts';
import type {Redactor} from './redaction.ts';
import type {RawHeaders} from './reply-headers.ts';
import {replyHeaders} from './reply-headers.ts';
import type {OutgoingRequest} from './transport.ts';

const BODY_CHARS = 16_384;

/** Tells of every exchange, secrets removed. */
export interface Tracer {
  /** Begins an entry; the function that it gives ends it. */
  begin(request: OutgoingRequest, about: {readonly attempt: number; readonly about: string | undefined}): EndTrace;
}

/** Ends an entry of a trace with what came of the request. */
export type EndTrace = (end: {
  readonly response?: {
    readonly status: number;
    readonly headers: RawHeaders;
    readonly sizeBytes: number;
    readonly body?: string;
  };
  readonly error?: string;
}) => void;

/** A tracer over the receiver of entries. */
export function createTracer(trace: (entry: TraceEntry) => void, redactor: Redactor, nowMs: () => number): Tracer {
  return {
    begin(request, {attempt, about}) {
      const startedAtMs = nowMs();
      const sent = {
        method: request.method,
        url: request.url.href,
        headers: Object.entries(request.headers),
        body: request.body,
      };
      let hasEnded = false;
      return ({response, error}) => {
        // An answer that is judged a failure has been told already.
        if (hasEnded) return;
        hasEnded = true;
        // Secrets that became known only with this very answer, a token for example, are removed too.
        trace({
          startedAtMs,
          elapsedMs: nowMs() - startedAtMs,
          attempt,
          ...(about === undefined ? {} : {about: redactor.text(about)}),
          request: {
            method: sent.method,
            url: redactor.url(sent.url),
            headers: redactor.headers(sent.headers),
            ...(sent.body === undefined ? {} : {body: redactor.body(sent.body, BODY_CHARS)}),
          },
          ...(response === undefined ? {} : {response: tracedResponse(response, redactor)}),
          ...(error === undefined ? {} : {error: redactor.text(error)}),
        });
      };
    },
  };
}

/** A tracer that keeps what it hears until it is released: the answer to a login holds a secret that is known only afterwards. */
export function heldTracer(tracer: Tracer): {readonly tracer: Tracer; readonly release: () => void} {
  const held: (() => void)[] = [];
  return {
    tracer: {
      begin(request, about) {
        const end = tracer.begin(request, about);
        return (ended) => held.push(() => end(ended));
      },
    },
    release: () => {
      for (const tell of held.splice(0)) tell();
    },
  };
}

function tracedResponse(
  response: NonNullable<Parameters<EndTrace>[0]['response']>,
  redactor: Redactor,
): NonNullable<TraceEntry['response']> {
  return {
    status: response.status,
    headers: redactor.headers(replyHeaders(response.headers).entries()),
    sizeBytes: response.sizeBytes,
    ...(response.body === undefined ? {} : {body: redactor.body(response.body, BODY_CHARS)}),
  };
}
