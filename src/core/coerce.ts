import {type CompiledField, compileFields} from './coerce/compile-schema.ts';
import {compileFieldLoop, type FieldLoop, fieldValue} from './coerce/field-loop.ts';
import {Misfits, pathPart} from './coerce/misfits.ts';
import {isObject} from './coerce/nested-writers.ts';
import {TextArena} from './coerce/text-arena.ts';
import {StringWriter} from './coerce/text-writers.ts';
import {TokenLoop} from './coerce/token-loop.ts';
import type {ColumnBatch} from './columns.ts';
import {IngestError} from './errors.ts';
import {stringifyJson} from './json-reader.ts';
import type {JsonObject, JsonValue} from './json-value.ts';
import {type LazyObject, lazyObject} from './lazy-object.ts';
import {landedSchema} from './schema.ts';
import {RESCUED_COLUMN, type StructType} from './types.ts';

/** Why a row cannot land. */
export type QuarantineReason =
  /** The record is no JSON object. */
  | 'NOT_AN_OBJECT'
  /** A key column is null or missing. */
  | 'NULL_KEY'
  /** The value of a key column does not fit its type. */
  | 'MISFIT_KEY'
  /** A required column is null or missing. */
  | 'NULL_REQUIRED'
  /** The value of a required column does not fit its type. */
  | 'MISFIT_REQUIRED'
  /** A value does not fit its type, and the table has no column for rescued data. */
  | 'NOT_RESCUED'
  /** A snapshot brought the row's key before, and the flow takes the first. */
  | 'DUPLICATE_KEY'
  /** An update leaves columns as they were, and nothing says how they were. */
  | 'INCOMPLETE_ROW';

/** A row that cannot land. */
export interface QuarantinedRow {
  readonly reason: QuarantineReason;
  /** Dotted path of the column; empty when the record is no object. */
  readonly path: string;
  /** JSON text of the whole record. */
  readonly record: string;
}

/** How records are coerced. */
export interface CoercerOptions {
  /** Columns, or dotted paths into structs, that must be there: a row without one is quarantined. */
  readonly keys?: readonly string[];
  /**
   * True: the schema's last column is `_rescued_data`, where values that do not fit go with their paths. False: a row
   * with such a value is quarantined.
   */
  readonly rescue: boolean;
  /** Fields of records that nobody wants: left out and not counted as unknown. */
  readonly ignoredFields?: readonly string[];
  /** Columns whose values come beside the record, see {@link Coercer.add}: records need not be copied to get them. */
  readonly beside?: readonly string[];
  /** Values of fields that are neither in the schema nor ignored, at any depth, are misfits; without it they are left out. */
  readonly rescueUnknown?: boolean;
  /** Rows that have room from the start; default 1024. Room doubles when it is used up. */
  readonly capacity?: number;
}

/** What {@link Coercer.take} gives. */
export interface CoercedBatch {
  /** Rows that land, with the landed types of the schema. The arrays are used again by the next `add`. */
  readonly batch: ColumnBatch;
  /** Values that went to `_rescued_data`. */
  readonly rescuedValues: number;
  readonly quarantined: readonly QuarantinedRow[];
  /** Top-level names of records that are no columns, with the number of records that had them. */
  readonly unknownFields: ReadonlyMap<string, number>;
}

/** Turns raw JSON records into columns. */
export interface Coercer {
  /** Takes one record and the values of the columns that come beside it; true when its row lands, false when it is quarantined. */
  add(record: JsonObject, beside?: JsonObject): boolean;
  /**
   * True for a record that is read from its text only in a batch of its own kind: `take` what came before, else it is added as any other,
   * which takes longer.
   */
  wantsNewBatch(record: JsonObject): boolean;
  /** Rows that land, since the last `take`. */
  readonly rowCount: number;
  /** About how many bytes the columns of these rows take. */
  readonly sizeBytes: number;
  /** Bytes of JSON texts that are held for rows which are read from them. */
  readonly heldBytes: number;
  /** Gives all rows since the last `take` and starts anew. */
  take(): CoercedBatch;
}

const FIRST_CAPACITY = 1024;
const NOTHING: JsonObject = {};

