import {createReadStream} from 'node:fs';
import {createGunzip} from 'node:zlib';

import {IngestError, type FileReadOptions} from '../../sdk/index.ts';

/** A value of a file: text of a CSV field, or a JSON value as it is written. Null: there is none, or it is null. */
export type RawValue = {readonly kind: 'text' | 'json'; readonly text: string} | null;

/** A record of a file; `at` gives the value of a column by the name that the ingest gives it. */
export interface RawRecord {
  at(column: string): RawValue;
}

/**
 * Reads the records of a CSV or JSON file, some at a time, by nothing that the ingest reads them with: for comparing what landed.
 * @throws UNSUPPORTED for text that is no UTF-8 or has broken quotes: what that means is the ingest's decision.
 */
export function rawRecords(path: string, options: FileReadOptions): AsyncGenerator<readonly RawRecord[], void> {
  return options.format === 'csv' ? csvRecords(path, options) : jsonRecords(path, options);
}

async function* textChunks(path: string): AsyncGenerator<string, void> {
  const file = createReadStream(path, {highWaterMark: 1 << 18});
  const bytes = path.toLowerCase().endsWith('.gz') ? file.pipe(createGunzip()) : file;
  const decoder = new TextDecoder('utf-8', {fatal: true});
  try {
    for await (const chunk of bytes) yield decoder.decode(chunk as Uint8Array, {stream: true});
    yield decoder.decode();
  } catch (cause) {
    if (cause instanceof TypeError) throw notReadable(path, 'text that is no UTF-8', cause);
    throw cause;
  } finally {
    file.destroy();
    bytes.destroy();
  }
}

async function* csvRecords(path: string, options: FileReadOptions): AsyncGenerator<readonly RawRecord[], void> {
  let names: ReadonlyMap<string, number> | null = null;
  for await (const rows of csvFields(path, options)) {
    const records: RawRecord[] = [];
    for (const fields of rows) {
      if (names === null) {
        const header = options.header === false ? fields.map((_, index) => `_c${index}`) : headerNames(fields);
        names = new Map(header.map((name, index) => [name, index]));
        if (options.header !== false) continue;
      }
      records.push(csvRecord(fields, names));
    }
    yield records;
  }
}

function csvRecord(fields: readonly (string | null)[], names: ReadonlyMap<string, number>): RawRecord {
  return {
    at: (column) => {
      const text = fields[names.get(column) ?? -1] ?? null;
      return text === null ? null : {kind: 'text', text};
    },
  };
}

function headerNames(fields: readonly (string | null)[]): readonly string[] {
  const taken = new Set<string>();
  return fields.map((field, index) => {
    const text = (field ?? '').trim();
    const base = text === '' ? `_c${index}` : text;
    let name = base;
    for (let count = 1; taken.has(name.toLowerCase()); count++) name = `${base}_${count}`;
    taken.add(name.toLowerCase());
    return name;
  });
}

/** Character by character, after RFC 4180. */
async function* csvFields(
  path: string,
  options: FileReadOptions,
): AsyncGenerator<readonly (readonly (string | null)[])[], void> {
  const {delimiter = ',', quote = '"', nullText} = options;
  let fields: (string | null)[] = [];
  let field = '';
  let state: 'start' | 'plain' | 'quoted' | 'closed' = 'start';
  let afterReturn = false;
  const endField = (): void => {
    fields.push(state !== 'closed' && (field === '' || field === nullText) ? null : field);
    field = '';
    state = 'start';
  };
  let isFirst = true;
  for await (const part of textChunks(path)) {
    const chunk = isFirst ? part.replace(/^\ufeff/u, '') : part;
    if (part !== '') isFirst = false;
    const rows: (readonly (string | null)[])[] = [];
    for (const char of chunk) {
      if (afterReturn && char === '\n') {
        afterReturn = false;
        continue;
      }
      afterReturn = false;
      if (state === 'quoted') {
        if (char === quote) state = 'closed';
        else field += char;
      } else if (char === quote && quote !== '' && state === 'closed') {
        field += char;
        state = 'quoted';
      } else if (char === quote && quote !== '' && state === 'start') state = 'quoted';
      else if (char === delimiter) endField();
      else if (char === '\n' || char === '\r') {
        afterReturn = char === '\r';
        const isBlank = fields.length === 0 && state === 'start';
        if (isBlank) continue;
        endField();
        rows.push(fields);
        fields = [];
      } else if (state === 'closed') throw notReadable(path, 'broken quotes');
      else {
        field += char;
        state = 'plain';
      }
    }
    yield rows;
  }
  if (state === 'quoted') throw notReadable(path, 'broken quotes');
  if (fields.length > 0 || state !== 'start') {
    endField();
    yield [fields];
  }
}

async function* jsonRecords(path: string, options: FileReadOptions): AsyncGenerator<readonly RawRecord[], void> {
  const shape =
    options.jsonShape === 'lines' || options.jsonShape === 'array' ? options.jsonShape : await detectShape(path);
  const texts = shape === 'lines' ? lines(path) : topLevelValues(path);
  for await (const some of texts) yield some.map(jsonRecord);
}

