import {mkdtemp, readFile, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import fc from 'fast-check';
import {afterEach, beforeEach, describe, expect, it} from 'vitest';

import type {JsonObject} from '../core/json-value.ts';
import {readCassette} from './cassette.ts';
import {driftReport} from './drift.ts';
import {record} from './record.ts';
import {replay} from './replay.ts';
import {SecretRemoval} from './secret-removal.ts';
import type {SimulatorSpec} from './simulator-spec.ts';
import {simulate, type Simulator} from './simulator.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cassette-'));
});
afterEach(async () => {
  await rm(folder, {recursive: true, force: true});
});

const API_KEY = 'a-key-of-the-vendor-0001';
const CLIENT_SECRET = 'client-secret-0002';
const rows: readonly JsonObject[] = Array.from({length: 5}, (_, index) => ({
  id: `row_${index}_${'abcdef'[index]}`,
  email: `person${index}@corp.example.org`,
  n: index,
  note: index === 2 ? `called with ${API_KEY}` : null,
}));

const spec: SimulatorSpec = {
  name: 'real',
  collections: {things: {key: 'id', rows}},
  auth: {
    kind: 'any',
    of: [
      {kind: 'apiKey', in: 'query', name: 'api_key', keys: [API_KEY]},
      {
        kind: 'oauth2',
        tokenPath: '/token',
        grants: ['client_credentials'],
        clients: [{id: 'client-id-0003', secret: CLIENT_SECRET}],
      },
    ],
  },
  endpoints: [
    {
      path: '/things',
      list: 'things',
      params: {cursor: {role: 'cursor'}, limit: {role: 'limit', default: 2}},
      paging: {
        style: 'cursor',
        next: {body: 'next'},
        nextAs: 'url',
        whenLast: 'null',
        total: {header: 'x-total-count'},
      },
      wrap: {records: 'data'},
    },
    {path: '/things/{id}', get: 'things', scope: {id: 'id'}},
  ],
};

