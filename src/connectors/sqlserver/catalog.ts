import {createHash} from 'node:crypto';

import type {LogTable} from '../../sdk/index.ts';
import {IngestError, parseQualifiedName, qualifiedName} from '../../sdk/index.ts';
import type {ColumnType} from './column-type.ts';
import {typeToJson} from './column-type.ts';
import type {Cell, Session} from './session.ts';
import {unknownTable} from './source-errors.ts';

/** A column of a source table. */
export interface SourceColumn {
  /** Never given to another column of the table again. */
  readonly id: number;
  readonly name: string;
  readonly type: ColumnType;
  readonly nullable: boolean;
  readonly isComputed: boolean;
  /** Rows that were there before the column may have something else than NULL in it. */
  readonly hasDefault: boolean;
}

/** A table or view as the catalog describes it. */
export interface SourceTable {
  /** The server's number of the object: another one when it is made anew. */
  readonly id: number;
  readonly schema: string;
  readonly name: string;
  readonly kind: 'table' | 'view';
  readonly columns: readonly SourceColumn[];
  /** Columns of the primary key, or else of a unique index over columns that are never null; empty without either. */
  readonly keys: readonly string[];
  /** Columns of the primary key alone: change tracking knows rows by them. */
  readonly primaryKey: readonly string[];
  /** Rows by the server's own count; null for views. */
  readonly estimatedRows: number | null;
}

const LISTING = {what: 'list the tables'};

/** What tables and columns are read with. */
export interface CatalogOptions {
  /** Times of 100 ns land as text. */
  readonly areWideTimesText: boolean;
}

/** Schemas that hold tables that the user may see. */
export async function listSchemas(session: Session): Promise<readonly string[]> {
  const rows = await session.query(
    `select distinct schema_name(o.schema_id) from sys.objects as o where o.type in ('U', 'V') and o.is_ms_shipped = 0 order by 1`,
    LISTING,
  );
  return rows.map(([name]) => textOf(name));
}

/** Tables and views that the user may see. */
export async function listTables(
  session: Session,
): Promise<readonly {readonly schema: string; readonly name: string}[]> {
  const rows = await session.query(
    `select schema_name(o.schema_id), o.name from sys.objects as o where o.type in ('U', 'V') and o.is_ms_shipped = 0 order by 1, 2`,
    LISTING,
  );
  return rows.map(([schema, name]) => ({schema: textOf(schema), name: textOf(name)}));
}

/** Schema and name of a table; `dbo` where the name has no schema. @throws UNKNOWN_TABLE */
export function splitName(table: string): {readonly schema: string; readonly name: string} {
  const parts = parseQualifiedName(table);
  const [first, second] = parts;
  if (parts.length === 1 && first !== undefined) return {schema: 'dbo', name: first};
  if (parts.length === 2 && first !== undefined && second !== undefined) return {schema: first, name: second};
  throw unknownTable(table);
}

/** A name in brackets. */
export function quoteIdentifier(name: string): string {
  return `[${name.replaceAll(']', ']]')}]`;
}

