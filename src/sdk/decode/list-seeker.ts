import {Buffer} from 'node:buffer';

/** Finds where a list begins in a JSON body that comes in pieces. */
export interface ListSeeker {
  /** The index in the piece after the list's opening bracket; -1 when it is not in this piece. Not called again once found. */
  find(piece: Uint8Array): number;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Seeks the list at a path of names through objects. The body's form is not checked: whoever parses the rest does that. */
export function listSeeker(path: readonly string[]): ListSeeker {
  let depth = 0;
  /** Names of the path whose objects are open. */
  let matched = 0;
  let isString = false;
  let isEscaped = false;
  /** The text of a string that may be the name looked for. */
  let name: number[] | null = null;
  let isName = false;
  /** The next value is the one at the path's next name. */
  let isNext = path.length === 0;

  const endOfString = (): void => {
    isString = false;
    isName = name !== null && nameOf(name) === path[matched];
    name = null;
  };

  const inString = (code: number): void => {
    if (isEscaped) isEscaped = false;
    else if (code === BACKSLASH) isEscaped = true;
    else if (code === QUOTE) {
      endOfString();
      return;
    }
    name?.push(code);
  };

  /** Opens an object or a list; true when it is the list. */
  const opens = (code: number): boolean => {
    const isList = code === 0x5b;
    if (isNext && isList && matched >= path.length - 1) return true;
    depth++;
    if (isNext && !isList && matched < path.length - 1) matched++;
    isNext = false;
    return false;
  };

  return {
    find(piece) {
      for (let index = 0; index < piece.length; index++) {
        const code = piece[index] ?? 0;
        if (isString) {
          inString(code);
          continue;
        }
        switch (code) {
          case QUOTE:
            isString = true;
            name = depth === matched + 1 ? [] : null;
            isNext = false;
            break;
          case 0x3a: // :
            isNext = isName;
            isName = false;
            break;
          case 0x7b: // {
          case 0x5b: // [
            if (opens(code)) return index + 1;
            break;
          case 0x7d: // }
          case 0x5d: // ]
            if (depth === matched + 1 && matched > 0) matched--;
            depth--;
            isNext = false;
            break;
          case 0x2c: // ,
            isName = false;
            isNext = false;
            break;
          default:
        }
      }
      return -1;
    },
  };
}

function nameOf(bytes: readonly number[]): string | null {
  const text = Buffer.from(bytes).toString('utf8');
  if (!text.includes('\\')) return text;
  try {
    const value: unknown = JSON.parse(`"${text}"`);
    return typeof value === 'string' ? value : null;
  } catch {
    // A wrong escape: the parser of the rest reports it.
    return null;
  }
}
