import type {JsonObject} from '../../core/json-value.ts';
import type {HttpRequest} from '../http/http-client.ts';
import {isJsonObject, valueAt} from '../json-path.ts';
import {createRepeatGuard, isTrue, leadsNowhere, textOf, type Pager, type PagerStart} from './pager.ts';
import {withSlot} from './request-slot.ts';
import type {PageReply, RelayPaginator} from './rest-request.ts';

/** Pages of a GraphQL connection. The request is a POST that only reads. */
export function openRelay(paginator: RelayPaginator, {first, about}: PagerStart): Pager {
  const seen = createRepeatGuard(about);
  const post: HttpRequest = {...first, method: first.method ?? 'POST', isIdempotent: first.isIdempotent ?? true};
  let request = post;
  return {
    request: () => request,
    take(reply) {
      const info = valueAt(valueAt(reply.body, paginator.connection), 'pageInfo');
      const end = textOf(valueAt(info, 'endCursor'));
      if (!isTrue(valueAt(info, 'hasNextPage'))) return {records: reply.records, more: false};
      if (end === null) throw leadsNowhere(about, 'no endCursor');
      seen(end);
      request = withSlot(post, {body: `variables.${paginator.variable ?? 'after'}`}, end);
      return {records: reply.records, more: true};
    },
  };
}

/** The records of a connection: its nodes, or the nodes of its edges; null where there is no connection. */
export function relayRecords(paginator: RelayPaginator, reply: Pick<PageReply, 'body'>): readonly JsonObject[] | null {
  const connection = valueAt(reply.body, paginator.connection);
  const hasEdges = Array.isArray(valueAt(connection, 'edges'));
  const nodes = valueAt(connection, 'nodes') ?? (hasEdges ? valueAt(connection, 'edges.*.node') : undefined);
  return Array.isArray(nodes) ? nodes.filter(isJsonObject) : null;
}
