import {afterEach, beforeEach, describe, expect, it} from 'vitest';

import {replayUntilNow} from '../../../test/change-log-replay.ts';
import {testContext} from '../../../test/read-context.ts';
import type {LogPoint} from '../../sdk/index.ts';
import type {SqlServerLogSettings} from './change-log.ts';
import {SqlServerChangeLog} from './change-log.ts';
import {sqlServerCodec} from './log-codec.ts';
import {connectionOptions} from './session.ts';
import type {ModelDatabase} from './simulator-database.ts';
import type {SqlServerSimulator} from './simulator.ts';
import {startSimulator} from './simulator.ts';

let simulator: SqlServerSimulator;
let database: ModelDatabase;
const sources: SqlServerChangeLog[] = [];

beforeEach(async () => {
  simulator = await startSimulator();
  ({database} = simulator);
});
afterEach(async () => {
  for (const source of sources.splice(0)) await source.close();
  await simulator[Symbol.asyncDispose]();
  expect(simulator.unknown).toEqual([]);
});

const ID = {name: 'id', type: 'int', nullable: false} as const;
const TEXT = {name: 'a', type: 'nvarchar', length: 80} as const;

function open(method: 'change_tracking' | 'cdc', settings: Partial<SqlServerLogSettings> = {}): SqlServerChangeLog {
  const options = connectionOptions({...simulator.options, change_method: method}, 'test');
  const source = new SqlServerChangeLog(options, {gatewayId: 'test', ...settings});
  sources.push(source);
  return source;
}

const pointOf = (source: SqlServerChangeLog, ...tables: readonly string[]): Promise<LogPoint> =>
  source.prepare(
    tables.map((table) => `dbo.${table}`),
    testContext(),
  );

const read = (source: SqlServerChangeLog, from: LogPoint, ...tables: readonly string[]) =>
  replayUntilNow(source, sqlServerCodec, {from, tables: tables.map((table) => `dbo.${table}`)});