/** The table by its full name. */
export function tableSql({schema, name}: {readonly schema: string; readonly name: string}): string {
  return `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;
}

const OBJECT = `select o.object_id, schema_name(o.schema_id), o.name, o.type,
 (select convert(varchar(20), sum(p.rows)) from sys.partitions as p where p.object_id = o.object_id and p.index_id in (0, 1))
 from sys.objects as o where o.object_id = object_id(@table) and o.type in ('U', 'V')`;

/** What the catalog says of a table now; null when it is not there. */
export async function describeTable(
  session: Session,
  name: {readonly schema: string; readonly name: string},
  options: CatalogOptions,
): Promise<SourceTable | null> {
  const table = qualifiedName([name.schema, name.name]);
  const doing = {what: `describe table "${table}"`, table};
  const [found] = await session.query(OBJECT, doing, [{name: 'table', type: 'text', value: tableSql(name)}]);
  if (found === undefined) return null;
  const [id, schema, ownName, kind, rows] = found;
  const object = {
    id: numberOf(id),
    schema: textOf(schema),
    name: textOf(ownName),
    kind: textOf(kind).trim() === 'V' ? ('view' as const) : ('table' as const),
    estimatedRows: rows === null || rows === undefined ? null : numberOf(rows),
  };
  const columns = (await readColumns(session, [object.id], options)).get(object.id) ?? [];
  if (columns.length === 0) throw unknownTable(table);
  const primaryKey = primaryKeyOf(columns);
  const keys = primaryKey.length > 0 ? primaryKey : await uniqueKey(session, object.id);
  return {...object, columns, keys, primaryKey};
}

/** A column with its place in the primary key, from 1; 0 outside of it. */
export interface CatalogColumn extends SourceColumn {
  readonly keyPlace: number;
}

/** Columns of objects by their numbers, in the tables' order. */
export async function readColumns(
  session: Session,
  objects: readonly number[],
  {areWideTimesText}: CatalogOptions,
): Promise<ReadonlyMap<number, readonly CatalogColumn[]>> {
  const found = new Map<number, CatalogColumn[]>();
  if (objects.length === 0) return found;
  const rows = await session.query(columnsSql(objects), {what: 'describe the columns of tables'});
  for (const row of rows) {
    const [object, id, name, type, length, precision, scale, collation, nullable, computed, hasDefault, key] = row;
    const typeName = textOf(type);
    const column = {
      id: numberOf(id),
      name: textOf(name),
      type: columnType({name: typeName, length, precision, scale, collation}, areWideTimesText),
      nullable: nullable === true,
      isComputed: computed === true,
      hasDefault: hasDefault === true || nullable !== true,
      keyPlace: numberOf(key),
    };
    const number = numberOf(object);
    const columns = found.get(number);
    if (columns === undefined) found.set(number, [column]);
    else columns.push(column);
  }
  return found;
}

/** The statement of {@link readColumns}. */
export function columnsSql(objects: readonly number[]): string {
  return `select c.object_id, c.column_id, c.name, coalesce(b.name, t.name), c.max_length, c.precision, c.scale, c.collation_name,
 c.is_nullable, c.is_computed, convert(bit, case when c.default_object_id = 0 then 0 else 1 end), coalesce(k.key_ordinal, 0)
 from sys.columns as c join sys.types as t on t.user_type_id = c.user_type_id
 left join sys.types as b on b.user_type_id = c.system_type_id
 left join sys.indexes as i on i.object_id = c.object_id and i.is_primary_key = 1
 left join sys.index_columns as k on k.object_id = c.object_id and k.index_id = i.index_id and k.column_id = c.column_id
 where c.object_id in (${objects.join(', ')}) order by c.object_id, c.column_id`;
}

/** Names of the columns of the primary key, in its order. */
export function primaryKeyOf(columns: readonly CatalogColumn[]): readonly string[] {
  return columns
    .filter(({keyPlace}) => keyPlace > 0)
    .toSorted((left, right) => left.keyPlace - right.keyPlace)
    .map(({name}) => name);
}

/** The table as its schema frames have it. @param isKeyed false: rows are known by all their columns. */
export function toLogTable(
  table: Pick<SourceTable, 'id' | 'schema' | 'name' | 'columns' | 'primaryKey'>,
  isKeyed = true,
): LogTable {
  const key = new Set(isKeyed ? table.primaryKey : []);
  return {
    id: table.id,
    namespace: [table.schema],
    name: table.name,
    identity: key.size > 0 ? 'key' : 'full',
    columns: table.columns.map(({name, type, nullable}) => ({
      name,
      type: typeToJson(type),
      isKey: key.has(name),
      isNullable: nullable,
    })),
  };
}

/** A short text that changes with the definition of a table. */
export function shapeOf({columns, primaryKey}: Pick<SourceTable, 'columns' | 'primaryKey'>): string {
  const text = JSON.stringify([
    columns.map(({id, name, type, nullable}) => [id, name, typeToJson(type), nullable]),
    primaryKey,
  ]);
  return createHash('sha256').update(text).digest('base64url').slice(0, 8);
}

/** A cell that the statement makes a text. */
export function textOf(cell: Cell | undefined): string {
  return cell === null || cell === undefined ? '' : String(cell);
}

/** A cell that the statement makes a number below 2^53. */
export function numberOf(cell: Cell | undefined): number {
  return cell === null || cell === undefined ? 0 : Number(cell);
}

interface TypeCells {
  readonly name: string;
  readonly length: Cell | undefined;
  readonly precision: Cell | undefined;
  readonly scale: Cell | undefined;
  readonly collation: Cell | undefined;
}

function columnType({name, length, precision, scale, collation}: TypeCells, areWideTimesText: boolean): ColumnType {
  const kind = name === 'sysname' ? 'nvarchar' : name;
  if (!KNOWN.has(kind)) {
    throw new IngestError('UNSUPPORTED', `The type ${name} cannot be read.`, {
      fix: 'Leave the table out, or read it through a view that converts the column.',
    });
  }
  const isTime = TIMES.has(kind);
  const hasDigits = kind === 'decimal' || kind === 'numeric';
  return {
    name: kind,
    length: SIZED.has(kind) ? numberOf(length) : 0,
    precision: hasDigits ? numberOf(precision) : 0,
    scale: hasDigits || isTime ? numberOf(scale) : 0,
    collation: typeof collation === 'string' && SIZED.has(kind) ? collation : null,
    isWideText: areWideTimesText && isTime && kind !== 'time' && numberOf(scale) === 7,
  };
}

const SIZED = new Set(['char', 'varchar', 'nchar', 'nvarchar', 'binary', 'varbinary']);
const TIMES = new Set(['time', 'datetime2', 'datetimeoffset']);
const KNOWN = new Set(
  `bit tinyint smallint int bigint decimal numeric money smallmoney float real date datetime smalldatetime datetime2 datetimeoffset time
 char varchar nchar nvarchar text ntext xml json vector uniqueidentifier sql_variant hierarchyid binary varbinary image timestamp geometry
 geography`.split(/\s+/),
);

const UNIQUE = `select i.index_id, c.name, c.is_nullable from sys.indexes as i
 join sys.index_columns as k on k.object_id = i.object_id and k.index_id = i.index_id and k.key_ordinal > 0
 join sys.columns as c on c.object_id = k.object_id and c.column_id = k.column_id
 where i.object_id = convert(int, @id) and i.is_unique = 1 and i.has_filter = 0 and i.is_disabled = 0 order by i.index_id, k.key_ordinal`;

/** The first unique index over columns that are never null. */
async function uniqueKey(session: Session, id: number): Promise<readonly string[]> {
  const rows = await session.query(UNIQUE, {what: 'look for a key'}, [{name: 'id', type: 'int', value: id}]);
  const byIndex = new Map<number, {readonly columns: string[]; isSafe: boolean}>();
  for (const [index, column, nullable] of rows) {
    const known = byIndex.get(numberOf(index)) ?? {columns: [], isSafe: true};
    byIndex.set(numberOf(index), known);
    if (nullable === true) known.isSafe = false;
    else known.columns.push(textOf(column));
  }
  return [...byIndex.values()].find(({isSafe}) => isSafe)?.columns ?? [];
}
