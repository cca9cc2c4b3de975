import {open, type FileHandle} from 'node:fs/promises';
import {crc32} from 'node:zlib';

import {failpoint} from '../core/failpoint.ts';
import type {PlainJson} from '../core/offset.ts';
import type {ChunkEnd, LogTable, SnapshotChunk, SnapshotToken} from '../sdk/change-log.ts';
import {storageError} from '../storage/storage-error.ts';
import {blockHead, fileFoot, fileHead, storeBlock, streamBlocks, type Compression} from './block-file.ts';
import {damaged, JsonFields} from './damage.ts';
import {encodeJson, tableOf, type SnapshotEntry} from './entry.ts';
import type {Staging} from './staging.ts';

/** A snapshot that was begun: what a gateway needs to go on with it. Immutable. */
export interface SnapshotPlan {
  readonly id: string;
  readonly name: string;
  readonly table: LogTable;
  readonly epoch: number;
  /** Number of the entry that it answers. */
  readonly demand: number;
  readonly token: SnapshotToken | null;
  readonly position: bigint;
  readonly logFrom: number;
  readonly chunks: readonly SnapshotChunk[];
  readonly isResumable: boolean;
  readonly estimatedRows: number | null;
}

/** A chunk that is durable. */
export interface StagedChunk {
  readonly index: number;
  readonly file: string;
  readonly rows: number;
  readonly bytes: number;
  readonly rawBytes: number;
  readonly crc: number;
  /** What it saw, where chunks have views of their own. */
  readonly view: {readonly token: SnapshotToken; readonly position: bigint} | null;
}

/** What a complete snapshot consists of. */
export interface SnapshotManifest {
  readonly plan: SnapshotPlan;
  readonly chunks: readonly StagedChunk[];
}

const BLOCK_BYTES = 1 << 20;
const READ_BYTES = 4 << 20;

/** Begins a snapshot; durable when it resolves. */
export async function writePlan({store, layout}: Staging, plan: SnapshotPlan): Promise<void> {
  await store.put(`${layout.snapshot(plan.table.id, plan.id)}plan.json`, encodeJson(plan));
  failpoint('staging.plan-written');
}

/** A snapshot as it lies there. */
export interface FoundSnapshot extends SnapshotManifest {
  /** It is described as a whole; whether an entry names it is another question. */
  readonly isComplete: boolean;
}

/** Snapshots of a table that were begun, with the chunks that are durable. @throws STAGING_DAMAGED */
export async function readPlans(staging: Staging, table: number): Promise<readonly FoundSnapshot[]> {
  const {store, layout} = staging;
  const found: FoundSnapshot[] = [];
  for (const id of await store.prefixes(`${layout.snapshots}${table}/`)) {
    const folder = `${layout.snapshots}${table}/${id}/`;
    const bytes = await store.get(`${folder}plan.json`);
    // One that was killed before its plan was written has no chunks.
    if (bytes === null) continue;
    const plan = planOf(JsonFields.parse(bytes, `${folder}plan.json`));
    const isComplete = (await store.get(`${folder}snapshot.json`)) !== null;
    found.push({plan, chunks: await readChunks(staging, folder), isComplete});
  }
  return found;
}

/** Removes a snapshot that no entry names. */
export async function removePlan(
  {store, layout}: Staging,
  {table, id}: Pick<SnapshotPlan, 'table' | 'id'>,
): Promise<void> {
  const folder = layout.snapshot(table.id, id);
  // The plan goes last: what is left of a removal that was killed is found again.
  for await (const {name} of store.list(folder)) if (!name.endsWith('/plan.json')) await store.delete(name);
  await store.delete(`${folder}plan.json`);
}

async function readChunks({store}: Staging, folder: string): Promise<readonly StagedChunk[]> {
  const chunks: StagedChunk[] = [];
  for await (const {name} of store.list(`${folder}chunk-`)) {
    if (!name.endsWith('.json')) continue;
    const bytes = await store.get(name);
    if (bytes !== null) chunks.push(chunkOf(JsonFields.parse(bytes, name)));
  }
  return chunks;
}

/**
 * Stores the bytes of one chunk and, when they are durable, says so. Begun again it starts anew.
 * @param read gives the bytes as the source does; they are copied.
 */
export async function writeChunk(
  {store, layout}: Staging,
  target: {readonly plan: SnapshotPlan; readonly index: number; readonly compression: Compression},
  read: AsyncGenerator<Uint8Array, ChunkEnd>,
  signal: AbortSignal,
): Promise<StagedChunk> {
  const {plan, index, compression} = target;
  const stem = `${layout.snapshot(plan.table.id, plan.id)}chunk-${String(index).padStart(6, '0')}`;
  const staged = await store.stage(`${stem}.bin`);
  const written = await writeBlocks(staged.localPath, {plan, index, compression}, read);
  await staged.seal(signal);
  failpoint('staging.chunk-written');
  const {end, ...sizes} = written;
  const chunk: StagedChunk = {index, file: `${stem}.bin`, rows: end.rows, ...sizes, view: end.view ?? null};
  await store.put(`${stem}.json`, encodeJson(chunk));
  failpoint('staging.chunk-described');
  return chunk;
}

