import {buildProgram, FAKE_GCS, MINIO} from '../test/go-program.ts';
import {prepareServer} from '../test/mysql-server.ts';
import {PREPARED_VERSIONS, preparePostgres} from '../test/postgres-versions.ts';

for (const version of PREPARED_VERSIONS) console.log(await preparePostgres(version));
console.log(await prepareServer('mariadb'));
// Of a suite of Debian that moves: where it cannot be had, its tests are not there, and the run says so.
console.log(await prepareServer('mysql').catch((error: unknown) => `MYSQL NOT PREPARED: ${String(error)}`));
for (const program of [MINIO, FAKE_GCS]) console.log(await buildProgram(program));
