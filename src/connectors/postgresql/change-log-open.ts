import type {CallContext, KnownTables, LogReader} from '../../sdk/index.ts';
import {IngestError} from '../../sdk/index.ts';
import type {PgConnection} from '../../wire/pg/connection.ts';
import {PgError} from '../../wire/pg/pg-error.ts';
import {quoteLiteral} from '../../wire/pg/quote.ts';
import {formatLsn, ReplicationStream} from '../../wire/pg/replication.ts';
import {splitName} from './catalog.ts';
import {PgLogReader, tableName} from './change-log-reader.ts';
import type {LogNames} from './publication.ts';
import {foreignSlot, slotState} from './publication.ts';
import type {ConnectionOptions} from './session.ts';
import {openReplication, Session} from './session.ts';
import {sourceError} from './source-errors.ts';

/** What is to be read. */
export interface LogRequest {
  readonly options: ConnectionOptions;
  readonly names: LogNames;
  readonly from: bigint;
  readonly tables: readonly string[];
  readonly known: KnownTables;
}

const READING = {what: 'read the log'};
/** A server needs a moment to notice that the reader before us has died. */
const TAKEN_ATTEMPTS = 12;
const TAKEN_WAIT_MS = 500;

/** Opens the log behind a point. @throws LOG_LOST, CONCURRENT_RUN when somebody else reads from the slot */
export async function openReader(request: LogRequest, ctx: CallContext): Promise<LogReader> {
  const {options, names, from} = request;
  const start = await startOf(request, ctx);
  const {connection, timeoutMs} = await openReplication(options, ctx.signal);
  try {
    const plugin = {proto_version: '1', publication_names: quotedName(names.publication)};
    const stream = await startStream(connection, {slot: names.slot, from, plugin, timeoutMs}, {request, ctx});
    return new PgLogReader({
      stream,
      start: {from, xid: start.xid},
      wanted: start.wanted,
      known: request.known,
      openCatalog: () => Session.open(options, ctx.signal),
      explain: (error) => explain(error, request, ctx),
    });
  } catch (error) {
    await connection[Symbol.asyncDispose]();
    throw error;
  }
}

interface Start {
  readonly xid: bigint;
  readonly wanted: {readonly oids: ReadonlySet<number>; readonly names: ReadonlySet<string>};
}

async function startOf({options, names, from, tables}: LogRequest, ctx: CallContext): Promise<Start> {
  await using session = await Session.open(options, ctx.signal);
  await checkSlot(session, names, from);
  const wanted = tables.map(splitName);
  const pairs = wanted.map(({schema, name}) => `(${quoteLiteral(schema)}, ${quoteLiteral(name)})`);
  const found =
    pairs.length === 0
      ? []
      : await session.query(
          `select c.oid::text from pg_class c join pg_namespace n on n.oid = c.relnamespace where (n.nspname, c.relname) in (${pairs.join(', ')})`,
          READING,
        );
  const [now] = await session.query('select pg_snapshot_xmax(pg_current_snapshot())::text', READING);
  return {
    xid: BigInt(now?.[0] ?? 0),
    wanted: {
      oids: new Set(found.map((row) => Number(row[0]))),
      names: new Set(wanted.map(({schema, name}) => tableName(schema, name))),
    },
  };
}

/** The server would begin where the slot stands, whatever it is asked for: a slot that is ahead of us means lost changes. */
async function checkSlot(session: Session, names: LogNames, from: bigint): Promise<void> {
  const {slot} = names;
  const state = await slotState(session, slot);
  if (state === null) throw lost(slot, 'is gone');
  if (!state.isOfThisDatabase) throw foreignSlot(names, state);
  if (state.invalidation !== null) throw lost(slot, `was invalidated by the server (${state.invalidation})`);
  if (state.plugin !== 'pgoutput') {
    throw new IngestError('INVALID_OPTION', `The replication slot "${slot}" is one of the plugin "${state.plugin}".`, {
      fix: 'Name a slot of the plugin pgoutput of this database, or name none.',
      context: {slot},
    });
  }
  if (state.confirmed !== null && state.confirmed > from) {
    const where = `stands at ${formatLsn(state.confirmed)}, behind ${formatLsn(from)} where the reading would go on`;
    throw lost(slot, where);
  }
}

