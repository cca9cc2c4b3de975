import {quoteLiteral} from './sql-types.ts';

/*
 * DuckDB's JSON functions read numbers as doubles: 12345678901234567.89 comes out as 12345678901234568.0. In marked JSON
 * every number that is no integer is a string instead, which begins with a character that JSON cannot hold unescaped.
 */

/** The mark, as SQL. */
export const MARK = 'chr(1)';

const STRING = '"(?:[^"\\\\]|\\\\.)*"';
const FRACTION = '-?[0-9]+(?:\\.[0-9]+(?:[eE][+-]?[0-9]+)?|[eE][+-]?[0-9]+)';

/** SQL of a JSON text with its numbers marked. */
export function markJson(json: string): string {
  const around = `regexp_replace(${json}, ${quoteLiteral(`(${STRING})|(${FRACTION})`)}, '\\1' || ${MARK} || '\\2' || ${MARK}, 'g')`;
  const fractionsOnly = `replace(${around}, ${MARK} || ${MARK}, '')`;
  // Marks come in pairs now: the first of a pair opens the string, with the mark inside, the second closes it.
  return `regexp_replace(${fractionsOnly}, '\\x01([^\\x01]*)\\x01', '"\\\\u0001\\1"', 'g')`;
}

/** SQL of a marked JSON text with its numbers back; other JSON is not changed. */
export function unmarkJson(json: string): string {
  return `regexp_replace(${json}, '"\\\\u0001([^"]*)"', '\\1', 'g')`;
}
