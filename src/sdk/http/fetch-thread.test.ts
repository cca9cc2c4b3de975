import {mkdtemp, rm} from 'node:fs/promises';
import type {RequestListener} from 'node:http';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath, pathToFileURL} from 'node:url';
import type {Worker} from 'node:worker_threads';
import {gzipSync} from 'node:zlib';

import {build} from 'esbuild';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import {testAuthority} from '../../../test/certificates.ts';
import type {HttpClient} from './http-client.ts';
import {answer, clientOf, closeAfterEach, contextOf, serve, until} from './local-http.support.test.ts';
import {fetchWorker} from './open-fetch-worker.ts';

const rows = Array.from({length: 12_000}, (_, id) => ({id, name: `Zeile ${id} ü "quoted"`, at: {x: id / 8}}));
const large = {rows, big: 12_345_678_901_234_567_890n.toString()};
const largeText = JSON.stringify(large).replace('"12345678901234567890"', '12345678901234567890');

/** Threads that were started. */
const threads: {ready: number; last: Worker | null} = {ready: 0, last: null};
function noteThread(worker: Worker): void {
  threads.last = worker;
  worker.once('message', () => threads.ready++);
}

describe('a connection whose answers are large', () => {
  let folder: string;
  closeAfterEach();
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-thread-'));
    // A thread loads JavaScript only.
    const outfile = join(folder, 'fetch-worker.cjs');
    const entry = fileURLToPath(new URL('./fetch-worker.ts', import.meta.url));
    await build({entryPoints: [entry], outfile, bundle: true, platform: 'node', format: 'cjs'});
    fetchWorker.file = pathToFileURL(outfile);
    process.on('worker', noteThread);
  });
  afterAll(async () => {
    fetchWorker.file = null;
    process.off('worker', noteThread);
    await rm(folder, {recursive: true, force: true});
  });

  /** A client whose thread takes its requests. */
  async function threaded(listener: RequestListener, options: object = {}): Promise<HttpClient> {
    const baseUrl = await serve((request, response) => {
      if (request.url === '/large') answer(response, 200, largeText, {etag: '"1"'});
      else listener(request, response);
    });
    const api = clientOf({baseUrl, retries: {attempts: 3, baseMs: 1}, ...options});
    const before = threads.ready;
    for (let sizeBytes = 0; sizeBytes < 5_000_000;)
      sizeBytes += (await api.json({url: '/large'}, contextOf())).sizeBytes;
    await until(() => threads.ready > before);
    return api;
  }

  it('reads them by another thread as it reads them itself', async () => {
    const urls: unknown[] = [];
    const api = await threaded((request, response) => {
      urls.push(request.url, request.headers['x-of']);
      if (request.url === '/zipped') answer(response, 200, gzipSync(largeText), {'content-encoding': 'gzip'});
      else answer(response, 200, '[]', {link: '<next>'});
    });
    for (const url of ['/large', '/zipped']) {
      const {body, sizeBytes, status} = await api.json({url}, contextOf());
      expect(body).toEqual({rows, big: 12_345_678_901_234_567_890n});
      expect([status, sizeBytes]).toEqual([200, Buffer.byteLength(largeText)]);
    }
    const empty = await api.json({method: 'POST', url: '/empty', headers: {'x-of': 'rows'}}, contextOf());
    expect([empty.body, empty.headers.get('link')]).toEqual([[], '<next>']);
    expect(urls).toEqual(['/zipped', undefined, '/empty', 'rows']);
  });

  it('judges answers and failures of the network as always', async () => {
    let calls = 0;
    const api = await threaded(
      (request, response) => {
        calls++;
        if (request.url === '/busy' && calls === 1) answer(response, 503, {error: 'busy'});
        else if (request.url === '/reset' && calls === 1) response.socket?.destroy();
        else if (request.url === '/cut' && calls === 1) {
          response.writeHead(200, {'content-length': '1000'}).write('{"rows":[1');
          setTimeout(() => response.socket?.destroy(), 10);
        } else if (request.url === '/missing') answer(response, 404, {message: 'not there'});
        else if (request.url === '/html') answer(response, 200, '<html>');
        else if (request.url === '/huge') answer(response, 200, JSON.stringify('x'.repeat(3_000_000)));
        else answer(response, 200, {calls});
      },
      {maxBodyBytes: 2_000_000},
    );
    for (const url of ['/busy', '/reset', '/cut']) {
      calls = 0;
      expect((await api.json({url}, contextOf())).body).toEqual({calls: 2});
    }
    const fails = async (url: string): Promise<unknown> =>
      api.json({url}, contextOf()).catch((error: unknown) => error);
    expect(await fails('/missing')).toMatchObject({
      code: 'UNKNOWN_TABLE',
      message: expect.stringContaining('not there'),
    });
    expect(await fails('/html')).toMatchObject({code: 'SOURCE_ERROR', message: expect.stringContaining('not valid JSON')});
    expect(await fails('/huge')).toMatchObject({code: 'SOURCE_ERROR', class: 'config'});
    expect(await fails('http://127.0.0.1:9/')).toMatchObject({code: 'SOURCE_ERROR', class: 'config'});
  });

  it('ends a request whose caller gives up, and those under way when it is closed', async () => {
    let closed = 0;
    const api = await threaded((request) => void request.on('close', () => closed++));
    const abort = new AbortController();
    const given = api.json({url: '/waits'}, contextOf(abort.signal)).catch((error: unknown) => error);
    const under = api.json({url: '/waits'}, contextOf()).catch((error: unknown) => error);
    await new Promise((resolve) => {
      setTimeout(resolve, 100);
    });
    abort.abort(new Error('enough'));
    expect(await given).toMatchObject({message: 'enough'});
    await until(() => closed === 1);
    await api[Symbol.asyncDispose]();
    expect(await under).toMatchObject({code: 'CANCELLED'});
    await until(() => closed === 2);
  });

  it('goes on by itself when the thread ends', async () => {
    const api = await threaded((request, response) => {
      setTimeout(() => answer(response, 200, {url: request.url}), 200);
    });
    const under = api.json({url: '/slow'}, contextOf());
    await threads.last?.terminate();
    expect((await under).body).toEqual({url: '/slow'});
    expect((await api.json({url: '/later'}, contextOf())).body).toEqual({url: '/later'});
  });

  it('trusts the same authorities there', async () => {
    const authority = testAuthority();
    const baseUrl = await serve((_, response) => answer(response, 200, largeText), authority.issue('localhost'));
    const before = threads.ready;
    const api = clientOf({baseUrl, ca: authority.certificate});
    for (let sizeBytes = 0; sizeBytes < 5_000_000;) sizeBytes += (await api.json({url: '/'}, contextOf())).sizeBytes;
    await until(() => threads.ready > before);
    expect((await api.json({url: '/'}, contextOf())).body).toMatchObject({big: 12_345_678_901_234_567_890n});
  });
});
