import {rm} from 'node:fs/promises';

import {afterAll, beforeAll, describe, expect, test} from 'vitest';

import {integer, long, string, struct} from '../core/schema.ts';
import type {StructType} from '../core/types.ts';
import {openTable} from '../delta/table.ts';
import type {EngineRow} from '../engine/engine.ts';
import type {Change, Page, TableMetadata} from '../sdk/contract.ts';
import {openTestLake, runConnector, type TestLake, type TestRunEnd} from '../testkit/run-connector.ts';
import {scriptedConnector, type ScriptedConnector, type ScriptedTable} from '../testkit/scripted-connector.ts';
import type {TableConfiguration} from './spec.ts';

let lake: TestLake;
beforeAll(async () => {
  lake = await openTestLake();
});
afterAll(async () => {
  await lake[Symbol.asyncDispose]();
  await rm(lake.folder, {recursive: true, force: true});
});

const SCHEMA: StructType = struct({id: long(), a: string(), b: string(), secret: string()});

/** A change log: each run answers what was pushed since the last one. */
class Log {
  readonly name: string;
  readonly #batches: (readonly Page[])[] = [];
  readonly #table: ScriptedTable;

  constructor(name: string, metadata: Partial<TableMetadata> = {}, schema: StructType = SCHEMA) {
    this.name = name;
    this.#table = {
      schema,
      ingestionType: 'cdc',
      primaryKeys: ['id'],
      metadata: {changes: {sequence: 'long', ordered: true}, ...metadata},
      read: (start) => {
        const next = typeof start?.['n'] === 'number' ? start['n'] : 0;
        const pages = this.#batches[next];
        return pages === undefined ? {pages: [], end: start ?? {n: 0}} : {pages, end: {n: next + 1}};
      },
    };
  }

  async run(changes: readonly Change[], configuration: Partial<TableConfiguration> = {}): Promise<TestRunEnd> {
    return this.runPages([{kind: 'changes', changes}], configuration);
  }

  async runPages(pages: readonly Page[], configuration: Partial<TableConfiguration> = {}): Promise<TestRunEnd> {
    this.#batches.push(pages);
    const {definition, connector} = this.scripted();
    return runConnector(lake, {definition, connector, tables: [{source: this.name, configuration}]});
  }

  scripted(): ScriptedConnector {
    return scriptedConnector({[this.name]: this.#table});
  }

  /** All rows of the destination, by all columns. */
  async rows(suffix = ''): Promise<readonly EngineRow[]> {
    const table = await openTable(lake.context, `main/test/${this.name}${suffix}`);
    if (table === null) throw new Error(`there is no ${this.name}${suffix}`);
    return lake.context.engine.query(`SELECT * FROM (${await table.readSql()}) AS t ORDER BY ALL`);
  }
}

function upsert(sequence: number, row: Change['row'], more: Partial<Change> = {}): Change {
  return {op: 'upsert', sequence, ...(row === undefined ? {} : {row}), ...more};
}

function errorOf(end: TestRunEnd): string | null {
  return end.flows[0]?.errorCode ?? null;
}

describe('pages of changes', () => {
  test('take columns that the source declares NOT NULL from whole rows only: deletes, truncates and what is left out lack them', async () => {
    const required: StructType = {
      type: 'struct',
      fields: SCHEMA.fields.map((field) => ({...field, nullable: false})),
    };
    const log = new Log('required', {}, required);
    const row = {a: 'x', b: 'y', secret: 'z'};
    await log.run([1, 2, 3].map((id) => ({op: 'upsert', row: {id, ...row}, sequence: 1})));
    const changed = await log.run([
      {op: 'delete', row: {id: 1}, sequence: 2},
      {op: 'upsert', row: {id: 2, a: 'new'}, unchanged: ['b', 'secret'], sequence: 2},
    ]);
    expect(changed.flows[0]).toMatchObject({rowsDeleted: 1, rowsUpdated: 1, quarantinedRows: 0});
    const emptied = await log.run([{op: 'truncate', sequence: 3}]);
    expect(emptied.flows[0]).toMatchObject({rowsDeleted: 2, quarantinedRows: 0});
  });

  test('land with their sequence: upserts, deletes with a key only, and changes of the key', async () => {
    const log = new Log('log_basic');
    await log.run([
      upsert(1, {id: 1, a: 'x', b: 'y'}),
      upsert(2, {id: 2, a: 'x', b: 'y'}),
      upsert(3, {id: 3, a: 'x', b: 'y'}),
    ]);
    await log.run([
      {op: 'delete', sequence: 4, row: {id: 1}},
      upsert(5, {id: 20, a: 'moved', b: 'y'}, {oldKey: {id: 2}}),
      upsert(6, {id: 3, a: 'same key', b: 'y'}, {oldKey: {id: 3}}),
      upsert(2, {id: 20, a: 'late', b: 'late'}),
    ]);
    expect(await log.rows()).toMatchObject([
      {id: 3n, a: 'same key', _sluice_sequence: 6n},
      {id: 20n, a: 'moved', b: 'y', _sluice_sequence: 5n},
    ]);
  });

  test('complete what a change leaves out, through several changes and another key', async () => {
    const log = new Log('log_partial');
    await log.run([upsert(1, {id: 1, a: 'a1', b: 'b1'}), upsert(2, {id: 2, a: 'a2', b: 'b2'})]);
    await log.run([
      upsert(3, {id: 1, b: 'b3'}, {unchanged: ['a', 'secret']}),
      upsert(4, {id: 1, a: 'a4'}, {unchanged: ['b']}),
      upsert(5, {id: 22}, {unchanged: ['a', 'b', 'secret'], oldKey: {id: 2}}),
      upsert(6, {id: 222, b: 'b6'}, {unchanged: ['a'], oldKey: {id: 22}}),
    ]);
    expect(await log.rows()).toMatchObject([
      {id: 1n, a: 'a4', b: 'b3'},
      {id: 222n, a: 'a2', b: 'b6'},
    ]);
  });

  test('lay a change aside whose missing values nothing knows, and say so', async () => {
    const log = new Log('log_incomplete');
    const end = await log.run([upsert(1, {id: 1, a: 'a1'}, {unchanged: ['b']}), upsert(2, {id: 2, a: 'a2', b: 'b2'})]);
    expect(end.flows[0]).toMatchObject({quarantinedRows: 1});
    expect(await log.rows()).toMatchObject([{id: 2n}]);
    const [aside] = await log.rows('__quarantine');
    expect(aside).toMatchObject({reason: 'INCOMPLETE_ROW'});
    expect(String(aside?.['record'])).toContain('"a":"a1"');
  });

  test('keep what did not fit with the value that it stood for', async () => {
    const log = new Log('log_rescued', {}, struct({id: long(), a: integer(), b: string()}));
    await log.run([upsert(1, {id: 1, a: 'no number', b: 'b1'})]);
    await log.run([upsert(2, {id: 1, b: 'b2'}, {unchanged: ['a']})]);
    expect(await log.rows()).toMatchObject([{a: null, b: 'b2', _rescued_data: '{"a":"no number"}'}]);
    await log.run([upsert(3, {id: 1, a: 7, b: 'b3'})]);
    expect(await log.rows()).toMatchObject([{a: 7, b: 'b3', _rescued_data: null}]);
  });

  test('truncate: older rows go, and older changes that come later stay away', async () => {
    const log = new Log('log_truncate', {changes: {sequence: 'long'}});
    await log.run([upsert(1, {id: 1, a: 'x'}), upsert(10, {id: 2, a: 'y'})]);
    await log.run([{op: 'truncate', sequence: 5}]);
    expect(await log.rows()).toMatchObject([{id: 2n}]);
    await log.run([upsert(4, {id: 3, a: 'late'}), upsert(6, {id: 4, a: 'new'})]);
    expect(await log.rows()).toMatchObject([{id: 2n}, {id: 4n}]);
  });

  test('rows without a key are laid aside, records before changes count as oldest', async () => {
    const log = new Log('log_mixed');
    const end = await log.runPages([
      [
        {id: 1, a: 'snapshot', b: 'b'},
        {id: 2, a: 'snapshot', b: 'b'},
      ],
      {kind: 'changes', changes: [upsert(7, {id: 1, a: 'changed', b: 'b'}), upsert(8, {a: 'no key'})]},
    ]);
    expect(end.flows[0]).toMatchObject({quarantinedRows: 1});
    expect(await log.rows()).toMatchObject([
      {id: 1n, a: 'changed', _sluice_sequence: 7n},
      {id: 2n, a: 'snapshot', _sluice_sequence: null},
    ]);
  });

  test('conditions on columns that do not land decide, and unselected columns do not land', async () => {
    const log = new Log('log_columns');
    const configuration: Partial<TableConfiguration> = {
      includeColumns: ['id', 'a'],
      deletionCondition: "b = 'gone'",
      applyAsTruncates: "b = 'all gone'",
    };
    await log.run([upsert(1, {id: 1, a: 'x', b: 'b'}), upsert(2, {id: 2, a: 'x', b: 'b'})], configuration);
    await log.run([upsert(3, {id: 1, a: 'x', b: 'gone'})], configuration);
    const rows = await log.rows();
    expect(rows).toMatchObject([{id: 2n, a: 'x'}]);
    expect(Object.keys(rows[0] ?? {})).toEqual(['id', 'a', '_rescued_data', '_sluice_sequence']);
    await log.run([upsert(4, {b: 'all gone'}), upsert(5, {id: 3, a: 'after', b: 'b'})], configuration);
    expect(await log.rows()).toMatchObject([{id: 3n, a: 'after'}]);
  });

  test('a change that leaves out what decides about it stops the flow', async () => {
    const log = new Log('log_undecided');
    const end = await log.run([upsert(1, {id: 1, a: 'x'}, {unchanged: ['b']})], {rowFilter: "b = 'keep'"});
    expect(errorOf(end)).toBe('BAD_RECORD');
  });

  test.each([
    ['no sequence', {op: 'upsert', row: {id: 1}}],
    ['an upsert without a row', {op: 'upsert', sequence: 1}],
  ] as const)('the contract is broken by %s', async (_, change) => {
    const log = new Log(`log_broken_${change.op}_${'row' in change ? 'row' : 'none'}`);
    expect(errorOf(await log.run([change]))).toBe('CONTRACT_VIOLATION');
  });

  test('columns that are left out need ordered changes, and changes a declaration', async () => {
    const unordered = new Log('log_unordered', {changes: {sequence: 'long'}});
    expect(errorOf(await unordered.run([upsert(1, {id: 1}, {unchanged: ['a']})]))).toBe('CONTRACT_VIOLATION');
    const undeclared = new Log('log_undeclared', {changes: {}, cursorField: 'id'});
    expect(errorOf(await undeclared.run([upsert(1, {id: 1})]))).toBe('CONTRACT_VIOLATION');
  });

  test('without a sequence the order of arrival decides where the source declares it', async () => {
    const log = new Log('log_arrival', {changes: {ordered: true}});
    await log.run([
      {op: 'upsert', row: {id: 1, a: 'first', b: 'b'}},
      {op: 'upsert', row: {id: 2, a: 'first', b: 'b'}},
      {op: 'truncate'},
      {op: 'upsert', row: {id: 1, a: 'second', b: 'b'}},
    ]);
    expect(await log.rows()).toMatchObject([{id: 1n, a: 'second'}]);
    await log.run([{op: 'truncate'}]);
    expect(await log.rows()).toEqual([]);
  });

  test('a refresh keeps changes until its end, and completes them among themselves', async () => {
    const log = new Log('log_refresh');
    await log.run([upsert(1, {id: 1, a: 'a1', b: 'b1'})]);
    await log.run([upsert(2, {id: 1, a: 'a2'}, {unchanged: ['b']}), {op: 'delete', sequence: 3, row: {id: 9}}]);
    await log.run([upsert(4, {id: 2, a: 'a3', b: 'b3'})]);
    const before = await log.rows();
    const {definition, connector} = log.scripted();
    await runConnector(lake, {definition, connector, tables: [{source: log.name}], fullRefresh: true});
    expect(await log.rows()).toEqual(before);
    expect(before).toMatchObject([
      {id: 1n, a: 'a2', b: 'b1'},
      {id: 2n, a: 'a3', b: 'b3'},
    ]);
  });
});

describe('versions of changes', () => {
  test('are made of whole rows', async () => {
    const log = new Log('log_versions');
    const configuration: Partial<TableConfiguration> = {scdType: 'SCD_TYPE_2'};
    await log.run([upsert(1, {id: 1, a: 'a1', b: 'b1'})], configuration);
    const end = await log.run(
      [
        upsert(2, {id: 1, b: 'b2'}, {unchanged: ['a']}),
        upsert(3, {id: 9, b: 'b3'}, {unchanged: ['a'], oldKey: {id: 1}}),
        upsert(4, {id: 8, b: 'b4'}, {unchanged: ['a']}),
      ],
      configuration,
    );
    expect(end.flows[0]).toMatchObject({state: 'COMPLETED', quarantinedRows: 1});
    expect(await log.rows()).toMatchObject([
      {id: 1n, a: 'a1', b: 'b1', __START_AT: 1n, __END_AT: 2n},
      {id: 1n, a: 'a1', b: 'b2', __START_AT: 2n, __END_AT: 3n},
      {id: 9n, a: 'a1', b: 'b3', __START_AT: 3n, __END_AT: null},
    ]);
  });
});

describe('append-only flows of changes', () => {
  test('keep every change as a row with its kind', async () => {
    const log = new Log('log_append');
    const configuration: Partial<TableConfiguration> = {scdType: 'APPEND_ONLY'};
    await log.run([upsert(1, {id: 1, a: 'a', b: 'b'}, {isInsert: true})], configuration);
    await log.run(
      [
        upsert(2, {id: 1, a: 'a2'}, {unchanged: ['b']}),
        {op: 'delete', sequence: 3, row: {id: 1}},
        {op: 'truncate', sequence: 4},
        upsert(5, {id: 6, a: 'moved'}, {oldKey: {id: 5}}),
      ],
      configuration,
    );
    const rows = (await log.rows()).toSorted((l, r) => Number(l['_sluice_sequence']) - Number(r['_sluice_sequence']));
    expect(rows).toMatchObject([
      {id: 1n, _change_type: 'insert', _unchanged_columns: null, _sluice_sequence: 1n},
      {id: 1n, a: 'a2', b: null, _change_type: 'update_postimage', _unchanged_columns: ['b'], _sluice_sequence: 2n},
      {id: 1n, _change_type: 'delete', _sluice_sequence: 3n},
      {id: null, _change_type: 'truncate', _sluice_sequence: 4n},
      {id: 5n, a: null, _change_type: 'delete', _sluice_sequence: 5n},
      {id: 6n, a: 'moved', _change_type: 'update_postimage', _sluice_sequence: 5n},
    ]);
  });

  test('have the rows and deletes of cdc_with_deletes, once each', async () => {
    const table: ScriptedTable = {
      schema: SCHEMA,
      ingestionType: 'cdc_with_deletes',
      primaryKeys: ['id'],
      cursorField: 'a',
      read: (start) => ({pages: [[{id: 1, a: 'c1', b: 'b'}]], end: start ?? {n: 1}}),
      deletes: (start) => ({pages: [[{id: 1, a: 'c1'}]], end: start ?? {n: 1}}),
    };
    const {definition, connector} = scriptedConnector({log_deletes: table});
    const run = async (): Promise<TestRunEnd> =>
      runConnector(lake, {
        definition,
        connector,
        tables: [{source: 'log_deletes', configuration: {scdType: 'APPEND_ONLY'}}],
      });
    await run();
    await run();
    const rows = await new Log('log_deletes').rows();
    expect(rows.map((row) => row['_change_type']).toSorted()).toEqual(['delete', 'update_postimage']);
  });
});

describe('sequences of several columns', () => {
  test('land as a struct when not all are selected', async () => {
    const log = new Log('log_struct', {changes: {}});
    const configuration: Partial<TableConfiguration> = {sequenceBy: ['a', 'b'], includeColumns: ['id', 'secret']};
    const row = (a: string, b: string, secret: string): Change => ({op: 'upsert', row: {id: 1, a, b, secret}});
    await log.run([row('1', '2', 'newest'), row('1', '1', 'older')], configuration);
    await log.run([row('0', '9', 'oldest')], configuration);
    expect(await log.rows()).toMatchObject([{secret: 'newest', _sluice_sequence: {a: '1', b: '2'}}]);
  });
});

describe('NULLs that say nothing', () => {
  test('leave what was there, in whatever order the changes come', async () => {
    const log = new Log('log_nulls', {changes: {sequence: 'long'}});
    const configuration: Partial<TableConfiguration> = {ignoreNullUpdates: {kind: 'all'}};
    await log.run([upsert(10, {id: 1, a: 'a10'})], configuration);
    await log.run([upsert(5, {id: 1, a: 'a5', b: 'b5'})], configuration);
    await log.run([upsert(7, {id: 1, b: 'b7'})], configuration);
    expect(await log.rows()).toMatchObject([{a: 'a10', b: 'b7', secret: null, _sluice_sequence: 10n}]);
    await log.run([{op: 'delete', sequence: 8, row: {id: 1}}], configuration);
    expect(await log.rows()).toMatchObject([{a: 'a10', b: null, _sluice_sequence: 10n}]);
  });
});

describe('configuration', () => {
  test('tombstones that expire are warned of', async () => {
    const log = new Log('log_expire', {changes: {sequence: 'long'}});
    const {notes} = await log.run([upsert(1, {id: 1, a: 'x'})], {tombstoneRetentionMs: 3_600_000});
    expect(notes).toContainEqual(expect.objectContaining({level: 'WARN', code: 'TOMBSTONES_EXPIRE'}));
    const ordered = new Log('log_no_expiry');
    const quiet = await ordered.run([upsert(1, {id: 1, a: 'x'})], {tombstoneRetentionMs: 3_600_000});
    expect(quiet.notes).toEqual([]);
  });

  test('changes are refused beside snapshots and feeds of deletes, NULLs that say nothing beside snapshots', async () => {
    for (const ingestionType of ['snapshot', 'cdc_with_deletes'] as const) {
      const log = new Log(`log_${ingestionType}`, {ingestionType, cursorField: 'a'});
      expect(errorOf(await log.run([]))).toBe('CONTRACT_VIOLATION');
    }
    const table = scriptedConnector({
      log_whole: {schema: SCHEMA, ingestionType: 'snapshot', primaryKeys: ['id'], read: () => ({pages: [], end: null})},
    });
    const end = await runConnector(lake, {
      ...table,
      tables: [{source: 'log_whole', configuration: {ignoreNullUpdates: {kind: 'all'}}}],
    });
    expect(errorOf(end)).toBe('INVALID_SPEC');
  });

  test('a list of events with deletes among them remembers these, whatever orders the files', async () => {
    const events: ScriptedTable = {
      schema: SCHEMA,
      ingestionType: 'append',
      metadata: {primaryKeys: []},
      read: (start) => {
        const rows = [[{id: 1, a: '5', b: 'gone'}], [{id: 1, a: '3', b: 'late'}]][Number(start?.['n'] ?? 0)];
        return rows === undefined
          ? {pages: [], end: start ?? {n: 0}}
          : {pages: [rows], end: {n: Number(start?.['n'] ?? 0) + 1}};
      },
    };
    const {definition, connector} = scriptedConnector({log_events: events});
    await runConnector(lake, {
      definition,
      connector,
      tables: [
        {
          source: 'log_events',
          configuration: {
            scdType: 'SCD_TYPE_1',
            primaryKeys: ['id'],
            sequenceBy: ['a'],
            deletionCondition: "b = 'gone'",
          },
        },
      ],
    });
    expect(await new Log('log_events').rows()).toEqual([]);
  });
});
