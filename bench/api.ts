import {fork, type ChildProcess} from 'node:child_process';
import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {DuckDBInstance} from '@duckdb/node-api';
import {Client} from 'undici';

import type {AskedRequest, SourceReply, SourceRequest} from './api-source.ts';
import type {BenchResult} from './result.ts';

interface Case {
  readonly connector: string;
  readonly table: string;
  /** About how many its source has: around a hundred MB each, lest starting weighs. */
  readonly rows: number;
  /** Where a body has its rows; null: it is a list of them. */
  readonly list: string | null;
}

/** The table of each connector that is read. */
const CASES: readonly Case[] = [
  {connector: 'github', table: 'issues', rows: 30_000, list: null},
  {connector: 'stripe', table: 'charges', rows: 50_000, list: 'data'},
  {connector: 'hubspot', table: 'contacts', rows: 60_000, list: 'results'},
  {connector: 'zendesk', table: 'tickets', rows: 60_000, list: 'tickets'},
];
const TURNS = 3;
/**
 * A table of an API into Delta, through HTTP client, REST layer, coercion and commit: MB/s of the bodies against `JSON.parse`
 * alone on the same bodies. The source is in a process of its own and answers from memory;
 * what loads is the built code (`npm run build`), in a process of its own, too.
 */
export async function run(): Promise<readonly BenchResult[]> {
  const results: BenchResult[] = [];
  const loader = fork(new URL('./api-load-child.mjs', import.meta.url), {execArgv: []});
  try {
    for (const one of CASES) results.push(...(await measure(one, loader)));
  } finally {
    loader.kill();
  }
  return results;
}

async function measure({connector, table, rows, list}: Case, loader: ChildProcess): Promise<readonly BenchResult[]> {
  const child = fork(new URL('./api-source.ts', import.meta.url), {execArgv: ['--import', 'tsx']});
  const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  try {
    const started = await ask<SourceReply>(child, {kind: 'start', connector, table, rows});
    if (started.kind !== 'started') throw new Error('the source did not start');
    // The first turn fills the source's memory.
    const job = {connector, table, source: started};
    await load(loader, job);
    const file = join(folder, 'bodies');
    const bodies = await ask<SourceReply>(child, {kind: 'bodies', file});
    if (bodies.kind !== 'bodies') throw new Error('the source has no bodies');
    const texts = await textsOf(file, bodies.lengths);
    const bytes = bodies.lengths.reduce((sum, length) => sum + length, 0);
    const loads: number[] = [];
    const parses: number[] = [];
    const fetches: number[] = [];
    const writes: number[] = [];
    const lines = join(folder, 'lines');
    await writeFile(lines, linesOf(texts, list));
    let landed = 0;
    for (let turn = 0; turn < TURNS; turn++) {
      parses.push(parse(texts));
      fetches.push(await fetchAll(started.address, bodies.requests));
      writes.push(await writeByEngine(lines, list, join(folder, `${turn}.parquet`)));
      const {elapsedMs, rowsInserted} = await load(loader, job);
      loads.push(elapsedMs);
      landed = rowsInserted;
    }
    const again = await ask<SourceReply>(child, {kind: 'bodies', file});
    if (again.kind === 'bodies' && again.misses > again.hits / 20)
      throw new Error(`${connector}: ${again.misses} of ${again.hits + again.misses} answers had to be made`);
    const speed = bytes / 1e3 / median(loads);
    const floor = bytes / 1e3 / median(parses);
    const ratio = speed / floor;
    const fetched = bytes / 1e3 / median(fetches);
    const written = bytes / 1e3 / median(writes);
    const landing = {
      name: `${connector}: ${landed} ${table} (${(bytes / 1e6).toFixed(0)} MB) to Delta / JSON.parse, MB per second`,
      measured: `${ratio.toFixed(2)}x (${speed.toFixed(0)} MB/s against ${floor.toFixed(0)} MB/s)`,
      limit: '>= 0.35x',
      ok: ratio >= 0.35 && landed > 0,
    };
    const nowhere = {
      name: `${connector}: the same bodies fetched one after another and parsed, and nothing else, / JSON.parse`,
      measured: `${(fetched / floor).toFixed(2)}x (${fetched.toFixed(0)} MB/s)`,
      limit: '-',
      ok: true,
    };
    const native = {
      name: `${connector}: the same bodies from a file to Parquet by DuckDB's own reader, and nothing else, / JSON.parse`,
      measured: `${(written / floor).toFixed(2)}x (${written.toFixed(0)} MB/s)`,
      limit: '-',
      ok: true,
    };
    return [landing, nowhere, native];
  } finally {
    child.kill();
    await rm(folder, {recursive: true, force: true});
  }
}

