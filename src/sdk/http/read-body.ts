import {Buffer} from 'node:buffer';
import type {Readable, Transform} from 'node:stream';
import {promisify} from 'node:util';
import {brotliDecompress, createBrotliDecompress, createGunzip, createInflate, gunzip, inflate} from 'node:zlib';

import {IngestError} from '../../core/errors.ts';

/** What is asked for with `Accept-Encoding`. */
export const ACCEPTED_ENCODINGS = 'gzip, br';

const gunzipAll = promisify(gunzip);
const inflateAll = promisify(inflate);
const brotliAll = promisify(brotliDecompress);

/** Reads a body whole and undoes its compression. @throws SOURCE_ERROR (class `config`) beyond the limit; what the stream or zlib throws when it is cut off. */
export async function readBody(body: Readable, encoding: string | null, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBytes) throw tooLarge(maxBytes);
    chunks.push(chunk);
  }
  const [only] = chunks;
  const whole = chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks, size);
  return whole.length === 0 ? whole : decompressed(whole, encoding, maxBytes);
}

/** Undoes the compression of a body piece by piece; null when there is none. */
export function decompressor(encoding: string | null): Transform | null {
  switch (encodingOf(encoding)) {
    case 'identity':
      return null;
    case 'gzip':
      return createGunzip();
    case 'br':
      return createBrotliDecompress();
    case 'deflate':
      return createInflate();
  }
}

async function decompressed(bytes: Buffer, encoding: string | null, maxBytes: number): Promise<Buffer> {
  const kind = encodingOf(encoding);
  if (kind === 'identity') return bytes;
  try {
    const limit = {maxOutputLength: maxBytes};
    if (kind === 'gzip') return await gunzipAll(bytes, limit);
    return kind === 'br' ? await brotliAll(bytes, limit) : await inflateAll(bytes, limit);
  } catch (error) {
    if (error instanceof RangeError) throw tooLarge(maxBytes);
    throw error;
  }
}

function encodingOf(encoding: string | null): 'identity' | 'gzip' | 'br' | 'deflate' {
  const name = encoding?.trim().toLowerCase() ?? '';
  if (name === '' || name === 'identity') return 'identity';
  if (name === 'gzip' || name === 'x-gzip') return 'gzip';
  if (name === 'br' || name === 'deflate') return name;
  throw new IngestError('SOURCE_ERROR', `The source compressed its answer in a way that was not asked for: ${name}.`, {
    class: 'config',
  });
}

function tooLarge(maxBytes: number): IngestError {
  return new IngestError('SOURCE_ERROR', `An answer is larger than ${maxBytes} bytes, the most that is read whole.`, {
    class: 'config',
    fix: 'Ask for smaller pages, or read the body as a stream.',
  });
}
