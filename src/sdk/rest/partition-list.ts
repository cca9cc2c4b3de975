import {IngestError} from '../../core/errors.ts';
import {stringifyJson} from '../../core/json-reader.ts';
import type {JsonObject, JsonValue} from '../../core/json-value.ts';
import {parseDate} from '../../core/time-text.ts';
import {pathReader} from '../json-path.ts';
import {listPages} from './listing.ts';
import type {PlanCall} from './plan-call.ts';
import type {Listing, RequestScope} from './rest-request.ts';
import type {Partitions, RestTable} from './rest-spec.ts';

/** One part of a table. */
export interface TablePartition {
  /** Names its offset. */
  readonly key: string;
  /** `scope.parent`. */
  readonly parent: JsonObject;
  /** `scope.parents`, where parents are grouped. */
  readonly parents: readonly JsonObject[];
}

/** Finds another table of the connector; null when there is none. */
export type FindTable = (name: string) => Promise<RestTable | null>;

const MAX_PARENTS = 100_000;
const MICROS_PER_DAY = 86_400_000_000n;

/** The partitions of a table, each once, as its source gives them. @throws SOURCE_ERROR for more than the declared limit. */
export async function* listPartitions(
  partitions: Partitions,
  call: PlanCall,
  find: FindTable,
): AsyncGenerator<TablePartition, void> {
  switch (partitions.kind) {
    case 'list': {
      const {name, values} = partitions;
      const given = 'option' in values ? optionList(call, values.option) : values;
      for (const value of new Set(given)) yield single(String(value), {[name]: value});
      return;
    }
    case 'product':
      yield* product(partitions.of, call, find);
      return;
    case 'dates':
      yield* dates(partitions, call);
      return;
    case 'custom':
      for await (const parent of partitions.list(call.call)) yield single(keyOf(parent, partitions.key), parent);
      return;
    case 'parent':
      yield* groups(parents(partitions, call, find), partitions.groupSize ?? 1);
  }
}

/** Combinations, the last part fastest; each has the values of all its parts. */
async function* product(
  [first, ...rest]: readonly Partitions[],
  call: PlanCall,
  find: FindTable,
): AsyncGenerator<TablePartition, void> {
  if (first === undefined) return;
  for await (const outer of listPartitions(first, call, find)) {
    if (rest.length === 0) {
      yield outer;
      continue;
    }
    const {scope} = call;
    const inner: PlanCall = {...call, scope: {...scope, parent: {...scope.parent, ...outer.parent}}};
    for await (const {key, parent} of product(rest, inner, find))
      yield single(JSON.stringify([outer.key, key]), {...outer.parent, ...parent});
  }
}

async function* parents(
  partitions: Extract<Partitions, {kind: 'parent'}>,
  call: PlanCall,
  find: FindTable,
): AsyncGenerator<TablePartition, void> {
  const seen = new Set<string>();
  const limit = partitions.maxParents ?? MAX_PARENTS;
  const readers = Object.entries(partitions.values).map(([name, path]) => [name, pathReader(path)] as const);
  for await (const {record, scope} of parentRecords(partitions.list, call, find)) {
    if (partitions.filter !== undefined && !partitions.filter(record, scope)) continue;
    const own: JsonObject = Object.fromEntries(readers.map(([name, read]) => [name, read(record) ?? null]));
    const parent = {...scope.parent, ...own};
    const key = keyOf(parent, partitions.key ?? Object.keys(parent));
    if (seen.has(key)) continue;
    seen.add(key);
    if (seen.size > limit) throw tooMany(call.table.name, limit);
    yield single(key, parent);
  }
}

