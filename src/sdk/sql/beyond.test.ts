import fc from 'fast-check';
import {expect, it} from 'vitest';

import {beyondSql} from './beyond.ts';

it('writes a comparison of keys out for the optimizer', () => {
  expect(beyondSql(['a'], ['1'], '>')).toBe('a > 1');
  expect(beyondSql(['a', 'b'], ['1', '2'], '>')).toBe('a >= 1 and (a > 1 or (a = 1 and b > 2))');
  expect(beyondSql(['a', 'b'], ['1', '2'], '<=')).toBe('a <= 1 and (a < 1 or (a = 1 and b <= 2))');
});

it('is true for the keys behind a key, and for no others', () => {
  const key = fc.array(fc.integer({min: 0, max: 3}), {minLength: 3, maxLength: 3});
  fc.assert(
    fc.property(key, key, (row, bound) => {
      const order = row.map((value, index) => Math.sign(value - (bound[index] ?? 0))).find((sign) => sign !== 0) ?? 0;
      expect(holds(beyondSql(row.map(String), bound.map(String), '>'))).toBe(order > 0);
      expect(holds(beyondSql(row.map(String), bound.map(String), '<='))).toBe(order <= 0);
    }),
  );
});

/** Evaluates comparisons of digits, innermost parentheses first. */
function holds(sql: string): boolean {
  let text = sql.replaceAll(/(\d) (>=|<=|>|<|=) (\d)/g, (_, left: string, operator: string, right: string) =>
    String(compare(left, operator, right)),
  );
  while (text.includes('(')) text = text.replace(/\(([^()]*)\)/, (_, inner: string) => String(flat(inner)));
  return flat(text);
}

function flat(text: string): boolean {
  return text.split(' or ').some((part) => part.split(' and ').every((each) => each === 'true'));
}

function compare(left: string, operator: string, right: string): boolean {
  const order = Number(left) - Number(right);
  switch (operator) {
    case '>':
      return order > 0;
    case '<':
      return order < 0;
    case '>=':
      return order >= 0;
    case '<=':
      return order <= 0;
    default:
      return order === 0;
  }
}
