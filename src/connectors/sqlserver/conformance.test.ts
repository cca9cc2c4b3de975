import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import {testContext} from '../../../test/read-context.ts';
import type {LogUnderTest, ProofWrite} from '../../testkit/gateway-conformance.ts';
import {changeLogConformance} from '../../testkit/gateway-conformance.ts';
import {SqlServerChangeLog} from './change-log.ts';
import {sqlServerCodec} from './log-codec.ts';
import {connectionOptions} from './session.ts';
import type {ModelWrite} from './simulator-database.ts';
import {keyText} from './simulator-database.ts';
import type {SqlServerSimulator} from './simulator.ts';
import {startSimulator} from './simulator.ts';

/** Change tracking tells what changed in all, not step by step: what came between two looks is one change of a row. */
const NET_CHANGES_ALONE = new Set([
  'gives committed transactions in order, each with its schema before its changes',
  'hands over from a snapshot to the log by visibility, while others write',
  'tells a position behind everything that has committed',
]);

/** How the table is followed, and whether a table of the other kind is in the same log. */
const VARIANTS = [
  {method: 'change_tracking', isMixed: false},
  {method: 'cdc', isMixed: false},
  {method: 'change_tracking', isMixed: true},
  {method: 'cdc', isMixed: true},
] as const;

/** A log that always has the table beside, too. */
class MixedLog extends SqlServerChangeLog {
  override preflight(...[tables, ctx]: Parameters<SqlServerChangeLog['preflight']>) {
    return super.preflight([...tables, BESIDE], ctx);
  }

  override prepare(...[tables, ctx]: Parameters<SqlServerChangeLog['prepare']>) {
    return super.prepare([...tables, BESIDE], ctx);
  }

  override openLog(...[from, tables, ctx]: Parameters<SqlServerChangeLog['openLog']>) {
    return super.openLog(from, [...tables, BESIDE], ctx);
  }
}

const BESIDE = 'dbo.beside';

for (const {method, isMixed} of VARIANTS) {
  describe(`the scripted server by ${method}${isMixed ? ', beside the other method' : ''}`, () => {
    let simulator: SqlServerSimulator;
    beforeAll(async () => {
      simulator = await startSimulator();
      const {database} = simulator;
      const columns = [
        {name: 'id', type: 'int', nullable: false},
        {name: 'value', type: 'nvarchar', length: 400, nullable: false},
      ];
      database.createTable('proof', columns, ['id']);
      database.createTable('beside', columns, method === 'cdc' ? ['id'] : []);
      if (method === 'cdc') {
        database.table('proof').tracking = null;
        database.enableCapture('proof', 'dbo_proof');
      } else if (isMixed) database.enableCapture('beside', 'dbo_beside');
      await database.write({table: 'beside', insert: {id: 1, value: 'before'}});
    });
    afterAll(async () => {
      expect(simulator.unknown).toEqual([]);
      await simulator[Symbol.asyncDispose]();
    });

    const log: LogUnderTest = {
      open: () => {
        const options = connectionOptions({...simulator.options, change_method: isMixed ? 'auto' : method}, 'test');
        const Log = isMixed ? MixedLog : SqlServerChangeLog;
        return Promise.resolve(new Log(options, {gatewayId: 'conformance', chunkRows: 20, batchBytes: 50_000}));
      },
      codec: sqlServerCodec,
      table: 'dbo.proof',
      longTransaction: 1500,
      context: (signal) => ({...testContext(), signal}),
      write: async (...writes) => {
        await simulator.database.write(...writes.flatMap((write) => modelWrite(simulator, write)));
        await new Promise((resolve) => setImmediate(resolve));
      },
      rows: () =>
        Promise.resolve(
          [...simulator.database.table('proof').rows.values()].map(({id, value}) => ({
            id: Number(id),
            value: String(value),
          })),
        ),
    };
    const isWanted = (name: string): boolean => method === 'cdc' || !NET_CHANGES_ALONE.has(name);
    for (const {name, run} of changeLogConformance().filter((each) => isWanted(each.name))) it(name, () => run(log));
  });
}

function modelWrite({database}: SqlServerSimulator, write: ProofWrite): readonly ModelWrite[] {
  const table = 'proof';
  const id = 'delete' in write ? write.delete : write.upsert.id;
  const isThere = database.table(table).rows.has(keyText({key: ['id']}, {id}));
  if ('delete' in write) return isThere ? [{table, delete: {id}}] : [];
  const {value} = write.upsert;
  return [isThere ? {table, update: {id, value}} : {table, insert: {id, value}}];
}
