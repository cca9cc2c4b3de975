import type {LogTable, TableReset} from '../../sdk/index.ts';
import {qualifiedName} from '../../sdk/index.ts';
import type {CatalogColumn, CatalogOptions, SourceTable} from './catalog.ts';
import {
  numberOf,
  primaryKeyOf,
  quoteIdentifier,
  readColumns,
  shapeOf,
  tableSql,
  textOf,
  toLogTable,
} from './catalog.ts';
import {keyCondition} from './change-sql.ts';
import {valueSql} from './column-type.ts';
import type {ChangeFeed, ChangeRange, FeedChange, FeedPiece, FeedTable, Look} from './feed.ts';
import {CHANGE, RowWriter} from './row-format.ts';
import {reasonToReset} from './schema-change.ts';
import type {Cell, Session} from './session.ts';
import {logLost} from './source-errors.ts';

const LOOKING = {what: 'look for changes'};

const VERSION = `select convert(varchar(20), change_tracking_current_version()), convert(varchar(27), sysutcdatetime(), 121)`;

/** The newest version of change tracking, null while it is off, and the time. */
export async function currentVersion(
  session: Session,
): Promise<{readonly version: bigint | null; readonly at: bigint}> {
  const [row] = await session.query(VERSION, LOOKING);
  const version = row?.[0];
  return {version: typeof version === 'string' ? BigInt(version) : null, at: microsOf(textOf(row?.[1]))};
}

/** Microseconds since 1970 of a time in UTC as style 121 writes it. */
export function microsOf(text: string): bigint {
  const [seconds = '', fraction = ''] = text.split('.');
  const milliseconds = Date.parse(`${seconds.replace(' ', 'T')}Z`);
  return Number.isNaN(milliseconds) ? 0n : BigInt(milliseconds) * 1000n + BigInt(fraction.padEnd(6, '0').slice(0, 6));
}

/** The tables to follow with the oldest version from which each can go on; null: change tracking is off. */
function stateSql(objects: readonly number[]): string {
  return `select o.object_id, schema_name(o.schema_id), o.name, convert(varchar(20), change_tracking_min_valid_version(o.object_id))
 from sys.objects as o where o.object_id in (${objects.join(', ')}) order by o.object_id`;
}

/** Reads change tracking: which rows changed, and what is in them now. */
export class ChangeTrackingFeed implements ChangeFeed {
  readonly #session: Session;
  readonly #tables: readonly LogTable[];
  readonly #options: CatalogOptions;
  /** Tables as the last look had them. */
  readonly #known = new Map<number, SourceTable>();

  /** The feed owns the session. */
  constructor(session: Session, tables: readonly LogTable[], options: CatalogOptions) {
    this.#session = session;
    this.#tables = tables;
    this.#options = options;
  }

