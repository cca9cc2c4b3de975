import {describe, expect, it} from 'vitest';

import type {FlowProgress, RunUpdate} from '../runtime/api.ts';
import {progress, recordedOutput} from './io.support.test.ts';
import {createLiveView} from './live-view.ts';
import {createPlainView} from './plain-view.ts';
import {countText, durationText, rateText, sizeText} from './plain-words.ts';
import {screenAfter} from './terminal-screen.support.test.ts';
import {clip, paintFor, visible, widthOf} from './terminal-text.ts';
import {tableLines} from './text-table.ts';

const plain = paintFor(false, {});
const flowUpdate = (flow: FlowProgress): RunUpdate => ({kind: 'flow', updateId: 'u', pipeline: 'p', progress: flow});

/** Sixty tables, eight at once, from queued to done. */
function play(update: (update: RunUpdate) => void, tick: () => void): void {
  const names = Array.from({length: 60}, (_, index) => `main.raw.table_${String(index).padStart(2, '0')}`);
  update({kind: 'update', updateId: 'u', pipeline: 'p', state: 'RUNNING', message: ''});
  for (const name of names) update(flowUpdate(progress(name, {state: 'QUEUED'})));
  for (let start = 0; start < names.length; start += 8) {
    const group = names.slice(start, start + 8);
    for (let step = 1; step <= 5; step++) {
      tick();
      for (const name of group)
        update(flowUpdate(progress(name, {state: 'RUNNING', rowsRead: step * 1000, totalRows: 5000})));
    }
    for (const name of group) update(flowUpdate(progress(name, {rowsRead: 5000, rowsInserted: 5000, version: 1})));
  }
}

describe('the live view', () => {
  it('leaves one line per table and nothing else on the screen', () => {
    const output = recordedOutput({columns: 70, rows: 12});
    let now = 0;
    const view = createLiveView(output, {paint: plain, loudness: 'normal', nowMs: () => now});
    play(
      (update) => view.update(update),
      () => {
        now += 100;
      },
    );
    view.update({kind: 'note', updateId: 'u', pipeline: 'p', level: 'WARN', flow: null, code: 'X', message: 'careful'});
    view.close();
    view.close();
    const lines = screenAfter(output.text()).filter((line) => line !== '');
    expect(lines).toHaveLength(61);
    expect(lines[0]).toBe('COMPLETED  main.raw.table_00: 5,000 read, 5,000 inserted, 10 ms');
    expect(lines.at(-1)).toBe('warning: [X] careful');
  });

  it('fits its block into the terminal', () => {
    const output = recordedOutput({columns: 50, rows: 6});
    let now = 0;
    const view = createLiveView(output, {paint: plain, loudness: 'normal', nowMs: () => now});
    play(
      (update) => view.update(update),
      () => {
        now += 100;
      },
    );
    const frames = output.text().split('\x1b[?2026h').slice(1);
    for (const frame of frames) {
      const block = screenAfter(frame.replace(/COMPLETED [^\n]*\n/g, '')).filter((line) => line !== '');
      expect(block.length).toBeLessThanOrEqual(5);
      for (const line of block) expect(widthOf(line)).toBeLessThanOrEqual(49);
    }
    expect(frames.some((frame) => frame.includes('more running'))).toBe(true);
    expect(frames.some((frame) => frame.includes('40 %'))).toBe(true);
    view.close();
  });

  it('draws no more often than the eye sees', () => {
    const output = recordedOutput({columns: 80, rows: 24});
    const view = createLiveView(output, {paint: plain, loudness: 'normal', nowMs: () => 5});
    for (let n = 0; n < 1000; n++) view.update(flowUpdate(progress('a', {state: 'RUNNING', rowsRead: n})));
    view.close();
    expect(output.text().split('\x1b[?2026h')).toHaveLength(3);
  });
});

