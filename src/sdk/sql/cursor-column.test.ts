import {describe, expect, it} from 'vitest';

import {configuredKeys, cursorOffset, lookbackOf, namedCursor, parseCursorOffset} from './cursor-column.ts';

describe('the cursor column', () => {
  const columns = [{name: 'id'}, {name: 'updated_at'}];

  it('is the one that the option names', () => {
    expect(namedCursor('dbo.t', columns, {})).toBeNull();
    expect(namedCursor('dbo.t', columns, {cursor_column: 'id'})).toBe(columns[0]);
    expect(() => namedCursor('dbo.t', columns, {cursor_column: 'update_at'})).toThrow('no column "update_at"');
    expect(configuredKeys({primary_keys: ['id']})).toEqual(['id']);
  });

  it('looks back only where rows that are read again change nothing', () => {
    const doing = {what: 'read table "dbo.t"', table: 'dbo.t'};
    expect(lookbackOf({lookback_seconds: 5}, {isTime: true, keyed: true}, doing)).toBe(5);
    expect(lookbackOf({}, {isTime: false, keyed: false}, doing)).toBe(0);
    expect(() => lookbackOf({lookback_seconds: 5}, {isTime: false, keyed: true}, doing)).toThrow(
      'its cursor is no time',
    );
    expect(() => lookbackOf({lookback_seconds: 5}, {isTime: true, keyed: false}, doing)).toThrow('it has no key');
    expect(() => lookbackOf({lookback_seconds: 5}, null, doing)).toThrow('is read whole');
    expect(lookbackOf({lookback_seconds: 0}, null, doing)).toBe(0);
  });
});

describe('the offset of a cursor', () => {
  it('is read as it was written', () => {
    for (const offset of [
      {value: null, key: null},
      {value: '5', key: null},
      {value: '5', key: ['a', '1']},
    ])
      expect(parseCursorOffset(cursorOffset({name: 'id'}, offset), {name: 'id'}, 'dbo.t')).toEqual(offset);
  });

  it('is refused when another column made it', () => {
    expect(() => parseCursorOffset({column: 'id', value: '5'}, {name: 'at'}, 'dbo.t')).toThrow(
      'was read by cursor column "id"',
    );
  });
});
