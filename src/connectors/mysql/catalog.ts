import type {LogTable} from '../../sdk/index.ts';
import {IngestError, parseQualifiedName} from '../../sdk/index.ts';
import {BINARY_COLLATION} from '../../wire/binlog/charsets.ts';
import {TYPE} from '../../wire/binlog/table-map.ts';
import {quoteIdentifier, quoteLiteral} from '../../wire/mysql/quote.ts';
import type {ColumnType, HiddenType} from './column-type.ts';
import {typeToJson} from './column-type.ts';
import {tableId} from './log-table.ts';
import type {Session} from './session.ts';
import {unknownTable} from './source-errors.ts';

/** A column of a source table. */
export interface SourceColumn {
  readonly name: string;
  readonly type: ColumnType;
  /** As the server names the type, e.g. `int(10) unsigned`. */
  readonly typeName: string;
  readonly nullable: boolean;
  readonly comment: string | null;
}

/** A table or view as the catalog describes it. */
export interface SourceTable {
  readonly database: string;
  readonly name: string;
  readonly kind: 'table' | 'view';
  readonly engine: string | null;
  readonly comment: string | null;
  readonly columns: readonly SourceColumn[];
  /** Columns of the primary key, or else of a unique index over columns that are never null; empty without either. */
  readonly keys: readonly string[];
  /** Columns of the primary key alone: that is the key that the log knows. */
  readonly primaryKey: readonly string[];
  /** Rows as the engine estimates them. */
  readonly estimatedRows: number | null;
  readonly estimatedBytes: number | null;
}

const LISTING = {what: 'list the tables'};
const SYSTEM = `('information_schema', 'performance_schema', 'mysql', 'sys')`;

/** Databases that hold tables that the user may read. */
export async function listDatabases(session: Session): Promise<readonly string[]> {
  const sql = `select distinct table_schema from information_schema.tables where table_schema not in ${SYSTEM} order by 1`;
  return (await session.query(sql, LISTING)).map((row) => row[0] ?? '');
}

/** Tables and views that the user may see, of one database or of all. */
export async function listTables(
  session: Session,
  database: string | null,
): Promise<readonly {readonly database: string; readonly name: string}[]> {
  const where = database === null ? `table_schema not in ${SYSTEM}` : `table_schema = ${quoteLiteral(database)}`;
  const sql = `select table_schema, table_name from information_schema.tables
    where ${where} and table_type in ('BASE TABLE', 'VIEW', 'SYSTEM VERSIONED') order by 1, 2`;
  return (await session.query(sql, LISTING)).map((row) => ({database: row[0] ?? '', name: row[1] ?? ''}));
}

/** Database and name of a table. @param database of names without one. @throws UNKNOWN_TABLE */
export function splitName(
  table: string,
  database: string | undefined,
): {readonly database: string; readonly name: string} {
  const parts = parseQualifiedName(table);
  const [first, second] = parts;
  if (parts.length === 1 && first !== undefined && database !== undefined) return {database, name: first};
  if (parts.length === 2 && first !== undefined && second !== undefined) return {database: first, name: second};
  throw unknownTable(table);
}

/** The table by its full name. */
export function tableSql({database, name}: {readonly database: string; readonly name: string}): string {
  return `${quoteIdentifier(database)}.${quoteIdentifier(name)}`;
}

/** Numbers of collations by name; they do not change while a server runs. */
export async function readCollations(session: Session): Promise<ReadonlyMap<string, number>> {
  const doing = {what: 'read the collations'};
  const plain = 'select collation_name, id from information_schema.collations where id is not null';
  // MariaDB numbers some collations per character set.
  const full = `select full_collation_name, id from information_schema.collation_character_set_applicability`;
  const hasFull =
    session.isMariaDb &&
    (await session
      .query(
        `select 1 from information_schema.columns where table_schema = 'information_schema'
        and table_name = 'COLLATION_CHARACTER_SET_APPLICABILITY' and column_name = 'FULL_COLLATION_NAME'`,
        doing,
      )
      .then((rows) => rows.length > 0));
  const rows = [...(await session.query(plain, doing)), ...(hasFull ? await session.query(full, doing) : [])];
  return new Map(rows.map((row) => [row[0] ?? '', Number(row[1] ?? 0)]));
}

