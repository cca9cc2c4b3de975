import type {Literal, Operand, Predicate} from '../core/predicate.ts';
import {parsePredicate, renderPredicate} from '../core/predicate.ts';
import type {DataType, StructType} from '../core/types.ts';

/** A Spark SQL condition in the engine's SQL. */
export interface TranslatedCondition {
  readonly sql: string;
  /** Top-level columns that it names, as the schema writes them. */
  readonly columns: readonly string[];
}

/**
 * Translates a condition of Spark SQL where both engines are sure to answer alike: comparisons of columns and constants of
 * one kind, NULL tests, IN, BETWEEN, LIKE, AND, OR, NOT.
 * @throws INVALID_PREDICATE when it does not parse; RangeError with a reason when the engines may differ or a column is unknown.
 */
export function translateCondition(text: string, schema: StructType): TranslatedCondition {
  refuseDifferentTexts(text);
  const columns = new Set<string>();
  const resolve = (operand: Operand): Operand => {
    if (operand.kind !== 'column') return operand;
    const path = resolvedPath(schema, operand.path);
    columns.add(path[0] ?? '');
    return {kind: 'column', path};
  };
  const predicate = mapOperands(parsePredicate(text), resolve);
  checkTypes(predicate, schema);
  return {sql: renderPredicate(predicate, 'duckdb'), columns: [...columns]};
}

