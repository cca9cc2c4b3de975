import fc from 'fast-check';
import {describe, expect, it} from 'vitest';

import {EVENT} from './events.ts';
import {encodeGtidSet, parseGtidSet, readGtid} from './gtid.ts';

const UUID = '3e11fa47-71ca-11e1-9e33-c80aa9429562';

describe('a set of GTIDs', () => {
  it('keeps what a set of numbers keeps, whatever the order', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), fc.integer({min: 1, max: 40})), {maxLength: 60}), (added) => {
        const set = parseGtidSet('');
        const numbers = new Set<string>();
        for (const [isTagged, number] of added) {
          const gtid = isTagged ? `${UUID}:tag:${number}` : `${UUID}:${number}`;
          set.add(gtid);
          numbers.add(gtid);
        }
        const again = parseGtidSet(set.toString());
        for (let number = 1; number <= 41; number++) {
          for (const gtid of [`${UUID}:${number}`, `${UUID}:tag:${number}`]) {
            expect([gtid, set.has(gtid), again.has(gtid)]).toEqual([gtid, numbers.has(gtid), numbers.has(gtid)]);
          }
        }
      }),
    );
  });

  it('reads the notation of MySQL, over lines and in any case', () => {
    const set = parseGtidSet(`${UUID.toUpperCase()}:1-5:7:TAG:3-4,\n11111111-71ca-11e1-9e33-c80aa9429562:9`);
    expect(set.toString()).toBe(`11111111-71ca-11e1-9e33-c80aa9429562:9,${UUID}:1-5:7:tag:3-4`);
    expect([5, 6, 7].map((number) => set.has(`${UUID}:${number}`))).toEqual([true, false, true]);
    expect(set.has(`${UUID}:tag:4`)).toBe(true);
  });

  it('is a place per domain with MariaDB', () => {
    const set = parseGtidSet('0-1-5,7-2-9');
    expect(['0-1-5', '0-3-6', '7-9-9', '1-1-1'].map((gtid) => set.has(gtid))).toEqual([true, false, true, false]);
    set.add('0-3-6');
    expect(set.toString()).toBe('0-3-6,7-2-9');
  });

  it('is encoded as servers take it', () => {
    const bytes = encodeGtidSet(`${UUID}:1-5:7`);
    expect(bytes.toString('hex')).toBe(
      `0100000000000000${UUID.replaceAll('-', '')}0200000000000000` +
        '01000000000000000600000000000000' +
        '07000000000000000800000000000000',
    );
    expect(encodeGtidSet('').toString('hex')).toBe('0000000000000000');
  });
});

describe('a GTID event', () => {
  it('of MariaDB names domain, server and number', () => {
    const event = Buffer.alloc(19 + 13 + 6);
    event.writeUInt32LE(1_700_000_000, 0);
    event[4] = EVENT.mariaGtid;
    event.writeUInt32LE(3, 5);
    event.writeBigUInt64LE(12n, 19);
    event.writeUInt32LE(2, 27);
    event[31] = 0x41;
    expect(readGtid(event)).toEqual({
      gtid: '2-3-12',
      committedAt: 1_700_000_000_000_000n,
      isStandalone: true,
      isPreparedXa: true,
    });
  });
});
