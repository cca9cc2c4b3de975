import type {JsonObject, JsonValue} from '../core/json-value.ts';
import {ExactNumber} from '../core/json-value.ts';
import {type Exchange, exchangeKey, ORIGIN, parsedJson, readCassette} from './cassette.ts';
import {isObject} from './row-values.ts';
import type {SimulatorSpec} from './simulator-spec.ts';
import {simulate, type Simulator, type SimulatorOptions} from './simulator.ts';

/** One way in which the simulator answers otherwise than the real API did; values are never shown. */
export interface DriftDifference {
  /** The request: method, path and query. */
  readonly request: string;
  /** What differs; `missing` and `extra` are fields that the simulator lacks or has too many. */
  readonly kind: 'status' | 'contentType' | 'header' | 'missing' | 'extra' | 'type';
  /** The field (`[]` for the elements of a list), the header, or empty. */
  readonly where: string;
  readonly recorded: string;
  readonly simulated: string;
}

/** What was compared. */
export interface DriftReport {
  /** Exchanges of the cassette that were asked. */
  readonly asked: number;
  /** Exchanges without any difference. */
  readonly equal: number;
  readonly differences: readonly DriftDifference[];
  /** All of it for people, equal differences of several requests once. */
  readonly text: string;
}

/** How the simulator is asked. */
export interface DriftOptions {
  /** Credentials that the simulator takes; those of the recording were removed. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string>>;
  /** Paths that are not asked, for example logins. `*` stands for any text. */
  readonly skip?: readonly string[];
  /** Fields that may differ, as reports name them; with `*` at the end everything that begins so. */
  readonly ignore?: readonly string[];
  /** For a spec that is started for the report. */
  readonly simulator?: SimulatorOptions;
}

/**
 * Asks the simulator everything that was recorded of the real API and reports where it differs: status, content type, headers,
 * fields and their JSON types, at every depth. Cursors, keys and addresses that an answer gave are followed with the simulator's
 * own. A difference says that the simulator's author misread the vendor, or that the vendor changed.
 * @throws INVALID_SPEC when the file is no cassette.
 */
export async function driftReport(
  source: SimulatorSpec | Simulator,
  cassette: string | readonly Exchange[],
  options: DriftOptions = {},
): Promise<DriftReport> {
  const exchanges = typeof cassette === 'string' ? await readCassette(cassette) : cassette;
  const isRunning = 'url' in source;
  const simulator = isRunning ? source : await simulate(source, options.simulator);
  try {
    return await compareAll(simulator, exchanges, options);
  } finally {
    if (!isRunning) await simulator.close();
  }
}

async function compareAll(
  simulator: Simulator,
  exchanges: readonly Exchange[],
  options: DriftOptions,
): Promise<DriftReport> {
  const differences: DriftDifference[] = [];
  const known = new Map<string, string>();
  let asked = 0;
  let equal = 0;
  for (const {request, response} of exchanges) {
    if (options.skip?.some((pattern) => fits(pattern, request.path)) === true) continue;
    const answer = await fetch(urlOf(simulator.url, request, known, options), initOf(request, known, options));
    const text = await answer.text();
    const found = differencesOf({request, response}, answer, text).filter(
      ({where}) => options.ignore?.some((pattern) => fits(pattern, where)) !== true,
    );
    asked++;
    if (found.length === 0) equal++;
    differences.push(...found);
    learn(parsedJson(response.body), parsedJson(text), known);
    learnLinks(response.headers['link'], answer.headers.get('link'), known);
  }
  return {asked, equal, differences, text: reportText(asked, equal, differences)};
}

/** The address of a request with what the simulator gave instead of what was recorded. */
function urlOf(
  base: string,
  request: Exchange['request'],
  known: ReadonlyMap<string, string>,
  options: DriftOptions,
): string {
  const segments = request.path.split('/').map((segment) => {
    const swapped = known.get(decodeURIComponent(segment));
    return swapped === undefined ? segment : encodeURIComponent(swapped);
  });
  const url = new URL(segments.join('/'), base);
  for (const [name, value] of request.query)
    if (value !== '[removed]') url.searchParams.append(name, (known.get(value) ?? value).replaceAll(ORIGIN, base));
  for (const [name, value] of Object.entries(options.query ?? {})) url.searchParams.set(name, value);
  return url.href;
}

function initOf(request: Exchange['request'], known: ReadonlyMap<string, string>, options: DriftOptions): RequestInit {
  const headers = {...request.headers, ...options.headers};
  if (request.body === null) return {method: request.method, headers, redirect: 'manual'};
  let {body} = request;
  for (const [recorded, own] of known)
    if (recorded.length > 7) body = body.replaceAll(JSON.stringify(recorded), JSON.stringify(own));
  return {method: request.method, headers, body, redirect: 'manual'};
}

function differencesOf({request, response}: Exchange, answer: Response, text: string): readonly DriftDifference[] {
  const about = exchangeKey(request);
  const difference = (
    kind: DriftDifference['kind'],
    where: string,
    recorded: string,
    simulated: string,
  ): DriftDifference => ({
    request: about,
    kind,
    where,
    recorded,
    simulated,
  });
  if (response.status !== answer.status)
    return [difference('status', '', String(response.status), String(answer.status))];
  const found: DriftDifference[] = [];
  const [type, own] = [mediaType(response.headers['content-type']), mediaType(answer.headers.get('content-type'))];
  if (type !== own) found.push(difference('contentType', '', type, own));
  for (const name of Object.keys(response.headers))
    if (name !== 'date' && !answer.headers.has(name)) found.push(difference('header', name, 'present', 'absent'));
  const [recorded, simulated] = [shapeOf(parsedJson(response.body)), shapeOf(parsedJson(text))];
  for (const [where, types] of recorded) {
    const others = simulated.get(where);
    if (others === undefined) {
      if (isFirstMissing(where, simulated, recorded)) found.push(difference('missing', where, names(types), 'absent'));
    } else if (!agree(types, others)) found.push(difference('type', where, names(types), names(others)));
  }
  for (const [where, types] of simulated)
    if (!recorded.has(where) && isFirstMissing(where, recorded, simulated))
      found.push(difference('extra', where, 'absent', names(types)));
  return found;
}

