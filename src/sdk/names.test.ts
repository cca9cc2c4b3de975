import {expect, test} from 'vitest';
import {parseQualifiedName, qualifiedName} from './names.ts';

test.each([['public', 'flights'], ['a.b', 'c"d'], [' x', ''], ['plain']].map(parts => [parts]))('a name of %j can be read back', parts => {
  expect(parseQualifiedName(qualifiedName(parts))).toEqual(parts);
});

test('plain parts stay plain', () => {
  expect(qualifiedName(['public', 'Flights 2026'])).toBe('public.Flights 2026');
});

test.each(['a"b', '"a', 'a..b', '.'])('%s is refused', text => {
  expect(() => parseQualifiedName(text)).toThrow('is no table name');
});
