import {predicateError, type Token, tokenize} from './predicate-tokens.ts';
import {formatTimestamp, parseDate, parseTimestamp} from './time-text.ts';

/** A condition on the columns of a row, as it was parsed: the only form in which conditions reach a database. */
export type Predicate =
  | {readonly kind: 'and' | 'or'; readonly terms: readonly Predicate[]}
  | {readonly kind: 'not'; readonly term: Predicate}
  | {readonly kind: 'compare'; readonly operator: ComparisonOperator; readonly left: Operand; readonly right: Operand}
  | {readonly kind: 'null'; readonly operand: Operand; readonly negated: boolean}
  | {readonly kind: 'in'; readonly operand: Operand; readonly values: readonly Literal[]; readonly negated: boolean}
  | {
      readonly kind: 'between';
      readonly operand: Operand;
      readonly low: Operand;
      readonly high: Operand;
      readonly negated: boolean;
    }
  | {readonly kind: 'like'; readonly operand: Operand; readonly pattern: string; readonly negated: boolean}
  /** A boolean column, TRUE or FALSE alone. */
  | {readonly kind: 'truth'; readonly operand: Operand};

/** `<=>` is equality that holds between two nulls. */
export type ComparisonOperator = '=' | '<>' | '<' | '<=' | '>' | '>=' | '<=>';

/** A column or a value. */
export type Operand = {readonly kind: 'column'; readonly path: readonly string[]} | Literal;

/** A value; texts of numbers and dates as written, timestamps as microseconds since 1970 (without a zone they are UTC). */
export type Literal =
  | {readonly kind: 'string' | 'number' | 'date'; readonly text: string}
  | {readonly kind: 'timestamp'; readonly micros: bigint}
  | {readonly kind: 'boolean'; readonly value: boolean}
  | {readonly kind: 'nothing'};

/** The SQL that {@link renderPredicate} writes. Sessions run in UTC. */
export type PredicateDialect = 'duckdb' | 'postgresql';

/**
 * Parses a condition: `=`, `==`, `<>`, `!=`, `<`, `<=`, `>`, `>=`, `<=>`, AND, OR, NOT, parentheses, IS [NOT] NULL, [NOT] IN,
 * [NOT] BETWEEN, [NOT] LIKE (a backslash before `%`, `_` or itself takes away its meaning), boolean columns; values are
 * 'text' (a quote is doubled), numbers, TRUE, FALSE, NULL, DATE '…', TIMESTAMP '…'; column names may be dotted and may
 * stand in backticks or double quotes. `= NULL` is refused, because it is never true.
 * @throws INVALID_PREDICATE with the place.
 */
export function parsePredicate(text: string): Predicate {
  return new PredicateParser(text).parse();
}

/** The columns that a predicate names, once each, in order; dotted paths into structs. */
export function predicateColumns(predicate: Predicate): readonly string[] {
  const names = new Set<string>();
  for (const operand of operandsOf(predicate)) if (operand.kind === 'column') names.add(operand.path.join('.'));
  return [...names];
}

/** The predicate as SQL in parentheses; every name and value is quoted by us. */
export function renderPredicate(predicate: Predicate, dialect: PredicateDialect): string {
  const operand = (value: Operand): string => renderOperand(value, dialect);
  switch (predicate.kind) {
    case 'and':
    case 'or':
      return `(${predicate.terms.map((term) => renderPredicate(term, dialect)).join(predicate.kind === 'and' ? ' AND ' : ' OR ')})`;
    case 'not':
      return `(NOT ${renderPredicate(predicate.term, dialect)})`;
    case 'compare': {
      const operator = predicate.operator === '<=>' ? 'IS NOT DISTINCT FROM' : predicate.operator;
      return `(${operand(predicate.left)} ${operator} ${operand(predicate.right)})`;
    }
    case 'null':
      return `(${operand(predicate.operand)} IS ${not(predicate)}NULL)`;
    case 'in':
      return `(${operand(predicate.operand)} ${not(predicate)}IN (${predicate.values.map(operand).join(', ')}))`;
    case 'between':
      return `(${operand(predicate.operand)} ${not(predicate)}BETWEEN ${operand(predicate.low)} AND ${operand(predicate.high)})`;
    case 'like':
      return `(${operand(predicate.operand)} ${not(predicate)}LIKE ${quoteText(predicate.pattern)} ESCAPE '\\')`;
    case 'truth':
      return `(${operand(predicate.operand)})`;
  }
}

function operandsOf(predicate: Predicate): readonly Operand[] {
  switch (predicate.kind) {
    case 'and':
    case 'or':
      return predicate.terms.flatMap(operandsOf);
    case 'not':
      return operandsOf(predicate.term);
    case 'compare':
      return [predicate.left, predicate.right];
    case 'between':
      return [predicate.operand, predicate.low, predicate.high];
    case 'null':
    case 'in':
    case 'like':
    case 'truth':
      return [predicate.operand];
  }
}

