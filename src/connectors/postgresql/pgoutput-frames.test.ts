import fc from 'fast-check';
import {describe, expect, it} from 'vitest';

import type {LogBatch, LogTable} from '../../sdk/index.ts';
import {FRAME, FrameWriter, readBegin, readFrames} from '../../sdk/index.ts';
import {formatLsn, parseLsn} from '../../wire/pg/replication.ts';
import {pgCodec} from './log-codec.ts';
import type {Relation} from './pgoutput-frames.ts';
import {PgoutputFramer} from './pgoutput-frames.ts';

const TABLE: LogTable = {
  id: 7,
  namespace: ['public'],
  name: 't',
  columns: [{name: 'id', type: {name: 'int4', modifier: -1}, isKey: true, isNullable: false}],
  identity: 'key',
};
const RELATION: Relation = {oid: 7, table: TABLE, isPart: false, reset: null};

/** A CopyData message with log data. */
function logData(body: Buffer): Buffer {
  const header = Buffer.alloc(30);
  header[0] = 0x64;
  header.writeUInt32BE(29 + body.length, 1);
  header[5] = 0x77;
  return Buffer.concat([header, body]);
}

function keepalive(end: bigint): Buffer {
  const message = Buffer.alloc(23);
  message[0] = 0x64;
  message.writeUInt32BE(22, 1);
  message[5] = 0x6b;
  message.writeBigUInt64BE(end, 6);
  return message;
}

function begin(position: bigint, xid: number): Buffer {
  const body = Buffer.alloc(21);
  body.write('B');
  body.writeBigUInt64BE(position, 1);
  body.writeUInt32BE(xid, 17);
  return logData(body);
}

function commit(end: bigint): Buffer {
  const body = Buffer.alloc(26);
  body.write('C');
  body.writeBigUInt64BE(end, 10);
  return logData(body);
}

function insert(oid: number, id: string): Buffer {
  const head = Buffer.from('I....N\0\x01t....');
  head.writeUInt32BE(oid, 1);
  head.writeUInt32BE(id.length, 9);
  return logData(Buffer.concat([head, Buffer.from(id)]));
}

function framed(
  messages: readonly Buffer[],
  start: {from?: bigint; xid?: bigint} = {},
): {batch: LogBatch; end: bigint | null} {
  const writer = new FrameWriter();
  const framer = new PgoutputFramer(writer, {from: start.from ?? 0n, xid: start.xid ?? 1000n});
  framer.resolve(RELATION);
  const buffer = Buffer.concat(messages);
  const {bytes, stop} = framer.run({buffer, start: 0, end: buffer.length});
  expect([bytes, stop]).toEqual([buffer.length, 'drained']);
  const end = framer.takeEnd();
  return {batch: writer.take(end === null ? null : {position: end, token: null}), end};
}

function kindsOf(batch: LogBatch): readonly number[] {
  const kinds: number[] = [];
  for (const {kind} of readFrames(Buffer.from(batch.bytes))) kinds.push(kind);
  return kinds;
}

describe('frames of the replication stream', () => {
  it('have the schema before the first change, and no transaction without one', () => {
    const {batch, end} = framed([
      begin(100n, 5),
      commit(110n),
      begin(120n, 6),
      insert(7, '1'),
      insert(7, '2'),
      commit(130n),
      begin(140n, 7),
      insert(7, '3'),
      commit(150n),
    ]);
    const {begin: opens, schema, change, commit: ends} = FRAME;
    expect(kindsOf(batch)).toEqual([opens, schema, change, change, ends, opens, change, ends]);
    expect(end).toBe(150n);
    expect(batch.changes).toEqual(new Map([[7, 3]]));
  });

  it('leave out what committed at or before the start, also where commits touch each other', () => {
    const messages = [begin(100n, 5), insert(7, '1'), commit(110n), begin(110n, 6), insert(7, '2'), commit(120n)];
    expect(framed(messages, {from: 109n}).batch.changes).toEqual(new Map([[7, 1]]));
    expect(framed(messages, {from: 110n}).batch.changes).toEqual(new Map([[7, 1]]));
    expect(framed(messages, {from: 120n}).batch.frames).toBe(0);
    expect(framed(messages).batch.changes).toEqual(new Map([[7, 2]]));
  });

  it('take the position of a keepalive only between transactions', () => {
    expect(framed([keepalive(90n)]).end).toBe(90n);
    expect(framed([keepalive(90n), begin(100n, 5), insert(7, '1'), keepalive(105n)]).end).toBe(90n);
    expect(framed([begin(100n, 5), commit(110n), keepalive(105n)]).end).toBe(110n);
  });

  it('stop for a relation that nobody has looked up, and go on at the same change', () => {
    const writer = new FrameWriter();
    const framer = new PgoutputFramer(writer, {from: 0n, xid: 1000n});
    const buffer = Buffer.concat([begin(100n, 5), insert(8, '1'), commit(110n)]);
    const first = framer.run({buffer, start: 0, end: buffer.length});
    expect([first.stop, framer.missing.oid]).toEqual(['relation', 8]);
    framer.resolve({oid: 8, table: null, isPart: false, reset: null});
    const second = framer.run({buffer, start: first.bytes, end: buffer.length});
    expect([first.bytes + second.bytes, second.stop]).toEqual([buffer.length, 'drained']);
    expect(writer.length).toBe(0);
  });

  it('name transactions by ids of 64 bits, across epochs', () => {
    fc.assert(
      fc.property(fc.bigInt(0n, 2n ** 40n), fc.integer({min: -(2 ** 31) + 1, max: 2 ** 31 - 1}), (now, distance) => {
        const wanted = now + BigInt(distance);
        fc.pre(wanted >= 3n);
        const messages = [begin(100n, Number(wanted & 0xffff_ffffn)), insert(7, '1'), commit(110n)];
        const bytes = Buffer.from(framed(messages, {xid: now}).batch.bytes);
        const [first] = readFrames(bytes);
        if (first === undefined) throw new Error('no frame');
        expect(readBegin(bytes, first).transaction).toBe(wanted.toString());
      }),
    );
  });
});

describe('what a snapshot sees', () => {
  it.each([
    ['9', true],
    ['10', false],
    ['11', true],
    ['12', false],
    ['15', true],
    ['20', false],
    ['4294967305', false],
  ])('transaction %s: %s', (transaction, isSeen) => {
    expect(pgCodec.isVisible(transaction, '10:20:10,12')).toBe(isSeen);
    expect(pgCodec.isVisible(transaction, '10:20:10,12')).toBe(isSeen);
  });

  it('is everything before it where nothing ran', () => {
    expect(pgCodec.isVisible('19', '20:20:')).toBe(true);
    expect(pgCodec.isVisible('20', '20:20:')).toBe(false);
  });
});

it('prints and reads LSNs as the server does', () => {
  expect(formatLsn(0x16_b374_d848n)).toBe('16/B374D848');
  expect(parseLsn('16/B374D848')).toBe(0x16_b374_d848n);
  expect(parseLsn('0/0')).toBe(0n);
  expect(parseLsn('1/2/3')).toBeNull();
});
