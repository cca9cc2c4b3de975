import {IngestError} from '../core/errors.ts';
import {quoteLiteral} from '../engine/sql-types.ts';
import type {AddFile, RemoveFile} from './actions.ts';
import type {WriteTarget} from './data-files.ts';
import {readVector, writeVectors} from './deletion-vectors.ts';
import type {Deletions} from './delta-table.ts';
import {hasFeature} from './features.ts';
import type {Positions} from './roaring.ts';
import {unionOf} from './roaring.ts';
import {recordCount, wideStatistics} from './statistics.ts';
import {storedNameOf} from './stored-name.ts';

/** The actions that take rows away. */
export interface DeletionActions {
  readonly adds: readonly AddFile[];
  readonly removes: readonly RemoveFile[];
}

/** The remove action of a live file, now. */
export function removeOf(add: AddFile, nowMs: number): RemoveFile {
  return {
    path: add.path,
    deletionTimestamp: nowMs,
    dataChange: true,
    extendedFileMetadata: true,
    partitionValues: add.partitionValues,
    size: add.size,
    ...(add.tags === undefined ? {} : {tags: add.tags}),
    ...(add.deletionVector === undefined ? {} : {deletionVector: add.deletionVector}),
  };
}

/**
 * Writes the vectors that take rows away in addition to those already gone, all into one file. A file that keeps no row is
 * removed; a file that loses nothing new is left alone.
 * @throws UNSUPPORTED_TABLE_FEATURE when the table was made without deletion vectors.
 */
export async function writeRowDeletions(target: WriteTarget, deletions: Deletions): Promise<DeletionActions> {
  const {context, root, snapshot} = target;
  const changed: {readonly add: AddFile; readonly positions: Positions; readonly rowCount: number}[] = [];
  const removes: RemoveFile[] = [];
  for (const [path, more] of deletions) {
    const add = snapshot.files.get(path);
    if (add === undefined) throw new RangeError(`${path} is no live file of table ${root}.`);
    const rowCount = await rowCountOf(target, add);
    const gone =
      add.deletionVector === undefined ? new Uint32Array(0) : await readVector(context.store, root, add.deletionVector);
    const positions = unionOf(gone, checkedPositions(more, rowCount, path));
    if (positions === gone) continue;
    removes.push(removeOf(add, context.clock.nowMs()));
    if (positions.length < rowCount) changed.push({add, positions, rowCount});
  }
  if (changed.length === 0) return {adds: [], removes};
  requireVectors(target);
  const vectors = await writeVectors(
    context.store,
    root,
    changed.map(({positions}) => positions),
  );
  const adds = changed.flatMap(({add, rowCount}, index) => {
    const deletionVector = vectors[index];
    const stats = recordCount(add.stats) === null ? undefined : add.stats;
    return deletionVector === undefined
      ? []
      : [{...add, dataChange: true, stats: wideStatistics(stats ?? `{"numRecords":${rowCount}}`), deletionVector}];
  });
  return {adds, removes};
}

/** Rows that a file was written with: from its statistics, else from the file. */
export async function rowCountOf(target: Pick<WriteTarget, 'context' | 'root'>, add: AddFile): Promise<number> {
  const known = recordCount(add.stats);
  if (known !== null) return known;
  const path = await target.context.store.localPath(storedNameOf(target.context.store, target.root, add.path));
  const [row] = await target.context.engine.query(`SELECT num_rows FROM parquet_file_metadata(${quoteLiteral(path)})`);
  return Number(row?.['num_rows']);
}

function requireVectors({root, snapshot}: WriteTarget): void {
  if (hasFeature(snapshot.protocol, 'deletionVectors')) return;
  throw new IngestError('UNSUPPORTED_TABLE_FEATURE', `Table ${root} was made without deletion vectors.`, {
    fix: 'Rewrite the files that lose rows, or make the table again with deletion_vectors: true.',
    context: {table: root},
  });
}

function checkedPositions(positions: readonly number[] | Uint32Array, rowCount: number, path: string): Positions {
  let previous = -1;
  for (const position of positions) {
    if (!(position > previous && position < rowCount && Number.isInteger(position))) {
      throw new RangeError(`Position ${position} of ${path} is not ascending below its ${rowCount} rows.`);
    }
    previous = position;
  }
  return positions instanceof Uint32Array ? positions : Uint32Array.from(positions);
}
