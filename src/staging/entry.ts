import type {PlainJson} from '../core/offset.ts';
import type {LogIdentity, LogPoint, LogTable} from '../sdk/change-log.ts';
import {damaged, JsonFields} from './damage.ts';

/** What every entry of a manifest has. */
export interface EntryHead {
  /** Entries are numbered from 1 without gaps; each name is put if absent, so that one writer wins. */
  readonly n: number;
  /** The writer's session. */
  readonly writer: string;
  /** Microseconds since 1970 by the writer's clock. */
  readonly sealedAt: bigint;
}

/** The log begins anew: another server, other frames, or what came next was lost. Every table must be read anew. */
export interface EpochBody {
  readonly kind: 'epoch';
  readonly epoch: number;
  readonly identity: LogIdentity;
  readonly codec: string;
  readonly start: LogPoint;
  /** Why the epoch before ended; empty for the first. */
  readonly message: string;
}

/** A transaction that goes on over the border of two segments. */
export interface OpenTransaction {
  readonly position: bigint;
  /** Microseconds since 1970 by the source's clock. */
  readonly committedAt: bigint;
  readonly transaction: string;
  /** Frames of it that came before, its `begin` included. */
  readonly frames: number;
}

/** A sealed segment of the log. */
export interface LogBody {
  readonly kind: 'log';
  readonly epoch: number;
  readonly file: string;
  readonly start: LogPoint;
  /** Behind the last commit of the segment; `start` when it holds none. */
  readonly end: LogPoint;
  /** The transaction that the segment begins in the middle of. */
  readonly open: OpenTransaction | null;
  /** Where in the raw frames a transaction begins that the segment does not end; null when it ends behind a commit. */
  readonly tail: number | null;
  readonly frames: number;
  readonly bytes: number;
  readonly rawBytes: number;
  readonly crc: number;
  /** Changes per table number. */
  readonly rows: ReadonlyMap<number, number>;
  /** Tables whose schema frames are in it, as they stand at its end. */
  readonly tables: readonly LogTable[];
  /** Of its last transaction, by the source's clock; null when it begins none. */
  readonly committedAt: bigint | null;
}

/** Nothing of ours came in the log for a while: it may be read from here. */
export interface AdvanceBody {
  readonly kind: 'advance';
  readonly epoch: number;
  readonly end: LogPoint;
}

/** A table is followed from here on, or no longer. */
export interface TableBody {
  readonly kind: 'table';
  readonly action: 'added' | 'removed';
  /** As `listTables` of the source names it. */
  readonly name: string;
  readonly table: LogTable;
}

/** Why a table must be read anew. */
export type ResetReason =
  | 'log_lost'
  | 'source_changed'
  | 'not_applied'
  | 'unsupported_change'
  | 'recreated'
  | 'damaged'
  | 'requested';

/** What is staged of a table does not lead to its rows any more: it must be read anew. */
export interface ResetBody {
  readonly kind: 'reset';
  readonly name: string;
  readonly reason: ResetReason;
  readonly message: string;
  /** The table from here on, when it is another one under the same name. */
  readonly table: LogTable | null;
}

/** A snapshot of a table is complete; its description lists the chunks. */
export interface SnapshotBody {
  readonly kind: 'snapshot';
  readonly epoch: number;
  readonly name: string;
  readonly id: string;
  /** Of the {@link SnapshotManifest}. */
  readonly file: string;
  readonly table: LogTable;
  /** A point of the log before all of its views: changes at or before it are in the rows. */
  readonly position: bigint;
  /** A point of the log behind all of its views: none of them sees what commits behind it; with the log up to here the rows are consistent. */
  readonly until: bigint;
  /** The first entry that may hold changes which the snapshot did not see. */
  readonly logFrom: number;
  /** Number of the entry that it answers: the table's own, or a reset. One that came later still holds. */
  readonly demand: number;
  readonly rows: number;
  readonly bytes: number;
}

/** Segments and snapshots of entries up to `through` are gone or will be. */
export interface RetiredBody {
  readonly kind: 'retired';
  readonly through: number;
}

/** What an entry says. */
export type EntryBody = EpochBody | LogBody | AdvanceBody | TableBody | ResetBody | SnapshotBody | RetiredBody;

/** One immutable entry of a manifest. */
export type ManifestEntry = EntryHead & EntryBody;

/** A sealed segment as its entry tells. */
export type LogEntry = EntryHead & LogBody;

/** A complete snapshot as its entry tells. */
export type SnapshotEntry = EntryHead & SnapshotBody;

/** JSON text of an entry; 64-bit numbers are decimal text. */
export function encodeEntry(entry: ManifestEntry): Uint8Array {
  return encodeJson(entry);
}

