import {execFile} from 'node:child_process';
import {cp, mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';

import {createDuckDbApply} from '../src/apply/duckdb-apply.ts';
import {systemClock} from '../src/core/clock.ts';
import type {DeltaContext} from '../src/delta/delta-table.ts';
import {createTable} from '../src/delta/table.ts';
import {openEngine} from '../src/engine/duckdb-engine.ts';
import {createLocalStore} from '../src/storage/local-store.ts';
import {installReaders, missingPrograms, type Installation} from '../test/interop/setup.ts';
import type {BenchResult} from './result.ts';
import {CHANGES, FLOW, keepChanges, putBack, SCHEMA, SIGNAL, upsertJob, writeTarget} from './upsert-target.ts';

const LIMIT = 10;
/** The first of them warms the peer up. */
const RUNS = 3;
/** Peers and the kind of table that each merges best into: delta-rs cannot write deletion vectors. */
const PEERS = [
  {name: 'delta-rs', root: 'plain'},
  {name: 'spark', root: 'vectors'},
] as const;

/**
 * The same upsert of 100k random keys into the same 10M rows in 20 files, by Sluice (deletion vectors), by delta-rs' `merge` and by
 * Spark's `MERGE`, each warm, on freshly copied tables; the better of two runs of the peer counts.
 */
export async function run(): Promise<readonly BenchResult[]> {
  const missing = missingPrograms();
  if (missing.length > 0) throw new Error(`this machine lacks ${missing.join(', ')}`);
  const installation = installReaders(fileURLToPath(new URL('../build', import.meta.url)));
  const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  try {
    const ours = await measureOurs(folder);
    const results: BenchResult[] = [];
    for (const peer of PEERS) {
      const ms = await measurePeer(installation, folder, peer);
      const ratio = ms / ours;
      results.push({
        name: `upsert of 100k random keys into 10M rows: ${peer.name} / sluice`,
        measured: `${ratio.toFixed(1)} x (${ms.toFixed(0)} ms / ${ours.toFixed(0)} ms)`,
        limit: `>= ${LIMIT} x`,
        ok: ratio >= LIMIT,
      });
    }
    return results;
  } finally {
    await rm(folder, {recursive: true, force: true});
    await rm(installation.workFolder, {recursive: true, force: true});
  }
}

/** Writes both tables and the changes; resolves to the median of the milliseconds of our upsert, and leaves the tables as they were made. */
async function measureOurs(folder: string): Promise<number> {
  const engine = await openEngine({memoryLimitMb: 4096, threads: 2, tempFolder: join(folder, 'temp')});
  await using _ = engine;
  const context: DeltaContext = {store: createLocalStore(join(folder, 'lake')), engine, clock: systemClock};
  for (const root of ['plain', 'vectors']) {
    const configuration = {'sluice.flowId': FLOW};
    const table = await createTable(context, root, {schema: SCHEMA, configuration, deletionVectors: root !== 'plain'});
    await putBack(table, await writeTarget(table));
  }
  await keepChanges(context, 1);
  await engine.run(`COPY changes TO '${join(folder, 'changes.parquet')}' (FORMAT parquet)`);
  const table = await createTable(context, 'measured', {schema: SCHEMA, deletionVectors: true});
  const adds = await writeTarget(table);
  const apply = createDuckDbApply(context);
  const times: number[] = [];
  for (let at = 1; at <= RUNS; at++) {
    await putBack(table, adds);
    const startedAt = performance.now();
    const {counts} = await apply.apply(upsertJob('measured', at), SIGNAL);
    times.push(performance.now() - startedAt);
    check('sluice', counts.inserted + counts.updated);
  }
  return times.toSorted((left, right) => left - right)[RUNS >> 1] ?? Number.NaN;
}

async function measurePeer(installation: Installation, folder: string, peer: (typeof PEERS)[number]): Promise<number> {
  const tables: string[] = [];
  for (let at = 0; at < RUNS; at++) {
    const copy = join(folder, 'peers', `${peer.name}-${at}`);
    await cp(join(folder, 'lake', peer.root), copy, {recursive: true});
    tables.push(copy);
  }
  const script = fileURLToPath(new URL('merge_peers.py', import.meta.url));
  const {jarsFolder, workFolder, python} = installation;
  const args = [script, peer.name, jarsFolder, workFolder, join(folder, 'changes.parquet'), ...tables];
  const {stdout} = await promisify(execFile)(python, args, {env: {...process.env, SPARK_LOCAL_IP: '127.0.0.1'}});
  await rm(join(folder, 'peers'), {recursive: true, force: true});
  const runs = JSON.parse(stdout) as readonly {readonly seconds: number; readonly rows: number}[];
  for (const {rows} of runs) check(peer.name, rows);
  return Math.min(...runs.slice(1).map(({seconds}) => seconds)) * 1000;
}

function check(who: string, applied: number): void {
  if (applied !== CHANGES) throw new Error(`${who}: of ${CHANGES} changes ${applied} were applied.`);
}
