import type {JsonObject} from '../../core/json-value.ts';
import type {HttpRequest} from '../http/http-client.ts';
import {
  defined,
  errorMatch,
  errorRule,
  pageSize,
  path,
  requestShape,
  slot,
  type RequestMaker,
} from './document-request.ts';
import {
  count,
  flag,
  list,
  map,
  named,
  number,
  object,
  optional,
  text,
  variants,
  wrongAt,
  type Shape,
} from './document-shape.ts';
import type {Decoder, FieldChunks, Listing, Paginator, RequestScope} from './rest-request.ts';
import {scopeValues, type TemplateNames} from './template.ts';

/** Bodies. */
export const decoder: Shape<Decoder> = named('decoder', () =>
  variants<Decoder>('kind', {
    json: map(object({}), (): Decoder => ({kind: 'json'})),
    json_items: map(object({}), (): Decoder => ({kind: 'jsonItems'})),
    ndjson: map(object({}), (): Decoder => ({kind: 'ndjson'})),
    csv: map(
      object({delimiter: optional(text), columns: optional(list(text)), null_text: optional(text)}),
      ({delimiter, columns, null_text: nullText}): Decoder => ({
        kind: 'csv',
        ...defined({delimiter, columns, nullText}),
      }),
    ),
    xml: map(
      object({element: text, container: optional(text), lists: optional(list(text))}),
      ({element, container, lists}): Decoder => ({
        kind: 'xml',
        element,
        ...defined({container, lists}),
      }),
    ),
    gzip: map(object({inner: decoder}), ({inner}): Decoder => ({kind: 'gzip', inner})),
    zip: map(object({inner: decoder, suffix: optional(text)}), ({inner, suffix}): Decoder => ({
      kind: 'zip',
      inner,
      ...defined({suffix}),
    })),
  }),
);

const nextPlace = object({body: optional(path), header: optional(text), last_record: optional(path)});

const page: Shape<Paginator> = map(
  object({
    slot,
    first: optional(number),
    size: optional(pageSize),
    total_pages: optional(path),
    total: optional(path),
    has_more: optional(path),
    link_header: optional(flag),
  }),
  ({total_pages: totalPages, has_more: hasMore, link_header: linkHeader, first, size, total, ...rest}): Paginator => ({
    kind: 'page',
    ...rest,
    ...defined({first, size, total, totalPages, hasMore, linkHeader}),
  }),
);

const offset: Shape<Paginator> = map(
  object({slot, size: pageSize, total: optional(path), has_more: optional(path)}),
  ({slot: at, size, total, has_more: hasMore}): Paginator => ({
    kind: 'offset',
    slot: at,
    size,
    ...defined({total, hasMore}),
  }),
);

const cursor: Shape<Paginator> = map(
  object({slot, next: nextPlace, has_more: optional(path), is_last: optional(path), size: optional(pageSize)}),
  ({slot: at, next, has_more: hasMore, is_last: isLast, size}, place): Paginator => {
    const more = defined({hasMore, isLast, size});
    if (next.body !== undefined) return {kind: 'cursor', slot: at, next: {body: next.body}, ...more};
    if (next.header !== undefined) return {kind: 'cursor', slot: at, next: {header: next.header}, ...more};
    if (next.last_record !== undefined)
      return {kind: 'cursor', slot: at, next: {lastRecord: next.last_record}, ...more};
    throw wrongAt(place, 'must say where the next cursor is: next.body, next.header or next.last_record');
  },
);

const nextUrl: Shape<Paginator> = map(
  object({
    body: optional(path),
    header: optional(text),
    link: optional(flag),
    has_more: optional(path),
    is_last: optional(path),
    only_param: optional(text),
    size: optional(pageSize),
  }),
  ({body, header, link, has_more: hasMore, is_last: isLast, only_param: onlyParam, size}, place): Paginator => {
    const more = defined({hasMore, isLast, onlyParam, size});
    if (link === true) return {kind: 'nextUrl', from: 'link', ...more};
    if (body !== undefined) return {kind: 'nextUrl', from: {body}, ...more};
    if (header !== undefined) return {kind: 'nextUrl', from: {header}, ...more};
    throw wrongAt(place, 'must say where the next URL is: body, header or link: true');
  },
);

