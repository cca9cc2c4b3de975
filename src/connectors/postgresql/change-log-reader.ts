import type {KnownTables, LogBatch, LogColumn, LogPoint, LogReader, LogTable} from '../../sdk/index.ts';
import {FrameWriter} from '../../sdk/index.ts';
import {quoteLiteral} from '../../wire/pg/quote.ts';
import type {ReplicationStream} from '../../wire/pg/replication.ts';
import {formatLsn} from '../../wire/pg/replication.ts';
import {catalogKey, logColumn} from './log-table.ts';
import type {FramerStart, Relation} from './pgoutput-frames.ts';
import {PgoutputFramer} from './pgoutput-frames.ts';
import type {Session} from './session.ts';
import type {SourceType} from './source-type.ts';

/** What a {@link PgLogReader} reads. */
export interface LogReading {
  readonly stream: ReplicationStream;
  readonly start: FramerStart;
  /** Tables to stage, by oid and by `schema.name`: a table that was made anew has another oid, a renamed one another name. */
  readonly wanted: {readonly oids: ReadonlySet<number>; readonly names: ReadonlySet<string>};
  /** Tables as they were before what is read now. */
  readonly known: KnownTables;
  /** A session for questions to the catalog. */
  readonly openCatalog: () => Promise<Session>;
  /** What an error of the stream means. */
  readonly explain: (error: unknown) => Promise<unknown>;
}

/** Reads a replication stream as batches of frames. */
export class PgLogReader implements LogReader {
  readonly #reading: LogReading;
  readonly #writer = new FrameWriter();
  readonly #framer: PgoutputFramer;
  readonly #types = new Map<number, SourceType>();
  #catalog: Session | null = null;
  #end: bigint;

  constructor(reading: LogReading) {
    this.#reading = reading;
    this.#framer = new PgoutputFramer(this.#writer, reading.start);
    this.#end = reading.start.from;
  }

  async *batches(): AsyncGenerator<LogBatch, void> {
    const {stream, explain} = this.#reading;
    try {
      for (;;) {
        const {bytes, stop} = this.#framer.run(stream.messages());
        stream.skip(bytes);
        if (this.#framer.takeReply()) stream.reply();
        if (stop === 'relation') await this.#resolve();
        else if (stop === 'full' || (this.#isWhole && (this.#writer.length > 0 || this.#hasMoved))) yield this.#take();
        else await stream.more();
      }
    } catch (error) {
      throw await explain(error);
    }
  }

  acknowledge(point: LogPoint): void {
    this.#reading.stream.acknowledge(point.position);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reading.stream[Symbol.asyncDispose]();
    await this.#catalog?.[Symbol.asyncDispose]();
    this.#catalog = null;
  }

  get #isWhole(): boolean {
    return !this.#writer.isInTransaction;
  }

  get #hasMoved(): boolean {
    return this.#framer.hasEnd;
  }

  #take(): LogBatch {
    const end = this.#framer.takeEnd();
    if (end !== null && end > this.#end) this.#end = end;
    return this.#writer.take(end === null ? null : pointAt(this.#end));
  }

  async #resolve(): Promise<void> {
    const {oid, message} = this.#framer.missing;
    if (message === undefined) {
      this.#framer.resolve({oid, table: null, isPart: false, reset: null});
      return;
    }
    if (this.#catalog?.isOpen !== true) this.#catalog = await this.#reading.openCatalog();
    this.#framer.resolve(await this.#lookUp(this.#catalog, parseRelation(message)));
  }

  async #lookUp(session: Session, described: DescribedRelation): Promise<Relation> {
    const {oid, namespace, name} = described;
    const [found] = await session.query(
      `select r.oid::text, n.nspname::text, r.relname::text from pg_class c
        join pg_class r on r.oid = case when c.relispartition then pg_partition_root(c.oid) else c.oid end
        join pg_namespace n on n.oid = r.relnamespace where c.oid = ${oid}`,
      DOING,
    );
    const isPart = found?.[0] !== undefined && found[0] !== String(oid);
    const root = isPart
      ? {id: Number(found[0]), namespace: found[1] ?? '', name: found[2] ?? ''}
      : {id: oid, namespace, name};
    const {oids, names} = this.#reading.wanted;
    if (!oids.has(root.id) && !names.has(tableName(root.namespace, root.name)))
      return {oid, table: null, isPart, reset: null};
    const identity = described.identity === 'f' ? 'full' : described.columns.some(({isKey}) => isKey) ? 'key' : 'none';
    const catalogKeys = new Set(identity === 'key' ? [] : await catalogKey(session, root.id));
    const types = await this.#sourceTypes(session, described);
    const columns = described.columns.map((column, index): LogColumn => {
      const isKey = identity === 'key' ? column.isKey : catalogKeys.has(column.name);
      return logColumn(column.name, types[index] ?? UNKNOWN_TYPE, isKey, session);
    });
    const table: LogTable = {id: root.id, namespace: [root.namespace], name: root.name, columns, identity};
    const before = this.#framer.shownTable(root.id) ?? this.#reading.known(root.id);
    const added = before === undefined ? [] : addedColumns(before, table);
    return {oid, table, isPart, reset: await whyFilled(session, root.id, added)};
  }

