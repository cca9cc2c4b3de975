import {IngestError, qualifiedName} from '../../sdk/index.ts';
import {quoteIdentifier, quoteLiteral} from '../../wire/pg/quote.ts';
import {parseLsn} from '../../wire/pg/replication.ts';
import {splitName, tableSql} from './catalog.ts';
import type {Session} from './session.ts';

/** A replication slot and a publication, and whether we made them. */
export interface LogNames {
  readonly slot: string;
  readonly publication: string;
  readonly isOwnSlot: boolean;
  readonly isOwnPublication: boolean;
  /** We made nothing yet: what bears our names belongs to another gateway. */
  readonly isNew: boolean;
}

/** A slot as the server shows it. */
export interface SlotState {
  readonly plugin: string;
  readonly database: string;
  /** Slots are named across the databases of a server. */
  readonly isOfThisDatabase: boolean;
  readonly activePid: number | null;
  /** All before it may be forgotten; null for a slot that was never ready. */
  readonly confirmed: bigint | null;
  /** `reserved`, `extended`, `unreserved`, `lost`. */
  readonly walStatus: string;
  /** Why the slot is of no use any more; null while it is. */
  readonly invalidation: string | null;
  readonly retainedBytes: number;
  /** Null: no limit. */
  readonly safeBytes: number | null;
}

/** What the server says of a slot; null when it has none of that name. */
export async function slotState(session: Session, slot: string): Promise<SlotState | null> {
  const reason = session.facts.versionNumber >= 170_000 ? 'invalidation_reason' : 'null::text';
  const now = 'case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end';
  const [row] = await session.query(
    `select plugin::text, coalesce(database, '')::text, (database is not distinct from current_database())::text, active_pid::text, confirmed_flush_lsn::text, coalesce(wal_status, 'lost'), ${reason},
      coalesce(pg_wal_lsn_diff(${now}, restart_lsn), 0)::text, safe_wal_size::text
      from pg_replication_slots where slot_name = ${quoteLiteral(slot)}`,
    {what: `look at replication slot "${slot}"`},
  );
  if (row === undefined) return null;
  const [plugin, database, isHere, pid, confirmed, status, invalidation, retained, safe] = row;
  return {
    plugin: plugin ?? '',
    database: database ?? '',
    isOfThisDatabase: isHere === 'true',
    activePid: pid === null || pid === undefined ? null : Number(pid),
    confirmed: parseLsn(confirmed ?? ''),
    walStatus: status ?? 'lost',
    invalidation: invalidation ?? (status === 'lost' ? 'wal_removed' : null),
    retainedBytes: Number(retained ?? 0),
    safeBytes: safe === null || safe === undefined ? null : Number(safe),
  };
}

/**
 * Brings the publication and the slot to what the tables need; tables that the source could not change any more are left out.
 * @returns a point at which a first reading may begin
 */
export async function prepareLog(session: Session, names: LogNames, tables: readonly string[]): Promise<bigint> {
  let state = await slotState(session, names.slot);
  if (state !== null && (!state.isOfThisDatabase || (names.isNew && names.isOwnSlot))) throw foreignSlot(names, state);
  const isNew = names.isOwnPublication && (await preparePublication(session, names.publication, tables));
  if (state !== null && names.isOwnSlot && (isNew || state.invalidation !== null)) {
    // The slot's log is from before the publication, which the server reads as it was then: there it does not exist.
    await dropSlot(session, names.slot);
    state = null;
  }
  if (state === null && names.isOwnSlot) return createSlot(session, names.slot);
  if (state?.confirmed !== null && state?.confirmed !== undefined && state.invalidation === null)
    return state.confirmed;
  const what = state === null ? 'does not exist' : `is of no use any more (${state.invalidation ?? 'not ready'})`;
  throw new IngestError('LOG_LOST', `The replication slot "${names.slot}" ${what}.`, {
    fix: `Make it anew: select pg_create_logical_replication_slot(${quoteLiteral(names.slot)}, 'pgoutput'); then refresh the tables in full.`,
    context: {slot: names.slot},
  });
}

/** A slot that must stay as it is: somebody else's log hangs on it. */
export function foreignSlot({slot, publication, isOwnSlot}: LogNames, state: SlotState): IngestError {
  const {message, fix} = describeForeignSlot({slot, publication, isOwnSlot}, state);
  return new IngestError('INVALID_OPTION', message, {fix, context: {slot}});
}

/** What is wrong with a slot that is not ours, and what to do about it. */
export function describeForeignSlot(
  {slot, publication, isOwnSlot}: Pick<LogNames, 'slot' | 'publication' | 'isOwnSlot'>,
  {isOfThisDatabase, database}: SlotState,
): {readonly message: string; readonly fix: string} {
  const other = 'Give the pipeline another key, or name a slot and a publication of its own (source_configurations)';
  if (!isOfThisDatabase) {
    const message = `The replication slot "${slot}" is one of the database "${database}": slots have their names across the whole server.`;
    return {message, fix: isOwnSlot ? `${other}.` : 'Name a slot of this database.'};
  }
  return {
    message: `The replication slot "${slot}" is there already, and the gateway of this lake has not made it: it is that of another lake, or of one that is gone.`,
    fix: `${other}. If nobody uses it any more: select pg_drop_replication_slot(${quoteLiteral(slot)}); drop publication if exists ${quoteIdentifier(publication)};`,
  };
}

