import {IngestError} from '../core/errors.ts';
import {currentBatch} from '../delta/batch-files.ts';
import type {DeltaContext, DeltaTable} from '../delta/delta-table.ts';
import {openTable} from '../delta/table.ts';
import {quoteIdentifier} from '../engine/sql-types.ts';
import {FLOW_ID_PROPERTY, PIPELINE_PROPERTY} from '../pipeline/destination.ts';
import {quarantineRoot} from '../pipeline/quarantine.ts';
import type {PipelineSpec} from '../pipeline/spec.ts';
import {decodeName} from '../pipeline/table-root.ts';
import {verifyRecords, type VerifyRecord} from '../pipeline/verify-record.ts';
import type {LakeOptions, RuntimeApi, TableResult, TableStatus} from './api.ts';
import {versionOf, type VersionText} from './table-version.ts';
import {openWorkbench, type Workbench} from './workbench.ts';

/** A Delta table of a lake. */
export interface LakeTable {
  readonly catalog: string;
  readonly schema: string;
  readonly table: string;
  readonly root: string;
}

/** Tables of a lake: every folder `<catalog>/<schema>/<table>` with a Delta log, by name. */
export async function listLakeTables(context: DeltaContext): Promise<readonly LakeTable[]> {
  const found: LakeTable[] = [];
  for (const catalog of await context.store.prefixes('')) {
    if (catalog === '_sluice') continue;
    for (const schema of await context.store.prefixes(`${catalog}/`)) {
      for (const table of await context.store.prefixes(`${catalog}/${schema}/`)) {
        const root = `${catalog}/${schema}/${table}`;
        if ((await context.store.prefixes(`${root}/`)).includes('_delta_log')) {
          found.push({catalog: shownName(catalog), schema: shownName(schema), table: shownName(table), root});
        }
      }
    }
  }
  return found;
}

/** Folders that others made need not follow our escapes. */
function shownName(part: string): string {
  try {
    return decodeName(part);
  } catch {
    // No escape of ours: the folder's own name.
    return part;
  }
}

/** `catalog.schema.table`. */
export function fullName({catalog, schema, table}: LakeTable): string {
  return `${catalog}.${schema}.${table}`;
}

/** The table of the lake that a name means, opened. @throws UNKNOWN_TABLE as {@link findTable} */
export async function openNamed(
  bench: Workbench,
  name: string,
): Promise<{readonly entry: LakeTable; readonly table: DeltaTable}> {
  const entry = findTable(await listLakeTables(bench.context), name);
  const table = await openTable(bench.context, entry.root);
  if (table === null) throw noSuchTable(name, []);
  return {entry, table};
}

/** A table as of a version, for one query. */
export interface TableAt {
  /** As the statement may name it. */
  readonly table: string;
  readonly at: VersionText;
}

/**
 * Runs SQL over the lake: every table is `catalog.schema.table`, `schema.table`, and `table` where that is unambiguous.
 * @throws ENGINE_FAILED when the statement is wrong.
 */
export async function queryLake(
  sql: string,
  options: LakeOptions & {readonly limit: number; readonly at?: readonly TableAt[]},
): Promise<TableResult> {
  await using bench = await openWorkbench(options);
  const tables = await listLakeTables(bench.context);
  const versions = new Map((options.at ?? []).map(({table, at}) => [findTable(tables, table).root, at]));
  await createViews(bench, tables, {sql, versions});
  return await limitedResult(bench, withoutReservedCatalogs(sql.trim().replace(/;+$/, ''), tables), options);
}

/** The first rows of a SELECT with the types of its columns. */
export async function limitedResult(
  bench: Workbench,
  select: string,
  options: {readonly limit: number; readonly signal: AbortSignal},
): Promise<TableResult> {
  const {engine} = bench.context;
  const described = await engine.query(`DESCRIBE ${select}`, options.signal);
  const rows = await engine.query(`SELECT * FROM (${select}) LIMIT ${options.limit + 1}`, options.signal);
  return {
    columns: described.map((row) => String(row['column_name'])),
    types: described.map((row) => String(row['column_type'])),
    rows: rows.slice(0, options.limit),
    truncated: rows.length > options.limit,
  };
}

/** Names of catalogs that the engine keeps for itself: their tables are known by schema and table alone. */
const RESERVED_CATALOGS: ReadonlySet<string> = new Set(['main', 'temp', 'system', 'memory']);

