/** Escape sequences of terminals that this program uses. */
export const TERMINAL = {
  beginUpdate: '\x1b[?2026h',
  endUpdate: '\x1b[?2026l',
  clearDown: '\x1b[0J',
  up: (lines: number): string => (lines === 0 ? '\r' : `\r\x1b[${lines}A`),
} as const;

/** Columns that a text takes in a terminal; it must hold no control characters. */
export function widthOf(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let width = 0;
  for (const {segment} of SEGMENTER.segment(text)) width += WIDE.test(segment) ? 2 : 1;
  return width;
}

/** The text cut to a width, with `…` where something was cut. */
export function clip(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  if (width <= 0) return '';
  let clipped = '';
  let used = 0;
  for (const {segment} of SEGMENTER.segment(text)) {
    const next = used + (WIDE.test(segment) ? 2 : 1);
    if (next > width - 1) break;
    clipped += segment;
    used = next;
  }
  return `${clipped}…`;
}

/** Filled with blanks to a width. */
export function pad(text: string, width: number, side: 'left' | 'right'): string {
  const blanks = ' '.repeat(Math.max(0, width - widthOf(text)));
  return side === 'right' ? blanks + text : text + blanks;
}

/** Control characters made visible, so that data cannot steer the terminal or break a line. */
export function visible(text: string): string {
  return text.replace(CONTROLS, (character) => SHORT[character] ?? `\\u${hexOf(character)}`);
}

function hexOf(character: string): string {
  const hex = (character.codePointAt(0) ?? 0).toString(16).padStart(4, '0');
  return hex.length > 4 ? `{${hex}}` : hex;
}

/** Colours, or none. */
export interface Paint {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly red: (text: string) => string;
  readonly green: (text: string) => string;
  readonly yellow: (text: string) => string;
}

/** Colours for terminals, unless NO_COLOR says otherwise. @see https://no-color.org */
export function paintFor(isTerminal: boolean, env: Readonly<Record<string, string | undefined>>): Paint {
  const noColor = env['NO_COLOR'];
  const coloured = isTerminal && (noColor === undefined || noColor === '') && env['TERM'] !== 'dumb';
  const style = (code: number) => (text: string) => (coloured && text !== '' ? `\x1b[${code}m${text}\x1b[0m` : text);
  return {bold: style(1), dim: style(2), red: style(31), green: style(32), yellow: style(33)};
}

const SEGMENTER = new Intl.Segmenter('en', {granularity: 'grapheme'});
/** Scripts and pictures that take two columns. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}|[\u{20000}-\u{3fffd}]/u;
// Format characters too: bidirectional overrides reorder what follows them.
const CONTROLS = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
const SHORT: Readonly<Record<string, string>> = {'\n': '\\n', '\r': '\\r', '\t': '\\t'};
