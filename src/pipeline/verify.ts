import type {Offset} from '../core/offset.ts';
import {END_COLUMN, RESCUED_COLUMN, type DataType, type StructType} from '../core/types.ts';
import type {DeltaTable} from '../delta/delta-table.ts';
import type {Engine} from '../engine/engine.ts';
import {quoteIdentifier, quoteLiteral} from '../engine/sql-types.ts';
import {isComparable} from '../sdk/canonical.ts';
import type {CallContext, Connector, RangeSum, VerifyColumn, VerifyPoint, VerifyScope} from '../sdk/contract.ts';
import {sourceName} from './column-names.ts';
import {TECHNICAL_COLUMNS} from './evolve-plan.ts';
import type {ResolvedFlow} from './resolved-flow.ts';
import {
  compareKeys,
  differentColumns,
  MAX_SAMPLES,
  type ComparedSides,
  type Differences,
} from './verify-differences.ts';
import {checkHistory} from './verify-history.ts';
import {openUnderLandedNames} from './verify-names.ts';
import {bucketSql, hashSql, jsonPointer, rowTextSql} from './verify-sql.ts';
import {judge, NOT_COMPARED, type RescuedColumn, type TableVerdict, type VerifyLevel} from './verify-verdict.ts';

/** What to compare. */
export interface VerifyRequest {
  readonly connector: Connector;
  readonly flow: ResolvedFlow;
  readonly table: DeltaTable;
  readonly engine: Engine;
  /** The offset of the table's last batch. */
  readonly end: Offset | null;
  readonly ctx: CallContext;
  /**
   * A view of the source that the caller opened, with what it shows; disposing it stays the caller's. Default: the
   * connector opens one of now.
   */
  readonly point?: {readonly view: VerifyPoint; readonly scope: VerifyScope; readonly level: VerifyLevel};
  /** Nobody asked: rows that may have been deleted in the source since it was read are no reason for an alarm. */
  readonly automatic?: boolean;
}

/**
 * Compares a destination with its source: both compute sums of row hashes by bucket, each by its own SQL, so that neither
 * the decoder nor the writer of the ingest has a part in it. Buckets that differ are compared key by key.
 * @throws what the source or the engine throws; a difference is a verdict, not an error.
 */
export async function verifyTable(request: VerifyRequest): Promise<TableVerdict> {
  const {connector, flow, table, ctx} = request;
  const startedAt = ctx.clock.nowMs();
  const level = request.point?.level ?? 'source_sums';
  const mode = level === 'reread' ? 'reread' : 'full';
  const {columns, excluded} = comparableColumns(table.snapshot.schema, flow);
  const of = (found: Found, evidence: VerifyLevel): TableVerdict => ({
    ...found,
    mode,
    level: evidence,
    destinationVersion: table.snapshot.version,
    elapsedMs: ctx.clock.nowMs() - startedAt,
  });
  const refuse = (reason: string): TableVerdict =>
    of({...NOT_COMPARED, excluded, verdict: 'not_comparable', reason}, 'none');
  if (columns.length === 0) return refuse('no column can be compared');
  if (request.point !== undefined) {
    const {view, scope} = request.point;
    return of(await compareAt(request, view, scope), level);
  }
  if (connector.openVerify === undefined)
    return refuse('the connector cannot compute sums in its source; --mode reread reads all rows once more instead');
  const scope = verifyScope(flow, columns, rowCount(table));
  const open = connector.openVerify.bind(connector);
  await using view = await openUnderLandedNames(flow, scope, (asked) => open(asked, request.end, ctx));
  return of(await compareAt(request, view, scope), level);
}

type Found = Omit<TableVerdict, 'mode' | 'level' | 'destinationVersion' | 'elapsedMs'>;

async function compareAt(request: VerifyRequest, point: VerifyPoint, scope: VerifyScope): Promise<Found> {
  const {flow, table, engine} = request;
  const comparable = comparableColumns(table.snapshot.schema, flow);
  const excluded = [...comparable.excluded, ...point.excluded];
  const inScope = new Set(scope.columns.map(({name}) => name));
  const columns = comparable.columns.filter(
    ({name}) => inScope.has(name) && point.excluded.every((one) => one.name !== name),
  );
  if (columns.length === 0)
    return {...NOT_COMPARED, verdict: 'not_comparable', reason: 'no column can be compared', excluded};
  const keys = scope.keys.map((key) => columns.find(({name}) => name === key)).filter((key) => key !== undefined);
  const destination = await liveRows(
    table,
    columns.map(({name}) => name),
    flow.target === 'scd2',
  );
  const asked = scope.columns.map(({name}) => name);
  const sides: ComparedSides = {
    engine,
    point,
    destination,
    columns,
    asked,
    keys,
    buckets: scope.buckets,
    everyVersion: flow.target === 'append',
  };
  const found = await compare(sides, request);
  return {...found, sourcePoint: point.token, excluded, columnsCompared: columns.length};
}

