import {rm} from 'node:fs/promises';

import type {JsonObject} from '../src/core/json-value.ts';
import {array, boolean, decimal, double, integer, long, string, struct, timestamp} from '../src/core/schema.ts';
import type {Connector, Page} from '../src/sdk/contract.ts';
import {defineConnector} from '../src/sdk/define-connector.ts';
import {openTestLake, runConnector} from '../src/testkit/run-connector.ts';
import type {BenchResult} from './result.ts';

const ROWS = 400_000;
const PAGE_ROWS = 1_000;
const RUNS = 3;

const schema = struct({
  id: integer(),
  big: long(),
  ratio: double(),
  at: timestamp(),
  amount: decimal(18, 2),
  name: string(),
  city: string(),
  active: boolean(),
  place: struct({zip: integer(), street: string()}),
  tags: array(string()),
});

/** Records that are parsed already, to Delta: rows per second against JSON.parse alone on the same data. */
export async function run(): Promise<readonly BenchResult[]> {
  const bodies = makeBodies();
  const parseMs: number[] = [];
  const landMs: number[] = [];
  for (let turn = 0; turn < RUNS; turn++) {
    parseMs.push(timeParse(bodies));
    landMs.push(await timeLanding(bodies.map((body) => JSON.parse(body) as JsonObject[])));
  }
  const parse = ROWS / median(parseMs);
  const land = ROWS / median(landMs);
  const ratio = land / parse;
  return [
    {
      name: 'records to Delta / JSON.parse, rows per second',
      measured: `${ratio.toFixed(2)}x (${(land / 1000).toFixed(2)} M rows/s against ${(parse / 1000).toFixed(2)} M rows/s)`,
      limit: '>= 0.4x',
      ok: ratio >= 0.4,
    },
  ];
}

function timeParse(bodies: readonly string[]): number {
  const startedAt = performance.now();
  let rows = 0;
  for (const body of bodies) rows += (JSON.parse(body) as unknown[]).length;
  if (rows !== ROWS) throw new Error(`parsed ${rows} rows`);
  return performance.now() - startedAt;
}

async function timeLanding(pages: readonly (readonly JsonObject[])[]): Promise<number> {
  const connector: Connector = {
    listTables: () => Promise.resolve(['records']),
    getTableSchema: () => Promise.resolve(schema),
    readTableMetadata: () =>
      Promise.resolve({primaryKeys: [], cursorField: 'at', ingestionType: 'append', bounded: true}),
    async *readTable(_table, start): AsyncGenerator<Page, {done: true}> {
      if (start === null) for (const page of pages) yield page;
      return {done: true};
    },
  };
  const definition = defineConnector({
    name: 'records',
    spec: {displayName: 'Records', description: 'Records of a bench.', connection: {}, table: {}},
    create: () => connector,
  });
  const lake = await openTestLake();
  try {
    const startedAt = performance.now();
    const end = await runConnector(lake, {definition, tables: [{source: 'records'}]});
    const elapsed = performance.now() - startedAt;
    if (end.state !== 'COMPLETED' || end.flows[0]?.rowsInserted !== ROWS) throw new Error(JSON.stringify(end.flows));
    return elapsed;
  } finally {
    await lake[Symbol.asyncDispose]();
    await rm(lake.folder, {recursive: true, force: true});
  }
}

function makeBodies(): string[] {
  const cities = ['Amsterdam', 'Berlin', 'San Francisco', 'Tokyo'];
  return Array.from({length: ROWS / PAGE_ROWS}, (_, page) =>
    JSON.stringify(
      Array.from({length: PAGE_ROWS}, (_row, row) => {
        const i = page * PAGE_ROWS + row;
        return {
          id: i,
          big: i * 7_919_000,
          ratio: i / 7,
          at: new Date(1_704_067_200_000 + i * 977).toISOString(),
          amount: ((i * 31) % 1_000_000) / 100,
          name: `customer-${i % 50_021}-name`,
          city: cities[i % 4],
          active: i % 3 === 0,
          place: {zip: i % 99_999, street: `street ${i % 1000}`},
          tags: [`tag-${i % 7}`, `tag-${i % 11}`],
        };
      }),
    ),
  );
}

function median(values: number[]): number {
  return values.sort((left, right) => left - right)[values.length >> 1] ?? Number.NaN;
}
