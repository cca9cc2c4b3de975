import type {LogIdentity, LogPoint, LogTable} from '../sdk/change-log.ts';
import {JsonFields} from './damage.ts';
import {encodeJson, entryOf, pointOf, resetReason, tableOf} from './entry.ts';
import type {EntryHead, EpochBody, LogEntry, ManifestEntry, ResetReason, SnapshotEntry} from './entry.ts';

/** Why and since when a table must be read anew. */
export interface TableDemand {
  readonly n: number;
  readonly reason: ResetReason;
  readonly message: string;
}

/** A table as the manifest says that it is staged. */
export interface StagedTable {
  /** As `listTables` of the source names it. */
  readonly name: string;
  /** The table as the log last described it. */
  readonly table: LogTable;
  /** The last complete snapshot; null before the first. It leads to the rows only while `reset` is null. */
  readonly snapshot: SnapshotEntry | null;
  /** Set while it must be read anew. */
  readonly reset: TableDemand | null;
  /** Rows that rest on a snapshot from before this entry are led on by no log. */
  readonly broken: number;
}

/** What the entries up to one of them say together. */
export interface StagingState {
  /** The last entry; 0 before the first. */
  readonly n: number;
  /** Tells this staging area from one that was there before it under its name; empty before the first epoch. */
  readonly id: string;
  /** 0 before the first. */
  readonly epoch: number;
  readonly identity: LogIdentity | null;
  readonly codec: string;
  /** From where the log is read on; null before the first epoch. */
  readonly end: LogPoint | null;
  /** The last sealed segment: its commit time tells how far staging lags. */
  readonly lastLog: Pick<LogEntry, 'n' | 'committedAt' | 'sealedAt'> | null;
  /** Files of entries up to here may be gone. */
  readonly retiredThrough: number;
  /** By name. */
  readonly tables: ReadonlyMap<string, StagedTable>;
}

/** Before the first entry. */
export const EMPTY_STATE: StagingState = {
  n: 0,
  id: '',
  epoch: 0,
  identity: null,
  codec: '',
  end: null,
  lastLog: null,
  retiredThrough: 0,
  tables: new Map(),
};

/** The state behind one more entry. */
export function foldEntry(state: StagingState, entry: ManifestEntry): StagingState {
  const next = {...state, n: entry.n};
  switch (entry.kind) {
    case 'epoch':
      return beginEpoch(next, entry);
    case 'log':
      return {
        ...next,
        end: entry.end,
        lastLog: {n: entry.n, committedAt: entry.committedAt, sealedAt: entry.sealedAt},
        tables: entry.tables.length === 0 ? state.tables : described(state.tables, entry.tables),
      };
    case 'advance':
      return {...next, end: entry.end};
    case 'table':
      return entry.action === 'removed'
        ? {...next, tables: without(state.tables, entry.name)}
        : withTable(next, {name: entry.name, table: entry.table, snapshot: null, reset: null, broken: entry.n});
    case 'reset': {
      const known = state.tables.get(entry.name);
      if (known === undefined) return next;
      const reset = {n: entry.n, reason: entry.reason, message: entry.message};
      // A snapshot that somebody asked for leaves what others read as it is.
      const broken = entry.reason === 'requested' ? known.broken : entry.n;
      return withTable(next, {...known, table: entry.table ?? known.table, reset, broken});
    }
    case 'snapshot': {
      const known = state.tables.get(entry.name);
      if (known === undefined || isStale(state, known, entry)) return next;
      return withTable(next, {...known, snapshot: entry, reset: null});
    }
    case 'retired':
      return {...next, retiredThrough: Math.max(state.retiredThrough, entry.through)};
  }
}

/** While the snapshot was read its table became another one, had to be read anew for a later reason, or lost the log behind it. */
function isStale(state: StagingState, known: StagedTable, entry: SnapshotEntry): boolean {
  if (entry.epoch !== state.epoch || entry.table.id !== known.table.id) return true;
  // Demand 0 was written before tables that are added made one.
  const isLater = entry.demand === 0 ? known.reset !== null : demandOf(known) > entry.demand;
  return isLater || entry.logFrom <= state.retiredThrough;
}

/** Number of the entry that made a snapshot of a table necessary: none that was begun for an earlier one leads to its rows. */
export function demandOf({reset, broken}: StagedTable): number {
  return Math.max(reset?.n ?? 0, broken);
}

function beginEpoch(state: StagingState, entry: EpochBody & EntryHead): StagingState {
  const isServerNew = state.identity?.server !== entry.identity.server || state.codec !== entry.codec;
  const reset: TableDemand = {
    n: entry.n,
    reason: isServerNew ? 'source_changed' : 'log_lost',
    message: entry.message,
  };
  const tables = [...state.tables].map(([name, table]) => [name, {...table, reset, broken: entry.n}] as const);
  return {
    ...state,
    id: state.id === '' ? `${entry.writer}-${entry.sealedAt}` : state.id,
    epoch: entry.epoch,
    identity: entry.identity,
    codec: entry.codec,
    end: entry.start,
    tables: new Map(tables),
  };
}

function described(tables: StagingState['tables'], news: readonly LogTable[]): StagingState['tables'] {
  const byId = new Map(news.map((table) => [table.id, table]));
  return new Map(
    [...tables].map(([name, staged]) => [name, {...staged, table: byId.get(staged.table.id) ?? staged.table}]),
  );
}

function withTable(state: StagingState, table: StagedTable): StagingState {
  return {...state, tables: new Map([...state.tables, [table.name, table]])};
}

function without(tables: StagingState['tables'], name: string): StagingState['tables'] {
  return new Map([...tables].filter(([each]) => each !== name));
}

/** A state as a checkpoint, so that older entries need not be read. */
export function encodeState(state: StagingState): Uint8Array {
  return encodeJson({format: 1, ...state});
}

/** @throws STAGING_DAMAGED when the bytes are no checkpoint */
export function decodeState(bytes: Uint8Array, file: string): StagingState {
  const fields = JsonFields.parse(bytes, file);
  const identity = fields.has('identity') ? fields.object('identity') : null;
  const lastLog = fields.has('lastLog') ? fields.object('lastLog') : null;
  return {
    n: fields.number('n'),
    id: fields.has('id') ? fields.text('id') : '',
    epoch: fields.number('epoch'),
    identity: identity === null ? null : {server: identity.text('server'), timeline: identity.number('timeline')},
    codec: fields.text('codec'),
    end: fields.has('end') ? pointOf(fields.object('end')) : null,
    lastLog:
      lastLog === null
        ? null
        : {
            n: lastLog.number('n'),
            committedAt: lastLog.has('committedAt') ? lastLog.bigint('committedAt') : null,
            sealedAt: lastLog.bigint('sealedAt'),
          },
    retiredThrough: fields.number('retiredThrough'),
    tables: new Map(
      fields
        .object('tables')
        .entries()
        .map(([name, value]) => [name, stagedOf(name, new JsonFields(value, file), file)]),
    ),
  };
}

function stagedOf(name: string, fields: JsonFields, file: string): StagedTable {
  const snapshot = fields.has('snapshot') ? entryOf(fields.object('snapshot'), file) : null;
  const reset = fields.has('reset') ? fields.object('reset') : null;
  return {
    name,
    table: tableOf(fields.object('table')),
    snapshot: snapshot?.kind === 'snapshot' ? snapshot : null,
    reset:
      reset === null
        ? null
        : {n: reset.number('n'), reason: resetReason(reset.text('reason')), message: reset.text('message')},
    broken: fields.number('broken'),
  };
}
