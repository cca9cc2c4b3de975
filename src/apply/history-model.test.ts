import fc from 'fast-check';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';

import type {Random} from '../core/clock.ts';
import {seededRandom} from '../core/clock.ts';
import type {DataType, StructType} from '../core/types.ts';
import type {ApplyJob} from './apply-engine.ts';
import {HistoryModel, type ModelEvent, type ModelVersion, type Place} from './history-model.support.test.ts';
import type {TestLake, TestRow} from './lake.support.test.ts';
import {columns, openTestLake, relation, TestFlow} from './lake.support.test.ts';

let lake: TestLake;
beforeAll(async () => {
  lake = await openTestLake();
});
afterAll(async () => lake[Symbol.asyncDispose]());

/** How a table orders its events: one column, one that no reader sees, or two. */
interface Ordering {
  readonly name: string;
  readonly sequence: readonly string[];
  readonly types: Readonly<Record<string, DataType>>;
  readonly bound: DataType;
}

const TWO: StructType = columns({major: 'long', minor: 'long'});
const ORDERINGS: readonly Ordering[] = [
  {name: 'one', sequence: ['seq'], types: {seq: 'long'}, bound: 'long'},
  {name: 'hidden', sequence: ['_sluice_sequence'], types: {_sluice_sequence: 'long'}, bound: 'long'},
  {name: 'two', sequence: ['major', 'minor'], types: {major: 'long', minor: 'long'}, bound: TWO},
];
const TRACKED: readonly (readonly string[])[] = [['name'], ['name', 'city'], [], ['amount', 'name']];

/** What one random table is like. */
interface Shape {
  readonly ordering: Ordering;
  readonly tracked: readonly string[];
  readonly rows: StructType;
  readonly schema: StructType;
  readonly vectors: boolean;
}

function pick<T>(random: Random, choices: readonly T[]): T {
  return choices[Math.floor(random() * choices.length)] as T;
}

function randomShape(random: Random): Shape {
  const ordering = pick(random, ORDERINGS);
  const rows = columns({
    k1: 'string',
    k2: 'long',
    name: 'string',
    city: 'string',
    amount: 'integer',
    ...ordering.types,
  });
  const bounds = columns({__START_AT: ordering.bound, __END_AT: ordering.bound});
  const isSelected = ordering.name !== 'hidden' && random() < 0.2;
  const tracked = isSelected ? ['name', ...ordering.sequence] : pick(random, TRACKED);
  const schema: StructType = {type: 'struct', fields: [...rows.fields, ...bounds.fields]};
  return {ordering, tracked, rows, schema, vectors: random() < 0.5};
}

/** Events of one key at distinct places, in no order. */
function randomEvents(random: Random, key: string, {ordering}: Shape): readonly ModelEvent[] {
  const isTwo = ordering.sequence.length === 2;
  const count = 1 + Math.floor(random() * 8);
  const numbers = new Set<number>();
  while (numbers.size < count) numbers.add(Math.floor(random() * 14));
  return [...numbers]
    .map((number): ModelEvent => {
      const minor = number % 3 === 0 ? null : BigInt(number % 3);
      const at: Place = isTwo
        ? [number < 3 ? null : BigInt(Math.floor(number / 3)), minor]
        : [number === 0 ? null : BigInt(number)];
      const isDelete = random() < 0.25;
      const sequence = Object.fromEntries(ordering.sequence.map((name, part) => [name, at[part] ?? null]));
      return {key, isDelete, at, values: {...(isDelete ? {} : randomValues(random)), ...sequence}};
    })
    .toSorted(() => random() - 0.5);
}

function randomValues(random: Random): TestRow {
  return {
    name: random() < 0.15 ? null : pick(random, ['a', 'b']),
    city: pick(random, ['x', 'y', 'zz', null]),
    amount: pick(random, [1, 2, null]),
  };
}

function rowOf(event: ModelEvent, order: number): TestRow {
  const [k1 = '', k2 = ''] = event.key.split('|');
  const op = event.isDelete ? 'delete' : 'upsert';
  return {k1, k2: BigInt(k2), ...event.values, __ord: order, __op: op};
}

