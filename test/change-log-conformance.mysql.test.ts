import {afterAll, beforeAll, describe, inject, it} from 'vitest';

import {MysqlChangeLog} from '../src/connectors/mysql/change-log.ts';
import {binlogCodec} from '../src/connectors/mysql/log-codec.ts';
import {connectionOptions} from '../src/connectors/mysql/session.ts';
import {changeLogConformance, type LogUnderTest, type ProofWrite} from '../src/testkit/gateway-conformance.ts';
import {createMysqlDatabase, type MysqlDatabase} from './mysql-database.ts';
import {mysqlKinds, needMysql} from './mysql.ts';
import {testContext} from './read-context.ts';

function sqlOf(write: ProofWrite): string {
  if ('delete' in write) return `delete from proof where id = ${write.delete}`;
  const {id, value} = write.upsert;
  return `insert into proof values (${id}, '${value}') on duplicate key update value = values(value)`;
}

for (const kind of mysqlKinds()) {
  describe(`the change log of ${kind}`, () => {
    let database: MysqlDatabase | undefined;
    beforeAll(async () => {
      const url = inject('mysqlUrls')[kind];
      if (url === null) return;
      database = await createMysqlDatabase(url, 'log_conformance');
      await database.run('create table proof (id int primary key, value text not null) character set utf8mb4');
    });
    afterAll(() => database?.[Symbol.asyncDispose]());

    const opened = (): MysqlDatabase => {
      if (database === undefined) throw new Error(`There is no ${kind}.`);
      return database;
    };
    const log: LogUnderTest = {
      open: () =>
        Promise.resolve(
          new MysqlChangeLog(connectionOptions(opened().options, 'test'), {gatewayId: 'conformance', chunkRows: 20}),
        ),
      codec: binlogCodec,
      table: 'log_conformance.proof',
      context: (signal) => ({...testContext(), signal}),
      write: (...writes) => opened().run(`begin; ${writes.map(sqlOf).join('; ')}; commit`),
      rows: async () =>
        (await opened().texts('select id, value from proof')).map(([id, value]) => ({
          id: Number(id),
          value: value ?? '',
        })),
    };
    for (const {name, run} of changeLogConformance()) {
      it(name, async (context) => {
        needMysql(context, kind);
        await run(log);
      });
    }
  });
}
