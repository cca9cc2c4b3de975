import {IngestError, parseQualifiedName} from '../../sdk/index.ts';
import {quoteIdentifier, quoteLiteral} from '../../wire/pg/quote.ts';
import type {Session} from './session.ts';
import type {SourceType, TypeMapping} from './source-type.ts';
import {mapType} from './source-type.ts';

/** A column of a source table. */
export interface SourceColumn {
  readonly name: string;
  readonly source: SourceType;
  /** As the server names the type, with modifiers: fit for a cast. */
  readonly typeName: string;
  readonly mapping: TypeMapping;
  readonly nullable: boolean;
  readonly comment: string | null;
}

/** A table, view, materialized or foreign table as the catalog describes it. */
export interface SourceTable {
  readonly oid: string;
  readonly schema: string;
  readonly name: string;
  readonly kind: RelationKind;
  readonly comment: string | null;
  readonly columns: readonly SourceColumn[];
  /** Columns of the primary key, or else of a unique index over columns that are never null; empty without either. */
  readonly keys: readonly string[];
}

/** `pg_class.relkind`: table, partitioned table, view, materialized view, foreign table. */
export type RelationKind = 'r' | 'p' | 'v' | 'm' | 'f';

/** Kinds that can be ingested, and no leaf of a partitioned table: those are read through their parent. */
const READABLE = `c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
  and (has_table_privilege(c.oid, 'SELECT') or has_any_column_privilege(c.oid, 'SELECT'))
  and has_schema_privilege(n.oid, 'USAGE')
  and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')`;
const OWN_SCHEMAS = `n.nspname <> 'information_schema' and n.nspname !~ '^pg_'`;
const LISTING = {what: 'list the tables'};

/** Schemas that hold tables that the user may read. */
export async function listSchemas(session: Session): Promise<readonly string[]> {
  const sql = `select distinct n.nspname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where ${OWN_SCHEMAS} and ${READABLE} order by 1`;
  return (await session.query(sql, LISTING)).map((row) => row[0] ?? '');
}

/** Tables that the user may read, of one schema or of all; objects of extensions are left out. */
export async function listTables(
  session: Session,
  schema: string | null,
): Promise<readonly {schema: string; name: string}[]> {
  const where = schema === null ? OWN_SCHEMAS : `n.nspname = ${quoteLiteral(schema)}`;
  const sql = `select n.nspname::text, c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where ${where} and ${READABLE} order by 1, 2`;
  return (await session.query(sql, LISTING)).map((row) => ({schema: row[0] ?? '', name: row[1] ?? ''}));
}

/** Schema and name of a table; a name without schema is one of `public`. */
export function splitName(table: string): {readonly schema: string; readonly name: string} {
  const parts = parseQualifiedName(table);
  const [first, second] = parts;
  if (parts.length === 1 && first !== undefined) return {schema: 'public', name: first};
  if (parts.length === 2 && first !== undefined && second !== undefined) return {schema: first, name: second};
  throw unknownTable(table);
}

/** What the catalog says of a table now. @throws UNKNOWN_TABLE */
export async function describeTable(session: Session, table: string): Promise<SourceTable> {
  const {schema, name} = splitName(table);
  const doing = {what: `describe table "${table}"`, table};
  const sql = `select c.oid::text, c.relkind::text, obj_description(c.oid, 'pg_class') from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = ${quoteLiteral(schema)} and c.relname = ${quoteLiteral(name)} and c.relkind in ('r', 'p', 'v', 'm', 'f')`;
  const [found] = await session.query(sql, doing);
  if (found?.[0] === null || found?.[0] === undefined) throw unknownTable(table);
  const oid = found[0];
  const columns = (await session.query(columnsSql(oid), doing)).map(toColumn);
  if (columns.length === 0) {
    throw new IngestError('INVALID_SCHEMA', `Table "${table}" has no columns.`, {
      fix: 'Leave it out.',
      context: {table},
    });
  }
  const keys = (await session.query(keySql(oid), doing)).map((row) => row[0] ?? '');
  return {oid, schema, name, kind: (found[1] ?? 'r') as RelationKind, comment: found[2] ?? null, columns, keys};
}

/** The table by its full name. */
export function tableSql({schema, name}: {readonly schema: string; readonly name: string}): string {
  return `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;
}

/** The table in FROM. Its columns are named by {@link columnName}: unlike bare names those never mean a column of the result. */
export function relationSql(table: {readonly schema: string; readonly name: string}): string {
  return `${tableSql(table)} as source`;
}

/** A column of the table that {@link relationSql} names. */
export function columnName(name: string): string {
  return `source.${quoteIdentifier(name)}`;
}

/** A text that is the same as long as the columns that are read are. */
export function shapeOf(columns: readonly SourceColumn[]): string {
  return columns.map(({name, typeName}) => `${quoteIdentifier(name)} ${typeName}`).join(', ');
}

/** Columns with their types, domains followed down to the type that they are made of. */
function columnsSql(oid: string): string {
  return `with recursive base as (
      select a.attnum, a.atttypid as typid, a.atttypmod as typmod from pg_attribute a
      where a.attrelid = ${oid} and a.attnum > 0 and not a.attisdropped
      union all
      select b.attnum, t.typbasetype, case when b.typmod = -1 then t.typtypmod else b.typmod end
      from base b join pg_type t on t.oid = b.typid where t.typtype = 'd')
    select a.attname::text, t.typname::text, (t.typnamespace = 'pg_catalog'::regnamespace)::text, (t.typtype = 'e')::text, b.typmod::text,
      a.attnotnull::text, format_type(a.atttypid, a.atttypmod), col_description(a.attrelid, a.attnum)
    from pg_attribute a join base b on b.attnum = a.attnum join pg_type t on t.oid = b.typid and t.typtype <> 'd'
    where a.attrelid = ${oid} order by a.attnum`;
}

/** SQL for key columns in order. Partial and expression indexes, and those over columns that may be null, prove nothing about all rows. */
export function keySql(oid: string): string {
  return `select a.attname::text from (
      select i.indrelid, i.indkey, i.indnkeyatts from pg_index i
      where i.indrelid = ${oid} and i.indisunique and i.indisvalid and i.indpred is null and i.indexprs is null
        and (i.indisprimary or not exists (
          select from pg_attribute n where n.attrelid = i.indrelid and not n.attnotnull
            and n.attnum = any (i.indkey[0:i.indnkeyatts - 1])))
      order by i.indisprimary desc, i.indisreplident desc, i.indnkeyatts, i.indexrelid limit 1) k
    cross join lateral unnest(k.indkey[0:k.indnkeyatts - 1]) with ordinality as part(attnum, place)
    join pg_attribute a on a.attrelid = k.indrelid and a.attnum = part.attnum order by part.place`;
}

function toColumn(row: readonly (string | null)[]): SourceColumn {
  const [name, typeName, builtIn, isEnum, modifier, notNull, declared, comment] = row;
  const source: SourceType = {
    name: typeName ?? '',
    builtIn: builtIn === 'true',
    isEnum: isEnum === 'true',
    modifier: Number(modifier ?? -1),
  };
  return {
    name: name ?? '',
    source,
    typeName: declared ?? '',
    mapping: mapType(source),
    nullable: notNull !== 'true',
    comment: comment ?? null,
  };
}

function unknownTable(table: string): IngestError {
  return new IngestError('UNKNOWN_TABLE', `The database has no table "${table}", or the user may not see it.`, {
    fix: 'Names are schema.table and case-sensitive; the user needs USAGE on the schema.',
    context: {table},
  });
}