function lost(slot: string, how: string): IngestError {
  return new IngestError('LOG_LOST', `The replication slot "${slot}" ${how}: changes are lost.`, {
    fix: 'The tables must be read anew. Raise max_slot_wal_keep_size if the server threw the log away, and let nobody else use the slot.',
    context: {slot},
  });
}

async function startStream(
  connection: PgConnection,
  options: Parameters<typeof ReplicationStream.start>[1],
  {request, ctx}: {readonly request: LogRequest; readonly ctx: CallContext},
): Promise<ReplicationStream> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await ReplicationStream.start(connection, options, ctx.signal);
    } catch (error) {
      const isTaken = error instanceof PgError && error.sqlstate === '55006';
      if (!isTaken) throw await explain(error, request, ctx);
      if (attempt >= TAKEN_ATTEMPTS) throw await taken(error, request, ctx);
      await ctx.clock.sleep(TAKEN_WAIT_MS, ctx.signal);
    }
  }
}

async function taken(error: PgError, {options, names}: LogRequest, ctx: CallContext): Promise<IngestError> {
  await using session = await Session.open(options, ctx.signal);
  const [row] = await session.query(
    `select s.active_pid::text, coalesce(r.application_name, ''), coalesce(host(r.client_addr), 'a local socket') from pg_replication_slots s
      left join pg_stat_replication r on r.pid = s.active_pid where s.slot_name = ${quoteLiteral(names.slot)}`,
    READING,
  );
  const [pid, application, address] = row ?? [];
  const who =
    pid === null || pid === undefined ? 'somebody' : `process ${pid} ("${application ?? ''}" from ${address ?? '?'})`;
  return new IngestError('CONCURRENT_RUN', `The replication slot "${names.slot}" is being read by ${who}.`, {
    class: 'transient',
    fix: `Stop the other gateway. If it is dead: select pg_terminate_backend(${pid ?? 'pid'});`,
    cause: error,
    context: {slot: names.slot, pid: pid === null || pid === undefined ? null : Number(pid)},
  });
}

/** What went wrong in the stream. @see https://www.postgresql.org/docs/18/errcodes-appendix.html */
async function explain(error: unknown, {options, names, from}: LogRequest, ctx: CallContext): Promise<unknown> {
  if (!(error instanceof PgError)) return error;
  const isOfServer = error.kind === 'server' && ['42704', '55000'].includes(error.sqlstate);
  if (!isOfServer || ctx.signal.aborted) return sourceError(error, READING);
  try {
    await using session = await Session.open(options, ctx.signal);
    await checkSlot(session, names, from);
    const [found] = await session.query(
      `select 1 from pg_publication where pubname = ${quoteLiteral(names.publication)}`,
      READING,
    );
    if (error.sqlstate === '42704') return noPublication(names, found !== undefined, error);
  } catch (known) {
    return known;
  }
  return sourceError(error, READING);
}

function noPublication({publication, slot}: LogNames, exists: boolean, cause: PgError): IngestError {
  if (!exists) {
    return new IngestError('SOURCE_ERROR', `The publication "${publication}" does not exist.`, {
      class: 'config',
      fix: `Make it: create publication ${publication} for table ...`,
      cause,
      context: {publication},
    });
  }
  return new IngestError('LOG_LOST', `The publication "${publication}" is younger than the log of slot "${slot}".`, {
    fix: 'The slot must be made anew, and the tables read anew.',
    cause,
    context: {publication, slot},
  });
}

/** The option is a list of identifiers. */
function quotedName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
