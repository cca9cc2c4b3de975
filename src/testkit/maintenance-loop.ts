import {isIngestError} from '../core/errors.ts';
import type {DeltaTable} from '../delta/delta-table.ts';
import type {Lake} from '../delta/lake.ts';
import {openLake} from '../delta/lake.ts';
import {cleanUpLog} from '../delta/log-cleanup.ts';
import {optimizeTable} from '../delta/optimize.ts';
import {vacuumTable} from '../delta/vacuum.ts';
import {dieAt} from './die-at.ts';

const APP = 'writer';
const ROWS = 50;
const SIGNAL: AbortSignal = new AbortController().signal;

/**
 * A program for a child process: `write|maintain <lake folder> <table root> <number> [<failpoint>:<pass>]`.
 *
 * `write` goes on after the last transaction of the table up to transaction `<number>`: `n` adds the rows `(n, 0..49)` and
 * deletes row 0 of the transaction before, trying again when somebody else changed its files. `maintain` optimizes and
 * vacuums the table once and cleans its log up; `<number>` is the time since which files must not be removed.
 */
async function main([
  role = '',
  folder = '',
  root = '',
  number = '0',
  failpoint = '',
]: readonly string[]): Promise<void> {
  await using lake = await openLake(folder, {memoryLimitMb: 128, threads: 1});
  const table = await lake.open(root);
  if (table === null) throw new Error(`There is no table ${root}.`);
  dieAt(failpoint);
  if (role === 'write') await write(lake, table, Number(number));
  else await maintain(lake, table, Number(number));
}

async function write(lake: Lake, table: DeltaTable, last: number): Promise<void> {
  for (let txn = (table.snapshot.txns.get(APP)?.version ?? 0) + 1; txn <= last; txn++) {
    while (!(await tryTransaction(lake, table, txn))) await table.refresh();
  }
}

/** False when the files that it rests on have changed. */
async function tryTransaction({engine}: Lake, table: DeltaTable, txn: number): Promise<boolean> {
  const base = table.snapshot;
  const stored = await table.readSql({positions: true});
  const [row] = await engine.query(`SELECT __file, __pos FROM (${stored}) WHERE txn = ${txn - 1} AND i = 0`);
  const positions = row === undefined ? [] : [Number(row['__pos'])];
  const gone =
    row === undefined
      ? {adds: [], removes: []}
      : await table.writeDeletions(new Map([[String(row['__file']), positions]]), SIGNAL);
  const select = `SELECT ${txn}::BIGINT AS txn, i::BIGINT AS i FROM range(${ROWS}) AS r(i)`;
  const adds = await table.writeFiles({select, schema: base.schema}, SIGNAL);
  try {
    await table.commit({
      base,
      operation: 'MERGE',
      adds: [...gone.adds, ...adds],
      removes: gone.removes,
      txn: {appId: APP, version: txn},
      blindAppend: false,
    });
    return true;
  } catch (error) {
    if (isIngestError(error, 'COMMIT_CONFLICT')) return false;
    throw error;
  }
}

async function maintain(lake: Lake, table: DeltaTable, writingSinceMs: number): Promise<void> {
  await optimizeTable(lake, table, {purgeAboveFraction: 0}, SIGNAL);
  await vacuumTable(
    lake,
    table,
    {retentionMs: 0, force: true, writingSince: () => Promise.resolve(writingSinceMs)},
    SIGNAL,
  );
  await cleanUpLog(lake, table, {dryRun: false}, SIGNAL);
}

await main(process.argv.slice(2));
