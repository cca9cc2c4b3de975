import {rm} from 'node:fs/promises';

import {afterEach, beforeEach, describe, expect, test} from 'vitest';

import {seededRandom, type Random} from '../core/clock.ts';
import {installFailpoints} from '../core/failpoint.ts';
import type {JsonObject} from '../core/json-value.ts';
import {long, string, struct} from '../core/schema.ts';
import type {DeltaTable} from '../delta/delta-table.ts';
import {openTable} from '../delta/table.ts';
import {openTestLake, runConnector, type TestLake, type TestRunEnd} from '../testkit/run-connector.ts';
import {scriptedConnector, type ScriptedTable} from '../testkit/scripted-connector.ts';
import {quarantineRoot} from './quarantine.ts';
import {restoreTable} from './restore.ts';
import type {TableConfiguration} from './spec.ts';

let lake: TestLake;
beforeEach(async () => {
  lake = await openTestLake();
});
afterEach(async () => {
  installFailpoints(null);
  await lake[Symbol.asyncDispose]();
  await rm(lake.folder, {recursive: true, force: true});
});

/** What happened in a source, in order: a row without a name is a delete. */
interface Event {
  readonly at: number;
  readonly id: number;
  readonly name: string | null;
}

const SCHEMA = struct({id: long(), name: string(), at: long()});

/** A source that grows; a run reads what it has so far, a few events at a time, deletes apart and late ones among them. */
function source(events: () => readonly Event[]): ScriptedTable {
  const script =
    (wanted: (event: Event) => boolean, shown: (event: Event) => JsonObject): ScriptedTable['read'] =>
    (start) => {
      const done = Number(start?.['n'] ?? 0);
      const part = events().slice(done, done + 5);
      const rows = part.filter(wanted).map(shown);
      return {
        pages: rows.length === 0 ? [] : [rows],
        end: part.length === 0 ? (start ?? {n: 0}) : {n: done + part.length},
      };
    };
  return {
    schema: SCHEMA,
    ingestionType: 'cdc_with_deletes',
    primaryKeys: ['id'],
    cursorField: 'at',
    read: script(
      ({name}) => name !== null,
      (event) => ({...event}),
    ),
    deletes: script(
      ({name}) => name === null,
      ({id, at}) => ({id, at}),
    ),
  };
}

function run(table: ScriptedTable, configuration: Partial<TableConfiguration>): Promise<TestRunEnd> {
  return runConnector(lake, {...scriptedConnector({t: table}), tables: [{source: 't', configuration}]});
}

async function open(): Promise<DeltaTable> {
  const table = await openTable(lake.context, 'main/test/t');
  if (table === null) throw new Error('no table');
  return table;
}

async function rowsOf(version?: number): Promise<readonly unknown[]> {
  const table = await open();
  const select = await table.readSql(version === undefined ? {} : {snapshot: await table.snapshotAt(version)});
  return lake.context.engine.query(`SELECT * FROM (${select}) ORDER BY ALL`);
}

async function restore(version: number, dryRun = false): ReturnType<typeof restoreTable> {
  return restoreTable(lake.context, {name: 'main.test.t', table: await open(), version, dryRun});
}

function someEvents(random: Random, count: number): Event[] {
  return Array.from({length: count}, (_, n) => ({
    // Some are late: deletes must be remembered for them.
    at: random() < 0.3 ? 10 * n - 35 : 10 * n,
    id: Math.floor(random() * 12),
    name: random() < 0.3 ? null : `n${n}`,
  }));
}

describe.each([
  {name: 'SCD type 1, deletion vectors', configuration: {deletionVectors: 'true'}},
  {name: 'SCD type 1, copy on write', configuration: {deletionVectors: 'false'}},
  {name: 'SCD type 2', configuration: {scdType: 'SCD_TYPE_2', deletionVectors: 'true'}},
  {
    name: 'SCD type 1 with a change data feed',
    configuration: {tableProperties: {'delta.enableChangeDataFeed': 'true'}},
  },
] as const)('a restored table: $name', ({configuration}) => {
  test('is what it was, and the next run makes of it what it had become', async () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const random = seededRandom(seed);
    const all = someEvents(random, 24);
    let known: readonly Event[] = [];
    const table = source(() => known);
    const after = new Map<number, readonly unknown[]>();
    for (let count = 6; count <= all.length; count += 6) {
      known = all.slice(0, count);
      expect(await run(table, configuration), `seed ${seed}`).toMatchObject({state: 'COMPLETED'});
      after.set(count, await rowsOf());
    }
    const versions = (await open()).snapshot.version;
    for (let round = 0; round < 2; round++) {
      const version = Math.floor(random() * (versions + 1));
      const message = `seed ${seed}, version ${version}`;
      const [then, before] = [await rowsOf(version), (await open()).snapshot.version];
      expect(await restore(version, true), message).toMatchObject({newVersion: null, restoredVersion: version});
      expect((await open()).snapshot.version).toBe(before);
      const {offset} = await restore(version);
      expect(await rowsOf(), message).toEqual(then);
      // The next run may find all of the source, or what it had a while ago; nothing less than the table had then.
      const had = Math.max(Number(offset.rows?.['n'] ?? 0), Number(offset.deletes?.['n'] ?? 0));
      known = all.slice(0, had <= 18 && random() < 0.5 ? 18 : all.length);
      const end = await run(table, configuration);
      expect(end, message).toMatchObject({state: 'COMPLETED', notes: []});
      expect(await rowsOf(), message).toEqual(after.get(known.length));
      known = all;
      await run(table, configuration);
      expect(await rowsOf(), message).toEqual(after.get(all.length));
    }
  }, 60_000);
});

