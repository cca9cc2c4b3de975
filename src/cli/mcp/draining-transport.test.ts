import type {Transport} from '@modelcontextprotocol/sdk/shared/transport.js';
import type {JSONRPCMessage} from '@modelcontextprotocol/sdk/types.js';
import {expect, it} from 'vitest';

import {DrainingTransport} from './draining-transport.ts';

it('closes only when every request that came has its answer, or was given up', async () => {
  const sent: JSONRPCMessage[] = [];
  let isClosed = false;
  const inner: Transport = {
    start: () => Promise.resolve(),
    send: (message) => Promise.resolve(void sent.push(message)),
    close: () => Promise.resolve(void (isClosed = true)),
  };
  const transport = new DrainingTransport(inner);
  for (const id of [1, 2]) inner.onmessage?.({jsonrpc: '2.0', id, method: 'tools/call'});
  transport.drain();
  expect(isClosed).toBe(false);
  await transport.send({jsonrpc: '2.0', id: 1, result: {}});
  expect(isClosed).toBe(false);
  inner.onmessage?.({jsonrpc: '2.0', method: 'notifications/cancelled', params: {requestId: 2}});
  expect({isClosed, answers: sent.length}).toEqual({isClosed: true, answers: 1});
});
