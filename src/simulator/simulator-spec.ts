import type {JsonObject, JsonValue} from '../core/json-value.ts';
import type {SimulatorAuth} from './auth-spec.ts';
import type {ChangeEvent, Tombstone} from './collection.ts';
import type {FaultRule} from './fault-plan.ts';
import type {PagingSpec} from './paging-spec.ts';
import type {RateLimitSpec} from './rate-limits.ts';
import type {SimulatedReply, SimulatedRequest} from './request.ts';
import type {HandlerContext} from './simulator.ts';

/** An API as its vendor documents it: sets of rows, endpoints over them, logins and limits. */
export interface SimulatorSpec {
  /** For messages. */
  readonly name: string;
  /** Put before every endpoint's path, for example `/api/v2`. */
  readonly basePath?: string;
  /** The sets of rows by name. */
  readonly collections?: Readonly<Record<string, CollectionSpec>>;
  /** The first that matches method and path answers. */
  readonly endpoints: readonly EndpointSpec[];
  /** Of every endpoint that names none itself. Default: none. */
  readonly auth?: SimulatorAuth;
  readonly rateLimits?: readonly RateLimitSpec[];
  /** Faults from the start; tests add theirs by `simulator.faults.add`. */
  readonly faults?: readonly FaultRule[];
  /** Headers of every answer. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The vendor's error bodies. */
  readonly errors?: ErrorReplies;
}

/** An answer to a wrong request. `{message}` in texts of the body stands for what was wrong. */
export interface ErrorReply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: JsonValue;
}

/** What the API answers when a request is wrong; each has a plain default. */
export interface ErrorReplies {
  /** No endpoint has this path. Default 404. */
  readonly noRoute?: ErrorReply;
  /** An endpoint has this path, but not this method. Default 405. */
  readonly noMethod?: ErrorReply;
  /** The row does not exist. Default 404. */
  readonly notFound?: ErrorReply;
  /** A parameter or a body is wrong. Default 400. */
  readonly badRequest?: ErrorReply;
  /** A row of this key exists. Default 409. */
  readonly conflict?: ErrorReply;
  /** A cursor or delta token is too old. Default 410. */
  readonly cursorExpired?: ErrorReply;
}

/** How a time is written in rows. */
export type TimeFormat = 'iso' | 'isoSeconds' | 'epochSeconds' | 'epochMs' | 'sqlSeconds';

/** A field that the simulator fills with its clock. */
export interface StampSpec {
  /** Dotted path of the field. */
  readonly field: string;
  /** Default `iso` (milliseconds, `Z`); `sqlSeconds` is `2024-01-31 12:00:00` in UTC. */
  readonly format?: TimeFormat;
}

/** What is known when rows are made. */
export interface SeedContext {
  /** The simulator's start, milliseconds since 1970. */
  readonly nowMs: number;
  /** Seeded; equal seeds give equal rows. */
  readonly random: () => number;
}

/** A set of rows that keeps its state while the simulator lives. */
export interface CollectionSpec {
  /** The fields that identify a row (dotted paths). */
  readonly key: string | readonly string[];
  /** The first rows, or what makes them. Their stamps are theirs. */
  readonly rows?: readonly JsonObject[] | ((context: SeedContext) => Iterable<JsonObject>);
  /** Makes the first rows from a description; for documents. */
  readonly generate?: GeneratorSpec;
  /** Stamped at every write. */
  readonly updatedAt?: StampSpec;
  /** Stamped when a row is created without it. */
  readonly createdAt?: StampSpec;
  /** `hard` takes the row away and leaves a tombstone; a soft delete keeps it with a field set. Default `hard`. */
  readonly deletes?: 'hard' | SoftDelete;
  /** Listings see a write only so many milliseconds of the simulator's clock later. Default 0. */
  readonly visibleAfterMs?: number;
  /** Keys of rows that are created without one. Default `integer`: one above the highest. */
  readonly newKey?: 'integer' | 'uuid' | {readonly prefix: string};
  /** Fields of created rows that the request does not give. */
  readonly defaults?: JsonObject;
  /** Called after every write, for example to write an event into another collection. */
  readonly onChange?: (change: ChangeEvent, context: HandlerContext) => void;
}

/** A delete that keeps the row. */
export interface SoftDelete {
  /** The field that says so. */
  readonly field: string;
  /** Default true. */
  readonly value?: JsonValue;
  /** The field with the time of the delete. */
  readonly at?: StampSpec;
}