/** The records of a parent listing, or of another table's listing in each of its own partitions. */
async function* parentRecords(
  list: Listing | string,
  call: PlanCall,
  find: FindTable,
): AsyncGenerator<{readonly record: JsonObject; readonly scope: RequestScope}, void> {
  if (typeof list !== 'string') {
    for await (const {records} of listPages(call.env, list, call.scope))
      for (const record of records) yield {record, scope: call.scope};
    return;
  }
  const table = await find(list);
  const listing = table === null ? null : listingOf(table);
  if (table === null || listing === null) {
    throw new IngestError('INVALID_SPEC', `Table "${call.table.name}" has parents in "${list}", which lists none.`, {
      fix: 'Name a table of this connector that is not read by a custom plan.',
      context: {table: call.table.name},
    });
  }
  const inner: PlanCall = {...call, table};
  if (table.partitions === undefined) {
    yield* recordsIn(inner, listing, call.scope);
    return;
  }
  for await (const {parent, parents: group} of listPartitions(table.partitions, inner, find))
    yield* recordsIn(inner, listing, {...call.scope, parent, parents: group});
}

async function* recordsIn(
  call: PlanCall,
  listing: Listing,
  scope: RequestScope,
): AsyncGenerator<{readonly record: JsonObject; readonly scope: RequestScope}, void> {
  for await (const {records} of listPages(call.env, listing, scope))
    for (const record of records) yield {record, scope};
}

/** The listing of everything that a table's plan has; null for a custom plan. */
export function listingOf({read}: Pick<RestTable, 'read'>): Listing | null {
  switch (read.kind) {
    case 'token':
      return read.initial;
    case 'eventLog':
      return read.backfill;
    case 'custom':
      return null;
    default:
      return read.list;
  }
}

async function* groups(all: AsyncIterable<TablePartition>, size: number): AsyncGenerator<TablePartition, void> {
  if (size <= 1) {
    yield* all;
    return;
  }
  let group: TablePartition[] = [];
  const made = (): TablePartition => ({
    key: JSON.stringify(group.map(({key}) => key)),
    parent: group[0]?.parent ?? {},
    parents: group.map(({parent}) => parent),
  });
  for await (const one of all) {
    group.push(one);
    if (group.length < size) continue;
    yield made();
    group = [];
  }
  if (group.length > 0) yield made();
}

function* dates({name, from}: Extract<Partitions, {kind: 'dates'}>, call: PlanCall): Generator<TablePartition, void> {
  const given = typeof from === 'string' ? from : call.scope.option[from.option];
  const first = typeof given === 'string' ? parseDate(given) : null;
  if (first === null) {
    throw new IngestError('INVALID_OPTION', `Table "${call.table.name}" needs the date of its first day.`, {
      fix:
        typeof from === 'string'
          ? 'Correct the spec of the connector.'
          : `Set the table option ${from.option}, like 2026-01-31.`,
      context: {table: call.table.name},
    });
  }
  const today = Number(call.ctx.triggerStartedAt / MICROS_PER_DAY);
  for (let day = first; day <= today; day++) {
    const text = new Date(day * 86_400_000).toISOString().slice(0, 10);
    yield single(text, {[name]: text});
  }
}

function optionList({scope, table}: PlanCall, option: string): readonly string[] {
  const value = scope.option[option];
  if (typeof value === 'string') return [value];
  if (Array.isArray(value) && value.length > 0) return value as readonly string[];
  throw new IngestError(
    'INVALID_OPTION',
    `Table "${table.name}" is read once for each value of the option "${option}".`,
    {
      fix: `Set ${option}.`,
      context: {table: table.name, option},
    },
  );
}

function single(key: string, parent: JsonObject): TablePartition {
  return {key, parent, parents: [parent]};
}

function keyOf(parent: JsonObject, names: readonly string[]): string {
  const values = names.map((name) => parent[name] ?? null);
  return values.length === 1 ? textOf(values[0] ?? null) : JSON.stringify(values.map(textOf));
}

function textOf(value: JsonValue): string {
  return typeof value === 'string' ? value : stringifyJson(value);
}

function tooMany(table: string, limit: number): IngestError {
  return new IngestError('SOURCE_ERROR', `Table "${table}" has more than ${limit} parents.`, {
    class: 'config',
    fix: 'Choose fewer parents by a table option, or raise maxParents.',
    context: {table, limit},
  });
}
