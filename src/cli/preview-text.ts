import type {PreviewedTable} from '../runtime/author/preview-session.ts';
import {jsonText} from './json-text.ts';
import {countText, durationText} from './plain-words.ts';
import {visible, type Paint} from './terminal-text.ts';
import {tableLines} from './text-table.ts';

const MAX_CELL = 80;
const MAX_REQUESTS = 5;

/** A previewed table for people: what it is, its columns, its first rows, the requests made, and what is wrong. */
export function previewLines(
  table: PreviewedTable,
  {width, paint}: {readonly width: number; readonly paint: Paint},
): readonly string[] {
  const lines = [`${paint.bold(visible(table.table))}  ${metadataText(table)}`];
  if (table.schema !== null)
    lines.push(...(table.schema.fields.length === 0 ? [] : [paint.dim(visible(columnsText(table)))]));
  if (table.rows.length > 0 && table.schema !== null) {
    const names = table.schema.fields.map((field) => field.name);
    lines.push(
      ...tableLines(
        {
          columns: names.map((title) => ({title: visible(title), align: 'left' as const})),
          rows: table.rows.map((row) => names.map((name) => cellText(row[name]))),
        },
        {width, paint},
      ),
    );
  }
  if (table.others !== null) lines.push(`files: ${visible(table.others)}`);
  lines.push(paint.dim(countsText(table)));
  for (const {method, url, status, elapsedMs} of table.requests.slice(0, MAX_REQUESTS))
    lines.push(paint.dim(`  ${status ?? 'no answer'} ${method} ${visible(url)} (${durationText(elapsedMs)})`));
  if (table.requests.length > MAX_REQUESTS)
    lines.push(paint.dim(`  and ${table.requests.length - MAX_REQUESTS} more requests`));
  return [...lines, ...table.problems.map((problem) => `${paint.red('problem:')} ${visible(problem)}`)];
}

/** A previewed table as plain data. */
export function previewJson(table: PreviewedTable): object {
  return {...table, schema: undefined};
}

function metadataText({metadata}: PreviewedTable): string {
  if (metadata === null) return '';
  const keys = metadata.primaryKeys.length === 0 ? 'no key' : `key ${metadata.primaryKeys.join(', ')}`;
  const cursor = metadata.cursorField === undefined ? '' : `, cursor ${metadata.cursorField}`;
  return `${metadata.ingestionType}, ${keys}${cursor}`;
}

function columnsText({ddl}: PreviewedTable): string {
  return ddl ?? '';
}

function cellText(value: unknown): string {
  if (value === undefined) return '';
  if (value === null) return 'NULL';
  const text = typeof value === 'string' ? value : jsonText(value);
  return visible(text.length > MAX_CELL ? `${text.slice(0, MAX_CELL)}…` : text);
}

function countsText({rows, rowsRead, pages, requests, elapsedMs}: PreviewedTable): string {
  const shown = `${countText(rows.length)} of ${countText(rowsRead)} rows read`;
  const made = `${countText(pages)} ${pages === 1 ? 'page' : 'pages'}, ${countText(requests.length)} ${requests.length === 1 ? 'request' : 'requests'}`;
  return `${shown}, ${made}, ${durationText(elapsedMs)}`;
}
