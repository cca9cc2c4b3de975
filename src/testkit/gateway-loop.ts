import {seededRandom, systemClock} from '../core/clock.ts';
import {runGateway} from '../gateway/run-gateway.ts';
import {openStaging} from '../staging/staging.ts';
import {createLocalStore} from '../storage/local-store.ts';
import {dieAt} from './die-at.ts';
import {ScriptedDatabase} from './scripted-log.ts';
import {ScriptedSource} from './scripted-source.ts';

/**
 * A program for a child process: `<file of a ScriptedDatabase> <folder of the staging> [<failpoint>:<pass>]`. Runs the gateway `gw` on
 * all tables of the database until SIGTERM. With a failpoint, it kills itself there.
 */
async function main([file = '', folder = '', failpoint = '']: readonly string[]): Promise<void> {
  dieAt(failpoint);
  const database = new ScriptedDatabase(file);
  const stop = new AbortController();
  process.once('SIGTERM', () => stop.abort(new Error('stopped')));
  const none = (): Promise<never> => Promise.reject(new Error('A gateway reads no files.'));
  const quiet = (): void => undefined;
  await runGateway({
    source: new ScriptedSource(database, {batchFrames: 5, chunkRows: 10, isResumable: true}),
    staging: openStaging(createLocalStore(folder), 'gw'),
    tables: () => Promise.resolve(database.tables),
    context: {
      signal: stop.signal,
      clock: systemClock,
      log: {debug: quiet, info: quiet, warn: quiet},
      files: {list: none, inferSchema: none},
    },
    random: seededRandom(process.pid),
    onEvent: quiet,
    limits: {sealMs: 2, cutBytes: 400, advanceMs: 10, tablesMs: 50, retryMs: 10, maxRetryMs: 50},
  });
}

await main(process.argv.slice(2));
