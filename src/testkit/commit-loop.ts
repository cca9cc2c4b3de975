import {openLake} from '../delta/lake.ts';

/**
 * A program for a child process: `<lake folder> <table root> <application id> <commits>`. Commits as many versions as told,
 * each with one file of a made-up name and the next transaction of the application.
 */
async function main([folder = '', root = '', appId = '', commits = '0']: readonly string[]): Promise<void> {
  await using lake = await openLake(folder, {memoryLimitMb: 128, threads: 1});
  const table = await lake.open(root);
  if (table === null) throw new Error(`There is no table ${root}.`);
  for (let version = 1; version <= Number(commits); version++) {
    await table.commit({
      base: table.snapshot,
      operation: 'WRITE',
      adds: [
        {
          path: `${appId}-${version}`,
          partitionValues: {},
          size: 1,
          modificationTime: 0,
          dataChange: true,
          stats: '{"numRecords":1}',
        },
      ],
      txn: {appId, version},
      blindAppend: true,
    });
  }
}

await main(process.argv.slice(2));
