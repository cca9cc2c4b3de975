import {IngestError, isIngestError, messageOf} from '../core/errors.ts';
import type {EngineRow} from '../engine/engine.ts';
import {quoteList} from '../engine/sql-types.ts';
import type {Action, AddFile} from './actions.ts';
import type {DeltaContext} from './delta-table.ts';
import {decodePath} from './file-path.ts';
import {logPrefix} from './log-names.ts';
import type {CheckpointRef} from './log-segment.ts';
import {parseActions, parseAdd} from './parse-action.ts';

/** Kinds of actions that make up a snapshot, and where version 2 has put some of them. */
const SNAPSHOT_KINDS: readonly string[] = ['protocol', 'metaData', 'txn', 'domainMetadata', 'add', 'sidecar'];

/**
 * Reads the actions that make up a snapshot out of a checkpoint: classic, of several parts, or version 2 with sidecars.
 * @throws CORRUPT_LOG naming the checkpoint when it cannot be read.
 */
export async function readCheckpoint(
  context: DeltaContext,
  table: {readonly root: string; readonly checkpoint: CheckpointRef},
): Promise<readonly Action[]> {
  const {root, checkpoint} = table;
  try {
    const found: ReadRows = {actions: [], sidecars: []};
    if (checkpoint.format === 'json') await readJsonRows(context, checkpoint, found);
    else await readParquetRows(context, checkpoint.names, found);
    const sidecars = found.sidecars.map((path) => `${logPrefix(root)}_sidecars/${sidecarName(path)}`);
    if (sidecars.length > 0) await readParquetRows(context, sidecars, found);
    checkWhole(found.actions);
    return found.actions;
  } catch (error) {
    if (isIngestError(error) && error.code !== 'ENGINE_FAILED') throw error;
    const name = checkpoint.names[0] ?? '';
    throw new IngestError(
      'CORRUPT_LOG',
      `The checkpoint ${context.store.root}/${name} cannot be read: ${messageOf(error)}`,
      {
        fix: 'Restore it from a backup, or move it away if the log still has every entry since an older checkpoint.',
        cause: error,
        context: {name},
      },
    );
  }
}

/** Sidecars are all in one folder: what else a path says is where that was when it was written. */
function sidecarName(path: string): string {
  return decodePath(path.slice(path.lastIndexOf('/') + 1));
}

interface ReadRows {
  readonly actions: Action[];
  readonly sidecars: string[];
}

async function readParquetRows(context: DeltaContext, names: readonly string[], found: ReadRows): Promise<void> {
  const paths = await Promise.all(names.map((name) => context.store.localPath(name)));
  const source = `read_parquet(${quoteList(paths)}, union_by_name = true, hive_partitioning = false)`;
  if (await readByColumns(context, source, found)) return;
  // A writer leaves out the columns of actions that it does not have.
  const wanted = `SELECT COLUMNS(kind -> list_contains(${quoteList(SNAPSHOT_KINDS)}, kind)) FROM ${source}`;
  for await (const rows of context.engine.stream(
    `SELECT to_json(action)::VARCHAR AS line FROM (${wanted}) AS action`,
  )) {
    for (const row of rows) collect(JSON.parse(String(row['line'])), found);
  }
}

/**
 * Reads the actions of a snapshot with the adds column by column, several times as fast as by way of JSON; false when the
 * checkpoint lacks a column that ours have, or may have sidecars.
 */
async function readByColumns(context: DeltaContext, source: string, found: ReadRows): Promise<boolean> {
  const actions: Action[] = [];
  try {
    for await (const rows of context.engine.stream(`SELECT ${OUR_COLUMNS} FROM ${source} WHERE remove IS NULL`)) {
      for (const row of rows) {
        const {path, line} = row;
        if (typeof path === 'string') actions.push({add: addOf(row)});
        else actions.push(...parseActions(JSON.parse(String(line))));
      }
    }
  } catch (error) {
    if (isIngestError(error, 'ENGINE_FAILED')) return false;
    throw error;
  }
  const protocol = actions.find((action) => 'protocol' in action)?.protocol;
  if (protocol === undefined || (protocol.readerFeatures ?? []).includes('v2Checkpoint')) return false;
  for (const action of actions) found.actions.push(action);
  return true;
}

const OUR_COLUMNS = `add.path AS path, add.size AS size, add.modificationTime AS modified, add.stats AS stats,
  CASE WHEN cardinality(add.partitionValues) > 0 THEN to_json(add.partitionValues)::VARCHAR END AS partition,
  CASE WHEN cardinality(add.tags) > 0 THEN to_json(add.tags)::VARCHAR END AS tags,
  CASE WHEN add.deletionVector IS NOT NULL THEN to_json(add.deletionVector)::VARCHAR END AS vector,
  add.baseRowId AS base, add.defaultRowCommitVersion AS row_version, add.clusteringProvider AS clustering,
  CASE WHEN add IS NULL THEN to_json({protocol: protocol, metaData: metaData, txn: txn, domainMetadata: domainMetadata})::VARCHAR END AS line`;

function addOf(row: EngineRow): AddFile {
  const {path, size, modified, stats, partition, tags, vector, base, row_version: rowVersion, clustering} = row;
  if (
    partition === null &&
    tags === null &&
    vector === null &&
    base === null &&
    rowVersion === null &&
    clustering === null
  ) {
    const plain = {
      path: String(path),
      partitionValues: NO_PARTITION,
      size: Number(size),
      modificationTime: Number(modified),
      dataChange: false,
    };
    return typeof stats === 'string' ? {...plain, stats} : plain;
  }
  const parsed = (value: unknown): unknown => (typeof value === 'string' ? JSON.parse(value) : null);
  const number = (value: unknown): number | null => (value === null ? null : Number(value));
  return parseAdd({
    path,
    size: Number(size),
    modificationTime: Number(modified),
    dataChange: false,
    stats,
    partitionValues: parsed(partition),
    tags: parsed(tags),
    deletionVector: parsed(vector),
    baseRowId: number(base),
    defaultRowCommitVersion: number(rowVersion),
    clusteringProvider: clustering,
  });
}

const NO_PARTITION: AddFile['partitionValues'] = {};

async function readJsonRows(context: DeltaContext, checkpoint: CheckpointRef, found: ReadRows): Promise<void> {
  const bytes = await context.store.get(checkpoint.names[0] ?? '');
  for (const line of new TextDecoder().decode(bytes ?? new Uint8Array(0)).split('\n')) {
    if (line.trim() === '') continue;
    const action = JSON.parse(line) as Readonly<Record<string, unknown>>;
    const wanted = Object.entries(action).filter(([kind]) => SNAPSHOT_KINDS.includes(kind));
    collect(Object.fromEntries(wanted), found);
  }
}

function checkWhole(actions: readonly Action[]): void {
  const isWhole = actions.some((action) => 'protocol' in action) && actions.some((action) => 'metaData' in action);
  if (!isWhole) throw new TypeError('it has no protocol or no metadata');
}

function collect(line: unknown, found: ReadRows): void {
  for (const action of parseActions(line)) found.actions.push(action);
  const sidecar = (line as {readonly sidecar?: {readonly path?: unknown} | null}).sidecar;
  if (typeof sidecar?.path === 'string') found.sidecars.push(sidecar.path);
}
