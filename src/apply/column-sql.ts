import {isNested} from '../core/schema.ts';
import type {StructField, StructType} from '../core/types.ts';
import type {SqlDialect} from './sql-dialect.ts';

/** The columns that a merge works with. */
export interface MergeShape {
  readonly schema: StructType;
  readonly keys: readonly string[];
  readonly sequence: readonly string[];
}

/** Work columns; users' columns may have any other name. */
export const WORK = {
  delete: '__sluice_delete',
  source: '__sluice_source',
  order: '__ord',
  op: '__op',
  unchanged: '__unchanged',
  oldKey: '__old_key',
  rank: '__sluice_rank',
  events: '__sluice_events',
  verdict: '__sluice_verdict',
  hash: '__sluice_hash',
  kind: '__sluice_kind',
  file: '__file',
  position: '__pos',
} as const;

/** Expressions over the columns of a table: what the SELECTs of merges are made of. */
export class ColumnSql {
  readonly dialect: SqlDialect;
  readonly shape: MergeShape;

  constructor(dialect: SqlDialect, shape: MergeShape) {
    this.dialect = dialect;
    this.shape = shape;
  }

  /** Keys and sequence: what a delete and a tombstone have. */
  get deleteSchema(): StructType {
    const names = new Set([...this.shape.keys, ...this.shape.sequence]);
    return {type: 'struct', fields: this.shape.schema.fields.filter((field) => names.has(field.name))};
  }

  /** Columns of the sequence. */
  get sequenceFields(): readonly StructField[] {
    const {schema, sequence} = this.shape;
    return sequence.flatMap((name) => schema.fields.filter((field) => field.name === name));
  }

  /** The key as it is in `__old_key`. */
  get oldKeyType(): StructType {
    const {schema, keys} = this.shape;
    return {type: 'struct', fields: keys.flatMap((name) => schema.fields.filter((field) => field.name === name))};
  }

  /** A column of the key before an event: what is not said of it did not change. `prefix` is empty or an alias with its point. */
  oldKey(prefix: string, field: StructField): string {
    const name = this.quote(field.name);
    return `CAST(coalesce(${prefix}${WORK.oldKey}.${name}, ${prefix}${name}) AS ${this.dialect.type(field.type)})`;
  }

  /** True for an upsert whose key was another one. */
  hasOldKey(prefix: string): string {
    const differs = this.oldKeyType.fields.map(
      (field) => `${this.oldKey(prefix, field)} IS DISTINCT FROM ${prefix}${this.quote(field.name)}`,
    );
    return `${prefix}${WORK.oldKey} IS NOT NULL AND (${differs.join(' OR ')})`;
  }

  /** The work columns of incomplete events. */
  incompleteness(hasUnchanged: boolean, hasOldKey: boolean): readonly string[] {
    const list = this.dialect.type({type: 'array', elementType: 'string', containsNull: true});
    return [
      `CAST(${hasUnchanged ? WORK.unchanged : 'NULL'} AS ${list}) AS ${WORK.unchanged}`,
      `CAST(${hasOldKey ? WORK.oldKey : 'NULL'} AS ${this.dialect.type(this.oldKeyType)}) AS ${WORK.oldKey}`,
    ];
  }

  /** A name as an identifier. */
  quote(name: string): string {
    return this.dialect.quote(name);
  }

  /** Names as a list of identifiers. */
  list(names: readonly string[]): string {
    return names.map((name) => this.quote(name)).join(', ');
  }

  /** All columns of the schema. */
  all(alias?: string): string {
    return this.named(this.shape.schema.fields, alias);
  }

  /** Columns by their fields. */
  named(fields: readonly StructField[], alias?: string): string {
    return fields
      .map((field) => (alias === undefined ? this.quote(field.name) : `${alias}.${this.quote(field.name)}`))
      .join(', ');
  }

  /** The key's columns. */
  keyColumns(alias: string): string {
    return this.shape.keys.map((name) => `${alias}.${this.quote(name)}`).join(', ');
  }

  /** A column with its type; NULL when it is not there. */
  cast(field: StructField, present: boolean): string {
    const name = this.quote(field.name);
    return `CAST(${present ? name : 'NULL'} AS ${this.dialect.type(field.type)}) AS ${name}`;
  }

  /** True when two rows have one key. */
  sameKey(left: string, right: string): string {
    return this.shape.keys.map((name) => `${left}.${this.quote(name)} = ${right}.${this.quote(name)}`).join(' AND ');
  }

  /** The rows of a SELECT whose key is in a relation. */
  ofKeys(rows: string, keys: string): string {
    return `SELECT t.* FROM (${rows}) AS t ${this.dialect.semiJoin} ${keys} AS k ON ${this.sameKey('t', 'k')}`;
  }

  /** True when two rows of one key are equal. */
  sameRow(left: string, right: string): string {
    const keys = new Set(this.shape.keys);
    const others = this.shape.schema.fields.filter((field) => !keys.has(field.name)).map(({name}) => this.quote(name));
    return others.length === 0
      ? 'TRUE'
      : others.map((name) => `${left}.${name} IS NOT DISTINCT FROM ${right}.${name}`).join(' AND ');
  }

  /** True when the sequence of `left` is higher than that of `right`: value by value, NULL lowest. Never NULL; FALSE without a sequence. */
  newer(left: string, right: string): string {
    return this.#sequenceValues().reduceRight((rest, name) => {
      const [l, r] = [`${left}.${name}`, `${right}.${name}`];
      const higher = `coalesce(${l} > ${r}, ${l} IS NOT NULL AND ${r} IS NULL)`;
      return rest === 'FALSE' ? higher : `(${higher} OR (${l} IS NOT DISTINCT FROM ${r} AND ${rest}))`;
    }, 'FALSE');
  }

  /** The sequence as terms of ORDER BY. */
  bySequence(direction: 'ASC' | 'DESC'): readonly string[] {
    const nulls = direction === 'ASC' ? 'NULLS FIRST' : 'NULLS LAST';
    return this.#sequenceValues().map((name) => `${name} ${direction} ${nulls}`);
  }

  /** A 64-bit hash of a whole row. */
  rowHash(): string {
    const values = this.shape.schema.fields.flatMap((field) => {
      const name = this.quote(field.name);
      // The engine's hash of an empty list is that of NULL, and that of a struct of NULLs, too; their texts differ.
      return isNested(field.type) ? [name, `CAST(${name} AS VARCHAR)`] : [name];
    });
    return this.dialect.hash(values);
  }

  /** What a sequence is compared by: a struct by its fields, because engines do not agree where a NULL in one stands. */
  #sequenceValues(): readonly string[] {
    return this.sequenceFields.flatMap((field) => this.#valuesOf(field, ''));
  }

  #valuesOf(field: StructField, parent: string): readonly string[] {
    const path = parent + this.quote(field.name);
    const {type} = field;
    if (typeof type !== 'object' || type.type !== 'struct') return [path];
    return type.fields.flatMap((child) => this.#valuesOf(child, `${path}.`));
  }
}
