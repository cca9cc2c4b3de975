import {expect, it} from 'vitest';

import type {JsonObject} from '../core/json-value.ts';
import type {Offset} from '../core/offset.ts';
import type {ReadContext, TableOptions} from './contract.ts';
import {readByWindows} from './read-by-windows.ts';
import type {TimeWindow} from './windows.ts';

const T0 = 1_767_225_600_000_000n;
const seconds = (count: number): bigint => T0 + BigInt(count) * 1_000_000n;

/** Windows that were asked for, in seconds since T0, and the offsets of pages and end. */
async function read(
  start: Offset | null,
  options: TableOptions,
  {now, isFirstCall = true}: {readonly now: number; readonly isFirstCall?: boolean},
): Promise<{readonly asked: readonly string[]; readonly offsets: readonly (Offset | null)[]}> {
  const asked: string[] = [];
  const offsets: (Offset | null)[] = [];
  const pages = readByWindows({
    start,
    options,
    ctx: {triggerStartedAt: seconds(now), isFirstCall} as ReadContext,
    first: () => Promise.resolve(seconds(0)),
    lagSeconds: 10,
    async *rows({start: from, end}: TimeWindow): AsyncGenerator<readonly JsonObject[]> {
      asked.push(`${(from - T0) / 1_000_000n}-${(end - T0) / 1_000_000n}`);
      yield [{id: 1}];
    },
  });
  for (;;) {
    const step = await pages.next();
    if (step.done === true) return {asked, offsets: [...offsets, step.value]};
    if ('kind' in step.value && step.value.offset !== undefined) offsets.push(step.value.offset);
  }
}

it('reads windows as the options say: where they begin, how long they are, and what comes again', async () => {
  const whole = await read(null, {}, {now: 110});
  expect(whole).toEqual({asked: ['0-100'], offsets: [{until: '2026-01-01T00:01:40.000000Z'}]});
  const [end = null] = whole.offsets;
  expect(await read(end, {}, {now: 110})).toEqual({asked: [], offsets: [end]});
  const cut = await read(null, {start_timestamp: '2026-01-01T00:00:20Z', window_seconds: 40}, {now: 110});
  expect(cut.asked).toEqual(['20-60', '60-100']);
  expect(cut.offsets).toEqual([{until: '2026-01-01T00:01:00.000000Z'}, end]);
  expect((await read(end, {lookback_seconds: 30, window_seconds: 40}, {now: 200})).asked).toEqual([
    '70-140',
    '140-180',
    '180-190',
  ]);
  expect((await read(end, {lookback_seconds: 30}, {now: 200, isFirstCall: false})).asked).toEqual(['100-190']);
});
