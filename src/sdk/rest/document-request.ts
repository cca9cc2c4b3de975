import type {ErrorCode} from '../../core/error-codes.ts';
import type {JsonObject, JsonValue} from '../../core/json-value.ts';
import type {ErrorMatch, ErrorRule, HttpBody, HttpRequest, QueryValue, WaitFrom} from '../http/http-client.ts';
import {pathSteps} from '../json-path.ts';
import {
  count,
  either,
  flag,
  inside,
  isObject,
  json,
  list,
  map,
  number,
  object,
  optional,
  record,
  scalar,
  text,
  word,
  wrongAt,
  type ObjectOf,
  type Place,
  type Shape,
} from './document-shape.ts';
import type {JsonPath, RequestSlot} from './rest-request.ts';
import {textTemplate, urlTemplate, valueTemplate, type TemplateNames, type TemplateValues} from './template.ts';

/** Makes a request from the values of its templates. */
export type RequestMaker = (values: TemplateValues) => HttpRequest;

/** A path into JSON. */
export const path: Shape<JsonPath> = map(text, (value, place) => {
  try {
    pathSteps(value);
  } catch {
    throw wrongAt(
      place,
      'is no path',
      'Write it like data.items[0].id, with * for every element and ["…"] for a key that holds a point.',
    );
  }
  return value;
});

const regex: Shape<RegExp> = map(text, (value, place) => {
  try {
    return new RegExp(value);
  } catch {
    throw wrongAt(place, 'is no regular expression');
  }
});

/** Where in a request a value goes. */
export const slot: Shape<RequestSlot> = map(
  object({query: optional(text), header: optional(text), body: optional(path)}),
  ({query, header, body}, place) => {
    const slots: RequestSlot[] = [];
    if (query !== undefined) slots.push({query});
    if (header !== undefined) slots.push({header});
    if (body !== undefined) slots.push({body});
    const [only] = slots;
    if (only === undefined || slots.length > 1) throw wrongAt(place, 'must have exactly one of query, header, body');
    return only;
  },
);

const oneOrMore: Shape<string | readonly string[]> = either<string | readonly string[]>(
  (value) => (Array.isArray(value) ? 1 : 0),
  map(scalar, String),
  list(map(scalar, String)),
);

const statuses: Shape<number | readonly number[]> = either<number | readonly number[]>(
  (value) => (Array.isArray(value) ? 1 : 0),
  number,
  list(number),
);

/** What an answer must be like. */
export const errorMatch: Shape<ErrorMatch> = object({
  status: optional(statuses),
  header: optional(object({name: text, equals: optional(text), matches: optional(regex)})),
  body: optional(object({path, equals: optional(oneOrMore), matches: optional(regex)})),
  text: optional(regex),
});

const wait: Shape<WaitFrom> = map(
  object({
    header: optional(text),
    body: optional(path),
    seconds: optional(number),
    unit: optional(word(['seconds', 'milliseconds', 'epoch_seconds', 'epoch_milliseconds', 'http_date'])),
  }),
  ({header, body, seconds, unit = 'seconds'}, place): WaitFrom => {
    if (seconds !== undefined) return {seconds};
    if (header !== undefined) return {header, unit: UNITS[unit]};
    const inBody = UNITS[unit];
    if (body !== undefined && inBody !== 'httpDate' && inBody !== 'epochMilliseconds') return {body, unit: inBody};
    throw wrongAt(place, 'must have a header, a body path (in seconds, milliseconds or epoch_seconds) or seconds');
  },
);

/** Units of waits by their names in documents. */
export const UNITS: {
  readonly seconds: 'seconds';
  readonly milliseconds: 'milliseconds';
  readonly epoch_seconds: 'epochSeconds';
  readonly epoch_milliseconds: 'epochMilliseconds';
  readonly http_date: 'httpDate';
} = {
  seconds: 'seconds',
  milliseconds: 'milliseconds',
  epoch_seconds: 'epochSeconds',
  epoch_milliseconds: 'epochMilliseconds',
  http_date: 'httpDate',
};

