import {isUtf8} from 'node:buffer';

import type {ColumnBatch, ColumnVector} from '../core/columns.ts';
import type {StructField, StructType} from '../core/types.ts';
import {csvRecords, textLines, type CsvRecord} from './csv-records.ts';
import type {Engine} from './engine.ts';
import {CORRUPT_MEMBER, type FileInput} from './file-source.ts';

const BATCH_ROWS = 4096;

/**
 * Reads a CSV file that the engine's reader refuses into a table of the engine: columns `c0`, `c1`, ... and `members`,
 * which holds the text of records that are too short, too long or broken, as a JSON member. The caller drops the table.
 */
export async function irregularCsvTable(
  engine: Engine,
  file: FileInput,
  columnCount: number,
  signal?: AbortSignal,
): Promise<string> {
  const rows = csvRows(file, columnCount, signal);
  return textTable(engine, [...Array.from({length: columnCount}, (_, index) => `c${index}`), 'members'], rows);
}

/** Reads the lines of a text file that is no UTF-8 into a table: columns `line` and `members`. The caller drops the table. */
export async function irregularLinesTable(engine: Engine, file: FileInput, signal?: AbortSignal): Promise<string> {
  return textTable(engine, ['line', 'members'], lineRows(file, signal));
}

type TextRow = readonly (string | null)[];

async function* csvRows(file: FileInput, columnCount: number, signal?: AbortSignal): AsyncGenerator<TextRow, void> {
  let inHeader = file.options.header ?? true;
  for await (const record of csvRecords(file.localPath, file.options, signal)) {
    if (inHeader) {
      inHeader = false;
      continue;
    }
    const fields = Array.from({length: columnCount}, (_, index) => record.fields[index] ?? null);
    yield [...fields, isSound(record, columnCount) ? null : corruptMember(record.raw)];
  }
}

function isSound(record: CsvRecord, columnCount: number): boolean {
  return record.flaw === null && record.fields.length === columnCount;
}

async function* lineRows(file: FileInput, signal?: AbortSignal): AsyncGenerator<TextRow, void> {
  for await (const line of textLines(file.localPath, signal)) {
    yield isUtf8(line) ? [line.toString('utf8'), null] : [null, corruptMember(line)];
  }
}

function corruptMember(raw: Buffer): string {
  if (isUtf8(raw)) return `${JSON.stringify(CORRUPT_MEMBER)}:${JSON.stringify(raw.toString('utf8'))}`;
  return `${JSON.stringify(`${CORRUPT_MEMBER}_base64`)}:"${raw.toString('base64')}"`;
}

async function textTable(engine: Engine, names: readonly string[], rows: AsyncIterable<TextRow>): Promise<string> {
  const schema: StructType = {type: 'struct', fields: names.map(textField)};
  const table = engine.uniqueName('irregular');
  await engine.createTable(table, schema);
  try {
    const appender = await engine.appender(table, schema);
    try {
      for await (const batch of batches(rows)) appender.append(textBatch(schema, batch));
    } finally {
      appender.close();
    }
    return table;
  } catch (error) {
    await engine.dropTable(table);
    throw error;
  }
}

async function* batches(rows: AsyncIterable<TextRow>): AsyncGenerator<readonly TextRow[], void> {
  let batch: TextRow[] = [];
  for await (const row of rows) {
    batch.push(row);
    if (batch.length < BATCH_ROWS) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

function textBatch(schema: StructType, rows: readonly TextRow[]): ColumnBatch {
  return {
    schema,
    rowCount: rows.length,
    columns: schema.fields.map((_, index) => textVector(rows.map((row) => row[index] ?? null))),
  };
}

function textVector(texts: readonly (string | null)[]): ColumnVector {
  const starts = new Uint32Array(texts.length);
  const lengths = new Uint32Array(texts.length);
  const validity = new Uint8Array(Math.ceil(texts.length / 8));
  const parts: Buffer[] = [];
  let at = 0;
  for (const [row, text] of texts.entries()) {
    if (text === null) continue;
    const bytes = Buffer.from(text, 'utf8');
    parts.push(bytes);
    starts[row] = at;
    lengths[row] = bytes.length;
    at += bytes.length;
    validity[row >> 3] = (validity[row >> 3] ?? 0) | (1 << (row & 7));
  }
  return {kind: 'bytes', data: Buffer.concat(parts), starts, lengths, validity};
}

function textField(name: string): StructField {
  return {name, type: 'string', nullable: true, metadata: {}};
}
