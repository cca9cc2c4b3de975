import type {JsonValue} from '../core/json-value.ts';
import {WrongRequest} from './error-reply.ts';
import type {SimulatedRequest} from './request.ts';
import type {Condition} from './row-filter.ts';
import {valueAt} from './row-values.ts';
import type {FilterParam, ListEndpoint, ListedThings, ParamSpec, SortField} from './simulator-spec.ts';

/** What a request asks of a list. */
export interface ListQuery {
  readonly conditions: readonly Condition[];
  readonly things: ListedThings;
  /** Null: the endpoint's own order. */
  readonly sort: readonly SortField[] | null;
  readonly limit: number | null;
  /** From 0. */
  readonly page: number;
  readonly offset: number;
  readonly cursor: string | null;
  readonly after: string | null;
  readonly before: string | null;
  readonly fields: {readonly names: readonly string[]; readonly under: string | null} | null;
}

/** Reads the parameters of a list. @throws WrongRequest when one is missing, unknown or malformed. */
export function readListQuery(list: ListEndpoint, request: SimulatedRequest): ListQuery {
  const params = Object.entries(paramsOf(list));
  if (list.strict === true) refuseUnknown(params, request);
  const found = params.map(([name, param]) => ({name, param, values: valuesOf(name, param, request)}));
  for (const {name, param, values} of found)
    if (param.required === true && values.length === 0) throw new WrongRequest('badRequest', `${name} is missing.`);
  const first = (role: ParamSpec['role']): string | null => {
    const value = found.find(({param, values}) => param.role === role && values.length > 0)?.values[0];
    return value === undefined || value === null || value === '' ? null : String(value);
  };
  const firstPage = found.flatMap(({param}) => (param.role === 'page' ? [param.first ?? 1] : []))[0] ?? 1;
  return {
    conditions: [...scopeConditions(list, request), ...found.flatMap(conditionsOf)],
    things: found.flatMap(({param, values}) => thingsOf(param, values))[0] ?? list.of ?? 'rows',
    sort: sortOf(found, first('order')),
    limit: found.flatMap(limitOf)[0] ?? null,
    page: count('page', first('page') ?? String(firstPage)) - firstPage,
    offset: count('offset', first('offset') ?? '0'),
    cursor: first('cursor'),
    after: first('after'),
    before: first('before'),
    fields: found.flatMap(fieldsOf)[0] ?? null,
  };
}

/** The parameters of a list, those of its style of paging among them. */
export function paramsOf({params = {}, paging}: ListEndpoint): Readonly<Record<string, ParamSpec>> {
  return paging?.style === 'odata' ? {$skiptoken: {role: 'cursor'}, $top: {role: 'limit'}, ...params} : params;
}

/** The name of the parameter with a role. */
export function paramWithRole(list: ListEndpoint, role: ParamSpec['role']): string | null {
  return Object.entries(paramsOf(list)).find(([, param]) => param.role === role)?.[0] ?? null;
}

interface FoundParam {
  readonly name: string;
  readonly param: ParamSpec;
  readonly values: readonly JsonValue[];
}

function valuesOf(name: string, param: ParamSpec, request: SimulatedRequest): readonly JsonValue[] {
  if (param.in === 'header') {
    const value = request.headers[name.toLowerCase()];
    return value === undefined ? [] : [value];
  }
  if (param.in !== 'body') return request.query.getAll(name);
  const value = valueAt(request.body, name);
  if (value === undefined) return [];
  return Array.isArray(value) ? (value as readonly JsonValue[]) : [value];
}

function refuseUnknown(params: readonly (readonly [string, ParamSpec])[], request: SimulatedRequest): void {
  const known = new Set(params.filter(([, param]) => (param.in ?? 'query') === 'query').map(([name]) => name));
  const unknown = [...request.query.keys()].find((name) => !known.has(name));
  if (unknown !== undefined) throw new WrongRequest('badRequest', `${unknown} is no parameter.`);
}

function scopeConditions({scope = {}}: ListEndpoint, request: SimulatedRequest): readonly Condition[] {
  return Object.entries(scope).map(([name, field]) => ({field, op: 'eq', values: [request.params[name] ?? '']}));
}

function conditionsOf({param, values}: FoundParam): readonly Condition[] {
  if (param.role !== 'filter' && param.role !== 'since' && param.role !== 'until') return [];
  const given = values.length === 0 && param.default !== undefined ? [param.default] : values;
  const [first] = given;
  if (first === undefined || first === '' || (param.any !== undefined && first === param.any)) return [];
  const op = param.op ?? DEFAULT_OPERATOR[param.role];
  const isList = op === 'in' || op === 'between';
  const split = isList ? given.flatMap((value) => splitValue(value, param)) : given;
  return [{field: param.field, op, values: split, ...(param.as === undefined ? {} : {as: param.as})}];
}

const DEFAULT_OPERATOR = {filter: 'eq', since: 'gte', until: 'lt'} as const;

function splitValue(value: JsonValue, {separator = ','}: FilterParam): readonly JsonValue[] {
  return typeof value === 'string' ? value.split(separator).map((part) => part.trim()) : [value];
}

function thingsOf(param: ParamSpec, [value]: readonly JsonValue[]): readonly ListedThings[] {
  if (param.role !== 'deleted' || value === undefined) return [];
  const things = (param.values ?? {true: 'deleted', all: 'all'})[String(value)];
  return things === undefined ? [] : [things];
}

function limitOf({name, param, values}: FoundParam): readonly number[] {
  if (param.role !== 'limit') return [];
  const [value] = values;
  if (value === undefined || value === null || value === '') return param.default === undefined ? [] : [param.default];
  const limit = count(name, String(value));
  if (limit === 0) throw new WrongRequest('badRequest', `${name} must be at least 1.`);
  if (param.max === undefined || limit <= param.max) return [limit];
  if (param.above === 'error') throw new WrongRequest('badRequest', `${name} must be at most ${param.max}.`);
  return [param.max];
}

function fieldsOf({param, values}: FoundParam): ListQuery['fields'][] {
  if (param.role !== 'fields' || values.length === 0) return [];
  const names = values.flatMap((value) => String(value).split(param.separator ?? ','));
  return [{names: names.map((name) => name.trim()).filter((name) => name !== ''), under: param.under ?? null}];
}

function sortOf(found: readonly FoundParam[], order: string | null): readonly SortField[] | null {
  const sort = found.find(({param, values}) => param.role === 'sort' && values.length > 0);
  if (sort === undefined || sort.param.role !== 'sort') return null;
  const {options} = sort.param;
  return String(sort.values[0])
    .split(',')
    .map((text) => {
      const name = text.trim().replace(/^[-+]/, '');
      const field = options === undefined ? name : options[name];
      if (field === undefined) throw new WrongRequest('badRequest', `${sort.name} cannot be ${name}.`);
      const said = text.trim().startsWith('-') ? 'desc' : (order ?? 'asc');
      return {field, descending: /^desc/i.test(said)};
    });
}

function count(name: string, text: string): number {
  if (!/^-?\d{1,15}$/.test(text) || Number(text) < 0) throw new WrongRequest('badRequest', `${name} is no count.`);
  return Number(text);
}
