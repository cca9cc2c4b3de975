import {spawn} from 'node:child_process';

import {DEBIAN_15} from '../test/postgres-versions.ts';

/** PostgreSQL's own reader of logs, of Debian's postgresql-15; it may not be there. */
export const RECVLOGICAL: string = `${DEBIAN_15}/pg_recvlogical`;

/** Milliseconds in which it reads a slot of the database `postgres` up to a place, and throws everything away. */
export function receiveToNowhere(
  {host, port}: {readonly host: string; readonly port: number},
  {slot, end}: {readonly slot: string; readonly end: string},
): Promise<number> {
  const at = ['-h', host, '-p', String(port), '-U', 'postgres', '-d', 'postgres', '-S', slot, '--start'];
  const plugin = ['-o', 'proto_version=1', '-o', 'publication_names=sluice_bench', '--endpos', end, '--no-loop'];
  const startedAt = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn(RECVLOGICAL, [...at, '-f', '/dev/null', ...plugin], {stdio: ['ignore', 'ignore', 'inherit']});
    child.once('error', reject);
    child.once('exit', (code) => {
      if (code === 0) resolve(performance.now() - startedAt);
      else reject(new Error(`pg_recvlogical ended with ${code}`));
    });
  });
}
