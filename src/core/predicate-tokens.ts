import {IngestError} from './errors.ts';

/** A word, sign or literal of a predicate with its place. */
export interface Token {
  readonly kind: 'word' | 'name' | 'string' | 'number' | 'sign' | 'end';
  /** Words in upper case, names and strings without quotes, numbers and signs as written. */
  readonly text: string;
  /** As written. */
  readonly source: string;
  /** 0-based index of the first character. */
  readonly at: number;
}

const TOKEN =
  /(?<word>[\p{L}_][\p{L}\p{M}\p{N}_$]*)|`(?<ticked>(?:[^`]|``)+)`|"(?<quoted>(?:[^"]|"")+)"|'(?<string>(?:[^']|'')*)'|(?<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)|(?<sign><=>|<=|>=|<>|!=|==|[=<>(),.+-])/uy;
const BLANKS = /\s*/y;

/** Splits a predicate into tokens, the last of kind `end`. @throws INVALID_PREDICATE at a character that begins none. */
export function tokenize(text: string): readonly Token[] {
  const tokens: Token[] = [];
  for (let at = afterBlanks(text, 0); at < text.length; at = afterBlanks(text, TOKEN.lastIndex)) {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    if (match === null) throw unexpectedCharacter(text, at);
    tokens.push(tokenOf(match[0], match.groups ?? {}, at));
  }
  return [...tokens, {kind: 'end', text: '', source: '', at: text.length}];
}

/** An error that shows the predicate with a caret under the place. */
export function predicateError(text: string, at: number, problem: string, fix?: string): IngestError {
  const lineStart = text.lastIndexOf('\n', at - 1) + 1;
  const lineEnd = text.indexOf('\n', at);
  const line = text.slice(lineStart, lineEnd < 0 ? text.length : lineEnd);
  const caret = `${' '.repeat(at - lineStart)}^`;
  const message = `The predicate is malformed at position ${at + 1}: ${problem}.\n  ${line}\n  ${caret}`;
  return new IngestError('INVALID_PREDICATE', message, {
    ...(fix === undefined ? {} : {fix}),
    context: {position: at + 1},
  });
}

function afterBlanks(text: string, from: number): number {
  BLANKS.lastIndex = from;
  BLANKS.exec(text);
  return BLANKS.lastIndex;
}

function tokenOf(source: string, groups: Readonly<Record<string, string | undefined>>, at: number): Token {
  const {word, ticked, quoted, string, number} = groups;
  if (word !== undefined) return {kind: 'word', text: word.toUpperCase(), source, at};
  if (ticked !== undefined) return {kind: 'name', text: ticked.replaceAll('``', '`'), source, at};
  if (quoted !== undefined) return {kind: 'name', text: quoted.replaceAll('""', '"'), source, at};
  if (string !== undefined) return {kind: 'string', text: string.replaceAll("''", "'"), source, at};
  return {kind: number === undefined ? 'sign' : 'number', text: source, source, at};
}

function unexpectedCharacter(text: string, at: number): IngestError {
  const character = String.fromCodePoint(text.codePointAt(at) ?? 0);
  const isQuote = ["'", '"', '`'].includes(character);
  return predicateError(text, at, isQuote ? `the quote ${character} is never closed` : `${character} is unexpected`);
}
