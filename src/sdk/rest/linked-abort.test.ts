import {getEventListeners} from 'node:events';

import {describe, expect, it} from 'vitest';

import {LinkedAbort} from '../../core/linked-abort.ts';
import type {HttpClient} from '../http/http-client.ts';
import {listPages} from './listing.ts';
import {callContext, connectorOf, openConnector, serve, testClock, TestFlow} from './rest-fixture.support.test.ts';
import type {RequestScope} from './rest-request.ts';
import type {RestTable} from './rest-spec.ts';

/** Signals that Node keeps for a signal, whether they are used or not. */
function dependants(signal: AbortSignal): number {
  const [kept] = Object.getOwnPropertySymbols(signal).filter((symbol) => symbol.description === 'kDependantSignals');
  return kept === undefined ? 0 : ((signal as unknown as Record<symbol, ReadonlySet<unknown>>)[kept]?.size ?? 0);
}

describe('the signal of a listing', () => {
  it('leaves nothing behind on the signal of the run', async () => {
    const reply = {status: 200, headers: new Headers(), url: '', notModified: false, body: [{id: 1}]};
    const client = {json: () => Promise.resolve(reply)} as unknown as HttpClient;
    const {signal} = new AbortController();
    const env = {table: 't', client, ctx: {...callContext(), signal}};
    for (let count = 0; count < 20; count++)
      for await (const page of listPages(env, {request: {url: '/'}}, {} as RequestScope))
        expect(page.records).toHaveLength(1);
    expect(dependants(signal)).toBe(0);
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  it('leaves nothing behind of partitions, windows and expansions', async () => {
    const names = Array.from({length: 20}, (_, at) => ({name: `n${at}`, at: 1}));
    await using api = await serve(({path}) => ({body: path === '/names' ? names : [{id: path, at: 1}]}));
    const {signal} = new AbortController();
    const table: RestTable = {
      name: 'things',
      primaryKeys: ['id'],
      cursorField: 'at',
      ingestionType: 'cdc',
      schema: 'id STRING NOT NULL, at BIGINT',
      partitions: {kind: 'parent', list: {request: {url: '/names'}}, values: {name: 'name'}},
      read: {
        kind: 'window',
        format: 'epoch_seconds',
        list: {request: ({parent}) => ({url: `/${String(parent['name'])}`})},
      },
      expand: {list: {request: ({parent}) => ({url: `/of${String(parent['id'])}`})}},
    };
    const connector = openConnector(connectorOf(api, [table]));
    const flow = new TestFlow(connector, 'things', {clock: testClock(Date.parse('2026-01-01T00:00:00Z')), signal});
    await flow.trigger();
    expect(flow.rows.size).toBe(20);
    expect(dependants(signal)).toBe(0);
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    await connector.close?.();
  });

  it('aborts with its parent and for its reason, at once when that has aborted', () => {
    const parent = new AbortController();
    using abort = new LinkedAbort(parent.signal);
    expect(abort.signal.aborted).toBe(false);
    const reason = new Error('enough');
    parent.abort(reason);
    expect(abort.signal.reason).toBe(reason);
    using late = new LinkedAbort(parent.signal);
    expect(late.signal.reason).toBe(reason);
  });
});