/** JSON with 64-bit numbers as decimal text and maps as objects. */
export function encodeJson(value: unknown): Uint8Array {
  const text = JSON.stringify(value, (_, inner: unknown) => {
    if (typeof inner === 'bigint') return inner.toString();
    return inner instanceof Map ? Object.fromEntries(inner as Map<string, unknown>) : inner;
  });
  return new TextEncoder().encode(`${text}\n`);
}

/** @throws STAGING_DAMAGED when the bytes are no entry */
export function decodeEntry(bytes: Uint8Array, file: string): ManifestEntry {
  return entryOf(JsonFields.parse(bytes, file), file);
}

/** @throws STAGING_DAMAGED when the fields are no entry */
export function entryOf(fields: JsonFields, file: string): ManifestEntry {
  const head = {n: fields.number('n'), writer: fields.text('writer'), sealedAt: fields.bigint('sealedAt')};
  return {...head, ...bodyOf(fields, file)};
}

function bodyOf(fields: JsonFields, file: string): EntryBody {
  const kind = fields.text('kind');
  switch (kind) {
    case 'epoch':
      return epochOf(fields);
    case 'log':
      return logOf(fields);
    case 'advance':
      return {kind, epoch: fields.number('epoch'), end: pointOf(fields.object('end'))};
    case 'table': {
      const action = fields.text('action') === 'removed' ? 'removed' : 'added';
      return {kind, action, name: fields.text('name'), table: tableOf(fields.object('table'))};
    }
    case 'reset':
      return {
        kind,
        name: fields.text('name'),
        reason: resetReason(fields.text('reason')),
        message: fields.text('message'),
        table: fields.has('table') ? tableOf(fields.object('table')) : null,
      };
    case 'snapshot':
      return snapshotOf(fields);
    case 'retired':
      return {kind, through: fields.number('through')};
    default:
      throw damaged(file, `is an entry of the unknown kind "${kind}": a newer version of Sluice may have written it`);
  }
}

function epochOf(fields: JsonFields): EpochBody {
  const identity = fields.object('identity');
  return {
    kind: 'epoch',
    epoch: fields.number('epoch'),
    identity: {server: identity.text('server'), timeline: identity.number('timeline')},
    codec: fields.text('codec'),
    start: pointOf(fields.object('start')),
    message: fields.text('message'),
  };
}

function logOf(fields: JsonFields): LogBody {
  const rows = fields
    .object('rows')
    .entries()
    .map(([table, count]) => [Number(table), Number(count)] as const);
  return {
    kind: 'log',
    epoch: fields.number('epoch'),
    file: fields.text('file'),
    start: pointOf(fields.object('start')),
    end: pointOf(fields.object('end')),
    open: fields.has('open') ? openOf(fields.object('open')) : null,
    tail: fields.has('tail') ? fields.number('tail') : null,
    frames: fields.number('frames'),
    bytes: fields.number('bytes'),
    rawBytes: fields.number('rawBytes'),
    crc: fields.number('crc'),
    rows: new Map(rows),
    tables: fields.objects('tables').map(tableOf),
    committedAt: fields.has('committedAt') ? fields.bigint('committedAt') : null,
  };
}

function snapshotOf(fields: JsonFields): SnapshotBody {
  return {
    kind: 'snapshot',
    epoch: fields.number('epoch'),
    name: fields.text('name'),
    id: fields.text('id'),
    file: fields.text('file'),
    table: tableOf(fields.object('table')),
    position: fields.bigint('position'),
    until: fields.bigint('until'),
    logFrom: fields.number('logFrom'),
    demand: fields.number('demand'),
    rows: fields.number('rows'),
    bytes: fields.number('bytes'),
  };
}

function openOf(fields: JsonFields): OpenTransaction {
  return {
    position: fields.bigint('position'),
    committedAt: fields.bigint('committedAt'),
    transaction: fields.text('transaction'),
    frames: fields.number('frames'),
  };
}

/** @throws STAGING_DAMAGED */
export function pointOf(fields: JsonFields): LogPoint {
  return {position: fields.bigint('position'), token: fields.json('token')};
}

/** @throws STAGING_DAMAGED */
export function tableOf(fields: JsonFields): LogTable {
  const identity = fields.text('identity');
  return {
    id: fields.number('id'),
    namespace: fields.texts('namespace'),
    name: fields.text('name'),
    columns: fields.objects('columns').map((column) => ({
      name: column.text('name'),
      type: column.json('type') satisfies PlainJson,
      isKey: column.flag('isKey'),
      isNullable: column.flag('isNullable'),
    })),
    identity: identity === 'full' || identity === 'none' ? identity : 'key',
  };
}

const REASONS: readonly ResetReason[] = [
  'log_lost',
  'source_changed',
  'not_applied',
  'unsupported_change',
  'recreated',
  'damaged',
  'requested',
];

/** A reason as text; one that a newer version knows counts as asked for. */
export function resetReason(text: string): ResetReason {
  return REASONS.find((reason) => reason === text) ?? 'requested';
}