/** In Spark, double quotes hold texts, a backslash escapes, quotes are doubled in some versions only, and timestamps without zone are the session's. */
function refuseDifferentTexts(text: string): void {
  const outside = text.replaceAll(/`(?:[^`]|``)*`/g, '');
  if (/["\\]/.test(outside)) throw new RangeError('a double quote or a backslash');
  if (/#\s*#/.test(outside.replaceAll('#', '').replaceAll(/'[^']*'/g, '#'))) throw new RangeError('a doubled quote');
  if (/\btimestamp\s*'(?![^']*(?:Z|[+-]\d{2}:\d{2})')/i.test(outside)) throw new RangeError('a timestamp without zone');
}

function resolvedPath(schema: StructType, names: readonly string[]): readonly string[] {
  const path: string[] = [];
  let type: DataType = schema;
  for (const name of names) {
    const fields: StructType['fields'] = typeof type === 'object' && type.type === 'struct' ? type.fields : [];
    const field = fields.find((each) => each.name.toLowerCase() === name.toLowerCase());
    if (field === undefined) throw new RangeError(`the column ${names.join('.')}, which the table does not have`);
    path.push(field.name);
    type = field.type;
  }
  return path;
}

function mapOperands(predicate: Predicate, map: (operand: Operand) => Operand): Predicate {
  switch (predicate.kind) {
    case 'and':
    case 'or':
      return {...predicate, terms: predicate.terms.map((term) => mapOperands(term, map))};
    case 'not':
      return {...predicate, term: mapOperands(predicate.term, map)};
    case 'compare':
      return {...predicate, left: map(predicate.left), right: map(predicate.right)};
    case 'between':
      return {...predicate, operand: map(predicate.operand), low: map(predicate.low), high: map(predicate.high)};
    case 'null':
    case 'in':
    case 'like':
    case 'truth':
      return {...predicate, operand: map(predicate.operand)};
  }
}

/** What compares alike in both engines. `float` stands alone: next to a number of another type they round differently. */
type Kind = 'text' | 'number' | 'float' | 'boolean' | 'date' | 'timestamp';

function checkTypes(predicate: Predicate, schema: StructType): void {
  switch (predicate.kind) {
    case 'and':
    case 'or':
      for (const term of predicate.terms) checkTypes(term, schema);
      return;
    case 'not':
      return checkTypes(predicate.term, schema);
    case 'null':
      return;
    case 'compare':
      return checkAlike([predicate.left, predicate.right], schema);
    case 'between':
      return checkAlike([predicate.operand, predicate.low, predicate.high], schema);
    case 'in':
      return checkAlike([predicate.operand, ...predicate.values], schema);
    case 'like':
      return checkKind(predicate.operand, 'text', schema);
    case 'truth':
      return checkKind(predicate.operand, 'boolean', schema);
  }
}

function checkAlike(operands: readonly Operand[], schema: StructType): void {
  const known = operands.filter((operand) => operand.kind !== 'nothing');
  const [first] = known;
  if (first === undefined) return;
  const float = known.find((operand) => kindOf(operand, schema) === 'float');
  for (const operand of known) checkKind(operand, kindOf(float ?? first, schema), schema);
  checkDigits(known, schema);
}

/** Beyond 38 digits one engine goes on with doubles and the other cuts digits off. */
function checkDigits(operands: readonly Operand[], schema: StructType): void {
  const digits = operands.map((operand) => digitsOf(operand, schema));
  const exact = digits.filter((each) => each !== null);
  // Next to a double all are doubles.
  if (exact.length < digits.length) return;
  const whole = Math.max(...exact.map((each) => each.whole));
  const fraction = Math.max(...exact.map((each) => each.fraction));
  if (whole + fraction > MAX_DIGITS) throw new RangeError(`numbers of more than ${MAX_DIGITS} digits`);
}

const MAX_DIGITS = 38;

interface Digits {
  readonly whole: number;
  readonly fraction: number;
}

/** How many digits a number may have in front of its point and behind; null for a double, and for what is no number. */
function digitsOf(operand: Operand, schema: StructType): Digits | null {
  if (operand.kind === 'number') {
    const [whole = '', fraction = ''] = operand.text.replace('-', '').split('.');
    return /e/i.test(operand.text) ? null : {whole: whole.length, fraction: fraction.length};
  }
  if (operand.kind !== 'column') return null;
  const type = typeAt(schema, operand.path);
  if (typeof type === 'string') return type in INTEGER_DIGITS ? {whole: INTEGER_DIGITS[type] ?? 0, fraction: 0} : null;
  return type.type === 'decimal' ? {whole: type.precision - type.scale, fraction: type.scale} : null;
}

const INTEGER_DIGITS: Readonly<Partial<Record<string, number>>> = {byte: 3, short: 5, integer: 10, long: 20};

function checkKind(operand: Operand, expected: Kind, schema: StructType): void {
  const kind = kindOf(operand, schema);
  const isExact = expected === 'float' && operand.kind === 'number' && isSmallInteger(operand);
  if (kind !== expected && !isExact) throw new RangeError(`a comparison of ${expected} with ${kind}`);
}

/** A float holds it exactly. */
function isSmallInteger({text}: Extract<Literal, {readonly kind: 'number' | 'string' | 'date'}>): boolean {
  return /^-?\d{1,7}$/.test(text);
}

function kindOf(operand: Operand, schema: StructType): Kind {
  switch (operand.kind) {
    case 'string':
      return 'text';
    case 'number':
    case 'date':
    case 'timestamp':
    case 'boolean':
      return operand.kind;
    case 'nothing':
      throw new RangeError('NULL as a value');
    case 'column':
      return kindOfType(typeAt(schema, operand.path), operand.path.join('.'));
  }
}

function typeAt(schema: StructType, path: readonly string[]): DataType {
  let type: DataType = schema;
  for (const name of path) {
    if (typeof type === 'string' || type.type !== 'struct') break;
    type = type.fields.find((field) => field.name === name)?.type ?? type;
  }
  return type;
}

function kindOfType(type: DataType, name: string): Kind {
  if (typeof type === 'object') {
    if (type.type === 'decimal') return 'number';
    throw new RangeError(`the nested column ${name}`);
  }
  switch (type) {
    case 'string':
      return 'text';
    case 'long':
    case 'integer':
    case 'short':
    case 'byte':
    case 'double':
      return 'number';
    case 'float':
    case 'boolean':
    case 'date':
    case 'timestamp':
      return type;
    case 'binary':
    case 'timestamp_ntz':
    case 'variant':
      throw new RangeError(`the column ${name} of type ${type}`);
  }
}
