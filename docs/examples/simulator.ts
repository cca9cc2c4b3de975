// APIs that are simulated, broken, recorded and compared: npx tsx docs/examples/simulator.ts
// In a project of your own the import is 'sluice/simulator'.
import {mkdtemp, readFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {parse} from 'yaml';

import {driftReport, parseSimulatorDocument, record, replay, simulate} from '../../src/simulator/index.ts';
import type {SimulatorSpec} from '../../src/simulator/index.ts';

const bookshop: SimulatorSpec = {
  name: 'bookshop',
  auth: {kind: 'bearer', tokens: ['secret-token']},
  collections: {
    books: {
      key: 'id',
      rows: ({random}) =>
        Array.from({length: 250}, (_, id) => ({
          id,
          price: Math.floor(random() * 50),
          updated_at: new Date(Date.UTC(2024, 0, 1 + Math.floor(id / 30))).toISOString(),
        })),
      updatedAt: {field: 'updated_at'},
    },
  },
  endpoints: [
    {
      path: '/books',
      list: 'books',
      params: {
        since: {role: 'since', field: 'updated_at'},
        limit: {role: 'limit', default: 20, max: 100},
        after: {role: 'cursor'},
      },
      sort: [{field: 'updated_at'}],
      paging: {style: 'cursor', next: {body: 'next'}, hasMore: {body: 'has_more'}},
      wrap: {records: 'books'},
    },
    {path: '/books/{id}', get: 'books', scope: {id: 'id'}},
    {path: '/books', create: 'books'},
    {path: '/books/{id}', delete: 'books', scope: {id: 'id'}},
  ],
  rateLimits: [{name: 'api', windowMs: 1000, max: 50, headers: {'X-RateLimit-Remaining': '{remaining}'}}],
};
const headers = {authorization: 'Bearer secret-token'};

/** Serves, changes and counts. */
export async function serve(): Promise<number> {
  await using simulator = await simulate(bookshop, {seed: 7});
  const page = await fetch(`${simulator.url}/books?limit=100`, {headers});
  console.log(await page.json()); // {books: [...], has_more: true, next: 'eyJ...'}

  simulator.collection('books').update(3, {price: 12}); // stamped by the simulator's clock
  simulator.collection('books').delete(4);
  simulator.clock.advance(60_000);
  console.log(simulator.collection('books').rows().length, simulator.collection('books').tombstones());

  console.log(simulator.requests.length, simulator.violations); // what was asked, and what was above a budget
  return simulator.collection('books').rows().length;
}

/** Breaks in several ways. */
export async function breakIt(): Promise<readonly number[]> {
  await using simulator = await simulate(bookshop, {seed: 7});
  simulator.faults.add(
    {fault: {kind: 'answer', status: 429, headers: {'retry-after': '2'}}, nth: 2},
    {fault: {kind: 'reset', when: 'midBody'}, path: '/books/*'},
    {fault: {kind: 'answer', status: 503}, probability: 0.1},
    {
      fault: {kind: 'run', run: (one) => void one.collection('books').upsert({id: 0, price: 1})},
      path: '/books',
      nth: 4,
    },
  );
  const statuses: number[] = [];
  for (let request = 0; request < 3; request++)
    statuses.push((await fetch(`${simulator.url}/books?limit=${request + 1}`, {headers})).status);
  console.log(statuses, simulator.faults.count);
  return statuses;
}

/** Records a "real" API, serves the recording, and looks for differences. */
export async function compare(): Promise<string> {
  await using real = await simulate(bookshop, {seed: 1});
  const target = real.url;
  const cassette = join(await mkdtemp(join(tmpdir(), 'bookshop-')), 'bookshop.jsonl');

  {
    await using recorder = await record({target, cassette});
    await (await fetch(`${recorder.url}/books?limit=2`, {headers})).text(); // point the connector's base URL here
  }
  await using played = await replay(cassette);
  console.log(await (await fetch(`${played.url}/books?limit=2`)).json());

  const report = await driftReport(bookshop, cassette, {headers});
  console.log(report.text); // 1 of 1 recorded requests are answered alike.
  return report.text;
}

/** Serves the document beside this file. */
export async function serveDocument(): Promise<number> {
  const file = new URL('bookshop-api.yml', import.meta.url);
  const spec = parseSimulatorDocument(parse(await readFile(file, 'utf8')), 'bookshop-api.yml');
  await using simulator = await simulate(spec);
  return (await fetch(`${simulator.url}/v1/books?page=2`, {headers: {'x-api-key': 'secret'}})).status;
}

if (import.meta.url === `file://${process.argv[1] ?? ''}`) {
  await serve();
  await breakIt();
  await compare();
  console.log(await serveDocument());
}
