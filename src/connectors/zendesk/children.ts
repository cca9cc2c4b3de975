import type {JsonObject, RestReadCall} from '../../sdk/index.ts';
import type {ExportSource} from './exports.ts';

/** A list below one object, for example the audits of a ticket. */
export interface ChildList {
  /** Path of the list. */
  readonly path: string;
  /** Field of the body that holds the rows. */
  readonly records: string;
  /** Columns of the parent that every row gets. */
  readonly columns?: JsonObject;
}

/** Lists under way at once; the connection's budget decides the speed. */
const AT_ONCE = 8;

/** Rows of lists below the items of an export page: those of tickets that changed. What is gone meanwhile has none. */
export function childrenOf(lists: (item: JsonObject) => readonly ChildList[]): NonNullable<ExportSource['rows']> {
  return async (items, _, call) => {
    const wanted = items.flatMap((item) => lists(item));
    const rows: JsonObject[] = [];
    for (let at = 0; at < wanted.length; at += AT_ONCE) {
      const part = wanted.slice(at, at + AT_ONCE);
      for (const found of await Promise.all(part.map((list) => readAll(list, call)))) rows.push(...found);
    }
    return rows;
  };
}

/** All rows of a list with cursor pages. */
export async function readAll(list: ChildList, call: RestReadCall): Promise<readonly JsonObject[]> {
  const rows: JsonObject[] = [];
  for await (const page of call.list(cursorListing(list.path, list.records))) rows.push(...page);
  return list.columns === undefined ? rows : rows.map((row) => ({...row, ...list.columns}));
}

/**
 * A list with cursor pages; an answer 404 has no rows.
 * @see https://developer.zendesk.com/api-reference/introduction/pagination/#using-cursor-pagination
 */
export function cursorListing(path: string, records: string): Parameters<RestReadCall['list']>[0] {
  return {
    request: ({config}) => ({url: path, query: {'page[size]': Number(config['page_size'])}}),
    paginator: {
      kind: 'cursor',
      slot: {query: 'page[after]'},
      next: {body: 'meta.after_cursor'},
      hasMore: 'meta.has_more',
    },
    records,
    emptyWhen: [{status: 404}],
  };
}
