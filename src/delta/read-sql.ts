import {IngestError} from '../core/errors.ts';
import type {StructField, StructType} from '../core/types.ts';
import {quoteIdentifier, quoteList, sqlType} from '../engine/sql-types.ts';
import type {AddFile} from './actions.ts';
import type {MappingMode} from './column-mapping.ts';
import {columnId, mappingMode, physicalName, physicalNames, physicalSchema, renameFields} from './column-mapping.ts';
import {readVector} from './deletion-vectors.ts';
import type {DeltaContext, ReadOptions, TableSnapshot} from './delta-table.ts';
import type {ColumnTypes, FileColumns} from './file-columns.ts';
import {columnsOfFiles, columnsOfSchema} from './file-columns.ts';
import type {MappedFile, MapScope} from './file-map.ts';
import {mapFiles} from './file-map.ts';
import {renamedSql} from './file-names.ts';
import {vectorId} from './replay.ts';
import {rowCountOf} from './row-deletions.ts';
import {storedNameOf} from './stored-name.ts';

/** A live file with what the engine needs to read it. */
interface ReadableFile {
  readonly add: AddFile;
  readonly localPath: string;
  readonly columns: FileColumns;
}

interface Reading {
  readonly context: DeltaContext;
  readonly root: string;
  readonly snapshot: TableSnapshot;
  readonly fields: readonly StructField[];
  readonly mode: MappingMode;
  /** Names of the partition columns in the log. */
  readonly partitionNames: readonly string[];
  readonly positions: boolean;
  readonly maps: MapScope;
}

/**
 * A SELECT over the live rows of files: one `read_parquet` per distinct set of columns and presence of deletion vectors, so
 * that the engine prunes row groups and pushes filters down as it does for a plain file.
 */
