import {afterEach, beforeEach, describe, expect, it} from 'vitest';

import {LogReplay, replayUntilNow} from '../../../test/change-log-replay.ts';
import {testContext} from '../../../test/read-context.ts';
import type {LogPoint, TableReset} from '../../sdk/index.ts';
import {hasReached} from '../../sdk/index.ts';
import {SqlServerChangeLog} from './change-log.ts';
import {sqlServerCodec} from './log-codec.ts';
import {fromPoint} from './log-mark.ts';
import {connectionOptions} from './session.ts';
import type {ModelDatabase} from './simulator-database.ts';
import type {SqlServerSimulator} from './simulator.ts';
import {startSimulator} from './simulator.ts';

let simulator: SqlServerSimulator;
let database: ModelDatabase;
const sources: SqlServerChangeLog[] = [];

const ID = {name: 'id', type: 'int', nullable: false} as const;
const TEXT = {name: 'a', type: 'nvarchar', length: 80} as const;

beforeEach(async () => {
  simulator = await startSimulator();
  ({database} = simulator);
  database.createTable('orders', [ID, TEXT], ['id']);
  database.createTable('lines', [ID, TEXT]);
  database.enableCapture('lines', 'dbo_lines');
});
afterEach(async () => {
  for (const source of sources.splice(0)) await source.close();
  await simulator[Symbol.asyncDispose]();
  expect(simulator.unknown).toEqual([]);
});

function open(method?: string): SqlServerChangeLog {
  const options = connectionOptions(
    {...simulator.options, ...(method !== undefined && {change_method: method})},
    'test',
  );
  const source = new SqlServerChangeLog(options, {gatewayId: 'test'});
  sources.push(source);
  return source;
}

const NAMES = ['dbo.orders', 'dbo.lines'];
const read = (source: SqlServerChangeLog, from: LogPoint, tables = NAMES) =>
  replayUntilNow(source, sqlServerCodec, {from, tables});
const told = ({changes}: LogReplay) =>
  changes.map(({transaction, table, change}) => [transaction.split(':')[0], table.name, change.row?.['id']]);

function track(name: string): void {
  database.table(name).tracking = {minValid: database.version ?? 0n, changes: []};
}

