import {IngestError, messageOf} from '../core/errors.ts';
import {checkOffset} from '../core/offset.ts';
import {schemaFromJson, schemaToJson} from '../core/schema-json.ts';
import type {Store} from '../storage/store.ts';
import type {BatchCounts, BatchFile, FlowOffset, PendingFile, SideFiles} from './batch-file.ts';
import type {DeltaTable} from './delta-table.ts';

const FORMAT_VERSION = 1;
/** Each taken id is an attempt that did not commit: so many of one flow in a row say that something else is wrong. */
const MAX_TAKEN = 100_000;

/** Object name of a batch file. */
export function batchFileName(tableRoot: string, flowId: string, batchId: number): string {
  return `${tableRoot}/_sluice/${flowId}/${batchId}.json`;
}

/**
 * Writes a batch file under the first free id above `aboveBatchId` (null before the first batch) and returns it with that
 * id. Durable when it resolves; it counts once a txn of the table names the id.
 */
export async function writeBatchFile(
  store: Store,
  tableRoot: string,
  file: Omit<BatchFile, 'batchId'>,
  aboveBatchId: number | null,
): Promise<BatchFile> {
  const first = (aboveBatchId ?? 0) + 1;
  for (let batchId = first; batchId < first + MAX_TAKEN; batchId++) {
    const whole: BatchFile = {...file, batchId};
    if (await store.putIfAbsent(batchFileName(tableRoot, file.flowId, batchId), encodeBatchFile(whole))) return whole;
  }
  throw new IngestError(
    'STORAGE_FAILED',
    `Table ${tableRoot}: ${MAX_TAKEN} batch files above ${first - 1} exist and none was committed.`,
    {
      class: 'bug',
      context: {table: tableRoot, flowId: file.flowId},
    },
  );
}

/**
 * Reads the batch file that a txn names.
 * @throws CORRUPT_LOG when it is missing or not in the form that {@link writeBatchFile} gives it.
 */
export async function readBatchFile(
  store: Store,
  tableRoot: string,
  flowId: string,
  batchId: number,
): Promise<BatchFile> {
  const name = batchFileName(tableRoot, flowId, batchId);
  const bytes = await store.get(name);
  if (bytes === null) throw corrupt(store, name, new TypeError('the file is missing'));
  try {
    const file = decodeBatchFile(bytes);
    if (file.flowId !== flowId || file.batchId !== batchId) throw new TypeError('it is that of another batch');
    return file;
  } catch (error) {
    throw corrupt(store, name, error);
  }
}

/** The batch that the table's newest known txn of the flow names; null before the first. @throws CORRUPT_LOG as {@link readBatchFile}. */
export async function currentBatch(store: Store, table: DeltaTable, flowId: string): Promise<BatchFile | null> {
  const txn = table.snapshot.txns.get(flowId);
  return txn === undefined ? null : readBatchFile(store, table.root, flowId, txn.version);
}

/** The bytes of a batch file: JSON with one top-level entry per line, for those who look into it. */
export function encodeBatchFile(file: BatchFile): Uint8Array {
  const plain: Record<string, unknown> = {...file, schema: JSON.parse(schemaToJson(file.schema))};
  const lines = FIELDS.map((key) => `  ${JSON.stringify(key)}: ${JSON.stringify(plain[key])}`);
  return new TextEncoder().encode(`{\n${lines.join(',\n')}\n}\n`);
}

const FIELDS = [
  'formatVersion',
  'flowId',
  'batchId',
  'previousBatchId',
  'start',
  'end',
  'inSnapshot',
  'counts',
  'side',
  'writtenAt',
  'notes',
  'schema',
] as const satisfies readonly (keyof BatchFile)[];

type Json = Readonly<Record<string, unknown>>;

/** @throws TypeError, SyntaxError or IngestError saying what is wrong; unknown entries are wrong, too. */
export function decodeBatchFile(bytes: Uint8Array): BatchFile {
  const plain = record(JSON.parse(new TextDecoder('utf-8', {fatal: true}).decode(bytes)), 'the file', FIELDS);
  if (plain['formatVersion'] !== FORMAT_VERSION) {
    throw new TypeError(`it has the format version ${String(plain['formatVersion'])}; known is ${FORMAT_VERSION}`);
  }
  return {
    formatVersion: FORMAT_VERSION,
    flowId: text(plain, 'flowId'),
    batchId: count(plain, 'batchId'),
    previousBatchId: plain['previousBatchId'] === null ? null : count(plain, 'previousBatchId'),
    start: flowOffset(plain['start'], 'start'),
    end: flowOffset(plain['end'], 'end'),
    inSnapshot: flag(plain, 'inSnapshot'),
    counts: counts(plain['counts']),
    side: sideFiles(plain['side']),
    writtenAt: text(plain, 'writtenAt'),
    notes: notes(plain['notes']),
    schema: schemaFromJson(JSON.stringify(plain['schema'])),
  };
}

