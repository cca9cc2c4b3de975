import {createServer} from 'node:net';

import {afterEach, beforeEach, describe, expect, it} from 'vitest';

import {connectionOptions, Session} from './session.ts';
import type {SqlServerSimulator} from './simulator.ts';
import {startSimulator} from './simulator.ts';

const DOING = {what: 'try'};
let simulator: SqlServerSimulator;
beforeEach(async () => {
  simulator = await startSimulator();
});
afterEach(() => simulator[Symbol.asyncDispose]());

const open = (over: object = {}, signal = new AbortController().signal): Promise<Session> =>
  Session.open(connectionOptions({...simulator.options, ...over}, 'test'), signal);

describe('a session', () => {
  it('gives up a login at the signal, at once', async () => {
    // Loading the driver takes longer than the signal, and what was tried then would be nothing.
    await import('tedious');
    const silent = createServer((socket) => socket.resume());
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const address = silent.address();
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
    const stop = new AbortController();
    setTimeout(() => stop.abort(new Error('enough')), 100);
    const startedAt = performance.now();
    await expect(open({port, connect_timeout_seconds: 5}, stop.signal)).rejects.toThrow('enough');
    expect(performance.now() - startedAt).toBeLessThan(3000);
    // It ends when no socket is left open.
    await new Promise((resolve) => silent.close(resolve));
  });

  it('tells apart what is wrong with a connection', async () => {
    await expect(open({password: 'wrong'})).rejects.toMatchObject({code: 'AUTH_FAILED'});
    await expect(open({database: 'other'})).rejects.toMatchObject({code: 'AUTH_FAILED'});
    await expect(open({port: 1})).rejects.toMatchObject({code: 'CONNECTION_FAILED'});
  });

  it('says what was wrong with a statement by its number, without the text that may hold values', async () => {
    await using session = await open();
    const failing = session.query(`select 'secret value'`, DOING);
    await expect(failing).rejects.toMatchObject({
      code: 'SOURCE_ERROR',
      class: 'config',
      message: 'Cannot try: error 102.',
    });
    expect((await session.query('select sys.fn_cdc_get_max_lsn()', DOING)).length).toBe(1);
  });

  it('ends with a reader that leaves early', async () => {
    const {database} = simulator;
    database.createTable('many', [{name: 'id', type: 'int', nullable: false}], ['id']);
    await database.write(...Array.from({length: 6000}, (_, id) => ({table: 'many', insert: {id}})));
    const session = await open();
    for await (const rows of session.stream('select source.[id] from [dbo].[many] as source', DOING)) {
      expect(rows.length).toBeGreaterThan(0);
      break;
    }
    expect(session.isOpen).toBe(false);
    await expect(session.query('select 1', DOING)).rejects.toMatchObject({code: 'CONNECTION_FAILED'});
    await session[Symbol.asyncDispose]();
  });

  it('refuses a tunnel without a pinned host key', () => {
    expect(() => connectionOptions({...simulator.options, ssh_host: 'bastion'}, 'test')).toThrow('ssh_host_key');
  });
});