/** SELECT over the rows that the source must have: of a table with history those that have not ended. */
async function liveRows(table: DeltaTable, names: readonly string[], hasHistory: boolean): Promise<string> {
  const {snapshot} = table;
  const wanted = new Set([...names, RESCUED_COLUMN, ...(hasHistory ? [END_COLUMN] : [])]);
  const columns = snapshot.schema.fields.map(({name}) => name).filter((name) => wanted.has(name));
  const all = await table.readSql({snapshot, columns});
  if (!hasHistory) return all;
  const end = quoteIdentifier(END_COLUMN);
  return `SELECT * EXCLUDE (${end}) FROM (${all}) AS versions WHERE ${end} IS NULL`;
}

/** Rows that are compared key by key at most; further buckets that differ are only counted. */
const MAX_DRILLED_ROWS = 5_000_000n;
const ROWS_PER_BUCKET = 2000;
const MAX_BUCKETS = 4096;
/** Odds that two texts have one hash. */
const HASH_COLLISION = 2 ** -60;

async function compare(sides: ComparedSides, request: VerifyRequest): Promise<Found> {
  const {point, buckets, engine} = sides;
  const {ctx, flow, table} = request;
  const [source, destination] = await both(point.sums(ctx), destinationSums(sides, ctx));
  const differing = differingBuckets(source, destination);
  const drilled = withinLimit(differing);
  const differences = drilled.length === 0 ? NO_DIFFERENCES : await compareKeys(sides, drilled, ctx);
  const rescued = await rescuedColumns(sides, hasColumn(table, RESCUED_COLUMN) ? flow : null, ctx);
  const history =
    flow.target === 'scd2' && hasColumn(table, END_COLUMN)
      ? await checkHistory(engine, table, {keys: flow.keys, signal: ctx.signal})
      : null;
  const seen = {
    differences,
    rescued,
    history,
    unhashed: source.some(({count, hashed}) => count !== hashed),
    partly:
      drilled.length < differing.length
        ? `${differing.length - drilled.length} of ${differing.length} differing buckets were not compared key by key`
        : null,
    exact: point.exact === true,
  };
  return {
    ...NOT_COMPARED,
    ...judge(flow, seen, request.automatic === true),
    ...(await namedDifferences(sides, differences, ctx)),
    collisionBound: buckets * HASH_COLLISION,
    sourceRows: total(source),
    destinationRows: total(destination),
    bucketsTotal: buckets,
    bucketsDifferent: differing.length,
    missing: differences.missing,
    extra: differences.extra,
    changed: differences.changed,
    unproven: differences.unproven,
    rescued,
    history,
  };
}

/** Both results; a failure is thrown when both have ended, so that nothing goes on working behind it. */
async function both<A, B>(left: Promise<A>, right: Promise<B>): Promise<readonly [A, B]> {
  await Promise.allSettled([left, right]);
  return [await left, await right];
}

const NO_DIFFERENCES: Differences = {missing: 0, extra: 0, changed: 0, unproven: 0, samples: []};

async function namedDifferences(
  sides: ComparedSides,
  {samples}: Differences,
  ctx: CallContext,
): Promise<Pick<TableVerdict, 'samples' | 'columnsDifferent'>> {
  const changed = samples.filter(({kind}) => kind === 'changed').map(({key}) => key);
  const columns = await differentColumns(sides, changed, ctx);
  const counts = new Map<string, number>();
  for (const name of columns.flat()) counts.set(name, (counts.get(name) ?? 0) + 1);
  let at = 0;
  const named = samples.map(({kind, key}) => ({
    key: shownKey(key),
    kind,
    columns: kind === 'changed' ? (columns[at++] ?? []) : [],
  }));
  let shown = 0;
  return {
    samples: named.filter(({kind}) => kind !== 'changed' || ++shown <= MAX_SAMPLES),
    columnsDifferent: [...counts].map(([name, keys]) => ({name, keys})),
  };
}

function shownKey(key: readonly (string | null)[]): string {
  const [first] = key;
  return key.length === 1 && first !== null && first !== undefined ? first : JSON.stringify(key);
}

async function destinationSums(
  {engine, destination, columns, keys, buckets}: ComparedSides,
  ctx: CallContext,
): Promise<readonly RangeSum[]> {
  const hash = hashSql(rowTextSql(columns));
  const rows = await engine.query(
    `SELECT bucket, count(*) AS n, count(h) AS hashed, sum(h) AS total
     FROM (SELECT ${bucketSql(keys, hash, buckets)} AS bucket, ${hash} AS h FROM (${destination}) AS landed) AS hashed_rows GROUP BY bucket`,
    ctx.signal,
  );
  return rows.map((row) => ({
    bucket: Number(row['bucket']),
    count: BigInt(row['n'] as bigint),
    hashed: BigInt(row['hashed'] as bigint),
    sum: BigInt((row['total'] ?? 0n) as bigint),
  }));
}

interface DifferingBucket {
  readonly bucket: number;
  readonly rows: bigint;
}

