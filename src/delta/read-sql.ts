import {IngestError} from '../core/errors.ts';
import type {StructField} from '../core/types.ts';
import {quoteIdentifier, quoteList, sqlType} from '../engine/sql-types.ts';
import type {AddFile} from './actions.ts';
import {readVector} from './deletion-vectors.ts';
import type {DeltaContext, ReadOptions, TableSnapshot} from './delta-table.ts';
import type {ColumnTypes} from './file-columns.ts';
import {columnTypesOf, columnsOfFiles} from './file-columns.ts';
import type {MappedFile} from './file-map.ts';
import {mapFiles} from './file-map.ts';
import {vectorId} from './replay.ts';
import {rowCountOf} from './row-deletions.ts';
import {storedNameOf} from './stored-name.ts';

/** A live file with what the engine needs to read it. */
interface ReadableFile {
  readonly add: AddFile;
  readonly localPath: string;
  readonly types: ColumnTypes;
}

interface Reading {
  readonly context: DeltaContext;
  readonly root: string;
  readonly snapshot: TableSnapshot;
  readonly fields: readonly StructField[];
  /** Types that columns must come out with. */
  readonly types: ColumnTypes;
  readonly positions: boolean;
}

/**
 * A SELECT over the live rows of files: one `read_parquet` per distinct set of columns and presence of deletion vectors, so
 * that the engine prunes row groups and pushes filters down as it does for a plain file.
 */
export async function readSql(
  context: DeltaContext,
  root: string,
  options: ReadOptions & {readonly snapshot: TableSnapshot},
): Promise<string> {
  const {snapshot} = options;
  const reading: Reading = {
    context,
    root,
    snapshot,
    fields: wantedFields(root, snapshot, options.columns),
    types: await columnTypesOf(context.engine, snapshot.schema),
    positions: options.positions ?? false,
  };
  const adds =
    options.files === undefined
      ? [...snapshot.files.values()]
      : options.files.map((path) => liveFile(root, snapshot, path));
  if (adds.length === 0) return emptySelect(reading);
  const selects: string[] = [];
  for (const group of groupsOf(await readableFiles(context, root, adds)))
    selects.push(await groupSelect(reading, group));
  return selects.join(' UNION ALL ');
}

function wantedFields(
  root: string,
  snapshot: TableSnapshot,
  columns: readonly string[] | undefined,
): readonly StructField[] {
  if (columns === undefined) return snapshot.schema.fields;
  const byName = new Map(snapshot.schema.fields.map((field) => [field.name.toLowerCase(), field]));
  return columns.map((name) => {
    const field = byName.get(name.toLowerCase());
    if (field !== undefined) return field;
    throw new IngestError('UNKNOWN_COLUMN', `Table ${root} has no column "${name}".`, {
      context: {table: root, column: name},
    });
  });
}

function liveFile(root: string, snapshot: TableSnapshot, path: string): AddFile {
  const add = snapshot.files.get(path);
  if (add === undefined)
    throw new RangeError(`${path} is no live file of table ${root} at version ${snapshot.version}.`);
  return add;
}

async function readableFiles(
  context: DeltaContext,
  root: string,
  adds: readonly AddFile[],
): Promise<readonly ReadableFile[]> {
  const localPaths: string[] = [];
  for (const add of adds) localPaths.push(await context.store.localPath(storedNameOf(context.store, root, add.path)));
  const columns = await columnsOfFiles(context.engine, localPaths);
  return adds.map((add, index) => ({
    add,
    localPath: localPaths[index] ?? '',
    types: columns[index] ?? new Map<string, string>(),
  }));
}

function groupsOf(files: readonly ReadableFile[]): readonly (readonly ReadableFile[])[] {
  const withVector = new Map<ColumnTypes, ReadableFile[]>();
  const without = new Map<ColumnTypes, ReadableFile[]>();
  for (const file of files) {
    const groups = file.add.deletionVector === undefined ? without : withVector;
    const group = groups.get(file.types) ?? [];
    group.push(file);
    groups.set(file.types, group);
  }
  return [...without.values(), ...withVector.values()];
}