describe('a recording', () => {
  it('holds no token of a header with any name, not even in the answer that brought it', async () => {
    const cassette = join(folder, 'login.jsonl');
    const token = 'sess-abcdef-987654';
    await using real = await simulate({
      name: 'logins',
      collections: {},
      endpoints: [
        {path: '/login', method: 'POST', handler: () => ({body: {data: {key: token}}})},
        {path: '/me', handler: (request) => ({body: {seen: request.headers['x-tok'] ?? null, on: '2025-01-01'}})},
      ],
    });
    await using recorder = await record({target: real.url, cassette});
    await (await fetch(`${recorder.url}/login`, {method: 'POST'})).text();
    const headers = {'x-tok': token, 'x-api-version': '2025-01-01.preview'};
    const seen: unknown = await (await fetch(`${recorder.url}/me`, {headers})).json();
    expect(seen).toEqual({seen: token, on: '2025-01-01'});
    await recorder.close();
    const text = await readFile(cassette, 'utf8');
    expect(text).not.toContain(token);
    expect(text).toContain('2025-01-01');
    expect((await readCassette(cassette)).length).toBe(2);
  });

  it('holds no secret and is replayed page by page with other credentials', async () => {
    const cassette = join(folder, 'real.jsonl');
    const recorded: unknown[] = [];
    await using real = await simulate(spec);
    {
      await using recorder = await record({target: real.url, cassette});
      const token = await login(recorder.url);
      recorded.push(...(await readAll(`${recorder.url}/things?api_key=${API_KEY}`)));
      const one = await fetch(`${recorder.url}/things/${String(rows[0]?.['id'])}`, {headers: bearer(token)});
      expect(one.status).toBe(200);
      expect(recorder.count).toBe(5);
      expect(recorded).toEqual(rows);
      const file = await readFile(cassette, 'utf8');
      for (const secret of [API_KEY, CLIENT_SECRET, token, 'corp.example.org', real.url, recorder.url])
        expect(file).not.toContain(secret);
    }
    await using played = await replay(cassette);
    expect((await login(played.url, 'another-secret')).startsWith('[removed')).toBe(true);
    const again = await readAll(`${played.url}/things?api_key=not-the-same-key`);
    expect(again.map((row) => (row as JsonObject)['id'])).toEqual(rows.map(({id}) => id));
    expect(again[2]).toMatchObject({email: 'user-3@example.com', note: 'called with [removed]'});
    expect(played.misses).toEqual([]);
    const missed = await fetch(`${played.url}/things?limit=7`);
    expect(missed.status).toBe(404);
    const said = (await missed.json()) as {request: string; nearest: string[]};
    expect([said.request, said.nearest[0]]).toEqual(['GET /things?limit=7', 'GET /things?api_key=%5Bremoved%5D']);
    expect(played.misses).toEqual(['GET /things?limit=7']);
  });

  it('holds no secret of an address that only an answer names', async () => {
    const cassette = join(folder, 'links.jsonl');
    const signed = 'https://files.example.com/a.csv?X-Amz-Date=20250101&X-Amz-Signature=abcdef0123456789&page=2';
    await using recorder = await record({
      target: 'https://api.example.com',
      cassette,
      fetch: () =>
        Promise.resolve(
          Response.json({file: signed, note: `see ${signed}`}, {headers: {link: `<${signed}>; rel="next"`}}),
        ),
    });
    await (await fetch(`${recorder.url}/export`)).text();
    const file = await readFile(cassette, 'utf8');
    expect(file).not.toContain('abcdef0123456789');
    expect(file.match(/X-Amz-Date=20250101&X-Amz-Signature=\[removed\]&page=2/g)).toHaveLength(3);
  });

  it('answers what was asked several times in the recorded order', async () => {
    const cassette = join(folder, 'twice.jsonl');
    await using real = await simulate({...spec, auth: {kind: 'none'}});
    {
      await using recorder = await record({target: real.url, cassette});
      await (await fetch(`${recorder.url}/things`)).text();
      real.collection('things').delete('row_0_a');
      await (await fetch(`${recorder.url}/things`)).text();
    }
    await using played = await replay(await readCassette(cassette));
    const first = async (): Promise<unknown> =>
      ((await (await fetch(`${played.url}/things`)).json()) as {data: JsonObject[]}).data[0]?.['id'];
    expect([await first(), await first(), await first()]).toEqual(['row_0_a', 'row_1_b', 'row_1_b']);
  });

  it('refuses a target with a path and a file that is no cassette', async () => {
    await expect(record({target: 'https://api.example.com/v1', cassette: join(folder, 'x')})).rejects.toMatchObject({
      code: 'INVALID_OPTION',
    });
    await expect(replay(new URL(import.meta.url).pathname)).rejects.toMatchObject({code: 'INVALID_SPEC'});
    const short = {target: 'https://api.example.com', cassette: join(folder, 'x'), secrets: ['abc']};
    await expect(record(short)).rejects.toMatchObject({code: 'INVALID_OPTION'});
  });
});

describe('removal of secrets', () => {
  it('leaves none of them in any field, text or address', () => {
    const name = fc.constantFrom('access_token', 'apiKey', 'X-Api-Key', 'client_secret', 'password', 'sessionToken');
    const secret = fc.string({minLength: 8, maxLength: 30, unit: fc.constantFrom(...'abcXYZ0189+/=._-')});
    fc.assert(
      fc.property(name, secret, fc.string({unit: fc.constantFrom(...'qrs ')}), (key, value, other) => {
        const removal = new SecretRemoval();
        removal.learnBody({deep: [{[key]: value}]});
        const clean = JSON.stringify([
          removal.json({[key]: value, list: [{text: `${other}${value}${other}`}], other}),
          removal.text(`https://x/?a=${encodeURIComponent(value)}`),
          removal.param(key, value),
        ]);
        expect(clean).not.toContain(JSON.stringify(value).slice(1, -1));
        expect(clean).toContain(JSON.stringify(other));
      }),
    );
  });

  it('keeps cursors and what only looks like a credential', () => {
    const removal = new SecretRemoval();
    const kept = {
      next_page_token: 'abc',
      pageToken: 'def',
      continuation_token: 'g',
      token_type: 'Bearer',
      key: 'PROJ-1',
    };
    expect(removal.json(kept)).toEqual(kept);
    expect(removal.param('page_token', 'abc')).toBe('abc');
    expect(removal.json({key: 'k', grant_type: 'x'}, true)).toEqual({key: '[removed]', grant_type: 'x'});
  });

  it('knows credentials by their form', () => {
    const removal = new SecretRemoval({masksEmails: false});
    const jwt = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0123.abcDEF-_';
    expect(removal.text(`see ${jwt} and sk_live_0123456789abcdef, a@b.org`)).toBe(
      'see [removed-1] and [removed-2], a@b.org',
    );
    expect(new SecretRemoval().text('/users/ann%40corp.org and ann%40corp.org')).toBe(
      '/users/user-1@example.com and user-1@example.com',
    );
  });
});