export async function readSql(
  context: DeltaContext,
  root: string,
  options: ReadOptions & {readonly snapshot: TableSnapshot; readonly maps?: MapScope},
): Promise<string> {
  const {snapshot} = options;
  const mode = mappingMode(snapshot.metadata);
  const reading: Reading = {
    context,
    root,
    snapshot,
    fields: wantedFields(root, snapshot, options.columns),
    mode,
    partitionNames: physicalNames(snapshot.schema, snapshot.metadata.partitionColumns, mode),
    positions: options.positions ?? false,
    maps: options.maps ?? {name: root, keepsAll: false},
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

/** Where the store is remote, files come one by one; asked for together they come side by side. */
const FILES_AT_ONCE = 16;

async function readableFiles(
  context: DeltaContext,
  root: string,
  adds: readonly AddFile[],
): Promise<readonly ReadableFile[]> {
  const localPaths: string[] = [];
  for (let at = 0; at < adds.length; at += FILES_AT_ONCE) {
    const names = adds.slice(at, at + FILES_AT_ONCE).map((add) => storedNameOf(context.store, root, add.path));
    localPaths.push(...(await Promise.all(names.map((name) => context.store.localPath(name)))));
  }
  const columns = await columnsOfFiles(context.engine, localPaths);
  return adds.map((add, index) => ({
    add,
    localPath: localPaths[index] ?? '',
    columns: columns[index] ?? {types: new Map<string, string>(), names: new Map<number, string>()},
  }));
}

function groupsOf(files: readonly ReadableFile[]): readonly (readonly ReadableFile[])[] {
  const withVector = new Map<FileColumns, ReadableFile[]>();
  const without = new Map<FileColumns, ReadableFile[]>();
  for (const file of files) {
    const groups = file.add.deletionVector === undefined ? without : withVector;
    const group = groups.get(file.columns) ?? [];
    group.push(file);
    groups.set(file.columns, group);
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
  if (reading.positions || needsMap) refuseHiddenNames(reading.root, first.columns.types);
  const columns = await columnExpressions(reading, first.columns);
  if (reading.positions) {
    const path = filePrefix === null || hasVectors ? '__m.path' : `substr(__t.filename, ${filePrefix + 1})`;
    columns.push(`${path} AS __file`, '__t.file_row_number::BIGINT AS __pos');
  }
  const source = `read_parquet(${quoteList(files.map(({localPath}) => localPath))}, hive_partitioning = false) AS __t`;
  const list = columns.length === 0 ? '1' : columns.join(', ');
  if (!needsMap) return `SELECT ${list} FROM ${source}`;
  const map = quoteIdentifier(await mapFiles(reading.context.engine, reading.maps, await mappedFiles(reading, files)));
  // The type of file_index: else every row of the files would be cast for the join.
  const casts = hasVectors ? 'f::UBIGINT AS f, gone::BIT AS gone' : 'f::UBIGINT AS f';
  const where = hasVectors ? ' WHERE get_bit(__m.gone, __t.file_row_number::INTEGER) = 0' : '';
  return `SELECT ${list} FROM ${source} JOIN (SELECT * REPLACE (${casts}) FROM ${map}) AS __m ON __m.f = __t.file_index${where}`;
}

async function columnExpressions(reading: Reading, file: FileColumns): Promise<string[]> {
  if (reading.fields.length === 0) return [];
  const wanted: StructType = {type: 'struct', fields: reading.fields};
  const stored = storedSchema(reading, wanted, file);
  const {types} = await columnsOfSchema(reading.context.engine, stored);
  return reading.fields.map((field, index) => {
    const name = quoteIdentifier(field.name);
    const partition = reading.snapshot.metadata.partitionColumns.indexOf(field.name);
    if (partition >= 0) return `CAST(__m.p${partition} AS ${sqlType(field.type)}) AS ${name}`;
    const source = stored.fields[index] ?? field;
    const key = source.name.toLowerCase();
    const fileType = file.types.get(key);
    if (fileType === undefined) return `CAST(NULL AS ${sqlType(field.type)}) AS ${name}`;
    const column = `__t.${quoteIdentifier(source.name)}`;
    // A cast hides the column from the engine's pruning by statistics.
    const typed = fileType === types.get(key) ? column : `CAST(${column} AS ${sqlType(source.type)})`;
    return `${renamedSql(typed, source.type, field.type)} AS ${name}`;
  });
}

/** Columns under the names that a file has for them. */
function storedSchema({mode, root}: Reading, schema: StructType, file: FileColumns): StructType {
  if (mode !== 'id') return physicalSchema(schema, mode);
  if (file.names.size === 0) {
    throw new IngestError(
      'CORRUPT_LOG',
      `A data file of table ${root} has no field ids, by which its columns are found.`,
      {
        fix: 'Write the file again with the engine that wrote it; columns of this table are mapped by id.',
        context: {table: root},
      },
    );
  }
  // What is not in the file has a name that nothing has, and reads as NULL.
  return renameFields(schema, (field) => {
    const id = columnId(field);
    // Columns that are no table's own, as those of change data files, have a name only.
    return id === null ? physicalName(field, mode) : (file.names.get(id) ?? `absent-${id}`);
  });
}

function emptySelect(reading: Reading): string {
  const columns = reading.fields.map(
    (field) => `CAST(NULL AS ${sqlType(field.type)}) AS ${quoteIdentifier(field.name)}`,
  );
  if (reading.positions) columns.push('NULL::VARCHAR AS __file', 'NULL::BIGINT AS __pos');
  return `SELECT ${columns.length === 0 ? '1' : columns.join(', ')} WHERE false`;
}

async function mappedFiles(reading: Reading, files: readonly ReadableFile[]): Promise<readonly MappedFile[]> {
  const {context, root} = reading;
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
    const partition = reading.partitionNames.map((name) => add.partitionValues[name] || null);
    mapped.push({path: add.path, partition, vector});
  }
  return mapped;
}

/** How many characters of the local paths precede the path of the log, when that is so for every file and the same. */
function plainPrefix(files: readonly ReadableFile[]): number | null {
  const [first] = files;
  if (first === undefined || first.columns.types.has('filename')) return null;
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
