import {createCoercer} from '../src/core/coerce.ts';
import {parseJson} from '../src/core/json-reader.ts';
import type {JsonObject} from '../src/core/json-value.ts';
import {array, boolean, decimal, double, integer, long, string, struct, timestamp} from '../src/core/schema.ts';
import type {BenchResult} from './result.ts';

const PAGES = 60;
const PAGE_ROWS = 1000;
const ROUNDS = 9;
const FLUSH_ROWS = 16_384;

const SCHEMA = struct({
  id: integer().notNull(),
  big: long(),
  ratio: double(),
  at: timestamp(),
  amount: decimal(18, 2),
  name: string(),
  city: string(),
  active: boolean(),
  place: struct({zip: integer(), street: string()}),
  tags: array(string()),
  _rescued_data: string(),
});

/** Lossless JSON against JSON.parse on the same bodies, and coercion to columns against JSON.parse, in rows per second. */
export async function run(): Promise<readonly BenchResult[]> {
  const plain = bodies((row) => row);
  return [
    parseResult('bodies without such numbers', plain, 1.6),
    parseResult(
      'bodies with ids of hex digits',
      bodies((row) => ({...row, uuid: hexId(row.id)})),
      1.6,
    ),
    parseResult(
      'bodies with a number of 17 digits in each row',
      bodies((row) => ({...row, ratio: row.id / 7})),
      1.6,
    ),
    parseResult(
      'bodies with a 64-bit integer in each row',
      plain.map((body) => body.replaceAll(/"big":(\d+)/g, '"big":9007199254$1')),
      null,
    ),
    coercionResult(plain),
  ];
}

function parseResult(name: string, pages: readonly string[], limit: number | null): BenchResult {
  const [peer, own] = medians(
    () => pages.forEach((page) => void JSON.parse(page)),
    () => pages.forEach((page) => void parseJson(page)),
  );
  const ratio = own / peer;
  return {
    name: `parseJson / JSON.parse, ${name}`,
    measured: `${ratio.toFixed(2)} x`,
    limit: limit === null ? '' : `<= ${limit} x`,
    ok: limit === null || ratio <= limit,
  };
}

function coercionResult(pages: readonly string[]): BenchResult {
  const parsed = pages.map((page) => (JSON.parse(page) as {data: JsonObject[]}).data);
  const coercer = createCoercer(SCHEMA, {keys: ['id'], rescue: true});
  const [peer, own] = medians(
    () => pages.forEach((page) => void JSON.parse(page)),
    () => {
      for (const rows of parsed) {
        for (const row of rows) coercer.add(row);
        if (coercer.rowCount >= FLUSH_ROWS) coercer.take();
      }
      coercer.take();
    },
  );
  const rows = PAGES * PAGE_ROWS;
  const rate = (ms: number): string => (rows / ms / 1000).toFixed(2);
  return {
    name: 'coercion of 10 columns to vectors / JSON.parse, rows per second',
    measured: `${(peer / own).toFixed(2)} x (${rate(own)} M rows/s against ${rate(peer)} M rows/s)`,
    limit: '>= 1.2 x',
    ok: peer / own >= 1.2,
  };
}

/** Median times of two candidates, in milliseconds, run by turns so that both see the same noise. */
function medians(peer: () => void, own: () => void): [peer: number, own: number] {
  const times: [number[], number[]] = [[], []];
  for (let round = 0; round < ROUNDS; round++) {
    for (const [index, candidate] of [peer, own].entries()) {
      const startedAt = performance.now();
      candidate();
      times[index]?.push(performance.now() - startedAt);
    }
  }
  const median = (values: readonly number[]): number =>
    values.toSorted((left, right) => left - right)[values.length >> 1] ?? NaN;
  return [median(times[0]), median(times[1])];
}

interface Row {
  readonly id: number;
  readonly [name: string]: unknown;
}

/** Response bodies of an API, `{"data": [...]}`, a thousand rows each. */
function bodies(shape: (row: Row) => Row): string[] {
  const rows = (page: number): Row[] =>
    Array.from({length: PAGE_ROWS}, (_, index) => shape(rowOf(page * PAGE_ROWS + index)));
  return Array.from({length: PAGES}, (_, page) => JSON.stringify({data: rows(page)}));
}

function rowOf(id: number): Row {
  return {
    id,
    big: id * 7_919_000,
    ratio: id / 4,
    at: new Date(1_704_067_200_000 + id * 977).toISOString(),
    amount: ((id * 31) % 1_000_007) / 100,
    name: `customer-${id % 50_021}-name`,
    city: ['Amsterdam', 'Berlin', 'San Francisco', 'Tokyo'][id % 4],
    active: id % 3 === 0,
    place: {zip: id % 99_999, street: `street ${id % 1000}`},
    tags: ['red', 'green', 'blue'].slice(0, id % 4),
  };
}

/** 32 hex digits that look random and are the same in every run. */
function hexId(id: number): string {
  const part = (factor: number): string => (Math.imul(id + 1, factor) >>> 0).toString(16).padStart(8, '0');
  return part(2_654_435_761) + part(2_246_822_519) + part(3_266_489_917) + part(668_265_263);
}
