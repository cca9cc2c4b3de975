import {describe, expect, inject, it} from 'vitest';

import {createMysqlDatabase} from '../../../test/mysql-database.ts';
import {mysqlKinds, needMysql} from '../../../test/mysql.ts';
import {testContext} from '../../../test/read-context.ts';
import {canonicalCell} from '../../sdk/index.ts';
import {MysqlChangeLog} from './change-log.ts';
import {binlogCodec} from './log-codec.ts';
import {connectionOptions} from './session.ts';

const ROWS = 300;

/** Columns of a key, and its values for row `n`. Tables whose key has no plain order are read in one part. */
const KEYS: readonly (readonly [columns: string, values: string, parts: 'many' | 'one'])[] = [
  ['a int', 'n', 'many'],
  ['a int', 'n * 1000000 - 150000000', 'many'],
  ['a bigint unsigned', '18446744073709551615 - n * 1000', 'many'],
  ['a decimal(10,3)', 'n / 7', 'many'],
  ['a varchar(40)', "concat('it''s \\\\ ', char(97 + n % 26), n)", 'many'],
  ['a varchar(40) character set latin1 collate latin1_german1_ci', 'concat(char(228 using latin1), n)', 'many'],
  ['a varchar(40) character set utf16', "concat('ä😀', n)", 'many'],
  ['a char(36) collate utf8mb4_bin', 'uuid()', 'many'],
  ['a binary(16)', 'unhex(left(sha2(n, 256), 32))', 'many'],
  ['a varbinary(20)', "concat(x'00ff', n)", 'many'],
  ['a date', "date '2000-01-01' + interval n day", 'many'],
  ['a datetime(6)', "cast('2000-01-01' as datetime(6)) + interval n * 1001 microsecond", 'many'],
  ['a timestamp(3) not null default now(3)', "cast('2000-01-01' as datetime(6)) + interval n second", 'many'],
  ['a int, b varchar(10), c date', "n % 5, concat('B', n % 7), date '2000-01-01' + interval n day", 'many'],
  ['a varchar(10), b int', "if(n % 2, 'a', 'A '), n", 'many'],
  ['a double', 'n * 1.1', 'one'],
  ["a enum('x', 'y'), b int", "if(n % 2, 'x', 'y'), n", 'one'],
];

for (const kind of mysqlKinds()) {
  describe(`chunks of ${kind}`, () => {
    it('have every row once, whatever the key is made of', async (context) => {
      needMysql(context, kind);
      await using database = await createMysqlDatabase(inject('mysqlUrls')[kind] ?? '', 'chunks');
      const source = new MysqlChangeLog(connectionOptions(database.options, 'test'), {
        gatewayId: 'chunks',
        chunkRows: 37,
      });
      const keys = [
        ...KEYS,
        ...(kind === 'mariadb'
          ? ([
              ['a uuid', 'uuid()', 'many'],
              ['a inet6', "concat('fe80::', hex(n))", 'many'],
            ] as const)
          : []),
      ];
      const wrong: string[] = [];
      for (const [index, [columns, values, parts]] of keys.entries()) {
        const names = columns
          .split(', ')
          .filter((column) => /^[abc] /.test(column))
          .map((column) => column.charAt(0));
        await database.run(`create table t${index} (${columns}, v int, primary key (${names.join(', ')}));
          insert into t${index} with recursive numbers as (select 1 as n union all select n + 1 from numbers where n < ${ROWS})
            select ${values}, n from numbers; analyze table t${index}`);
        const ctx = testContext();
        await using snapshot = await source.planSnapshot(`chunks.t${index}`, ctx);
        const seen: string[] = [];
        for (const chunk of snapshot.chunks) {
          for await (const {batch} of binlogCodec.decodeChunk(snapshot.table, snapshot.readChunk(chunk, ctx))) {
            const column = batch.columns.at(-1);
            for (let row = 0; row < batch.rowCount; row++)
              if (column !== undefined) seen.push(canonicalCell(column, row, 'integer') ?? '');
          }
        }
        const isWhole = seen.length === ROWS && new Set(seen).size === ROWS;
        if (!isWhole) wrong.push(`${columns}: ${seen.length} rows, ${new Set(seen).size} of them different`);
        const count = snapshot.chunks.length;
        if (parts === 'one' ? count !== 1 : count < 5 || count > 12) wrong.push(`${columns}: ${count} chunks`);
      }
      await source.close();
      expect(wrong).toEqual([]);
    });

    it('say when the table is another one than it was planned for', async (context) => {
      needMysql(context, kind);
      await using database = await createMysqlDatabase(inject('mysqlUrls')[kind] ?? '', 'replanned');
      const source = new MysqlChangeLog(connectionOptions(database.options, 'test'), {gatewayId: 'replanned'});
      await database.run('create table t (id int primary key); insert into t values (1)');
      await using snapshot = await source.planSnapshot('replanned.t', testContext());
      await database.run('alter table t add column b int');
      const [chunk] = snapshot.chunks;
      const reading = snapshot.readChunk(chunk ?? {}, testContext()).next();
      await expect(reading).rejects.toMatchObject({code: 'SOURCE_SCHEMA_CHANGED'});
      await expect(source.planSnapshot('replanned.nowhere', testContext())).rejects.toMatchObject({
        code: 'UNKNOWN_TABLE',
      });
      await source.close();
    });
  });
}