async function groupSelect(reading: Reading, files: readonly ReadableFile[]): Promise<string> {
  const [first] = files;
  if (first === undefined) return emptySelect(reading);
  const {partitionColumns} = reading.snapshot.metadata;
  const hasVectors = first.add.deletionVector !== undefined;
  const filePrefix = plainPrefix(files);
  const needsMap =
    hasVectors ||
    (reading.positions && filePrefix === null) ||
    reading.fields.some((field) => partitionColumns.includes(field.name));
  if (reading.positions || needsMap) refuseHiddenNames(reading.root, first.types);
  const columns = reading.fields.map((field) => columnExpression(reading, field, first.types));
  if (reading.positions) {
    const path = filePrefix === null || hasVectors ? '__m.path' : `substr(__t.filename, ${filePrefix + 1})`;
    columns.push(`${path} AS __file`, '__t.file_row_number::BIGINT AS __pos');
  }
  const source = `read_parquet(${quoteList(files.map(({localPath}) => localPath))}, hive_partitioning = false) AS __t`;
  const list = columns.length === 0 ? '1' : columns.join(', ');
  if (!needsMap) return `SELECT ${list} FROM ${source}`;
  const map = quoteIdentifier(await mapFiles(reading.context.engine, reading.root, await mappedFiles(reading, files)));
  // The type of file_index: else every row of the files would be cast for the join.
  const casts = hasVectors ? 'f::UBIGINT AS f, gone::BIT AS gone' : 'f::UBIGINT AS f';
  const where = hasVectors ? ' WHERE get_bit(__m.gone, __t.file_row_number::INTEGER) = 0' : '';
  return `SELECT ${list} FROM ${source} JOIN (SELECT * REPLACE (${casts}) FROM ${map}) AS __m ON __m.f = __t.file_index${where}`;
}

function columnExpression(reading: Reading, field: StructField, fileTypes: ColumnTypes): string {
  const name = quoteIdentifier(field.name);
  const partition = reading.snapshot.metadata.partitionColumns.indexOf(field.name);
  if (partition >= 0) return `CAST(__m.p${partition} AS ${sqlType(field.type)}) AS ${name}`;
  const key = field.name.toLowerCase();
  const fileType = fileTypes.get(key);
  if (fileType === undefined) return `CAST(NULL AS ${sqlType(field.type)}) AS ${name}`;
  // A cast hides the column from the engine's pruning by statistics.
  return fileType === reading.types.get(key)
    ? `__t.${name} AS ${name}`
    : `CAST(__t.${name} AS ${sqlType(field.type)}) AS ${name}`;
}

function emptySelect(reading: Reading): string {
  const columns = reading.fields.map(
    (field) => `CAST(NULL AS ${sqlType(field.type)}) AS ${quoteIdentifier(field.name)}`,
  );
  if (reading.positions) columns.push('NULL::VARCHAR AS __file', 'NULL::BIGINT AS __pos');
  return `SELECT ${columns.length === 0 ? '1' : columns.join(', ')} WHERE false`;
}

async function mappedFiles(reading: Reading, files: readonly ReadableFile[]): Promise<readonly MappedFile[]> {
  const {context, root, snapshot} = reading;
  const mapped: MappedFile[] = [];
  for (const {add} of files) {
    const vector =
      add.deletionVector === undefined
        ? null
        : {
            id: vectorId(add.deletionVector),
            positions: await readVector(context.store, root, add.deletionVector),
            rowCount: await rowCountOf({context, root}, add),
          };
    const partition = snapshot.metadata.partitionColumns.map((name) => add.partitionValues[name] || null);
    mapped.push({path: add.path, partition, vector});
  }
  return mapped;
}

/** How many characters of the local paths precede the path of the log, when that is so for every file and the same. */
function plainPrefix(files: readonly ReadableFile[]): number | null {
  const [first] = files;
  if (first === undefined || first.types.has('filename')) return null;
  const prefix = first.localPath.slice(0, -first.add.path.length);
  const isPlain = files.every(({localPath, add}) => localPath === prefix + add.path);
  return isPlain ? Array.from(prefix).length : null;
}

/** The engine's own columns of a file are hidden by columns of the same name. */
function refuseHiddenNames(root: string, types: ColumnTypes): void {
  for (const name of ['file_index', 'file_row_number']) {
    if (!types.has(name)) continue;
    throw new IngestError(
      'UNSUPPORTED',
      `Table ${root} has a column "${name}", a name that the engine needs for itself.`,
      {
        fix: 'Rename the column.',
        context: {table: root, column: name},
      },
    );
  }
}
