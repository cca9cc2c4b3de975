import {isUtf8} from 'node:buffer';
import {createReadStream} from 'node:fs';
import {stat} from 'node:fs/promises';
import {createGunzip} from 'node:zlib';

import {IngestError} from '../core/errors.ts';
import type {FileSettings} from './file-source.ts';

/** One record of a CSV file. */
export interface CsvRecord {
  /** Null: an empty unquoted field, or the text that means NULL. */
  readonly fields: readonly (string | null)[];
  /** Why the record is not well-formed: broken quotes, text that is no UTF-8; null when it is. */
  readonly flaw: 'quotes' | 'encoding' | null;
  /** The record's bytes without the line end. */
  readonly raw: Buffer;
}

/** A record whose quotes stay open for longer than this is taken for one line with a stray quote. */
const MAX_QUOTED_BYTES = 1 << 20;
/** A file with longer records is no text of records. */
const MAX_RECORD_BYTES = 1 << 26;

const SMALLEST_LIMIT = 1 << 16;

const LF = 10;
const CR = 13;
const BOM = Buffer.from([0xef, 0xbb, 0xbf]);

/**
 * Yields the records of a CSV file, whatever its state: blank lines are skipped, a record with broken quotes is read as
 * one line without quotes. Slow and forgiving, for headers and for files that the engine's reader refuses.
 * @throws BAD_RECORD when a record is longer than 64 MB.
 */
export async function* csvRecords(
  path: string,
  settings: FileSettings,
  signal?: AbortSignal,
): AsyncGenerator<CsvRecord, void> {
  const dialect = dialectOf(settings);
  for await (const raw of splitRecords(path, dialect, signal)) {
    if (raw.length > 0) yield parseRecord(raw, dialect);
  }
}

/** Yields the lines of a text file as bytes, without their ends; blank lines are skipped. @throws BAD_RECORD when one is longer than 64 MB. */
export async function* textLines(path: string, signal?: AbortSignal): AsyncGenerator<Buffer, void> {
  for await (const raw of splitRecords(path, null, signal)) {
    if (raw.length > 0) yield raw;
  }
}

/**
 * The size in bytes that no record of the files exceeds, for the buffers of the engine's readers: that of the largest file, at
 * most `limit`, which packed files always get.
 */
export async function recordLimit(paths: readonly string[], limit: number): Promise<number> {
  let largest = SMALLEST_LIMIT;
  for (const path of paths) {
    if (path.toLowerCase().endsWith('.gz')) return limit;
    largest = Math.max(largest, (await stat(path)).size + 1);
  }
  return Math.min(largest, limit);
}

/** The first bytes of a file, unpacked; fewer when it is shorter. */
export async function firstBytes(path: string, limit: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const chunk of openBytes(path)) {
    parts.push(chunk);
    size += chunk.length;
    if (size >= limit) break;
  }
  return withoutBom(Buffer.concat(parts)).subarray(0, limit);
}

interface Dialect {
  readonly delimiter: string;
  readonly quote: string;
  readonly nullText: string | undefined;
}

function dialectOf(settings: FileSettings): Dialect {
  return {delimiter: settings.delimiter ?? ',', quote: settings.quote ?? '"', nullText: settings.nullText};
}

async function* openBytes(path: string, signal?: AbortSignal): AsyncGenerator<Buffer, void> {
  const file = createReadStream(path, {highWaterMark: 1 << 18, ...(signal === undefined ? {} : {signal})});
  const packed = path.toLowerCase().endsWith('.gz');
  const stream = packed ? file.pipe(createGunzip()) : file;
  if (packed) file.once('error', (error) => stream.destroy(error));
  try {
    for await (const chunk of stream) yield chunk as Buffer;
  } finally {
    file.destroy();
    stream.destroy();
  }
}

/** Cuts a file where a line ends outside of quotes; without a dialect, where a line ends. */
async function* splitRecords(
  path: string,
  dialect: Dialect | null,
  signal?: AbortSignal,
): AsyncGenerator<Buffer, void> {
  const marks = dialect === null || dialect.quote === '' ? null : quoteMarks(dialect);
  let pending: Buffer = Buffer.alloc(0);
  let first = true;
  for await (const chunk of openBytes(path, signal)) {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    if (first && pending.length >= BOM.length) {
      pending = withoutBom(pending);
      first = false;
    }
    const cut = cutRecords(pending, marks, false);
    yield* cut.records;
    pending = cut.rest;
    if (pending.length > MAX_RECORD_BYTES) {
      throw new IngestError('BAD_RECORD', `A record of "${path}" is longer than ${MAX_RECORD_BYTES} bytes.`, {
        fix: 'Check that the file has the format that it is read as, or leave it out by the table option "pattern".',
        context: {path},
      });
    }
  }
  if (first) pending = withoutBom(pending);
  yield* cutRecords(pending, marks, true).records;
}