async function writeBlocks(
  path: string,
  {plan, index, compression}: {readonly plan: SnapshotPlan; readonly index: number; readonly compression: Compression},
  read: AsyncGenerator<Uint8Array, ChunkEnd>,
): Promise<{readonly end: ChunkEnd; readonly bytes: number; readonly rawBytes: number; readonly crc: number}> {
  await using file = await open(path, 'w');
  const [sums, counts] = [
    {crc: 0, bytes: 0},
    {blocks: 0, rawBytes: 0},
  ];
  const write = async (bytes: Buffer): Promise<void> => {
    sums.crc = crc32(bytes, sums.crc);
    sums.bytes += bytes.length;
    await writeWhole(file, path, bytes);
  };
  const writeBlock = async (raw: Buffer): Promise<void> => {
    if (raw.length === 0) return;
    const block = await storeBlock(raw, compression);
    counts.blocks++;
    counts.rawBytes += raw.length;
    await write(blockHead(block));
    await write(block.stored);
  };
  await write(fileHead(encodeJson({kind: 'chunk', table: plan.table.id, snapshot: plan.id, index})));
  const end = await inBlocks(read, writeBlock);
  const {foot, crc} = fileFoot(counts.blocks, counts.rawBytes, sums.crc);
  await writeWhole(file, path, foot);
  return {end, bytes: sums.bytes + foot.length, rawBytes: counts.rawBytes, crc};
}

/** At the end of the file, however many writes that takes. */
async function writeWhole(file: FileHandle, path: string, bytes: Buffer): Promise<void> {
  try {
    await file.writeFile(bytes);
  } catch (error) {
    throw storageError(error, 'write', path);
  }
}

/** Gathers pieces into blocks; one is written while the next is filled. */
async function inBlocks(
  read: AsyncGenerator<Uint8Array, ChunkEnd>,
  write: (raw: Buffer) => Promise<void>,
): Promise<ChunkEnd> {
  let [block, spare] = [Buffer.allocUnsafe(BLOCK_BYTES), Buffer.allocUnsafe(BLOCK_BYTES)];
  let filled = 0;
  let writing: Promise<void> = Promise.resolve();
  const flush = async (): Promise<void> => {
    await writing;
    writing = write(block.subarray(0, filled));
    // Awaited before the next block; without this, a failure before then would end the process.
    writing.catch(() => undefined);
    [block, spare] = [spare, block];
    filled = 0;
  };
  try {
    for (;;) {
      const {done, value} = await read.next();
      if (done === true) {
        await flush();
        await writing;
        return value;
      }
      for (let at = 0; at < value.length;) {
        const part = value.subarray(at, at + BLOCK_BYTES - filled);
        block.set(part, filled);
        filled += part.length;
        at += part.length;
        if (filled === BLOCK_BYTES) await flush();
      }
    }
  } finally {
    // A read that was left early gives up what it holds at the source, and no write outlives its file.
    await Promise.allSettled([writing, read.return({rows: 0})]);
  }
}

/** Describes a complete snapshot, durably; returns the name for its entry. */
export async function writeSnapshot({store, layout}: Staging, snapshot: SnapshotManifest): Promise<string> {
  const {plan} = snapshot;
  const name = `${layout.snapshot(plan.table.id, plan.id)}snapshot.json`;
  await store.put(name, encodeJson(snapshot));
  failpoint('staging.snapshot-described');
  return name;
}

/** What a complete snapshot consists of. @throws STAGING_DAMAGED */
export async function readSnapshot({store}: Staging, {file}: Pick<SnapshotEntry, 'file'>): Promise<SnapshotManifest> {
  const bytes = await store.get(file);
  if (bytes === null) throw damaged(file, 'is missing');
  const fields = JsonFields.parse(bytes, file);
  return {plan: planOf(fields.object('plan')), chunks: fields.objects('chunks').map(chunkOf)};
}

/**
 * The bytes of a chunk, for `LogCodec.decodeChunk`. They count only when all were read: the check is at the end.
 * @throws STAGING_DAMAGED
 */
export function readChunk({store}: Staging, chunk: StagedChunk): AsyncGenerator<Uint8Array, void> {
  const pieces = async function* (): AsyncGenerator<Uint8Array, void> {
    for (let start = 0; start < chunk.bytes; start += READ_BYTES) {
      const bytes = await store.get(chunk.file, {start, end: Math.min(chunk.bytes, start + READ_BYTES)});
      if (bytes === null) throw damaged(chunk.file, 'is missing');
      yield bytes;
    }
  };
  return streamBlocks(pieces(), chunk.file, chunk);
}

function planOf(fields: JsonFields): SnapshotPlan {
  return {
    id: fields.text('id'),
    name: fields.text('name'),
    table: tableOf(fields.object('table')),
    epoch: fields.number('epoch'),
    demand: fields.number('demand'),
    token: fields.json('token'),
    position: fields.bigint('position'),
    logFrom: fields.number('logFrom'),
    chunks: fields.objects('chunks').map((chunk) => Object.fromEntries(chunk.entries()) as {[key: string]: PlainJson}),
    isResumable: fields.flag('isResumable'),
    estimatedRows: fields.has('estimatedRows') ? fields.number('estimatedRows') : null,
  };
}

function chunkOf(fields: JsonFields): StagedChunk {
  const view = fields.has('view') ? fields.object('view') : null;
  return {
    index: fields.number('index'),
    file: fields.text('file'),
    rows: fields.number('rows'),
    bytes: fields.number('bytes'),
    rawBytes: fields.number('rawBytes'),
    crc: fields.number('crc'),
    view: view === null ? null : {token: view.json('token'), position: view.bigint('position')},
  };
}