/** Rows from a description, seeded. */
export interface GeneratorSpec {
  /** Number of rows. */
  readonly count: number;
  readonly fields: Readonly<Record<string, GeneratedField>>;
}

/**
 * A generated value. `sequence` counts from `start` in steps; `text` takes `{n}` as the row's number; `time` counts milliseconds
 * from `start`, `ties` rows in a row share one; `choice` and `number` are random; a share of `nulls` is null.
 */
export type GeneratedField = {readonly nulls?: number} & (
  | {readonly kind: 'sequence'; readonly start?: number; readonly step?: number}
  | {readonly kind: 'text'; readonly template: string}
  | {
      readonly kind: 'time';
      readonly start: string;
      readonly stepMs: number;
      readonly ties?: number;
      readonly format?: TimeFormat;
    }
  | {readonly kind: 'choice'; readonly of: readonly JsonValue[]}
  | {readonly kind: 'number'; readonly min: number; readonly max: number; readonly decimals?: number}
  | {readonly kind: 'boolean'}
  | {readonly kind: 'constant'; readonly value: JsonValue}
  | {readonly kind: 'object'; readonly fields: Readonly<Record<string, GeneratedField>>}
);

/** Methods that endpoints have. */
export type SimulatedMethod = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'HEAD';

/** What all endpoints have. */
export interface EndpointCommon {
  /** Default: GET for lists, single rows and handlers, POST to create, PATCH to update, DELETE to delete. */
  readonly method?: SimulatedMethod | readonly SimulatedMethod[];
  /** `/repos/{owner}/{repo}/issues`; a `{name}` matches one segment, `{name*}` the rest. */
  readonly path: string;
  /** Instead of the API's; `none` for a public endpoint. */
  readonly auth?: SimulatorAuth;
  /** The names of rate limits beside those that match by path. */
  readonly limits?: readonly string[];
  /** Real milliseconds before the answer. */
  readonly latencyMs?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Keeps encoded bodies per path and query while no collection changes. Default false. */
  readonly cache?: boolean;
  /** Sends an ETag, and 304 when the client has it. Default false. */
  readonly etag?: boolean;
}

/** One endpoint: declared over a collection, or a function. */
export type EndpointSpec = EndpointCommon &
  (ListEndpoint | GetEndpoint | CreateEndpoint | UpdateEndpoint | DeleteEndpoint | HandlerEndpoint);

/** One field of an order. */
export interface SortField {
  readonly field: string;
  readonly descending?: boolean;
}

/** What a list shows of a collection: rows, those deleted, both, or its log of changes. */
export type ListedThings = 'rows' | 'deleted' | 'all' | 'events';

/** A list of rows: filtered, then sorted, then paged, then wrapped. */
export interface ListEndpoint {
  /** The collection. */
  readonly list: string;
  /** Default `rows`. `events` lists {@link ChangeEvent} as `{sequence, kind, at, row}`, `at` in milliseconds. */
  readonly of?: ListedThings;
  /** Path parameter to the field that it must equal. */
  readonly scope?: Readonly<Record<string, string>>;
  /** Query, body and header parameters by name (in a body: by dotted path). */
  readonly params?: Readonly<Record<string, ParamSpec>>;
  /** Unknown query parameters are refused. Default false: ignored, as most APIs do. */
  readonly strict?: boolean;
  /** Rows of the list besides filters. */
  readonly where?: (request: SimulatedRequest, context: HandlerContext) => (row: JsonObject) => boolean;
  /** The order when the request says none. Ties are in the order of the key. Default: the key. */
  readonly sort?: readonly SortField[] | ((request: SimulatedRequest) => readonly SortField[]);
  /** Default: none, all rows at once. */
  readonly paging?: PagingSpec;
  readonly wrap?: WrapSpec;
  /** Changes a row on its way out; dropped fields, expansions, side-loads. */
  readonly map?: (row: JsonObject, request: SimulatedRequest, context: HandlerContext) => JsonValue;
}

/** What is known about a page when its body is made. */
export interface PageFacts {
  readonly rows: readonly JsonObject[];
  /** Rows of all pages. */
  readonly total: number;
  readonly hasMore: boolean;
  readonly request: SimulatedRequest;
  readonly context: HandlerContext;
}

