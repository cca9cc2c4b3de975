import fc from 'fast-check';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';

import type {Random} from '../core/clock.ts';
import {seededRandom} from '../core/clock.ts';
import type {StructType} from '../core/types.ts';
import type {ApplyInput, ApplyJob} from './apply-engine.ts';
import type {TestLake, TestRow} from './lake.support.test.ts';
import {columns, inFiles, openTestLake, relation, TestFlow} from './lake.support.test.ts';
import {compareAt, type MergeEvent, type ModelRow, type ModelValue, standingRows} from './merge-model.support.test.ts';

let lake: TestLake;
beforeAll(async () => {
  lake = await openTestLake();
});
afterAll(async () => lake[Symbol.asyncDispose]());

const NESTED = columns({x: 'string', y: 'string'});
const AT = columns({major: 'long', minor: 'integer'});
const COLUMNS = {k: 'string', a: 'string', b: 'string', n: NESTED} as const;
const PLAIN = columns({...COLUMNS, major: 'long', minor: 'integer'});
const STRUCT = columns({...COLUMNS, _sluice_sequence: AT});
/** A case is the events of one key; the keys of a table share its batches. */
const CASES_PER_TABLE = 100;
const TABLES = 100;

/** What varies from table to table. */
interface Variant {
  readonly vectors: boolean;
  readonly hasStructSequence: boolean;
  readonly ignoreNullColumns: readonly string[];
  readonly hasTruncates: boolean;
  /** The events come in order, some leave columns as they are, some change the key. */
  readonly isPartial: boolean;
}

function pick<T>(random: Random, choices: readonly T[]): T {
  return choices[Math.floor(random() * choices.length)] as T;
}

function randomVariant(random: Random): Variant {
  return {
    vectors: random() < 0.5,
    hasStructSequence: random() < 0.3,
    ignoreNullColumns: pick(random, [[], ['a', 'b', 'n'], ['n'], ['a']]),
    hasTruncates: random() < 0.4,
    isPartial: random() < 0.3,
  };
}

function randomValue(random: Random): string | null {
  return random() < 0.4 ? null : pick(random, ['p', 'q', "r's", '']);
}

function randomRow(random: Random): ModelRow {
  const nested = random() < 0.3 ? null : {x: randomValue(random), y: randomValue(random)};
  return {a: randomValue(random), b: randomValue(random), n: nested};
}

/** Events of all keys with places of their own: `minor` is null in some. */
function randomEvents(random: Random, variant: Variant): readonly MergeEvent[] {
  const keys = Array.from({length: CASES_PER_TABLE}, (_, at) => `k${at}`);
  const owners = keys.flatMap((key) => Array.from({length: 2 + Math.floor(random() * 6)}, () => key));
  const events = shuffled(random, owners).map((key, at) => randomEvent(random, key, at));
  if (!variant.hasTruncates) return events;
  return events.map((event) => (random() < 0.003 ? {...event, op: 'truncate' as const} : event));
}

function randomEvent(random: Random, key: string, at: number): MergeEvent {
  return {
    op: random() < 0.25 ? 'delete' : 'upsert',
    key,
    at: [Math.floor(at / 3), at % 3 === 0 ? null : at % 3],
    values: randomRow(random),
    unchanged: [],
    oldKey: null,
  };
}

/** What an ordered source says: updates of rows that are there may leave columns, and move to a key that is free. */
function withPartialRows(
  random: Random,
  events: readonly MergeEvent[],
  ignored: readonly string[],
): readonly MergeEvent[] {
  const said: MergeEvent[] = [];
  for (const event of events) {
    const standing = standingRows(said.slice(-400), ignored);
    const isThere = event.op === 'upsert' && standing.has(event.key);
    if (!isThere) said.push(event);
    else if (random() < 0.15) said.push({...partial(random, event), key: `moved ${said.length}`, oldKey: event.key});
    else said.push(random() < 0.5 ? partial(random, event) : event);
  }
  return said;
}

function partial(random: Random, event: MergeEvent): MergeEvent {
  const unchanged = ['a', 'b', 'n'].filter(() => random() < 0.5);
  return {...event, unchanged, values: {...event.values, ...Object.fromEntries(unchanged.map((name) => [name, null]))}};
}

function shuffled<T>(random: Random, values: readonly T[]): readonly T[] {
  return values
    .map((value) => ({value, at: random()}))
    .toSorted((left, right) => left.at - right.at)
    .map(({value}) => value);
}

function schemaOf(variant: Variant): StructType {
  return variant.hasStructSequence ? STRUCT : PLAIN;
}

function rowOf(event: MergeEvent, variant: Variant, order: number): TestRow {
  const [major = null, minor = null] = event.at;
  const sequence = variant.hasStructSequence ? {_sluice_sequence: {major, minor}} : {major, minor};
  const values = event.op === 'upsert' ? event.values : {a: null, b: null, n: null};
  return {
    k: event.op === 'truncate' ? null : event.key,
    ...values,
    ...sequence,
    __ord: order,
    __op: event.op,
    ...(variant.isPartial ? {__unchanged: event.unchanged} : {}),
    ...(event.oldKey === null ? {} : {__old_key: {k: event.oldKey}}),
  };
}

