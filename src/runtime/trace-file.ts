import {closeSync, openSync, writeSync} from 'node:fs';
import {readFile, rm} from 'node:fs/promises';

import type {TraceEntry} from '../sdk/define-connector.ts';
import {codeOf, replaceFile} from './connections/durable-file.ts';

/** Where the exchanges with a source are told while they happen. */
export interface TraceFile extends Disposable {
  readonly trace: (entry: TraceEntry) => void;
}

/**
 * Opens a trace for appending (mode 0600), one line of JSON per exchange: several processes may write it at once. Written
 * at once, so that a process that dies leaves what it knew.
 */
export function openTrace(path: string): TraceFile {
  const file = openSync(path, 'a', 0o600);
  let isOpen = true;
  return {
    trace: (entry) => {
      if (isOpen) writeSync(file, `${JSON.stringify(entry)}\n`);
    },
    [Symbol.dispose](): void {
      if (isOpen) closeSync(file);
      isOpen = false;
    },
  };
}

/** Does work that traces into a file beside `file`, and makes a HAR file of it (mode 0600) also when the work fails. */
export async function withTrace<T>(
  file: string | undefined,
  work: (traceFile: string | undefined) => Promise<T>,
): Promise<T> {
  if (file === undefined) return work(undefined);
  const lines = `${file}.lines`;
  await rm(lines, {force: true});
  // Fails now, before the work, when the place cannot be written.
  openTrace(lines)[Symbol.dispose]();
  try {
    return await work(lines);
  } finally {
    await replaceFile(file, `${JSON.stringify(harOf(await entriesOf(lines)), null, 1)}\n`);
    await rm(lines, {force: true});
  }
}

async function entriesOf(lines: string): Promise<readonly TraceEntry[]> {
  const text = await readFile(lines, 'utf8').catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return '';
    throw error;
  });
  const entries = text.split('\n').flatMap((line) => {
    try {
      return line === '' ? [] : [JSON.parse(line) as TraceEntry];
    } catch {
      // The last line of a process that died while it wrote.
      return [];
    }
  });
  return entries.sort((left, right) => left.startedAtMs - right.startedAtMs);
}

/**
 * Exchanges as a HAR file, as browsers and other tools read it. An exchange without an answer has status 0 and `_error`.
 * @see http://www.softwareishard.com/blog/har-12-spec/
 */
export function harOf(entries: readonly TraceEntry[]): object {
  return {log: {version: '1.2', creator: {name: 'sluice', version: '1'}, entries: entries.map(harEntry)}};
}

function harEntry(entry: TraceEntry): object {
  const {request, response} = entry;
  const type = headerOf(request.headers, 'content-type') ?? 'application/octet-stream';
  return {
    startedDateTime: new Date(entry.startedAtMs).toISOString(),
    time: entry.elapsedMs,
    request: {
      method: request.method,
      url: request.url,
      httpVersion: 'HTTP/1.1',
      cookies: [],
      headers: named(request.headers),
      queryString: [...queryOf(request.url)].map(([name, value]) => ({name, value})),
      headersSize: -1,
      bodySize: request.body === undefined ? 0 : Buffer.byteLength(request.body),
      ...(request.body === undefined ? {} : {postData: {mimeType: type, text: request.body}}),
    },
    response: {
      status: response?.status ?? 0,
      statusText: '',
      httpVersion: 'HTTP/1.1',
      cookies: [],
      headers: named(response?.headers ?? []),
      content: {
        size: response?.sizeBytes ?? 0,
        mimeType: headerOf(response?.headers ?? [], 'content-type') ?? 'application/octet-stream',
        ...(response?.body === undefined ? {} : {text: response.body}),
      },
      redirectURL: '',
      headersSize: -1,
      bodySize: response?.sizeBytes ?? -1,
    },
    cache: {},
    timings: {send: 0, wait: entry.elapsedMs, receive: 0},
    _attempt: entry.attempt,
    ...(entry.about === undefined ? {} : {comment: entry.about}),
    ...(entry.error === undefined ? {} : {_error: entry.error}),
  };
}

function named(headers: readonly (readonly [string, string])[]): readonly object[] {
  return headers.map(([name, value]) => ({name, value}));
}

function headerOf(headers: readonly (readonly [string, string])[], wanted: string): string | undefined {
  return headers.find(([name]) => name.toLowerCase() === wanted)?.[1];
}

function queryOf(url: string): URLSearchParams {
  return URL.canParse(url) ? new URL(url).searchParams : new URLSearchParams();
}
