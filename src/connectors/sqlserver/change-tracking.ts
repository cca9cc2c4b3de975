import {qualifiedName} from '../../sdk/index.ts';
import type {SourceTable} from './catalog.ts';
import {quoteIdentifier, tableSql, textOf} from './catalog.ts';
import {keyCondition, microsOf} from './change-sql.ts';
import {valueSql} from './column-type.ts';
import type {ChangeRange, FeedChange, FeedPiece} from './feed.ts';
import {CHANGE, RowWriter} from './row-format.ts';
import type {Cell, Session} from './session.ts';

const VERSION = `select convert(varchar(20), change_tracking_current_version()), convert(varchar(27), sysutcdatetime(), 121)`;

/** The newest version of change tracking, null while it is off, and the time. */
export async function currentVersion(
  session: Session,
): Promise<{readonly version: bigint | null; readonly at: bigint}> {
  const [row] = await session.query(VERSION, {what: 'look for changes'});
  const version = row?.[0];
  return {version: typeof version === 'string' ? BigInt(version) : null, at: microsOf(textOf(row?.[1]))};
}

/** Reads change tracking: which rows of a table changed, and what is in them now. */
export async function* readTracked(
  session: Session,
  table: SourceTable,
  {from, to, limit}: ChangeRange,
): AsyncGenerator<FeedPiece, void> {
  const name = qualifiedName([table.schema, table.name]);
  const doing = {what: `read the changes of table "${name}"`, table: name};
  const parameters = [
    {name: 'from', type: 'bigint', value: from},
    {name: 'to', type: 'bigint', value: to},
    ...(limit === null ? [] : [{name: 'rows', type: 'int', value: limit} as const]),
  ] as const;
  const writer = new RowWriter();
  for await (const rows of session.stream(changesSql(table, limit !== null), doing, parameters)) {
    const changes = rows.map((row) => changeOf(row, writer));
    yield {changes, rows: rows.length, last: changes.at(-1)?.mark ?? from};
  }
}

/** The statement that reads changes with the rows as they are now; a deleted row has its key alone. */
export function changesSql(table: SourceTable, isLimited: boolean): string {
  const key = new Set(table.primaryKey);
  const values = table.columns.map(({name, type}) =>
    valueSql(type, `${key.has(name) ? 'ct' : 'source'}.${quoteIdentifier(name)}`),
  );
  const [first = ''] = table.primaryKey;
  return `select${isLimited ? ' top (@rows)' : ''} convert(varchar(20), ct.SYS_CHANGE_VERSION), ct.SYS_CHANGE_OPERATION,
 case when source.${quoteIdentifier(first)} is null then 0 else 1 end, ${values.join(', ')}
 from changetable(changes ${tableSql(table)}, @from) as ct left join ${tableSql(table)} as source on ${keyCondition(table.primaryKey, 'source', 'ct')}
 where ct.SYS_CHANGE_VERSION <= @to
 order by ct.SYS_CHANGE_VERSION, case ct.SYS_CHANGE_OPERATION when 'D' then 0 else 1 end`;
}

function changeOf([version, operation, isThere, ...values]: readonly Cell[], writer: RowWriter): FeedChange {
  writer.clear();
  // A row that was deleted after its change is gone.
  const isGone = operation === 'D' || isThere !== 1;
  writer.byte(isGone ? CHANGE.delete : operation === 'I' ? CHANGE.insert : CHANGE.update);
  writer.row(values);
  return {mark: BigInt(textOf(version)), committedAt: null, payload: Buffer.from(writer.bytes)};
}
