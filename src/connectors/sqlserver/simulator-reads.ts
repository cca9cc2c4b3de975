import type {Condition} from './simulator-conditions.ts';
import {parseCondition} from './simulator-conditions.ts';
import type {ModelColumn, ModelRow, ModelTable, ModelView} from './simulator-database.ts';
import type {Golden, StatementScope} from './simulator-statements.ts';
import {keyColumns, tableOf} from './simulator-statements.ts';
import type {WireResult, WireType, WireValue} from './simulator-tds.ts';
import {compareTexts, goldenKeyText, goldenValue, keyTextOf} from './simulator-values.ts';

/** A statement of reads by queries over one table; null for any other. Conditions are evaluated, all else must be as expected. */
export function readStatement(sql: string, {tables}: ModelView): Golden | null {
  for (const table of tables) {
    const name = `[dbo].[${table.name}]`;
    const [head, tail] = split(sql, ` from ${name} as source`);
    if (head === null || tail === null) continue;
    const found =
      bound(table, head, tail) ??
      counted(table, head, tail) ??
      compared(table, head, tail) ??
      listed(table, head, tail);
    if (found !== null) return {...found, sql};
  }
  return null;
}

type Found = Omit<Golden, 'sql'>;

function split(text: string, by: string): readonly [string | null, string | null] {
  const at = text.indexOf(by);
  return at === -1 ? [null, null] : [text.slice(0, at), text.slice(at + by.length)];
}

/** `select top (1) <cursor> ... order by <cursor> desc`. */
function bound(table: ModelTable, head: string, tail: string): Found | null {
  const column = table.columns.find(
    (each) => head === `select top (1) ${goldenKeyText(each, `source.[${each.name}]`)}`,
  );
  const [, where] = /^ where (.*) order by .* desc$/.exec(tail) ?? [];
  if (column === undefined || where === undefined || !tail.endsWith(` order by source.[${column.name}] desc`))
    return null;
  return {
    name: `bound of ${table.name}`,
    run: (scope) => {
      const texts = rowsOf(scope, table, where).flatMap((row) => textOf(column, row) ?? []);
      const [last] = texts.toSorted((left, right) => compareTexts(column, right, left));
      return {columns: ['nvarchar'], rows: last === undefined ? [] : [[last]]};
    },
  };
}

function counted(table: ModelTable, head: string, tail: string): Found | null {
  const isLocked = head === 'select count_big(*)' && tail.startsWith(' with (readcommittedlock) where ');
  const isPlain = head === 'select convert(varchar(20), count_big(*))' && tail.startsWith(' where ');
  if (!isLocked && !isPlain) return null;
  const where = tail.slice(tail.indexOf('where ') + 6);
  return {
    name: `${isLocked ? 'wait for writers' : 'count'} of ${table.name}`,
    run: (scope) => ({columns: ['varchar'], rows: [[String(rowsOf(scope, table, where).length)]]}),
  };
}

/** Whether one value of the cursor is behind another. */
function compared(table: ModelTable, head: string, tail: string): Found | null {
  const [, after, equal] =
    /^select top \(1\) case when (.*) then 'after' when (.*) then 'equal' else 'before' end$/.exec(head) ?? [];
  if (after === undefined || equal === undefined || !tail.startsWith(' where ')) return null;
  return {
    name: `place in ${table.name}`,
    run: (scope) => {
      const [row] = rowsOf(scope, table, tail.slice(7));
      if (row === undefined) return {columns: ['varchar'], rows: []};
      const isTrue = (sql: string): boolean => conditionOf(scope, table, sql)(row);
      return {columns: ['varchar'], rows: [[isTrue(after) ? 'after' : isTrue(equal) ? 'equal' : 'before']]};
    },
  };
}

interface Item {
  readonly type: WireType;
  readonly value: (row: ModelRow, scope: StatementScope) => WireValue;
}

/** Columns, and what is read beside them to know where the last row stands. */
function listed(table: ModelTable, head: string, tail: string): Found | null {
  if (!head.startsWith('select ')) return null;
  const items = itemsOf(table, head.slice(7));
  const [, where, order] = /^(?: where (.*?))?(?: order by (.*))?$/.exec(tail) ?? [];
  if (items === null) return null;
  const expected = orderings(table);
  const sorted = order === undefined ? [] : expected.get(order);
  if (sorted === undefined) return null;
  return {
    name: `rows of ${table.name}`,
    run: (scope) => {
      const rows = rowsOf(scope, table, where).toSorted((left, right) => compareRows(sorted, left, right));
      return result(items, rows, scope);
    },
  };
}

function result(items: readonly Item[], rows: readonly ModelRow[], scope: StatementScope): WireResult {
  return {columns: items.map(({type}) => type), rows: rows.map((row) => items.map(({value}) => value(row, scope)))};
}

/** Null unless each item is a column as it must be read, a flag, or a key text, in this order. */
function itemsOf(table: ModelTable, list: string): readonly Item[] | null {
  const items: Item[] = [];
  let rest = list;
  const takes = (sql: string): boolean => {
    if (rest !== sql && !rest.startsWith(`${sql}, `)) return false;
    rest = rest.slice(sql.length + 2);
    return true;
  };
  let place = 0;
  while (rest !== '' && !rest.startsWith('case when source.') && !rest.startsWith('case when 1 = 1')) {
    const at = table.columns.findIndex(
      (column, index) => index >= place && takes(goldenValue(column, `source.[${column.name}]`).sql),
    );
    const column = table.columns[at];
    if (column === undefined) return null;
    place = at + 1;
    items.push({type: goldenValue(column, '').type, value: (row) => row[column.name] ?? null});
  }
  const [flag, isNew] = /^case when (.*?) then 1 else 0 end/.exec(rest) ?? [];
  if (flag === undefined || isNew === undefined) return rest === '' ? items : null;
  takes(flag);
  items.push({type: 'int', value: (row, scope) => (conditionOf(scope, table, isNew)(row) ? 1 : 0)});
  while (rest !== '') {
    const column = table.columns.find((each) => takes(goldenKeyText(each, `source.[${each.name}]`)));
    if (column === undefined) return null;
    items.push({type: 'nvarchar', value: (row) => textOf(column, row)});
  }
  return items;
}

/** By cursor and key. */
function orderings(table: ModelTable): ReadonlyMap<string, readonly ModelColumn[]> {
  const key = keyColumns(table);
  return new Map(
    table.columns.map((cursor) => [[cursor, ...key].map(({name}) => `source.[${name}]`).join(', '), [cursor, ...key]]),
  );
}

function compareRows(columns: readonly ModelColumn[], left: ModelRow, right: ModelRow): number {
  for (const column of columns) {
    const order = compareTexts(column, textOf(column, left) ?? '', textOf(column, right) ?? '');
    if (order !== 0) return order;
  }
  return 0;
}

function textOf({name}: ModelColumn, row: ModelRow): string | null {
  const value = row[name] ?? null;
  return value === null ? null : keyTextOf(value);
}

function rowsOf(scope: StatementScope, table: ModelTable, where: string | undefined): readonly ModelRow[] {
  const rows = [...tableOf(scope.view(), table.id).rows.values()];
  return where === undefined ? rows : rows.filter(conditionOf(scope, table, where));
}

function conditionOf({database}: StatementScope, table: ModelTable, sql: string): Condition {
  return parseCondition(sql, {table, activeRowversion: database.activeRowversion});
}
