import {getMaxListeners} from 'node:events';

import {expect, it} from 'vitest';

import {LinkedAbort} from './linked-abort.ts';

it('aborts with its parent, before and after it was made, and lets go of it when it is disposed', () => {
  const parent = new AbortController();
  const released = new LinkedAbort(parent.signal);
  released[Symbol.dispose]();
  expect(released.signal.aborted).toBe(true);
  const followed = new LinkedAbort(parent.signal);
  parent.abort(new Error('stop'));
  expect(followed.signal.reason).toMatchObject({message: 'stop'});
  expect(new LinkedAbort(parent.signal).signal.reason).toMatchObject({message: 'stop'});
});

it('has a signal that fetch takes, and leaves its parent one', () => {
  const parent = new AbortController();
  using linked = new LinkedAbort(parent.signal);
  // What fetch asks of a signal first.
  expect(() => getMaxListeners(linked.signal)).not.toThrow();
  expect(() => getMaxListeners(parent.signal)).not.toThrow();
});
