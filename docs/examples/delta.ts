// Delta tables from TypeScript, without a pipeline: npx tsx docs/examples/delta.ts [folder]
// In a project of your own the import is 'sluice/delta'.
import {mkdtemp} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {decimal, long, openLake, string, struct} from '../../src/delta/index.ts';

async function main(): Promise<void> {
  const folder = process.argv[2] ?? (await mkdtemp(join(tmpdir(), 'lake-')));
  const signal = AbortSignal.timeout(60_000);
  const lake = await openLake(folder);
  try {
    const schema = struct({id: long().notNull(), customer: string(), amount: decimal(18, 2)});
    const table =
      (await lake.open('sales/orders')) ?? (await lake.create('sales/orders', {schema, deletionVectors: true}));

    // Write rows: any SELECT of the engine becomes Parquet files, and a commit makes them visible.
    const select = "SELECT i AS id, 'customer ' || i % 10 AS customer, i / 7 AS amount FROM range(1000) AS r(i)";
    const adds = await table.writeFiles({select, schema}, signal);
    await table.commit({base: table.snapshot, operation: 'WRITE', adds, blindAppend: true});

    // Delete rows: find their positions, write deletion vectors, commit.
    const live = await table.readSql({columns: ['customer'], positions: true});
    const found = await lake.engine.query(
      `SELECT __file AS path, list(__pos ORDER BY __pos) AS positions FROM (${live}) WHERE customer = 'customer 3' GROUP BY __file`,
    );
    const deletions = new Map(
      found.map(({path, positions}) => [String(path), (positions as readonly bigint[]).map(Number)]),
    );
    const gone = await table.writeDeletions(deletions, signal);
    await table.commit({base: table.snapshot, operation: 'DELETE', ...gone, blindAppend: false});

    // Read: SQL over the live rows of now, or of any version.
    const [now] = await lake.engine.query(`SELECT count(*) AS n, sum(amount) AS total FROM (${await table.readSql()})`);
    const before = await table.readSql({snapshot: await table.snapshotAt(1)});
    const [then] = await lake.engine.query(`SELECT count(*) AS n FROM (${before})`);
    console.log(`${folder}/sales/orders: ${now?.['n']} rows now, ${then?.['n']} in version 1`);
    for (const {version, info, addedRows} of await table.history()) {
      console.log(`  version ${version}: ${info.operation}, rows in added files: ${addedRows ?? 'unknown'}`);
    }
  } finally {
    await lake[Symbol.asyncDispose]();
  }
}

await main();
