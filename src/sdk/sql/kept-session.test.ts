import {expect, it} from 'vitest';

import {KeptSession} from './kept-session.ts';

class FakeSession {
  readonly isOpen: boolean = true;
  closed = 0;

  withSignal(): FakeSession {
    return this;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.closed++;
    return Promise.resolve();
  }
}

function kept(sessions: FakeSession[]): KeptSession<FakeSession> {
  return new KeptSession(() => {
    const session = new FakeSession();
    sessions.push(session);
    return Promise.resolve(session);
  });
}

const going = (): {readonly signal: AbortSignal} => ({signal: new AbortController().signal});

it('runs one piece of work after the other in one session, also after one that failed', async () => {
  const sessions: FakeSession[] = [];
  const catalog = kept(sessions);
  const done: string[] = [];
  const slow = catalog.run(going(), async () => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    done.push('slow');
    throw new Error('failed');
  });
  const quick = catalog.run(going(), () => Promise.resolve(done.push('quick')));
  await expect(slow).rejects.toThrow('failed');
  await quick;
  expect(done).toEqual(['slow', 'quick']);
  expect(sessions).toHaveLength(1);
});

it('opens a session anew where the last one broke, and after it was closed', async () => {
  const sessions: FakeSession[] = [];
  const catalog = kept(sessions);
  const use = (): Promise<FakeSession> => catalog.run(going(), (session) => Promise.resolve(session));
  const first = await use();
  Object.assign(first, {isOpen: false});
  const second = await use();
  expect(second).not.toBe(first);
  await catalog.close();
  await catalog.close();
  expect(second.closed).toBe(1);
  expect(await use()).not.toBe(second);
});

it('opens nothing for a caller who has given up', async () => {
  const sessions: FakeSession[] = [];
  const stopped = {signal: AbortSignal.abort(new Error('enough'))};
  await expect(kept(sessions).run(stopped, () => Promise.resolve())).rejects.toThrow('enough');
  expect(sessions).toEqual([]);
});
