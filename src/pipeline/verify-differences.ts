import type {ColumnBatch} from '../core/columns.ts';
import type {StructType} from '../core/types.ts';
import type {Engine, EngineRow} from '../engine/engine.ts';
import {quoteIdentifier} from '../engine/sql-types.ts';
import type {CallContext, VerifyColumn, VerifyPoint} from '../sdk/contract.ts';
import {bucketSql, canonicalSql, hashSql, rowTextSql} from './verify-sql.ts';

/** How a key differs. Seen from the source: `missing` in the destination, `extra` there. */
export type DifferenceKind = 'missing' | 'extra' | 'changed';

/** A key whose rows differ. */
export interface DifferentKey {
  readonly kind: DifferenceKind;
  /** Canonical texts of the key columns. */
  readonly key: readonly (string | null)[];
}

/** What a comparison of buckets, key by key, found. */
export interface Differences {
  readonly missing: number;
  readonly extra: number;
  readonly changed: number;
  /** Keys that differ and may have changed in the source since the flow read it. */
  readonly unproven: number;
  /** At most {@link MAX_SAMPLES} missing and extra ones and {@link MAX_CHANGED} changed ones, proven ones only. */
  readonly samples: readonly DifferentKey[];
}

/** Keys that are named, of each kind. */
export const MAX_SAMPLES = 100;
/** Changed keys whose columns are looked at. */
const MAX_CHANGED = 1000;

/** What is compared with what. */
export interface ComparedSides {
  readonly engine: Engine;
  readonly point: VerifyPoint;
  /** SELECT over the live rows of the destination. */
  readonly destination: string;
  readonly columns: readonly VerifyColumn[];
  /** Names of the columns that the point was opened with: the order of its hashes per column. */
  readonly asked: readonly string[];
  /** Empty: rows are compared as a multiset. */
  readonly keys: readonly VerifyColumn[];
  readonly buckets: number;
  /** The destination keeps every version of a row: a key is there as often as it changed, and the source's must be among them. */
  readonly everyVersion: boolean;
}

/** Compares the rows of some buckets key by key, in the engine: so it takes any number of them. */
export async function compareKeys(
  sides: ComparedSides,
  buckets: readonly number[],
  ctx: CallContext,
): Promise<Differences> {
  const {engine, point, keys} = sides;
  const source = engine.uniqueName('verify_source');
  const touched = engine.uniqueName('verify_touched');
  try {
    await fill(engine, {table: source, width: keys.length, hashed: true}, point.keys(buckets, ctx));
    await fill(engine, {table: touched, width: keys.length, hashed: false}, touchedKeys(point, buckets, ctx));
    const differences =
      keys.length === 0 ? multisetSql(sides, source, buckets) : keyedSql(sides, {source, touched, buckets});
    const found = engine.uniqueName('verify_found');
    await engine.run(`CREATE TEMP TABLE ${quoteIdentifier(found)} AS ${differences}`, ctx.signal);
    try {
      return await summary(engine, {found, width: keys.length}, ctx);
    } finally {
      await engine.dropTable(found);
    }
  } finally {
    await engine.dropTable(source);
    await engine.dropTable(touched);
  }
}

/** Names the columns in which rows of the same key differ, in the order of `keys`. */
export async function differentColumns(
  sides: ComparedSides,
  keys: readonly DifferentKey['key'][],
  ctx: CallContext,
): Promise<readonly (readonly string[])[]> {
  if (keys.length === 0) return [];
  const {engine, columns, destination, point} = sides;
  const wanted = engine.uniqueName('verify_wanted');
  const texts = sides.keys.map((key) => canonicalSql(key));
  try {
    await fill(engine, {table: wanted, width: texts.length, hashed: false}, once(keys.map((key) => ({key, hash: 0n}))));
    const hashes = columns.map((column, index) => `${hashSql(canonicalSql(column))} AS h${index}`);
    const on = texts.map((text, index) => `${text} IS NOT DISTINCT FROM wanted.__key${index}`).join(' AND ');
    const select = [...texts.map((text, index) => `${text} AS __key${index}`), ...hashes].join(', ');
    const rows = await engine.query(
      `SELECT ${select} FROM (${destination}) AS landed SEMI JOIN ${quoteIdentifier(wanted)} AS wanted ON ${on}`,
      ctx.signal,
    );
    const ours = onlyOnes(rows, (row) => JSON.stringify(texts.map((_, index) => row[`__key${index}`])));
    const theirs = await point.columnHashes(keys, ctx);
    return keys.map((key) => {
      const [left, right] = [theirs.get(JSON.stringify(key)), ours.get(JSON.stringify(key))];
      if (left === undefined || right === undefined) return [];
      return columns
        .map(({name}) => name)
        .filter((name, index) => (left[sides.asked.indexOf(name)] ?? null) !== (right[`h${index}`] ?? null));
    });
  } finally {
    await engine.dropTable(wanted);
  }
}