/** JSON types by path. */
type Shape = ReadonlyMap<string, ReadonlySet<string>>;

function shapeOf(value: JsonValue | undefined): Shape {
  const shape = new Map<string, Set<string>>();
  const visit = (one: JsonValue, path: string): void => {
    const types = shape.get(path) ?? new Set<string>();
    shape.set(path, types.add(typeName(one)));
    if (Array.isArray(one)) for (const inner of one as readonly JsonValue[]) visit(inner, `${path}[]`);
    else if (isObject(one))
      for (const [name, inner] of Object.entries(one))
        if (inner !== undefined) visit(inner, path === '' ? name : `${path}.${name}`);
  };
  if (value !== undefined) visit(value, '');
  return shape;
}

/** A field is reported only when its parent is there and, if a list, is not empty: else nothing is known about it. */
function isFirstMissing(where: string, other: Shape, own: Shape): boolean {
  if (where.endsWith('[]')) return false;
  const parent = where.replace(/\.?[^.]*$/, '');
  if (parent === '' && !where.includes('.')) return true;
  const holds = other.get(parent);
  return holds !== undefined && (holds.has('object') || !(own.get(parent)?.has('object') ?? false));
}

/** Null says nothing about a type. */
function agree(left: ReadonlySet<string>, right: ReadonlySet<string>): boolean {
  const [one, two] = [[...left], [...right]].map((types) => types.filter((type) => type !== 'null'));
  if (one === undefined || two === undefined || one.length === 0 || two.length === 0) return true;
  return two.every((type) => one.includes(type));
}

function typeName(value: JsonValue): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'list';
  if (value instanceof ExactNumber || typeof value === 'bigint') return 'number';
  return typeof value === 'object' ? 'object' : typeof value;
}

/** Pairs what both answers say at the same place: keys and cursors of later requests. */
function learn(recorded: JsonValue | undefined, simulated: JsonValue | undefined, known: Map<string, string>): void {
  if (Array.isArray(recorded) && Array.isArray(simulated)) {
    const [left, right] = [recorded as readonly JsonValue[], simulated as readonly JsonValue[]];
    left.forEach((one, index) => learn(one, right[index], known));
    // The last row is what keyset paging goes on from.
    if (left.length !== right.length) learn(left.at(-1), right.at(-1), known);
  } else if (isObject(recorded) && isObject(simulated)) learnFields(recorded, simulated, known);
  else if (isName(recorded) && isName(simulated)) {
    const [from, to] = [String(recorded), String(simulated)];
    if (from.length < 4 || from === to) return;
    if (from.includes('?') && to.includes('?')) learnQuery(from, to, known);
    else known.set(from, to);
  }
}

function learnFields(recorded: JsonObject, simulated: JsonObject, known: Map<string, string>): void {
  for (const [name, value] of Object.entries(recorded)) learn(value, simulated[name], known);
}

function learnLinks(recorded: string | undefined, simulated: string | null, known: Map<string, string>): void {
  const links = (text: string): ReadonlyMap<string, string> =>
    new Map([...text.matchAll(/<([^>]*)>\s*;[^,]*rel="?(\w+)/g)].map(([, url = '', rel = '']) => [rel, url]));
  const own = links(simulated ?? '');
  for (const [rel, url] of links(recorded ?? '')) learnQuery(url, own.get(rel) ?? '', known);
}

function learnQuery(recorded: string, simulated: string, known: Map<string, string>): void {
  const own = new URLSearchParams(simulated.split('?')[1] ?? '');
  for (const [name, value] of new URLSearchParams(recorded.split('?')[1] ?? '')) {
    const other = own.get(name);
    if (other !== null && other !== value && value.length >= 4) known.set(value, other);
  }
}

function isName(value: JsonValue | undefined): value is string | number | bigint {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint';
}

function mediaType(type: string | null | undefined): string {
  return (type ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
}

function names(types: ReadonlySet<string>): string {
  return [...types].sort().join(' or ');
}

function fits(pattern: string, text: string): boolean {
  const source = pattern.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*');
  return new RegExp(`^${source}$`).test(text);
}

function reportText(asked: number, equal: number, differences: readonly DriftDifference[]): string {
  const grouped = new Map<string, string[]>();
  for (const {request, kind, where, recorded, simulated} of differences) {
    const what = `${kind}${where === '' ? '' : ` ${where}`}: recorded ${recorded}, simulated ${simulated}`;
    grouped.set(what, [...(grouped.get(what) ?? []), request]);
  }
  const lines = [...grouped].map(([what, requests]) => {
    const more = requests.length > 1 ? ` (and ${requests.length - 1} more)` : '';
    return `${what}\n  ${requests[0] ?? ''}${more}`;
  });
  return [`${equal} of ${asked} recorded requests are answered alike.`, ...lines].join('\n');
}
