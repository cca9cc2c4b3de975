import type {JsonObject} from '../../core/json-value.ts';
import {isJsonObject, pathReader} from '../json-path.ts';
import {condition, defined, errorMatch, path} from './document-request.ts';
import {
  count,
  either,
  flag,
  list,
  map,
  named,
  number,
  object,
  optional,
  record,
  scalar,
  text,
  variants,
  word,
  wrongAt,
  type Shape,
} from './document-shape.ts';
import type {CursorFormat, EventMeaning, ReadPlan} from './read-plan.ts';
import type {Listing} from './rest-request.ts';
import type {DeletesPlan, Expand, Partitions} from './rest-spec.ts';

const FORMATS = [
  'iso',
  'iso_seconds',
  'iso_ms',
  'epoch_seconds',
  'epoch_ms',
  'date',
  'number',
  'text',
] as const satisfies readonly CursorFormat[];

const settings = {
  field: optional(path),
  format: optional(word(FORMATS)),
  lag_seconds: optional(number),
  lookback_seconds: optional(number),
  start: optional(scalar),
  id: optional(list(path)),
};

interface BareSettings {
  readonly field?: string;
  readonly format?: (typeof FORMATS)[number];
  readonly lag_seconds?: number;
  readonly lookback_seconds?: number;
  readonly start?: string | number;
  readonly id?: readonly string[];
}

function settingsOf({
  field,
  format,
  lag_seconds: lagSeconds,
  lookback_seconds: lookbackSeconds,
  start,
  id,
}: BareSettings): {
  readonly field?: string;
  readonly format?: CursorFormat;
  readonly lagSeconds?: number;
  readonly lookbackSeconds?: number;
  readonly start?: string | number;
  readonly id?: readonly string[];
} {
  return defined({field, format, lagSeconds, lookbackSeconds, start, id});
}

const tokenPlace = map(object({body: optional(path), header: optional(text)}), ({body, header}, place) => {
  if (body !== undefined) return {body};
  if (header !== undefined) return {header};
  throw wrongAt(place, 'must have body or header');
});

const meaning = map(
  object({row: path, when: optional(condition), delete_when: optional(condition)}),
  ({row, when, delete_when: deleteWhen}) => {
    const read = pathReader(row);
    return (event: JsonObject): EventMeaning | null => {
      if (when !== undefined && !when(event)) return null;
      const found = read(event);
      if (!isJsonObject(found)) return null;
      return {op: deleteWhen?.(event) === true ? 'delete' : 'upsert', row: found};
    };
  },
);

/** Plans of documents. */
export function planShape(listing: Shape<Listing>): Shape<ReadPlan> {
  return named('plan', () =>
    variants<ReadPlan>('kind', {
      snapshot: map(object({list: listing}), (given): ReadPlan => ({kind: 'snapshot', ...given})),
      sorted: sortedShape(listing),
      id: idShape(listing),
      window: windowShape(listing),
      descending: descendingShape(listing),
      token: tokenShape(listing),
      event_log: eventLogShape(listing),
    }),
  );
}

function sortedShape(listing: Shape<Listing>): Shape<ReadPlan> {
  return map(
    object({
      list: listing,
      ...settings,
      exclusive_bound: optional(word(['second', 'millisecond', 'microsecond'])),
      restart: optional(flag),
      is_sorted: optional(flag),
    }),
    ({list: rows, exclusive_bound: exclusiveBound, restart, is_sorted: isSorted, ...rest}): ReadPlan => ({
      kind: 'sorted',
      list: rows,
      ...settingsOf(rest),
      ...defined({exclusiveBound, restart, isSorted}),
    }),
  );
}

function idShape(listing: Shape<Listing>): Shape<ReadPlan> {
  return map(
    object({
      list: listing,
      field: optional(path),
      format: optional(word(['number', 'text'])),
      start: optional(scalar),
    }),
    ({list: rows, field, format, start}): ReadPlan => ({
      kind: 'id',
      list: rows,
      ...defined({field, format, start}),
    }),
  );
}

function windowShape(listing: Shape<Listing>): Shape<ReadPlan> {
  return map(
    object({
      list: listing,
      ...settings,
      step_seconds: optional(count),
      granularity: optional(word(['day', 'second', 'millisecond', 'microsecond'])),
      inclusive_end: optional(flag),
      exclusive_start: optional(flag),
      concurrency: optional(count),
    }),
    ({
      list: rows,
      step_seconds: stepSeconds,
      granularity,
      inclusive_end: inclusiveEnd,
      exclusive_start: exclusiveStart,
      concurrency,
      ...rest
    }): ReadPlan => ({
      kind: 'window',
      list: rows,
      ...settingsOf(rest),
      ...defined({stepSeconds, granularity, inclusiveEnd, exclusiveStart, concurrency}),
    }),
  );
}

