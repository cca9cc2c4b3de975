import {createCoercer, type Coercer, type QuarantinedRow} from '../core/coerce.ts';
import type {ColumnBatch, ColumnVector} from '../core/columns.ts';
import {IngestError} from '../core/errors.ts';
import type {JsonObject, JsonValue} from '../core/json-value.ts';
import {
  CHANGE_TYPE_COLUMN,
  END_COLUMN,
  RESCUED_COLUMN,
  SEQUENCE_COLUMN,
  START_COLUMN,
  type StructField,
  type StructType,
  UNCHANGED_COLUMN,
} from '../core/types.ts';
import type {Engine} from '../engine/engine.ts';
import {fileSelect, type FileSelect} from '../engine/file-relation.ts';
import {quoteIdentifier, sqlType} from '../engine/sql-types.ts';
import type {Change, FileRef, Page} from '../sdk/contract.ts';
import {constantColumns, rescuedVector} from './batch-vectors.ts';
import {landedName, sourceName} from './column-names.ts';
import {columnOf, landedPredicateSql, landedSql} from './column-path.ts';
import {convertPage} from './convert-page.ts';
import {
  changeRecord,
  changeShape,
  type ChangeShape,
  keylessSql,
  LEFT_COLUMN,
  OLD_KEY_COLUMN,
  OP_COLUMN,
  withoutChanges,
} from './landing-changes.ts';
import {mayLack, recordSql, refusedRow} from './landing-refused.ts';
import {LandingTables} from './landing-tables.ts';
import {fieldName} from './resolve-changes.ts';
import type {ResolvedFlow} from './resolved-flow.ts';

/** What a landing table takes and how its rows are shown to apply. */
export interface LandingShape {
  /** Columns as they come, without technical ones, under the source's names, with the types that land. */
  readonly schema: StructType;
  /** Names under which they land, where these are others. */
  readonly columnNames: ResolvedFlow['columnNames'];
  /** Must be present, else the row is quarantined. */
  readonly required: readonly string[];
  /** Fields of records that nobody wants: left out without being counted as unknown. */
  readonly ignored: readonly string[];
  /** Values for which there is no column are rescued. */
  readonly rescueUnknown: boolean;
  /** How pages of changes land; null: there must be none. */
  readonly changes: ChangeShape | null;
  /** Of which landed rows these required columns may be absent, as a condition; null: of none. */
  readonly keyless: {readonly sql: string; readonly keys: readonly string[]} | null;
}

/** Counts of what landed so far. */
export interface LandingCounts {
  readonly rows: number;
  readonly bytes: number;
  readonly rescuedValues: number;
  readonly quarantined: readonly QuarantinedRow[];
  readonly unknownFields: ReadonlyMap<string, number>;
}

type ColumnsPage = Extract<Page, {readonly kind: 'columns'}>;

const FLUSH_ROWS = 16_384;
/** Rows whose texts take so much go earlier, but not one by one. */
const FLUSH_BYTES = 8 * 1024 * 1024;
const FLUSH_LEAST_ROWS = 64;

/**
 * Where pages of one micro-batch wait for apply: tables of the engine for records and columns, SELECTs for files. Nothing of it
 * outlives the batch. Dispose it to drop the tables.
 */
