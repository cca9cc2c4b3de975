import {schemaToJson} from '../core/schema-json.ts';
import type {StructType} from '../core/types.ts';
import type {Engine} from '../engine/engine.ts';
import {quoteIdentifier, quoteList, quoteLiteral, sqlType} from '../engine/sql-types.ts';
import {columnId, renameFields} from './column-mapping.ts';

/** The engine's type of every column by its name in lower case. */
export type ColumnTypes = ReadonlyMap<string, string>;

/** What a data file has. One object per distinct set of columns. */
export interface FileColumns {
  readonly types: ColumnTypes;
  /** Names of columns and nested fields by the field id in the file. */
  readonly names: ReadonlyMap<number, string>;
}

interface Known {
  /** By absolute path: data files never change. */
  readonly files: Map<string, FileColumns>;
  /** By text, so that equal sets are one object. */
  readonly sets: Map<string, FileColumns>;
  /** By JSON text of the schema. */
  readonly schemas: Map<string, FileColumns>;
}

const KNOWN = new WeakMap<Engine, Known>();
/** Above this the memory of files is emptied: it costs a few hundred bytes each, and a look at their footers again. */
const MAX_KNOWN_FILES = 200_000;
const MAX_KNOWN_SCHEMAS = 10_000;

/** What a file has that the engine writes with a schema, whose names are those in the file. */
export async function columnsOfSchema(engine: Engine, schema: StructType): Promise<FileColumns> {
  const {schemas} = knownOf(engine);
  const key = schemaToJson(schema);
  const known = schemas.get(key);
  if (known !== undefined) return known;
  const nulls = schema.fields.map((field) => `CAST(NULL AS ${sqlType(field.type)}) AS ${quoteIdentifier(field.name)}`);
  const columns = sameColumns(engine, await described(engine, `SELECT ${nulls.join(', ')}`), fieldIds(schema));
  if (schemas.size >= MAX_KNOWN_SCHEMAS) schemas.clear();
  schemas.set(key, columns);
  return columns;
}

/** Notes the columns of a file that was just written, which saves the look at its footer. */
export function rememberColumns(engine: Engine, localPath: string, columns: FileColumns): void {
  const {files} = knownOf(engine);
  if (files.size >= MAX_KNOWN_FILES) files.clear();
  files.set(localPath, columns);
}

/** The columns of Parquet files, in the order given. */
export async function columnsOfFiles(engine: Engine, localPaths: readonly string[]): Promise<readonly FileColumns[]> {
  const {files} = knownOf(engine);
  const unknown = localPaths.filter((path) => !files.has(path));
  const learned = unknown.length === 0 ? files : await readColumns(engine, unknown);
  return localPaths.map((path) => files.get(path) ?? learned.get(path) ?? NO_COLUMNS);
}

const NO_COLUMNS: FileColumns = {types: new Map(), names: new Map()};

async function readColumns(engine: Engine, paths: readonly string[]): Promise<ReadonlyMap<string, FileColumns>> {
  // Files of one table have few distinct sets of columns: only one of each is described in full.
  const leaf =
    '[name, type, repetition_type, converted_type, logical_type, num_children::VARCHAR, duckdb_type, field_id::VARCHAR]';
  const signatures = await engine.query(
    `SELECT file_name, md5(list(${leaf} ORDER BY column_id)::VARCHAR) AS signature FROM parquet_schema(${quoteList(paths)}) GROUP BY file_name`,
  );
  const learned = new Map<string, FileColumns>();
  const bySignature = new Map<unknown, FileColumns>();
  for (const {file_name: fileName, signature} of signatures) {
    const path = String(fileName);
    const columns = bySignature.get(signature) ?? (await columnsOfFile(engine, path));
    bySignature.set(signature, columns);
    learned.set(path, columns);
    rememberColumns(engine, path, columns);
  }
  return learned;
}

async function columnsOfFile(engine: Engine, path: string): Promise<FileColumns> {
  const types = await described(engine, `SELECT * FROM read_parquet(${quoteLiteral(path)}, hive_partitioning = false)`);
  const ids = await engine.query(
    `SELECT field_id, name FROM parquet_schema(${quoteLiteral(path)}) WHERE field_id IS NOT NULL`,
  );
  return sameColumns(engine, types, new Map(ids.map((row) => [Number(row['field_id']), String(row['name'])])));
}

async function described(engine: Engine, select: string): Promise<ColumnTypes> {
  const rows = await engine.query(`DESCRIBE ${select}`);
  return new Map(rows.map((row) => [String(row['column_name']).toLowerCase(), String(row['column_type'])]));
}

function fieldIds(schema: StructType): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  renameFields(schema, (field) => {
    const id = columnId(field);
    if (id !== null) names.set(id, field.name);
    return field.name;
  });
  return names;
}

/** The one object for a set of columns. */
function sameColumns(engine: Engine, types: ColumnTypes, names: ReadonlyMap<number, string>): FileColumns {
  const {sets} = knownOf(engine);
  const text = JSON.stringify([[...types], [...names].sort(([left], [right]) => left - right)]);
  const same = sets.get(text) ?? {types, names};
  sets.set(text, same);
  return same;
}

function knownOf(engine: Engine): Known {
  const known: Known = KNOWN.get(engine) ?? {files: new Map(), sets: new Map(), schemas: new Map()};
  KNOWN.set(engine, known);
  return known;
}