/** What the catalog says of a table now; null when it is not there. */
export async function describeTable(
  session: Session,
  {database, name}: {readonly database: string; readonly name: string},
  collations: ReadonlyMap<string, number>,
): Promise<SourceTable | null> {
  const table = `${database}.${name}`;
  const doing = {what: `describe table "${table}"`, table};
  const where = `table_schema = ${quoteLiteral(database)} and table_name = ${quoteLiteral(name)}`;
  const [found] = await session.query(
    `select table_schema, table_name, table_type, engine, table_comment, table_rows, data_length from information_schema.tables where ${where}`,
    doing,
  );
  if (found === undefined) return null;
  const rows = await session.query(
    `select column_name, data_type, column_type, character_octet_length, numeric_precision, numeric_scale, datetime_precision,
      collation_name, is_nullable, column_comment from information_schema.columns where ${where} order by ordinal_position`,
    doing,
  );
  const columns = rows.map((row) => toColumn(row, {collations, isMariaDb: session.isMariaDb}));
  if (columns.length === 0) throw unknownTable(table);
  const indexes = await session.query(
    `select index_name, column_name, nullable from information_schema.statistics
      where ${where} and non_unique = 0 order by index_name <> 'PRIMARY', index_name, seq_in_index`,
    doing,
  );
  const primaryKey = indexes.flatMap(([index, column]) => (index === 'PRIMARY' ? [column ?? ''] : []));
  return {
    database: found[0] ?? database,
    name: found[1] ?? name,
    kind: found[2] === 'VIEW' ? 'view' : 'table',
    engine: found[3] ?? null,
    comment: found[4] === '' || found[2] === 'VIEW' ? null : (found[4] ?? null),
    estimatedRows: found[5] === null || found[5] === undefined ? null : Number(found[5]),
    estimatedBytes: found[6] === null || found[6] === undefined ? null : Number(found[6]),
    columns,
    primaryKey,
    keys: primaryKey.length > 0 ? primaryKey : uniqueKey(indexes),
  };
}