export class Landing implements AsyncDisposable {
  readonly #engine: Engine;
  readonly #shape: LandingShape;
  /** Columns of the engine's tables: under the names that land. */
  readonly #tableSchema: StructType;
  readonly #coercer: Coercer;
  readonly #files: FileSelect[] = [];
  readonly #tables: LandingTables;
  #landedBytes = 0;
  #rows = 0;
  #bytes = 0;
  #rescued = 0;
  #quarantined: QuarantinedRow[] = [];
  /** Columns of changes beside the last page of columns. */
  #beside: {
    readonly rowCount: number;
    readonly sequence: ColumnsPage['sequence'];
    readonly columns: readonly ColumnVector[];
  } | null = null;
  /** Rows came by other ways than the coercer, which refuses those without a key. */
  #isUnchecked = false;
  readonly #unknown = new Map<string, number>();

  constructor(engine: Engine, shape: LandingShape) {
    this.#engine = engine;
    this.#shape = shape;
    // A delete or a truncate is no whole row, nor is a change that leaves columns out: only what becomes a row must be whole.
    const fields =
      shape.changes === null
        ? shape.schema.fields
        : shape.schema.fields.map((field): StructField => ({...field, nullable: true}));
    const landed = fields.map((field) => ({...field, name: landedName(shape, field.name)}));
    const ofChanges = shape.changes?.fields ?? [];
    this.#tableSchema = {type: 'struct', fields: [...landed, ...ofChanges, RESCUED_FIELD]};
    this.#tables = new LandingTables(engine, this.#tableSchema);
    this.#isUnchecked = shape.keyless !== null;
    this.#coercer = createCoercer(
      {type: 'struct', fields: [...fields, ...ofChanges, RESCUED_FIELD]},
      {
        keys: this.#isUnchecked ? [] : shape.required,
        rescue: true,
        ignoredFields: shape.ignored,
        rescueUnknown: shape.rescueUnknown,
        ...(ofChanges.length === 0 ? {} : {beside: ofChanges.map(({name}) => name)}),
      },
    );
  }

  /** Rows and bytes so far; bytes are those of the columns in memory, of files their size. */
  get counts(): LandingCounts {
    return {
      rows: this.#rows,
      bytes: this.#bytes,
      rescuedValues: this.#rescued,
      quarantined: this.#quarantined,
      unknownFields: this.#unknown,
    };
  }

  /** Takes a page. @throws CONTRACT_VIOLATION for columns and changes that are not what the table says; BAD_RECORD for changes that cannot be decided about. */
  async add(page: Page): Promise<void> {
    if (isRows(page)) return this.#addRecords(page);
    switch (page.kind) {
      case 'records':
        return this.#addRecords(page.rows, page.sequence);
      case 'columns':
        return this.#addColumns(page);
      case 'files':
        return this.#addFiles(page.files);
      case 'changes':
        return this.#addChanges(page.changes);
    }
  }

  /** Bytes of rows that wait in the engine's tables. */
  get waitingBytes(): number {
    return this.#landedBytes;
  }

  /** Rows that may be read already while others land, see {@link LandingTables.rowsFrom}; those without a required column are among them. */
  rowsFrom(place: number): {readonly select: string; readonly to: number} | null {
    return this.#tables.rowsFrom(place);
  }

  /**
   * Hands over the rows that wait in the engine's tables and forgets them, so that what waits does not grow with what is read. They
   * stay counted. The order of arrival is lost between what is handed over and what is not.
   */
  async handOver(take: (select: string) => Promise<void>): Promise<void> {
    await this.#flush();
    this.#tables.close();
    const rows = this.#tables.rowsFrom(0);
    if (rows === null) return;
    await take(this.#isUnchecked ? await this.#refuse(rows.select) : rows.select);
    await this.#tables[Symbol.asyncDispose]();
    this.#landedBytes = 0;
  }

  /**
   * Makes everything visible and returns SELECTs over it; no `add` after this. Rows of the table that lack a required
   * column are quarantined; those of files are not looked at, see {@link withoutRefused}.
   * @param filesToo rows of files go into the table as well, after all others.
   */
  async finish(options: {readonly filesToo?: boolean} = {}): Promise<LandedSelects> {
    await this.#flush();
    this.#tables.close();
    if (options.filesToo === true) await this.#landFiles();
    const files = this.#files.map((file) => file.select);
    if (this.#tables.rowCount === 0) return {table: null, files};
    const rows = this.#tables.placedRows();
    return {table: this.#isUnchecked ? await this.#refuse(rows) : rows, files};
  }

  /** Counts and quarantines the rows of a SELECT of files that lack a required column; resolves to a SELECT of the others. */
  async withoutRefused(select: string): Promise<string> {
    const before = this.#quarantined.length;
    const kept = await this.#refuse(select);
    this.#rows += this.#quarantined.length - before;
    return kept;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tables[Symbol.asyncDispose]();
    for (const file of this.#files) await file[Symbol.asyncDispose]();
    this.#files.length = 0;
  }

  async #addRecords(
    rows: readonly Readonly<Record<string, unknown>>[],
    sequence?: ColumnsPage['sequence'],
  ): Promise<void> {
    const hasSequence = this.#shape.changes !== null && sequence !== undefined && sequence !== null;
    const beside = hasSequence ? {[SEQUENCE_COLUMN]: sequence as JsonValue} : undefined;
    for (const row of rows as readonly JsonObject[]) {
      if (this.#isFull(row)) await this.#flush();
      this.#coercer.add(row, beside);
    }
    this.#rows += rows.length;
  }

  async #addChanges(changes: readonly Change[]): Promise<void> {
    const shape = this.#shape.changes;
    if (shape === null) {
      throw new IngestError('CONTRACT_VIOLATION', 'The connector gave changes of a table that declares none.', {
        fix: 'Declare changes in readTableMetadata; partitions and readTableDeletes cannot have any.',
      });
    }
    for (const change of changes) {
      const {record, beside} = changeRecord(change, shape);
      if (this.#isFull(record)) await this.#flush();
      this.#coercer.add(record, beside);
    }
    this.#rows += changes.length;
  }

  /** True when the rows so far must go before a record comes. */
  #isFull(record: JsonObject): boolean {
    const {rowCount} = this.#coercer;
    if (rowCount >= FLUSH_ROWS || this.#coercer.wantsNewBatch(record)) return true;
    return rowCount >= FLUSH_LEAST_ROWS && this.#coercer.heldBytes >= FLUSH_BYTES;
  }

  async #flush(): Promise<void> {
    const taken = this.#coercer.take();
    this.#rescued += taken.rescuedValues;
    this.#quarantined.push(...taken.quarantined);
    for (const [name, count] of taken.unknownFields) this.#unknown.set(name, (this.#unknown.get(name) ?? 0) + count);
    if (taken.batch.rowCount > 0) await this.#append({...taken.batch, schema: this.#tableSchema});
  }

  async #addColumns({batch, rescued = [], sequence}: ColumnsPage): Promise<void> {
    // Records that came before are rows before.
    if (this.#coercer.rowCount > 0) await this.#flush();
    const {schema, required} = this.#shape;
    const page = convertPage(batch, this.#shape);
    const ofChanges = this.#besideColumns(batch.rowCount, sequence);
    const columns = [...page.columns, ...ofChanges, rescuedVector(batch.rowCount, rescued, page.rescued)];
    await this.#append({schema: this.#tableSchema, rowCount: batch.rowCount, columns});
    this.#rows += batch.rowCount;
    this.#rescued += rescued.length + page.rescued.reduce((sum, {count}) => sum + count, 0);
    this.#isUnchecked ||= page.rescued.length > 0 || required.some((path) => mayLack(batch, columnOf(schema, path)));
  }

  /** The columns of changes beside rows that came as columns: nothing but their sequence. */
  #besideColumns(rowCount: number, sequence: ColumnsPage['sequence']): readonly ColumnVector[] {
    const {changes} = this.#shape;
    if (changes === null) return [];
    const known = this.#beside;
    // They say the same in every row, so that those of a longer page serve as well.
    if (known !== null && known.rowCount >= rowCount && known.sequence === sequence) return known.columns;
    const given = sequence === undefined || sequence === null ? {} : {[SEQUENCE_COLUMN]: sequence as JsonValue};
    const columns = constantColumns(changes.fields, rowCount, given);
    this.#beside = {rowCount, sequence, columns};
    return columns;
  }

  /** Quarantines the rows of a SELECT that lack a required column; resolves to a SELECT of the others. */
  async #refuse(select: string): Promise<string> {
    const {schema, required} = this.#shape;
    const paths = required.map((path) => ({path, sql: this.#lacksSql(path)}));
    // A change whose sequence did not fit cannot be told from older ones.
    if (this.#shape.changes?.hasSequence === true)
      paths.push({path: SEQUENCE_COLUMN, sql: `(${OP_COLUMN} IS NOT NULL AND ${SEQUENCE_COLUMN} IS NULL)`});
    if (paths.length === 0) return select;
    const lacks = paths.map(({sql}) => sql).join(' OR ');
    const columns = schema.fields.map((field) => ({name: field.name, landed: landedName(this.#shape, field.name)}));
    const rescued = quoteIdentifier(RESCUED_COLUMN);
    const found = this.#engine.stream(
      `SELECT CASE ${paths.map(({sql}, at) => `WHEN ${sql} THEN ${at}`).join(' ')} END AS lacking, ${rescued} AS rescued,
        CASE WHEN ${rescued} IS NULL THEN ${recordSql(columns)} ELSE ${recordSql([...columns, {name: RESCUED_COLUMN, landed: RESCUED_COLUMN}])} END AS record
        FROM (${select}) AS landed WHERE ${lacks}`,
    );
    const before = this.#quarantined.length;
    const names = paths.map(({path}) => path);
    for await (const rows of found) for (const row of rows) this.#quarantined.push(refusedRow(row, names));
    return this.#quarantined.length === before ? select : `SELECT * FROM (${select}) AS landed WHERE NOT (${lacks})`;
  }

  #lacksSql(path: string): string {
    const {keyless} = this.#shape;
    const isNull = `${landedSql(this.#shape, path)} IS NULL`;
    return keyless?.keys.includes(path) === true ? `(${isNull} AND NOT ${keyless.sql})` : isNull;
  }

  async #landFiles(): Promise<void> {
    if (this.#files.length === 0) return;
    const {rows, rescued} = await this.#tables.insert(this.#files.map((file) => file.select));
    this.#rows += rows;
    this.#rescued += rescued;
    this.#isUnchecked = true;
    for (const file of this.#files.splice(0)) await file[Symbol.asyncDispose]();
  }

  async #append(batch: ColumnBatch): Promise<void> {
    const bytes = await this.#tables.append(batch);
    this.#landedBytes += bytes;
    this.#bytes += bytes;
  }

  async #addFiles(refs: readonly FileRef[]): Promise<void> {
    if (refs.length === 0) return;
    const inputs = refs.map((ref) => ({localPath: ref.file.path, options: ref.options}));
    const file = await fileSelect(this.#engine, inputs, this.#shape.schema, {ignoredColumns: this.#shape.ignored});
    this.#files.push({...file, select: this.#underLandedNames(file.select)});
    for (const ref of refs) this.#bytes += ref.file.sizeBytes;
  }

  #underLandedNames(select: string): string {
    const {columnNames, changes} = this.#shape;
    if (Object.keys(columnNames).length === 0 && changes === null) return select;
    const ofChanges = new Set(changes?.fields ?? []);
    // By place: names that differ by case only cannot be told apart by name.
    const names = this.#tableSchema.fields
      .filter((field) => !ofChanges.has(field))
      .map(({name}) => quoteIdentifier(name));
    const columns = this.#tableSchema.fields.map((field) =>
      ofChanges.has(field)
        ? `CAST(NULL AS ${sqlType(field.type)}) AS ${quoteIdentifier(field.name)}`
        : quoteIdentifier(field.name),
    );
    return `SELECT ${columns.join(', ')} FROM (${select}) AS file_rows(${names.join(', ')})`;
  }
}

/** SELECTs over what landed: of records and columns (with `__ord`), and of files, whose rows nobody has counted yet. */
export interface LandedSelects {
  readonly table: string | null;
  readonly files: readonly string[];
}

/** What the rows of a flow land as. */
export function rowsShape(flow: ResolvedFlow): LandingShape {
  const {landingSchema: schema, columnNames, ignoredColumns: ignored, rescueUnknown} = flow;
  const required = [...sourceKeys(flow), ...(flow.sequenceRequired ? sequenceSources(flow) : [])];
  const sql = keylessSql(flow);
  const keyless = sql === null ? null : {sql, keys: sourceKeys(flow)};
  return {schema, columnNames, required, ignored, rescueUnknown, changes: changeShape(flow), keyless};
}

/** What the rows of partitions land as: none of them is a change, so that all must have their keys. */
export function partitionShape(flow: ResolvedFlow): LandingShape {
  const shape = rowsShape(flow);
  return {...shape, changes: withoutChanges(shape.changes), keyless: null};
}

/** What the deletes of a flow land as: keys and sequence; where all changes are kept, all that they say. */
export function deletesShape(flow: ResolvedFlow): LandingShape {
  if (flow.target === 'append') return {...rowsShape(flow), required: sourceKeys(flow), keyless: null};
  const wanted = new Set([
    ...sourceKeys(flow),
    ...sequenceSources(flow).map((path) => columnOf(flow.landingSchema, path)),
  ]);
  const fields = flow.landingSchema.fields.filter((field) => wanted.has(field.name));
  const ignored = [
    ...flow.ignoredColumns,
    ...flow.landingSchema.fields.filter((field) => !wanted.has(field.name)).map((field) => field.name),
  ];
  const required = fields.map((field) => field.name);
  return {
    schema: {type: 'struct', fields},
    columnNames: flow.columnNames,
    required,
    ignored,
    // What a delete says beside its key and sequence lands nowhere in any case.
    rescueUnknown: false,
    changes: null,
    keyless: null,
  };
}

/**
 * Landed rows as apply wants them: the destination's columns, `__ord`, `__op` where not all are upserts, and what changes
 * have beside.
 */
export function rowsSelect(
  flow: ResolvedFlow,
  select: string,
  options: {readonly dropFiltered?: boolean; readonly ordered: boolean},
): string {
  const columns = flow.tableSchema.fields.map((field) => columnSql(flow, field));
  const ord = options.ordered ? ['__ord'] : [];
  const from = `FROM (${select}) AS landed`;
  const kept = keptSql(flow, options.dropFiltered === true);
  const where = kept === null ? '' : ` WHERE ${kept}`;
  const isEvents = options.dropFiltered !== true && flow.target !== 'append';
  const ops = isEvents && (makesDeletes(flow) || flow.changes !== null) ? [`${opSql(flow)} AS ${OP_COLUMN}`] : [];
  const partial =
    isEvents && flow.changes !== null ? [LEFT_COLUMN, ...(flow.keys.length > 0 ? [OLD_KEY_COLUMN] : [])] : [];
  return `SELECT ${[...columns, ...ord, ...ops, ...partial].join(', ')} ${from}${where}`;
}

/** Keys that changes made other ones, as deletes, where every change is a row; null where there are none, or apply takes them away. */
export function movedKeysSelect(flow: ResolvedFlow, select: string): string | null {
  if (flow.changes === null || flow.keys.length === 0 || !keepsChanges(flow)) return null;
  const columns = flow.tableSchema.fields.map((field) => {
    const name = quoteIdentifier(field.name);
    if (flow.keys.includes(field.name)) return `${OLD_KEY_COLUMN}.${name} AS ${name}`;
    if (field.name === CHANGE_TYPE_COLUMN) return `'delete' AS ${name}`;
    if (field.name === SEQUENCE_COLUMN) return columnSql(flow, field);
    return `CAST(NULL AS ${sqlType(field.type)}) AS ${name}`;
  });
  return `SELECT ${columns.join(', ')}, __ord FROM (${select}) AS landed WHERE ${OLD_KEY_COLUMN} IS NOT NULL`;
}

/** Which landed rows apply gets; null: all. */
function keptSql(flow: ResolvedFlow, dropFiltered: boolean): string | null {
  if (keepsChanges(flow)) {
    // What a condition cannot be asked about, because only its key came, is kept.
    const filter = flow.rowFilter === null ? null : `coalesce(${landedPredicateSql(flow, flow.rowFilter)}, false)`;
    return filter === null || flow.changes === null
      ? filter
      : `(${filter} OR coalesce(${OP_COLUMN} IN ('delete', 'truncate'), false))`;
  }
  if (!dropFiltered) return makesDeletes(flow) || flow.changes !== null ? null : keepSql(flow);
  const parts = [
    keepSql(flow),
    flow.changes === null ? null : `coalesce(${OP_COLUMN} NOT IN ('delete', 'truncate'), true)`,
  ];
  const conditions = parts.filter((part) => part !== null);
  return conditions.length === 0 ? null : conditions.join(' AND ');
}

/** The operation of a landed row. */
function opSql(flow: ResolvedFlow): string {
  const keep = keepSql(flow);
  const {truncateCondition, changes} = flow;
  const cases = [
    ...(changes === null ? [] : [`WHEN ${OP_COLUMN} IN ('delete', 'truncate') THEN ${OP_COLUMN}`]),
    ...(truncateCondition === null
      ? []
      : [`WHEN coalesce(${landedPredicateSql(flow, truncateCondition)}, false) THEN 'truncate'`]),
    ...(keep === null ? [] : [`WHEN NOT (${keep}) THEN 'delete'`]),
  ];
  return cases.length === 0 ? "'upsert'" : `CASE ${cases.join(' ')} ELSE 'upsert' END`;
}

/** True when every change is a row of the table, with its kind. */
function keepsChanges(flow: ResolvedFlow): boolean {
  return flow.tableSchema.fields.some((field) => field.name === CHANGE_TYPE_COLUMN);
}

/** The kind of a change that is kept as a row. Where the source does not say that an upsert made the row, it is an update. */
function changeTypeSql(flow: ResolvedFlow): string {
  const {deletionCondition, changes} = flow;
  const cases = [
    ...(changes === null ? [] : [`WHEN ${OP_COLUMN} IN ('insert', 'delete', 'truncate') THEN ${OP_COLUMN}`]),
    ...(deletionCondition === null
      ? []
      : [`WHEN coalesce(${landedPredicateSql(flow, deletionCondition)}, false) THEN 'delete'`]),
  ];
  return cases.length === 0 ? "'update_postimage'" : `CASE ${cases.join(' ')} ELSE 'update_postimage' END`;
}

/**
 * True when a row that the predicates turn away must be told to apply, because it may be newer than one that they took.
 * A snapshot without a sequence brings each row once: those turned away are not there.
 */
export function makesDeletes(flow: ResolvedFlow): boolean {
  return (
    (keepSql(flow) !== null || flow.truncateCondition !== null) &&
    flow.target !== 'append' &&
    (flow.ingestionType !== 'snapshot' || flow.sequence.length > 0)
  );
}

/** Landed deletes as apply wants them: keys, sequence, `__ord`; as rows where all changes are kept. */
export function deletesSelect(flow: ResolvedFlow, select: string): string {
  const names = [...flow.keys.filter((key) => !flow.sequence.includes(key)), ...flow.sequence];
  const isKept = keepsChanges(flow);
  const columns = flow.tableSchema.fields
    .filter((field) => isKept || names.includes(field.name))
    .map((field) => (field.name === CHANGE_TYPE_COLUMN ? `'delete' AS ${CHANGE_TYPE_COLUMN}` : columnSql(flow, field)));
  return `SELECT ${columns.join(', ')}, __ord FROM (${select}) AS landed`;
}

/** Largest value of the flow's timestamp cursor, in microseconds, as a SELECT. */
export function maxCursorSql(flow: ResolvedFlow, select: string): string | null {
  if (flow.cursorField === null || !flow.cursorIsTimestamp) return null;
  return `SELECT epoch_us(max(${landedSql({schema: flow.landingSchema, columnNames: flow.columnNames}, flow.cursorField)})) AS m FROM (${select}) AS landed`;
}

/** Source paths of the sequence; none where changes bring it. */
function sequenceSources(flow: ResolvedFlow): readonly string[] {
  if (flow.hiddenSequence.length > 0) return flow.hiddenSequence;
  return flow.sequence.filter((name) => name !== SEQUENCE_COLUMN).map((name) => sourceName(flow, name));
}

/** Source names of the keys. */
export function sourceKeys(flow: ResolvedFlow): readonly string[] {
  return flow.keys.map((key) => sourceName(flow, key));
}

const RESCUED_FIELD: StructField = {name: RESCUED_COLUMN, type: 'string', nullable: true, metadata: {}};

function keepSql(flow: ResolvedFlow): string | null {
  const parts: string[] = [];
  if (flow.rowFilter !== null) parts.push(`coalesce(${landedPredicateSql(flow, flow.rowFilter)}, false)`);
  if (flow.deletionCondition !== null)
    parts.push(`NOT coalesce(${landedPredicateSql(flow, flow.deletionCondition)}, false)`);
  return parts.length === 0 ? null : parts.join(' AND ');
}

function columnSql(flow: ResolvedFlow, field: StructField): string {
  if (field.name === SEQUENCE_COLUMN) return `${sequenceSql(flow)} AS ${quoteIdentifier(SEQUENCE_COLUMN)}`;
  if (field.name === CHANGE_TYPE_COLUMN) return `${changeTypeSql(flow)} AS ${CHANGE_TYPE_COLUMN}`;
  if (field.name === UNCHANGED_COLUMN) return `${LEFT_COLUMN} AS ${UNCHANGED_COLUMN}`;
  if (field.name === START_COLUMN) return `${startSql(flow, field)} AS ${quoteIdentifier(field.name)}`;
  if (field.name === END_COLUMN) return `CAST(NULL AS ${sqlType(field.type)}) AS ${quoteIdentifier(field.name)}`;
  return quoteIdentifier(field.name);
}

/** What lands as `_sluice_sequence`: a value of the source, a struct of several, or what came with the change. */
function sequenceSql(flow: ResolvedFlow): string {
  const shape = {schema: flow.landingSchema, columnNames: flow.columnNames};
  const [first, ...others] = flow.hiddenSequence;
  if (first === undefined) return quoteIdentifier(SEQUENCE_COLUMN);
  if (others.length === 0) return landedSql(shape, first);
  const parts = flow.hiddenSequence.map((path) => `${quoteIdentifier(fieldName(path))} := ${landedSql(shape, path)}`);
  return `struct_pack(${parts.join(', ')})`;
}

/** Since when a row holds if it is the first of its key: its sequence. Of snapshots apply knows. */
function startSql(flow: ResolvedFlow, {type}: StructField): string {
  const parts = flow.sequence.flatMap((name) => {
    const field = flow.tableSchema.fields.find((each) => each.name === name);
    if (field === undefined) return [];
    return [`CAST(${name === SEQUENCE_COLUMN ? sequenceSql(flow) : quoteIdentifier(name)} AS ${sqlType(field.type)})`];
  });
  const [first] = parts;
  if (first === undefined) return `CAST(NULL AS ${sqlType(type)})`;
  if (parts.length === 1) return first;
  return `struct_pack(${parts.map((part, at) => `${quoteIdentifier(flow.sequence[at] ?? '')} := ${part}`).join(', ')})`;
}

function isRows(page: Page): page is Extract<Page, readonly unknown[]> {
  return Array.isArray(page);
}
