import fc from 'fast-check';
import {describe, expect, it} from 'vitest';

import {isIngestError} from './errors.ts';
import {parsePredicate, predicateColumns, renderPredicate} from './predicate.ts';

const seed = Date.now() % 1_000_000_007;

const duckdb = (text: string): string => renderPredicate(parsePredicate(text), 'duckdb');

describe('parsePredicate and renderPredicate', () => {
  it.each([
    ['a = 1', '("a" = 1)'],
    ['a == 1 or b != -2.5e3', '(("a" = 1) OR ("b" <> -2.5e3))'],
    ['not a < 1 and b >= .5', '((NOT ("a" < 1)) AND ("b" >= 0.5))'],
    ['a = 1 OR b = 2 AND c = 3', '(("a" = 1) OR (("b" = 2) AND ("c" = 3)))'],
    ['(a = 1 OR b = 2) AND c <=> NULL', '((("a" = 1) OR ("b" = 2)) AND ("c" IS NOT DISTINCT FROM NULL))'],
    ['`select` IS NULL', '("select" IS NULL)'],
    ['"we""ird" is not null', '("we""ird" IS NOT NULL)'],
    ["state IN ('a', 'it''s')", `("state" IN ('a', 'it''s'))`],
    ['n not in (1,2 , 3.)', '("n" NOT IN (1, 2, 3))'],
    ['n BETWEEN 1 AND 2 AND m', '(("n" BETWEEN 1 AND 2) AND ("m"))'],
    ['n NOT BETWEEN low AND 2', '("n" NOT BETWEEN "low" AND 2)'],
    ["name LIKE 'a\\%b%'", `("name" LIKE 'a\\%b%' ESCAPE '\\')`],
    ["name NOT LIKE '_'", `("name" NOT LIKE '_' ESCAPE '\\')`],
    ['NOT is_deleted', '(NOT ("is_deleted"))'],
    ['TRUE', '(TRUE)'],
    ["d >= DATE '2024-02-29'", `("d" >= DATE '2024-02-29')`],
    ["t < TIMESTAMP '2024-01-31 12:00:00.5+02:00'", `("t" < TIMESTAMPTZ '2024-01-31 10:00:00.500000+00')`],
    ['date > 1 and timestamp > 2', '(("date" > 1) AND ("timestamp" > 2))'],
    ['a.b.`c d` = 1', '("a"."b"."c d" = 1)'],
    ['1 < größe', '(1 < "größe")'],
  ])('reads %s', (text, sql) => {
    expect(duckdb(text)).toBe(sql);
  });

  it('renders struct fields for PostgreSQL', () => {
    expect(renderPredicate(parsePredicate('a.b = TRUE'), 'postgresql')).toBe('(("a")."b" = TRUE)');
  });

  it('names every column once', () => {
    expect(
      predicateColumns(parsePredicate("a.b = 1 AND (c IN (1) OR c IS NULL) AND NOT d LIKE 'x' AND e BETWEEN f AND 2")),
    ).toEqual(['a.b', 'c', 'd', 'e', 'f']);
  });

  it.each([
    ['', 1],
    ['a =', 4],
    ['a >> 5', 4],
    ['a = 1 b = 2', 7],
    ['(a = 1', 7],
    ["a = 'x", 5],
    ['a = NULL', 1],
    ['a IN (1, NULL)', 10],
    ['a IN ()', 7],
    ['a IN (b)', 7],
    ['a IS 1', 6],
    ["'x'", 4],
    ["a LIKE 'x\\y'", 8],
    ['a LIKE b', 8],
    ["a > DATE '2024-02-30'", 10],
    ["a > TIMESTAMP 'soon'", 15],
    ['a; DROP TABLE b', 2],
    ['a = 1 -- x', 7],
    ['select = in', 10],
    ['a NOT 5', 7],
    ['a = "x', 5],
    [`${'('.repeat(200)}a`, 101],
  ])('refuses %j at its place', (text, position) => {
    let thrown: unknown;
    try {
      parsePredicate(text);
    } catch (error) {
      thrown = error;
    }
    expect(isIngestError(thrown, 'INVALID_PREDICATE') && thrown.context['position']).toBe(position);
  });

  it('shows the place with a caret in the line', () => {
    expect(() => parsePredicate('a = 1\n  AND b >> 2')).toThrow('  AND b >> 2\n           ^');
  });

  it(`never lets a name or text out of its quotes (seed ${seed})`, () => {
    fc.assert(
      fc.property(fc.string({minLength: 1, unit: 'binary'}), fc.string({unit: 'binary'}), (name, text) => {
        fc.pre(!name.includes('\0') && !text.includes('\0'));
        const column = `"${name.replaceAll('"', '""')}"`;
        const literal = `'${text.replaceAll("'", "''")}'`;
        expect(duckdb(`\`${name.replaceAll('`', '``')}\` = ${literal}`)).toBe(`(${column} = ${literal})`);
        expect(predicateColumns(parsePredicate(`${column} = ${literal}`))).toEqual([name]);
      }),
      {seed, interruptAfterTimeLimit: 200, numRuns: 100_000},
    );
  });

  it(`parses any text or refuses it in its own words (seed ${seed})`, () => {
    const piece = fc.constantFrom(
      'a',
      'AND',
      'OR',
      'NOT',
      '(',
      ')',
      '=',
      '<=>',
      'IN',
      '1',
      "'x'",
      'NULL',
      'IS',
      'BETWEEN',
      'LIKE',
      ',',
      '.',
      'DATE',
      '-',
    );
    fc.assert(
      fc.property(fc.array(piece, {maxLength: 12}), (pieces) => {
        try {
          const predicate = parsePredicate(pieces.join(' '));
          // What was rendered means the same when it is read again.
          expect(
            parsePredicate(
              duckdb(pieces.join(' ')).replaceAll(" ESCAPE '\\'", '').replaceAll('IS NOT DISTINCT FROM', '<=>'),
            ),
          ).toEqual(predicate);
        } catch (error) {
          if (!isIngestError(error, 'INVALID_PREDICATE')) throw error;
        }
      }),
      {seed, interruptAfterTimeLimit: 200, numRuns: 100_000},
    );
  });
});
