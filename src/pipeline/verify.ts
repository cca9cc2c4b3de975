import type {Offset} from '../core/offset.ts';
import {RESCUED_COLUMN, type DataType, type StructType} from '../core/types.ts';
import type {DeltaTable} from '../delta/delta-table.ts';
import type {Engine} from '../engine/engine.ts';
import {quoteIdentifier, quoteLiteral} from '../engine/sql-types.ts';
import {isComparable} from '../sdk/canonical.ts';
import type {CallContext, Connector, RangeSum, VerifyColumn, VerifyScope} from '../sdk/contract.ts';
import type {ResolvedFlow} from './resolved-flow.ts';
import {compareKeys, differentColumns, type ComparedSides, type Differences} from './verify-differences.ts';
import {bucketSql, hashSql, rowTextSql} from './verify-sql.ts';

/** What a comparison found. Keys are canonical texts: they may be personal data, and belong into reports, not into logs. */
export interface TableVerdict {
  readonly verdict: 'equal' | 'different' | 'unproven' | 'not_comparable';
  readonly mode: 'full';
  /** Why the verdict is not `equal`, or what restricts it. */
  readonly reason: string | null;
  readonly sourcePoint: string | null;
  readonly destinationVersion: number | null;
  readonly sourceRows: number | null;
  readonly destinationRows: number | null;
  readonly bucketsTotal: number;
  readonly bucketsDifferent: number;
  readonly missing: number;
  readonly extra: number;
  readonly changed: number;
  /** Differing keys that may have changed in the source since the flow read it. */
  readonly unproven: number;
  readonly samples: readonly {
    readonly key: string;
    readonly kind: 'missing' | 'extra' | 'changed';
    readonly columns: readonly string[];
  }[];
  readonly columnsCompared: number;
  readonly excluded: readonly {readonly name: string; readonly reason: string}[];
  readonly elapsedMs: number;
}

/** What to compare. */
export interface VerifyRequest {
  readonly connector: Connector;
  readonly flow: ResolvedFlow;
  readonly table: DeltaTable;
  readonly engine: Engine;
  /** The offset of the table's last batch. */
  readonly end: Offset | null;
  readonly ctx: CallContext;
}

/**
 * Compares a destination with its source: both compute sums of row hashes by bucket, each by its own SQL, so that neither
 * the decoder nor the writer of the ingest has a part in it. Buckets that differ are compared key by key.
 * @throws what the source or the engine throws; a difference is a verdict, not an error.
 */
export async function verifyTable(request: VerifyRequest): Promise<TableVerdict> {
  const {connector, flow, table, ctx} = request;
  const startedAt = ctx.clock.nowMs();
  const {snapshot} = table;
  const {columns, nested} = comparableColumns(snapshot.schema, flow);
  const base = {...NOTHING, destinationVersion: snapshot.version, excluded: nested};
  const elapsed = (): number => ctx.clock.nowMs() - startedAt;
  const refuse = (reason: string): TableVerdict => ({...base, verdict: 'not_comparable', reason, elapsedMs: elapsed()});
  if (connector.openVerify === undefined) return refuse('the connector cannot compute sums in its source');
  if (columns.length === 0) return refuse('no column can be compared');
  const rows = Number(rowCount(table) ?? 0);
  const scope = scopeOf(flow, columns, rows);
  await using point = await connector.openVerify(scope, request.end, ctx);
  const excluded = [...nested, ...point.excluded];
  const left = columns.filter((column) => point.excluded.every(({name}) => name !== column.name));
  if (left.length === 0) return {...refuse('no column can be compared'), excluded};
  const keys = scope.keys.map((key) => left.find(({name}) => name === key)).filter((key) => key !== undefined);
  const names = [...new Set([...left.map(({name}) => name), RESCUED_COLUMN])].filter((name) =>
    snapshot.schema.fields.some((field) => field.name === name),
  );
  const destination = await table.readSql({snapshot, columns: names});
  const sides: ComparedSides = {
    engine: request.engine,
    point,
    destination,
    columns: left,
    keys,
    buckets: scope.buckets,
  };
  const found = await compare(sides, request);
  return {...base, ...found, sourcePoint: point.token, excluded, columnsCompared: left.length, elapsedMs: elapsed()};
}