  /** Types by oid, domains followed down to what they are made of. A type that is gone by now is read as text. */
  async #sourceTypes(session: Session, {columns}: DescribedRelation): Promise<readonly SourceType[]> {
    const unknown = [...new Set(columns.map(({typeOid}) => typeOid))].filter((oid) => !this.#types.has(oid));
    if (unknown.length > 0) {
      const rows = await session.query(
        `with recursive base as (
            select o.oid as key, o.oid as typid, -1 as typmod from unnest(array[${unknown.join(',')}]::oid[]) o (oid)
            union all
            select b.key, t.typbasetype, case when b.typmod = -1 then t.typtypmod else b.typmod end
            from base b join pg_type t on t.oid = b.typid where t.typtype = 'd')
          select b.key::text, t.typname::text, (t.typnamespace = 'pg_catalog'::regnamespace)::text, (t.typtype = 'e')::text, b.typmod::text
          from base b join pg_type t on t.oid = b.typid and t.typtype <> 'd'`,
        DOING,
      );
      for (const [oid, name, builtIn, isEnum, modifier] of rows) {
        const type = {
          name: name ?? '',
          builtIn: builtIn === 'true',
          isEnum: isEnum === 'true',
          modifier: Number(modifier),
        };
        this.#types.set(Number(oid), type);
      }
    }
    return columns.map(({typeOid, modifier}) => {
      const type = this.#types.get(typeOid) ?? UNKNOWN_TYPE;
      return modifier === -1 ? type : {...type, modifier};
    });
  }
}

function addedColumns(before: LogTable, now: LogTable): readonly string[] {
  const known = new Set(before.columns.map(({name}) => name));
  return now.columns.filter(({name}) => !known.has(name)).map(({name}) => name);
}

/**
 * What `ADD COLUMN` gave to the rows that were there is in no log. Constants are in the catalog, as missing values; with defaults that
 * differ from row to row (their expressions call functions) the table was rewritten. A default that was set later fills nothing, and
 * is mistaken for one only if it calls a function.
 */
async function whyFilled(session: Session, oid: number, added: readonly string[]): Promise<string | null> {
  if (added.length === 0) return null;
  const [filled] = await session.query(
    `select a.attname::text from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
      where a.attrelid = ${oid} and a.attname in (${added.map(quoteLiteral).join(', ')}) and not a.attisdropped
        and (a.atthasmissing or a.attidentity <> '' or a.attgenerated = 's' or pg_get_expr(d.adbin, d.adrelid) like '%(%') limit 1`,
    DOING,
  );
  const name = filled?.[0] ?? null;
  return name === null
    ? null
    : `Column "${name}" was added with values for the rows that were there; the log does not hold them.`;
}

/** The point behind an LSN. */
export function pointAt(lsn: bigint): LogPoint {
  return {position: lsn, token: {lsn: formatLsn(lsn)}};
}

/** A table's name as {@link LogReading.wanted} has it. */
export function tableName(schema: string, name: string): string {
  return JSON.stringify([schema, name]);
}

const DOING = {what: 'look up a table of the log'};
const UNKNOWN_TYPE: SourceType = {name: 'unknown', builtIn: false, isEnum: false, modifier: -1};

/** A relation message. */
interface DescribedRelation {
  readonly oid: number;
  readonly namespace: string;
  readonly name: string;
  readonly identity: string;
  readonly columns: readonly {
    readonly isKey: boolean;
    readonly name: string;
    readonly typeOid: number;
    readonly modifier: number;
  }[];
}

function parseRelation(message: Buffer): DescribedRelation {
  let at = 5;
  const text = (): string => {
    const end = message.indexOf(0, at);
    const value = message.toString('utf8', at, end);
    at = end + 1;
    return value;
  };
  const namespace = text();
  const name = text();
  const identity = String.fromCharCode(message[at] ?? 0);
  const count = message.readUInt16BE(at + 1);
  at += 3;
  const columns = Array.from({length: count}, () => {
    const isKey = ((message[at++] ?? 0) & 1) === 1;
    const column = {isKey, name: text(), typeOid: message.readUInt32BE(at), modifier: message.readInt32BE(at + 4)};
    at += 8;
    return column;
  });
  // An empty name means pg_catalog.
  return {
    oid: message.readUInt32BE(1),
    namespace: namespace === '' ? 'pg_catalog' : namespace,
    name,
    identity,
    columns,
  };
}