async function createViews(
  bench: Workbench,
  tables: readonly LakeTable[],
  statement: {readonly sql: string; readonly versions: ReadonlyMap<string, VersionText>},
): Promise<void> {
  const {engine} = bench.context;
  const text = statement.sql.toLowerCase();
  const short = new Map<string, number>();
  for (const {table} of tables) short.set(table.toLowerCase(), (short.get(table.toLowerCase()) ?? 0) + 1);
  for (const entry of tables) {
    // Opening a table costs time: those that the statement cannot mean are left out.
    if (!text.includes(entry.table.toLowerCase())) continue;
    const opened = await openTable(bench.context, entry.root);
    if (opened === null) continue;
    const at = statement.versions.get(entry.root);
    const select = await opened.readSql(
      at === undefined ? {} : {snapshot: await opened.snapshotAt(await versionOf(opened, at))},
    );
    const schemas = [quoteIdentifier(entry.schema)];
    if (!RESERVED_CATALOGS.has(entry.catalog.toLowerCase())) {
      await engine.run(`ATTACH IF NOT EXISTS ':memory:' AS ${quoteIdentifier(entry.catalog)}`);
      schemas.push(`${quoteIdentifier(entry.catalog)}.${quoteIdentifier(entry.schema)}`);
    }
    for (const schema of schemas) {
      await engine.run(`CREATE SCHEMA IF NOT EXISTS ${schema}`);
      await engine.run(`CREATE OR REPLACE VIEW ${schema}.${quoteIdentifier(entry.table)} AS ${select}`);
    }
    if (short.get(entry.table.toLowerCase()) === 1)
      await engine.run(`CREATE OR REPLACE VIEW ${quoteIdentifier(entry.table)} AS ${select}`);
  }
}

/** Takes reserved catalogs off the names of the lake's tables; strings and comments stay as they are. */
function withoutReservedCatalogs(sql: string, tables: readonly LakeTable[]): string {
  const schemas = new Set(
    tables
      .filter((entry) => RESERVED_CATALOGS.has(entry.catalog.toLowerCase()))
      .map((entry) => entry.schema.toLowerCase()),
  );
  const token =
    /'(?:[^']|'')*'|--[^\n]*|\/\*[\s\S]*?\*\/|(?<catalog>"(?:main|temp|system|memory)"|\b(?:main|temp|system|memory))\s*\.\s*(?<schema>"\w+"|\w+)(?=\s*\.)/gi;
  return sql.replace(token, (whole: string, ...rest: unknown[]) => {
    const {catalog, schema} = rest.at(-1) as Record<string, string | undefined>;
    const isOurs =
      catalog !== undefined && schema !== undefined && schemas.has(schema.replaceAll('"', '').toLowerCase());
    return isOurs ? schema : whole;
  });
}

/** What every table of the pipelines looks like now. */
export async function status(specs: readonly PipelineSpec[], options: LakeOptions): Promise<readonly TableStatus[]> {
  await using bench = await openWorkbench(options);
  const keys = new Set(specs.map((spec) => spec.key));
  const found: TableStatus[] = [];
  for (const entry of await listLakeTables(bench.context)) {
    const flow = `${entry.catalog}.${entry.schema}.${entry.table}`;
    const table = await openTable(bench.context, entry.root).catch((error: unknown) => unreadable(error));
    if (table instanceof IngestError) {
      found.push({
        ...UNREADABLE,
        flow,
        recommendation: `[${table.code}] ${table.message}${table.fix === undefined ? '' : ` ${table.fix}`}`,
      });
      continue;
    }
    const pipeline = table?.snapshot.metadata.configuration[PIPELINE_PROPERTY];
    if (table === null || pipeline === undefined || !keys.has(pipeline)) continue;
    found.push(await statusOf(bench, {table, pipeline, flow}));
  }
  return found;
}

/** A table that cannot be read, whoever owns it, must not hide how the others stand. */
function unreadable(error: unknown): IngestError {
  if (error instanceof IngestError) return error;
  throw error;
}

const UNREADABLE: Omit<TableStatus, 'flow' | 'recommendation'> = {
  pipeline: '?',
  version: -1,
  rows: null,
  sizeBytes: 0,
  files: 0,
  lastCommitAt: '',
  lastBatchId: null,
  inSnapshot: false,
  rescuedValues: 0,
  quarantinedRows: 0,
  lastVerification: null,
};