const PLAIN: readonly Event[] = [1, 2, 3, 4, 5, 6].map((id) => ({at: id, id, name: `n${id}`}));

describe('a restore', () => {
  test('that is stopped at any step leaves the old or the new state, and the next run is right', async () => {
    let known = PLAIN.slice(0, 2);
    const table = source(() => known);
    await run(table, {});
    const good = (await open()).snapshot.version;
    known = PLAIN.slice(0, 6);
    await run(table, {});
    const [whole, then] = [await rowsOf(), await rowsOf(good)];
    const steps = [
      'restore.planned',
      'restore.batch-file-written',
      'delta.commit-staged',
      'delta.commit-linked',
      'delta.commit-written',
      'restore.committed',
    ] as const;
    for (const step of steps) {
      let reached = 0;
      installFailpoints((name) => {
        if (name === step && ++reached === 1) throw new Error(`stopped at ${step}`);
      });
      await restore(good).catch(() => null);
      installFailpoints(null);
      expect(reached, step).toBeGreaterThan(0);
      expect([whole, then], step).toContainEqual(await rowsOf());
      expect(await run(table, {}), step).toMatchObject({state: 'COMPLETED'});
      expect(await rowsOf(), step).toEqual(whole);
    }
  }, 60_000);

  test('puts columns and properties back, and keeps what lasts', async () => {
    let known = PLAIN.slice(0, 2);
    const table = source(() => known);
    await run(table, {});
    const good = (await open()).snapshot;
    table.schema = struct({id: long(), name: string(), at: long(), more: string()});
    known = PLAIN.slice(0, 4);
    await run(table, {});
    expect((await open()).snapshot.schema.fields.map(({name}) => name)).toContain('more');
    const report = await restore(good.version);
    const {snapshot} = await open();
    expect(report.metadataRestored).toBe(true);
    expect(snapshot.metadata).toEqual(good.metadata);
    expect(snapshot.protocol).toEqual(good.protocol);
    await run(table, {});
    expect(await rowsOf()).toHaveLength(4);
  });

  test('takes back what was quarantined since', async () => {
    const bad = {at: 3, id: null as unknown as number, name: 'no key'};
    let known: readonly Event[] = PLAIN.slice(0, 2);
    const table = source(() => known);
    await run(table, {});
    const good = (await open()).snapshot.version;
    known = [...PLAIN.slice(0, 2), bad];
    await run(table, {});
    const quarantined = async (): Promise<number> => {
      const quarantine = await openTable(lake.context, quarantineRoot('main/test/t'));
      if (quarantine === null) throw new Error('no quarantine');
      return (await lake.context.engine.query(await quarantine.readSql())).length;
    };
    expect(await quarantined()).toBe(1);
    await restore(good);
    expect(await quarantined()).toBe(0);
    await run(table, {});
    expect(await quarantined()).toBe(1);
  });

  test('goes back behind the first batch: the next run reads from the start', async () => {
    const table = source(() => PLAIN);
    await run(table, {});
    const report = await restore(0);
    expect(report).toMatchObject({restoredBatchId: null, offset: {rows: null, deletes: null}});
    expect(await rowsOf()).toEqual([]);
    await run(table, {});
    expect(await rowsOf()).toHaveLength(6);
  });

  test('names what is gone, and changes nothing then', async () => {
    let known = PLAIN.slice(0, 2);
    const table = source(() => known);
    await run(table, {deletionVectors: 'false'});
    const {snapshot} = await open();
    known = [...PLAIN.slice(0, 2), {at: 9, id: 1, name: null}, {at: 10, id: 2, name: 'two'}];
    await run(table, {deletionVectors: 'false'});
    const [file] = [...snapshot.files.keys()];
    const bytes = await lake.context.store.get(`main/test/t/${file}`);
    await lake.context.store.delete(`main/test/t/${file}`);
    const {version} = (await open()).snapshot;
    await expect(restore(snapshot.version)).rejects.toMatchObject({
      code: 'VERSION_GONE',
      message: expect.stringContaining(String(file)) as string,
    });
    await lake.context.store.put(`main/test/t/${file}`, bytes ?? new Uint8Array(0));
    const [txn] = [...snapshot.txns.values()];
    await lake.context.store.delete(`main/test/t/_sluice/${txn?.appId}/${txn?.version}.json`);
    await expect(restore(snapshot.version)).rejects.toMatchObject({code: 'VERSION_GONE'});
    expect((await open()).snapshot.version).toBe(version);
    await expect(restore(99)).rejects.toMatchObject({code: 'NOT_A_DELTA_TABLE'});
  });
});
