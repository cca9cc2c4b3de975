import type {CallContext, DataType, KeyHash, Offset, RangeSum, VerifyPoint, VerifyScope} from '../../sdk/index.ts';
import {
  bucketing,
  canonicalCell,
  IngestError,
  parseCursorOffset,
  renderPredicate,
  typesEqual,
} from '../../sdk/index.ts';
import {quoteLiteral} from '../../wire/pg/quote.ts';
import {canonicalSql, hashSql, rowTextSql} from './canonical-sql.ts';
import type {SourceColumn, SourceTable} from './catalog.ts';
import {columnName, relationSql, tableSql} from './catalog.ts';
import {CopyDecoder} from './copy-decoder.ts';
import {cursorOf} from './cursor.ts';
import {upToSql} from './incremental.ts';
import {partsSql} from './publication.ts';
import type {Session} from './session.ts';
import type {Doing} from './source-errors.ts';
import {sourceError} from './source-errors.ts';
import {mapType} from './source-type.ts';

/** Opens the comparison of a table in a session that is at a snapshot of it. The point owns the session. */
export async function openPoint(
  session: Session,
  table: SourceTable,
  {scope, end, exact = false}: VerifyTarget,
): Promise<VerifyPoint> {
  const doing = {what: `verify table "${scope.table}"`, table: scope.table};
  const {compared, excluded} = matchColumns(table, scope);
  const keys = scope.keys.map((key) => compared.find((column) => column.name === key));
  if (keys.some((key) => key === undefined)) {
    throw new IngestError('UNSUPPORTED', `Cannot ${doing.what}: a key column cannot be compared.`, {
      fix: 'See the excluded columns of the report.',
      context: {table: scope.table},
    });
  }
  // Thousands of short expressions: compiling them takes longer than running them.
  const [row] = await session.query('set jit = off; select txid_current_snapshot()::text', doing);
  const keyColumns = keys.filter((key) => key !== undefined);
  const rows = [...filterOf(scope), ...landedSql(table, {scope, end})];
  const touched = exact ? null : touchedSql(table, {scope, end});
  const token = `snapshot ${row?.[0] ?? ''}`;
  return new PostgresPoint({
    session,
    table,
    scope,
    compared,
    keys: keyColumns,
    excluded,
    rows,
    touched,
    doing,
    token,
    exact,
  });
}

/** What is compared: the rows up to where the flow stands. */
export interface VerifyTarget {
  readonly scope: VerifyScope;
  readonly end: Offset | null;
  /** The session is at the snapshot that the flow read. */
  readonly exact?: boolean;
}

interface PointParts {
  readonly session: Session;
  readonly table: SourceTable;
  readonly scope: VerifyScope;
  readonly compared: readonly SourceColumn[];
  readonly keys: readonly SourceColumn[];
  readonly excluded: VerifyPoint['excluded'];
  /** SQL conditions of the rows that must be in the destination. */
  readonly rows: readonly string[];
  /** SQL condition of rows that may have changed since; null when nothing tells. */
  readonly touched: string | null;
  readonly doing: Doing;
  readonly token: string;
  readonly exact: boolean;
}

class PostgresPoint implements VerifyPoint {
  readonly token: string;
  readonly excluded: VerifyPoint['excluded'];
  readonly exact: boolean;
  readonly #parts: PointParts;
  readonly #hash: string;
  readonly #bucket: string;
  readonly #landed: string;
  #misfits: ReadonlyMap<string, bigint> | null = null;
  #isHeld: boolean;

  constructor(parts: PointParts) {
    this.#parts = parts;
    this.token = parts.token;
    this.excluded = parts.excluded;
    this.exact = parts.exact;
    // The session that the snapshot was joined from has locked the table.
    this.#isHeld = parts.exact;
    this.#hash = hashSql(rowTextSql(parts.compared));
    this.#bucket = bucketSql(parts, this.#hash);
    this.#landed = fromSql(parts.table, parts.rows);
  }

  async sums(ctx: CallContext): Promise<readonly RangeSum[]> {
    const {compared, session, doing} = this.#parts;
    const lossy = compared.filter((column) => canMisfit(column.mapping.type));
    const lost = lossy.map(
      (column, index) => `, (${columnName(column.name)} is not null and ${canonicalSql(column)} is null) as m${index}`,
    );
    const counts = lossy.map((_, index) => `, count(*) filter (where m${index})::text`);
    const sql = `select bucket::text, count(*)::text, count(hash)::text, coalesce(sum(hash), 0)::text${counts.join('')}
      from (select ${this.#bucket} as bucket, ${this.#hash} as hash${lost.join('')} from ${this.#landed}) as hashed group by bucket`;
    await this.#hold(ctx);
    const found = await session.withSignal(ctx.signal).query(sql, doing);
    const total = (index: number): bigint => found.reduce((sum, row) => sum + BigInt(row[index + 4] ?? 0), 0n);
    this.#misfits = new Map(lossy.map((column, index) => [column.name, total(index)]));
    return found.map(([bucket, count, hashed, sum]) => ({
      bucket: Number(bucket),
      count: BigInt(count ?? 0),
      hashed: BigInt(hashed ?? 0),
      sum: BigInt(sum ?? 0),
    }));
  }

