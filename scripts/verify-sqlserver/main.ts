// Shows whether a real SQL Server agrees with what the connector was written and tested against: see docs/verify-sqlserver.md.
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {seededRandom} from '../../src/core/clock.ts';
import {RealServer} from './real-server.ts';
import {verifySqlServer} from './verify.ts';

async function main(): Promise<number> {
  const url = process.env['SLUICE_MSSQL_URL'];
  if (url === undefined) {
    console.error(
      'Set SLUICE_MSSQL_URL, e.g. mssql://sa:password@localhost:1433/scratch?trust_server_certificate=true',
    );
    return 2;
  }
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort(new Error('interrupted')));
  const folder = await mkdtemp(join(tmpdir(), 'sluice-verify-'));
  const server = await RealServer.open(url, stop.signal);
  const seed = Number(process.env['SLUICE_SEED'] ?? Date.now() % 1_000_000);
  console.log(`seed ${seed}, lakes in ${folder}`);
  try {
    const tell = (line: string): void => console.log(line);
    const checks = await verifySqlServer(server, {folder, random: seededRandom(seed), tell, rounds: 3});
    const failed = checks.filter(({problem}) => problem !== null);
    console.log(
      failed.length === 0
        ? `\nAll ${checks.length} checks passed.`
        : `\n${failed.length} of ${checks.length} checks failed.`,
    );
    if (failed.length > 0) return 1;
    await rm(folder, {recursive: true, force: true});
    return 0;
  } finally {
    await server.cleanUp().catch(() => console.error('The tables sluice_verify_* could not be removed.'));
    await server.close();
  }
}

process.exitCode = await main();
