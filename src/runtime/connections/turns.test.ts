import {spawnSync} from 'node:child_process';
import {hostname} from 'node:os';

import {describe, expect, it} from 'vitest';

import {inTurn, type TurnCell} from './turns.ts';

function cellOf(first: object | null): TurnCell & {readonly value: () => string | null} {
  let value = first === null ? null : JSON.stringify(first);
  return {
    value: () => value,
    read: () => Promise.resolve(value),
    replace(expected, next) {
      const isExpected = value === expected;
      if (isExpected) value = next;
      return Promise.resolve(isExpected);
    },
  };
}

const later = Date.now() + 3_600_000;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe('a turn', () => {
  it('is had by one at a time, also when the work fails', async () => {
    const cell = cellOf(null);
    let inside = 0;
    const work = async (): Promise<void> => {
      inside += 1;
      expect(inside).toBe(1);
      await pause(5);
      inside -= 1;
      throw new Error('failed');
    };
    const ends = await Promise.allSettled(Array.from({length: 4}, () => inTurn(cell, work)));
    expect(ends.map((end) => end.status)).toEqual(['rejected', 'rejected', 'rejected', 'rejected']);
    expect(cell.value()).toBeNull();
  });

  it('ends with its process', async () => {
    const {pid} = spawnSync(process.execPath, ['--version']);
    const cell = cellOf({id: 'x', pid, host: hostname(), untilMs: later});
    expect(await inTurn(cell, () => Promise.resolve('done'))).toBe('done');
  });

  it('ends with its time', async () => {
    const cell = cellOf({id: 'x', pid: process.pid, host: 'elsewhere', untilMs: Date.now() - 1});
    expect(await inTurn(cell, () => Promise.resolve('done'))).toBe('done');
  });

  it('is waited for while its process lives, here or elsewhere', async () => {
    for (const host of [hostname(), 'elsewhere']) {
      const turn = {id: 'x', pid: process.pid, host, untilMs: later};
      const cell = cellOf(turn);
      let isDone = false;
      const waiting = inTurn(cell, () => Promise.resolve()).then(() => {
        isDone = true;
      });
      await pause(60);
      expect(isDone).toBe(false);
      await cell.replace(JSON.stringify(turn), null);
      await waiting;
    }
  });
});