  async misfits(ctx: CallContext): Promise<ReadonlyMap<string, bigint>> {
    if (this.#misfits === null) await this.sums(ctx);
    return this.#misfits ?? new Map();
  }

  async *keys(buckets: readonly number[], ctx: CallContext): AsyncGenerator<readonly KeyHash[], void> {
    const {table, keys, rows} = this.#parts;
    const select = [...keys.map(canonicalSql), `(${this.#hash})::text`];
    const from = fromSql(table, [...rows, ...this.#inBuckets(buckets)]);
    for await (const texts of this.#read(select, from, ctx)) {
      yield texts.map((row) => ({key: row.slice(0, -1), hash: BigInt(row.at(-1) ?? 0)}));
    }
  }

  async *touched(
    buckets: readonly number[],
    ctx: CallContext,
  ): AsyncGenerator<readonly (readonly (string | null)[])[], void> {
    const {table, keys, touched} = this.#parts;
    if (touched === null || keys.length === 0) return;
    yield* this.#read(keys.map(canonicalSql), fromSql(table, [touched, ...this.#inBuckets(buckets)]), ctx);
  }

  async columnHashes(
    keys: readonly (readonly (string | null)[])[],
    ctx: CallContext,
  ): Promise<ReadonlyMap<string, readonly (bigint | null)[]>> {
    const {table, scope, compared, keys: keyColumns, rows, session, doing} = this.#parts;
    const found = new Map<string, readonly (bigint | null)[]>();
    if (keys.length === 0 || keyColumns.length === 0) return found;
    const hashes = compared.map((column) => `(${hashSql(canonicalSql(column))})::text`);
    const from = fromSql(table, [...rows, oneOf(keyColumns, keys)]);
    const sql = `select ${[...keyColumns.map(canonicalSql), ...hashes].join(', ')} from ${from}`;
    await this.#hold(ctx);
    const places = scope.columns.map(({name}) => compared.findIndex((column) => column.name === name));
    for (const row of await session.withSignal(ctx.signal).query(sql, doing)) {
      const values = row.slice(keyColumns.length).map((text) => (text === null ? null : BigInt(text)));
      found.set(
        JSON.stringify(row.slice(0, keyColumns.length)),
        places.map((place) => values[place] ?? null),
      );
    }
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.session[Symbol.asyncDispose]();
  }

  async #hold(ctx: CallContext): Promise<void> {
    if (this.#isHeld) return;
    const {session, table, doing} = this.#parts;
    await holdTable(session.withSignal(ctx.signal), table, doing);
    this.#isHeld = true;
  }

  #inBuckets(buckets: readonly number[]): readonly string[] {
    return buckets.length === this.#parts.scope.buckets ? [] : [`${this.#bucket} in (${buckets.join(', ')})`];
  }

  /** Rows of texts. */
  async *#read(select: readonly string[], from: string, ctx: CallContext): AsyncGenerator<(string | null)[][], void> {
    const {session, doing} = this.#parts;
    await this.#hold(ctx);
    const decoder = new CopyDecoder(
      select.map((_, index) => ({name: `c${index}`, mapping: TEXT, nullable: true})),
      {checkUtf8: false},
    );
    try {
      for await (const range of session.withSignal(ctx.signal).copyBinary(`select ${select.join(', ')} from ${from}`)) {
        for (const {batch} of decoder.decode(range)) {
          const {columns, rowCount} = batch;
          yield Array.from({length: rowCount}, (_, row) =>
            columns.map((column) => canonicalCell(column, row, 'string')),
          );
        }
      }
    } catch (error) {
      throw sourceError(error, doing);
    }
  }
}

const TEXT = mapType({name: 'text', builtIn: true, isEnum: false, modifier: -1});

/**
 * Locks a table as reading does, in a snapshot that is older than the lock.
 * @throws SOURCE_ERROR when the table was emptied or made anew in between: it would look empty
 */
async function holdTable(session: Session, table: SourceTable, doing: Doing): Promise<void> {
  const {oid} = table;
  await session.query(`select from ${tableSql(table)} limit 0`, doing);
  // The rows of pg_class are those of the snapshot, what functions say is how things are now.
  const [row] = await session.query(
    `select (to_regclass(${quoteLiteral(tableSql(table))}) is distinct from ${oid}::regclass or exists (select from pg_class c
      where (c.oid = ${oid} or c.oid in (select oid from ${partsSql(oid)} part)) and c.relfilenode is distinct from coalesce(pg_relation_filenode(c.oid), 0)))::text`,
    doing,
  );
  if (row?.[0] === 'false') return;
  throw new IngestError('SOURCE_ERROR', `Cannot ${doing.what}: it was emptied or made anew meanwhile.`, {
    fix: 'Run the pipeline, then verify again.',
    context: {table: table.name},
  });
}

/** The columns that both sides have with types whose canonical texts are the same, in the destination's order. */
function matchColumns(
  table: SourceTable,
  scope: VerifyScope,
): {readonly compared: readonly SourceColumn[]; readonly excluded: VerifyPoint['excluded']} {
  const compared: SourceColumn[] = [];
  const excluded: {name: string; reason: string}[] = [];
  for (const {name, type} of scope.columns) {
    const column = table.columns.find((candidate) => candidate.name === name);
    if (column === undefined) excluded.push({name, reason: 'the source has no such column now'});
    else if (sameTexts(column.mapping.type, type)) compared.push(column);
    else excluded.push({name, reason: `its type in the source (${column.typeName}) is no longer the one that landed`});
  }
  return {compared, excluded};
}

/** Wider types of the same kind have the same texts. */
function sameTexts(source: DataType, landed: DataType): boolean {
  if (typesEqual(source, landed)) return true;
  if (typeof source === 'string' && typeof landed === 'string') {
    const wholes = ['byte', 'short', 'integer', 'long'];
    if (wholes.includes(source) && wholes.includes(landed)) return wholes.indexOf(source) < wholes.indexOf(landed);
    return source === 'float' && landed === 'double';
  }
  if (
    typeof source === 'string' ||
    typeof landed === 'string' ||
    source.type !== 'decimal' ||
    landed.type !== 'decimal'
  )
    return false;
  return source.scale === landed.scale && source.precision <= landed.precision;
}

/** Neither condition is true where it is NULL. */
function filterOf({filter, deleted}: VerifyScope): readonly string[] {
  return [
    ...(filter === undefined ? [] : [`${renderPredicate(filter, 'postgresql')} is true`]),
    ...(deleted === undefined ? [] : [`${renderPredicate(deleted, 'postgresql')} is not true`]),
  ];
}

/** Rows up to where the flow stands; a snapshot is compared whole. */
function landedSql(table: SourceTable, {scope, end}: VerifyTarget): readonly string[] {
  const cursor = cursorOf(table, scope.options);
  if (cursor === null || end === null) return [];
  return [`(${upToSql(table, cursor, parseCursorOffset(end, cursor, scope.table))} or ${cursor.sql} is null)`];
}

/**
 * Rows whose value is not up to the flow's end: behind it, or without a cursor. After a snapshot: row versions made by
 * transactions that the snapshot did not see; rows that were deleted since leave nothing to see.
 */
function touchedSql(table: SourceTable, {scope, end}: VerifyTarget): string | null {
  if (end === null) return null;
  const cursor = cursorOf(table, scope.options);
  if (cursor !== null)
    return `(not (${upToSql(table, cursor, parseCursorOffset(end, cursor, scope.table))}) or ${cursor.sql} is null)`;
  const {snapshot} = end;
  if (typeof snapshot !== 'string' || table.kind === 'v' || table.kind === 'f') return null;
  // xmin has 32 bits: it is taken as the latest transaction with these.
  const now = 'txid_snapshot_xmax(txid_current_snapshot())';
  const made = `${now} - ((${now} - source.xmin::text::bigint) & 4294967295)`;
  return `not txid_visible_in_snapshot(${made}, ${quoteLiteral(snapshot)}::txid_snapshot)`;
}

function fromSql(table: SourceTable, conditions: readonly string[]): string {
  return `${relationSql(table)}${conditions.length === 0 ? '' : ` where ${conditions.join(' and ')}`}`;
}

function bucketSql({keys, scope}: PointParts, rowHash: string): string {
  const [key] = keys;
  const rule = bucketing(keys.map(({mapping}) => mapping.type));
  if (rule === 'remainder' && key !== undefined) return `abs(${columnName(key.name)}::int8 % ${scope.buckets})::int`;
  const hash = rule === 'row-hash' ? rowHash : hashSql(rowTextSql(keys));
  return `((${hash} >> 48) % ${scope.buckets})::int`;
}

/** Rows with one of the keys: compared as values where an index may help, else by canonical text. */
function oneOf(columns: readonly SourceColumn[], keys: readonly (readonly (string | null)[])[]): string {
  const sides = columns.map((column) => {
    const byValue = INDEXED.has(column.mapping.decoding) && column.source.name !== 'bpchar';
    return {
      sql: byValue ? columnName(column.name) : canonicalSql(column),
      literal: (text: string): string => (byValue ? `${quoteLiteral(text)}::${column.typeName}` : quoteLiteral(text)),
    };
  });
  const rows = keys.map(
    (key) => `(${key.map((text, index) => (text === null ? 'null' : sides[index]?.literal(text))).join(', ')})`,
  );
  return `(${sides.map(({sql}) => sql).join(', ')}) in (${rows.join(', ')})`;
}

const INDEXED: ReadonlySet<string> = new Set(['int2', 'int4', 'int8', 'oid', 'decimal', 'uuid', 'text']);

/** Types that some values of their source type do not fit. */
function canMisfit(type: DataType): boolean {
  return (
    type === 'date' ||
    type === 'timestamp' ||
    type === 'timestamp_ntz' ||
    (typeof type === 'object' && type.type === 'decimal')
  );
}
