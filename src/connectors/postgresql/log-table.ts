import type {LogColumn, LogTable, PlainJson} from '../../sdk/index.ts';
import {IngestError} from '../../sdk/index.ts';
import {quoteLiteral} from '../../wire/pg/quote.ts';
import type {SourceTable} from './catalog.ts';
import {describeTable, keySql} from './catalog.ts';
import type {Session} from './session.ts';
import type {SourceType} from './source-type.ts';

/** `pg_class.relreplident`: what the log says of the old row. Default: the primary key; nothing; full: all of it; an index. */
export type ReplicaIdentity = 'd' | 'n' | 'f' | 'i';

/** A table with what only the log wants to know of it. */
export interface FollowedTable {
  readonly source: SourceTable;
  readonly replicaIdentity: ReplicaIdentity;
  readonly table: LogTable;
  /** Generated columns that the log leaves out. */
  readonly leftOut: readonly string[];
}

/** Describes a table as the log does: without the columns that the publication leaves out. @throws UNKNOWN_TABLE */
export async function followedTable(session: Session, name: string, publication: string): Promise<FollowedTable> {
  const doing = {what: `describe table "${name}"`, table: name};
  const source = await describeTable(session, name);
  const [facts] = await session.query(
    `select c.relreplident::text, (select string_agg(a.attname::text, E'\\n' order by a.attnum) from pg_index i
        join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey[0:i.indnkeyatts - 1])
        where i.indrelid = c.oid and i.indisvalid and case c.relreplident when 'd' then i.indisprimary when 'i' then i.indisreplident else false end)
      from pg_class c where c.oid = ${source.oid}`,
    doing,
  );
  const replicaIdentity = (facts?.[0] ?? 'd') as ReplicaIdentity;
  const identityKey = (facts?.[1] ?? '').split('\n').filter((column) => column !== '');
  const identity = replicaIdentity === 'f' ? 'full' : identityKey.length > 0 ? 'key' : 'none';
  const keys = new Set(identity === 'key' ? identityKey : source.keys);
  const logged = await loggedColumns(session, {oid: source.oid, publication}, doing);
  const columns = source.columns
    .filter((column) => logged.has(column.name))
    .map((column): LogColumn => logColumn(column.name, column.source, keys.has(column.name), session));
  return {
    source,
    replicaIdentity,
    table: {id: Number(source.oid), namespace: [source.schema], name: source.name, columns, identity},
    leftOut: source.columns.map((column) => column.name).filter((column) => !logged.has(column)),
  };
}

/** The key of a table from the catalog, where the log names none. */
export async function catalogKey(session: Session, oid: number): Promise<readonly string[]> {
  return (await session.query(keySql(String(oid)), {what: 'look up a key'})).map((row) => row[0] ?? '');
}

/**
 * A column for a schema frame. Only keys are not null: the log may hold rows that are older than a NOT NULL of the catalog.
 */
export function logColumn(name: string, source: SourceType, isKey: boolean, session: Session): LogColumn {
  const type: Record<string, PlainJson> = {name: source.name, modifier: source.modifier};
  if (!source.builtIn) type['builtIn'] = false;
  if (source.isEnum) type['isEnum'] = true;
  if (session.facts.checkUtf8) type['checkUtf8'] = true;
  return {name, type, isKey, isNullable: !isKey};
}

/** The type of a column of a schema frame, and whether its texts may be no UTF-8. @throws STAGING_DAMAGED */
export function sourceTypeOf({name, type}: LogColumn): SourceType & {readonly checkUtf8: boolean} {
  if (typeof type === 'object' && type !== null && !Array.isArray(type)) {
    const fields = type as Readonly<Record<string, PlainJson>>;
    const {name: typeName, modifier} = fields;
    if (typeof typeName === 'string' && typeof modifier === 'number') {
      return {
        name: typeName,
        modifier,
        builtIn: fields['builtIn'] !== false,
        isEnum: fields['isEnum'] === true,
        checkUtf8: fields['checkUtf8'] === true,
      };
    }
  }
  throw new IngestError('STAGING_DAMAGED', `The type of column "${name}" is not one of PostgreSQL's log.`, {
    fix: 'Refresh the table in full.',
    context: {column: name},
  });
}

/** Names of the columns that the publication has. Before it is there: those that {@link preparePublication} would give it. */
async function loggedColumns(
  session: Session,
  {oid, publication}: {readonly oid: string; readonly publication: string},
  doing: {readonly what: string; readonly table: string},
): Promise<ReadonlySet<string>> {
  const version = session.facts.versionNumber;
  const list = version >= 150_000 ? 'pr.prattrs::int2[]' : 'null::int2[]';
  const stored =
    version >= 180_000
      ? `coalesce((select p.pubgencols = 's' from pg_publication p where p.pubname = ${quoteLiteral(publication)}), true)`
      : 'false';
  const rows = await session.query(
    `select a.attname::text from pg_attribute a left join (select ${list} as columns from pg_publication_rel pr
        join pg_publication p on p.oid = pr.prpubid where p.pubname = ${quoteLiteral(publication)} and pr.prrelid = ${oid}) l on true
      where a.attrelid = ${oid} and a.attnum > 0 and not a.attisdropped and
        case when l.columns is null then a.attgenerated = '' or (a.attgenerated = 's' and ${stored}) else a.attnum = any (l.columns) end`,
    doing,
  );
  return new Set(rows.map((row) => row[0] ?? ''));
}
