import {isNested} from '../core/schema.ts';
import {END_COLUMN, START_COLUMN, type DataType, type StructField, type StructType} from '../core/types.ts';
import type {ColumnSql} from './column-sql.ts';
import type {SqlDialect} from './sql-dialect.ts';

/** What an event that no version shows is, in a file of hidden events: `upsert`, `delete`, `closed`, or `gone` (an entry undone). */
export const KIND_COLUMN = '__sluice_kind';

/** When an entry of such a file was made, milliseconds since 1970. */
export const WRITTEN_COLUMN = '__sluice_written';

/** Work columns of a history; users' columns may have any other name. */
export const HISTORY = {
  at: '__sluice_at',
  id: '__sluice_id',
  origin: '__sluice_origin',
  source: '__sluice_source',
  rank: '__sluice_rank',
  digest: '__sluice_digest',
  whole: '__sluice_whole',
  least: '__sluice_least',
  from: '__sluice_from',
  file: '__file',
  position: '__pos',
} as const;

/** A value that sequences are compared by: a column, or a field of one that is a struct. */
interface Part {
  /** Where it stands in a row, after the row's alias; null for snapshots, whose rows do not say when they were read. */
  readonly inRow: string | null;
  /** Where it stands in `__START_AT` and `__END_AT`, after the column. */
  readonly inBound: string;
  readonly type: DataType;
}

/**
 * Expressions over the columns of a history. An event has a *place*: the values of its sequence, one after the other, or the time
 * at which its snapshot was read. Places compare value by value, NULL lowest.
 */
export class HistoryColumns {
  readonly columns: ColumnSql;
  /** All columns but the two that say when. */
  readonly values: readonly StructField[];
  /** Type of a place, as `__START_AT` has it. */
  readonly placeType: DataType;
  readonly #tracked: ReadonlySet<string>;
  readonly #parts: readonly Part[];
  /** Two events of a key differ in a tracked column wherever they stand: each is a version of its own. */
  readonly alwaysDiffers: boolean;

