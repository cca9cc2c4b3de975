import {getEventListeners} from 'node:events';
import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {describe, expect, it} from 'vitest';

import {systemClock} from '../core/clock.ts';
import {attempt, DEFAULT_RETRIES, type RetryTools} from './attempts.ts';
import {sendParts} from './upload-parts.ts';

const TOOLS: RetryTools = {
  policy: DEFAULT_RETRIES,
  clock: systemClock,
  random: () => 0,
  classify: () => ({kind: 'refused', code: 'no', message: 'no'}),
  failed: () => new Error('failed'),
};

/** What Node keeps for a signal: listeners, and signals made of it, whether they are used or not. */
function keptBy(signal: AbortSignal): number {
  const [kept] = Object.getOwnPropertySymbols(signal).filter((symbol) => symbol.description === 'kDependantSignals');
  const made = kept === undefined ? 0 : ((signal as unknown as Record<symbol, ReadonlySet<unknown>>)[kept]?.size ?? 0);
  return made + getEventListeners(signal, 'abort').length;
}

describe('a signal that outlives many calls', () => {
  it('keeps nothing of attempts, and ends the one under way', async () => {
    const stop = new AbortController();
    for (let count = 0; count < 20; count++)
      expect(await attempt(() => Promise.resolve(count), TOOLS, stop.signal)).toBe(count);
    expect(keptBy(stop.signal)).toBe(0);
    const waiting = attempt(() => new Promise<never>(() => undefined), TOOLS, stop.signal);
    stop.abort(new Error('stopped'));
    await expect(waiting).rejects.toThrow('stopped');
    expect(keptBy(stop.signal)).toBe(0);
  });

  it('keeps nothing of uploads in parts', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'parts-'));
    try {
      const path = join(folder, 'file');
      await writeFile(path, 'content');
      const {signal} = new AbortController();
      for (let count = 0; count < 5; count++)
        await sendParts(
          {path, sizeBytes: 7},
          ({index}) => Promise.resolve(index),
          (call, both = signal) => attempt(call, TOOLS, both),
          signal,
        );
      expect(keptBy(signal)).toBe(0);
    } finally {
      await rm(folder, {recursive: true});
    }
  });
});
