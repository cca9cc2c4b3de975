import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';

import {expect, it} from 'vitest';

import {seededRandom} from '../core/clock.ts';
import {openStaging} from '../staging/staging.ts';
import {createLocalStore} from '../storage/local-store.ts';
import {runAndKill} from '../testkit/kill.ts';
import {ScriptedDatabase} from '../testkit/scripted-log.ts';
import {readRows, scriptedCodec, ScriptedSource} from '../testkit/scripted-source.ts';
import {replayTable} from '../testkit/staged-replay.ts';
import {contextOf, QUICK} from './gateway.support.test.ts';
import {runGateway} from './run-gateway.ts';

const program = fileURLToPath(new URL('../testkit/gateway-loop.ts', import.meta.url));
const SEED = 20_261_128;

it(
  'loses and repeats nothing when its process is killed at steps and at random, while the source is written',
  {timeout: 60_000},
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-kill-'));
    try {
      const [file, lake] = [join(folder, 'database.jsonl'), join(folder, 'lake')];
      const database = new ScriptedDatabase(file);
      database.createTable('orders');
      const random = seededRandom(SEED);
      let serial = 0;
      const write = (): void => {
        const length = random() < 0.2 ? 25 : 1;
        const changes = Array.from({length}, () => {
          const row = {id: Math.floor(random() * 200), value: `${serial++}`};
          return {table: 'orders', op: random() < 0.8 ? 'upsert' : 'delete', row} as const;
        });
        database.commit(...changes);
      };
      for (let count = 0; count < 50; count++) write();
      const writing = setInterval(write, 8);
      const steps = ['staging.chunk-written:2', ''];
      const ends: boolean[] = [];
      for (const step of steps) {
        const killAfterMs = step === '' ? {killAfterMs: 1500 + Math.floor(random() * 500)} : {};
        ends.push((await runAndKill({args: ['--import', 'tsx', program, file, lake, step], ...killAfterMs})).killed);
      }
      clearInterval(writing);
      expect(ends).toEqual(steps.map(() => true));
      await settle(database, lake);
    } finally {
      await rm(folder, {recursive: true, force: true});
    }
  },
);

/** Runs the gateway here until staging leads to the rows of the database. */
async function settle(database: ScriptedDatabase, lake: string): Promise<void> {
  const staging = openStaging(createLocalStore(lake), 'gw');
  const stop = new AbortController();
  const running = runGateway({
    source: new ScriptedSource(database, {isResumable: true}),
    staging,
    tables: () => Promise.resolve(database.tables),
    context: contextOf(stop.signal),
    random: seededRandom(1),
    onEvent: () => undefined,
    limits: QUICK,
  });
  const replay = async (): Promise<readonly unknown[] | null> => {
    const replayed = await replayTable(staging, 'orders', {codec: scriptedCodec, rowsOf: readRows});
    return replayed === null ? null : [...replayed.rows.values()].map((row) => JSON.stringify(row)).toSorted();
  };
  database.refresh();
  const wanted = [...database.rows('orders').values()].map((row) => JSON.stringify(row)).toSorted();
  await expect.poll(replay, {timeout: 10_000, interval: 20}).toEqual(wanted);
  stop.abort(new Error('settled'));
  await running;
}
