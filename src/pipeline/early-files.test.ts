import {readdir, rm} from 'node:fs/promises';
import {join} from 'node:path';

import {afterEach, beforeEach, describe, expect, test} from 'vitest';

import type {JsonObject} from '../core/json-value.ts';
import {long, string, struct} from '../core/schema.ts';
import {openTable} from '../delta/table.ts';
import type {EngineRow} from '../engine/engine.ts';
import type {Change, Page} from '../sdk/contract.ts';
import type {Store} from '../storage/store.ts';
import {createFaultStore, type FaultStore} from '../testkit/fault-store.ts';
import {openTestLake, runConnector, type TestLake, type TestRunEnd} from '../testkit/run-connector.ts';
import {type ScriptedCall, scriptedConnector} from '../testkit/scripted-connector.ts';
import type {TableConfiguration} from './spec.ts';

let lake: TestLake;
let store: FaultStore;

beforeEach(async () => {
  const wrap = (inner: Store): Store => (store = createFaultStore(inner));
  lake = await openTestLake(undefined, {wrap});
});

afterEach(async () => {
  await lake[Symbol.asyncDispose]();
  await rm(lake.folder, {recursive: true, force: true});
});

const PAGE_ROWS = 500;
const PAGES = 70;
const ROWS = PAGES * PAGE_ROWS;
const TEXT = 'x'.repeat(1000);

function record(id: number | null, text = TEXT, seq = 1): JsonObject {
  return {id, text, seq};
}

/** Rows of more bytes than wait for a file, from an id on. */
function records(from = 0): readonly (readonly JsonObject[])[] {
  return Array.from({length: PAGES}, (_, page) =>
    Array.from({length: PAGE_ROWS}, (_row, index) => record(from + page * PAGE_ROWS + index)),
  );
}

function changes(pages: readonly (readonly JsonObject[])[]): readonly Page[] {
  return pages.map((rows) => ({
    kind: 'changes',
    changes: rows.map((row): Change => ({op: 'upsert', row, sequence: Number(row['seq'])})),
  }));
}

/** A trigger of a table whose call `n` answers with batch `n`. */
function run(
  batches: readonly (readonly Page[] | ScriptedCall)[],
  options: {readonly areChanges?: boolean; readonly configuration?: Partial<TableConfiguration>} = {},
): Promise<TestRunEnd> {
  const {configuration = {}} = options;
  const scripted = scriptedConnector({
    t: {
      schema: struct({id: long(), text: string(), seq: long()}),
      ingestionType: 'cdc',
      primaryKeys: ['id'],
      cursorField: 'seq',
      metadata: options.areChanges === true ? {changes: {sequence: 'long'}} : {},
      read: (start) => {
        const next = typeof start?.['n'] === 'number' ? start['n'] : 0;
        const batch = batches[next];
        if (batch === undefined) return {pages: [], end: start};
        return 'end' in batch ? batch : {pages: batch, end: {n: next + 1}};
      },
    },
  });
  return runConnector(lake, {...scripted, tables: [{source: 't', configuration}]});
}

/** What landed, in short; its data files, and those that no version of the table has. */
async function landed(): Promise<EngineRow & {readonly files: number; readonly unused: number}> {
  const table = await openTable(lake.context, 'main/test/t');
  if (table === null) throw new Error('no table');
  const [row] = await lake.context.engine.query(
    `SELECT count(*) AS n, count(DISTINCT id) AS ids, string_agg(id || ' ' || text, ', ' ORDER BY id) FILTER (WHERE text <> '${TEXT}') AS others FROM (${await table.readSql()})`,
  );
  const stored = await readdir(join(lake.folder, 'main/test/t'));
  const files = table.snapshot.files.size;
  return {...row, files, unused: stored.filter((name) => name.endsWith('.parquet')).length - files};
}

const ALL = {n: BigInt(ROWS), ids: BigInt(ROWS), others: null, unused: 0};

