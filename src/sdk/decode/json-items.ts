import {Buffer} from 'node:buffer';

import {IngestError} from '../../core/errors.ts';
import {parseJson} from '../../core/json-reader.ts';
import type {JsonValue} from '../../core/json-value.ts';
import {valuesAt} from '../json-path.ts';
import {bodyText} from './body-text.ts';
import {listSeeker} from './list-seeker.ts';

const MOST_REST_BYTES = 67_108_864;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;

/**
 * Streams the items of one list out of a JSON body, as many at once as a piece of the body brings, and returns the rest of
 * the body with the list left empty. Memory: a piece, the largest item and the rest. Numbers are exact, as those of
 * `parseJson`. A list that is null is empty.
 * @param path Dotted names of objects down to the list; empty when the body is the list.
 * @throws SOURCE_ERROR when the body breaks off, is no JSON or has no list at the path.
 */
export async function* jsonItems(
  body: AsyncIterable<Uint8Array>,
  path: string,
): AsyncGenerator<readonly JsonValue[], JsonValue> {
  const seeker = listSeeker(path === '' ? [] : path.split('.'));
  const cutter = itemCutter();
  const before: Buffer[] = [];
  const after: Buffer[] = [];
  const rest = restLimit();
  let place: 'before' | 'list' | 'after' = 'before';
  for await (const bytes of body) {
    let piece = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (place === 'before') {
      const start = seeker.find(piece);
      before.push(start < 0 ? piece : piece.subarray(0, start));
      rest.add(start < 0 ? piece.length : start);
      if (start < 0) continue;
      place = 'list';
      piece = piece.subarray(start);
    }
    if (place === 'list') {
      const {items, end} = cutter.push(piece);
      if (items.length > 0) yield items;
      if (end < 0) continue;
      place = 'after';
      piece = piece.subarray(end);
    }
    after.push(piece);
    rest.add(piece.length);
  }
  if (place === 'list') throw brokeOff(path);
  return restOf(Buffer.concat([...before, ...after]), path, place === 'after');
}

/** What is around the list: valid only if the body was whole. */
function restOf(bytes: Buffer, path: string, hasList: boolean): JsonValue {
  const text = bodyText(bytes);
  if (text.trim() === '') throw brokeOff(path);
  const value = parseJson(text);
  if (hasList) return value;
  const [found] = valuesAt(value, path);
  if (found === null) return value;
  const what = found === undefined ? 'nothing' : 'no list';
  throw new IngestError('SOURCE_ERROR', `The answer has ${what} at "${path}", where its records should be.`, {
    class: 'config',
    context: {path},
  });
}

/** Cuts a list between its items. It begins after the list's bracket and ends behind the closing one. */
function itemCutter(): {push(piece: Buffer): {readonly items: readonly JsonValue[]; readonly end: number}} {
  let kept: Buffer[] = [];
  let depth = 0;
  let isString = false;
  let isEscaped = false;
  let hasItems = false;

  /** The items up to a comma or to the list's end. */
  const itemsBefore = (piece: Buffer, cut: number, isEnd: boolean): readonly JsonValue[] => {
    const part = piece.subarray(0, cut);
    const text = bodyText(kept.length === 0 ? part : Buffer.concat([...kept, part]));
    kept = [];
    if (isEnd && !hasItems && text.trim() === '') return [];
    const items = parseJson(`[${text}]`);
    hasItems = true;
    if (Array.isArray(items) && items.length > 0) return items as readonly JsonValue[];
    throw new IngestError('SOURCE_ERROR', 'The answer is not valid JSON: a list has a comma too many.');
  };

  return {
    push(piece) {
      let cut = -1;
      const {length} = piece;
      let index = 0;
      if (isEscaped && length > 0) {
        isEscaped = false;
        index = 1;
      }
      for (; index < length; index++) {
        let code = piece[index];
        if (isString) {
          while (code !== QUOTE && code !== BACKSLASH && index < length) code = piece[++index];
          if (code === BACKSLASH) {
            if (++index === length) isEscaped = true;
          } else if (code === QUOTE) isString = false;
        } else if (code === QUOTE) isString = true;
        else if (code === COMMA) {
          if (depth === 0) cut = index;
        } else if (code === 0x7b || code === 0x5b) depth++;
        else if (code === 0x7d || code === 0x5d) {
          if (--depth < 0) return {items: itemsBefore(piece, index, true), end: index};
        }
      }
      const items = cut < 0 ? [] : itemsBefore(piece, cut, false);
      kept.push(piece.subarray(cut + 1));
      return {items, end: -1};
    },
  };
}

function restLimit(): {add(sizeBytes: number): void} {
  let held = 0;
  return {
    add(sizeBytes) {
      held += sizeBytes;
      if (held <= MOST_REST_BYTES) return;
      throw new IngestError('SOURCE_ERROR', `An answer has more than ${MOST_REST_BYTES} bytes outside of its list.`, {
        class: 'config',
        fix: 'Check the path of the records.',
      });
    },
  };
}

function brokeOff(path: string): IngestError {
  return new IngestError('SOURCE_ERROR', `The answer broke off before the end of its list "${path}".`, {
    context: {path},
  });
}