describe('change tracking', () => {
  it('tells inserts, updates, deletes and changes of keys, version by version', async () => {
    database.createTable('t', [ID, TEXT, {name: 'b', type: 'decimal', precision: 10, scale: 2}], ['id']);
    database.createTable('other', [ID], ['id']);
    const source = open('change_tracking');
    const from = await pointOf(source, 't');
    const one = {id: 1, a: 'one', b: '1.50'};
    await database.write({table: 't', insert: one}, {table: 't', insert: {id: 2, a: null, b: '-2.25'}});
    await database.write({table: 'other', insert: {id: 1}});
    await database.write({table: 't', insert: {id: 4, a: 'vier', b: null}});
    await database.write({table: 't', update: {id: 3, a: 'zwei'}, old: {id: 2}}, {table: 't', delete: {id: 1}});
    const {replay, end} = await read(source, from, 't');
    expect(replay.changes.map(({transaction, change}) => [transaction, change])).toEqual([
      ['version:3', {op: 'upsert', isInsert: true, row: {id: 4, a: 'vier', b: null}}],
      ['version:4', {op: 'delete', row: {id: 1}}],
      ['version:4', {op: 'delete', row: {id: 2}}],
      ['version:4', {op: 'upsert', isInsert: true, row: {id: 3, a: 'zwei', b: '-2.25'}}],
    ]);
    expect(end.position).toBe(4n << 20n);
  });

  it('reads a table anew whose changes are not kept any more, and goes on with the others', async () => {
    database.createTable('kept', [ID], ['id']);
    database.createTable('cleaned', [ID], ['id']);
    const source = open('change_tracking');
    const from = await pointOf(source, 'kept', 'cleaned');
    await database.write({table: 'cleaned', insert: {id: 1}});
    await database.write({table: 'kept', insert: {id: 1}});
    const {tracking} = database.table('cleaned');
    if (tracking !== null) database.table('cleaned').tracking = {minValid: 2n, changes: []};
    const {replay, end} = await read(source, from, 'kept', 'cleaned');
    expect(replay.resets).toEqual(['its changes up to version 2 are not kept any more, or it was truncated']);
    expect(replay.changes.map(({table, change}) => [table.name, change.row])).toEqual([['kept', {id: 1}]]);
    await database.write({table: 'cleaned', insert: {id: 2}});
    const again = await read(source, end, 'kept', 'cleaned');
    expect(again.replay.resets).toEqual([]);
    expect(again.replay.changes.map(({change}) => change.row)).toEqual([{id: 2}]);
  });

  it('reads a truncated table anew', async () => {
    database.createTable('t', [ID], ['id']);
    const source = open('change_tracking');
    const from = await pointOf(source, 't');
    await database.write({table: 't', insert: {id: 1}});
    database.truncate('t');
    await database.write({table: 't', insert: {id: 2}});
    const {replay} = await read(source, from, 't');
    expect(replay.resets).toHaveLength(1);
    expect(replay.changes.map(({change}) => change.row)).toEqual([{id: 2}]);
  });

  it('follows new and dropped columns, and reads anew what was renamed or has defaults', async () => {
    database.createTable('t', [ID, TEXT], ['id']);
    const source = open('change_tracking');
    let point = await pointOf(source, 't');
    await database.write({table: 't', insert: {id: 1, a: 'x'}});
    const steps: (() => void)[] = [
      () => database.addColumn('t', {name: 'later', type: 'bigint'}),
      () => database.dropColumn('t', 'a'),
      () => database.renameColumn('t', 'later', 'latest'),
      () => database.addColumn('t', {name: 'filled', type: 'int', nullable: false}, 7),
    ];
    const reader = await source.openLog(point, ['dbo.t'], testContext());
    const seen: {readonly rows: unknown; readonly resets: readonly string[]}[] = [];
    let resets: readonly string[] = [];
    for await (const batch of reader.batches()) {
      // Resets come alone, before the place is behind them.
      if (batch.resets.length > 0) {
        expect(batch).toMatchObject({frames: 0, end: null});
        resets = batch.resets.map(({message}) => message);
        continue;
      }
      seen.push({rows: batch.tables.map(({columns}) => columns.map(({name}) => name)), resets});
      resets = [];
      if (batch.end !== null) point = batch.end;
      const step = steps.shift();
      if (step === undefined) break;
      step();
      await database.write({table: 't', insert: {id: 100 - steps.length}});
    }
    await reader[Symbol.asyncDispose]();
    expect(seen).toEqual([
      {rows: [['id', 'a']], resets: []},
      {rows: [['id', 'a', 'later']], resets: []},
      {rows: [['id', 'later']], resets: []},
      {rows: [['id', 'latest']], resets: ['column "later" was renamed to "latest"']},
      {rows: [['id', 'latest', 'filled']], resets: ['column "filled" was added with values']},
    ]);
    database.renameColumn('t', 'latest', 'last');
    await database.write({table: 't', insert: {id: 200}});
    expect((await read(source, point, 't')).replay.resets).toEqual([
      'its columns changed while nobody read its changes',
    ]);
  });

  it('tells when a table is dropped', async () => {
    database.createTable('t', [ID], ['id']);
    database.createTable('rest', [ID], ['id']);
    const source = open('change_tracking');
    const from = await pointOf(source, 't', 'rest');
    const reader = await source.openLog(from, ['dbo.t', 'dbo.rest'], testContext());
    database.dropTable('t');
    await database.write({table: 'rest', insert: {id: 1}});
    for await (const batch of reader.batches()) {
      expect(batch.resets.map(({message}) => message)).toEqual(['the table is not there any more']);
      break;
    }
    await reader[Symbol.asyncDispose]();
  });

  it('splits what does not fit into memory, also within one transaction', async () => {
    database.createTable('t', [ID], ['id']);
    database.createTable('u', [ID], ['id']);
    const source = open('change_tracking', {maxChanges: 10});
    const from = await pointOf(source, 't', 'u');
    const rows = (first: number, count: number) =>
      Array.from({length: count}, (_, index) => ({table: index % 3 === 0 ? 'u' : 't', insert: {id: first + index}}));
    for (let index = 0; index < 7; index++) await database.write(...rows(100 * index, index === 3 ? 80 : 3));
    const {replay} = await read(source, from, 't', 'u');
    expect(replay.commits).toBe(7);
    expect(replay.changes).toHaveLength(6 * 3 + 80);
    expect([...new Set(replay.changes.map(({transaction}) => transaction))]).toEqual(
      Array.from({length: 7}, (_, index) => `version:${index + 1}`),
    );
  });

  it('says when the database is behind what was read, after a restore', async () => {
    database.createTable('t', [ID], ['id']);
    const source = open('change_tracking');
    await database.write({table: 't', insert: {id: 1}});
    const from = await pointOf(source, 't');
    const before = await source.identify(testContext());
    database.version = 0n;
    database.recoveryFork = '7F9619FF-8B86-D011-B42D-00C04FC964FF';
    const reader = await source.openLog(from, ['dbo.t'], testContext());
    await expect(reader.batches()[Symbol.asyncIterator]().next()).rejects.toMatchObject({code: 'LOG_LOST'});
    await reader[Symbol.asyncDispose]();
    expect((await source.identify(testContext())).server).not.toBe(before.server);
  });

  it('works where a cloud hides views of the server', async () => {
    database.isAzure = true;
    database.createTable('t', [ID], ['id']);
    database.enableCapture('t', 'dbo_t');
    const source = open('cdc');
    expect((await source.identify(testContext())).server).toContain('/shop/cdc');
    expect(await source.preflight(['dbo.t'], testContext())).toEqual([]);
  });

  it('gives a cut connection as a failure that passes', async () => {
    database.createTable('t', [ID], ['id']);
    const source = open('change_tracking');
    const reader = await source.openLog(await pointOf(source, 't'), ['dbo.t'], testContext());
    const next = reader.batches()[Symbol.asyncIterator]().next();
    await new Promise((resolve) => setTimeout(resolve, 60));
    simulator.cut();
    await expect(next).rejects.toMatchObject({code: 'CONNECTION_FAILED', class: 'transient'});
    await reader[Symbol.asyncDispose]();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect((await pointOf(source, 't')).position).toBe(0n);
  });

  it('finds what keeps tables from being followed', async () => {
    database.createTable('t', [ID], ['id']);
    database.createTable('bare', [ID]);
    database.createTable('off', [ID], ['id']).tracking = null;
    const source = open('change_tracking');
    const names = ['dbo.t', 'dbo.bare', 'dbo.off', 'dbo.nowhere'];
    const codes = async (): Promise<unknown> =>
      (await source.preflight(names, testContext())).map(({code, table}) =>
        table === undefined ? code : [code, table],
      );
    expect(await codes()).toEqual([
      'RETENTION',
      ['NO_PRIMARY_KEY', 'dbo.bare'],
      ['TABLE_CHANGE_TRACKING', 'dbo.off'],
      ['UNKNOWN_TABLE', 'dbo.nowhere'],
    ]);
    database.isSnapshotAllowed = false;
    database.version = null;
    database.missingPermissions.add('SELECT').add('VIEW CHANGE TRACKING');
    expect((await source.preflight(['dbo.t'], testContext())).map(({code}) => code)).toEqual([
      'SNAPSHOT_ISOLATION',
      'CHANGE_TRACKING',
      'VIEW_CHANGE_TRACKING',
      'SELECT',
    ]);
  });

  it('says that change tracking is off where it is, and that it was switched off', async () => {
    database.createTable('t', [ID], ['id']);
    const source = open('change_tracking');
    const reader = await source.openLog(await pointOf(source, 't'), ['dbo.t'], testContext());
    database.version = null;
    await expect(reader.batches()[Symbol.asyncIterator]().next()).rejects.toMatchObject({code: 'LOG_LOST'});
    await reader[Symbol.asyncDispose]();
    await expect(pointOf(source, 't')).rejects.toMatchObject({code: 'UNSUPPORTED'});
    expect(await source.health(testContext())).toMatchObject({state: 'missing'});
  });

  it('refuses a wrong password as such', async () => {
    const options = connectionOptions({...simulator.options, password: 'wrong'}, 'test');
    const source = new SqlServerChangeLog(options, {gatewayId: 'test'});
    await expect(source.identify(testContext())).rejects.toMatchObject({code: 'AUTH_FAILED'});
  });
});

