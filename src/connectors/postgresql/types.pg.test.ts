import {afterAll, beforeAll, expect, inject, it} from 'vitest';

import {describePostgres} from '../../../test/describe-postgres.ts';
import type {TestDatabase} from '../../../test/pg-database.ts';
import {createDatabase} from '../../../test/pg-database.ts';
import {POSTGRES_VERSIONS} from '../../../test/postgres-versions.ts';
import {startPostgres, type PostgresServer} from '../../../test/postgres.ts';
import {testContext} from '../../../test/read-context.ts';
import {canonicalCell} from '../../sdk/index.ts';
import {hash60, rowText} from '../../sdk/index.ts';
import {canonicalSql, hashSql, rowTextSql} from './canonical-sql.ts';
import {describeTable} from './catalog.ts';
import {PostgresConnector} from './connector.ts';
import {connectionOptions, Session} from './session.ts';
import {matrixOf, TYPES_SQL} from './type-matrix.support.test.ts';

let database: TestDatabase;

describePostgres('every type, compared with the text that the server computes,', POSTGRES_VERSIONS, (version) => {
  let server: PostgresServer | null = null;

  beforeAll(async () => {
    if (version !== 18) server = await startPostgres({}, {version});
    database = await createDatabase(server?.url ?? inject('pgUrl'), 'pg_types');
    await database.run(TYPES_SQL);
  });
  afterAll(async () => {
    await database[Symbol.asyncDispose]();
    await server?.close();
  });

  it.each(matrixOf(version))('%s lands as %s', async (type, landed, values) => {
    await database.run('drop table if exists t');
    await database.run(`create table t (id int primary key, v ${type})`);
    for (const [index, value] of [...values, 'null'].entries())
      await database.run(`insert into t values (${index}, ${value})`);
    const {cells, rescued, landedType} = await readColumn();
    expect(landedType).toBe(landed);
    await using session = await openSession();
    const source = await describeTable(session, 'public.t');
    const [id, column] = source.columns;
    if (id === undefined || column === undefined) throw new Error('no columns');
    const truth = await session.query(
      `select ${canonicalSql(column)}, case when num_nonnulls(v) = 1 then concat(v) end, ${hashSql(rowTextSql(source.columns))}::text from t as source order by id`,
      {what: 'test'},
    );
    expect(cells).toEqual(truth.map((row) => row[0]));
    // What landed as NULL without being NULL was rescued with the server's own text.
    const lost = truth.flatMap((row, index) => (row[0] === null && row[1] !== null ? [[index, row[1]]] : []));
    expect(rescued).toEqual(lost);
    const types = source.columns.map(({mapping}) => mapping.type);
    const hashes = cells.map((cell, index) => hash60(rowText([String(index), cell], types)).toString());
    expect(hashes).toEqual(truth.map((row) => row[2]));
  });

  it('covers all base types that a column can have, by text at least', async () => {
    const names =
      await database.texts(`select format_type(oid, null) from pg_type where typnamespace = 'pg_catalog'::regnamespace
      and typtype in ('b', 'r', 'm') and typcategory not in ('A', 'Z', 'P', 'X') order by 1`);
    await database.run('drop table if exists wide');
    await database.run(`create table wide (${names.map(([name], index) => `c${index} ${name}`).join(', ')})`);
    await database.run('insert into wide default values');
    const connector = new PostgresConnector(connectionOptions(database.options, 'test'));
    const ctx = testContext();
    let rows = 0;
    for await (const page of connector.readTable('public.wide', null, {}, ctx)) {
      if (!('kind' in page) || page.kind !== 'columns') throw new Error('no columns');
      rows += page.batch.rowCount;
      page.batch.columns.forEach((column, index) =>
        expect(canonicalCell(column, 0, page.batch.schema.fields[index]?.type ?? 'string')).toBeNull(),
      );
    }
    expect(rows).toBe(1);
    await connector.close();
  });
});

async function openSession(): Promise<Session> {
  return Session.open(connectionOptions(database.options, 'test'), testContext().signal);
}

async function readColumn(): Promise<{
  cells: (string | null)[];
  rescued: (readonly [number, string])[];
  landedType: string;
}> {
  const connector = new PostgresConnector(connectionOptions(database.options, 'test'));
  const cells: (string | null)[] = [];
  const rescued: (readonly [number, string])[] = [];
  let landedType = '';
  for await (const page of connector.readTable('public.t', null, {}, testContext())) {
    if (!('kind' in page) || page.kind !== 'columns') throw new Error('no columns');
    const [ids, values] = page.batch.columns;
    const type = page.batch.schema.fields[1]?.type ?? 'string';
    landedType =
      typeof type === 'string'
        ? type
        : type.type === 'decimal'
          ? `decimal(${type.precision},${type.scale})`
          : type.type;
    if (ids === undefined || values === undefined) throw new Error('two columns expected');
    for (let row = 0; row < page.batch.rowCount; row++)
      cells[Number(canonicalCell(ids, row, 'integer'))] = canonicalCell(values, row, type);
    for (const cell of page.rescued ?? []) rescued.push([Number(canonicalCell(ids, cell.row, 'integer')), cell.text]);
  }
  await connector.close();
  return {cells, rescued, landedType};
}
