import {rm} from 'node:fs/promises';

import fc from 'fast-check';
import {afterEach, beforeEach, describe, expect, test} from 'vitest';

import {systemClock} from '../core/clock.ts';
import type {JsonObject} from '../core/json-value.ts';
import {long, string, struct} from '../core/schema.ts';
import type {DeltaTable} from '../delta/delta-table.ts';
import {optimizeTable} from '../delta/optimize.ts';
import {openTable} from '../delta/table.ts';
import {vacuumTable} from '../delta/vacuum.ts';
import type {Page} from '../sdk/contract.ts';
import type {Store} from '../storage/store.ts';
import {openTestLake, runConnector, type TestLake, type TestRunEnd} from '../testkit/run-connector.ts';
import {batches, scriptedConnector, type ScriptedTable} from '../testkit/scripted-connector.ts';

const schema = struct({id: long(), name: string(), at: long()});
const signal = new AbortController().signal;
const HOUR_MS = 3_600_000;
const RETENTION_MS = 168 * HOUR_MS;

let lake: TestLake;
/** How far the lake's clock is ahead: files on disk look that old. */
let aheadMs = 0;
beforeEach(async () => {
  aheadMs = 0;
  const nowMs = (): number => Date.now() + aheadMs;
  lake = await openTestLake(undefined, {clock: {...systemClock, nowMs, nowMicros: () => BigInt(nowMs()) * 1000n}});
});
afterEach(async () => {
  await lake[Symbol.asyncDispose]();
  await rm(lake.folder, {recursive: true, force: true});
});

async function run(table: ScriptedTable, at: TestLake = lake, vectors: 'true' | 'false' = 'true'): Promise<TestRunEnd> {
  const tables = [{source: 't', configuration: {deletionVectors: vectors}}];
  return runConnector(at, {...scriptedConnector({t: table}), tables});
}

async function open(root = 'main/test/t'): Promise<DeltaTable> {
  const table = await openTable(lake.context, root);
  if (table === null) throw new Error('no table');
  return table;
}

async function rowsAt(table: DeltaTable, version?: number): Promise<string> {
  const snapshot = version === undefined ? table.snapshot : await table.snapshotAt(version);
  const rows = await lake.context.engine.query(
    `SELECT id, name, "at" FROM (${await table.readSql({snapshot})}) ORDER BY id`,
  );
  return rows.map((row) => `${String(row['id'])}:${String(row['name'])}@${String(row['at'])}`).join(' ');
}

/** A lake whose store calls `before` ahead of every put-if-absent. */
function intercepted(before: (name: string) => Promise<void>): TestLake {
  const {store} = lake.context;
  const wrapped: Store = {
    root: store.root,
    get: (name, range) => store.get(name, range),
    put: (name, bytes) => store.put(name, bytes),
    list: (prefix, options) => store.list(prefix, options),
    prefixes: (prefix) => store.prefixes(prefix),
    delete: (name) => store.delete(name),
    stage: (name) => store.stage(name),
    localPath: (name) => store.localPath(name),
    putIfAbsent: async (name, bytes) => {
      await before(name);
      return store.putIfAbsent(name, bytes);
    },
  };
  return {...lake, context: {...lake.context, store: wrapped}};
}

type Step =
  | {readonly kind: 'merge'; readonly upserts: readonly number[]; readonly deletes: readonly number[]}
  | {readonly kind: 'optimize'}
  | {readonly kind: 'vacuum'}
  | {readonly kind: 'wait'; readonly hours: number};

const ids = fc.uniqueArray(fc.integer({min: 0, max: 12}), {maxLength: 6});
const step: fc.Arbitrary<Step> = fc.oneof(
  {weight: 4, arbitrary: fc.record({kind: fc.constant('merge' as const), upserts: ids, deletes: ids})},
  {weight: 2, arbitrary: fc.constant({kind: 'optimize' as const})},
  {weight: 2, arbitrary: fc.constant({kind: 'vacuum' as const})},
  {weight: 2, arbitrary: fc.record({kind: fc.constant('wait' as const), hours: fc.integer({min: 1, max: 100})})},
);

/** What a source with deletes holds, and what its changes are. */
class Source {
  readonly #upserts: JsonObject[][] = [];
  readonly #deletes: JsonObject[][] = [];
  readonly #rows = new Map<number, string>();
  #at = 0;