describe('the plain view', () => {
  it('prints a line per table that ended, and now and then one that goes on', () => {
    const output = recordedOutput();
    let now = 0;
    const view = createPlainView(output, {paint: plain, loudness: 'normal', nowMs: () => now});
    play(
      (update) => view.update(update),
      () => undefined,
    );
    expect(output.text().trim().split('\n')).toHaveLength(60);
    const before = output.text().length;
    for (const seconds of [0, 10, 31, 35, 65]) {
      now = seconds * 1000;
      view.update(flowUpdate(progress('main.raw.big', {state: 'RUNNING', rowsRead: seconds * 100, totalRows: 10_000})));
    }
    expect(output.text().slice(before)).toBe(
      'RUNNING  main.raw.big: 3,100 read, 100/s, 31 %, 1:09 left\nRUNNING  main.raw.big: 6,500 read, 100/s, 65 %, 35.0 s left\n',
    );
  });

  it('tells more when it is asked to', () => {
    const output = recordedOutput();
    const view = createPlainView(output, {paint: plain, loudness: 'verbose', nowMs: () => 0});
    view.update({kind: 'update', updateId: 'u', pipeline: 'p', state: 'RUNNING', message: ''});
    view.update({
      kind: 'note',
      updateId: 'u',
      pipeline: 'p',
      level: 'INFO',
      flow: 'a.b.c',
      code: 'N',
      message: 'line\nbreak',
    });
    view.update(flowUpdate(progress('a.b.c', {state: 'PLANNING'})));
    expect(output.text()).toBe('p: RUNNING\nnote: a.b.c: [N] line\\nbreak\nPLANNING  a.b.c: 0 read\n');
  });
});

describe('words', () => {
  it('are short and right at their limits', () => {
    expect([0, 999, 1000, 1234567].map(countText)).toEqual(['0', '999', '1,000', '1,234,567']);
    expect([0, 999, 1000, 12_345, 999_949, 1e15].map(sizeText)).toEqual([
      '0 B',
      '999 B',
      '1.00 kB',
      '12.3 kB',
      '1.00 MB',
      '1.00 PB',
    ]);
    expect([0, 999, 1000, 59_949, 60_000, 3_600_000, 3_723_000].map(durationText)).toEqual([
      '0 ms',
      '999 ms',
      '1.0 s',
      '59.9 s',
      '1:00',
      '1:00:00',
      '1:02:03',
    ]);
    expect([0, 999, 1000, 1_000_000].map(rateText)).toEqual(['0/s', '999/s', '1.0k/s', '1.0M/s']);
  });

  it('take the width that terminals give them', () => {
    expect(['abc', 'äöü', '日本', '👍'].map(widthOf)).toEqual([3, 3, 4, 2]);
    expect(clip('日本語テキスト', 7)).toBe('日本語…');
    expect(clip('abcdef', 4)).toBe('abc…');
    expect(visible('a\tb\x1b[2J\u202e')).toBe('a\\tb\\u001b[2J\\u202e');
  });

  it('have colours on terminals only, and not with NO_COLOR', () => {
    expect(paintFor(true, {}).red('x')).toBe('\x1b[31mx\x1b[0m');
    expect(paintFor(true, {NO_COLOR: '1'}).red('x')).toBe('x');
    expect(paintFor(true, {NO_COLOR: ''}).red('x')).toBe('\x1b[31mx\x1b[0m');
    expect(paintFor(false, {}).red('x')).toBe('x');
  });
});

describe('tables', () => {
  it('shrink the widest column first, and leave out the last only when they must', () => {
    const table = {
      columns: [
        {title: 'A', align: 'left' as const},
        {title: 'B', align: 'right' as const},
        {title: 'C', align: 'left' as const},
      ],
      rows: [
        ['x'.repeat(30), '1', 'yyy'],
        ['日本', '22', ''],
      ],
    };
    expect(tableLines(table, {width: 20, paint: plain})).toEqual([
      'A             B  C',
      'xxxxxxxxxx…   1  yyy',
      '日本         22',
    ]);
    expect(tableLines(table, {width: 12, paint: plain}).at(-1)).toContain('1 more column');
  });
});
