import {join} from 'node:path';

import type {StructType} from '../../src/core/types.ts';
import {createTable} from '../../src/delta/table.ts';
import {FlowUnderTest} from './flow-under-test.ts';
import type {CanonicalValue, ReadAnswer} from './foreign-readers.ts';
import type {InteropBench, InteropSuite} from './suite.ts';

const schema: StructType = {
  type: 'struct',
  fields: [
    {name: 'id', type: 'long', nullable: true, metadata: {}},
    {name: 'text', type: 'string', nullable: true, metadata: {}},
    {name: 'seq', type: 'long', nullable: true, metadata: {}},
  ],
};
const SHAPE = {schema, keys: ['id'], sequence: ['seq']};
const BATCHES = 12;

/** Spark Structured Streaming follows tables while Sluice commits to them. */
export const streamingSuite: InteropSuite = {
  name: 'streaming',
  async run(bench) {
    await followAppends(bench);
    for (const deletionVectors of [false, true]) await followChanges(bench, deletionVectors);
  },
};

async function followAppends({lake, readers, report}: InteropBench): Promise<void> {
  const root = 'main/raw/followed';
  await createTable(lake.context, root, {schema});
  const flow = new FlowUnderTest(lake, root, SHAPE);
  await flow.apply('append', appended(0));
  await readers.startStream('followed', join(lake.folder, root));
  for (let batch = 1; batch < BATCHES; batch++) await flow.apply('append', appended(batch));
  const answer = await readers.streamed('followed');
  const found = rowsOf(answer).map((row) => `${textOf(row['id'])} ${textOf(row['text'])}`);
  const wanted = Array.from({length: BATCHES * 50}, (_, id) => `${id} row ${id}`);
  report('spark streams an appended table while it is written', sameLists(answer, found, wanted));
}

function appended(batch: number): string {
  return `SELECT range AS id, 'row ' || range AS text, range AS seq FROM range(${batch * 50}, ${batch * 50 + 50})`;
}

/** Each batch updates a third of the rows, deletes some and adds some. */
async function followChanges({lake, readers, report}: InteropBench, deletionVectors: boolean): Promise<void> {
  const name = `changed_${deletionVectors}`;
  const root = `main/raw/${name}`;
  const configuration = {'delta.enableChangeDataFeed': 'true'};
  await createTable(lake.context, root, {schema, configuration, deletionVectors});
  const flow = new FlowUnderTest(lake, root, SHAPE);
  const options = {readChangeFeed: 'true', startingVersion: '0'};
  const wanted: string[] = [];
  const rows = new Map<number, string>();
  for (let batch = 0; batch < BATCHES; batch++) {
    const events = changesOf(batch);
    for (const {id, text} of events) wanted.push(...changeTexts(id, rows.get(id), text));
    for (const {id, text} of events)
      if (text === null) rows.delete(id);
      else rows.set(id, text);
    await flow.apply('scd1', selectOf(events, batch));
    if (batch === 0) await readers.startStream(name, join(lake.folder, root), options);
  }
  const answer = await readers.streamed(name);
  const found = rowsOf(answer).map(
    (row) => `${textOf(row['_change_type'])} ${textOf(row['id'])} ${textOf(row['text'])}`,
  );
  const kind = deletionVectors ? 'with deletion vectors' : 'by copy on write';
  report(`spark streams the changes of a table merged ${kind} while it is written`, sameLists(answer, found, wanted));
}

interface Change {
  readonly id: number;
  /** Null deletes the row. */
  readonly text: string | null;
}

function changesOf(batch: number): readonly Change[] {
  const first = batch * 10;
  const added = Array.from({length: 30}, (_, at) => ({id: first + at, text: `batch ${batch}`}));
  return batch === 0 ? added : [...added, ...[1, 2, 3].map((at) => ({id: first - at, text: null}))];
}

function changeTexts(id: number, before: string | undefined, after: string | null): readonly string[] {
  if (before === undefined) return after === null ? [] : [`insert ${id} ${after}`];
  if (after === null) return [`delete ${id} ${before}`];
  return [`update_preimage ${id} ${before}`, `update_postimage ${id} ${after}`];
}

function selectOf(changes: readonly Change[], batch: number): string {
  const rows = changes.map(
    ({id, text}) =>
      `(${id}, ${text === null ? 'NULL' : `'${text}'`}, ${batch}, '${text === null ? 'delete' : 'upsert'}')`,
  );
  return `SELECT id::BIGINT AS id, text::VARCHAR AS text, seq::BIGINT AS seq, op AS __op FROM (VALUES ${rows.join(', ')}) v(id, text, seq, op)`;
}

function rowsOf(answer: ReadAnswer): readonly Readonly<Record<string, CanonicalValue>>[] {
  return 'error' in answer ? [] : answer.rows;
}

function textOf(value: CanonicalValue | undefined): string {
  return typeof value === 'string' ? value : JSON.stringify(value ?? null);
}

/** Lists without order, every entry as often as in the other. */
function sameLists(answer: ReadAnswer, found: readonly string[], wanted: readonly string[]): string | null {
  if ('error' in answer) return answer.error;
  const [left, right] = [found.toSorted(), wanted.toSorted()];
  const at = left.findIndex((text, index) => text !== right[index]);
  if (left.length === right.length && at < 0) return null;
  return `${left.length} rows instead of ${right.length}; the first that differs: ${left[at] ?? 'none'}, ${right[at] ?? 'none'} wanted`;
}
