import type {CallContext} from '../../sdk/index.ts';
import {IngestError} from '../../sdk/index.ts';
import {parseLsn} from '../../wire/pg/replication.ts';
import {partsSql} from './publication.ts';
import type {Session} from './session.ts';
import type {Doing} from './source-errors.ts';

const POLL_MS = 50;
/** Longer than any commit takes that does not wait for another server. */
const COMMIT_MS = 1000;
const WARN_MS = 30_000;

/**
 * Waits for the end of all transactions that hold a table for writing now. What they wrote before the table was published is not in
 * the log, so that a snapshot has to see it. Others go on writing meanwhile.
 */
export async function waitForWriters(session: Session, oid: string, {doing, ctx}: Waiting): Promise<void> {
  const writers = async (): Promise<ReadonlySet<string>> => {
    const rows = await session.query(
      `select distinct virtualtransaction from pg_locks where locktype = 'relation' and granted and pid is distinct from pg_backend_pid()
        and database = (select oid from pg_database where datname = current_database())
        and (relation = ${oid} or relation in (select oid from ${partsSql(oid)} part))
        and mode in ('RowExclusiveLock', 'AccessExclusiveLock')`,
      doing,
    );
    return new Set(rows.map((row) => row[0] ?? ''));
  };
  const first = await writers();
  const warn = warner(ctx, `Waits for transactions that wrote to "${doing.table ?? ''}" before it was followed.`);
  for (let left = [...first]; left.length > 0;) {
    await ctx.clock.sleep(POLL_MS, ctx.signal);
    const now = await writers();
    left = left.filter((writer) => now.has(writer));
    warn();
  }
}

/** For what is waited, and under which signal. */
export interface Waiting {
  readonly doing: Doing;
  readonly ctx: CallContext;
}

/**
 * A point of the log such that a snapshot which is taken next sees all that committed at or before it. The log's end is none: a
 * transaction becomes visible only after its commit was written, flushed and, if so configured, confirmed by a standby. So those that
 * were running at the point are waited for, as far as they may be on their way out.
 */
export async function pointBeforeSnapshot(session: Session, {doing, ctx}: Waiting): Promise<bigint> {
  const [row] = await session.query('select pg_current_wal_insert_lsn()::text', doing);
  const lsn = parseLsn(row?.[0] ?? '');
  if (lsn === null) throw new IngestError('SOURCE_ERROR', `Cannot ${doing.what}: the server told no position.`);
  let left = await running(session, doing);
  const startedAt = ctx.clock.nowMs();
  const warn = warner(ctx, 'Waits for commits that a standby does not confirm.');
  while (left.size > 0) {
    if (ctx.clock.nowMs() - startedAt > COMMIT_MS && !(await areCommitting(session, left, doing))) break;
    await ctx.clock.sleep(POLL_MS, ctx.signal);
    const now = await running(session, doing);
    left = new Set([...left].filter((xid) => now.has(xid)));
    warn();
  }
  return lsn;
}

/** Transactions that have an id and are not over, by a statement of its own: later than the one before. */
async function running(session: Session, doing: Doing): Promise<ReadonlySet<string>> {
  const [row] = await session.query('select pg_current_snapshot()::text', doing);
  return new Set((row?.[0]?.split(':')[2] ?? '').split(',').filter((xid) => xid !== ''));
}

/** A transaction that runs for long is not on its way out, unless its commit waits for the disk or for a standby. */
async function areCommitting(session: Session, xids: ReadonlySet<string>, doing: Doing): Promise<boolean> {
  const ids = [...xids].map((xid) => `'${BigInt(xid) & 0xffff_ffffn}'`);
  const [row] = await session.query(
    `select exists (select from pg_stat_activity where wait_event in ('SyncRep', 'WALSync', 'WALWrite')
      and (backend_xid::text in (${ids.join(', ')}) or (backend_xid is null and wait_event = 'SyncRep')))::text`,
    doing,
  );
  return row?.[0] === 'true';
}

function warner(ctx: CallContext, message: string): () => void {
  let next = ctx.clock.nowMs() + WARN_MS;
  return () => {
    if (ctx.clock.nowMs() < next) return;
    next = ctx.clock.nowMs() + WARN_MS;
    ctx.log.warn(message);
  };
}