/** A record that is no object lands as a row without values. */
function jsonRecord(text: string): RawRecord {
  const fields = objectFields(text);
  return {at: (column) => fields?.get(column) ?? null};
}

/** Objects over several lines are read like the elements of an array. */
async function detectShape(path: string): Promise<'lines' | 'array'> {
  for await (const chunk of textChunks(path)) {
    const start = chunk.replace(/^\ufeff/u, '').trimStart();
    if (start.startsWith('[')) return 'array';
    if (start !== '') break;
  }
  let count = 0;
  for await (const some of lines(path)) {
    for (const line of some) {
      if (objectFields(line) !== null) return 'lines';
      if (++count === 20) return 'array';
    }
  }
  return count === 1 ? 'lines' : 'array';
}

async function* lines(path: string): AsyncGenerator<readonly string[], void> {
  let rest = '';
  let isFirst = true;
  for await (const part of textChunks(path)) {
    const chunk = isFirst ? part.replace(/^\ufeff/u, '') : part;
    if (part !== '') isFirst = false;
    const [head = '', ...more] = chunk.split('\n');
    rest += head;
    if (more.length === 0) continue;
    const whole = [rest, ...more.slice(0, -1)];
    rest = more.at(-1) ?? '';
    yield whole.filter((line) => line.trim() !== '').map((line) => line.replace(/\r$/u, ''));
  }
  if (rest.trim() !== '') yield [rest];
}

/** The values within the outermost array, or one after the other. */
async function* topLevelValues(path: string): AsyncGenerator<readonly string[], void> {
  let pending = '';
  // Where the search goes on in `pending`, which begins with the value that is not complete yet.
  let at = 0;
  let depth = 0;
  let inString = false;
  for await (const chunk of textChunks(path)) {
    pending += chunk;
    let start = 0;
    const values: string[] = [];
    for (; at < pending.length; at++) {
      const code = pending.charCodeAt(at);
      if (inString) {
        if (code === BACKSLASH) at++;
        else if (code === QUOTE) inString = false;
      } else if (code === QUOTE) inString = true;
      else if (code === OPEN_BRACE || (code === OPEN_BRACKET && depth > 0)) depth++;
      else if (depth === 0 && SEPARATORS.has(code)) {
        if (start < at) values.push(pending.slice(start, at));
        start = at + 1;
      } else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) {
        depth--;
        if (depth > 0) continue;
        values.push(pending.slice(start, at + 1));
        start = at + 1;
      }
    }
    yield values;
    pending = pending.slice(start);
    at -= start;
  }
  if (pending !== '') yield [pending];
}

const COMMA = 0x2c;
const [QUOTE, BACKSLASH, OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET] = [0x22, 0x5c, 0x7b, 0x7d, 0x5b, 0x5d];
/** Blanks, comma, byte order mark and the brackets of the outermost array. */
const SEPARATORS: ReadonlySet<number> = new Set([0x20, 0x09, 0x0a, 0x0d, 0x2c, 0xfeff, 0x5b, 0x5d]);

/** The fields of an object as they are written; null when the text is no object. */
function objectFields(text: string): ReadonlyMap<string, RawValue> | null {
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return null;
  } catch {
    // Not well-formed: that is the answer.
    return null;
  }
  const fields = new Map<string, RawValue>();
  let at = text.indexOf('{') + 1;
  for (;;) {
    at = skipBlanks(text, at);
    if (text.charCodeAt(at) === CLOSE_BRACE) return fields;
    if (text.charCodeAt(at) === COMMA) at = skipBlanks(text, at + 1);
    const nameEnd = endOfString(text, at);
    const quoted = text.slice(at, nameEnd);
    const name = quoted.includes('\\') ? (JSON.parse(quoted) as string) : quoted.slice(1, -1);
    at = skipBlanks(text, skipBlanks(text, nameEnd) + 1);
    const end = endOfValue(text, at);
    const raw = text.slice(at, end);
    if (!fields.has(name)) fields.set(name, raw === 'null' ? null : {kind: 'json', text: raw});
    at = end;
  }
}

function skipBlanks(text: string, from: number): number {
  let at = from;
  while (isBlank(text.charCodeAt(at))) at++;
  return at;
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}

/** Where the string that begins at `from` ends, its quote included. */
function endOfString(text: string, from: number): number {
  let at = from + 1;
  for (;;) {
    const code = text.charCodeAt(at);
    if (code === QUOTE || Number.isNaN(code)) return at + 1;
    at += code === BACKSLASH ? 2 : 1;
  }
}

/** Where a value of well-formed JSON ends. */
function endOfValue(text: string, from: number): number {
  let depth = 0;
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      at = endOfString(text, at) - 1;
      if (depth === 0) return at + 1;
    } else if (code === OPEN_BRACE || code === OPEN_BRACKET) depth++;
    else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) {
      if (depth === 0) return at;
      depth--;
      if (depth === 0) return at + 1;
    } else if (depth === 0 && (code === COMMA || isBlank(code))) return at;
  }
  return text.length;
}

function notReadable(path: string, what: string, cause?: unknown): IngestError {
  return new IngestError('UNSUPPORTED', `The file "${path}" holds ${what}: it cannot be compared.`, {
    context: {path},
    cause,
  });
}
