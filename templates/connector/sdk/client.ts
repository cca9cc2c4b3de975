import {
  createHttpClient,
  IngestError,
  type CreateContext,
  type HttpClient,
  type HttpContext,
  type JsonObject,
  type JsonValue,
} from 'sluice/sdk';

/** One page of a list. */
export interface ListPage {
  readonly rows: readonly JsonObject[];
  /** Null on the last page. */
  readonly nextCursor: string | null;
}

/** The HTTP client of a connection; proofs write by it as well. */
export function openHttp(context: CreateContext): HttpClient {
  const {options} = context;
  return createHttpClient(
    {
      baseUrl: String(options['base_url']),
      auth: {kind: 'bearer', token: String(options['token'])},
      errors: [
        // This API may answer an error with status 200.
        {when: {status: 200, body: {path: 'error.message', matches: /./}}, then: 'retry'},
        // The list has to begin anew, which the next attempt does: see below.
        {when: {status: 410}, then: 'accept'},
      ],
    },
    context,
  );
}

/** What the connector asks of the API. Retries, limits, waits and credentials are the HTTP client's. */
export class MySourceClient {
  readonly #http: HttpClient;

  constructor(context: CreateContext) {
    this.#http = openHttp(context);
  }

  /** Pages of a list from a time on, itself included. */
  async *pages(
    path: string,
    query: {readonly updated_since?: string},
    ctx: HttpContext,
  ): AsyncGenerator<readonly JsonObject[], void> {
    const seen = new Set<string>();
    let cursor: string | undefined;
    // Ends with the last page; a cursor that comes twice would go on for ever.
    for (;;) {
      const {status, body} = await this.#http.json({url: path, query: {...query, cursor}, about: path}, ctx);
      if (status === 410) throw malformed(path, 'says that the cursor has expired');
      const {rows, nextCursor} = listPage(body, path);
      yield rows;
      if (nextCursor === null) return;
      if (seen.has(nextCursor)) throw malformed(path, 'leads back to a page that was read');
      seen.add(nextCursor);
      cursor = nextCursor;
    }
  }

  async close(): Promise<void> {
    await this.#http[Symbol.asyncDispose]();
  }
}

function listPage(body: JsonValue, path: string): ListPage {
  if (!isObject(body) || !Array.isArray(body['data'])) throw malformed(path, 'has no "data"');
  const rows = body['data'].filter((row: JsonValue) => isObject(row));
  if (rows.length < body['data'].length) throw malformed(path, 'has records that are no objects');
  const next = body['next_cursor'] ?? null;
  if (next !== null && typeof next !== 'string') throw malformed(path, 'has a cursor that is no text');
  return {rows, nextCursor: next};
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** May pass: trying again asks anew. */
function malformed(path: string, what: string): IngestError {
  return new IngestError('SOURCE_ERROR', `My source: the answer of ${path} ${what}.`, {context: {path}});
}