  readonly table: ScriptedTable = {
    schema,
    ingestionType: 'cdc_with_deletes',
    primaryKeys: ['id'],
    cursorField: 'at',
    read: batches(this.#upserts),
    deletes: batches(this.#deletes),
  };

  change(upserts: readonly number[], deletes: readonly number[]): void {
    const gone = deletes.filter((id) => !upserts.includes(id));
    this.#at += 1;
    this.#upserts.push(upserts.map((id) => ({id, name: `n${this.#at}`, at: this.#at})));
    this.#deletes.push(gone.map((id) => ({id, at: this.#at})));
    for (const id of gone) this.#rows.delete(id);
    for (const id of upserts) this.#rows.set(id, `${id}:n${this.#at}@${this.#at}`);
  }

  get rows(): string {
    return [...this.#rows]
      .sort(([left], [right]) => left - right)
      .map(([, text]) => text)
      .join(' ');
  }
}

describe('maintenance between the batches of a flow', () => {
  test.each(['true', 'false'] as const)(
    'changes no row, nor any version inside the retention (deletion vectors: %s)',
    async (vectors) => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, {minLength: 4, maxLength: 14}), async (steps) => {
          // Everything on disk looks old enough to go.
          aheadMs = 1000 * HOUR_MS;
          await rm(`${lake.folder}/main`, {recursive: true, force: true});
          const source = new Source();
          source.change([1, 2, 3, 4], []);
          expect((await run(source.table, lake, vectors)).state).toBe('COMPLETED');
          for (const each of steps) {
            aheadMs += 1000;
            if (each.kind === 'wait') aheadMs += each.hours * HOUR_MS;
            else if (each.kind === 'merge') {
              source.change(each.upserts, each.deletes);
              expect((await run(source.table, lake, vectors)).flows).toMatchObject([{state: 'COMPLETED', attempt: 1}]);
            } else await maintain(each.kind);
            expect(await rowsAt(await open())).toBe(source.rows);
          }
        }),
        {numRuns: 6},
      );
    },
    60_000,
  );

  async function maintain(kind: 'optimize' | 'vacuum'): Promise<void> {
    const table = await open();
    const since = lake.context.clock.nowMs() - RETENTION_MS;
    const history = await table.history();
    const kept = history.filter((_, index) => (history[index - 1]?.timestampMs ?? since) >= since);
    const before = new Map<number, string>();
    for (const {version} of kept) before.set(version, await rowsAt(table, version));
    if (kind === 'vacuum') await vacuumTable(lake.context, table, {}, signal);
    else await optimizeTable(lake.context, table, {purgeAboveFraction: 0.3}, signal);
    const fresh = await open();
    for (const [version, rows] of before) expect(await rowsAt(fresh, version)).toBe(rows);
  }
});

describe('maintenance beside a run', () => {
  test('a merge whose files were packed meanwhile is tried again and wins', async () => {
    const source = new Source();
    source.change([1, 2, 3], []);
    await run(source.table);
    source.change([4, 5], []);
    await run(source.table);
    let packed = 0;
    const beside = intercepted(async (name) => {
      if (packed > 0 || !name.includes('_sluice')) return;
      packed = (await optimizeTable(lake.context, await open(), {}, signal)).filesRemoved;
    });
    source.change([2, 4, 9], [1]);
    const end = await run(source.table, beside);
    expect(packed).toBe(2);
    expect(end.flows).toMatchObject([{state: 'COMPLETED', attempt: 2}]);
    expect(end.notes.map(({code}) => code)).toContain('COMMIT_CONFLICT');
    expect(end.notes.map(({code}) => code)).not.toContain('FOREIGN_WRITE');
    expect(await rowsAt(await open())).toBe(source.rows);
  });

  test('optimize gives way to a merge that was faster', async () => {
    const source = new Source();
    source.change([1, 2, 3], []);
    await run(source.table);
    source.change([4, 5], []);
    await run(source.table);
    source.change([2, 4], [1]);
    let isFirst = true;
    const beside = intercepted(async () => {
      if (!isFirst) return;
      isFirst = false;
      expect((await run(source.table)).flows).toMatchObject([{state: 'COMPLETED', attempt: 1}]);
    });
    const table = await openTable(beside.context, 'main/test/t');
    if (table === null) throw new Error('no table');
    expect(await optimizeTable(beside.context, table, {}, signal)).toMatchObject({version: null, filesGivenUp: 2});
    expect(await rowsAt(await open())).toBe(source.rows);
  });

  test('vacuum takes nothing from a snapshot that is held open between its batches', async () => {
    const pages: readonly Page[] = [
      [{id: 1, name: 'a', at: 1}],
      [{id: 2, name: 'b', at: 1}],
      [{id: 3, name: 'c', at: 1}],
    ];
    const table: ScriptedTable = {
      schema,
      ingestionType: 'snapshot',
      primaryKeys: ['id'],
      read: () => ({pages: [], end: null}),
    };
    const {definition, connector} = scriptedConnector({t: table});
    const removed: string[] = [];
    const held = {
      ...connector,
      async *readTable(_: string, start: {readonly [key: string]: unknown} | null) {
        const next = typeof start?.['n'] === 'number' ? start['n'] : 0;
        // Everything on disk looks a year old while this batch is being read.
        aheadMs = 9000 * HOUR_MS;
        const here = await openTable(lake.context, 'main/test/t');
        if (here !== null) removed.push(...(await vacuumTable(lake.context, here, {}, signal)).map(({kind}) => kind));
        aheadMs = 0;
        const page = pages[next];
        if (page !== undefined) yield page;
        return {n: Math.min(next + 1, pages.length)};
      },
    };
    const end = await runConnector(lake, {definition, connector: held, tables: [{source: 't'}]});
    expect(end.flows).toMatchObject([{state: 'COMPLETED', attempt: 1}]);
    expect(await rowsAt(await open())).toBe('1:a@1 2:b@1 3:c@1');
    // Batch files of the batches before are no longer needed.
    expect(new Set(removed)).toEqual(new Set(['side']));
  });
});
