import {
  IngestError,
  type HttpQuery,
  type JsonObject,
  type RestCall,
  type TableOptions,
  isJsonObject,
} from '../../sdk/index.ts';

/** Rows of a page: the API gives 100 at most. */
export function pageSize(config: TableOptions): number {
  const size = config['page_size'];
  return typeof size === 'number' ? size : 100;
}

/** One page of a list. */
export interface GitHubPage {
  readonly rows: readonly JsonObject[];
  /** Address of the next page; null on the last. */
  readonly next: string | null;
  /** Number of the last page; 1 when there is only one. */
  readonly lastPage: number;
  /** It is as it was when it was asked last. */
  readonly notModified: boolean;
}

/** A request for a page. */
export interface PageRequest {
  /** Path below the base URL, or an address that a page gave. */
  readonly url: string;
  readonly query?: HttpQuery;
  /** Statuses that mean that there are no rows. */
  readonly emptyOn?: readonly number[];
  /** Field of the body that holds the rows; default: the body is the list. */
  readonly records?: string;
  /** Remembers the answer and asks with its ETag. */
  readonly conditional?: boolean;
}

/** Asks for one page of a list. */
export async function fetchPage(
  call: RestCall,
  {url, query, emptyOn = [], records, conditional}: PageRequest,
): Promise<GitHubPage> {
  const {status, headers, body, notModified} = await call.client.json(
    {
      url,
      about: call.table,
      ...(query === undefined ? {} : {query: {per_page: pageSize(call.config), ...query}}),
      ...(conditional === undefined ? {} : {conditional}),
      errors: emptyOn.length === 0 ? [] : [{when: {status: emptyOn}, then: 'accept'}],
    },
    call.ctx,
  );
  if (emptyOn.includes(status)) return {rows: [], next: null, lastPage: 1, notModified};
  const list = records === undefined ? body : isJsonObject(body) ? body[records] : null;
  if (!Array.isArray(list) || !list.every(isJsonObject)) throw unexpected(call.table);
  const links = parseLinks(headers.get('link') ?? '');
  return {rows: list, next: links.get('next') ?? null, lastPage: pageNumber(links.get('last')), notModified};
}

/** All pages of a list in the order of the source. */
export async function* fetchPages(call: RestCall, request: PageRequest): AsyncGenerator<readonly JsonObject[], void> {
  const {query: _, ...rest} = request;
  let page = await fetchPage(call, request);
  yield page.rows;
  while (page.next !== null) {
    page = await fetchPage(call, {...rest, url: page.next});
    yield page.rows;
  }
}

/** Addresses of a `Link` header by their `rel`. @see https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api */
export function parseLinks(header: string): ReadonlyMap<string, string> {
  const links = new Map<string, string>();
  for (const [, url = '', params = ''] of header.matchAll(/<([^>]*)>([^<]*)/g)) {
    const rel = /;\s*rel="?([^";,]+)"?/i.exec(params)?.[1];
    for (const one of rel?.trim().split(/\s+/) ?? []) links.set(one, url);
  }
  return links;
}

/** A text of a row; empty when the field is no text. */
export function textOf(row: JsonObject | undefined, field: string): string {
  const value = row?.[field];
  return typeof value === 'string' ? value : '';
}

function pageNumber(url: string | undefined): number {
  const page = Number(url === undefined || !URL.canParse(url) ? 1 : (new URL(url).searchParams.get('page') ?? 1));
  return Number.isSafeInteger(page) && page > 0 ? page : 1;
}

function unexpected(table: string): IngestError {
  return new IngestError('SOURCE_ERROR', `GitHub answered a request for ${table} in another form than documented.`, {
    fix: 'Check base_url: it must be the address of the REST API.',
    context: {table},
  });
}