function differingBuckets(source: readonly RangeSum[], destination: readonly RangeSum[]): readonly DifferingBucket[] {
  const theirs = new Map(source.map((sum) => [sum.bucket, sum]));
  const ours = new Map(destination.map((sum) => [sum.bucket, sum]));
  const differing: DifferingBucket[] = [];
  for (const bucket of new Set([...theirs.keys(), ...ours.keys()])) {
    const [left, right] = [theirs.get(bucket) ?? EMPTY, ours.get(bucket) ?? EMPTY];
    if (left.count === right.count && left.hashed === right.hashed && left.sum === right.sum) continue;
    differing.push({bucket, rows: left.count + right.count});
  }
  return differing.sort((left, right) => left.bucket - right.bucket);
}

const EMPTY: Pick<RangeSum, 'count' | 'hashed' | 'sum'> = {count: 0n, hashed: 0n, sum: 0n};

function withinLimit(differing: readonly DifferingBucket[]): readonly number[] {
  const taken: number[] = [];
  let rows = 0n;
  for (const bucket of differing) {
    rows += bucket.rows;
    if (taken.length > 0 && rows > MAX_DRILLED_ROWS) break;
    taken.push(bucket.bucket);
  }
  return taken;
}

/** Values that landed as NULL are equal to NULL on both sides: that they were rescued must be shown apart. */
async function rescuedColumns(
  {engine, point, destination, columns}: ComparedSides,
  flow: ResolvedFlow | null,
  ctx: CallContext,
): Promise<readonly RescuedColumn[]> {
  const inSource = point.misfits === undefined ? null : await point.misfits(ctx);
  // What is rescued has the source's names.
  const asked = columns.map(({name}) => ({name, path: flow === null ? name : sourceName(flow, name)}));
  const entries = flow === null ? new Map<string, number>() : await rescuedEntries(engine, destination, {asked, ctx});
  return columns.flatMap(({name}) => {
    const source = inSource === null || !inSource.has(name) ? null : Number(inSource.get(name));
    const rescued = entries.get(name) ?? 0;
    return (source ?? 0) + rescued === 0 ? [] : [{name, source, destination: rescued}];
  });
}

async function rescuedEntries(
  engine: Engine,
  destination: string,
  {asked, ctx}: {readonly asked: readonly {readonly name: string; readonly path: string}[]; readonly ctx: CallContext},
): Promise<ReadonlyMap<string, number>> {
  const rescued = quoteIdentifier(RESCUED_COLUMN);
  const counts = asked.map(
    ({path}, index) => `count(json_extract(${rescued}, ${quoteLiteral(jsonPointer(path))})) AS c${index}`,
  );
  const [row] = await engine.query(
    `SELECT ${counts.join(', ')} FROM (${destination}) AS landed WHERE ${rescued} IS NOT NULL`,
    ctx.signal,
  );
  return new Map(asked.map(({name}, index) => [name, Number(row?.[`c${index}`] ?? 0)]));
}

/** What the source is asked to sum up, for a destination of about so many rows. */
export function verifyScope(flow: ResolvedFlow, columns: readonly VerifyColumn[], rows: number): VerifyScope {
  const comparable = flow.keys.every((key) => columns.some(({name}) => name === key));
  return {
    table: flow.sourceTable,
    options: flow.options,
    columns,
    keys: comparable ? flow.keys : [],
    buckets: Math.min(MAX_BUCKETS, 2 ** Math.max(4, Math.ceil(Math.log2(Math.max(1, rows) / ROWS_PER_BUCKET)))),
    ...(flow.rowFilter !== null && {filter: flow.rowFilter}),
    ...(flow.deletionCondition !== null && {deleted: flow.deletionCondition}),
  };
}

/** Columns that came from the source and have a canonical text, in the destination's order. */
export function comparableColumns(
  schema: StructType,
  flow: ResolvedFlow,
): {readonly columns: readonly VerifyColumn[]; readonly excluded: TableVerdict['excluded']} {
  // What is read for a predicate only does not land, though the table may have a column of that name from before.
  const fromSource = new Set(flow.tableSchema.fields.map(({name}) => name));
  const columns: VerifyColumn[] = [];
  const excluded: {name: string; reason: string}[] = [];
  for (const {name, type} of schema.fields) {
    if (TECHNICAL_COLUMNS.includes(name)) continue;
    if (!fromSource.has(name)) excluded.push({name, reason: 'the source has no such column now'});
    else if (flow.ignoreNullColumns.includes(name))
      excluded.push({name, reason: 'a NULL of the source leaves the older value (ignore_null_updates)'});
    else if (isComparable(type)) columns.push({name, type});
    else excluded.push({name, reason: `${typeName(type)} values have no canonical text`});
  }
  return {columns, excluded};
}

function typeName(type: DataType): string {
  return typeof type === 'string' ? type : type.type;
}

/** Rows of the files, those that deletion vectors hide among them. */
function rowCount(table: DeltaTable): number {
  let rows = 0;
  for (const file of table.snapshot.files.values())
    rows += Number((JSON.parse(file.stats ?? '{}') as {numRecords?: number}).numRecords ?? 0);
  return rows;
}

function total(sums: readonly RangeSum[]): number {
  return Number(sums.reduce((rows, {count}) => rows + count, 0n));
}

function hasColumn(table: DeltaTable, name: string): boolean {
  return table.snapshot.schema.fields.some((field) => field.name === name);
}
