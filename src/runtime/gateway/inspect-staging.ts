import {systemClock} from '../../core/clock.ts';
import {messageOf} from '../../core/errors.ts';
import {readStatus, type GatewayStatus} from '../../gateway/status.ts';
import {openManifest} from '../../staging/manifest-writer.ts';
import {openLogView} from '../../staging/read-log.ts';
import {retire} from '../../staging/retire.ts';
import {loadState, readEntries, readProgress} from '../../staging/staging.ts';
import {acquireLease} from '../../state/lease.ts';
import type {LakeOptions} from '../api.ts';
import {openGatewayStaging} from './open-gateway.ts';

/** Where a staging area is. */
export type StagingPlace = Pick<LakeOptions, 'lake' | 'storeOptions'> & {readonly gatewayId: string};

/** How a gateway stands, and how far the pipelines are behind it. */
export interface GatewayLag extends GatewayStatus {
  /** `rows`: those and changes that are staged and that some pipeline has not applied yet, at most. */
  readonly lag: GatewayStatus['lag'] & {readonly rows: number};
  readonly tables: readonly (GatewayStatus['tables'][number] & {readonly notApplied: number})[];
}

/** What a gateway wrote of itself last, stale when it is not running, and what is staged and not applied; null when it never ran. @throws STAGING_DAMAGED */
export async function gatewayLag(place: StagingPlace): Promise<GatewayLag | null> {
  await using opened = await openGatewayStaging(place, place.gatewayId);
  const {staging} = opened;
  const status = await readStatus(staging);
  if (status === null) return null;
  const state = await loadState(staging);
  const readers = await readProgress(staging);
  const counts = new Map<string, readonly {readonly after: number; rows: number}[]>();
  for (const [name, {snapshot}] of state.tables) {
    const applied = readers.flatMap(({tables}) => tables.get(name) ?? []);
    const places = applied.length === 0 ? [{snapshot: '', entry: state.retiredThrough}] : applied;
    const open = places.map(({snapshot: id, entry}) => ({
      after: entry,
      rows: snapshot === null || snapshot.id === id ? 0 : snapshot.rows,
    }));
    counts.set(name, open);
  }
  const oldest = Math.min(state.n, ...[...counts.values()].flat().map(({after}) => after));
  for await (const entry of readEntries(staging, Math.max(oldest, state.retiredThrough), state.n)) {
    if (entry.kind !== 'log') continue;
    for (const [name, {table}] of state.tables)
      for (const open of counts.get(name) ?? []) if (entry.n > open.after) open.rows += entry.rows.get(table.id) ?? 0;
  }
  const tables = status.tables.map((table) => ({
    ...table,
    notApplied: Math.max(0, ...(counts.get(table.name) ?? []).map(({rows}) => rows)),
  }));
  return {...status, lag: {...status.lag, rows: tables.reduce((sum, {notApplied}) => sum + notApplied, 0)}, tables};
}

/** A segment, snapshot or event of a staging area. */
export interface StagedEntry {
  readonly n: number;
  readonly kind: string;
  readonly sealedAt: string;
  /** Table, or position for parts of the log. */
  readonly about: string;
  readonly rows: number;
  readonly bytes: number;
}

/** What a staging area holds and who reads it. */
export interface StagingContents {
  readonly gateway: string;
  readonly codec: string;
  readonly epoch: number;
  readonly entries: readonly StagedEntry[];
  readonly segments: number;
  readonly bytes: number;
  readonly tables: readonly {
    readonly name: string;
    readonly snapshotRows: number | null;
    readonly state: string;
    readonly readers: readonly {readonly pipeline: string; readonly behind: number}[];
  }[];
}

/** Lists a staging area. @throws STAGING_DAMAGED */
export async function listStaging(place: StagingPlace): Promise<StagingContents> {
  await using opened = await openGatewayStaging(place, place.gatewayId);
  const {staging} = opened;
  const state = await loadState(staging);
  const entries: StagedEntry[] = [];
  let segments = 0;
  let bytes = 0;
  for await (const entry of readEntries(staging, state.retiredThrough, state.n)) {
    const rows =
      entry.kind === 'log'
        ? [...entry.rows.values()].reduce((sum, count) => sum + count, 0)
        : entry.kind === 'snapshot'
          ? entry.rows
          : 0;
    const size = entry.kind === 'log' || entry.kind === 'snapshot' ? entry.bytes : 0;
    if (entry.kind === 'log') segments++;
    bytes += size;
    entries.push({
      n: entry.n,
      kind: entry.kind,
      sealedAt: new Date(Number(entry.sealedAt / 1000n)).toISOString(),
      about:
        'name' in entry
          ? entry.name
          : entry.kind === 'log' || entry.kind === 'advance'
            ? String(entry.end.position)
            : '',
      rows,
      bytes: size,
    });
  }
  const readers = await readProgress(staging);
  const tables = [...state.tables.values()].map(({name, snapshot, reset}) => ({
    name,
    snapshotRows: snapshot?.rows ?? null,
    state: reset === null ? (snapshot === null ? 'waiting for its snapshot' : 'ok') : reset.message,
    readers: readers.flatMap(({id, tables: applied}) => {
      const at = applied.get(name);
      return at === undefined ? [] : [{pipeline: id, behind: Math.max(0, state.n - at.entry)}];
    }),
  }));
  return {gateway: staging.gateway, codec: state.codec, epoch: state.epoch, entries, segments, bytes, tables};
}

/** What is wrong with the files of a staging area, by reading them all; empty when nothing is. */
export async function checkStaging(place: StagingPlace, signal: AbortSignal): Promise<readonly string[]> {
  await using opened = await openGatewayStaging(place, place.gatewayId);
  const {staging} = opened;
  const problems: string[] = [];
  try {
    const state = await loadState(staging);
    const from = state.retiredThrough + 1;
    const view = await openLogView(staging, {state, from});
    for (const {table, name} of state.tables.values()) {
      const mark = {entry: from, epoch: state.epoch, position: -1n, ordinal: 0};
      try {
        for await (const _ of view.readTable(table.id, mark, signal));
      } catch (error) {
        problems.push(`${name}: ${messageOf(error)}`);
      }
    }
  } catch (error) {
    problems.push(messageOf(error));
  }
  signal.throwIfAborted();
  return problems;
}

/** Deletes what all pipelines have applied, whatever its age. @throws CONCURRENT_RUN while the gateway runs */
export async function purgeStaging(place: StagingPlace): Promise<{readonly files: number; readonly bytes: number}> {
  await using opened = await openGatewayStaging(place, place.gatewayId);
  const {staging} = opened;
  await using _ = await acquireLease(staging.store, staging.layout.lease, systemClock);
  const manifest = await openManifest(staging, systemClock);
  const {files, bytes} = await retire(manifest, {nowMs: systemClock.nowMs(), minAgeMs: 0});
  return {files, bytes};
}
