import {randomUUID} from 'node:crypto';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {systemClock} from '../core/clock.ts';
import type {DataType, StructType} from '../core/types.ts';
import {currentBatch} from '../delta/batch-files.ts';
import type {DeltaContext, DeltaTable} from '../delta/delta-table.ts';
import {createTable, openTable} from '../delta/table.ts';
import {openEngine} from '../engine/duckdb-engine.ts';
import type {EngineRow} from '../engine/engine.ts';
import {quoteIdentifier, quoteLiteral, sqlType} from '../engine/sql-types.ts';
import {createLocalStore} from '../storage/local-store.ts';
import type {ApplyEngine, ApplyInput, ApplyJob, ApplyResult, RowsInFiles} from './apply-engine.ts';
import {createDuckDbApply} from './duckdb-apply.ts';

/** A lake in a temporary folder with an engine of its own. */
export interface TestLake extends AsyncDisposable {
  readonly context: DeltaContext;
  readonly folder: string;
}

/** Opens a lake; disposing removes it. */
export async function openTestLake(): Promise<TestLake> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-apply-'));
  const store = createLocalStore(join(folder, 'lake'));
  const engine = await openEngine({
    memoryLimitMb: 512,
    threads: 2,
    tempFolder: join(folder, 'temp'),
    allowedFolders: [join(folder, 'lake')],
  });
  return {
    context: {store, engine, clock: systemClock},
    folder,
    async [Symbol.asyncDispose](): Promise<void> {
      await engine[Symbol.asyncDispose]();
      await rm(folder, {recursive: true, force: true});
    },
  };
}

/** Nullable columns by name. */
export function columns(types: Readonly<Record<string, DataType>>): StructType {
  return {
    type: 'struct',
    fields: Object.entries(types).map(([name, type]) => ({name, type, nullable: true, metadata: {}})),
  };
}

/** A row of a test: plain values by column. */
export type TestRow = Readonly<Record<string, TestValue>>;

/** A value of a test: objects are structs, arrays lists of texts. */
export type TestValue =
  | string
  | number
  | bigint
  | boolean
  | null
  | readonly string[]
  | {readonly [name: string]: TestValue};

/** Rows as a relation; `names` may have columns beside the schema's (`__ord`, `__op`, `__unchanged`, `__old_key`). */
export function relation(schema: StructType, rows: readonly TestRow[], names?: readonly string[]): ApplyInput {
  const oldKey = schema.fields.filter((field) => rows.some((row) => field.name in Object(row['__old_key'])));
  const extra = [
    ...EXTRA.fields,
    ...(oldKey.length === 0 ? [] : columns({__old_key: {type: 'struct', fields: oldKey}}).fields),
  ];
  const fields = [...schema.fields, ...extra].filter((field) =>
    names === undefined
      ? rows.some((row) => field.name in row) || schema.fields.includes(field)
      : names.includes(field.name),
  );
  const list = fields
    .map((field, at) => `CAST(c${at} AS ${sqlType(field.type)}) AS ${quoteIdentifier(field.name)}`)
    .join(', ');
  const values = rows.map((row) => `(${fields.map((field) => literal(row[field.name] ?? null)).join(', ')})`);
  const some = values.length === 0 ? `(${fields.map(() => 'NULL').join(', ')})` : values.join(', ');
  return {
    kind: 'relation',
    select: `SELECT ${list} FROM (VALUES ${some}) AS v(${fields.map((_, at) => `c${at}`).join(', ')})${values.length === 0 ? ' WHERE FALSE' : ''}`,
  };
}

const EXTRA = columns({
  __ord: 'long',
  __op: 'string',
  __unchanged: {type: 'array', elementType: 'string', containsNull: true},
});

function literal(value: TestValue | undefined): string {
  if (value === null || value === undefined) return 'NULL';
  if (typeof value === 'string') return quoteLiteral(value);
  if (typeof value !== 'object') return String(value);
  if (Array.isArray(value)) return `[${value.map(literal).join(', ')}]`;
  return `{${Object.entries(value)
    .map(([name, field]) => `${quoteLiteral(name)}: ${literal(field)}`)
    .join(', ')}}`;
}