describe('a drift report', () => {
  it('finds nothing when the simulator answers as the vendor did, also behind cursors and keys', async () => {
    const exchanges = await recordedWith(spec);
    const other = {
      ...spec,
      collections: {things: {key: 'id', rows: rows.map((row) => ({...row, id: `x${String(row['id'])}`}))}},
    };
    const report = await driftReport(other, exchanges, {query: {api_key: API_KEY}, skip: ['/token']});
    expect(report.text).toBe('4 of 4 recorded requests are answered alike.');
    expect(report).toMatchObject({asked: 4, equal: 4, differences: []});
  });

  it('names status, headers, fields and types that differ', async () => {
    const exchanges = await recordedWith(spec);
    const things = rows.map(({id, n}) => ({id, n: String(n), more: {a: 1}}));
    const [list] = spec.endpoints;
    if (list === undefined || !('list' in list)) throw new Error('No list.');
    const wrong: SimulatorSpec = {
      ...spec,
      collections: {things: {key: 'id', rows: things}},
      endpoints: [{...list, paging: {style: 'cursor', next: {body: 'next'}, nextAs: 'url'}}],
    };
    const report = await driftReport(wrong, exchanges, {
      query: {api_key: API_KEY},
      skip: ['/token'],
      ignore: ['data[].note'],
    });
    const found = new Set(report.differences.map(({kind, where}) => `${kind} ${where}`));
    expect([...found].sort()).toEqual([
      'extra data[].more',
      'header x-total-count',
      'missing data[].email',
      'missing next',
      'status ',
      'type data[].n',
    ]);
    expect(report.text).toContain('0 of 4 recorded requests are answered alike.');
    expect(report.text).toContain('type data[].n: recorded number, simulated string');
  });
});

async function recordedWith(recordedSpec: SimulatorSpec): Promise<Awaited<ReturnType<typeof readCassette>>> {
  const cassette = join(folder, 'drift.jsonl');
  await using real: Simulator = await simulate(recordedSpec);
  {
    await using recorder = await record({target: real.url, cassette});
    await login(recorder.url);
    await readAll(`${recorder.url}/things?api_key=${API_KEY}`);
    await (await fetch(`${recorder.url}/things/row_3_d?api_key=${API_KEY}`)).text();
  }
  return readCassette(cassette);
}

async function readAll(start: string): Promise<readonly unknown[]> {
  const all: unknown[] = [];
  const key = new URL(start).searchParams.get('api_key') ?? '';
  for (let url: string | null = start; url !== null;) {
    const page: Response = await fetch(url);
    const body = (await page.json()) as {data: unknown[]; next: string | null};
    all.push(...body.data);
    url = body.next === null ? null : body.next.replace('%5Bremoved%5D', key);
  }
  return all;
}

async function login(url: string, secret: string = CLIENT_SECRET): Promise<string> {
  const fields = {grant_type: 'client_credentials', client_id: 'client-id-0003', client_secret: secret};
  const answer = await fetch(`${url}/token`, {method: 'POST', body: new URLSearchParams(fields)});
  return ((await answer.json()) as {access_token: string}).access_token;
}

function bearer(token: string): Record<string, string> {
  return {authorization: `Bearer ${token}`};
}
