import {
  IngestError,
  type HttpQuery,
  type JsonObject,
  type JsonValue,
  type Listing,
  type RequestScope,
  isJsonObject,
} from '../../sdk/index.ts';

/** How a list is asked for. */
export interface AfterPaging {
  /** Records of a page. */
  readonly limit: number;
  readonly query?: (scope: RequestScope) => HttpQuery;
}

/** A list in HubSpot's newer form: `results`, and `paging.next.after` for the page after it. */
export function afterPaging(
  url: string | ((scope: RequestScope) => string),
  {limit, query = () => ({})}: AfterPaging,
): Listing {
  return {
    request: (scope) => ({url: typeof url === 'string' ? url : url(scope), query: {limit, ...query(scope)}}),
    paginator: {kind: 'cursor', slot: {query: 'after'}, next: {body: 'paging.next.after'}},
    records: 'results',
  };
}

/** The objects at `results` of a body. @throws SOURCE_ERROR when there is no list: an error that came as a success is no empty page. */
export function resultsOf(body: JsonValue): readonly JsonObject[] {
  const results = isJsonObject(body) ? body['results'] : null;
  if (!Array.isArray(results)) throw new IngestError('SOURCE_ERROR', 'An answer of HubSpot has no "results".');
  return results.filter(isJsonObject);
}