const NOTHING = {
  mode: 'full',
  sourcePoint: null,
  sourceRows: null,
  destinationRows: null,
  bucketsTotal: 0,
  bucketsDifferent: 0,
  missing: 0,
  extra: 0,
  changed: 0,
  unproven: 0,
  samples: [],
  columnsCompared: 0,
} as const;

/** Rows that are compared key by key at most; further buckets that differ are only counted. */
const MAX_DRILLED_ROWS = 5_000_000n;
const ROWS_PER_BUCKET = 2000;
const MAX_BUCKETS = 4096;

type Found = Pick<
  TableVerdict,
  | 'verdict'
  | 'reason'
  | 'sourceRows'
  | 'destinationRows'
  | 'bucketsTotal'
  | 'bucketsDifferent'
  | 'missing'
  | 'extra'
  | 'changed'
  | 'unproven'
  | 'samples'
>;

async function compare(sides: ComparedSides, request: VerifyRequest): Promise<Found> {
  const {point, buckets} = sides;
  const {ctx} = request;
  const [source, destination] = await both(point.sums(ctx), destinationSums(sides, ctx));
  const differing = differingBuckets(source, destination);
  const drilled = withinLimit(differing);
  const differences = drilled.length === 0 ? NO_DIFFERENCES : await compareKeys(sides, drilled, ctx);
  const hasRescued = request.table.snapshot.schema.fields.some(({name}) => name === RESCUED_COLUMN);
  const misfits = await differingMisfits(sides, hasRescued, ctx);
  const counts = {
    sourceRows: total(source),
    destinationRows: total(destination),
    bucketsTotal: buckets,
    bucketsDifferent: differing.length,
    missing: differences.missing,
    extra: differences.extra,
    changed: differences.changed,
    unproven: differences.unproven,
    samples: await namedSamples(sides, differences, ctx),
  };
  const unhashed = source.some(({count, hashed}) => count !== hashed);
  const partly =
    drilled.length < differing.length
      ? `${differing.length - drilled.length} of ${differing.length} differing buckets were not compared key by key`
      : null;
  return {...counts, ...judge(request.flow, differences, {misfits, unhashed, partly})};
}

/** Both results; a failure is thrown when both have ended, so that nothing goes on working behind it. */
async function both<A, B>(left: Promise<A>, right: Promise<B>): Promise<readonly [A, B]> {
  await Promise.allSettled([left, right]);
  return [await left, await right];
}

const NO_DIFFERENCES: Differences = {missing: 0, extra: 0, changed: 0, unproven: 0, samples: []};

interface Doubts {
  readonly misfits: readonly string[];
  readonly unhashed: boolean;
  readonly partly: string | null;
}

/** What the counts mean for a flow: some differences follow from what the flow was asked to do. */
function judge(
  flow: ResolvedFlow,
  differences: Differences,
  {misfits, unhashed, partly}: Doubts,
): Pick<TableVerdict, 'verdict' | 'reason'> {
  const {missing, extra, changed, unproven} = differences;
  const byDesign = extra > 0 && missing === 0 && changed === 0 ? extraByDesign(flow, extra) : null;
  const proven = missing + changed + (byDesign === null ? extra : 0);
  const reasons: string[] = [];
  if (proven > 0) reasons.push(`${missing} missing, ${extra} extra, ${changed} changed`);
  if (misfits.length > 0) reasons.push(`values that do not fit their type were not all rescued: ${misfits.join(', ')}`);
  if (unhashed) reasons.push('the source could not hash all its rows');
  if (byDesign !== null) reasons.push(byDesign);
  if (unproven > 0)
    reasons.push(
      `${unproven} keys changed in the source after it was read, or may have: run the pipeline and verify again`,
    );
  if (partly !== null) reasons.push(partly);
  const reason = reasons.length === 0 ? null : reasons.join('; ');
  // Rows that changed meanwhile may be why the rescued values do not add up.
  const isDifferent = proven > 0 || partly !== null || (misfits.length > 0 && unproven === 0);
  if (isDifferent) return {verdict: 'different', reason};
  return {verdict: reason === null ? 'equal' : 'unproven', reason};
}