function flowOffset(value: unknown, what: string): FlowOffset {
  const {rows, deletes} = record(value, what, ['rows', 'deletes']);
  return {rows: checkOffset(rows, what), deletes: checkOffset(deletes, what)};
}

const COUNTS = ['read', 'inserted', 'updated', 'deleted', 'unchanged', 'rescuedValues', 'quarantinedRows'] as const;

function counts(value: unknown): BatchCounts {
  const plain = record(value, 'counts', COUNTS);
  const entries = COUNTS.map((key) => [key, count(plain, key)] as const);
  return Object.fromEntries(entries) as Record<(typeof COUNTS)[number], number>;
}

/** Lists that files of version 0.1 do not have. */
const LATER_SIDE_FILES = {hidden: [], truncates: [], authors: []};
const SIDE_FILES = ['tombstones', 'ledger', 'tail', 'pending', 'hidden', 'truncates', 'authors'] as const;

function asObject(value: unknown): object {
  return typeof value === 'object' && value !== null ? value : {};
}

function sideFiles(value: unknown): SideFiles {
  const plain = record({...LATER_SIDE_FILES, ...asObject(value)}, 'side', SIDE_FILES);
  return {
    hidden: texts(plain, 'hidden'),
    truncates: texts(plain, 'truncates'),
    authors: texts(plain, 'authors'),
    tombstones: texts(plain, 'tombstones'),
    ledger: texts(plain, 'ledger'),
    tail: texts(plain, 'tail'),
    pending: list(plain, 'pending').map(pendingFile),
  };
}

function pendingFile(value: unknown): PendingFile {
  const plain = record(value, 'pending', ['kind', 'name', 'rowCount', 'sizeBytes', 'stats']);
  const {kind, stats} = plain;
  if (kind !== 'rows' && kind !== 'deletes' && kind !== 'events')
    throw new TypeError('pending.kind is neither rows nor deletes nor events');
  return {
    kind,
    name: text(plain, 'name'),
    rowCount: count(plain, 'rowCount'),
    sizeBytes: count(plain, 'sizeBytes'),
    stats: stats === null ? null : text(plain, 'stats'),
  };
}

function notes(value: unknown): BatchFile['notes'] {
  const plain = record(value, 'notes');
  for (const [key, note] of Object.entries(plain)) {
    if (note !== null && !['string', 'number', 'boolean'].includes(typeof note))
      throw new TypeError(`notes.${key} is no plain value`);
  }
  return plain as BatchFile['notes'];
}

/** An object with exactly the given keys; with any keys when none are given. */
function record(value: unknown, what: string, keys?: readonly string[]): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new TypeError(`${what} is no object`);
  for (const key of keys ?? []) if (!(key in value)) throw new TypeError(`${what} lacks ${key}`);
  for (const key of Object.keys(value)) {
    if (keys !== undefined && !keys.includes(key)) throw new TypeError(`${what} has the unknown entry ${key}`);
  }
  return value as Json;
}

function text(plain: Json, key: string): string {
  const value = plain[key];
  if (typeof value === 'string') return value;
  throw new TypeError(`${key} is no text`);
}

function flag(plain: Json, key: string): boolean {
  const value = plain[key];
  if (typeof value === 'boolean') return value;
  throw new TypeError(`${key} is neither true nor false`);
}

function count(plain: Json, key: string): number {
  const value = plain[key];
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new TypeError(`${key} is no count`);
}

function list(plain: Json, key: string): readonly unknown[] {
  const value: unknown = plain[key];
  if (Array.isArray(value)) return value;
  throw new TypeError(`${key} is no list`);
}

function texts(plain: Json, key: string): readonly string[] {
  return list(plain, key).map((value) => {
    if (typeof value === 'string') return value;
    throw new TypeError(`${key} is no list of texts`);
  });
}

function corrupt(store: Store, name: string, cause: unknown): IngestError {
  return new IngestError('CORRUPT_LOG', `The batch file ${store.root}/${name} cannot be read: ${messageOf(cause)}.`, {
    fix: 'Restore it from a backup; without it nobody knows where the flow stands, and it has to be read again from the start (full refresh).',
    cause,
    context: {name},
  });
}
