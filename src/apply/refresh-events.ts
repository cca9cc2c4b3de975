import type {StructField, StructType} from '../core/types.ts';
import type {PendingFile, SideFiles} from '../delta/batch-file.ts';
import type {BatchContext} from './batch-context.ts';
import {WORK} from './column-sql.ts';
import {wholeEvents} from './keyed-batch.ts';
import {ignoresNulls, leafRows} from './leaf-batch.ts';
import type {EventSource} from './merge-sql.ts';
import type {LeftRows} from './stored-rows.ts';
import {writeTombstones} from './tombstones.ts';
import {truncationOf, writeTruncation} from './truncation.ts';

/** What the events of a whole table come to. */
export interface RefreshedEvents {
  /** Each key once, as a SELECT. */
  readonly select: string;
  /** The work table that rows and deletes were chosen into; null where rows were put together of several events. */
  readonly chosen: string | null;
  readonly quarantined: number;
  readonly side: () => Promise<Pick<SideFiles, 'tombstones' | 'truncates' | 'authors'>>;
}

/** True when only all events together say what the rows are: the newest of each key is not enough. */
export async function needsEvents(context: BatchContext, sources: readonly EventSource[]): Promise<boolean> {
  const {job, work, sql} = context;
  if (job.target === 'append' || job.keys.length === 0) return false;
  if (ignoresNulls(context)) return true;
  const others = [WORK.unchanged, WORK.oldKey];
  if (sources.some((source) => others.some((name) => source.columns.has(name)))) return true;
  const truncates = sql.truncates(sources);
  return truncates !== null && (await work.count(sql.countOf(truncates), 'n')) > 0;
}

/** Keeps the events of a batch as they came. */
export async function heldEvents(
  {sql, side, columns, job}: BatchContext,
  sources: readonly EventSource[],
): Promise<readonly PendingFile[]> {
  const field = (name: string, type: StructField['type']): StructField => ({name, type, nullable: true, metadata: {}});
  const schema: StructType = {
    type: 'struct',
    fields: [
      ...job.schema.fields,
      field(WORK.op, 'string'),
      field(WORK.unchanged, {type: 'array', elementType: 'string', containsNull: true}),
      field(WORK.oldKey, columns.oldKeyType),
    ],
  };
  const file = await side.write('events', sql.rawEvents(sources), schema);
  return file === null ? [] : [{kind: 'events', ...file, stats: null}];
}

/** Works out what the events of a whole table come to; nothing that is stored matters. */
export async function refreshedEvents(given: BatchContext, sources: readonly EventSource[]): Promise<RefreshedEvents> {
  const context: BatchContext = {...given, before: {...given.before, truncates: [], authors: [], tombstones: []}};
  const {sql, work} = context;
  const truncation = await truncationOf(context, sources);
  const left: LeftRows = {truncation, gone: {files: [], places: null, rowCount: 0}};
  const whole = await wholeEvents(context, sources, {truncation, stored: () => Promise.resolve(sql.nothing())});
  const isByLeaf = ignoresNulls(context);
  const chosen = await work.keep(isByLeaf ? whole.events : sql.newest(whole.events));
  const leaves = isByLeaf ? await leafRows(context, chosen, left) : null;
  return {
    select: leaves?.rows ?? sql.upsertRows(chosen),
    chosen: isByLeaf ? null : chosen,
    quarantined: whole.quarantined,
    side: async () => ({
      tombstones: await rememberedDeletes(context, leaves?.tombstones ?? sql.deleteRows(chosen)),
      truncates: await writeTruncation(context, truncation),
      authors: (await leaves?.authors()) ?? [],
    }),
  };
}

/** A refresh knows the source anew: only its own deletes are remembered. */
export async function rememberedDeletes(context: BatchContext, deletes: string): Promise<readonly string[]> {
  const {job} = context;
  return job.keepTombstones && job.sequence.length > 0 ? writeTombstones(context, deletes) : [];
}