function extraByDesign(flow: ResolvedFlow, extra: number): string | null {
  if (flow.target === 'append')
    return `${extra} rows are no longer in the source as they landed: an append-only table keeps them`;
  const seesDeletes = flow.ingestionType !== 'cdc' || flow.configuration.hardDeletionSyncMinIntervalSeconds !== null;
  if (seesDeletes) return null;
  return `${extra} rows are no longer in the source: this flow does not look for deletes (hard_deletion_sync_min_interval_in_seconds)`;
}

async function namedSamples(
  sides: ComparedSides,
  {samples}: Differences,
  ctx: CallContext,
): Promise<TableVerdict['samples']> {
  const changed = samples.filter(({kind}) => kind === 'changed').map(({key}) => key);
  const columns = await differentColumns(sides, changed, ctx);
  let at = 0;
  return samples.map(({kind, key}) => ({
    key: shownKey(key),
    kind,
    columns: kind === 'changed' ? (columns[at++] ?? []) : [],
  }));
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
async function differingMisfits(
  {engine, point, destination}: ComparedSides,
  hasRescued: boolean,
  ctx: CallContext,
): Promise<readonly string[]> {
  if (point.misfits === undefined) return [];
  const inSource = [...(await point.misfits(ctx))].filter(([, count]) => count > 0n);
  if (inSource.length === 0) return [];
  if (!hasRescued) return inSource.map(([name, count]) => `${name} (${count} in the source, none rescued)`);
  const counts = inSource.map(
    ([name], index) =>
      `count(json_extract(${quoteIdentifier(RESCUED_COLUMN)}, ${quoteLiteral(jsonPointer(name))})) AS c${index}`,
  );
  const [row] = await engine.query(`SELECT ${counts.join(', ')} FROM (${destination}) AS landed`, ctx.signal);
  return inSource.flatMap(([name, count], index) => {
    const rescued = BigInt((row?.[`c${index}`] ?? 0n) as bigint);
    return rescued === count ? [] : [`${name} (${count} in the source, ${rescued} rescued)`];
  });
}

function jsonPointer(name: string): string {
  return `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
}

function scopeOf(flow: ResolvedFlow, columns: readonly VerifyColumn[], rows: number): VerifyScope {
  const comparable = flow.keys.every((key) => columns.some(({name}) => name === key));
  return {
    table: flow.sourceTable,
    options: flow.options,
    columns,
    // An append-only table holds a key once for every version of its row.
    keys: flow.target === 'append' || !comparable ? [] : flow.keys,
    buckets: Math.min(MAX_BUCKETS, 2 ** Math.max(4, Math.ceil(Math.log2(Math.max(1, rows) / ROWS_PER_BUCKET)))),
    ...(flow.rowFilter !== null && {filter: flow.rowFilter}),
    ...(flow.deletionCondition !== null && {deleted: flow.deletionCondition}),
  };
}

/** Columns that came from the source and have a canonical text, in the destination's order. */
function comparableColumns(
  schema: StructType,
  flow: ResolvedFlow,
): {readonly columns: readonly VerifyColumn[]; readonly nested: TableVerdict['excluded']} {
  const fromSource = new Set(flow.landingSchema.fields.map((field) => field.name));
  const columns: VerifyColumn[] = [];
  const nested: {name: string; reason: string}[] = [];
  for (const {name, type} of schema.fields) {
    if (isTechnical(name)) continue;
    if (!fromSource.has(name)) nested.push({name, reason: 'the source has no such column now'});
    else if (isComparable(type)) columns.push({name, type});
    else nested.push({name, reason: `${typeName(type)} values have no canonical text`});
  }
  return {columns, nested};
}

function isTechnical(name: string): boolean {
  return TECHNICAL.has(name);
}

const TECHNICAL: ReadonlySet<string> = new Set([
  RESCUED_COLUMN,
  '_sluice_sequence',
  '_change_type',
  '__START_AT',
  '__END_AT',
]);

function typeName(type: DataType): string {
  return typeof type === 'string' ? type : type.type;
}

function rowCount(table: DeltaTable): number {
  let rows = 0;
  for (const file of table.snapshot.files.values())
    rows += Number((JSON.parse(file.stats ?? '{}') as {numRecords?: number}).numRecords ?? 0);
  return rows;
}

function total(sums: readonly RangeSum[]): number {
  return Number(sums.reduce((rows, {count}) => rows + count, 0n));
}
