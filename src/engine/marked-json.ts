import {quoteLiteral} from './sql-types.ts';

/*
 * DuckDB's JSON functions read numbers as doubles: 12345678901234567.89 comes out as 12345678901234568.0. In marked JSON
 * every number that is no integer is a string instead, which begins with two characters that JSON cannot hold unescaped.
 * A string of a file that begins with them and goes on as a number would be taken for one: nobody writes that.
 */

const STRING = '"(?:[^"\\\\]|\\\\.)*"';
const FRACTION = '-?[0-9]+(?:\\.[0-9]+(?:[eE][+-]?[0-9]+)?|[eE][+-]?[0-9]+)';
const MARK = 'chr(1) || chr(2)';
const ESCAPED_MARK = '\\u0001\\u0002';

/** SQL of a JSON text with its numbers marked. */
export function markJson(json: string): string {
  const around = `regexp_replace(${json}, ${quoteLiteral(`(${STRING})|(${FRACTION})`)}, '\\1' || chr(1) || '\\2' || chr(1), 'g')`;
  const fractionsOnly = `replace(${around}, chr(1) || chr(1), '')`;
  // Characters of value 1 come in pairs now, around the numbers.
  const replacement = quoteLiteral(`"${ESCAPED_MARK.replaceAll('\\', '\\\\')}\\1"`);
  return `regexp_replace(${fractionsOnly}, '\\x01([^\\x01]*)\\x01', ${replacement}, 'g')`;
}

/** SQL of a marked JSON text with its numbers back; other JSON is not changed. */
export function unmarkJson(json: string): string {
  const pattern = `"${ESCAPED_MARK.replaceAll('\\', '\\\\')}(${FRACTION})"`;
  return `regexp_replace(${json}, ${quoteLiteral(pattern)}, '\\1', 'g')`;
}

/** SQL of a text extracted from marked JSON: the digits of a marked number; other text is not changed. */
export function unmarkText(text: string): string {
  return `CASE WHEN starts_with(${text}, ${MARK}) THEN substr(${text}, 3) ELSE ${text} END`;
}

/** {@link unmarkText} of a text that may also be JSON with marked numbers in it. */
export function unmarkTextOrJson(text: string): string {
  const hasMarks = `contains(${text}, ${quoteLiteral(ESCAPED_MARK)})`;
  return `CASE WHEN starts_with(${text}, ${MARK}) THEN substr(${text}, 3) WHEN ${hasMarks} THEN ${unmarkJson(text)} ELSE ${text} END`;
}