/** Rows by key, without the keys that several rows have: which of them to compare nobody knows. */
function onlyOnes(rows: readonly EngineRow[], keyOf: (row: EngineRow) => string): ReadonlyMap<string, EngineRow> {
  const found = new Map<string, EngineRow>();
  const repeated = new Set<string>();
  for (const row of rows) {
    const key = keyOf(row);
    if (found.has(key)) repeated.add(key);
    found.set(key, row);
  }
  for (const key of repeated) found.delete(key);
  return found;
}

/** Names that no column of a user has. */
const HASH = '__hash';

interface KeyRow {
  readonly key: readonly (string | null)[];
  readonly hash: bigint;
}

async function* touchedKeys(
  point: VerifyPoint,
  buckets: readonly number[],
  ctx: CallContext,
): AsyncGenerator<readonly KeyRow[], void> {
  if (point.touched === undefined) return;
  for await (const keys of point.touched(buckets, ctx)) yield keys.map((key) => ({key, hash: 0n}));
}

async function* once(rows: readonly KeyRow[]): AsyncGenerator<readonly KeyRow[], void> {
  yield await Promise.resolve(rows);
}

interface KeyTables {
  readonly source: string;
  readonly touched: string;
  readonly buckets: readonly number[];
}

/** One row per differing key (and kind), with the number of rows that it stands for. */
function keyedSql(sides: ComparedSides, {source, touched, buckets}: KeyTables): string {
  const names = sides.keys.map((_, index) => `__key${index}`);
  const rows = {source: quoteIdentifier(source), destination: `(${destinationRows(sides, buckets)})`};
  const differing = sides.everyVersion ? versionsSql(names, rows) : currentSql(names, rows);
  const unproven = `EXISTS (SELECT 1 FROM ${quoteIdentifier(touched)} AS t WHERE ${sameKey(names, 's', 't')})`;
  return `SELECT *, ${unproven} AS unproven FROM (${differing}) AS s`;
}

interface KeyedRows {
  readonly source: string;
  readonly destination: string;
}

/** Missing and extra rows have no partner; a key's rows are counted, so that one that is there twice is seen. */
function currentSql(names: readonly string[], {source, destination}: KeyedRows): string {
  const grouped = (from: string): string =>
    `SELECT ${names.join(', ')}, count(*) AS n, sum(${HASH}) AS h FROM ${from} GROUP BY ALL`;
  const either = names.map((name) => `coalesce(s.${name}, d.${name}) AS ${name}`).join(', ');
  const kind = `CASE WHEN d.n IS NULL THEN 'missing' WHEN s.n IS NULL THEN 'extra' ELSE 'changed' END`;
  return `SELECT ${kind} AS kind, ${either}, 1 AS n FROM (${grouped(source)}) AS s
    FULL JOIN (${grouped(destination)}) AS d ON ${sameKey(names, 's', 'd')}
    WHERE s.n IS NULL OR d.n IS NULL OR s.n <> d.n OR s.h <> d.h`;
}

/** Every row of the source must be there; a key with as many rows on both sides, and not the same ones, was changed. */
function versionsSql(names: readonly string[], {source, destination}: KeyedRows): string {
  const key = names.join(', ');
  const counted = (side: 's' | 'd', from: string): string =>
    `SELECT ${key}, ${HASH}, ${side === 's' ? 1 : 0} AS s, ${side === 'd' ? 1 : 0} AS d FROM ${from}`;
  return `SELECT kind, ${key}, n FROM (
      SELECT ${key}, sum(greatest(s - d, 0)) AS lost, sum(greatest(d - s, 0)) AS more, sum(s) = sum(d) AS balanced FROM (
        SELECT ${key}, ${HASH}, sum(s) AS s, sum(d) AS d FROM (${counted('s', source)} UNION ALL ${counted('d', destination)}) AS rows
        GROUP BY ALL) AS versions
      GROUP BY ${key}) AS per_key,
    LATERAL (VALUES ('changed', CASE WHEN balanced THEN lost ELSE 0 END), ('missing', CASE WHEN balanced THEN 0 ELSE lost END),
      ('extra', CASE WHEN balanced THEN 0 ELSE more END)) AS kinds(kind, n)
    WHERE n > 0`;
}

function sameKey(names: readonly string[], left: string, right: string): string {
  return names.map((name) => `${left}.${name} IS NOT DISTINCT FROM ${right}.${name}`).join(' AND ');
}