function not({negated}: {readonly negated: boolean}): string {
  return negated ? 'NOT ' : '';
}

function renderOperand(operand: Operand, dialect: PredicateDialect): string {
  switch (operand.kind) {
    case 'column': {
      const [first = '', ...rest] = operand.path.map((name) => `"${name.replaceAll('"', '""')}"`);
      if (rest.length === 0) return first;
      return dialect === 'postgresql' ? `(${first}).${rest.join('.')}` : `${first}.${rest.join('.')}`;
    }
    case 'string':
      return quoteText(operand.text);
    case 'number':
      return operand.text;
    case 'date':
      return `DATE ${quoteText(operand.text)}`;
    case 'timestamp':
      return `TIMESTAMPTZ ${quoteText(formatTimestamp(operand.micros).replace('T', ' ').replace('Z', '+00'))}`;
    case 'boolean':
      return operand.value ? 'TRUE' : 'FALSE';
    case 'nothing':
      return 'NULL';
  }
}

function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

const MAX_DEPTH = 100;
const RESERVED: ReadonlySet<string> = new Set([
  'AND',
  'OR',
  'NOT',
  'IS',
  'NULL',
  'IN',
  'BETWEEN',
  'LIKE',
  'TRUE',
  'FALSE',
]);
const OPERATORS: ReadonlyMap<string, ComparisonOperator> = new Map<string, ComparisonOperator>([
  ['=', '='],
  ['==', '='],
  ['<>', '<>'],
  ['!=', '<>'],
  ['<', '<'],
  ['<=', '<='],
  ['>', '>'],
  ['>=', '>='],
  ['<=>', '<=>'],
]);