function textOf(version: ModelVersion, {ordering}: Shape): string {
  const bound = (place: Place | null): string => (place === null ? 'open' : place.map(String).join('.'));
  // Of two columns a place is never NULL as a whole.
  const start = ordering.sequence.length === 1 && version.start[0] === null ? 'null' : bound(version.start);
  const {name, city, amount} = version.values;
  return [version.key, name, city, amount, start, bound(version.end)].map(String).join(' ');
}

async function tableTexts(flow: TestFlow, {ordering}: Shape): Promise<readonly string[]> {
  const bound = (value: unknown): string =>
    ordering.sequence.length === 1
      ? String(value)
      : Object.values(value as Readonly<Record<string, unknown>>)
          .map(String)
          .join('.');
  const rows = await flow.rows();
  return rows
    .map((row) => {
      const key = `${String(row['k1'])}|${String(row['k2'])}`;
      const end = row['__END_AT'] === null ? 'open' : bound(row['__END_AT']);
      return [key, row['name'], row['city'], row['amount'], bound(row['__START_AT']), end].map(String).join(' ');
    })
    .toSorted();
}

function modelTexts(model: HistoryModel, shape: Shape): readonly string[] {
  return model
    .versions()
    .map((version) => textOf(version, shape))
    .toSorted();
}

/** Events of all keys mixed, those of a key in their order. */
function mixed(random: Random, perKey: readonly (readonly ModelEvent[])[]): readonly ModelEvent[] {
  const keyed = perKey.flatMap((events) => {
    const marks = events.map(() => random()).toSorted((left, right) => left - right);
    return events.map((event, at) => ({event, mark: marks[at] ?? 0}));
  });
  return keyed.toSorted((left, right) => left.mark - right.mark).map(({event}) => event);
}

/** Cuts events into batches; some come once more in a later one. */
function cut(random: Random, events: readonly ModelEvent[], batches: number): readonly (readonly ModelEvent[])[] {
  const cuts = Array.from({length: batches - 1}, () => Math.floor(random() * events.length)).toSorted((l, r) => l - r);
  const parts = [0, ...cuts].map((from, at) => events.slice(from, cuts[at] ?? events.length));
  return parts.map((part, at) => [...part, ...(at === 0 ? [] : (parts[at - 1] ?? []).filter(() => random() < 0.2))]);
}

function jobOf(shape: Shape, events: readonly ModelEvent[]): Partial<ApplyJob> {
  return {
    mode: 'scd2',
    target: 'scd2',
    keys: ['k1', 'k2'],
    sequence: shape.ordering.sequence,
    trackedColumns: shape.tracked,
    keepTombstones: true,
    inputs: [
      relation(
        shape.rows,
        events.map((event, at) => rowOf(event, at)),
      ),
    ],
  };
}

/** Applies random batches to a table and checks it against the model after each. Resolves to the number of cases: keys. */
async function checkTable(random: Random, keys: number, batches: number): Promise<number> {
  const shape = randomShape(random);
  const flow = await TestFlow.create(lake, shape.schema, {vectors: shape.vectors});
  const names = Array.from({length: keys}, (_, at) => `${pick(random, ['a', "b'", ''])}|${at}`);
  const events = mixed(
    random,
    names.map((name) => randomEvents(random, name, shape)),
  );
  const model = new HistoryModel(shape.tracked);
  for (const batch of cut(random, events, batches)) {
    for (const event of batch) model.take(event);
    await flow.apply(jobOf(shape, batch));
    expect(await tableTexts(flow, shape)).toEqual(modelTexts(model, shape));
  }
  return keys;
}

/** Checks this many random tables; the seed of one that fails is printed. */
async function checkTables(tables: number, keys: (random: Random) => number, batches: number): Promise<number> {
  let cases = 0;
  await fc.assert(
    fc.asyncProperty(fc.integer(), async (seed) => {
      const random = seededRandom(seed);
      cases += await checkTable(random, keys(random), 2 + Math.floor(random() * (batches - 1)));
    }),
    {numRuns: tables, endOnFailure: true},
  );
  return cases;
}

describe('random histories equal the model after every batch, in any order and any cut', () => {
  test('in tables of many keys', {timeout: 600_000}, async () => {
    const cases = await checkTables(33, (random) => 300 + Math.floor(random() * 20), 4);
    expect(cases).toBeGreaterThanOrEqual(9_900);
  });

  test('in tables of one key', {timeout: 600_000}, async () => {
    expect(await checkTables(100, () => 1, 3)).toBe(100);
  });
});
