import type {DeltaTable} from '../delta/delta-table.ts';
import {openLake} from '../delta/lake.ts';
import {dieAt} from './die-at.ts';

const ROWS = 100;

/**
 * A program for a child process: `<lake folder> <table root> <application id> <last transaction> [<failpoint>:<pass>]`.
 * Goes on after the last transaction of the application that the table names. Transaction `n` adds rows
 * `(application, n, 0..99)` and deletes row 0 of the transaction before. With a failpoint, it kills itself there.
 */
async function main([
  folder = '',
  root = '',
  appId = '',
  last = '0',
  failpoint = '',
]: readonly string[]): Promise<void> {
  await using lake = await openLake(folder, {memoryLimitMb: 128, threads: 1});
  const table = await lake.open(root);
  if (table === null) throw new Error(`There is no table ${root}.`);
  dieAt(failpoint);
  let previous: string | null = null;
  for (let txn = (table.snapshot.txns.get(appId)?.version ?? 0) + 1; txn <= Number(last); txn++) {
    previous = await commitRows(table, {appId, txn, previous});
  }
}

/** Returns the path of the file that was added. */
async function commitRows(
  table: DeltaTable,
  work: {readonly appId: string; readonly txn: number; readonly previous: string | null},
): Promise<string> {
  const {appId, txn, previous} = work;
  const signal = new AbortController().signal;
  const select = `SELECT '${appId}' AS app, ${txn}::BIGINT AS txn, i::BIGINT AS i FROM range(${ROWS}) AS r(i) ORDER BY i`;
  const [add] = await table.writeFiles({select, schema: table.snapshot.schema}, signal);
  if (add === undefined) throw new Error('No file was written.');
  const gone =
    previous === null ? {adds: [], removes: []} : await table.writeDeletions(new Map([[previous, [0]]]), signal);
  await table.commit({
    base: table.snapshot,
    operation: 'WRITE',
    adds: [add, ...gone.adds],
    removes: gone.removes,
    txn: {appId, version: txn},
    // The row that goes is its own: nothing that another writer adds matters.
    blindAppend: true,
  });
  return add.path;
}

await main(process.argv.slice(2));
