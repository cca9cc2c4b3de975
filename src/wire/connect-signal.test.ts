import {getEventListeners} from 'node:events';

import {expect, it} from 'vitest';

import {MysqlConnection} from './mysql/connection.ts';
import {PgConnection} from './pg/connection.ts';

/** What Node keeps for a signal: listeners, and signals made of it, whether they are used or not. */
function keptBy(signal: AbortSignal): number {
  const [kept] = Object.getOwnPropertySymbols(signal).filter((symbol) => symbol.description === 'kDependantSignals');
  const made = kept === undefined ? 0 : ((signal as unknown as Record<symbol, ReadonlySet<unknown>>)[kept]?.size ?? 0);
  return made + getEventListeners(signal, 'abort').length;
}

it('leaves nothing on the signal of the run, however often a server is called', async () => {
  const {signal} = new AbortController();
  const address = {host: '127.0.0.1', port: 1, user: 'u', database: 'd', connectTimeoutMs: 1000};
  for (let count = 0; count < 5; count++) {
    await expect(PgConnection.connect({...address, tls: {mode: 'disable'}}, signal)).rejects.toThrow();
    await expect(MysqlConnection.connect({...address, tls: {mode: 'disabled'}}, signal)).rejects.toThrow();
  }
  expect(keptBy(signal)).toBe(0);
});
