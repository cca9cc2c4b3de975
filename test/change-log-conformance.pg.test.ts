import {afterAll, beforeAll, inject, it} from 'vitest';

import {PostgresChangeLog} from '../src/connectors/postgresql/change-log.ts';
import {pgCodec} from '../src/connectors/postgresql/log-codec.ts';
import {connectionOptions} from '../src/connectors/postgresql/session.ts';
import {changeLogConformance, type LogUnderTest, type ProofWrite} from '../src/testkit/gateway-conformance.ts';
import {describePostgres} from './describe-postgres.ts';
import {createDatabase, type TestDatabase} from './pg-database.ts';
import {POSTGRES_VERSIONS} from './postgres-versions.ts';
import {startPostgres, type PostgresServer} from './postgres.ts';
import {testContext} from './read-context.ts';

function sqlOf(write: ProofWrite): string {
  if ('delete' in write) return `delete from rows where id = ${write.delete}`;
  const {id, value} = write.upsert;
  return `insert into rows values (${id}, '${value}') on conflict (id) do update set value = excluded.value`;
}

describePostgres('the change log', POSTGRES_VERSIONS, (version) => {
  let server: PostgresServer | null = null;
  let database: TestDatabase;

  const open = (): PostgresChangeLog =>
    new PostgresChangeLog(connectionOptions(database.options, 'test'), {gatewayId: 'conformance'});

  const log: LogUnderTest = {
    open: () => Promise.resolve(open()),
    codec: pgCodec,
    table: 'public.rows',
    context: (signal) => ({...testContext(), signal}),
    write: (...writes) => database.run(`begin; ${writes.map(sqlOf).join('; ')}; commit`),
    rows: async () =>
      (await database.texts('select id::text, value from rows')).map(([id, value]) => ({
        id: Number(id),
        value: value ?? '',
      })),
  };

  beforeAll(async () => {
    if (version !== 18) server = await startPostgres({}, {version});
    database = await createDatabase(server?.url ?? inject('pgUrl'), 'pg_log_conformance');
    await database.run('create table rows (id int primary key, value text not null)');
  });
  afterAll(async () => {
    const source = open();
    await source.release(testContext());
    await source.close();
    await database[Symbol.asyncDispose]();
    await server?.close();
  });

  for (const {name, run} of changeLogConformance()) it(name, () => run(log));
});
