import type {DataType} from '../core/types.ts';
import {isSameType, parseEngineType, toDataType, type EngineType} from './engine-type-text.ts';
import type {Engine} from './engine.ts';
import {unreadableFile} from './file-errors.ts';
import type {FieldType, FileInput, SourceColumn, SourceRelation, TypedSql} from './file-source.ts';
import {quoteIdentifier, quoteList, quoteLiteral, sqlType} from './sql-types.ts';
import {jsonValue, textValue} from './text-values.ts';

/** Parquet files with the same columns. */
export interface ParquetGroup {
  readonly files: readonly FileInput[];
  readonly columns: readonly {readonly name: string; readonly type: EngineType}[];
}

/** Reads Parquet files, grouped by their columns. @throws BAD_RECORD for a file that is no Parquet. */
export async function openParquet(
  engine: Engine,
  files: readonly FileInput[],
  signal?: AbortSignal,
): Promise<readonly SourceRelation[]> {
  return (await groupParquet(engine, files, signal)).map(relationOf);
}

/** Groups Parquet files by names and types of their columns. @throws BAD_RECORD for a file that is no Parquet. */
export async function groupParquet(
  engine: Engine,
  files: readonly FileInput[],
  signal?: AbortSignal,
): Promise<readonly ParquetGroup[]> {
  const groups = new Map<string, {files: FileInput[]; columns: ParquetGroup['columns']}>();
  for (const file of files) {
    const described = await describe(engine, file, signal);
    const key = JSON.stringify(described);
    const group = groups.get(key);
    if (group === undefined)
      groups.set(key, {files: [file], columns: described.map(({name, type}) => ({name, type: parseEngineType(type)}))});
    else group.files.push(file);
  }
  return [...groups.values()];
}

async function describe(
  engine: Engine,
  file: FileInput,
  signal?: AbortSignal,
): Promise<readonly {readonly name: string; readonly type: string}[]> {
  try {
    const rows = await engine.query(`DESCRIBE SELECT * FROM read_parquet(${quoteLiteral(file.localPath)})`, signal);
    return rows.map((row) => ({name: String(row['column_name']), type: String(row['column_type'])}));
  } catch (error) {
    signal?.throwIfAborted();
    throw unreadableFile(file, error);
  }
}

function relationOf(group: ParquetGroup): SourceRelation {
  // Own names, so that no column of a file meets a name of ours.
  const columns = group.columns.map(({name}, index) => `${quoteIdentifier(name)} AS c${index}`);
  const from = `read_parquet(${quoteList(group.files.map((file) => file.localPath))}, filename = '__sluice_path')`;
  return {
    from: `(SELECT ${[...columns, '__sluice_path AS filename'].join(', ')} FROM ${from})`,
    columns: group.columns.map(({name, type}, index) => parquetColumn(name, type, `c${index}`)),
    filePath: 'filename',
    members: [],
  };
}

function parquetColumn(name: string, type: EngineType, column: string): SourceColumn {
  return {
    name,
    typed: (field) => castSql(field, type, column),
    present: `${column} IS NOT NULL`,
    rawJson: `CAST(to_json(${column}) AS VARCHAR)`,
  };
}

function castSql(field: FieldType, from: EngineType, column: string): TypedSql {
  if (isSameType(from, field.type)) return {value: column, misfit: null};
  if (field.type === 'string' || field.type === 'variant')
    return {value: asText(field.type, from, column), misfit: null};
  if (from.name === 'VARCHAR') return textValue(field, column);
  if (isSafeCast(from, field.type)) return roundTrip(field.type, from, column);
  if (from.parts.length > 0 && typeof field.type !== 'string')
    return jsonValue(field, `CAST(to_json(${column}) AS VARCHAR)`);
  return textValue(field, `CAST(${column} AS VARCHAR)`);
}

function asText(wanted: 'string' | 'variant', from: EngineType, column: string): string {
  // DuckDB prints some doubles wrong (2^81 as 2^82); its JSON text of them is right.
  const asJson = wanted === 'variant' || from.parts.length > 0 || from.name === 'DOUBLE' || from.name === 'FLOAT';
  return asJson && from.name !== 'VARCHAR' ? `CAST(to_json(${column}) AS VARCHAR)` : `CAST(${column} AS VARCHAR)`;
}

/** A cast that is checked by casting back. */
function roundTrip(type: DataType, from: EngineType, column: string): TypedSql {
  const cast = `TRY_CAST(${column} AS ${sqlType(type)})`;
  const back = `TRY_CAST(${cast} AS ${engineTypeSql(from)})`;
  return {
    value: `CASE WHEN ${back} IS NOT DISTINCT FROM ${column} THEN ${cast} END`,
    misfit: (value) => `(${column} IS NOT NULL AND ${value} IS NULL)`,
  };
}

/** Both are numbers, both are times, or both are nested with the same names and safe casts inside. */
function isSafeCast(from: EngineType, wanted: DataType): boolean {
  if (typeof wanted === 'string' || wanted.type === 'decimal') {
    const natural = toDataType(from);
    return (
      from.parts.length === 0 &&
      KINDS.has(kindOf(natural)) &&
      kindOf(natural) === kindOf(wanted) &&
      from.name !== 'VARCHAR'
    );
  }
  const inner = nestedParts(wanted);
  return (
    NESTED_NAMES[wanted.type] === from.name &&
    from.parts.length === inner.length &&
    from.parts.every((part, index) => {
      const other = inner[index];
      return (
        other !== undefined &&
        other.name === part.name &&
        (isSameType(part.type, other.type) || isSafeCast(part.type, other.type))
      );
    })
  );
}

const NESTED_NAMES = {array: 'LIST', map: 'MAP', struct: 'STRUCT'} as const;
const KINDS: ReadonlySet<string> = new Set(['number', 'time']);

function kindOf(type: DataType): string {
  if (typeof type !== 'string') return type.type === 'decimal' ? 'number' : type.type;
  if (type === 'date' || type === 'timestamp' || type === 'timestamp_ntz') return 'time';
  return ['byte', 'short', 'integer', 'long', 'float', 'double'].includes(type) ? 'number' : type;
}

function nestedParts(type: Exclude<DataType, string>): readonly {readonly name: string; readonly type: DataType}[] {
  switch (type.type) {
    case 'decimal':
      return [];
    case 'array':
      return [{name: 'element', type: type.elementType}];
    case 'map':
      return [
        {name: 'key', type: type.keyType},
        {name: 'value', type: type.valueType},
      ];
    case 'struct':
      return type.fields;
  }
}

function engineTypeSql(type: EngineType): string {
  const [first, second] = type.parts;
  if (type.name === 'LIST' && first !== undefined) return `${engineTypeSql(first.type)}[]`;
  if (type.name === 'MAP' && first !== undefined && second !== undefined)
    return `MAP(${engineTypeSql(first.type)}, ${engineTypeSql(second.type)})`;
  if (type.name === 'STRUCT')
    return `STRUCT(${type.parts.map((part) => `${quoteIdentifier(part.name)} ${engineTypeSql(part.type)}`).join(', ')})`;
  return type.numbers.length === 0 ? type.name : `${type.name}(${type.numbers.join(', ')})`;
}