async function statusOf(
  bench: Workbench,
  entry: {readonly table: DeltaTable; readonly pipeline: string; readonly flow: string},
): Promise<TableStatus> {
  const {table, pipeline, flow} = entry;
  const {snapshot} = table;
  const flowId = snapshot.metadata.configuration[FLOW_ID_PROPERTY] ?? '';
  const batch = await currentBatch(bench.context.store, table, flowId);
  const facts = await verifyRecords(bench.context.store, pipeline).last(flow);
  const sizeBytes = [...snapshot.files.values()].reduce((sum, file) => sum + file.size, 0);
  return {
    flow,
    pipeline,
    version: snapshot.version,
    rows: rowsOf(table),
    sizeBytes,
    files: snapshot.files.size,
    lastCommitAt: new Date(snapshot.timestampMs).toISOString(),
    lastBatchId: batch?.batchId ?? null,
    inSnapshot: batch?.inSnapshot ?? false,
    rescuedValues: await countRescued(bench.context, table),
    quarantinedRows: await countRows(bench.context, quarantineRoot(table.root)),
    lastVerification: lastVerification(facts, bench.context.clock.nowMs()),
    recommendation: recommend(table, sizeBytes),
  };
}

function lastVerification(last: VerifyRecord | null, nowMs: number): TableStatus['lastVerification'] {
  if (last === null) return null;
  const {verdict, version, atMs, level, reason} = last;
  return {verdict, version, level, reason, at: new Date(atMs).toISOString(), ageMs: Math.max(0, nowMs - atMs)};
}

/** Live rows by statistics; null when a file has none. */
export function rowsOf(table: DeltaTable): number | null {
  let rows = 0;
  for (const file of table.snapshot.files.values()) {
    const records = file.stats === undefined ? undefined : (JSON.parse(file.stats) as {numRecords?: number}).numRecords;
    if (records === undefined) return null;
    rows += records - (file.deletionVector?.cardinality ?? 0);
  }
  return rows;
}

async function countRescued(context: DeltaContext, table: DeltaTable): Promise<number> {
  if (!table.snapshot.schema.fields.some((field) => field.name === '_rescued_data') || table.snapshot.files.size === 0)
    return 0;
  const select = await table.readSql({columns: ['_rescued_data']});
  return Number((await context.engine.query(`SELECT count(_rescued_data) AS n FROM (${select})`))[0]?.['n'] ?? 0);
}

async function countRows(context: DeltaContext, root: string): Promise<number> {
  const table = await openTable(context, root);
  return table === null ? 0 : (rowsOf(table) ?? 0);
}

const VECTORS_WORTH_BYTES = 1024 * 1024 * 1024;

function recommend(table: DeltaTable, sizeBytes: number): string | null {
  const vectors = table.snapshot.metadata.configuration['delta.enableDeletionVectors'] === 'true';
  const isMerged = [...table.snapshot.txns.values()].some((txn) => txn.version > 1);
  if (vectors || !isMerged || sizeBytes < VECTORS_WORTH_BYTES) return null;
  return 'The table has outgrown copy-on-write: set deletion_vectors: "true" and read it anew (--full-refresh-tables).';
}

/** Commits of one table, newest first. */
export async function tableHistory(
  name: string,
  options: LakeOptions & {readonly limit: number},
): ReturnType<RuntimeApi['tableHistory']> {
  await using bench = await openWorkbench(options);
  const {table} = await openNamed(bench, name);
  const flowId = table.snapshot.metadata.configuration[FLOW_ID_PROPERTY];
  const commits = await table.history({limit: options.limit});
  return commits.map((commit) => ({
    version: commit.version,
    timestamp: new Date(commit.timestampMs).toISOString(),
    operation: commit.info.operation ?? 'unknown',
    parameters: commit.info.operationParameters ?? {},
    metrics: commit.info.operationMetrics ?? {},
    engine: commit.info.engineInfo ?? null,
    rowsAdded: commit.addedRows,
    filesAdded: commit.addedFiles,
    filesRemoved: commit.removedFiles,
    dataChange: commit.dataChange,
    metadataChanged: commit.metadataChanged,
    txns: commit.txns.map(({appId, version}) => ({appId, version})),
    batchId: commit.txns.find((txn) => txn.appId === flowId)?.version ?? null,
  }));
}

/** The table of a lake that a name means: `catalog.schema.table`, or less of it where that is unambiguous. @throws UNKNOWN_TABLE */
export function findTable(tables: readonly LakeTable[], name: string): LakeTable {
  const wanted = name.toLowerCase();
  const matches = tables.filter((entry) => {
    const full = fullName(entry).toLowerCase();
    return full === wanted || full.endsWith(`.${wanted}`);
  });
  const [first] = matches;
  if (first === undefined || matches.length > 1)
    throw noSuchTable(name, (matches.length > 1 ? matches : tables).map(fullName));
  return first;
}

function noSuchTable(name: string, names: readonly string[]): IngestError {
  return new IngestError('UNKNOWN_TABLE', `The lake has no single table "${name}".`, {
    fix: names.length === 0 ? 'Run a pipeline first.' : `It has ${names.join(', ')}.`,
  });
}
