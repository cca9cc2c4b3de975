import {IngestError} from '../core/errors.ts';
import {failpoint} from '../core/failpoint.ts';
import {CHANGE_TYPE_COLUMN, type StructField, type StructType} from '../core/types.ts';
import type {AddCdcFile, Metadata} from './actions.ts';
import {PHYSICAL_NAME} from './column-mapping.ts';
import {writeDataFiles, type WriteJob, type WriteTarget} from './data-files.ts';

/** Folder of change data files below a table's root. */
export const CHANGE_FOLDER = '_change_data';

/**
 * Columns that readers of changes add to those of a table.
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#reader-requirements-for-addcdcfile
 */
export const COMMIT_VERSION_COLUMN = '_commit_version';
/** See {@link COMMIT_VERSION_COLUMN}. */
export const COMMIT_TIMESTAMP_COLUMN = '_commit_timestamp';

/** The column that says what became of a row; in files it has its own name whatever the table's column mapping. */
const CHANGE_TYPE_FIELD: StructField = {
  name: CHANGE_TYPE_COLUMN,
  type: 'string',
  nullable: true,
  metadata: {[PHYSICAL_NAME]: CHANGE_TYPE_COLUMN},
};

/** The schema of change data files of a table with a schema. */
export function withChangeType(schema: StructType): StructType {
  return {type: 'struct', fields: [...schema.fields, CHANGE_TYPE_FIELD]};
}

/** Writes the rows of a select (the columns of `schema`, then `_change_type`) as durable change data files. */
export async function writeChangeFiles(
  target: WriteTarget,
  job: WriteJob,
  signal: AbortSignal,
): Promise<readonly AddCdcFile[]> {
  const folder = `${CHANGE_FOLDER}/`;
  const files = await writeDataFiles({...target, folder}, {...job, schema: withChangeType(job.schema)}, signal);
  failpoint('delta.change-files-written');
  return files.map(({path, partitionValues, size}) => ({path, partitionValues, size, dataChange: false}));
}

/**
 * Checks that the columns of a table with a change data feed leave the names free that readers of changes need.
 * @throws INVALID_SCHEMA naming the column.
 */
export function checkChangeColumns(
  root: string,
  table: {readonly metadata: Metadata; readonly schema: StructType},
): void {
  if (table.metadata.configuration['delta.enableChangeDataFeed']?.toLowerCase() !== 'true') return;
  const taken = table.schema.fields.find(({name}) => READERS_COLUMNS.has(name.toLowerCase()));
  if (taken === undefined) return;
  throw new IngestError(
    'INVALID_SCHEMA',
    `Table ${root} has a column "${taken.name}", a name that its change data feed needs for itself.`,
    {
      fix: 'Do without delta.enableChangeDataFeed (an append-only flow of changes is a feed already), or leave the column out.',
      context: {table: root, column: taken.name},
    },
  );
}

const READERS_COLUMNS: ReadonlySet<string> = new Set([
  CHANGE_TYPE_COLUMN,
  COMMIT_VERSION_COLUMN,
  COMMIT_TIMESTAMP_COLUMN,
]);
