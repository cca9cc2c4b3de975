import {type Buffer, isAscii, isUtf8, transcode} from 'node:buffer';
import {TextDecoder} from 'node:util';

import {IngestError} from '../../core/errors.ts';

/**
 * The text of a whole body without its byte order mark. `charset` is what its content type says, default UTF-8.
 * @throws SOURCE_ERROR when the bytes are no text of that charset: replacing them would change values unseen.
 */
export function bodyText(bytes: Buffer, charset = 'utf-8'): string {
  if (isAscii(bytes)) return bytes.toString('latin1');
  if (!isUtf8Name(charset)) return textDecoder(charset).decode(bytes);
  if (!isUtf8(bytes)) throw notText('utf-8');
  const text = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes;
  // Twice as fast as toString('utf8') on bodies of HubSpot's size, and the same text.
  return transcode(text, 'utf8', 'utf16le').toString('utf16le');
}

/** A body that was read whole; its text is made when it is asked for. */
export class WholeBody {
  readonly bytes: Buffer;
  readonly #charset: string | undefined;
  #text: string | undefined;

  constructor(bytes: Buffer, charset: string | undefined) {
    this.bytes = bytes;
    this.#charset = charset;
  }

  /** See {@link bodyText}. */
  get text(): string {
    this.#text ??= bodyText(this.bytes, this.#charset);
    return this.#text;
  }
}

/** The charset that a content type names; undefined when it names none. */
export function charsetOf(contentType: string | null): string | undefined {
  return /;\s*charset\s*=\s*"?([^\s;"]+)/i.exec(contentType ?? '')?.[1];
}

/** The text of a body in pieces, without its byte order mark. @throws SOURCE_ERROR when the bytes are no text of that charset. */
export async function* textPieces(body: AsyncIterable<Uint8Array>, charset = 'utf-8'): AsyncGenerator<string> {
  const decoder = textDecoder(charset);
  const decode = (bytes?: Uint8Array): string => {
    try {
      return bytes === undefined ? decoder.decode() : decoder.decode(bytes, {stream: true});
    } catch (error) {
      if (error instanceof TypeError) throw notText(charset);
      throw error;
    }
  };
  for await (const bytes of body) {
    const text = decode(bytes);
    if (text !== '') yield text;
  }
  const end = decode();
  if (end !== '') yield end;
}

function textDecoder(charset: string): TextDecoder {
  try {
    return new TextDecoder(charset, {fatal: true});
  } catch (error) {
    throw new IngestError('SOURCE_ERROR', `The source's charset "${charset}" is not known.`, {
      class: 'config',
      cause: error,
    });
  }
}

function isUtf8Name(charset: string): boolean {
  return /^utf-?8$/i.test(charset);
}

function notText(charset: string): IngestError {
  return new IngestError('SOURCE_ERROR', `The answer is not valid ${charset} text.`, {
    class: 'data',
    context: {charset},
  });
}