/**
 * Compiles a schema into a {@link Coercer}. Conversions lose nothing but what a type cannot hold by its nature (digits
 * beyond a double or beyond microseconds); what does not fit is rescued or quarantined, never changed in silence.
 * Timestamps without a zone are UTC, whatever the machine's zone. `docs/coercion.md` has the table of accepted inputs.
 * @throws INVALID_SCHEMA for a map whose keys cannot be told apart as JSON names, a hint that is unknown, or a missing `_rescued_data`.
 */
export function createCoercer(schema: StructType, options: CoercerOptions): Coercer {
  return new RecordCoercer(schema, options);
}

class RecordCoercer implements Coercer {
  readonly #schema: StructType;
  readonly #fields: readonly CompiledField[];
  readonly #known: ReadonlySet<string>;
  readonly #rescued: StringWriter | null;
  readonly #misfits = new Misfits();
  readonly #arena = new TextArena();
  readonly #rescuesUnknown: boolean;
  readonly #loop: FieldLoop;
  readonly #tokens: TokenLoop;
  #capacity: number;
  #rowCount = 0;
  #rescuedValues = 0;
  #quarantined: QuarantinedRow[] = [];
  #unknown = new Map<string, number>();
  /** Unknown names of the last record that was looked at, with the records like it that came since. */
  #lastUnknown: {readonly name: string; count: number}[] = [];

