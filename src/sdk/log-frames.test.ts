import fc from 'fast-check';
import {describe, expect, it} from 'vitest';

import type {LogTable} from './change-log.ts';
import {FRAME, FRAME_HEADER, FrameWriter, readBegin, readFrames, readSchema, type Frame} from './log-frames.ts';

const TABLE: LogTable = {
  id: 4_000_000_000,
  namespace: ['shop'],
  name: 'Bestellungen ☃',
  columns: [{name: 'id', type: {oid: 23}, isKey: true, isNullable: false}],
  identity: 'key',
};
const POINT = {position: 20n, token: 'there'};

describe('frames of a change log', () => {
  it('come back as they were written', () => {
    const frames = new FrameWriter(16);
    frames.begin(2n ** 64n - 1n, -5n, 'uuid:1-☃');
    frames.schema(TABLE);
    frames.change(TABLE.id, Buffer.from('xxabcyy'), 2, 5);
    frames.truncate(TABLE.id);
    frames.note(0, Buffer.from('note'), 0, 4);
    frames.commit();
    const {bytes, ...batch} = frames.take(POINT);
    const buffer = Buffer.from(bytes);
    expect(copies(buffer).map(({kind}) => kind)).toEqual([
      FRAME.begin,
      FRAME.schema,
      FRAME.change,
      FRAME.truncate,
      FRAME.note,
      FRAME.commit,
    ]);
    const [begin, schema, change] = copies(buffer);
    expect(readBegin(buffer, begin ?? NO_FRAME)).toEqual({
      position: 2n ** 64n - 1n,
      committedAt: -5n,
      transaction: 'uuid:1-☃',
    });
    expect(readSchema(buffer, schema ?? NO_FRAME)).toEqual(TABLE);
    expect(change).toMatchObject({table: TABLE.id});
    expect(buffer.toString('utf8', change?.start, change?.end)).toBe('abc');
    expect(batch).toEqual({
      frames: 6,
      changes: new Map([[TABLE.id, 2]]),
      tables: [TABLE],
      resets: [],
      end: POINT,
      open: null,
      committedAt: -5n,
    });
  });

  it('tell how much of an open transaction is at the end of a batch', () => {
    const frames = new FrameWriter(16);
    frames.begin(1n, 1n, 'a');
    frames.commit();
    const before = frames.length;
    frames.begin(2n, 2n, 'b');
    frames.change(7, Buffer.from('x'), 0, 1);
    const first = frames.take(POINT);
    expect(first.open).toEqual({frames: 2, bytes: first.bytes.length - before});
    expect(frames.isInTransaction).toBe(true);
    frames.change(7, Buffer.from('y'), 0, 1);
    const second = frames.take(null);
    expect(second.open).toEqual({frames: 1, bytes: second.bytes.length});
    frames.commit();
    expect(frames.take(POINT).open).toBeNull();
    expect(frames.isInTransaction).toBe(false);
  });

  it('refuse a batch with a commit that does not say where the log stands', () => {
    const frames = new FrameWriter(16);
    frames.begin(1n, 1n, 'a');
    frames.commit();
    expect(() => frames.take(null)).toThrow(RangeError);
  });

  it('carry tables that must be read anew, once', () => {
    const frames = new FrameWriter(16);
    frames.reset(7, 'why');
    expect(frames.take(null).resets).toEqual([{table: 7, message: 'why'}]);
    expect(frames.take(null).resets).toEqual([]);
  });

  it('keep the bytes of a batch until the next is asked for', () => {
    const frames = new FrameWriter(64);
    frames.change(7, Buffer.from('second'), 0, 6);
    const batch = frames.take(null);
    frames.change(7, Buffer.from('third'), 0, 5);
    expect(Buffer.from(batch.bytes).toString('utf8', FRAME_HEADER)).toBe('second');
  });

  it('are refused where they are cut off, wherever that is', () => {
    const frames = new FrameWriter(16);
    frames.begin(1n, 1n, 'a');
    frames.change(7, Buffer.from('payload'), 0, 7);
    frames.commit();
    const bytes = Buffer.from(frames.take(POINT).bytes);
    const borders = new Set([0, ...copies(bytes).map(({end}) => end)]);
    for (let length = 0; length <= bytes.length; length++) {
      const read = (): unknown => [...readFrames(bytes.subarray(0, length))];
      if (borders.has(length)) expect(read).not.toThrow();
      else expect(read).toThrow(expect.objectContaining({code: 'STAGING_DAMAGED'}));
    }
  });

  it('come back whatever their payloads and wherever batches end', () => {
    const payload = fc.uint8Array({maxLength: 200});
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(0xffff_ffff), payload, fc.boolean())), (changes) => {
        const frames = new FrameWriter(32);
        const read: [number, string][] = [];
        const drain = (): void => {
          const bytes = Buffer.from(frames.take(null).bytes);
          for (const {table, start, end} of readFrames(bytes)) read.push([table, bytes.toString('hex', start, end)]);
        };
        for (const [table, bytes, isEnd] of changes) {
          frames.change(table, bytes, 0, bytes.length);
          if (isEnd) drain();
        }
        drain();
        expect(read).toEqual(changes.map(([table, bytes]) => [table, Buffer.from(bytes).toString('hex')]));
      }),
      {numRuns: 200},
    );
  });
});

const NO_FRAME: Frame = {kind: 0, table: 0, start: 0, end: 0};

/** The same object is used for every frame. */
function copies(bytes: Buffer): readonly Frame[] {
  const found: Frame[] = [];
  for (const frame of readFrames(bytes)) found.push({...frame});
  return found;
}