function descendingShape(listing: Shape<Listing>): Shape<ReadPlan> {
  return map(object({list: listing, ...settings}), ({list: rows, ...rest}): ReadPlan => ({
    kind: 'descending',
    list: rows,
    ...settingsOf(rest),
  }));
}

function tokenShape(listing: Shape<Listing>): Shape<ReadPlan> {
  return map(
    object({initial: listing, delta: listing, token: tokenPlace, expired_when: list(errorMatch)}),
    ({expired_when: expiredWhen, ...rest}): ReadPlan => ({kind: 'token', ...rest, expiredWhen}),
  );
}

function eventLogShape(listing: Shape<Listing>): Shape<ReadPlan> {
  return map(
    object({
      backfill: listing,
      events: listing,
      time: object({field: path, format: optional(word(FORMATS))}),
      id: path,
      order: optional(word(['newest_first', 'oldest_first'])),
      meaning,
      horizon_seconds: count,
      lag_seconds: optional(number),
    }),
    ({order, time, horizon_seconds: horizonSeconds, lag_seconds: lagSeconds, ...rest}): ReadPlan => ({
      kind: 'eventLog',
      ...rest,
      horizonSeconds,
      time: {field: time.field, ...defined({format: time.format})},
      ...(order === 'oldest_first' ? {order: 'oldestFirst' as const} : {}),
      ...defined({lagSeconds}),
    }),
  );
}

/** Partitions of documents. */
export function partitionsShape(listing: Shape<Listing>): Shape<Partitions> {
  const parents = either<Listing | string>((value) => (typeof value === 'string' ? 0 : 1), text, listing);
  const optionName = object({option: text});
  const all: Shape<Partitions> = named('partitions', () =>
    variants<Partitions>('kind', {
      product: map(object({of: list(all)}), ({of}): Partitions => ({kind: 'product', of})),
      parent: map(
        object({
          list: parents,
          values: record(path),
          key: optional(list(text)),
          filter: optional(condition),
          max_parents: optional(count),
          group_size: optional(count),
        }),
        ({list: rows, values, key, filter, max_parents: maxParents, group_size: groupSize}): Partitions => ({
          kind: 'parent',
          list: rows,
          values,
          ...defined({key, filter, maxParents, groupSize}),
        }),
      ),
      list: map(
        object({
          name: text,
          values: either<readonly (string | number)[] | {readonly option: string}>(
            (value) => (Array.isArray(value) ? 0 : 1),
            list(scalar),
            optionName,
          ),
        }),
        (given): Partitions => ({kind: 'list', ...given}),
      ),
      dates: map(
        object({
          name: text,
          from: either<string | {readonly option: string}>(
            (value) => (typeof value === 'string' ? 0 : 1),
            text,
            optionName,
          ),
        }),
        (given): Partitions => ({kind: 'dates', ...given}),
      ),
    }),
  );
  return all;
}

/** Expansions of documents. */
export function expandShape(listing: Shape<Listing>): Shape<Expand> {
  return map(
    object({
      list: optional(listing),
      filter: optional(condition),
      group_size: optional(count),
      embedded: optional(path),
      has_more: optional(path),
      include: optional(record(path)),
    }),
    ({list: rows, filter, group_size: groupSize, embedded, has_more: hasMore, include}, place): Expand => {
      if (rows === undefined && embedded === undefined) throw wrongAt(place, 'must have list or embedded');
      return defined({list: rows, filter, groupSize, embedded, hasMore, include});
    },
  );
}

/** Ways of deletes of documents. */
export function deletesShape(listing: Shape<Listing>, plan: Shape<ReadPlan>): Shape<DeletesPlan> {
  return variants<DeletesPlan>('kind', {
    stream: map(object({when: condition}), ({when}): DeletesPlan => ({kind: 'stream', isDeleted: when})),
    log: map(object({read: plan}), ({read}): DeletesPlan => ({kind: 'log', read})),
    archived: map(object({list: listing, version: optional(path)}), ({list: rows, version}): DeletesPlan => ({
      kind: 'archived',
      list: rows,
      ...defined({version}),
    })),
    key_scan: map(object({list: optional(listing)}), ({list: rows}): DeletesPlan => ({
      kind: 'keyScan',
      ...defined({list: rows}),
    })),
    snapshot_diff: map(object({}), (): DeletesPlan => ({kind: 'snapshotDiff'})),
  });
}
