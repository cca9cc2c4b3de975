import {mkdtemp, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterEach, beforeEach, describe, expect, it} from 'vitest';

import {systemClock, type Clock} from '../core/clock.ts';
import {IngestError} from '../core/errors.ts';
import {installFailpoints, type FailpointName} from '../core/failpoint.ts';
import type {DeltaContext} from '../delta/delta-table.ts';
import {createTable, openTable} from '../delta/table.ts';
import {openEngine} from '../engine/duckdb-engine.ts';
import type {Engine, EngineRow} from '../engine/engine.ts';
import {createLocalStore} from '../storage/local-store.ts';
import {createEventLog, type EventLog} from './event-log.ts';
import type {FlowProgress} from './events.ts';
import {
  createUpdateEvent,
  flowProgressEvent,
  noteEvent,
  updateProgressEvent,
  verifyProgressEvent,
  type EventSource,
} from './make-event.ts';
import {NOT_COMPARED} from './verify-verdict.ts';

const ROOT = 'main/raw/event_log_daily';

describe('the event log', () => {
  let lake = '';
  let engine: Engine;
  let context: DeltaContext;
  let logs: EventLog[] = [];

  beforeEach(async () => {
    lake = await mkdtemp(join(tmpdir(), 'events-'));
    engine = await openEngine({memoryLimitMb: 256, threads: 1, tempFolder: join(lake, 'tmp'), allowedFolders: [lake]});
    context = {store: createLocalStore(lake), engine, clock: systemClock};
  });
  afterEach(async () => {
    installFailpoints(null);
    for (const log of logs) await log[Symbol.asyncDispose]();
    logs = [];
    await engine[Symbol.asyncDispose]();
    await rm(lake, {recursive: true, force: true});
  });

  const spoolFolder = (): string => join(lake, '_sluice/spool');
  const open = async (clock: Clock = systemClock): Promise<EventLog> => {
    const log = await createEventLog(
      {...context, clock},
      {pipelineKey: 'daily', root: ROOT, spoolFolder: spoolFolder(), instance: 'update-1'},
    );
    logs.push(log);
    return log;
  };
  const source: EventSource = {clock: systemClock, origin: {pipeline_id: 'daily', update_id: 'u-1'}};
  const note = (n: number) => noteEvent(source, null, {level: 'INFO', code: 'N', message: String(n)});

  async function rows(): Promise<readonly EngineRow[]> {
    const table = await openTable(context, ROOT);
    if (table === null) return [];
    return engine.query(`SELECT * FROM (${await table.readSql()}) ORDER BY sequence.control_plane_seq_no`);
  }
  const messages = async (): Promise<readonly unknown[]> => (await rows()).map((row) => row['message']);
  const versions = async (): Promise<number> => (await openTable(context, ROOT))?.snapshot.version ?? -1;

  function failOnceAt(step: FailpointName): void {
    let left = 1;
    installFailpoints((reached) => {
      if (reached === step && left-- > 0) throw new IngestError('STORAGE_FAILED', 'The process died here.');
    });
  }

  it('lands events in the shape of Lakeflow', async () => {
    const log = await open();
    const progress: FlowProgress = {
      flow: 'main.raw.users',
      sourceTable: 'users',
      state: 'FAILED',
      rowsRead: 7,
      rowsInserted: 3,
      rowsUpdated: 2,
      rowsDeleted: 1,
      rescuedValues: 4,
      quarantinedRows: 5,
      bytesWritten: 99,
      batches: 1,
      version: 2,
      totalRows: 10,
      elapsedMs: 12,
      attempt: 1,
      errorCode: 'AUTH_FAILED',
      errorMessage: "it's refused",
    };
    await log.emit(
      createUpdateEvent(source, {
        cause: 'USER_ACTION',
        fullRefresh: false,
        fullRefreshSelection: ['a'],
        refreshSelection: [],
      }),
    );
    await log.emit(
      flowProgressEvent(
        source,
        {flow: 'main.raw.users', sourceTable: 'users', flowId: 'f', batchId: 3},
        {progress, target: 'scd1'},
      ),
    );
    await log.emit(
      updateProgressEvent(source, 'FAILED', new IngestError('AUTH_FAILED', 'Refused.', {cause: new Error('below')})),
    );
    await log.emit(
      verifyProgressEvent(
        source,
        {flow: 'main.raw.users', sourceTable: 'users'},
        {...NOT_COMPARED, verdict: 'different', reason: '1 missing', destinationVersion: 2, missing: 1},
      ),
    );
    await log.flush();
    const [created, flow, failed, verified] = await rows();
    expect(created).toMatchObject({
      event_type: 'create_update',
      level: 'INFO',
      maturity_level: 'STABLE',
      error: null,
      origin: {pipeline_id: 'daily', update_id: 'u-1', org_id: null},
    });
    expect(JSON.parse(String(created?.['details']))).toEqual({
      create_update: {
        cause: 'USER_ACTION',
        full_refresh: false,
        full_refresh_selection: ['a'],
        refresh_selection: [],
        validate_only: false,
        explore_only: false,
      },
    });
    expect(flow).toMatchObject({
      event_type: 'flow_progress',
      level: 'ERROR',
      message: "Flow main.raw.users failed: [AUTH_FAILED] it's refused",
      origin: {
        flow_name: 'main.raw.users',
        dataset_name: 'main.raw.users',
        flow_id: 'f',
        batch_id: 3n,
        ingestion_source_table_name: 'users',
      },
    });
    expect(JSON.parse(String(flow?.['details']))).toMatchObject({
      flow_progress: {
        status: 'FAILED',
        metrics: {num_output_rows: 0, num_upserted_rows: 5, num_deleted_rows: 1, backlog_records: 3},
        data_quality: {dropped_records: 5},
      },
    });
    expect(failed?.['error']).toMatchObject({
      fatal: true,
      exceptions: [
        {class_name: 'IngestError', message: '[AUTH_FAILED] Refused.'},
        {class_name: 'Error', message: 'below'},
      ],
    });
    expect(verified).toMatchObject({
      event_type: 'verify_progress',
      level: 'ERROR',
      message: 'Flow main.raw.users is different from its source.',
    });
    expect(typeof created?.['timestamp']).toBe('bigint');
  });

  it('makes one version per flush, and none without events', async () => {
    const log = await open();
    await log.flush();
    expect(await versions()).toBe(-1);
    for (let n = 0; n < 5; n++) await log.emit(note(n));
    await log.flush();
    await log.flush();
    expect(await versions()).toBe(1);
    await log.emit(note(5));
    await log.flush();
    expect(await versions()).toBe(2);
    expect(await readdir(spoolFolder())).toEqual([]);
    expect(await messages()).toEqual(['[N] 0', '[N] 1', '[N] 2', '[N] 3', '[N] 4', '[N] 5']);
  });

  it('commits what a run left behind that died before its flush', async () => {
    const dead = await open();
    await dead.emit(note(1));
    await dead.emit(note(2));
    const [name] = await readdir(spoolFolder());
    const path = join(spoolFolder(), String(name));
    await writeFile(path, `${await readFile(path, 'utf8')}{"id":"torn`);
    const next = await open();
    await next.emit(note(3));
    await next.flush();
    expect(await messages()).toEqual(['[N] 1', '[N] 2', '[N] 3']);
    expect(await versions()).toBe(1);
  });

  it('does not commit twice when a run died between the commit and the removal of its spool', async () => {
    failOnceAt('events.committed');
    const dead = await open();
    await dead.emit(note(1));
    await expect(dead.flush()).rejects.toThrow('died here');
    expect(await readdir(spoolFolder())).toHaveLength(1);
    const next = await open();
    await next.emit(note(2));
    await next.flush();
    await next.flush();
    expect(await messages()).toEqual(['[N] 1', '[N] 2']);
    expect(await readdir(spoolFolder())).toEqual([]);
  });

  it('goes on in the same run after a flush that failed, before or after its commit', async () => {
    const log = await open();
    for (const step of ['delta.commit-staged', 'events.committed'] as const) {
      failOnceAt(step);
      await log.emit(note(1));
      await expect(log.flush()).rejects.toThrow('died here');
      await log.emit(note(2));
      await log.flush();
    }
    expect(await messages()).toEqual(['[N] 1', '[N] 2', '[N] 1', '[N] 2']);
  });

  it('keeps its order when the clock stands still or goes back', async () => {
    let now = 2_000n;
    const clock: Clock = {...systemClock, nowMicros: () => now};
    const log = await open(clock);
    for (const [n, time] of [2_000n, 2_000n, 1_000n].entries()) {
      now = time;
      await log.emit(note(n));
    }
    await log.flush();
    expect((await rows()).map((row) => row['sequence'])).toMatchObject(
      [2_000n, 2_001n, 2_002n].map((control_plane_seq_no, index) => ({
        control_plane_seq_no,
        data_plane_id: {instance: 'update-1', seq_no: BigInt(index + 1)},
      })),
    );
  });

  it("refuses a table that is something else or another pipeline's", async () => {
    await createTable(context, ROOT, {
      schema: {type: 'struct', fields: [{name: 'a', type: 'string', nullable: true, metadata: {}}]},
    });
    await expect(open()).rejects.toMatchObject({code: 'TABLE_NOT_OURS'});
  });
});
