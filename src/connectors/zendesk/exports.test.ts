import {describe, expect, it} from 'vitest';

import type {JsonObject, Offset, Page, RestReadCall} from '../../sdk/index.ts';
import {timeExport} from './exports.ts';

const NOW_MS = Date.parse('2026-01-01T00:00:00Z');

/** Reads an export whose answers come one after the other, and gives the offsets of its pages and of its end. */
async function offsetsOf(
  answers: readonly {readonly status?: number; readonly body: JsonObject}[],
): Promise<readonly (Offset | null)[]> {
  const left = [...answers];
  const client = {json: () => Promise.resolve({status: 200, ...left.shift()})};
  const ctx = {clock: {nowMs: () => NOW_MS}, isFirstCall: true, triggerStartedAt: 1n};
  const call = {client, ctx, table: 'events', option: {}, config: {export_page_size: 2}} as unknown as RestReadCall;
  const pages: AsyncGenerator<Page, Offset | null> = timeExport({path: '/x', records: 'items'}).read(null, call);
  const offsets: (Offset | null)[] = [];
  for (;;) {
    const step = await pages.next();
    if (step.done === true) return [...offsets, step.value];
    offsets.push('offset' in step.value ? (step.value.offset ?? null) : null);
  }
}

function answer(endSeconds: number, isEnd: boolean, count = 2): {readonly body: JsonObject} {
  const items = Array.from({length: count}, (_, id) => ({id}));
  return {body: {items, end_time: endSeconds, end_of_stream: isEnd, count}};
}

describe('an export by time', () => {
  it('keeps what it has read when its last page is empty', async () => {
    expect(await offsetsOf([answer(100, false), answer(200, false), answer(200, true, 0)])).toEqual([
      {start_time: 100},
      {start_time: 200},
      {start_time: 200},
      {start_time: 200},
    ]);
  });

  it('keeps what it has read when what follows is too young', async () => {
    const young = NOW_MS / 1000 - 30;
    expect(await offsetsOf([answer(100, false), answer(young, false)])).toEqual([
      {start_time: 100},
      {start_time: young},
      {start_time: young},
    ]);
    expect((await offsetsOf([answer(100, false), {status: 422, body: {}}])).at(-1)).toEqual({start_time: 100});
  });
});
