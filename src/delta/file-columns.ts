import {schemaToJson} from '../core/schema-json.ts';
import type {StructType} from '../core/types.ts';
import type {Engine} from '../engine/engine.ts';
import {quoteIdentifier, quoteList, quoteLiteral, sqlType} from '../engine/sql-types.ts';

/** The engine's type of every column by its name in lower case. One object per distinct set of columns. */
export type ColumnTypes = ReadonlyMap<string, string>;

interface Known {
  /** By absolute path: data files never change. */
  readonly files: Map<string, ColumnTypes>;
  /** By text, so that equal sets are one object. */
  readonly sets: Map<string, ColumnTypes>;
  /** By JSON text of the schema. */
  readonly schemas: Map<string, ColumnTypes>;
}

const KNOWN = new WeakMap<Engine, Known>();
/** Above this the memory of files is emptied: it costs a few hundred bytes each, and a look at their footers again. */
const MAX_KNOWN_FILES = 200_000;
const MAX_KNOWN_SCHEMAS = 10_000;

/** The types that columns of a schema have when the engine writes and reads them. */
export async function columnTypesOf(engine: Engine, schema: StructType): Promise<ColumnTypes> {
  const {schemas} = knownOf(engine);
  const key = schemaToJson(schema);
  const known = schemas.get(key);
  if (known !== undefined) return known;
  const nulls = schema.fields.map((field) => `CAST(NULL AS ${sqlType(field.type)}) AS ${quoteIdentifier(field.name)}`);
  const types = await described(engine, `SELECT ${nulls.join(', ')}`);
  if (schemas.size >= MAX_KNOWN_SCHEMAS) schemas.clear();
  schemas.set(key, types);
  return types;
}

/** Notes the columns of a file that was just written, which saves the look at its footer. */
export function rememberColumns(engine: Engine, localPath: string, types: ColumnTypes): void {
  const {files} = knownOf(engine);
  if (files.size >= MAX_KNOWN_FILES) files.clear();
  files.set(localPath, types);
}

/** The columns of Parquet files, in the order given. */
export async function columnsOfFiles(engine: Engine, localPaths: readonly string[]): Promise<readonly ColumnTypes[]> {
  const {files} = knownOf(engine);
  const unknown = localPaths.filter((path) => !files.has(path));
  const learned = unknown.length === 0 ? files : await readColumns(engine, unknown);
  return localPaths.map((path) => files.get(path) ?? learned.get(path) ?? new Map<string, string>());
}

async function readColumns(engine: Engine, paths: readonly string[]): Promise<ReadonlyMap<string, ColumnTypes>> {
  // Files of one table have few distinct sets of columns: only one of each is described in full.
  const leaf = '[name, type, repetition_type, converted_type, logical_type, num_children::VARCHAR, duckdb_type]';
  const signatures = await engine.query(
    `SELECT file_name, md5(list(${leaf} ORDER BY column_id)::VARCHAR) AS signature FROM parquet_schema(${quoteList(paths)}) GROUP BY file_name`,
  );
  const learned = new Map<string, ColumnTypes>();
  const bySignature = new Map<unknown, ColumnTypes>();
  for (const {file_name: fileName, signature} of signatures) {
    const path = String(fileName);
    const types =
      bySignature.get(signature) ??
      (await described(engine, `SELECT * FROM read_parquet(${quoteLiteral(path)}, hive_partitioning = false)`));
    bySignature.set(signature, types);
    learned.set(path, types);
    rememberColumns(engine, path, types);
  }
  return learned;
}

async function described(engine: Engine, select: string): Promise<ColumnTypes> {
  const rows = await engine.query(`DESCRIBE ${select}`);
  const types = new Map(rows.map((row) => [String(row['column_name']).toLowerCase(), String(row['column_type'])]));
  const {sets} = knownOf(engine);
  const text = JSON.stringify([...types]);
  const same = sets.get(text);
  if (same === undefined) sets.set(text, types);
  return same ?? types;
}

function knownOf(engine: Engine): Known {
  const known: Known = KNOWN.get(engine) ?? {files: new Map(), sets: new Map(), schemas: new Map()};
  KNOWN.set(engine, known);
  return known;
}