/** Removes what {@link prepareLog} made. */
export async function releaseLog(session: Session, names: LogNames): Promise<void> {
  if (names.isNew) return;
  if (names.isOwnSlot) await dropSlot(session, names.slot);
  if (names.isOwnPublication) {
    await session.query(`drop publication if exists ${quoteIdentifier(names.publication)}`, {
      what: `remove publication "${names.publication}"`,
    });
  }
}

/** True when the publication was made just now. */
async function preparePublication(session: Session, publication: string, tables: readonly string[]): Promise<boolean> {
  const doing = {what: `prepare publication "${publication}"`};
  const name = quoteIdentifier(publication);
  const wanted = new Map((await safeTables(session, tables)).map((table) => [table.oid, table.sql]));
  const found = await session.query(
    `select oid::text from pg_publication where pubname = ${quoteLiteral(publication)}`,
    doing,
  );
  if (found.length === 0) {
    const generated = session.facts.versionNumber >= 180_000 ? ', publish_generated_columns = stored' : '';
    const list = wanted.size === 0 ? '' : ` for table ${[...wanted.values()].join(', ')}`;
    await session.query(
      `create publication ${name}${list} with (publish = 'insert, update, delete, truncate', publish_via_partition_root = true${generated})`,
      doing,
    );
    return true;
  }
  const present = await session.query(
    `select pr.prrelid::text, n.nspname::text, c.relname::text from pg_publication_rel pr join pg_publication p on p.oid = pr.prpubid
      join pg_class c on c.oid = pr.prrelid join pg_namespace n on n.oid = c.relnamespace where p.pubname = ${quoteLiteral(publication)}`,
    doing,
  );
  const old = new Map(present.map((row) => [row[0] ?? '', tableSql({schema: row[1] ?? '', name: row[2] ?? ''})]));
  const added = [...wanted].filter(([oid]) => !old.has(oid)).map(([, sql]) => sql);
  const removed = [...old].filter(([oid]) => !wanted.has(oid)).map(([, sql]) => sql);
  if (removed.length > 0) await session.query(`alter publication ${name} drop table ${removed.join(', ')}`, doing);
  if (added.length > 0) await session.query(`alter publication ${name} add table ${added.join(', ')}`, doing);
  return false;
}

/** A table that may be published. */
interface Publishable {
  readonly oid: string;
  readonly sql: string;
}

/**
 * Tables that can be published and whose UPDATE and DELETE go on when they are: with a replica identity, and so all their parts.
 * @see https://www.postgresql.org/docs/18/logical-replication-publication.html#LOGICAL-REPLICATION-PUBLICATION-REPLICA-IDENTITY
 */
async function safeTables(session: Session, tables: readonly string[]): Promise<readonly Publishable[]> {
  if (tables.length === 0) return [];
  const pairs = tables.map(splitName).map(({schema, name}) => `(${quoteLiteral(schema)}, ${quoteLiteral(name)})`);
  const rows = await session.query(
    `select c.oid::text, n.nspname::text, c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where (n.nspname, c.relname) in (${pairs.join(', ')}) and c.relkind in ('r', 'p') and c.relpersistence = 'p'
        and not exists (select from ${partsSql('c.oid')} part where not ${hasIdentitySql('part.oid')})`,
    {what: 'look up the tables to follow'},
  );
  return rows.map((row) => ({oid: row[0] ?? '', sql: tableSql({schema: row[1] ?? '', name: row[2] ?? ''})}));
}

/** SQL for the tables under a partitioned one, or the table itself, as `oid`. */
export function partsSql(oid: string): string {
  return `(select relid as oid from pg_partition_tree(${oid}) where isleaf union select ${oid} where not exists (select from pg_partition_tree(${oid})))`;
}

/** SQL condition: the log can name the rows of the table, so that publishing it does not make its UPDATE and DELETE fail. */
export function hasIdentitySql(oid: string): string {
  return `(select case t.relreplident when 'f' then true when 'n' then false else exists (
      select from pg_index i where i.indrelid = t.oid and i.indisvalid
        and case t.relreplident when 'd' then i.indisprimary else i.indisreplident end) end
    from pg_class t where t.oid = ${oid})`;
}

async function createSlot(session: Session, slot: string): Promise<bigint> {
  const doing = {what: `create replication slot "${slot}"`};
  // A slot that survives a failover where the server can do that: name, plugin, temporary, two-phase, failover.
  const options = session.facts.versionNumber >= 170_000 ? ', false, false, true' : '';
  const [row] = await session.query(
    `select lsn::text from pg_create_logical_replication_slot(${quoteLiteral(slot)}, 'pgoutput'${options})`,
    doing,
  );
  const lsn = parseLsn(row?.[0] ?? '');
  if (lsn === null) throw new IngestError('SOURCE_ERROR', `Cannot ${doing.what}: the server told no position.`);
  return lsn;
}

async function dropSlot(session: Session, slot: string): Promise<void> {
  await session.query(
    `select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = ${quoteLiteral(slot)} and database = current_database()`,
    {what: `remove replication slot "${slot}"`},
  );
}

/** A table's name as `listTables` gives it. */
export function listedName(schema: string, name: string): string {
  return qualifiedName([schema, name]);
}