const keyset: Shape<Paginator> = map(
  object({fields: list(path), slots: list(slot), size: pageSize}),
  (given, place): Paginator => {
    if (given.fields.length !== given.slots.length || given.fields.length === 0)
      throw wrongAt(place, 'must have one slot for each of its fields');
    return {kind: 'keyset', ...given};
  },
);

const relay: Shape<Paginator> = map(
  object({connection: path, variable: optional(text)}),
  ({connection, variable}): Paginator => ({kind: 'graphqlRelay', connection, ...defined({variable})}),
);

/** Paginators of documents. Those that need functions are for code. */
export function paginatorShape(names: TemplateNames): Shape<Paginator> {
  const none = map(object({}), (): Paginator => ({kind: 'none'}));
  const simplePages = {none, page, offset, cursor, next_url: nextUrl};
  const odata = map(object({size: optional(count)}), ({size}): Paginator => ({kind: 'odata', ...defined({size})}));
  return variants<Paginator>('kind', {
    ...simplePages,
    keyset,
    odata,
    graphql_relay: relay,
    async_job: jobShape(names, variants('kind', simplePages)),
  });
}

function jobShape(names: TemplateNames, pages: Shape<Paginator>): Shape<Paginator> {
  const request = requestShape({...names, roots: [...names.roots, 'job', 'poll']});
  const shape = object({
    id: path,
    poll: request,
    state: path,
    done: list(text),
    failed: optional(list(text)),
    results: request,
    pages: optional(pages),
    cleanup: optional(request),
    timeout_seconds: optional(count),
    total: optional(path),
  });
  return map(
    shape,
    ({
      poll,
      results,
      cleanup,
      failed = [],
      timeout_seconds: timeoutSeconds,
      pages: inner,
      total,
      ...rest
    }): Paginator => {
      const made = (maker: RequestMaker, id: string, scope: RequestScope, more: JsonObject = {}): HttpRequest =>
        maker({...scopeValues(scope), job: {id}, ...more});
      return {
        kind: 'asyncJob',
        ...rest,
        failed,
        poll: (id, scope) => made(poll, id, scope),
        results: (id, answer, scope) => made(results, id, scope, {poll: answer}),
        ...(cleanup === undefined ? {} : {cleanup: (id: string, scope: RequestScope) => made(cleanup, id, scope)}),
        ...(inner === undefined || !isPlain(inner) ? {} : {pages: inner}),
        ...defined({timeoutSeconds, total}),
      };
    },
  );
}

type PlainPages = NonNullable<Extract<Paginator, {kind: 'asyncJob'}>['pages']>;

function isPlain(paginator: Paginator): paginator is PlainPages {
  return ['none', 'page', 'offset', 'cursor', 'nextUrl'].includes(paginator.kind);
}

const chunks: Shape<FieldChunks> = map(
  object({
    fields: list(text),
    max_count: optional(count),
    max_bytes: optional(count),
    key: path,
    version: optional(path),
    merge: optional(path),
  }),
  ({fields, key, max_count: maxCount, max_bytes: maxBytes, version, merge}): FieldChunks => ({
    fields,
    key,
    ...defined({maxCount, maxBytes, version, merge}),
  }),
);

/** Listings of documents. */
export function listingShape(names: TemplateNames): Shape<Listing> {
  return named('listing', () =>
    map(
      object({
        request: requestShape(names),
        paginator: optional(paginatorShape(names)),
        records: optional(path),
        records_optional: optional(flag),
        decode: optional(decoder),
        errors: optional(list(errorRule)),
        empty_when: optional(list(errorMatch)),
        field_chunks: optional(chunks),
        max_pages: optional(count),
        max_empty_pages: optional(count),
        total: optional(path),
      }),
      (given): Listing => {
        const {request, records_optional: recordsOptional, empty_when: emptyWhen, field_chunks: fieldChunks} = given;
        const {max_pages: maxPages, max_empty_pages: maxEmptyPages, paginator, records, decode, errors, total} = given;
        return {
          request: (scope) => request(scopeValues(scope)),
          ...defined({
            paginator,
            records,
            decode,
            errors,
            total,
            recordsOptional,
            emptyWhen,
            fieldChunks,
            maxPages,
            maxEmptyPages,
          }),
        };
      },
    ),
  );
}