/** What the loading process says of a load. */
type Loaded =
  | {readonly elapsedMs: number; readonly rowsInserted: number; readonly error?: undefined}
  | {readonly error: string};

async function load(
  loader: ChildProcess,
  job: LoadJob,
): Promise<{readonly elapsedMs: number; readonly rowsInserted: number}> {
  const loaded = await ask<Loaded>(loader, job);
  if (loaded.error !== undefined) throw new Error(loaded.error);
  return loaded;
}

/** What it is asked for. */
interface LoadJob {
  readonly connector: string;
  readonly table: string;
  readonly source: Extract<SourceReply, {kind: 'started'}>;
}

async function textsOf(file: string, lengths: readonly number[]): Promise<readonly string[]> {
  const bytes = await readFile(file);
  let at = 0;
  return lengths.map((length) => bytes.toString('utf8', at, (at += length)));
}

function parse(texts: readonly string[]): number {
  const startedAt = performance.now();
  let objects = 0;
  for (const text of texts) objects += typeof JSON.parse(text) === 'object' ? 1 : 0;
  if (objects !== texts.length) throw new Error('not all bodies are objects');
  return performance.now() - startedAt;
}

/** The least that any client does: undici alone, each body made text and parsed. */
async function fetchAll(address: string, requests: readonly AskedRequest[]): Promise<number> {
  const client = new Client(address);
  const startedAt = performance.now();
  for (const {method, path, body, contentType} of requests) {
    const headers = contentType === '' ? {} : {'content-type': contentType};
    const answer = await client.request({method: method as 'GET', path, headers, body: body === '' ? null : body});
    if (typeof (await answer.body.json()) !== 'object') throw new Error('not all bodies are objects');
  }
  const elapsedMs = performance.now() - startedAt;
  await client.close();
  return elapsedMs;
}

/** Bodies with rows, each an object of one line. */
function linesOf(texts: readonly string[], list: string | null): string {
  const hasRows = (text: string): boolean => {
    const body: unknown = JSON.parse(text);
    if (list === null) return Array.isArray(body);
    return Array.isArray((body as Readonly<Record<string, unknown>>)[list]);
  };
  return texts
    .filter(hasRows)
    .map((text) => (list === null ? `{"rows":${text}}` : text))
    .join('\n');
}

/** What no code of ours takes part in: no HTTP, no checks, no types but those it infers, no commit. */
async function writeByEngine(lines: string, list: string | null, target: string): Promise<number> {
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  const startedAt = performance.now();
  await connection.run(
    `COPY (SELECT unnest(${list ?? 'rows'}) FROM read_json('${lines}', format = 'newline_delimited', maximum_object_size = 100000000, maximum_depth = 3, sample_size = 20)) TO '${target}' (FORMAT parquet)`,
  );
  const elapsedMs = performance.now() - startedAt;
  connection.closeSync();
  instance.closeSync();
  return elapsedMs;
}

function ask<T>(child: ChildProcess, request: SourceRequest | LoadJob): Promise<T> {
  return new Promise((resolve, reject) => {
    const ended = (code: number | null): void => reject(new Error(`a process of the bench ended with ${code}`));
    child.once('exit', ended);
    child.once('message', (reply) => {
      child.off('exit', ended);
      resolve(reply as T);
    });
    child.send(request);
  });
}

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[values.length >> 1] ?? Number.NaN;
}