describe('tables that tell their changes in two ways, in one log', () => {
  it('come each by the method that fits it, each kind in its order, at positions that grow', async () => {
    const source = open();
    let point = await source.prepare(NAMES, testContext());
    await database.write(
      {table: 'orders', insert: {id: 1, a: 'x'}},
      {table: 'lines', insert: {id: 10, a: 'x'}},
      {table: 'lines', insert: {id: 10, a: 'x'}},
    );
    await database.write({table: 'lines', delete: {id: 10, a: 'x'}});
    await database.write({table: 'orders', insert: {id: 2, a: 'y'}});
    const {replay, end} = await read(source, point);
    expect(told(replay)).toEqual([
      ['version', 'orders', 1],
      ['version', 'orders', 2],
      ['lsn', 'lines', 10],
      ['lsn', 'lines', 10],
      ['lsn', 'lines', 10],
    ]);
    expect(replay.commits).toBe(4);
    const positions = replay.changes.map(({position}) => position);
    expect(positions).toEqual(positions.toSorted((left, right) => (left < right ? -1 : 1)));
    expect(fromPoint(end).marks).toEqual({change_tracking: 2n, cdc: database.maxLsn});
    // A reader of another process goes on behind both.
    point = end;
    await database.write({table: 'lines', insert: {id: 11, a: null}}, {table: 'orders', delete: {id: 1}});
    const again = await read(open(), point);
    expect(told(again.replay)).toEqual([
      ['version', 'orders', 1],
      ['lsn', 'lines', 11],
    ]);
    expect(again.replay.resets).toEqual([]);
    for (const {position} of again.replay.changes) expect(position).toBeGreaterThanOrEqual(point.position);
  });

  it('read a table anew whose method changes, once, and go on with the others', async () => {
    database.createTable('items', [ID, TEXT], ['id']).tracking = null;
    database.enableCapture('items', 'dbo_items');
    const names = [...NAMES, 'dbo.items'];
    const source = open();
    let point = await source.prepare(names, testContext());
    const steps: (readonly [() => void, readonly string[], string])[] = [
      [() => undefined, [], 'lsn'],
      [() => track('items'), ['it is followed by change tracking from here on'], 'version'],
      [
        () => (database.table('items').tracking = null),
        ['it is followed by change data capture from here on: change tracking of the table is off'],
        'lsn',
      ],
      [
        () => database.dropCapture('dbo_items'),
        ['change tracking of the table is off, and it has no capture instance'],
        '',
      ],
      [() => database.enableCapture('items', 'again'), ['the table can be followed again'], 'lsn'],
    ];
    const reader = await source.openLog(point, names, testContext());
    const batches = reader.batches()[Symbol.asyncIterator]();
    let id = 100;
    for (const [step, resets, kind] of steps) {
      step();
      const replay = new LogReplay(sqlServerCodec);
      for (const table of (await source.describe(names, testContext())).values()) {
        // Schema frames come when they change.
        replay.describe(table);
      }
      id++;
      await database.write(
        {table: 'items', insert: {id}},
        {table: 'orders', insert: {id}},
        {table: 'lines', insert: {id}},
      );
      const target = await source.currentPosition(testContext());
      while (!hasReached(point, target)) {
        const batch = (await batches.next()).value;
        if (batch === undefined) throw new Error('the log has ended');
        replay.add(batch);
        if (batch.end !== null) point = batch.end;
      }
      expect(replay.resets).toEqual(resets);
      expect(
        told(replay)
          .filter(([, , row]) => row === id)
          .toSorted(),
      ).toEqual(
        [...(kind === '' ? [] : [[kind, 'items', id]]), ['lsn', 'lines', id], ['version', 'orders', id]].toSorted(),
      );
    }
    await reader[Symbol.asyncDispose]();
    // What changes while nobody reads is noticed, too.
    track('items');
    await database.write({table: 'items', insert: {id: 200}});
    expect((await read(open(), point, names)).replay.resets).toEqual([
      'it is followed by change tracking from here on',
    ]);
  });

  it('go on from where a log of one method was left, and take tables of the other kind up', async () => {
    const old = await open('change_tracking').prepare(['dbo.orders'], testContext());
    const [shape = ''] = [...fromPoint(old).tables.values()].map((table) => table.shape);
    await database.write({table: 'orders', insert: {id: 1}}, {table: 'lines', insert: {id: 1}});
    const id = String(database.table('orders').id);
    const written = {position: 0n, token: {method: 'change_tracking', mark: '0', shapes: {[id]: shape}}};
    const {replay, end} = await read(open(), written);
    // What was read of the other one before may lack what nobody followed; what it had before is in its first reading.
    expect(replay.resets).toEqual(['its changes are followed from here on']);
    expect(told(replay)).toEqual([['version', 'orders', 1]]);
    await database.write({table: 'lines', insert: {id: 2}});
    expect(told((await read(open(), end)).replay)).toEqual([['lsn', 'lines', 2]]);
  });

  it('follow new columns in both ways, and read anew only the table whose definition changed otherwise', async () => {
    const source = open();
    const from = await source.prepare(NAMES, testContext());
    database.addColumn('orders', {name: 'later', type: 'int'});
    database.addColumn('lines', {name: 'later', type: 'int'});
    database.enableCapture('lines', 'second');
    await database.write({table: 'orders', insert: {id: 1, later: 7}}, {table: 'lines', insert: {id: 2, later: 8}});
    const {replay, end} = await read(source, from);
    // A gateway that stood still cannot tell this from other changes of the columns that changes of rows come with.
    expect(replay.resets).toEqual(['its columns changed while nobody read its changes']);
    expect(replay.changes.map(({change}) => change.row)).toEqual([
      {id: 1, a: null, later: 7},
      {id: 2, a: null, later: 8},
    ]);
    database.renameColumn('orders', 'later', 'latest');
    await database.write({table: 'orders', insert: {id: 3}}, {table: 'lines', insert: {id: 4}});
    const again = await read(open(), end);
    expect(again.replay.resets).toHaveLength(1);
    expect(told(again.replay)).toEqual([
      ['version', 'orders', 3],
      ['lsn', 'lines', 4],
    ]);
  });

  it('are read anew each for itself when its changes are not kept any more', async () => {
    database.createTable('kept', [ID], ['id']);
    const names = [...NAMES, 'dbo.kept'];
    const source = open();
    const from = await source.prepare(names, testContext());
    for (const id of [1, 2])
      await database.write(
        {table: 'orders', insert: {id}},
        {table: 'lines', insert: {id}},
        {table: 'kept', insert: {id}},
      );
    database.table('orders').tracking = {minValid: 2n, changes: []};
    const {replay, end} = await read(source, from, names);
    expect(replay.resets).toEqual(['its changes up to version 2 are not kept any more, or it was truncated']);
    expect(told(replay).filter(([, table]) => table !== 'orders')).toEqual([
      ['version', 'kept', 1],
      ['version', 'kept', 2],
      ['lsn', 'lines', 1],
      ['lsn', 'lines', 2],
    ]);
    for (const id of [3, 4])
      await database.write(
        {table: 'orders', insert: {id}},
        {table: 'lines', insert: {id}},
        {table: 'kept', insert: {id}},
      );
    database.cleanUpCapture('dbo_lines', database.logEnd);
    const again = await read(open(), end, names);
    expect(again.replay.resets).toEqual(['the clean-up job has removed changes that were not read yet']);
    expect(told(again.replay).filter(([, table]) => table !== 'lines')).toEqual([
      ['version', 'orders', 3],
      ['version', 'kept', 3],
      ['version', 'orders', 4],
      ['version', 'kept', 4],
    ]);
  });

  it('are followed by one method where that is asked for', async () => {
    database.enableCapture('orders', 'dbo_orders');
    for (const [method, name] of [
      ['cdc', 'lsn'],
      ['change_tracking', 'version'],
    ] as const) {
      const source = open(method);
      const from = await source.prepare(['dbo.orders'], testContext());
      await database.write({table: 'orders', insert: {id: name.length}});
      expect(told((await read(source, from, ['dbo.orders'])).replay)).toEqual([[name, 'orders', name.length]]);
    }
  });

  it('have come to where the database is once both kinds have, and a table once its own has', async () => {
    const source = open();
    const from = await source.prepare(NAMES, testContext());
    database.isCapturing = false;
    await database.write({table: 'orders', insert: {id: 1}}, {table: 'lines', insert: {id: 1}});
    const target = await source.currentPosition(testContext());
    const [orders, lines] = await Promise.all(NAMES.map((name) => source.currentPosition(testContext(), name)));
    if (orders === undefined || lines === undefined) throw new Error('no target');
    const seen: unknown[] = [];
    const reader = await source.openLog(from, NAMES, testContext());
    for await (const {end, frames} of reader.batches()) {
      if (end === null) continue;
      seen.push([frames > 0, hasReached(end, orders), hasReached(end, lines), hasReached(end, target)]);
      if (hasReached(end, target)) break;
      database.isCapturing = true;
      database.capture();
    }
    await reader[Symbol.asyncDispose]();
    expect(seen[0]).toEqual([true, true, false, false]);
    expect(seen.at(-1)).toEqual([true, true, true, true]);
  });

  it('tell their place again until it is durable, for the sake of who waits for it', async () => {
    const source = open();
    const from = await source.prepare(['dbo.orders'], testContext());
    const reader = await source.openLog(from, NAMES, testContext());
    const batches = reader.batches()[Symbol.asyncIterator]();
    const planned = source.planSnapshot('dbo.lines', testContext());
    let isPlanned = false;
    void planned.then(() => (isPlanned = true));
    const resets: readonly TableReset[] = (await batches.next()).value?.resets ?? [];
    expect(resets.map(({message}) => message)).toEqual(['its changes are followed from here on']);
    const [first, second] = [(await batches.next()).value, (await batches.next()).value];
    expect(first).toMatchObject({frames: 0, end: {position: 1n}});
    expect(second).toMatchObject({frames: 0, end: first?.end});
    expect(isPlanned).toBe(false);
    // A first reading begins when it is certain that the changes behind it come, whatever happens.
    if (first === undefined || first.end === null) throw new Error('no end');
    reader.acknowledge(first.end);
    await using snapshot = await planned;
    expect(snapshot).toMatchObject({position: 1n, table: {name: 'lines'}});
    await reader[Symbol.asyncDispose]();
  });

  it('give up a first reading that waits for its table at the signal', async () => {
    const source = open();
    const reader = await source.openLog(await source.prepare(['dbo.orders'], testContext()), NAMES, testContext());
    const stop = new AbortController();
    const planned = source.planSnapshot('dbo.lines', {...testContext(), signal: stop.signal});
    setTimeout(() => stop.abort(new Error('stop')), 30);
    await expect(planned).rejects.toThrow('stop');
    await reader[Symbol.asyncDispose]();
  });

  it('are told apart by the preflight, with what mends what is missing', async () => {
    database.createTable('captured', [ID], ['id']).tracking = null;
    database.enableCapture('captured', 'dbo_captured');
    database.createTable('keyed', [ID], ['id']).tracking = null;
    database.createTable('keyless', [ID]);
    const source = open();
    const names = [...NAMES, 'dbo.captured', 'dbo.keyed', 'dbo.keyless'];
    const found = async (): Promise<readonly unknown[]> =>
      (await source.preflight(names, testContext()))
        .filter(({code}) => code !== 'RETENTION')
        .map(({level, code, table, message, fix}) => [level, code, table, message, fix]);
    const tracking = 'Change tracking of the table is off.';
    expect(await found()).toEqual([
      ['info', 'FOLLOWED_BY', undefined, 'Followed by change tracking: dbo.orders.', undefined],
      [
        'info',
        'FOLLOWED_BY',
        'dbo.lines',
        'Followed by change data capture. Change tracking needs a primary key, which the table has not.',
        'For change tracking, with which it would be read anew: add a primary key',
      ],
      [
        'warning',
        'NO_PRIMARY_KEY',
        'dbo.lines',
        'Without a primary key rows are known by all their columns together, and the first reading is one part.',
        'Add a primary key.',
      ],
      [
        'info',
        'FOLLOWED_BY',
        'dbo.captured',
        `Followed by change data capture. ${tracking}`,
        'For change tracking, with which it would be read anew: ALTER TABLE [dbo].[captured] ENABLE CHANGE_TRACKING',
      ],
      [
        'error',
        'TABLE_CHANGE_TRACKING',
        'dbo.keyed',
        `${tracking} It has no capture instance either.`,
        'ALTER TABLE [dbo].[keyed] ENABLE CHANGE_TRACKING',
      ],
      [
        'error',
        'CAPTURE_INSTANCE',
        'dbo.keyless',
        'The table has no primary key, which change tracking needs, and no capture instance.',
        `EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'keyless', @role_name = NULL`,
      ],
    ]);
    database.missingPermissions.add('VIEW DATABASE STATE').add('VIEW CHANGE TRACKING');
    expect((await found()).filter((finding) => (finding as readonly unknown[])[0] === 'error')).toEqual([
      [
        'error',
        'VIEW_CHANGE_TRACKING',
        'dbo.orders',
        expect.stringContaining('may not see') as unknown,
        expect.stringContaining('GRANT VIEW CHANGE TRACKING') as unknown,
      ],
      ['error', 'VIEW_DATABASE_STATE', 'dbo.lines', expect.anything() as unknown, expect.anything() as unknown],
      ['error', 'VIEW_DATABASE_STATE', 'dbo.captured', expect.anything() as unknown, expect.anything() as unknown],
      ['error', 'TABLE_CHANGE_TRACKING', 'dbo.keyed', expect.anything() as unknown, expect.anything() as unknown],
      ['error', 'CAPTURE_INSTANCE', 'dbo.keyless', expect.anything() as unknown, expect.anything() as unknown],
    ]);
    database.missingPermissions.add('SELECT ON SCHEMA::cdc');
    expect((await found()).map((finding) => (finding as readonly unknown[]).slice(1, 3))).toContainEqual([
      'CDC_PERMISSION',
      'dbo.lines',
    ]);
  });

  it('need one of the two ways to be on', async () => {
    database.version = null;
    database.isCdcEnabled = false;
    const findings = await open().preflight(['dbo.orders'], testContext());
    expect(findings.find(({table}) => table === undefined)).toMatchObject({level: 'error', code: 'CHANGE_TRACKING'});
    database.isCdcEnabled = true;
    expect((await open().preflight(['dbo.lines'], testContext())).filter(({level}) => level === 'error')).toEqual([]);
  });
});