function inputOf(events: readonly MergeEvent[], variant: Variant): ApplyInput {
  return relation(
    schemaOf(variant),
    events.map((event, at) => rowOf(event, variant, at)),
  );
}

/** Events as a batch may bring them: as one input, as several, or with the deletes apart. */
function batchOf(random: Random, events: readonly MergeEvent[], variant: Variant): Partial<ApplyJob> {
  const form = variant.isPartial ? random() * 0.7 : random();
  if (form < 0.4 || events.length === 0) return {inputs: [inputOf(events, variant)]};
  const cut = Math.floor(random() * events.length);
  if (form < 0.7) return {inputs: [inputOf(events.slice(0, cut), variant), inputOf(events.slice(cut), variant)]};
  const [deletes, others] = [events.filter(isDelete), events.filter((event) => !isDelete(event))];
  return {
    inputs: [inputOf(others, variant)],
    deletes: deletes.length === 0 ? [] : [inputOf(deletes, variant)],
  };
}

function isDelete(event: MergeEvent): boolean {
  return event.op === 'delete';
}

function cutAtRandom<T>(random: Random, values: readonly T[]): readonly (readonly T[])[] {
  const pieces = pick(random, [1, 2, 2, 3, 4]);
  const cuts = Array.from({length: pieces - 1}, () => Math.floor(random() * values.length)).toSorted((l, r) => l - r);
  return [0, ...cuts].map((from, at) => values.slice(from, cuts[at] ?? values.length));
}

function modelText(events: readonly MergeEvent[], ignored: readonly string[]): readonly string[] {
  return [...standingRows(events, ignored)].map(([key, {at, values}]) => textOf(key, values, at)).toSorted();
}

function textOf(key: unknown, values: Readonly<Record<string, unknown>>, at: readonly unknown[]): string {
  const sortedStruct = (value: unknown): unknown =>
    typeof value === 'object' && value !== null ? Object.entries(value).toSorted() : (value ?? null);
  return JSON.stringify([key, sortedStruct(values['a']), sortedStruct(values['b']), sortedStruct(values['n']), at]);
}

async function tableText(flow: TestFlow): Promise<readonly string[]> {
  const rows = await flow.rows();
  return rows
    .map((row) => {
      const at = (row['_sluice_sequence'] ?? row) as Readonly<Record<string, ModelValue | bigint>>;
      const value = (name: string): number | null => (at[name] === null ? null : Number(at[name]));
      return textOf(row['k'], row, [value('major'), value('minor')]);
    })
    .toSorted();
}

function jobOf(variant: Variant): Partial<ApplyJob> {
  return {
    keys: ['k'],
    sequence: variant.hasStructSequence ? ['_sluice_sequence'] : ['major', 'minor'],
    ignoreNullColumns: variant.ignoreNullColumns,
    keepTombstones: !variant.isPartial,
  };
}

async function checkTable(seed: number): Promise<void> {
  const random = seededRandom(seed);
  const variant = randomVariant(random);
  const sorted = [...randomEvents(random, variant)].toSorted((left, right) => compareAt(left.at, right.at));
  const events = variant.isPartial ? withPartialRows(random, sorted, variant.ignoreNullColumns) : sorted;
  const expected = modelText(events, variant.ignoreNullColumns);
  const flow = await TestFlow.create(lake, schemaOf(variant), {vectors: variant.vectors});
  const batches = cutAtRandom(random, variant.isPartial ? events : shuffled(random, events));
  for (const [at, batch] of batches.entries()) {
    const given = batchOf(random, batch, variant);
    const places = [0, Math.floor(random() * 200), 1000];
    const inputs =
      random() < 0.3
        ? await Promise.all((given.inputs ?? []).map(async (input) => inFiles(flow, input, places)))
        : (given.inputs ?? []);
    const job = {...jobOf(variant), ...given, inputs};
    await flow.apply(job);
    if (random() > 0.3) continue;
    // A batch that is there already changes nothing, not even the log.
    const {end} = (await flow.batch()) ?? {};
    if (end === undefined) continue;
    const again = await flow.apply({...job, start: end, end});
    expect(again.version, `batch ${at} came twice: ${JSON.stringify(variant)}`).toBeNull();
  }
  expect(await tableText(flow), JSON.stringify(variant)).toEqual(expected);
}

describe('any order and any cut', () => {
  test(
    `of the events of ${TABLES * CASES_PER_TABLE} keys give what they give one after the other`,
    {timeout: 900_000},
    async () => {
      await fc.assert(fc.asyncProperty(fc.integer(), checkTable), {numRuns: TABLES});
    },
  );
});