  constructor(columns: ColumnSql, trackedColumns: readonly string[]) {
    const {schema, sequence} = columns.shape;
    this.columns = columns;
    this.values = schema.fields.filter(({name}) => name !== START_COLUMN && name !== END_COLUMN);
    this.placeType = schema.fields.find(({name}) => name === START_COLUMN)?.type ?? 'timestamp';
    this.#tracked = new Set(trackedColumns);
    const fields = sequence.flatMap((name) => this.values.filter((field) => field.name === name));
    this.#parts = fields.flatMap((field) => this.#partsOf(field, '', fields.length === 1 ? null : ''));
    if (this.#parts.length === 0) this.#parts = [{inRow: null, inBound: '', type: this.placeType}];
    this.alwaysDiffers = sequence.length > 0 && sequence.every((name) => this.#tracked.has(name));
  }

  get dialect(): SqlDialect {
    return this.columns.dialect;
  }

  /** True when rows carry their sequence. */
  get isSequenced(): boolean {
    return this.columns.shape.sequence.length > 0;
  }

  get start(): string {
    return this.columns.quote(START_COLUMN);
  }

  get end(): string {
    return this.columns.quote(END_COLUMN);
  }

  /** What a file of hidden events has: the values, the place as `__START_AT`, the kind and the time of writing. */
  get hiddenSchema(): StructType {
    const start: StructField = {name: START_COLUMN, type: this.placeType, nullable: true, metadata: {}};
    const kind: StructField = {name: KIND_COLUMN, type: 'string', nullable: false, metadata: {}};
    const written: StructField = {name: WRITTEN_COLUMN, type: 'long', nullable: false, metadata: {}};
    return {type: 'struct', fields: [...this.values, start, kind, written]};
  }

  /** Work columns of a place. */
  places(alias?: string): readonly string[] {
    return this.#parts.map((_, at) => (alias === undefined ? this.place(at) : `${alias}.${this.place(at)}`));
  }

  place(at: number): string {
    return `${HISTORY.at}${at}`;
  }

  /** The leading value of a place decides which rows of a key are looked at. */
  get leadType(): DataType {
    return this.#parts[0]?.type ?? 'timestamp';
  }

  /** The values of a row's own sequence; NULL for snapshots. */
  own(alias: string): readonly string[] {
    return this.#parts.map(({inRow, type}) => (inRow === null ? this.null(type) : `${alias}.${inRow}`));
  }

  /** The values of a row's `__START_AT` or `__END_AT`. */
  bound(alias: string, column: string): readonly string[] {
    return this.#parts.map(({inBound}) =>
      inBound === '' ? `${alias}.${this.columns.quote(column)}` : `(${alias}.${this.columns.quote(column)})${inBound}`,
    );
  }

  /** The place of a version's last event: its row's sequence, or its start where that is later. Rows of a table that kept no versions have no start. */
  last(alias: string): readonly string[] {
    const starts = this.bound(alias, START_COLUMN);
    if (!this.isSequenced) return starts;
    const own = this.own(alias);
    return starts.map((start, at) => `CASE WHEN ${this.newer(starts, own)} THEN ${start} ELSE ${own[at] ?? ''} END`);
  }

  /** A place after its leading value, others lowest. */
  after(lead: string): readonly string[] {
    return this.#parts.map(({type}, at) => (at === 0 ? lead : this.null(type)));
  }

  /** Values as the work columns of a place. */
  as(values: readonly string[]): string {
    return values.map((value, at) => `${value} AS ${this.place(at)}`).join(', ');
  }

  /** The values of a place as `__START_AT` has them. */
  pack(values: readonly string[]): string {
    const rest = [...values];
    return this.#packed(this.placeType, rest);
  }

  /** True when the first place is higher. Never NULL. */
  newer(left: readonly string[], right: readonly string[]): string {
    return left.reduceRight((rest, l, at) => {
      const r = right[at] ?? 'NULL';
      const higher = `coalesce(${l} > ${r}, ${l} IS NOT NULL AND ${r} IS NULL)`;
      return rest === '' ? higher : `(${higher} OR (${l} IS NOT DISTINCT FROM ${r} AND ${rest}))`;
    }, '');
  }

  /** True when two places are one. */
  samePlace(left: readonly string[], right: readonly string[]): string {
    return left.map((value, at) => `${value} IS NOT DISTINCT FROM ${right[at] ?? 'NULL'}`).join(' AND ');
  }

  /** A 64-bit hash of the tracked columns. */
  digest(alias: string): string {
    return this.#hash(
      this.values.filter(({name}) => this.#tracked.has(name)),
      alias,
    );
  }

  /** A 64-bit hash of all values. */
  whole(alias: string): string {
    return this.#hash(this.values, alias);
  }

  null(type: DataType): string {
    return `CAST(NULL AS ${this.dialect.type(type)})`;
  }

  /** The text of a leading value as one. */
  lead(text: string): string {
    return `CAST(${this.dialect.text(text)} AS ${this.dialect.type(this.leadType)})`;
  }

  #hash(fields: readonly StructField[], alias: string): string {
    if (fields.length === 0) return this.dialect.hash(['0']);
    const values = fields.flatMap((field) => {
      const name = `${alias}.${this.columns.quote(field.name)}`;
      // The engine's hash of an empty list is that of NULL, and that of a struct of NULLs, too; their texts differ.
      return isNested(field.type) ? [name, `CAST(${name} AS VARCHAR)`] : [name];
    });
    return this.dialect.hash(values);
  }

  /** @param inBound null where the bound is the column itself. */
  #partsOf(field: StructField, inRow: string, inBound: string | null): readonly Part[] {
    const name = this.columns.quote(field.name);
    const [row, bound] = [inRow === '' ? name : `${inRow}.${name}`, inBound === null ? '' : `${inBound}.${name}`];
    const {type} = field;
    if (typeof type !== 'object' || type.type !== 'struct') return [{inRow: row, inBound: bound, type}];
    return type.fields.flatMap((child) => this.#partsOf(child, row, bound));
  }

  #packed(type: DataType, rest: string[]): string {
    if (typeof type !== 'object' || type.type !== 'struct') return rest.shift() ?? 'NULL';
    return this.dialect.struct(type.fields.map(({name, type: child}) => [name, this.#packed(child, rest)]));
  }
}