/** Rows without a key: those that one side has more often. */
function multisetSql(sides: ComparedSides, source: string, buckets: readonly number[]): string {
  const grouped = (from: string): string => `SELECT ${HASH} AS h, count(*) AS n FROM ${from} GROUP BY 1`;
  return `SELECT CASE WHEN coalesce(s.n, 0) > coalesce(d.n, 0) THEN 'missing' ELSE 'extra' END AS kind,
      abs(coalesce(s.n, 0) - coalesce(d.n, 0)) AS n, FALSE AS unproven
    FROM (${grouped(quoteIdentifier(source))}) AS s FULL JOIN (${grouped(`(${destinationRows(sides, buckets)})`)}) AS d ON s.h = d.h
    WHERE s.n IS DISTINCT FROM d.n`;
}

function destinationRows(
  {destination, keys, columns, buckets: count}: ComparedSides,
  buckets: readonly number[],
): string {
  const hash = hashSql(rowTextSql(columns));
  const texts = keys.map((key, index) => `${canonicalSql(key)} AS __key${index}, `).join('');
  const where = buckets.length === count ? '' : ` WHERE ${bucketSql(keys, hash, count)} IN (${buckets.join(', ')})`;
  return `SELECT ${texts}${hash} AS ${HASH} FROM (${destination}) AS landed${where}`;
}

async function summary(
  engine: Engine,
  {found, width}: {readonly found: string; readonly width: number},
  ctx: CallContext,
): Promise<Differences> {
  const table = quoteIdentifier(found);
  const counts = await engine.query(
    `SELECT CASE WHEN unproven THEN 'unproven' ELSE kind END AS kind, sum(n)::BIGINT AS n FROM ${table} GROUP BY 1`,
    ctx.signal,
  );
  const count = (kind: string): number => Number(counts.find((row) => row['kind'] === kind)?.['n'] ?? 0);
  const names = Array.from({length: width}, (_, index) => `__key${index}`);
  const samples: DifferentKey[] = [];
  for (const kind of ['missing', 'extra', 'changed'] as const) {
    if (width === 0) break;
    const rows = await engine.query(
      `SELECT ${names.join(', ')} FROM ${table} WHERE kind = '${kind}' AND NOT unproven ORDER BY ALL LIMIT ${kind === 'changed' ? MAX_CHANGED : MAX_SAMPLES}`,
      ctx.signal,
    );
    samples.push(...rows.map((row) => ({kind, key: names.map((name) => (row[name] ?? null) as string | null)})));
  }
  return {
    missing: count('missing'),
    extra: count('extra'),
    changed: count('changed'),
    unproven: count('unproven'),
    samples,
  };
}

interface KeyTable {
  readonly table: string;
  readonly width: number;
  readonly hashed: boolean;
}

async function fill(
  engine: Engine,
  {table, width, hashed}: KeyTable,
  pages: AsyncIterable<readonly KeyRow[]>,
): Promise<void> {
  const fields = Array.from({length: width}, (_, index) => ({
    name: `__key${index}`,
    type: 'string' as const,
    nullable: true,
    metadata: {},
  }));
  const hash = hashed || width === 0 ? [{name: HASH, type: 'long' as const, nullable: false, metadata: {}}] : [];
  const schema: StructType = {type: 'struct', fields: [...fields, ...hash]};
  await engine.createTable(table, schema);
  const appender = await engine.appender(table, schema);
  try {
    for await (const rows of pages) if (rows.length > 0) appender.append(batchOf(schema, rows));
  } finally {
    appender.close();
  }
}

function batchOf(schema: StructType, rows: readonly KeyRow[]): ColumnBatch {
  const columns = schema.fields.map((field, index) => {
    if (field.name === HASH)
      return {kind: 'fixed' as const, data: BigInt64Array.from(rows, (row) => row.hash), validity: null};
    return textVector(rows.map((row) => row.key[index] ?? null));
  });
  return {schema, rowCount: rows.length, columns};
}

function textVector(texts: readonly (string | null)[]): ColumnBatch['columns'][number] {
  const bytes = texts.map((text) => Buffer.from(text ?? ''));
  const lengths = Uint32Array.from(bytes, ({length}) => length);
  const starts = new Uint32Array(texts.length);
  const validity = new Uint8Array(Math.ceil(texts.length / 8));
  for (let row = 0, at = 0; row < texts.length; row++) {
    starts[row] = at;
    at += lengths[row] ?? 0;
    if (texts[row] !== null) validity[row >> 3] = (validity[row >> 3] ?? 0) | (1 << (row & 7));
  }
  return {kind: 'bytes', data: Buffer.concat(bytes), starts, lengths, validity};
}