  async look(from: bigint, shapes: Readonly<Record<string, string>>): Promise<Look | null> {
    const session = this.#session;
    await session.beginSnapshot(LOOKING);
    const {version, at} = await currentVersion(session);
    if (version === null) throw logLost('change tracking was switched off');
    if (version < from) throw logLost(`they were read up to version ${from}, and the database is at ${version}`);
    const {tables, resets} = await this.#describe(from, shapes);
    return {
      to: version,
      at,
      resets,
      tables: tables.map((table) => ({table: toLogTable(table), shape: shapeOf(table)})),
      read: (table, range) => this.#read(table, range),
      [Symbol.asyncDispose]: () => (session.isOpen ? session.rollback(LOOKING) : Promise.resolve()),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session[Symbol.asyncDispose]();
  }

  async #describe(
    from: bigint,
    shapes: Readonly<Record<string, string>>,
  ): Promise<{readonly tables: readonly SourceTable[]; readonly resets: readonly TableReset[]}> {
    const ids = this.#tables.map(({id}) => id);
    if (ids.length === 0) return {tables: [], resets: []};
    const states = await this.#session.query(stateSql(ids), LOOKING);
    const columns = await readColumns(this.#session, ids, this.#options);
    const tables: SourceTable[] = [];
    const resets: TableReset[] = [];
    for (const id of ids) {
      const state = states.find((row) => numberOf(row[0]) === id);
      const found = state === undefined ? null : tableOf(state, columns.get(id) ?? []);
      const message = this.#resetReason(found, {from, oldest: state?.[3] ?? null, shape: shapes[String(id)]});
      if (message !== null && this.#known.get(id) !== GONE) resets.push({table: id, message});
      const isReadable = found !== null && state?.[3] !== null && found.primaryKey.length > 0;
      this.#known.set(id, isReadable ? found : GONE);
      if (isReadable) tables.push(found);
    }
    return {tables, resets};
  }

  /** Why the changes do not tell all of a table; null when they do. */
  #resetReason(
    found: SourceTable | null,
    {from, oldest, shape}: {readonly from: bigint; readonly oldest: Cell; readonly shape: string | undefined},
  ): string | null {
    if (found === null) return 'the table is not there any more';
    if (oldest === null) return 'change tracking of the table is off';
    if (found.primaryKey.length === 0) return 'the table has no primary key any more';
    const known = this.#known.get(found.id);
    if (known === GONE) return 'the table can be followed again';
    if (BigInt(textOf(oldest)) > from)
      return `its changes up to version ${textOf(oldest)} are not kept any more, or it was truncated`;
    if (known !== undefined) return reasonToReset(known, found);
    return shape === undefined || shape === shapeOf(found) ? null : 'its columns changed while nobody read its changes';
  }

  async *#read({table}: FeedTable, range: ChangeRange): AsyncGenerator<FeedPiece, void> {
    const source = this.#known.get(table.id);
    if (source === undefined || source === GONE) return;
    const name = qualifiedName([source.schema, source.name]);
    const doing = {what: `read the changes of table "${name}"`, table: name};
    const {from, to, limit} = range;
    const parameters = [
      {name: 'from', type: 'bigint', value: from},
      {name: 'to', type: 'bigint', value: to},
      ...(limit === null ? [] : [{name: 'rows', type: 'int', value: limit} as const]),
    ] as const;
    const writer = new RowWriter();
    for await (const rows of this.#session.stream(changesSql(source, limit !== null), doing, parameters)) {
      const changes = rows.map((row) => changeOf(row, writer));
      yield {changes, rows: rows.length, last: changes.at(-1)?.mark ?? from};
    }
  }
}

/** What is known of a table that cannot be followed now. */
const GONE: SourceTable = {
  id: 0,
  schema: '',
  name: '',
  kind: 'table',
  columns: [],
  keys: [],
  primaryKey: [],
  estimatedRows: null,
};

function tableOf([id, schema, name]: readonly Cell[], columns: readonly CatalogColumn[]): SourceTable {
  const primaryKey = primaryKeyOf(columns);
  return {
    id: numberOf(id),
    schema: textOf(schema),
    name: textOf(name),
    kind: 'table',
    columns,
    keys: primaryKey,
    primaryKey,
    estimatedRows: null,
  };
}

/** The statement that reads changes with the rows as they are now; a deleted row has its key alone. */
export function changesSql(table: SourceTable, isLimited: boolean): string {
  const key = new Set(table.primaryKey);
  const values = table.columns.map(({name, type}) =>
    valueSql(type, `${key.has(name) ? 'ct' : 'source'}.${quoteIdentifier(name)}`),
  );
  const [first = ''] = table.primaryKey;
  return `select${isLimited ? ' top (@rows)' : ''} convert(varchar(20), ct.SYS_CHANGE_VERSION), ct.SYS_CHANGE_OPERATION,
 case when source.${quoteIdentifier(first)} is null then 0 else 1 end, ${values.join(', ')}
 from changetable(changes ${tableSql(table)}, @from) as ct left join ${tableSql(table)} as source on ${keyCondition(table.primaryKey, 'source', 'ct')}
 where ct.SYS_CHANGE_VERSION <= @to
 order by ct.SYS_CHANGE_VERSION, case ct.SYS_CHANGE_OPERATION when 'D' then 0 else 1 end`;
}

function changeOf([version, operation, isThere, ...values]: readonly Cell[], writer: RowWriter): FeedChange {
  writer.clear();
  // A row that was deleted after its change is gone.
  const isGone = operation === 'D' || isThere !== 1;
  writer.byte(isGone ? CHANGE.delete : operation === 'I' ? CHANGE.insert : CHANGE.update);
  writer.row(values);
  return {mark: BigInt(textOf(version)), committedAt: null, payload: Buffer.from(writer.bytes)};
}