/** A relation with its upserts in data files as well: a file for those between each two of the places in its order. */
export async function inFiles(flow: TestFlow, input: ApplyInput, places: readonly number[]): Promise<ApplyInput> {
  if (input.kind !== 'relation') return input;
  const described = await flow.lake.context.engine.query(`DESCRIBE ${input.select}`);
  const has = (name: string): boolean => described.some((row) => row['column_name'] === name);
  if (!has('__ord')) return input;
  const names = flow.schema.fields.map(({name}) => quoteIdentifier(name)).join(', ');
  const table = await flow.table();
  const written: RowsInFiles[] = [];
  for (const [at, from] of places.entries()) {
    const to = places[at + 1];
    if (to === undefined) break;
    const where = `__ord >= ${from} AND __ord < ${to}${has('__op') ? ` AND __op = 'upsert'` : ''}`;
    const select = `SELECT ${names} FROM (${input.select}) AS r WHERE ${where}`;
    written.push({
      from,
      to,
      files: await table.writeFiles({select, schema: flow.schema}, new AbortController().signal),
    });
  }
  return {...input, written};
}

/** A table, its flow and what was applied so far. */
export class TestFlow {
  readonly root: string = `t/${randomUUID()}`;
  readonly flowId: string = randomUUID();
  readonly lake: TestLake;
  readonly schema: StructType;
  engine: ApplyEngine;
  batchId: number | null = null;
  #step = 0;

  private constructor(lake: TestLake, schema: StructType) {
    this.lake = lake;
    this.schema = schema;
    this.engine = createDuckDbApply(lake.context);
  }

  static async create(
    lake: TestLake,
    schema: StructType,
    options: {
      readonly vectors?: boolean;
      readonly partitionColumns?: readonly string[];
      readonly configuration?: Readonly<Record<string, string>>;
    } = {},
  ): Promise<TestFlow> {
    const flow = new TestFlow(lake, schema);
    await createTable(lake.context, flow.root, {
      schema,
      configuration: {...options.configuration, 'sluice.flowId': flow.flowId},
      deletionVectors: options.vectors ?? false,
      partitionColumns: options.partitionColumns ?? [],
    });
    return flow;
  }

  /** A job that goes on from the last batch; every job moves the offset unless told otherwise. */
  job(parts: Partial<ApplyJob>): ApplyJob {
    this.#step += 1;
    return {
      tableRoot: this.root,
      flowId: this.flowId,
      previousBatchId: this.batchId,
      mode: 'scd1',
      target: 'scd1',
      keys: ['id'],
      sequence: ['seq'],
      keysUnique: false,
      onDuplicateKey: 'fail',
      trackedColumns: [],
      ignoreNullColumns: [],
      snapshotAt: 0n,
      tombstoneRetentionMs: null,
      keepTombstones: false,
      deletesWinTies: false,
      appendCursor: null,
      schema: this.schema,
      inputs: [],
      deletes: [],
      start: {rows: {at: this.#step - 1}, deletes: null},
      end: {rows: {at: this.#step}, deletes: null},
      ledger: [],
      counts: {read: 0, rescuedValues: 0, quarantinedRows: 0},
      notes: {},
      ...parts,
    };
  }

  async apply(parts: Partial<ApplyJob>): Promise<ApplyResult> {
    const result = await this.engine.apply(this.job(parts), new AbortController().signal);
    this.batchId = result.batchId;
    return result;
  }

  async table(): Promise<DeltaTable> {
    const table = await openTable(this.lake.context, this.root);
    if (table === null) throw new Error('The table is gone.');
    return table;
  }

  async batch(): Promise<Awaited<ReturnType<typeof currentBatch>>> {
    return currentBatch(this.lake.context.store, await this.table(), this.flowId);
  }

  /** Live rows, ordered by all columns. */
  async rows(): Promise<readonly EngineRow[]> {
    const table = await this.table();
    return this.lake.context.engine.query(`SELECT * FROM (${await table.readSql()}) AS live ORDER BY ALL`);
  }
}