describe('the rows of a first load', () => {
  test.each([false, true])('are written while they are read, and not again (changes: %s)', async (areChanges) => {
    const pages = areChanges ? changes(records()) : records();
    const end = await run([pages], {areChanges});
    expect(end).toMatchObject({state: 'COMPLETED', flows: [{rowsRead: ROWS, rowsInserted: ROWS, batches: 1}]});
    const found = await landed();
    expect(found).toMatchObject(ALL);
    expect(found.files).toBeGreaterThan(1);
  });

  test('are written once where all of them fit into a file', async () => {
    await run([records().slice(0, 10)]);
    expect(await landed()).toMatchObject({n: 5000n, files: 1, unused: 0});
  });

  test('are the newest of each key, wherever the others of the key were written', async () => {
    const more = [
      record(3, 'newer', 2),
      record(4, 'older', 0),
      record(5, 'later'),
      record(-1, 'new'),
      record(-1, 'new, again'),
    ];
    await run([[...records(), more]]);
    expect(await landed()).toMatchObject({
      n: BigInt(ROWS + 1),
      ids: BigInt(ROWS + 1),
      others: '-1 new, again, 3 newer, 5 later',
    });
  });

  test('go with deletes that come after them, and stand against older ones', async () => {
    const [first = [], ...others] = changes(records());
    const gone = (id: number, sequence: number): Change => ({op: 'delete', row: {id}, sequence});
    await run(
      [
        [
          {kind: 'changes', changes: [gone(1, 0), gone(2, 2)]},
          first as Page,
          ...others,
          {kind: 'changes', changes: [gone(3, 2), gone(4, 0), {op: 'upsert', row: record(3, 'back', 3), sequence: 3}]},
        ],
      ],
      {areChanges: true},
    );
    expect(await landed()).toMatchObject({n: BigInt(ROWS - 1), ids: BigInt(ROWS - 1), others: '3 back'});
  });

  test('are set aside where they have no key, and filtered as always', async () => {
    const end = await run([[[record(null, 'no key')], ...records(), [record(null, 'nor this')]]], {
      configuration: {rowFilter: 'id <> 7'},
    });
    expect(end).toMatchObject({state: 'COMPLETED', flows: [{quarantinedRows: 2}]});
    expect(await landed()).toMatchObject({n: BigInt(ROWS - 1), ids: BigInt(ROWS - 1), others: null});
  });

  test('make the versions of SCD type 2', async () => {
    await run([[...records(), [record(3, 'newer', 2)]]], {configuration: {scdType: 'SCD_TYPE_2'}});
    expect(await landed()).toMatchObject({n: BigInt(ROWS + 1), ids: BigInt(ROWS), others: '3 newer'});
  });

  test('land where a file could not be written while they were read', async () => {
    store.inject({fault: {kind: 'fail', systemCode: 'EIO'}, method: 'seal', name: /part-/});
    expect(await run([records()])).toMatchObject({state: 'COMPLETED', flows: [{rowsInserted: ROWS, attempt: 1}]});
    expect(store.injected).toHaveLength(1);
    expect(await landed()).toMatchObject({n: BigInt(ROWS), ids: BigInt(ROWS)});
  });

  test('land once where the source failed first', async () => {
    const failing = {pages: records(), end: null, fails: new Error('gone')};
    expect(await run([failing])).toMatchObject({state: 'FAILED', flows: [{rowsInserted: 0}]});
    expect(await landed()).toMatchObject({n: 0n, files: 0});
    expect(await run([records()])).toMatchObject({state: 'COMPLETED', flows: [{rowsInserted: ROWS}]});
    expect(await landed()).toMatchObject({n: BigInt(ROWS), ids: BigInt(ROWS)});
  });

  test('are written while they are read in later batches, too, though some come again', async () => {
    const end = await run([records(), [[record(ROWS - 1), record(0, 'newer', 2)], ...records(ROWS)]]);
    expect(end).toMatchObject({flows: [{rowsInserted: 2 * ROWS, rowsUpdated: 1, batches: 2}]});
    const found = await landed();
    expect(found).toMatchObject({n: BigInt(2 * ROWS), ids: BigInt(2 * ROWS), others: '0 newer'});
    // The file of the range whose first row came again, and that which had the row that is newer now.
    expect(found.unused).toBe(2);
  });

  test('are written together where the table is partitioned', async () => {
    await run([records()], {configuration: {partitionColumns: ['seq']}});
    expect(await landed()).toMatchObject({n: BigInt(ROWS), files: 1});
  });
});