  constructor(schema: StructType, options: CoercerOptions) {
    this.#schema = landedSchema(schema);
    const data = options.rescue ? withoutRescuedColumn(schema) : schema;
    this.#rescuesUnknown = options.rescueUnknown === true;
    this.#fields = compileFields(data, options.keys ?? [], {
      misfits: this.#misfits,
      arena: this.#arena,
      rescueUnknown: this.#rescuesUnknown,
      ...(options.beside === undefined ? {} : {beside: new Set(options.beside)}),
    });
    this.#rescued = options.rescue ? new StringWriter(false, this.#arena) : null;
    const beside = new Set(options.beside);
    const names = new Set(data.fields.map((field) => field.name).filter((name) => !beside.has(name)));
    const ignored = new Set((options.ignoredFields ?? []).filter((name) => !names.has(name)));
    this.#known = new Set([...names, ...ignored]);
    this.#loop = compileFieldLoop(this.#fields, this.#misfits, {
      ignored,
      found: (record, count) => this.#countUnknown(record, count),
    });
    this.#tokens = new TokenLoop(this.#fields, {ignored, refusesUnknown: this.#rescuesUnknown});
    this.#capacity = Math.max(1, options.capacity ?? FIRST_CAPACITY);
    this.#reserve();
  }

  get rowCount(): number {
    return this.#rowCount;
  }

  get sizeBytes(): number {
    const rescued = this.#rescued?.sizeBytes() ?? 0;
    return this.#fields.reduce((sum, {writer}) => sum + writer.sizeBytes(this.#rowCount), rescued);
  }

  get heldBytes(): number {
    return this.#arena.sizeBytes;
  }

  add(record: JsonObject, beside: JsonObject = NOTHING): boolean {
    const row = this.#rowCount;
    if (row === this.#capacity) {
      this.#capacity *= 2;
      this.#reserve();
    }
    const lazy = lazyObject(record);
    if (lazy !== undefined && this.#addLazily(lazy, beside)) return true;
    if (!isObject(record as JsonValue | undefined)) return this.#quarantine('NOT_AN_OBJECT', '', record);
    const failed = this.#fields[this.#loop.write(row, record, beside)];
    if (failed !== undefined) return this.#refuse(failed, record);
    if (this.#misfits.length === 0) this.#rescued?.write(row, null);
    else if (!this.#rescueInto(row)) return this.#quarantine('NOT_RESCUED', this.#misfits.firstPath, record);
    this.#rowCount = row + 1;
    return true;
  }

  wantsNewBatch(record: JsonObject): boolean {
    return this.#rowCount > 0 && !this.#arena.isOpen && lazyObject(record) !== undefined;
  }

  /** False for a record that only the loop over its fields can decide about. */
  #addLazily(record: LazyObject, beside: JsonObject): boolean {
    const row = this.#rowCount;
    if (row === 0) this.#arena.open();
    if (!this.#arena.isOpen) return false;
    if (!this.#tokens.write(row, record, beside) || this.#misfits.length > 0) {
      this.#misfits.truncate(0);
      return false;
    }
    this.#tokens.countUnknown();
    this.#rescued?.write(row, null);
    this.#rowCount = row + 1;
    return true;
  }

  take(): CoercedBatch {
    const rowCount = this.#rowCount;
    this.#takeLastUnknown();
    for (const [name, count] of this.#tokens.takeUnknown())
      this.#unknown.set(name, (this.#unknown.get(name) ?? 0) + count);
    const columns = this.#fields.map(({writer}) => writer.vector(rowCount));
    if (this.#rescued !== null) columns.push(this.#rescued.vector(rowCount));
    const taken: CoercedBatch = {
      batch: {schema: this.#schema, rowCount, columns},
      rescuedValues: this.#rescuedValues,
      quarantined: this.#quarantined,
      unknownFields: this.#unknown,
    };
    for (const {writer} of this.#fields) writer.clear();
    this.#rescued?.clear();
    this.#arena.close();
    this.#rowCount = 0;
    this.#rescuedValues = 0;
    this.#quarantined = [];
    this.#unknown = new Map();
    return taken;
  }

  #reserve(): void {
    for (const {writer} of this.#fields) writer.reserve(this.#capacity);
    this.#rescued?.reserve(this.#capacity);
  }

  #rescueInto(row: number): boolean {
    if (this.#rescued === null) return false;
    this.#rescued.write(row, this.#misfits.toJson());
    this.#rescuedValues += this.#misfits.length;
    this.#misfits.truncate(0);
    return true;
  }

  #refuse(field: CompiledField, record: JsonObject): false {
    const value = fieldValue(record, field.name);
    const isNull = value === null || value === undefined || (field.emptyIsNull && value === '');
    if (field.keyPath !== null)
      return this.#quarantine(
        isNull || isNullAt(record, field.keyPath) ? 'NULL_KEY' : 'MISFIT_KEY',
        field.keyPath.join('.'),
        record,
      );
    return this.#quarantine(isNull ? 'NULL_REQUIRED' : 'MISFIT_REQUIRED', field.name, record);
  }

  #quarantine(reason: QuarantineReason, path: string, record: JsonObject): false {
    this.#misfits.truncate(0);
    this.#quarantined.push({reason, path, record: stringifyJson(record)});
    return false;
  }

  #countUnknown(record: JsonObject, count: number): void {
    // Records of one source have the same unknown names in most cases: those are found without looking at all names.
    if (!this.#rescuesUnknown && this.#lastUnknown.length === count) {
      if (this.#lastUnknown.every(({name}) => record[name] !== undefined && Object.hasOwn(record, name))) {
        for (const seen of this.#lastUnknown) seen.count++;
        return;
      }
    }
    this.#takeLastUnknown();
    const names: string[] = [];
    for (const name of Object.keys(record)) {
      const value = record[name];
      if (value === undefined || this.#known.has(name)) continue;
      this.#unknown.set(name, (this.#unknown.get(name) ?? 0) + 1);
      names.push(name);
      if (this.#rescuesUnknown && value !== null) this.#misfits.add(pathPart(name), value);
    }
    this.#lastUnknown = names.map((name) => ({name, count: 0}));
  }

  #takeLastUnknown(): void {
    for (const {name, count} of this.#lastUnknown)
      if (count > 0) this.#unknown.set(name, (this.#unknown.get(name) ?? 0) + count);
    this.#lastUnknown = [];
  }
}

function withoutRescuedColumn(schema: StructType): StructType {
  const last = schema.fields.at(-1);
  if (last?.name === RESCUED_COLUMN && last.type === 'string')
    return {type: 'struct', fields: schema.fields.slice(0, -1)};
  throw new IngestError(
    'INVALID_SCHEMA',
    `The last column of a table that rescues values must be ${RESCUED_COLUMN}, a string.`,
  );
}

/** True when the value at a path into objects is null or missing, or something on the way is. */
function isNullAt(record: JsonObject, path: readonly string[]): boolean {
  let value: JsonValue | undefined = record;
  for (const name of path) {
    if (!isObject(value)) return value === null || value === undefined;
    value = fieldValue(value, name);
  }
  return value === null || value === undefined;
}
