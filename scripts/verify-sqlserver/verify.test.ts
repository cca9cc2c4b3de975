import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {expect, it} from 'vitest';

import type {ModelWrite} from '../../src/connectors/sqlserver/simulator-database.ts';
import type {SqlServerSimulator} from '../../src/connectors/sqlserver/simulator.ts';
import {startSimulator} from '../../src/connectors/sqlserver/simulator.ts';
import {seededRandom} from '../../src/core/clock.ts';
import {optionsOf} from './real-server.ts';
import type {RandomWrite, VerifiedServer, WrittenRow} from './verified-server.ts';
import {TABLES} from './verified-server.ts';
import {verifySqlServer} from './verify.ts';

it('finds nothing wrong with the scripted server, and says what is wrong with one that loses a row', async () => {
  await using simulator = await startSimulator();
  const folder = await mkdtemp(join(tmpdir(), 'sluice-verify-'));
  const server = scripted(simulator);
  const options = {folder, random: seededRandom(7), tell: () => undefined, rounds: 1};
  const checks = await verifySqlServer(server, options);
  expect(checks.filter(({problem}) => problem !== null)).toEqual([]);
  expect(checks.length).toBeGreaterThan(8);
  const other = {...server, prepare: () => Promise.resolve([]), rows: hidesOne(server), noCapture: 'left out'};
  const found = await verifySqlServer(other, {...options, folder: join(folder, 'other')});
  expect(found.some(({problem}) => problem?.includes('should not be there') === true)).toBe(true);
  await rm(folder, {recursive: true, force: true});
}, 120_000);

it('reads the address of a server', () => {
  expect(optionsOf('mssql://sa:p%40ss@db.example/shop?trust_server_certificate=true')).toEqual({
    host: 'db.example',
    port: 1433,
    database: 'shop',
    user: 'sa',
    password: 'p@ss',
    poll_seconds: 1,
    trust_server_certificate: true,
  });
});

function hidesOne(server: VerifiedServer): VerifiedServer['rows'] {
  return async (table) => (await server.rows(table)).slice(1);
}

function scripted({database, options}: SqlServerSimulator): VerifiedServer {
  const columns = [
    {name: 'a', type: 'int', nullable: false},
    {name: 'b', type: 'varchar', length: 20, nullable: false},
    {name: 'v', type: 'decimal', precision: 20, scale: 2},
  ];
  return {
    options,
    noCapture: null,
    async prepare() {
      database.createTable(
        TABLES.types,
        [
          {name: 'id', type: 'int', nullable: false},
          {name: 'c0', type: 'money'},
        ],
        ['id'],
      );
      await database.write({table: TABLES.types, insert: {id: 0, c0: '-1.5000'}});
      database.createTable(TABLES.keyed, columns, ['b', 'a']);
      database.createTable(TABLES.captured, columns, ['b', 'a']).tracking = null;
      database.createTable(TABLES.bare, columns);
      for (const table of Object.values(TABLES)) database.enableCapture(table, `dbo_${table}`);
      return [{column: 'money', lake: 'cast(c0 as varchar)', lands: ['-1.5000']}];
    },
    async write(table, writes) {
      try {
        await database.write(...writes.map((write) => modelWrite(table, write)));
        return true;
      } catch {
        return false;
      }
    },
    setTracking: (table, isOn) => {
      database.table(table).tracking = isOn ? {minValid: database.version ?? 0n, changes: []} : null;
      return Promise.resolve();
    },
    rows: (table) =>
      Promise.resolve(
        [...database.table(table).rows.values()].map(({a, b, v}): WrittenRow => ({
          a: Number(a),
          b: String(b),
          v: typeof v === 'string' ? v : null,
        })),
      ),
    cleanUp: () => Promise.resolve(),
  };
}

function modelWrite(table: string, write: RandomWrite): ModelWrite {
  if ('insert' in write) return {table, insert: {...write.insert}};
  if ('delete' in write) return {table, delete: {...write.delete}};
  return {table, update: {...write.update}, old: {...write.old}};
}
