import type {ModelColumn, ModelRow, ModelTable} from './simulator-database.ts';
import {WireError} from './simulator-tds.ts';
import {compareTexts, goldenParameter, keyTextOf} from './simulator-values.ts';

/** Tells whether a row satisfies a condition. */
export type Condition = (row: ModelRow) => boolean;

/** What a condition is read with. */
export interface ConditionScope {
  readonly table: ModelTable;
  /** The value that `min_active_rowversion()` has, as key text. */
  readonly activeRowversion: string;
}

/**
 * Reads a condition over the columns of a table, in which every value is written in the column's own type.
 * @throws WireError for anything else
 */
export function parseCondition(sql: string, scope: ConditionScope): Condition {
  const parser = new ConditionParser(sql, scope);
  const condition = parser.any();
  parser.end();
  return condition;
}

class ConditionParser {
  readonly #scope: ConditionScope;
  #rest: string;

  constructor(sql: string, scope: ConditionScope) {
    this.#rest = sql;
    this.#scope = scope;
  }

  any(): Condition {
    const parts = [this.#all()];
    while (this.#takes(' or ')) parts.push(this.#all());
    return (row) => parts.some((part) => part(row));
  }

  end(): void {
    if (this.#rest !== '') throw this.#unknown();
  }

  #all(): Condition {
    const parts = [this.#one()];
    while (this.#takes(' and ')) parts.push(this.#one());
    return (row) => parts.every((part) => part(row));
  }

  #one(): Condition {
    if (this.#takes('1 = 1')) return () => true;
    if (this.#takes('(')) {
      const inner = this.any();
      if (!this.#takes(')')) throw this.#unknown();
      return inner;
    }
    const column = this.#column();
    if (this.#takes(' is null')) return (row) => (row[column.name] ?? null) === null;
    if (this.#takes(' is not null')) return (row) => (row[column.name] ?? null) !== null;
    const operator = OPERATORS.find((each) => this.#takes(` ${each} `));
    if (operator === undefined) throw this.#unknown();
    const text = this.#value(column);
    return (row) => {
      const value = row[column.name] ?? null;
      return value !== null && holds(operator, compareTexts(column, keyTextOf(value), text));
    };
  }

  #column(): ModelColumn {
    const found = this.#scope.table.columns.find(({name}) => this.#takes(`source.[${name}]`));
    if (found === undefined) throw this.#unknown();
    return found;
  }

  /** A value as key text. */
  #value(column: ModelColumn): string {
    if (column.type === 'timestamp' && this.#takes('min_active_rowversion()')) return this.#scope.activeRowversion;
    const back = /^dateadd\((second|day), (-\d+), /.exec(this.#rest);
    if (back !== null) {
      this.#rest = this.#rest.slice(back[0].length);
      const text = this.#literal(goldenParameter(column, HOLE));
      if (!this.#takes(')')) throw this.#unknown();
      return addSeconds(text, Number(back[2]) * (back[1] === 'day' ? 86_400 : 1));
    }
    const clock = /^convert\((\w+(?:\(\d\))?), dateadd\(second, (-?\d+), /.exec(this.#rest);
    const typed =
      column.type === 'datetime2' || column.type === 'datetimeoffset' ? `${column.type}(${column.scale})` : column.type;
    if (clock !== null && clock[1] === typed) {
      this.#rest = this.#rest.slice(clock[0].length);
      const text = this.#literal(`convert(datetime2(7), ${HOLE}, 121)`);
      if (!this.#takes('))')) throw this.#unknown();
      return asColumn(column, addSeconds(text, Number(clock[2])));
    }
    return this.#literal(goldenParameter(column, HOLE));
  }

  #literal(form: string): string {
    const [before = '', behind = ''] = form.split(HOLE);
    if (!this.#takes(before)) throw this.#unknown();
    const [whole, text] = /^N'((?:[^']|'')*)'/.exec(this.#rest) ?? [];
    if (whole === undefined || text === undefined) throw this.#unknown();
    this.#rest = this.#rest.slice(whole.length);
    if (!this.#takes(behind)) throw this.#unknown();
    return text.replaceAll("''", "'");
  }

  #takes(text: string): boolean {
    if (!this.#rest.startsWith(text)) return false;
    this.#rest = this.#rest.slice(text.length);
    return true;
  }

  #unknown(): WireError {
    return new WireError(102, `The scripted server does not know this condition: ${this.#rest}`);
  }
}

const HOLE = '\0';
const OPERATORS = ['>=', '<=', '>', '<', '='] as const;

function holds(operator: (typeof OPERATORS)[number], order: number): boolean {
  switch (operator) {
    case '>=':
      return order >= 0;
    case '<=':
      return order <= 0;
    case '>':
      return order > 0;
    case '<':
      return order < 0;
    case '=':
      return order === 0;
  }
}

/** A time in style 121, some seconds later. */
function addSeconds(text: string, seconds: number): string {
  const [whole = '', fraction] = text.split('.');
  const isDay = whole.length === 10;
  const moment = new Date(Date.parse(`${isDay ? `${whole} 00:00:00` : whole}Z`.replace(' ', 'T')) + seconds * 1000);
  const later = moment
    .toISOString()
    .slice(0, isDay ? 10 : 19)
    .replace('T', ' ');
  return fraction === undefined ? later : `${later}.${fraction}`;
}

/** A time in style 121 as a value of the column has it. */
function asColumn({type, scale}: ModelColumn, text: string): string {
  switch (type) {
    case 'date':
      return text.slice(0, 10);
    case 'smalldatetime':
      return `${text.slice(0, 16)}:00`;
    case 'datetime':
      return text.slice(0, 23);
    default:
      return scale === 0 ? text.slice(0, 19) : text.slice(0, 20 + scale);
  }
}