const THEN = {
  retry: 'retry',
  rate_limit: 'rateLimit',
  refresh_auth: 'refreshAuth',
  accept: 'accept',
  fail: 'fail',
} as const;

const FAIL_CODES = [
  'SOURCE_ERROR',
  'AUTH_FAILED',
  'PERMISSION_DENIED',
  'UNKNOWN_TABLE',
  'THROTTLED',
  'INVALID_OPTION',
] as const satisfies readonly ErrorCode[];

/** What follows from an answer. */
export const errorRule: Shape<ErrorRule> = map(
  object({
    when: errorMatch,
    then: word(['retry', 'rate_limit', 'refresh_auth', 'accept', 'fail']),
    wait: optional(list(wait)),
    min_wait_seconds: optional(number),
    max_wait_seconds: optional(number),
    code: optional(word(FAIL_CODES)),
    message: optional(text),
    fix: optional(text),
  }),
  ({when, then, wait: waits, min_wait_seconds: min, max_wait_seconds: max, code, message, fix}): ErrorRule => ({
    when,
    then: THEN[then],
    ...(waits === undefined ? {} : {wait: waits}),
    ...(min === undefined ? {} : {minWaitSeconds: min}),
    ...(max === undefined ? {} : {maxWaitSeconds: max}),
    ...(code === undefined ? {} : {code}),
    ...(message === undefined ? {} : {message}),
    ...(fix === undefined ? {} : {fix}),
  }),
);

/** Parts of a rename from `snake_case` that are left out where they are undefined. */
export function defined<Value extends object>(
  value: Value,
): {readonly [K in keyof Value]: Exclude<Value[K], undefined>} {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as {
    readonly [K in keyof Value]: Exclude<Value[K], undefined>;
  };
}

/** A condition on a record. */
export const condition: Shape<(value: JsonObject) => boolean> = map(
  object({
    field: path,
    equals: optional(json),
    in: optional(list(json)),
    exists: optional(flag),
    matches: optional(regex),
    not: optional(flag),
  }),
  ({field, equals, in: among, exists, matches, not}, place) => {
    const steps = pathSteps(field);
    const tests: ((value: JsonValue | undefined) => boolean)[] = [];
    if (equals !== undefined) tests.push((value) => value === equals);
    if (among !== undefined) tests.push((value) => value !== undefined && among.includes(value));
    if (exists !== undefined) tests.push((value) => (value !== undefined && value !== null) === exists);
    if (matches !== undefined)
      tests.push((value) => value !== undefined && value !== null && matches.test(String(value)));
    if (tests.length === 0) throw wrongAt(place, 'must have at least one of equals, in, exists, matches');
    return (record_) => {
      let at: JsonValue | undefined = record_;
      for (const step of steps) at = isObject(at) ? (at[step] as JsonValue | undefined) : undefined;
      return tests.every((test) => test(at)) !== (not === true);
    };
  },
);

/** Requests whose parts are templates. */
export function requestShape(names: TemplateNames): Shape<RequestMaker> {
  const bare = object({
    method: optional(word(['GET', 'POST', 'PUT', 'PATCH', 'HEAD'])),
    url: text,
    query: optional(
      record(either<JsonValue>((value) => (Array.isArray(value) ? 1 : 0), scalarOrFlag, list(scalarOrFlag))),
    ),
    headers: optional(record(map(scalar, String))),
    json: optional(json),
    form: optional(record(scalarOrFlag)),
    text: optional(object({text, content_type: text})),
    is_idempotent: optional(flag),
    conditional: optional(flag),
  });
  return map(bare, (request, place) => makerOf(request, names, place));
}

const scalarOrFlag: Shape<JsonValue> = either<JsonValue>((value) => (typeof value === 'boolean' ? 1 : 0), scalar, flag);

