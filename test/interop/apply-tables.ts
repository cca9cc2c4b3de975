import type {ApplyMode} from '../../src/apply/apply-engine.ts';
import {type Random, seededRandom} from '../../src/core/clock.ts';
import type {StructType} from '../../src/core/types.ts';
import {createTable} from '../../src/delta/table.ts';
import {FlowUnderTest} from './flow-under-test.ts';
import {CaseRecorder, type Lake, type TableCase} from './table-case.ts';
import type {Row} from './values.ts';

const schema: StructType = {
  type: 'struct',
  fields: [
    {name: 'id', type: 'long', nullable: true, metadata: {}},
    {name: 'amount', type: {type: 'decimal', precision: 10, scale: 2}, nullable: true, metadata: {}},
    {name: 'seq', type: 'long', nullable: true, metadata: {}},
  ],
};

/** A change of one row: `amount` null deletes it. */
interface Event {
  readonly id: number;
  readonly amount: string | null;
  readonly seq: number;
}

/** Writes tables as a pipeline does: batches through the apply engine. */
export async function writeAppliedTables(lake: Lake): Promise<readonly TableCase[]> {
  const random = seededRandom(42);
  return [
    await merged(lake, random, true),
    await merged(lake, random, false),
    await appended(lake),
    await replaced(lake),
  ];
}

/** Upserts and deletes in batches, some of them late. */
async function merged(lake: Lake, random: Random, deletionVectors: boolean): Promise<TableCase> {
  const flow = new RecordedFlow(lake, `main/raw/merged_${deletionVectors}`);
  await flow.create(deletionVectors);
  const newest = new Map<number, Event>();
  let clock = 0;
  for (let batch = 0; batch < 6; batch++) {
    const events = Array.from({length: batch === 0 ? 3000 : 400}, (_, index): Event => {
      clock++;
      const id = batch === 0 ? index : Math.floor(random() * 3500);
      const late = batch > 0 && random() < 0.2;
      // Odd when late, even when in order: no two changes of a key have one sequence.
      const seq = late ? 2 * Math.floor(clock * random()) + 1 : 2 * clock;
      const isDelete = batch > 0 && random() < 0.2;
      return {id, seq, amount: isDelete ? null : (Math.floor(random() * 1e7) / 100).toFixed(2)};
    });
    for (const event of events) if (event.seq > (newest.get(event.id)?.seq ?? -1)) newest.set(event.id, event);
    await flow.apply('scd1', events);
    await flow.record(rowsOf([...newest.values()].filter(({amount}) => amount !== null)));
  }
  const refusal = deletionVectors ? {refuses: {'delta-rs-arrow': 'deletionVectors'}} : {};
  return flow.finish(`merged ${deletionVectors ? 'with deletion vectors' : 'by copy on write'}`, refusal);
}

async function appended(lake: Lake): Promise<TableCase> {
  const flow = new RecordedFlow(lake, 'main/raw/appended');
  await flow.create(false);
  const all: Event[] = [];
  for (const ids of [
    [1, 2, 3],
    [1, 4],
  ]) {
    const events = ids.map((id) => ({id, amount: '1.25', seq: all.length + id}));
    all.push(...events);
    await flow.apply('append', events);
    await flow.record(rowsOf(all));
  }
  return flow.finish('appended by a flow');
}

/** A snapshot in three calls: readers see the old rows until its end. */
async function replaced(lake: Lake): Promise<TableCase> {
  const flow = new RecordedFlow(lake, 'main/raw/replaced');
  await flow.create(false);
  const old = [1, 2, 3].map((id) => ({id, amount: '0.10', seq: 1}));
  await flow.apply('replace', old);
  await flow.record(rowsOf(old));
  const parts = [[2, 3], [5, 6], [7]].map((ids) => ids.map((id) => ({id, amount: '0.20', seq: 2})));
  for (const [index, part] of parts.entries()) {
    const isLast = index === parts.length - 1;
    await flow.apply(isLast ? 'replace' : 'hold', part);
    await flow.record(rowsOf(isLast ? parts.flat() : old));
  }
  return flow.finish('replaced by a snapshot');
}

/** A flow and the states of its table. */
class RecordedFlow {
  readonly #lake: Lake;
  readonly #root: string;
  readonly #flow: FlowUnderTest;
  readonly #recorder = new CaseRecorder();

  constructor(lake: Lake, root: string) {
    this.#lake = lake;
    this.#root = root;
    this.#flow = new FlowUnderTest(lake, root, {schema, keys: ['id'], sequence: ['seq']});
  }

  async create(deletionVectors: boolean): Promise<void> {
    await createTable(this.#lake.context, this.#root, {schema, deletionVectors});
  }

  async apply(mode: ApplyMode, events: readonly Event[]): Promise<void> {
    await this.#flow.apply(mode, selectEvents(events));
  }

  async record(rows: readonly Row[]): Promise<void> {
    this.#recorder.record(await this.#flow.open(), rows);
  }

  async finish(name: string, more: Pick<TableCase, 'refuses'> = {}): Promise<TableCase> {
    return this.#recorder.finish(this.#lake, await this.#flow.open(), name, more);
  }
}

function selectEvents(events: readonly Event[]): string {
  const rows = events.map(({id, amount, seq}, index) => {
    const op = amount === null ? 'delete' : 'upsert';
    return `(${id}, ${amount === null ? 'NULL' : `'${amount}'::DECIMAL(10,2)`}, ${seq}, ${index}, '${op}')`;
  });
  return `SELECT id::BIGINT AS id, amount::DECIMAL(10,2) AS amount, seq::BIGINT AS seq, ord::BIGINT AS __ord, op AS __op
    FROM (VALUES ${rows.join(', ')}) v(id, amount, seq, ord, op)`;
}

function rowsOf(events: readonly Event[]): readonly Row[] {
  return events.map(({id, amount, seq}) => ({id: String(id), amount, seq: String(seq)}));
}
