import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import type {DataType} from '../core/types.ts';
import {createTable} from '../delta/table.ts';
import {quoteIdentifier, sqlType} from '../engine/sql-types.ts';
import {filesHit} from './file-choice.ts';
import type {TestLake} from './lake.support.test.ts';
import {columns, openTestLake} from './lake.support.test.ts';
import {WorkTables} from './work-tables.ts';

const signal = new AbortController().signal;
const FILES = 30;
const ROWS_PER_FILE = 100;

let lake: TestLake;
beforeAll(async () => {
  lake = await openTestLake();
});
afterAll(() => lake[Symbol.asyncDispose]());

/** Keys of each type that ascend with a number, from below zero. */
const KEYS: readonly (readonly [DataType, (i: string) => string])[] = [
  ['long', (i) => `((${i}) - 500) * 3000000000000000`],
  ['integer', (i) => `(${i}) - 500`],
  ['short', (i) => `(${i}) - 500`],
  ['double', (i) => `((${i}) - 500) / 7.0`],
  [{type: 'decimal', precision: 38, scale: 10}, (i) => `((${i}) - 500) * 123456789012.0123456789`],
  ['string', (i) => `repeat('ü', 40) || printf('%06d', ${i})`],
  ['string', (i) => `printf('k''%06d', ${i})`],
  ['date', (i) => `DATE '1969-06-01' + (${i})::INTEGER`],
  ['timestamp', (i) => `make_timestamptz(((${i}) - 500) * 1234567::BIGINT)`],
  ['timestamp_ntz', (i) => `make_timestamp(((${i}) - 500) * 1234567::BIGINT)`],
  ['boolean', (i) => `(${i}) > 1000`],
  ['binary', (i) => `encode(printf('%06d', ${i}))`],
];

describe('files that keys fall into', () => {
  it.each(KEYS.map(([type, key], at) => ({name: JSON.stringify(type), type, key, at})))(
    'are all found for $name, and few others',
    async ({type, key, at}) => {
      const schema = columns({'a key': type, n: 'long'});
      const table = await createTable(lake.context, `t${at}`, {
        schema,
        configuration: {'delta.columnMapping.mode': 'name'},
      });
      const rows = (i: string): string => `CAST(${key(i)} AS ${sqlType(type)}) AS "a key", ${i}::BIGINT AS n`;
      for (let file = 0; file < FILES; file++) {
        const select = `SELECT ${rows('i')} FROM range(${file * ROWS_PER_FILE}, ${(file + 1) * ROWS_PER_FILE}) AS r(i)`;
        const adds = await table.writeFiles({select, schema}, signal);
        await table.commit({base: table.snapshot, operation: 'WRITE', adds, blindAppend: true});
      }
      await using work = new WorkTables(lake.context.engine, signal);
      // Two clumps, one on the border of two files, and a key that is null.
      const changes = `(SELECT ${rows('i')} FROM (FROM range(395, 405) UNION ALL FROM range(2950, 2960)) AS r(i) UNION ALL SELECT NULL, 0)`;
      const all = new Set(table.snapshot.files.keys());
      const found = await filesHit({table, work, job: {keys: ['a key']}}, changes, all);
      const stored = await table.readSql({positions: true});
      const name = quoteIdentifier('a key');
      const wanted = await lake.context.engine.query(
        `SELECT DISTINCT __file AS path FROM (${stored}) AS s WHERE ${name} IN (SELECT ${name} FROM ${changes} AS c)`,
      );
      for (const {path} of wanted) expect(found).toContain(path);
      const cannotTell = type === 'boolean' || type === 'binary' || key('0').includes('repeat');
      if (cannotTell) expect(found.size).toBe(FILES);
      else expect(found.size).toBeLessThan(6);
    },
  );

  it('are not looked for where keys are everywhere, and there is none for keys between the files', async () => {
    const schema = columns({id: 'long'});
    const table = await createTable(lake.context, 'everywhere', {schema});
    for (let file = 0; file < FILES; file++) {
      const select = `SELECT i AS id FROM range(${file * 1000}, ${file * 1000 + 100}) AS r(i)`;
      const adds = await table.writeFiles({select, schema}, signal);
      await table.commit({base: table.snapshot, operation: 'WRITE', adds, blindAppend: true});
    }
    await using work = new WorkTables(lake.context.engine, signal);
    const all = new Set(table.snapshot.files.keys());
    const context = {table, work, job: {keys: ['id']}};
    expect(await filesHit(context, '(SELECT i * 7 AS id FROM range(4000) AS r(i))', all)).toBe(all);
    expect((await filesHit(context, '(SELECT i * 1000 + 500 AS id FROM range(30) AS r(i))', all)).size).toBe(0);
  });
});