type BareRequest = ObjectOf<{
  method: {optional: Shape<'GET' | 'POST' | 'PUT' | 'PATCH' | 'HEAD'>};
  url: Shape<string>;
  query: {optional: Shape<Readonly<Record<string, JsonValue>>>};
  headers: {optional: Shape<Readonly<Record<string, string>>>};
  json: {optional: Shape<JsonValue>};
  form: {optional: Shape<Readonly<Record<string, JsonValue>>>};
  text: {optional: Shape<{readonly text: string; readonly content_type: string}>};
  is_idempotent: {optional: Shape<boolean>};
  conditional: {optional: Shape<boolean>};
}>;

function makerOf(request: BareRequest, names: TemplateNames, place: Place): RequestMaker {
  const url = urlTemplate(request.url, names, inside(place, 'url'));
  const query = jsonTemplate(request.query ?? {}, names, inside(place, 'query'));
  const headers = Object.entries(request.headers ?? {}).map(
    ([name, value]) => [name, textTemplate(value, names, inside(inside(place, 'headers'), name))] as const,
  );
  const body = bodyOf(request, names, place);
  const {method, is_idempotent: isIdempotent, conditional} = request;
  const fixed = defined({method: method ?? (body === null ? undefined : ('POST' as const)), isIdempotent, conditional});
  return (values) => {
    const made = body?.(values);
    return {
      ...fixed,
      url: url(values),
      query: queryOf(query(values)),
      ...(headers.length === 0
        ? {}
        : {headers: Object.fromEntries(headers.map(([name, value]) => [name, value(values)]))}),
      ...(made === undefined ? {} : {body: made}),
    };
  };
}

function bodyOf(
  request: BareRequest,
  names: TemplateNames,
  place: Place,
): ((values: TemplateValues) => HttpBody) | null {
  if (request.json !== undefined) {
    const value = jsonTemplate(request.json, names, inside(place, 'json'));
    return (values) => ({kind: 'json', value: value(values) ?? null});
  }
  if (request.form !== undefined) {
    const fields = jsonTemplate(request.form, names, inside(place, 'form'));
    return (values) => ({kind: 'form', fields: queryOf(fields(values))});
  }
  if (request.text === undefined) return null;
  const {content_type: contentType} = request.text;
  const template = textTemplate(request.text.text, names, inside(place, 'text'));
  return (values) => ({kind: 'text', text: template(values), contentType});
}

/** JSON whose texts are templates; fields without a value are left out. */
export function jsonTemplate(
  value: JsonValue,
  names: TemplateNames,
  place: Place,
): (values: TemplateValues) => JsonValue | undefined {
  if (typeof value === 'string') return valueTemplate(value, names, place);
  if (Array.isArray(value)) {
    const elements = (value as readonly JsonValue[]).map((one, index) =>
      jsonTemplate(one, names, inside(place, index)),
    );
    return (values) => elements.map((one) => one(values)).filter((one) => one !== undefined);
  }
  if (!isObject(value)) return () => value;
  const fields = Object.entries(value).map(
    ([name, one]) => [name, jsonTemplate(one as JsonValue, names, inside(place, name))] as const,
  );
  return (values) =>
    Object.fromEntries(
      fields.flatMap(([name, one]) => {
        const made = one(values);
        return made === undefined ? [] : [[name, made]];
      }),
    );
}

function queryOf(value: JsonValue | undefined): Readonly<Record<string, QueryValue | readonly QueryValue[]>> {
  if (!isObject(value)) return {};
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [name, Array.isArray(one) ? one.map(queryValue) : queryValue(one)]),
  );
}

function queryValue(value: unknown): QueryValue {
  if (value === null || value === undefined) return undefined;
  return typeof value === 'string' ||
    typeof value === 'number' ||
    typeof value === 'boolean' ||
    typeof value === 'bigint'
    ? value
    : String(value);
}

/** How a listing pages by number of records. */
export const pageSize: Shape<{
  readonly slot: RequestSlot;
  readonly value: number;
  readonly min?: number;
  readonly isExact?: boolean;
}> = map(
  object({slot, value: count, min: optional(count), is_exact: optional(flag)}),
  ({slot: at, value, min, is_exact: isExact}) => ({slot: at, value, ...defined({min, isExact})}),
);
