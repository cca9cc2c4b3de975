import {isIngestError} from '../core/errors.ts';
import type {Store} from '../storage/store.ts';
import {damaged, JsonFields} from './damage.ts';
import {decodeEntry, encodeJson, type ManifestEntry} from './entry.ts';
import {numberOf, stagingLayout, type StagingLayout} from './layout.ts';
import {decodeState, EMPTY_STATE, foldEntry, type StagingState} from './state.ts';

/** The staging of one gateway in a store. Holds nothing open. */
export interface Staging {
  readonly store: Store;
  readonly layout: StagingLayout;
  /** The gateway's id. */
  readonly gateway: string;
}

/** Names the staging of a gateway; nothing is asked or made. */
export function openStaging(store: Store, gateway: string): Staging {
  return {store, gateway, layout: stagingLayout(gateway)};
}

/**
 * Writes down, before anything is made at the source, that this staging may own what bears its gateway's name there; what the file says is
 * for people who look into the folder.
 */
export async function claimSource({store, layout, gateway}: Staging, codec: string): Promise<void> {
  await store.put(layout.source, encodeJson({format: 1, gateway, codec}));
}

/** False while nothing can have been made at the source for this staging: what bears its gateway's name there is somebody else's. */
export async function hasClaimedSource(staging: Staging): Promise<boolean> {
  if ((await staging.store.get(staging.layout.source)) !== null) return true;
  return (await loadState(staging)).n > 0;
}

/** Entries that are asked for at once. */
const ENTRIES_AT_ONCE = 16;

/** What the manifest says as a whole. @throws STAGING_DAMAGED */
export async function loadState(staging: Staging): Promise<StagingState> {
  return catchUp(staging, await lastCheckpoint(staging));
}

/** The state behind all entries that came after it. @throws STAGING_DAMAGED */
export async function catchUp(staging: Staging, from: StagingState): Promise<StagingState> {
  let state = from;
  for await (const entry of readEntries(staging, from.n)) state = foldEntry(state, entry);
  return state;
}

/**
 * The entries after number `after`, in order, up to `through` if given.
 * @throws STAGING_DAMAGED when one is missing or cannot be read
 */
export async function* readEntries(
  staging: Staging,
  after: number,
  through: number = Number.POSITIVE_INFINITY,
): AsyncGenerator<ManifestEntry, void> {
  const {store, layout} = staging;
  let next = after + 1;
  let names: string[] = [];
  const take = async (): Promise<readonly ManifestEntry[]> => {
    const read = await Promise.all(names.map((name) => readEntry(staging, name)));
    names = [];
    return read;
  };
  for await (const {name} of store.list(layout.manifest, {after: layout.entry(after), shallow: true})) {
    const n = numberOf(name);
    if (n > through) break;
    if (n !== next) throw damaged(layout.entry(next), 'is missing');
    next++;
    names.push(name);
    if (names.length >= ENTRIES_AT_ONCE) yield* await take();
  }
  yield* await take();
}

/** One entry; null when there is none of that number. @throws STAGING_DAMAGED */
export async function readEntryAt({store, layout}: Staging, n: number): Promise<ManifestEntry | null> {
  const name = layout.entry(n);
  const bytes = await store.get(name);
  return bytes === null ? null : decodeEntry(bytes, name);
}

async function readEntry({store}: Staging, name: string): Promise<ManifestEntry> {
  const bytes = await store.get(name);
  if (bytes === null) throw damaged(name, 'is missing');
  return decodeEntry(bytes, name);
}

/** The newest checkpoint that can be read: a damaged one costs only the time to read older entries. */
async function lastCheckpoint({store, layout}: Staging): Promise<StagingState> {
  const names: string[] = [];
  for await (const {name} of store.list(layout.checkpoints)) names.push(name);
  for (const name of names.toReversed()) {
    const bytes = await store.get(name);
    const state = bytes === null ? null : soundState(bytes, name);
    if (state !== null) return state;
  }
  return EMPTY_STATE;
}

function soundState(bytes: Uint8Array, name: string): StagingState | null {
  try {
    return decodeState(bytes, name);
  } catch (error) {
    if (isIngestError(error, 'STAGING_DAMAGED')) return null;
    throw error;
  }
}

/** How far a pipeline has come with a table, for retention. */
export interface AppliedTable {
  /** Number of the table in the log. */
  readonly table: number;
  /** Id and entry of the snapshot that its rows rest on. */
  readonly snapshot: string;
  readonly snapshotEntry: number;
  /** All entries up to here are applied or need not be: `LogMark.entry - 1`. */
  readonly entry: number;
}

/** A pipeline that reads this staging. */
export interface PipelineProgress {
  /** Of the flow or pipeline. */
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly updatedAt: number;
  /** By the source's name of the table. */
  readonly tables: ReadonlyMap<string, AppliedTable>;
}

/**
 * Tells how far a pipeline has come; what it has applied may be deleted. A pipeline is known from its first call on, so it makes one
 * before its first read. Replaces what it said before.
 */
export async function recordProgress({store, layout}: Staging, progress: PipelineProgress): Promise<void> {
  await store.put(layout.pipeline(progress.id), encodeJson(progress));
}

/** What all pipelines said last. @throws STAGING_DAMAGED */
export async function readProgress({store, layout}: Staging): Promise<readonly PipelineProgress[]> {
  const found: PipelineProgress[] = [];
  for await (const {name} of store.list(layout.pipelines)) {
    const bytes = await store.get(name);
    if (bytes !== null) found.push(progressOf(JsonFields.parse(bytes, name), name));
  }
  return found;
}

function progressOf(fields: JsonFields, file: string): PipelineProgress {
  const tables = fields
    .object('tables')
    .entries()
    .map(([name, value]) => {
      const table = new JsonFields(value, file);
      const applied: AppliedTable = {
        table: table.number('table'),
        snapshot: table.text('snapshot'),
        snapshotEntry: table.number('snapshotEntry'),
        entry: table.number('entry'),
      };
      return [name, applied] as const;
    });
  return {id: fields.text('id'), updatedAt: fields.number('updatedAt'), tables: new Map(tables)};
}