/** Recursive descent: OR binds least, then AND, then NOT. */
class PredicateParser {
  readonly #text: string;
  readonly #tokens: readonly Token[];
  #index = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
    const nul = text.indexOf('\0');
    if (nul >= 0) throw predicateError(text.replaceAll('\0', ' '), nul, 'a NUL character is not allowed');
    this.#tokens = tokenize(text);
  }

  parse(): Predicate {
    const predicate = this.#chain('OR');
    if (this.#token.kind !== 'end') throw this.#error(this.#token, 'expected AND, OR or the end');
    return predicate;
  }

  #chain(word: 'AND' | 'OR'): Predicate {
    const term = (): Predicate => (word === 'OR' ? this.#chain('AND') : this.#term());
    const terms = [term()];
    while (this.#takeWord(word)) terms.push(term());
    const [only] = terms;
    return terms.length === 1 && only !== undefined ? only : {kind: word === 'OR' ? 'or' : 'and', terms};
  }

  #term(): Predicate {
    if (++this.#depth > MAX_DEPTH) throw this.#error(this.#token, `more than ${MAX_DEPTH} levels are nested`);
    const term = this.#nested() ?? this.#condition();
    this.#depth--;
    return term;
  }

  #nested(): Predicate | null {
    if (this.#takeWord('NOT')) return {kind: 'not', term: this.#term()};
    if (!this.#takeSign('(')) return null;
    const inner = this.#chain('OR');
    this.#expectSign(')');
    return inner;
  }

  #condition(): Predicate {
    const start = this.#token;
    const operand = this.#operand();
    const operator = this.#token.kind === 'sign' ? OPERATORS.get(this.#token.text) : undefined;
    if (operator !== undefined) {
      this.#next();
      const comparison = {kind: 'compare', operator, left: operand, right: this.#operand()} as const;
      if (operator !== '<=>') this.#refuseNull([comparison.left, comparison.right], start);
      return comparison;
    }
    if (this.#takeWord('IS')) {
      const negated = this.#takeWord('NOT');
      this.#expectWord('NULL');
      return {kind: 'null', operand, negated};
    }
    const negated = this.#takeWord('NOT');
    if (this.#takeWord('IN')) return {kind: 'in', operand, values: this.#list(), negated};
    if (this.#takeWord('BETWEEN')) return this.#between(operand, negated, start);
    if (this.#takeWord('LIKE')) return {kind: 'like', operand, pattern: this.#pattern(), negated};
    if (negated) throw this.#error(this.#token, 'expected IN, BETWEEN or LIKE after NOT');
    if (operand.kind === 'column' || operand.kind === 'boolean') return {kind: 'truth', operand};
    throw this.#error(this.#token, 'expected a comparison');
  }

  #between(operand: Operand, negated: boolean, start: Token): Predicate {
    const low = this.#operand();
    this.#expectWord('AND');
    const high = this.#operand();
    this.#refuseNull([operand, low, high], start);
    return {kind: 'between', operand, low, high, negated};
  }

  #list(): readonly Literal[] {
    this.#expectSign('(');
    const values: Literal[] = [];
    do {
      const start = this.#token;
      const value = this.#operand();
      if (value.kind === 'column') throw this.#error(start, 'expected a value, found a column');
      this.#refuseNull([value], start);
      values.push(value);
    } while (this.#takeSign(','));
    this.#expectSign(')');
    return values;
  }

  #pattern(): string {
    const token = this.#token;
    if (token.kind !== 'string') throw this.#error(token, "expected a 'pattern'");
    if (/\\/.test(token.text.replaceAll(/\\[\\%_]/g, ''))) {
      throw this.#error(token, 'a backslash in a pattern must stand before %, _ or another backslash');
    }
    this.#next();
    return token.text;
  }

  #operand(): Operand {
    const token = this.#next();
    switch (token.kind) {
      case 'string':
        return {kind: 'string', text: token.text};
      case 'number':
        return {kind: 'number', text: numberText(token.text)};
      case 'name':
        return this.#column(token.text);
      case 'word':
        return this.#word(token);
      case 'sign':
        if ((token.text === '-' || token.text === '+') && this.#token.kind === 'number') {
          return {kind: 'number', text: (token.text === '-' ? '-' : '') + numberText(this.#next().text)};
        }
        break;
      case 'end':
        break;
    }
    throw this.#error(token, 'expected a column or a value');
  }

  #word(token: Token): Operand {
    if (token.text === 'TRUE' || token.text === 'FALSE') return {kind: 'boolean', value: token.text === 'TRUE'};
    if (token.text === 'NULL') return {kind: 'nothing'};
    if (RESERVED.has(token.text))
      throw this.#error(token, 'expected a column or a value', 'Put a column of that name in backticks.');
    if (this.#token.kind === 'string' && token.text === 'DATE') return this.#date(this.#next());
    if (this.#token.kind === 'string' && token.text === 'TIMESTAMP') return this.#timestamp(this.#next());
    return this.#column(token.source);
  }

  #date(token: Token): Literal {
    if (/^\d{4}-\d{2}-\d{2}$/.test(token.text) && parseDate(token.text) !== null)
      return {kind: 'date', text: token.text};
    throw this.#error(token, "expected a date such as DATE '2024-01-31'");
  }

  #timestamp(token: Token): Literal {
    const timestamp = parseTimestamp(token.text);
    if (timestamp !== null) return {kind: 'timestamp', micros: BigInt(timestamp.micros)};
    throw this.#error(token, "expected a timestamp such as TIMESTAMP '2024-01-31T12:00:00Z'");
  }

  #column(first: string): Operand {
    const path = [first];
    while (this.#takeSign('.')) {
      const token = this.#next();
      if (token.kind !== 'word' && token.kind !== 'name') throw this.#error(token, 'expected a name after the point');
      path.push(token.kind === 'word' ? token.source : token.text);
    }
    return {kind: 'column', path};
  }

  #refuseNull(operands: readonly Operand[], start: Token): void {
    if (operands.every((operand) => operand.kind !== 'nothing')) return;
    throw this.#error(start, 'a comparison with NULL is never true', 'Use IS NULL, IS NOT NULL or <=>.');
  }

  get #token(): Token {
    return this.#tokens[this.#index] ?? {kind: 'end', text: '', source: '', at: this.#text.length};
  }

  #next(): Token {
    const token = this.#token;
    this.#index++;
    return token;
  }

  #takeWord(word: string): boolean {
    return this.#take('word', word);
  }

  #takeSign(sign: string): boolean {
    return this.#take('sign', sign);
  }

  #take(kind: Token['kind'], text: string): boolean {
    if (this.#token.kind !== kind || this.#token.text !== text) return false;
    this.#index++;
    return true;
  }

  #expectWord(word: string): void {
    if (!this.#takeWord(word)) throw this.#error(this.#token, `expected ${word}`);
  }

  #expectSign(sign: string): void {
    if (!this.#takeSign(sign)) throw this.#error(this.#token, `expected ${sign}`);
  }

  #error(token: Token, problem: string, fix?: string): Error {
    const found =
      token.kind === 'end'
        ? ', found the end'
        : problem.startsWith('expected') && !problem.includes('found')
          ? `, found ${token.source}`
          : '';
    return predicateError(this.#text, token.at, problem + found, fix);
  }
}

/** A number with digits on both sides of its point, as all dialects read it. */
function numberText(text: string): string {
  return text.replace(/^\./, '0.').replace(/\.(?=$|[eE])/, '');
}
