import {createCoercer, type Coercer, type QuarantinedRow} from '../core/coerce.ts';
import type {ColumnBatch, ColumnVector} from '../core/columns.ts';
import {IngestError} from '../core/errors.ts';
import {renderPredicate} from '../core/predicate.ts';
import {RESCUED_COLUMN, SEQUENCE_COLUMN, type StructField, type StructType} from '../core/types.ts';
import type {Appender, Engine} from '../engine/engine.ts';
import {fileSelect, type FileSelect} from '../engine/file-relation.ts';
import {quoteIdentifier} from '../engine/sql-types.ts';
import type {FileRef, Page, RescuedCell} from '../sdk/contract.ts';
import {batchBytes, rescuedVector} from './batch-vectors.ts';
import type {ResolvedFlow} from './resolved-flow.ts';

/** What a landing table takes and how its rows are shown to apply. */
export interface LandingShape {
  /** Columns as they come, without technical ones. */
  readonly schema: StructType;
  /** Must be present, else the row is quarantined. */
  readonly required: readonly string[];
  /** Fields of records that nobody wants: left out without being counted as unknown. */
  readonly ignored: readonly string[];
}

/** Counts of what landed so far. */
export interface LandingCounts {
  readonly rows: number;
  readonly bytes: number;
  readonly rescuedValues: number;
  readonly quarantined: readonly QuarantinedRow[];
  readonly unknownFields: ReadonlyMap<string, number>;
}

const FLUSH_ROWS = 16_384;

/**
 * Where pages of one micro-batch wait for apply: an engine table for records and columns, SELECTs for files. Nothing of it
 * outlives the batch. Dispose it to drop the table.
 */
export class Landing implements AsyncDisposable {
  readonly #engine: Engine;
  readonly #shape: LandingShape;
  readonly #tableSchema: StructType;
  readonly #coercer: Coercer;
  readonly #files: FileSelect[] = [];
  #table: string | null = null;
  #appender: Appender | null = null;
  #landedRows = 0;
  #rows = 0;
  #bytes = 0;
  #rescued = 0;
  #quarantined: QuarantinedRow[] = [];
  readonly #unknown = new Map<string, number>();

  constructor(engine: Engine, shape: LandingShape) {
    this.#engine = engine;
    this.#shape = shape;
    this.#tableSchema = {type: 'struct', fields: [...shape.schema.fields, RESCUED_FIELD]};
    this.#coercer = createCoercer(this.#tableSchema, {keys: shape.required, rescue: true, ignoredFields: shape.ignored});
  }

  /** Rows and bytes so far; bytes are those of the columns in memory, of files their size. */
  get counts(): LandingCounts {
    return {rows: this.#rows, bytes: this.#bytes, rescuedValues: this.#rescued, quarantined: this.#quarantined, unknownFields: this.#unknown};
  }

  /** Takes a page. @throws UNSUPPORTED for pages of change logs; CONTRACT_VIOLATION for columns that do not match. */
  async add(page: Page): Promise<void> {
    if (isRows(page)) return this.#addRecords(page);
    switch (page.kind) {
      case 'records':
        return this.#addRecords(page.rows);
      case 'columns':
        return this.#addColumns(page.batch, page.rescued ?? []);
      case 'files':
        return this.#addFiles(page.files);
      case 'changes':
        throw new IngestError('UNSUPPORTED', 'Pages of change logs are read through staging only.', {fix: 'Yield records and deletes instead.'});
    }
  }

  /** Makes everything visible and returns SELECTs over it; no `add` after this. */
  async finish(): Promise<LandedSelects> {
    await this.#flush();
    this.#appender?.close();
    this.#appender = null;
    const table = this.#landedRows === 0 || this.#table === null ? null : `SELECT *, rowid AS __ord FROM ${quoteIdentifier(this.#table)}`;
    return {table, files: this.#files.map(file => file.select)};
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#appender?.close();
    this.#appender = null;
    if (this.#table !== null) await this.#engine.dropTable(this.#table);
    this.#table = null;
    for (const file of this.#files) await file[Symbol.asyncDispose]();
    this.#files.length = 0;
  }

  async #addRecords(rows: readonly Readonly<Record<string, unknown>>[]): Promise<void> {
    for (const row of rows) {
      this.#coercer.add(row as Parameters<Coercer['add']>[0]);
      if (this.#coercer.rowCount >= FLUSH_ROWS) await this.#flush();
    }
    this.#rows += rows.length;
  }

  async #flush(): Promise<void> {
    const taken = this.#coercer.take();
    this.#rescued += taken.rescuedValues;
    this.#quarantined.push(...taken.quarantined);
    for (const [name, count] of taken.unknownFields) this.#unknown.set(name, (this.#unknown.get(name) ?? 0) + count);
    if (taken.batch.rowCount > 0) await this.#append(taken.batch);
  }

  async #addColumns(batch: ColumnBatch, rescued: readonly RescuedCell[]): Promise<void> {
    await this.#append({
      schema: this.#tableSchema,
      rowCount: batch.rowCount,
      columns: [...this.#shape.schema.fields.map(field => columnOf(batch, field)), rescuedVector(batch.rowCount, rescued)],
    });
    this.#rows += batch.rowCount;
    this.#rescued += rescued.length;
  }

  async #append(batch: ColumnBatch): Promise<void> {
    if (this.#appender === null) {
      this.#table = this.#engine.uniqueName('landing');
      await this.#engine.createTable(this.#table, this.#tableSchema);
      this.#appender = await this.#engine.appender(this.#table, this.#tableSchema);
    }
    this.#appender.append(batch);
    this.#landedRows += batch.rowCount;
    this.#bytes += batchBytes(batch);
  }