describe('change data capture', () => {
  it('tells every change of a table without a key, with the whole row before it', async () => {
    database.createTable('log', [ID, TEXT]);
    database.enableCapture('log', 'dbo_log');
    const source = open('cdc');
    const from = await pointOf(source, 'log');
    await database.write({table: 'log', insert: {id: 1, a: 'x'}}, {table: 'log', insert: {id: 1, a: 'x'}});
    await database.write({table: 'log', update: {id: 1, a: 'y'}, old: {id: 1, a: 'x'}});
    await database.write({table: 'log', delete: {id: 1, a: 'x'}});
    const {replay} = await read(source, from, 'log');
    expect(replay.commits).toBe(3);
    expect(replay.changes.map(({change}) => change)).toEqual([
      {op: 'upsert', isInsert: true, row: {id: 1, a: 'x'}},
      {op: 'upsert', isInsert: true, row: {id: 1, a: 'x'}},
      {op: 'upsert', row: {id: 1, a: 'y'}, oldKey: {id: 1, a: 'x'}},
      {op: 'delete', row: {id: 1, a: 'x'}},
    ]);
  });

  it('says which large values an update did not tell', async () => {
    const large = {name: 'doc', type: 'nvarchar', length: -1} as const;
    database.createTable('t', [ID, TEXT, large], ['id']);
    database.enableCapture('t', 'dbo_t');
    const source = open('cdc');
    const from = await pointOf(source, 't');
    await database.write({table: 't', insert: {id: 1, a: 'x', doc: 'long'}});
    await database.write({table: 't', update: {id: 1, a: 'y'}});
    await database.write({table: 't', update: {id: 1, doc: null}});
    const {replay} = await read(source, from, 't');
    expect(replay.changes.map(({change}) => change)).toEqual([
      {op: 'upsert', isInsert: true, row: {id: 1, a: 'x', doc: 'long'}},
      {op: 'upsert', row: {id: 1, a: 'y'}, unchanged: ['doc']},
      {op: 'upsert', row: {id: 1, a: 'y', doc: null}},
    ]);
  });

  it('goes over to a new capture instance where it begins, without a gap or a repetition', async () => {
    database.createTable('t', [ID], ['id']);
    database.enableCapture('t', 'old');
    const source = open('cdc');
    const from = await pointOf(source, 't');
    await database.write({table: 't', insert: {id: 1}});
    database.addColumn('t', TEXT);
    database.enableCapture('t', 'new');
    await database.write({table: 't', insert: {id: 2, a: 'x'}});
    const {replay} = await read(source, from, 't');
    expect(replay.resets).toEqual([]);
    expect(replay.changes.map(({change}) => change.row)).toEqual([{id: 1}, {id: 2, a: 'x'}]);
  });

  it('reads a table anew whose rows changed between a new column and its capture', async () => {
    database.createTable('t', [ID], ['id']);
    database.enableCapture('t', 'old');
    const source = open('cdc');
    const from = await pointOf(source, 't');
    await database.write({table: 't', insert: {id: 1}});
    database.addColumn('t', TEXT);
    await database.write({table: 't', insert: {id: 2, a: 'lost'}});
    database.enableCapture('t', 'new');
    await database.write({table: 't', insert: {id: 3, a: 'x'}});
    const {replay} = await read(source, from, 't');
    expect(replay.resets).toEqual(['rows changed between the adding of column "a" and its capture']);
  });

  it('reads a table anew when the clean-up was faster, or its instance was made anew', async () => {
    database.createTable('t', [ID], ['id']);
    database.enableCapture('t', 'dbo_t');
    const source = open('cdc');
    const from = await pointOf(source, 't');
    await database.write({table: 't', insert: {id: 1}});
    await database.write({table: 't', insert: {id: 2}});
    database.cleanUpCapture('dbo_t', database.logEnd);
    expect((await read(source, from, 't')).replay.resets).toEqual([
      'the clean-up job has removed changes that were not read yet',
    ]);
    database.dropCapture('dbo_t');
    database.enableCapture('t', 'again');
    await database.write({table: 't', insert: {id: 3}});
    expect((await read(source, from, 't')).replay.resets).toEqual(['its capture instance was made anew']);
  });

  it('joins a snapshot with changes that the capture job has not read yet', async () => {
    database.createTable('log', [ID, TEXT]);
    database.enableCapture('log', 'dbo_log');
    const source = open('cdc');
    const from = await pointOf(source, 'log');
    database.isCapturing = false;
    await database.write({table: 'log', insert: {id: 1, a: 'seen'}});
    const ctx = testContext();
    await using snapshot = await source.planSnapshot('dbo.log', ctx);
    const reading = snapshot.readChunk(snapshot.chunks[0] ?? {}, ctx);
    let next = await reading.next();
    while (next.done !== true) next = await reading.next();
    await database.write({table: 'log', insert: {id: 2, a: 'not seen'}});
    database.isCapturing = true;
    database.capture();
    const token = next.value.view?.token ?? null;
    const {replay} = await read(source, from, 'log');
    expect(next.value.rows).toBe(1);
    expect(
      replay.changes.map(({change, transaction}) => [change.row?.['id'], sqlServerCodec.isVisible(transaction, token)]),
    ).toEqual([
      [1, true],
      [2, false],
    ]);
  });

  it('finds what keeps tables from being followed', async () => {
    database.createTable('t', [ID, TEXT], ['id']);
    const source = open('cdc');
    const codes = async (): Promise<readonly string[]> =>
      (await source.preflight(['dbo.t'], testContext())).map(({code}) => code);
    expect(await codes()).toEqual(['CDC', 'CAPTURE_INSTANCE']);
    database.enableCapture('t', 'dbo_t', ['id']);
    database.missingPermissions.add('VIEW DATABASE STATE');
    expect(await codes()).toEqual(['VIEW_DATABASE_STATE', 'RETENTION', 'CAPTURED_COLUMNS']);
  });
});
