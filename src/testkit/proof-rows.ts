import {rowsOf, type Cell} from '../core/cells.ts';
import {type Coercer, createCoercer, type QuarantinedRow} from '../core/coerce.ts';
import type {JsonObject} from '../core/json-value.ts';
import {RESCUED_COLUMN, type StructField} from '../core/types.ts';
import {deletesShape, rowsShape} from '../pipeline/landing.ts';
import type {ResolvedFlow} from '../pipeline/resolved-flow.ts';
import {ProofFailure} from './proof-failure.ts';

/** The values of a row as they land, by column. */
export type Cells = Readonly<Record<string, Cell>>;

/** One row as it would land. */
export interface ProofRow {
  /** Text of the key's values; of all values in a table without a key. */
  readonly key: string;
  /** What orders the changes of the key, most significant first; empty without a sequence. */
  readonly sequence: readonly Cell[];
  readonly cells: Cells;
  /** Equal for equal rows. */
  readonly text: string;
}

/** Records after coercion. */
export interface ProofRows {
  readonly rows: readonly ProofRow[];
  readonly rescuedValues: number;
  /** Texts of what did not fit, by column where it is known. */
  readonly rescued: readonly string[];
  readonly quarantined: readonly QuarantinedRow[];
}

const RESCUED_FIELD: StructField = {name: RESCUED_COLUMN, type: 'string', nullable: true, metadata: {}};

/** Coerces records as a run does: live rows with all columns, deletes with keys and sequence. */
export function coerceRecords(flow: ResolvedFlow, records: readonly JsonObject[], kind: 'rows' | 'deletes'): ProofRows {
  if (records.length === 0) return NO_ROWS;
  const coercer = coercerOf(flow, kind);
  for (const record of records) coercer.add(record);
  const {batch, rescuedValues, quarantined} = coercer.take();
  const all = rowsOf(batch);
  const rescued = all.flatMap((row) => (typeof row[RESCUED_COLUMN] === 'string' ? [row[RESCUED_COLUMN]] : []));
  return {rows: all.map((cells) => proofRow(flow, withoutRescued(cells))), rescuedValues, rescued, quarantined};
}

const NO_ROWS: ProofRows = {rows: [], rescuedValues: 0, rescued: [], quarantined: []};

/** Compiling a schema costs more than coercing a page. */
const coercers = new WeakMap<ResolvedFlow, Map<string, Coercer>>();

function coercerOf(flow: ResolvedFlow, kind: 'rows' | 'deletes'): Coercer {
  const known = coercers.get(flow) ?? new Map<string, Coercer>();
  coercers.set(flow, known);
  const found = known.get(kind);
  if (found !== undefined) return found;
  const shape = kind === 'rows' ? rowsShape(flow) : deletesShape(flow);
  const coercer = createCoercer(
    {type: 'struct', fields: [...shape.schema.fields, RESCUED_FIELD]},
    {keys: shape.required, rescue: true, ignoredFields: shape.ignored},
  );
  known.set(kind, coercer);
  return coercer;
}

/** Values of some columns as they would land. @throws ProofFailure naming what is no column, or does not fit one. */
export function landedCells(flow: ResolvedFlow, record: JsonObject): Cells {
  const names = Object.keys(record);
  const fields = rowsShape(flow).schema.fields.filter(({name}) => names.includes(name));
  const unknown = names.filter((name) => !fields.some((field) => field.name === name));
  if (unknown.length > 0)
    throw new ProofFailure({
      expected: `columns of "${flow.sourceTable}" for all that its writes name`,
      came: `no column ${unknown.join(', ')}`,
      fix: 'Add the columns to the schema, or give only columns of the table from the writes of the proof.',
    });
  const coercer = createCoercer(
    {type: 'struct', fields: [...fields.map((field) => ({...field, nullable: true})), RESCUED_FIELD]},
    {rescue: true},
  );
  coercer.add(record);
  const {batch, rescuedValues} = coercer.take();
  if (rescuedValues > 0)
    throw new ProofFailure({
      expected: `values that fit the columns ${names.join(', ')} of "${flow.sourceTable}"`,
      came: `${rescuedValues} that would be rescued`,
      fix: 'Correct the schema, or give the values as the source shows them from the writes of the proof.',
    });
  return withoutRescued(rowsOf(batch)[0] ?? {});
}

/** A row from values that landed. */
export function proofRow(flow: ResolvedFlow, cells: Cells): ProofRow {
  const text = cellText(cells);
  const key = flow.keys.length === 0 ? text : flow.keys.map((name) => cellText(cells[name] ?? null)).join(' ');
  return {key, sequence: sequencePaths(flow).map((path) => cellAtPath(cells, path)), cells, text};
}

/** The value at a column or a dotted path into structs; null when it is not there. */
export function cellAtPath(cells: Cells, path: string): Cell {
  const direct = cells[path];
  if (direct !== undefined) return direct;
  let value: Cell = cells;
  for (const part of path.split('.')) {
    if (!isStruct(value)) return null;
    value = value[part] ?? null;
  }
  return value;
}

/** One text per value, equal for equal values. */
export function cellText(cell: Cell): string {
  if (typeof cell === 'bigint') return String(cell);
  if (cell instanceof Uint8Array) return `x'${Buffer.from(cell).toString('hex')}'`;
  if (isList(cell)) return `[${cell.map(cellText).join(',')}]`;
  if (isStruct(cell)) return structText(cell);
  // -0 and NaN have no JSON text.
  if (typeof cell === 'number') return Object.is(cell, -0) ? '-0' : String(cell);
  return JSON.stringify(cell);
}

function structText(cells: Cells): string {
  let text = '{';
  for (const name in cells) text += `${name}:${cellText(cells[name] ?? null)},`;
  return `${text}}`;
}

/** Below 0 when the left sequence is older. NULL is older than everything. */
export function compareSequences(left: readonly Cell[], right: readonly Cell[]): number {
  for (const [index, cell] of left.entries()) {
    const order = compareCells(cell, right[index] ?? null);
    if (order !== 0) return order;
  }
  return 0;
}

function compareCells(left: Cell, right: Cell): number {
  if (left === null || right === null) return left === right ? 0 : left === null ? -1 : 1;
  if (isStruct(left) && isStruct(right)) return compareSequences(Object.values(left), Object.values(right));
  const [a, b] =
    typeof left === 'string' || typeof right === 'string' ? [cellText(left), cellText(right)] : [left, right];
  return a < b ? -1 : a > b ? 1 : 0;
}

function sequencePaths(flow: ResolvedFlow): readonly string[] {
  return flow.hiddenSequence.length > 0 ? flow.hiddenSequence : flow.sequence;
}

function withoutRescued(cells: Cells): Cells {
  const {[RESCUED_COLUMN]: _, ...rest} = cells;
  return rest;
}

function isList(cell: Cell): cell is readonly Cell[] {
  return Array.isArray(cell);
}

function isStruct(cell: Cell): cell is Readonly<Record<string, Cell>> {
  return typeof cell === 'object' && cell !== null && !Array.isArray(cell) && !(cell instanceof Uint8Array);
}
