import {Buffer} from 'node:buffer';

import {IngestError} from '../../core/errors.ts';
import {parseJson} from '../../core/json-reader.ts';
import type {JsonValue} from '../../core/json-value.ts';
import {bodyText} from './body-text.ts';

const NEWLINE = 0x0a;

/**
 * Streams JSON values that stand one in a line, as many at once as a piece of the body brings. Blank lines are left out.
 * @throws SOURCE_ERROR naming the line that is no JSON; a body that breaks off within a line ends so.
 */
export async function* ndjson(body: AsyncIterable<Uint8Array>): AsyncGenerator<readonly JsonValue[], void> {
  let kept: Buffer[] = [];
  let lineNumber = 0;
  const values = (bytes: Buffer): readonly JsonValue[] => {
    const lines = bodyText(bytes).split('\n');
    const first = lineNumber;
    lineNumber += lines.length;
    return valuesOf(lines, first);
  };
  for await (const bytes of body) {
    const piece = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const end = piece.lastIndexOf(NEWLINE);
    if (end >= 0) {
      const part = piece.subarray(0, end);
      const items = values(kept.length === 0 ? part : Buffer.concat([...kept, part]));
      kept = [];
      if (items.length > 0) yield items;
    }
    if (end + 1 < piece.length) kept.push(piece.subarray(end + 1));
  }
  const items = kept.length === 0 ? [] : values(Buffer.concat(kept));
  if (items.length > 0) yield items;
}

/** Parses all lines at once; line by line only when that does not give one value for each. */
function valuesOf(lines: readonly string[], first: number): readonly JsonValue[] {
  const full = lines.filter((line) => line.trim() !== '');
  if (full.length === 0) return [];
  try {
    const all = parseJson(`[${full.join(',')}]`);
    if (Array.isArray(all) && all.length === full.length) return all as readonly JsonValue[];
  } catch {
    // The lines one by one say which it was.
  }
  return lines.flatMap((line, index) => (line.trim() === '' ? [] : [lineValue(line, first + index + 1)]));
}

function lineValue(line: string, lineNumber: number): JsonValue {
  try {
    return parseJson(line);
  } catch (error) {
    throw new IngestError('SOURCE_ERROR', `Line ${lineNumber} of the answer is not valid JSON.`, {
      cause: error,
      context: {line: lineNumber},
    });
  }
}