/** The bytes that open and close quotes. */
interface QuoteMarks {
  readonly quote: number;
  /** Quotes open at the start of a record and after this byte. */
  readonly before: number;
}

function quoteMarks(dialect: Dialect): QuoteMarks {
  const delimiter = Buffer.from(dialect.delimiter);
  return {quote: Buffer.from(dialect.quote)[0] ?? -1, before: delimiter[delimiter.length - 1] ?? -1};
}

function cutRecords(
  bytes: Buffer,
  marks: QuoteMarks | null,
  atEnd: boolean,
): {readonly records: readonly Buffer[]; readonly rest: Buffer} {
  const records: Buffer[] = [];
  let start = 0;
  while (start < bytes.length) {
    let end = recordEnd(bytes, start, marks, atEnd);
    if (end === 'open') {
      // A stray quote: the line that holds it stands alone, and the search goes on after it.
      if (!atEnd && bytes.length - start < MAX_QUOTED_BYTES) break;
      end = recordEnd(bytes, start, null, atEnd);
    }
    if (end === null || end === 'open') break;
    records.push(bytes.subarray(start, end.end));
    start = end.next;
  }
  return {records, rest: bytes.subarray(start)};
}

/** Where the record that begins at `start` ends; null: after these bytes; `open`: within quotes. */
function recordEnd(
  bytes: Buffer,
  start: number,
  marks: QuoteMarks | null,
  atEnd: boolean,
): {readonly end: number; readonly next: number} | null | 'open' {
  let quoted = false;
  for (let at = start; at < bytes.length; at++) {
    const byte = bytes[at];
    // What a quote or carriage return means depends on the byte after it, which may be in the next chunk.
    const cutOff = at + 1 === bytes.length && !atEnd;
    if (marks !== null && byte === marks.quote) {
      if (!quoted) quoted = at === start || bytes[at - 1] === marks.before;
      else if (cutOff) return null;
      else if (bytes[at + 1] === marks.quote) at++;
      else quoted = false;
    } else if (!quoted && byte === LF) {
      return {end: at, next: at + 1};
    } else if (!quoted && byte === CR) {
      if (cutOff) return null;
      return {end: at, next: bytes[at + 1] === LF ? at + 2 : at + 1};
    }
  }
  if (quoted) return 'open';
  return atEnd ? {end: bytes.length, next: bytes.length} : null;
}

function parseRecord(raw: Buffer, dialect: Dialect): CsvRecord {
  const text = raw.toString('utf8');
  const fields: (string | null)[] = [];
  let broken = false;
  let at = 0;
  for (;;) {
    const field = dialect.quote !== '' && text.startsWith(dialect.quote, at) ? quotedField(text, at, dialect) : null;
    if (field === null) {
      const end = endOfField(text, at, dialect.delimiter);
      const value = text.slice(at, end);
      broken ||= dialect.quote !== '' && value.startsWith(dialect.quote);
      fields.push(value === '' || value === dialect.nullText ? null : value);
      at = end;
    } else {
      fields.push(field.value);
      at = field.end;
    }
    if (at >= text.length) break;
    at += dialect.delimiter.length;
  }
  return {fields, flaw: isUtf8(raw) ? (broken ? 'quotes' : null) : 'encoding', raw};
}

function endOfField(text: string, from: number, delimiter: string): number {
  const end = text.indexOf(delimiter, from);
  return end < 0 ? text.length : end;
}

/** A field in quotes; null when they are not closed right before a separator. */
function quotedField(
  text: string,
  at: number,
  dialect: Dialect,
): {readonly value: string; readonly end: number} | null {
  const {quote, delimiter} = dialect;
  let end = at + quote.length;
  for (;;) {
    end = text.indexOf(quote, end);
    if (end < 0) return null;
    if (!text.startsWith(quote, end + quote.length)) break;
    end += 2 * quote.length;
  }
  const value = text.slice(at + quote.length, end).replaceAll(quote + quote, quote);
  end += quote.length;
  return end === text.length || text.startsWith(delimiter, end) ? {value, end} : null;
}

function withoutBom(bytes: Buffer): Buffer {
  return bytes.subarray(0, BOM.length).equals(BOM) ? bytes.subarray(BOM.length) : bytes;
}
