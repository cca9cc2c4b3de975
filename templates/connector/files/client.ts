import {
  createHttpClient,
  IngestError,
  ndjson,
  type CreateContext,
  type HttpClient,
  type HttpContext,
  type JsonObject,
  type JsonValue,
} from 'sluice/sdk';

/** An exported file, as the listing tells of it. */
export interface ExportFile {
  readonly name: string;
  readonly modifiedAt: string;
  /** Rows that it must have: a file that broke off is told by it. */
  readonly rowCount: number;
}

/** Rows of one page: a file may be larger than memory. */
const PAGE_ROWS = 5000;

/** What the connector asks of the API: a listing of files, and the files, one JSON document per line. */
export class ExportClient {
  readonly #http: HttpClient;

  constructor(context: CreateContext) {
    const {options} = context;
    this.#http = createHttpClient(
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

  /** The listing, page by page. */
  async *pages(ctx: HttpContext): AsyncGenerator<readonly ExportFile[], void> {
    const seen = new Set<string>();
    let cursor: string | undefined;
    // Ends with the last page; a cursor that comes twice would go on for ever.
    for (;;) {
      const {status, body} = await this.#http.json({url: '/exports', query: {cursor}, about: 'exports'}, ctx);
      if (status === 410) throw broken('the listing', 'says that its cursor has expired');
      if (!isObject(body) || !Array.isArray(body['data'])) throw broken('the listing', 'has no "data"');
      yield body['data'].map((entry: JsonValue) => exportFile(entry));
      const next = body['next_cursor'] ?? null;
      if (next === null) return;
      if (typeof next !== 'string' || seen.has(next)) throw broken('the listing', 'leads back to a page that was read');
      seen.add(next);
      cursor = next;
    }
  }

  /** The rows of a file, some thousand at a time. Throws at its end when it has not as many as the listing says. */
  async *rows(file: ExportFile, ctx: HttpContext): AsyncGenerator<readonly JsonObject[], void> {
    await using answer = await this.#http.stream(
      {url: `/exports/${encodeURIComponent(file.name)}`, about: file.name},
      ctx,
    );
    let page: JsonObject[] = [];
    let count = 0;
    for await (const values of ndjson(answer.body)) {
      for (const value of values) {
        if (!isObject(value) || value['id'] === undefined) throw broken(file.name, 'has a line that is no event');
        page.push(value);
        count++;
      }
      if (page.length < PAGE_ROWS) continue;
      yield page;
      page = [];
    }
    if (count !== file.rowCount) throw broken(file.name, `has ${count} rows, and the listing says ${file.rowCount}`);
    if (page.length > 0) yield page;
  }

  async close(): Promise<void> {
    await this.#http[Symbol.asyncDispose]();
  }
}

function exportFile(entry: JsonValue): ExportFile {
  if (!isObject(entry)) throw broken('the listing', 'has an entry that is no object');
  const {name, modified_at: modifiedAt, row_count: rowCount} = entry;
  if (typeof name !== 'string' || typeof modifiedAt !== 'string' || typeof rowCount !== 'number')
    throw broken('the listing', 'has an entry without name, modified_at or row_count');
  return {name, modifiedAt, rowCount};
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** May pass: trying again asks anew. */
function broken(what: string, problem: string): IngestError {
  return new IngestError('SOURCE_ERROR', `My source: ${what} ${problem}.`, {context: {file: what}});
}