  async #addFiles(refs: readonly FileRef[]): Promise<void> {
    if (refs.length === 0) return;
    const inputs = refs.map(ref => ({localPath: ref.file.path, options: ref.options}));
    this.#files.push(await fileSelect(this.#engine, inputs, this.#shape.schema, {ignoredColumns: this.#shape.ignored}));
    for (const ref of refs) this.#bytes += ref.file.sizeBytes;
  }
}

/** SELECTs over what landed: of records and columns (with `__ord`), and of files, whose rows nobody has counted yet. */
export interface LandedSelects {
  readonly table: string | null;
  readonly files: readonly string[];
}

/** What the rows of a flow land as. */
export function rowsShape(flow: ResolvedFlow): LandingShape {
  const required = [...flow.keys, ...(flow.sequenceRequired && flow.hiddenSequence === null ? flow.sequence : [])];
  return {schema: flow.landingSchema, required, ignored: flow.ignoredColumns};
}

/** What the deletes of a flow land as: keys and sequence. */
export function deletesShape(flow: ResolvedFlow): LandingShape {
  const wanted = new Set([...flow.keys, ...sequenceSources(flow).map(path => path.split('.', 1)[0])]);
  const fields = flow.landingSchema.fields.filter(field => wanted.has(field.name));
  const ignored = [...flow.ignoredColumns, ...flow.landingSchema.fields.filter(field => !wanted.has(field.name)).map(field => field.name)];
  return {schema: {type: 'struct', fields}, required: fields.map(field => field.name), ignored};
}

/** Landed rows as apply wants them: the destination's columns, `__ord`, and `__op` where predicates make deletes of rows. */
export function rowsSelect(flow: ResolvedFlow, select: string, options: {readonly dropFiltered: boolean; readonly ordered: boolean}): string {
  const columns = flow.tableSchema.fields.map(field => columnSql(flow, field));
  const keep = keepSql(flow);
  const from = `FROM (${select}) AS landed`;
  const ord = options.ordered ? ['__ord'] : [];
  if (keep === null) return `SELECT ${[...columns, ...ord].join(', ')} ${from}`;
  if (options.dropFiltered || flow.target === 'append') return `SELECT ${[...columns, ...ord].join(', ')} ${from} WHERE ${keep}`;
  const op = `CASE WHEN ${keep} THEN 'upsert' ELSE 'delete' END AS __op`;
  return `SELECT ${[...columns, ...ord, op].join(', ')} ${from}`;
}

/** Landed deletes as apply wants them: keys, sequence, `__ord`. */
export function deletesSelect(flow: ResolvedFlow, select: string): string {
  const names = [...flow.keys.filter(key => !flow.sequence.includes(key)), ...flow.sequence];
  const columns = flow.tableSchema.fields.filter(field => names.includes(field.name)).map(field => columnSql(flow, field));
  return `SELECT ${columns.join(', ')}, __ord FROM (${select}) AS landed`;
}

/** Largest value of the flow's timestamp cursor, in microseconds, as a SELECT. */
export function maxCursorSql(flow: ResolvedFlow, select: string): string | null {
  if (flow.cursorField === null || !flow.cursorIsTimestamp) return null;
  return `SELECT epoch_us(max(${pathSql(flow.cursorField)})) AS m FROM (${select}) AS landed`;
}

/** Source paths of the sequence. */
export function sequenceSources(flow: ResolvedFlow): readonly string[] {
  return flow.hiddenSequence === null ? flow.sequence : [flow.hiddenSequence];
}

const RESCUED_FIELD: StructField = {name: RESCUED_COLUMN, type: 'string', nullable: true, metadata: {}};

function keepSql(flow: ResolvedFlow): string | null {
  const parts: string[] = [];
  if (flow.rowFilter !== null) parts.push(`coalesce(${renderPredicate(flow.rowFilter, 'duckdb')}, false)`);
  if (flow.deletionCondition !== null) parts.push(`NOT coalesce(${renderPredicate(flow.deletionCondition, 'duckdb')}, false)`);
  return parts.length === 0 ? null : parts.join(' AND ');
}

function columnSql(flow: ResolvedFlow, field: StructField): string {
  if (field.name === SEQUENCE_COLUMN && flow.hiddenSequence !== null) return `${pathSql(flow.hiddenSequence)} AS ${quoteIdentifier(SEQUENCE_COLUMN)}`;
  return quoteIdentifier(field.name);
}

function pathSql(path: string): string {
  return path.split('.').map(quoteIdentifier).join('.');
}

function isRows(page: Page): page is Extract<Page, readonly unknown[]> {
  return Array.isArray(page);
}

function columnOf(batch: ColumnBatch, field: StructField): ColumnVector {
  const index = batch.schema.fields.findIndex(candidate => candidate.name === field.name);
  const column = batch.columns[index];
  if (column === undefined) {
    throw new IngestError('CONTRACT_VIOLATION', `A page of columns lacks "${field.name}".`, {fix: 'Yield every column of getTableSchema that was asked for.', context: {column: field.name}});
  }
  return column;
}
