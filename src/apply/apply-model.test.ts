import fc from 'fast-check';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';

import type {Random} from '../core/clock.ts';
import {seededRandom} from '../core/clock.ts';
import type {FailpointName} from '../core/failpoint.ts';
import {installFailpoints} from '../core/failpoint.ts';
import type {ApplyInput, ApplyJob, ApplyResult} from './apply-engine.ts';
import {createDuckDbApply} from './duckdb-apply.ts';
import type {TestLake, TestRow} from './lake.support.test.ts';
import {columns, inFiles, openTestLake, relation, TestFlow} from './lake.support.test.ts';

let lake: TestLake;
beforeAll(async () => {
  lake = await openTestLake();
});
afterAll(async () => lake[Symbol.asyncDispose]());

const SCHEMA = columns({k1: 'string', k2: 'long', text: 'string', major: 'long', minor: 'integer'});
const DELETE_COLUMNS = ['k1', 'k2', 'major', 'minor', '__ord'];
const KEYS = ['k1', 'k2'];
const NOWHERE = {rows: null, deletes: null};

/** An event as the model knows it. */
interface Event {
  readonly key: string;
  readonly isDelete: boolean;
  readonly major: number | null;
  readonly minor: number | null;
  readonly text: string | null;
}

/** The reference: the winning event of each key. */
type Model = ReadonlyMap<string, Event>;

function pick<T>(random: Random, choices: readonly T[]): T {
  return choices[Math.floor(random() * choices.length)] as T;
}

function randomEvent(random: Random, keys: number): Event {
  return {
    key: `${pick(random, ['a', "b'", ''])}|${Math.floor(random() * keys)}`,
    isDelete: random() < 0.25,
    major: random() < 0.05 ? null : Math.floor(random() * 12),
    minor: random() < 0.1 ? null : Math.floor(random() * 4),
    text: random() < 0.2 ? null : pick(random, ['x', 'y', 'a longer text of the row', '']),
  };
}

function compareSequence(left: Event, right: Event): number {
  for (const name of ['major', 'minor'] as const) {
    const [l, r] = [left[name] ?? -1, right[name] ?? -1];
    if (l !== r) return l - r;
  }
  return 0;
}

/** The event that stands after both, `later` having arrived later. */
function winner(earlier: Event | undefined, later: Event): Event {
  if (earlier === undefined) return later;
  const order = compareSequence(later, earlier);
  if (order !== 0) return order > 0 ? later : earlier;
  if (earlier.isDelete !== later.isDelete) return earlier.isDelete ? later : earlier;
  return later;
}

function afterEvents(model: Model, events: readonly Event[]): Model {
  const next = new Map(model);
  for (const event of events) next.set(event.key, winner(next.get(event.key), event));
  return next;
}

/** What a source without tombstones leaves: deletes are forgotten once their batch is applied. */
function withoutDeletes(model: Model): Model {
  return new Map([...model].filter(([, event]) => !event.isDelete));
}

function rowOf(event: Event, order?: number): TestRow {
  const [k1 = '', k2 = ''] = event.key.split('|');
  const row = {k1, k2: BigInt(k2), text: event.isDelete ? null : event.text, major: event.major, minor: event.minor};
  return order === undefined ? row : {...row, __ord: order, __op: event.isDelete ? 'delete' : 'upsert'};
}

function tableOf(model: Model): readonly string[] {
  const rows = [...model.values()].filter((event) => !event.isDelete).map((event) => rowOf(event));
  return rows
    .map((row) => rowText({...row, major: row['major'] === null ? null : BigInt(Number(row['major']))}))
    .toSorted();
}

function rowText(row: Readonly<Record<string, unknown>>): string {
  return SCHEMA.fields.map((field) => String(row[field.name])).join('/');
}

async function liveRows(flow: TestFlow): Promise<readonly string[]> {
  return (await flow.rows()).map(rowText).toSorted();
}

/** A batch, whose rows are in files now and then before it is applied. */
async function batchOf(random: Random, flow: TestFlow, events: readonly Event[]): Promise<Partial<ApplyJob>> {
  const batch = await eventsOf(random, flow, events);
  if (random() < 0.5) return batch;
  const places = Array.from({length: 4}, () => Math.floor(random() * (events.length + 1))).toSorted((l, r) => l - r);
  return {...batch, inputs: await Promise.all((batch.inputs ?? []).map(async (input) => inFiles(flow, input, places)))};
}

/** Events as a batch may bring them: marked rows, rows and deletes apart, or staged files. */
async function eventsOf(random: Random, flow: TestFlow, events: readonly Event[]): Promise<Partial<ApplyJob>> {
  const rows = events.map((event, at) => rowOf(event, at));
  const form = random();
  const [upserts, deletes] = [events.filter((event) => !event.isDelete), events.filter((event) => event.isDelete)];
  if (form < 0.4) return {inputs: [relation(SCHEMA, rows)]};
  const deletesOf: readonly ApplyInput[] =
    deletes.length === 0
      ? []
      : [
          relation(
            SCHEMA,
            deletes.map((event, at) => rowOf(event, at)),
            DELETE_COLUMNS,
          ),
        ];
  if (form < 0.7)
    return {
      inputs: [
        relation(
          SCHEMA,
          upserts.map((event, at) => rowOf(event, at)),
          [...SCHEMA.fields.map((field) => field.name), '__ord'],
        ),
      ],
      deletes: deletesOf,
    };
  // Staged files have no order of their own but that of their rows, and hold a key once here.
  const unique = [...afterEvents(new Map(), upserts).values()];
  const input = relation(
    SCHEMA,
    unique.map((event) => rowOf(event)),
  );
  const files =
    input.kind === 'relation'
      ? await (await flow.table()).writeFiles({select: input.select, schema: SCHEMA}, new AbortController().signal)
      : [];
  return {inputs: [{kind: 'staged', files}], deletes: deletesOf};
}

