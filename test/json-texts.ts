import fc from 'fast-check';

/** What JSON texts may hold. */
export interface JsonTextOptions {
  /** Names with escapes among the others. */
  readonly escapedNames: boolean;
}

/** Numbers of every form that JSON has, many of them such that a double would change them. */
export const numberText: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom('0', '-0', '-0.0', '1.0', '0.1', '1E+2', '1e400', '-1e-400', '0e999', '12345678901234567890', '1.50'),
  fc.constantFrom(
    '9007199254740993',
    '999999999999999',
    '1000000000000000',
    '-99999999999999',
    '0.000001',
    '0.0000001',
    '-0.00000012',
    '1e21',
  ),
  fc.integer().map(String),
  fc.double({noNaN: true, noDefaultInfinity: true}).map((value) => JSON.stringify(value)),
  fc
    .tuple(
      fc.constantFrom('', '-'),
      fc.stringMatching(/^(0|[1-9]\d{0,17})$/),
      fc.stringMatching(/^(\.\d{1,17})?$/),
      fc.constantFrom('', '', '', 'e5', 'E+12', 'e-7', 'e0017', 'E-300', 'e309'),
    )
    .map((parts) => parts.join('')),
);

const plainPiece = fc.oneof(
  fc.string({maxLength: 4}).map((text) => text.replaceAll(/["\\]/g, '')),
  fc.constantFrom('é', '€', '😀', '\u2028', '\u007f', '\ufeff', '\ufffd', 'ſ', '1', '12345678901234567890', ': 1e400,'),
  fc.constantFrom('{', '}', '[', ']', ',', ':', ' ', '0.10', 'null', '/'),
);
const escapePiece = fc.oneof(
  fc.constantFrom('\\n', '\\t', '\\r', '\\b', '\\f', '\\"', '\\\\', '\\/', '\\u0000', '\\u0041', '\\u00e9', '\\u2028'),
  fc.constantFrom('\\ud83d\\ude00', '\\uD83D\\uDE00', '\\ud83d', '\\ude00', '\\ufffd', '\\u001F'),
);

function stringOf(piece: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc.array(piece, {maxLength: 4}).map((pieces) => `"${pieces.join('')}"`);
}

/** Strings with and without escapes, among them lone surrogates. */
export const stringText: fc.Arbitrary<string> = fc.oneof(
  stringOf(plainPiece),
  stringOf(fc.oneof(plainPiece, escapePiece)),
);

/** Names of which many come twice, and many mean something to objects. */
const plainName = fc.oneof(
  fc.constantFrom('', 'a', 'b', 'a b', 'é', '__proto__', 'constructor', 'toString', 'toJSON', 'length', '\ufffd'),
  fc.constantFrom('0', '1', '10', '007', '-1', '4294967295', '1a'),
);
const nameText = fc.oneof(
  {weight: 5, arbitrary: plainName.map((name) => `"${name}"`)},
  {weight: 1, arbitrary: stringOf(plainPiece)},
);
const anyNameText = fc.oneof(nameText, stringText);

const blank = fc.oneof(
  {weight: 8, arbitrary: fc.constant('')},
  {weight: 1, arbitrary: fc.constantFrom(' ', '\n', '\t', '\r\n  ')},
);

/** The text of an object; names may come twice. */
export function objectText(
  members: fc.Arbitrary<readonly (readonly [name: string, value: string])[]>,
): fc.Arbitrary<string> {
  return fc
    .tuple(members, blank)
    .map(
      ([pairs, gap]) =>
        `{${gap}${pairs.map(([name, value]) => `${name}${gap}:${gap}${value}`).join(`${gap},${gap}`)}${gap}}`,
    );
}

/** The text of a list. */
export function listText(items: fc.Arbitrary<readonly string[]>): fc.Arbitrary<string> {
  return fc.tuple(items, blank).map(([values, gap]) => `[${gap}${values.join(`${gap},${gap}`)}${gap}]`);
}

/** JSON texts of any kind. */
export function jsonText({escapedNames}: JsonTextOptions): fc.Arbitrary<string> {
  const name = escapedNames ? anyNameText : nameText;
  const {value} = fc.letrec<{value: string}>((tie) => ({
    value: fc.oneof(
      {maxDepth: 5, withCrossShrink: true},
      {weight: 1, arbitrary: fc.constantFrom('null', 'true', 'false')},
      {weight: 2, arbitrary: numberText},
      {weight: 2, arbitrary: stringText},
      {weight: 3, arbitrary: listText(fc.array(tie('value'), {maxLength: 5}))},
      {weight: 4, arbitrary: objectText(fc.array(fc.tuple(name, tie('value')), {maxLength: 6}))},
    ),
  }));
  return fc.tuple(blank, value, blank).map((parts) => parts.join(''));
}
