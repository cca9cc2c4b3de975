import {afterAll, beforeAll, expect, inject, it} from 'vitest';

import {describePostgres} from '../../../test/describe-postgres.ts';
import {LogFollower} from '../../../test/follow-log.ts';
import type {TestDatabase} from '../../../test/pg-database.ts';
import {createDatabase} from '../../../test/pg-database.ts';
import {POSTGRES_VERSIONS} from '../../../test/postgres-versions.ts';
import type {PostgresServer} from '../../../test/postgres.ts';
import {startPostgres} from '../../../test/postgres.ts';
import {testContext} from '../../../test/read-context.ts';
import {createCoercer} from '../../core/coerce.ts';
import type {ColumnBatch} from '../../core/columns.ts';
import type {JsonObject} from '../../core/json-value.ts';
import {canonicalCell, RESCUED_COLUMN} from '../../sdk/index.ts';
import {parseLsn} from '../../wire/pg/replication.ts';
import {PostgresChangeLog} from './change-log.ts';
import {pgCodec} from './log-codec.ts';
import {connectionOptions} from './session.ts';
import {matrixOf, TYPES_SQL} from './type-matrix.support.test.ts';

/** How a cell landed: its canonical text, or what was rescued of it. */
type Landed = readonly (string | null)[];

describePostgres('every type', POSTGRES_VERSIONS, (version) => {
  let server: PostgresServer | null = null;
  let database: TestDatabase;
  const fromSnapshot = new Map<string, Landed>();
  const fromLog = new Map<string, Landed>();
  const fromOldRows = new Map<string, Landed>();
  const matrix = matrixOf(version);

  beforeAll(async () => {
    if (version !== 18) server = await startPostgres({}, {version});
    database = await createDatabase(server?.url ?? inject('pgUrl'), `log_types_${version}`);
    await database.run(TYPES_SQL);
    for (const [index, [type]] of matrix.entries()) {
      await database.run(
        `create table t${index} (id int primary key, v ${type}); alter table t${index} replica identity full`,
      );
    }
    const log = new PostgresChangeLog(connectionOptions(database.options, 'test'), {gatewayId: `types_${version}`});
    const ctx = testContext();
    const tables = matrix.map((_, index) => `public.t${index}`);
    const from = await log.prepare(tables, ctx);
    for (const [index, [, , all]] of matrix.entries()) {
      const rows = [...all, 'null'].map((value, id) => `(${id}, ${value})`);
      await database.run(`insert into t${index} values ${rows.join(', ')}`);
    }
    for (const [index, [type]] of matrix.entries()) fromSnapshot.set(type, await readSnapshot(log, `public.t${index}`));
    await database.run(matrix.map((_, index) => `delete from t${index}`).join(';'));
    const [now] = await database.texts('select pg_current_wal_insert_lsn()');
    const reader = await log.openLog(from, tables, ctx);
    const follower = new LogFollower(pgCodec);
    await follower.readTo(reader, parseLsn(now?.[0] ?? '') ?? 0n);
    await reader[Symbol.asyncDispose]();
    for (const [index, [type]] of matrix.entries()) {
      const changes = follower.transactions.flatMap((transaction) =>
        transaction.changes.filter(({table}) => follower.tables.get(table)?.name === `t${index}`),
      );
      const table = [...follower.tables.values()].find(({name}) => name === `t${index}`);
      if (table === undefined) throw new Error(`no changes of ${type}`);
      const rows = (op: string): JsonObject[] =>
        changes.filter(({change}) => change.op === op).map(({change}) => change.row ?? {});
      fromLog.set(type, coerced(pgCodec.schemaOf(table), rows('upsert')));
      fromOldRows.set(type, coerced(pgCodec.schemaOf(table), rows('delete')));
    }
    await log.release(ctx);
    await log.close();
  });
  afterAll(async () => {
    await database[Symbol.asyncDispose]();
    await server?.close();
  });

  it.each(matrix)('%s is the same through snapshot and log', (type, _landed, all) => {
    expect(fromSnapshot.get(type)).toHaveLength(all.length + 1);
    expect(fromLog.get(type)).toEqual(fromSnapshot.get(type));
    expect(fromOldRows.get(type)).toEqual(fromSnapshot.get(type));
  });
});

function coerced({schema, primaryKeys}: ReturnType<typeof pgCodec.schemaOf>, rows: readonly JsonObject[]): Landed {
  const fields = [...schema.fields, {name: RESCUED_COLUMN, type: 'string', nullable: true, metadata: {}} as const];
  const coercer = createCoercer({type: 'struct', fields}, {keys: primaryKeys, rescue: true});
  for (const row of rows) expect(coercer.add(row)).toBe(true);
  const {batch} = coercer.take();
  const cells: (string | null)[] = [];
  for (let row = 0; row < batch.rowCount; row++) {
    const rescued = cellOf(batch, 2, row);
    const text = rescued === null ? null : `rescued ${(JSON.parse(rescued) as {v: string}).v}`;
    cells[Number(cellOf(batch, 0, row))] = text ?? cellOf(batch, 1, row);
  }
  return cells;
}

async function readSnapshot(log: PostgresChangeLog, table: string): Promise<Landed> {
  const ctx = testContext();
  await using snapshot = await log.planSnapshot(table, ctx);
  const cells: (string | null)[] = [];
  for (const chunk of snapshot.chunks) {
    for await (const {batch, rescued = []} of pgCodec.decodeChunk(snapshot.table, snapshot.readChunk(chunk, ctx))) {
      const texts = new Map(rescued.map((cell) => [cell.row, `rescued ${cell.text}`]));
      for (let row = 0; row < batch.rowCount; row++)
        cells[Number(cellOf(batch, 0, row))] = texts.get(row) ?? cellOf(batch, 1, row);
    }
  }
  return cells;
}

function cellOf(batch: ColumnBatch, column: number, row: number): string | null {
  const vector = batch.columns[column];
  const type = batch.schema.fields[column]?.type;
  if (vector === undefined || type === undefined) throw new Error('no such column');
  return canonicalCell(vector, row, type);
}