const STEPS: readonly FailpointName[] = [
  'apply.data-written',
  'apply.side-files-written',
  'apply.batch-file-written',
  'delta.commit-staged',
  'delta.commit-linked',
  'delta.commit-written',
];

/** Applies a batch; now and then it is killed at a step, and a new engine tries again from what the log says. */
async function applySurviving(random: Random, flow: TestFlow, job: Partial<ApplyJob>): Promise<ApplyResult | null> {
  if (random() > 0.25) return flow.apply(job);
  const step = pick(random, STEPS);
  installFailpoints((name) => {
    if (name === step) throw new Error('killed');
  });
  const outcome = await flow.apply(job).catch(() => null);
  installFailpoints(null);
  if (outcome !== null) return outcome;
  flow.engine = createDuckDbApply(lake.context);
  const batch = await flow.batch();
  const landed = (batch?.batchId ?? null) !== flow.batchId;
  flow.batchId = batch?.batchId ?? null;
  return landed ? null : flow.apply(job);
}

function checkCounts(result: ApplyResult | null, before: Model, after: Model): void {
  if (result === null) return;
  const was = withoutDeletes(before);
  const is = withoutDeletes(after);
  expect(result.counts.inserted).toBe([...is.keys()].filter((key) => !was.has(key)).length);
  expect(result.counts.deleted).toBe([...was.keys()].filter((key) => !is.has(key)).length);
}

describe.each([true, false])('random batches with deletion vectors: %s', (vectors) => {
  test('equal the model after every batch, whatever comes late, twice or killed', {timeout: 60_000}, async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const random = seededRandom(seed);
        const keepTombstones = random() < 0.7;
        const flow = await TestFlow.create(lake, SCHEMA, {vectors});
        let model: Model = new Map();
        let past: Event[] = [];
        for (let step = 0; step < 6; step += 1) {
          const fresh = Array.from({length: Math.floor(random() * 25)}, () => randomEvent(random, 6));
          const events = [...fresh, ...past.filter(() => random() < 0.2)].toSorted(() => random() - 0.5);
          past = [...past, ...fresh];
          const batch = await batchOf(random, flow, events);
          const before = model;
          model = afterEvents(model, events);
          const result = await applySurviving(random, flow, {
            ...batch,
            keys: KEYS,
            sequence: ['major', 'minor'],
            keepTombstones,
          });
          if (!keepTombstones) model = withoutDeletes(model);
          expect(await liveRows(flow)).toEqual(tableOf(model));
          checkCounts(result, before, model);
        }
      }),
      {numRuns: 5},
    );
  });

  test('events with distinct sequences give one table in any order and any cut', {timeout: 60_000}, async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const random = seededRandom(seed);
        const events = Array.from({length: 40}, (_, at) => ({
          ...randomEvent(random, 5),
          major: Math.floor(at / 4),
          minor: at % 4 === 3 ? null : at % 4,
        }));
        const expected = tableOf(afterEvents(new Map(), events));
        for (let run = 0; run < 2; run += 1) {
          const flow = await TestFlow.create(lake, SCHEMA, {vectors});
          const rest = events.toSorted(() => random() - 0.5);
          while (rest.length > 0) {
            const inputs = [
              relation(
                SCHEMA,
                rest.splice(0, 1 + Math.floor(random() * 20)).map((event, at) => rowOf(event, at)),
              ),
            ];
            await flow.apply({inputs, keys: KEYS, sequence: ['major', 'minor'], keepTombstones: true});
          }
          expect(await liveRows(flow)).toEqual(expected);
        }
      }),
      {numRuns: 3},
    );
  });

  test('snapshots and refreshes in any cut leave what the source holds', {timeout: 60_000}, async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const random = seededRandom(seed);
        const flow = await TestFlow.create(lake, SCHEMA, {vectors});
        const sequence = random() < 0.5 ? ['major', 'minor'] : [];
        let source: Model = new Map();
        for (let snapshot = 0; snapshot < 3; snapshot += 1) {
          const changes = Array.from({length: Math.floor(random() * 20)}, () => randomEvent(random, 6));
          source = new Map([...withoutDeletes(source), ...changes.map((event) => [event.key, event] as const)]);
          await applySnapshot(random, flow, {rows: [...withoutDeletes(source).values()], sequence});
          expect(await liveRows(flow)).toEqual(tableOf(source));
        }
      }),
      {numRuns: 5},
    );
  });
});

async function applySnapshot(
  random: Random,
  flow: TestFlow,
  snapshot: {readonly rows: readonly Event[]; readonly sequence: readonly string[]},
): Promise<void> {
  const rest = snapshot.rows.toSorted(() => random() - 0.5);
  const cuts = Math.floor(random() * 3);
  for (let cut = 0; cut <= cuts; cut += 1) {
    const part = cut === cuts ? rest.splice(0) : rest.splice(0, Math.floor(random() * 8));
    await applySurviving(random, flow, {
      mode: cut === cuts ? 'replace' : 'hold',
      keys: KEYS,
      sequence: snapshot.sequence,
      keysUnique: random() < 0.5,
      inputs: [
        relation(
          SCHEMA,
          part.map((event) => rowOf(event)),
        ),
      ],
      start: cut === 0 ? NOWHERE : {rows: {cut}, deletes: null},
      end: cut === cuts ? NOWHERE : {rows: {cut: cut + 1}, deletes: null},
    });
  }
}