/** The body around the records. */
export interface WrapSpec {
  /** Dotted path of the records; default: the body is the bare list. */
  readonly records?: string;
  /** Further fields of the body. */
  readonly extras?: JsonObject | ((facts: PageFacts) => JsonObject);
  /** Other forms than JSON: one JSON document per line, or CSV with the fields of the first row. Default `json`. */
  readonly as?: 'json' | 'ndjson' | 'csv';
}

/** What a parameter does to a list. */
export type ParamSpec = ParamPlace &
  (
    | FilterParam
    | {readonly role: 'limit'; readonly default?: number; readonly max?: number; readonly above?: 'cap' | 'error'}
    | {readonly role: 'page'; readonly first?: 0 | 1}
    | {readonly role: 'offset'}
    /** The opaque cursor of {@link PagingSpec}. */
    | {readonly role: 'cursor'}
    /** The key of a row: the page starts behind it, or ends before it. */
    | {readonly role: 'after' | 'before'}
    /** Names as requests say them, to fields; a `-` in front means descending. Default: fields by their names. */
    | {readonly role: 'sort'; readonly options?: Readonly<Record<string, string>>}
    | {readonly role: 'order'}
    /** Only these fields of each record, and always the key. `under` names the object they are in. */
    | {readonly role: 'fields'; readonly separator?: string; readonly under?: string}
    /** Values of the request to what is listed, for example `{true: 'deleted', all: 'all'}`. */
    | {readonly role: 'deleted'; readonly values?: Readonly<Record<string, ListedThings>>}
    | {readonly role: 'ignore'}
  );

/** Where a parameter stands and whether it must. */
export interface ParamPlace {
  /** Default `query`. */
  readonly in?: 'query' | 'body' | 'header';
  /** The request is wrong without it. Default false. */
  readonly required?: boolean;
}

/** Operators of filters. Null matches `ne` only. */
export type FilterOperator = 'eq' | 'ne' | 'gt' | 'gte' | 'lt' | 'lte' | 'in' | 'between' | 'prefix' | 'contains';

/** A parameter that keeps some of the rows. `since` is a filter with `gte`, `until` one with `lt`, unless `op` says otherwise. */
export interface FilterParam {
  readonly role: 'filter' | 'since' | 'until';
  readonly field: string;
  /** Default `eq`. */
  readonly op?: FilterOperator;
  /** Between the values of `in` and `between`. Default a comma. */
  readonly separator?: string;
  /** How the request writes times when the rows do it otherwise. */
  readonly as?: TimeFormat;
  /** A value that means no filter, for example `all`. */
  readonly any?: string;
  /** When the request does not give it. */
  readonly default?: string;
}

/** A single row. */
export interface GetEndpoint {
  readonly get: string;
  /** Path parameter to the field that it must equal. */
  readonly scope: Readonly<Record<string, string>>;
  /** Dotted path of the row in the body; default: the body is the row. */
  readonly wrap?: WrapSpec;
  /** Changes the row on its way out. */
  readonly map?: ListEndpoint['map'];
}

/** Creates a row from the body. */
export interface CreateEndpoint {
  readonly create: string;
  /** Path parameters that become fields. */
  readonly scope?: Readonly<Record<string, string>>;
  /** Dotted path of the row in the request's body; default: the body. */
  readonly from?: string;
  /** A row of the same key is changed instead of refused. Default false. */
  readonly upsert?: boolean;
  /** Default 201. */
  readonly status?: number;
  readonly wrap?: WrapSpec;
  /** Changes the row on its way out. */
  readonly map?: ListEndpoint['map'];
}

/** Changes fields of a row. */
export interface UpdateEndpoint {
  readonly update: string;
  readonly scope: Readonly<Record<string, string>>;
  readonly from?: string;
  readonly wrap?: WrapSpec;
  /** Changes the row on its way out. */
  readonly map?: ListEndpoint['map'];
}

/** Deletes a row. */
export interface DeleteEndpoint {
  readonly delete: string;
  readonly scope: Readonly<Record<string, string>>;
  /** Default 204 without a body; with `body` 200. */
  readonly status?: number;
  /** The body, from what is left of the row. */
  readonly body?: (tombstone: Tombstone) => JsonValue;
}

/** Answers itself: for everything that has no declared form. */
export interface HandlerEndpoint {
  /** Gives the answer; may throw `WrongRequest`. */
  readonly handler: (request: SimulatedRequest, context: HandlerContext) => SimulatedReply | Promise<SimulatedReply>;
}