/** The table as its schema frames have it. */
export function toLogTable(table: SourceTable): LogTable {
  const key = new Set(table.primaryKey);
  return {
    id: tableId(table.database, table.name),
    namespace: [table.database],
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

/** Types of columns that the log files under bytes. */
export async function hiddenTypes(
  session: Session,
  {database, name}: {readonly database: string; readonly name: string},
): Promise<ReadonlyMap<string, HiddenType>> {
  const rows = await session.query(
    `select column_name, data_type from information_schema.columns where table_schema = ${quoteLiteral(database)}
      and table_name = ${quoteLiteral(name)} and data_type in ('uuid', 'inet4', 'inet6')`,
    {what: `describe table "${database}.${name}"`, table: `${database}.${name}`},
  );
  return new Map(rows.flatMap(([column, type]) => (isHidden(type) && column !== null ? [[column ?? '', type]] : [])));
}

function isHidden(type: string | null | undefined): type is HiddenType {
  return type === 'uuid' || type === 'inet4' || type === 'inet6';
}

/** The first unique index over whole columns that are never null. */
function uniqueKey(indexes: readonly (readonly (string | null)[])[]): readonly string[] {
  const byName = new Map<string, {readonly columns: string[]; isSafe: boolean}>();
  for (const [index, column, nullable] of indexes) {
    const known = byName.get(index ?? '') ?? {columns: [], isSafe: true};
    byName.set(index ?? '', known);
    // An expression has no column.
    if (column === null || column === undefined || nullable === 'YES') known.isSafe = false;
    else known.columns.push(column);
  }
  return [...byName.values()].find(({isSafe}) => isSafe)?.columns ?? [];
}

interface TypeContext {
  readonly collations: ReadonlyMap<string, number>;
  readonly isMariaDb: boolean;
}

function toColumn(row: readonly (string | null)[], context: TypeContext): SourceColumn {
  const [name, , declared, , , , , , nullable, comment] = row;
  return {
    name: name ?? '',
    type: typeOf(row, context),
    typeName: declared ?? '',
    nullable: nullable !== 'NO',
    comment: comment === '' || comment === undefined ? null : comment,
  };
}

function typeOf(row: readonly (string | null)[], {collations, isMariaDb}: TypeContext): ColumnType {
  const [name, dataType, declared, octets, precision, scale, digits, collationName] = row;
  const text = declared ?? '';
  const kind = dataType ?? '';
  const bytes = Number(octets ?? 0);
  const collation = collationName === null || collationName === undefined ? 0 : (collations.get(collationName) ?? 0);
  const isUnsigned = / unsigned/.test(text);
  const plain = {meta: 0, isUnsigned: false, collation: 0, labels: [], hidden: null};
  const whole = INTEGERS[kind];
  if (whole !== undefined) return {...plain, code: whole, isUnsigned};
  const isCompressed = text.includes('COMPRESSED');
  const blob = BLOBS[kind];
  if (blob !== undefined) {
    const code = isCompressed ? TYPE.blobCompressed : TYPE.blob;
    return {...plain, code, meta: blob, collation: collation === 0 ? BINARY_COLLATION : collation};
  }
  switch (kind) {
    case 'decimal':
      return {...plain, code: TYPE.decimal, isUnsigned, meta: (Number(precision) << 8) | Number(scale ?? 0)};
    case 'bit':
      return {...plain, code: TYPE.bit, meta: Number(precision)};
    case 'year':
      return {...plain, code: TYPE.year};
    case 'date':
      return {...plain, code: TYPE.date};
    case 'datetime':
      return {...plain, code: TYPE.datetime2, meta: Number(digits ?? 0)};
    case 'timestamp':
      return {...plain, code: TYPE.timestamp2, meta: Number(digits ?? 0)};
    case 'time':
      return {...plain, code: TYPE.time2, meta: Number(digits ?? 0)};
    case 'char':
      return {...plain, code: TYPE.string, meta: bytes, collation};
    case 'binary':
      return {...plain, code: TYPE.string, meta: bytes, collation: BINARY_COLLATION};
    case 'varchar':
    case 'varbinary': {
      // Compressed values have a byte that says how before them.
      const form = isCompressed ? {code: TYPE.varcharCompressed, meta: bytes + 1} : {code: TYPE.varchar, meta: bytes};
      return {...plain, ...form, collation: kind === 'varbinary' ? BINARY_COLLATION : collation};
    }
    case 'enum':
    case 'set': {
      const labels = labelsOf(text);
      const code = kind === 'enum' ? TYPE.enum : TYPE.set;
      return {...plain, code, meta: labelBytes(kind, labels.length), collation, labels};
    }
    case 'json':
      return {...plain, code: TYPE.json, meta: 4};
    case 'vector':
      return isMariaDb
        ? {...plain, code: TYPE.varchar, meta: bytes, collation: BINARY_COLLATION}
        : {...plain, code: TYPE.vector, meta: 4};
    case 'uuid':
    case 'inet6':
      return {...plain, code: TYPE.string, meta: 16, collation: BINARY_COLLATION, hidden: kind};
    case 'inet4':
      return {...plain, code: TYPE.string, meta: 4, collation: BINARY_COLLATION, hidden: kind};
  }
  if (GEOMETRIES.has(kind)) return {...plain, code: TYPE.geometry, meta: 4};
  throw new IngestError('UNSUPPORTED', `Column "${name ?? ''}" has the type ${text}, which cannot be read.`, {
    fix: 'Leave the table out, or read it through a view that casts the column.',
    context: {column: name ?? ''},
  });
}

const INTEGERS: Readonly<Record<string, number>> = {
  tinyint: TYPE.tiny,
  smallint: TYPE.short,
  mediumint: TYPE.int24,
  int: TYPE.long,
  bigint: TYPE.longlong,
  float: TYPE.float,
  double: TYPE.double,
};

/** Bytes of the length. */
const BLOBS: Readonly<Record<string, number>> = {
  tinyblob: 1,
  tinytext: 1,
  blob: 2,
  text: 2,
  mediumblob: 3,
  mediumtext: 3,
  longblob: 4,
  longtext: 4,
};

const GEOMETRIES = new Set([
  'geometry',
  'point',
  'linestring',
  'polygon',
  'multipoint',
  'multilinestring',
  'multipolygon',
  'geometrycollection',
  'geomcollection',
]);

/** Labels of `enum('a','b''c')`. */
function labelsOf(declared: string): readonly string[] {
  return [...declared.matchAll(/'((?:[^']|'')*)'/g)].map(([, label]) => (label ?? '').replaceAll("''", "'"));
}

function labelBytes(kind: 'enum' | 'set', count: number): number {
  if (kind === 'enum') return count > 255 ? 2 : 1;
  const bytes = (count + 7) >> 3;
  return bytes > 4 ? 8 : bytes;
}
