import type {StructField, StructType} from '../core/types.ts';
import {quoteIdentifier, quoteList, sqlType} from '../engine/sql-types.ts';
import {mappingMode, physicalSchema, withKnownMetadata} from './column-mapping.ts';
import type {DeltaContext, TableSnapshot} from './delta-table.ts';
import type {FileColumns} from './file-columns.ts';
import {columnsOfFiles, columnsOfSchema} from './file-columns.ts';
import {renamedSql} from './file-names.ts';

/** Parquet files in the store that were written for a table and are in no version of it. */
export interface LooseFiles {
  readonly snapshot: TableSnapshot;
  /** Names in the store. */
  readonly names: readonly string[];
  /** Columns of the table, and those that it is to get. */
  readonly schema: StructType;
}

/**
 * A SELECT over loose files in the order of the list, with `file_index` and `file_row_number` as last columns: columns of
 * the schema under their names, as far as any file has them, other columns as they are.
 */
export async function looseFilesSql(context: DeltaContext, loose: LooseFiles): Promise<string> {
  const paths = await localPaths(context, loose.names);
  const from = `read_parquet(${quoteList(paths)}, union_by_name = true, hive_partitioning = false)`;
  const mode = mappingMode(loose.snapshot.metadata);
  if (mode === 'none' || loose.schema.fields.length === 0) return `SELECT *, file_index, file_row_number FROM ${from}`;
  const {byName, types} = await inFiles(context, loose);
  const seen = new Map<string, string>();
  for (const file of await columnsOfFiles(context.engine, paths))
    for (const [name, type] of file.types) seen.set(name, type);
  const columns = [...seen].map(([name, type]) => {
    const known = byName.get(name);
    if (known === undefined) return quoteIdentifier(name);
    const column = quoteIdentifier(known.stored.name);
    const isNested = sqlType(known.stored.type) !== sqlType(known.field.type);
    const typed = isNested && type !== types.get(name) ? `CAST(${column} AS ${sqlType(known.stored.type)})` : column;
    return `${renamedSql(typed, known.stored.type, known.field.type)} AS ${quoteIdentifier(known.field.name)}`;
  });
  return `SELECT ${[...columns, 'file_index', 'file_row_number'].join(', ')} FROM ${from}`;
}

/** True when every column of the files is one of the schema with its type: such files may be added as they are. */
export async function looseFilesFit(context: DeltaContext, loose: LooseFiles): Promise<boolean> {
  const {types} = await inFiles(context, loose);
  const files = await columnsOfFiles(context.engine, await localPaths(context, loose.names));
  return files.every((file) => [...file.types].every(([name, type]) => types.get(name) === type));
}

interface InFiles {
  /** By name in files, in lower case. */
  readonly byName: ReadonlyMap<string, {readonly field: StructField; readonly stored: StructField}>;
  readonly types: FileColumns['types'];
}

async function inFiles(context: DeltaContext, {snapshot, schema}: LooseFiles): Promise<InFiles> {
  const known = withKnownMetadata(snapshot.schema, schema);
  const stored = physicalSchema(known, mappingMode(snapshot.metadata));
  const {types} = await columnsOfSchema(context.engine, stored);
  const byName = new Map(
    known.fields.map((field, index) => {
      const inFile = stored.fields[index] ?? field;
      return [inFile.name.toLowerCase(), {field, stored: inFile}] as const;
    }),
  );
  return {byName, types};
}

async function localPaths(context: DeltaContext, names: readonly string[]): Promise<readonly string[]> {
  const paths: string[] = [];
  for (const name of names) paths.push(await context.store.localPath(name));
  return paths;
}
