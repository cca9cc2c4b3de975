import {Buffer} from 'node:buffer';
import {Readable} from 'node:stream';
import {createGunzip} from 'node:zlib';

import type {UnzipFile} from 'fflate';

import {IngestError} from '../../core/errors.ts';

/** One file of an archive; its body is read to its end before the next file is asked for. */
export interface ArchiveFile {
  readonly name: string;
  readonly body: AsyncIterable<Uint8Array>;
}

/** Undoes gzip piece by piece, several members one after the other as well. @throws SOURCE_ERROR when the body is damaged or breaks off. */
export async function* gunzipped(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  const source = Readable.from(body, {objectMode: true});
  const gunzip = createGunzip();
  source.on('error', (error) => gunzip.destroy(error));
  source.pipe(gunzip);
  try {
    for await (const piece of gunzip as AsyncIterable<Uint8Array>) yield piece;
  } catch (error) {
    if (error instanceof Error && 'code' in error && String(error.code).startsWith('Z_'))
      throw new IngestError('SOURCE_ERROR', `The gzip answer is damaged or broke off (${String(error.code)}).`, {
        cause: error,
      });
    throw error;
  } finally {
    source.destroy();
    gunzip.destroy();
  }
}

/**
 * The files of a ZIP archive in their order, unpacked while they arrive; folders and files that `matches` refuses are left out.
 * @throws SOURCE_ERROR when the archive is damaged, breaks off, is encrypted or packed in a way other than deflate.
 */
export async function* unzipped(
  body: AsyncIterable<Uint8Array>,
  matches: (name: string) => boolean = () => true,
): AsyncGenerator<ArchiveFile, void> {
  const events = await zipEvents(body, (name) => !name.endsWith('/') && matches(name));
  for (;;) {
    const event = await events.next();
    if (event === null) return;
    if (event.kind !== 'file') continue;
    yield {name: event.name, body: fileBody(events)};
  }
}

type ZipEvent =
  | {readonly kind: 'file'; readonly name: string}
  | {readonly kind: 'data'; readonly bytes: Uint8Array}
  | {readonly kind: 'end'};

interface ZipEvents {
  /** The next event; null after the archive's end. */
  next(): Promise<ZipEvent | null>;
}

const END_OF_ARCHIVE = Buffer.from('PK\u0005\u0006', 'latin1');
// The record of the archive's end may be followed by a comment of 64 KB.
const TAIL_BYTES = 65_557;

async function zipEvents(body: AsyncIterable<Uint8Array>, matches: (name: string) => boolean): Promise<ZipEvents> {
  const {Unzip, UnzipInflate} = await import('fflate');
  const queue: ZipEvent[] = [];
  let openFiles = 0;
  const unzip = new Unzip((file: UnzipFile) => {
    if (!matches(file.name)) return;
    openFiles++;
    queue.push({kind: 'file', name: file.name});
    file.ondata = (error, bytes, isLast) => {
      if (error !== null) throw damaged(error);
      if (bytes.length > 0) queue.push({kind: 'data', bytes});
      if (!isLast) return;
      openFiles--;
      queue.push({kind: 'end'});
    };
    file.start();
  });
  unzip.register(UnzipInflate);
  const source = body[Symbol.asyncIterator]();
  let tail = Buffer.alloc(0);
  let isDone = false;

  const push = (bytes: Uint8Array, isLast: boolean): void => {
    try {
      unzip.push(bytes, isLast);
    } catch (error) {
      throw error instanceof IngestError ? error : damaged(error);
    }
  };

  return {
    async next() {
      while (queue.length === 0 && !isDone) {
        const piece = await source.next();
        isDone = piece.done === true;
        if (piece.done === true) {
          push(new Uint8Array(0), true);
          if (openFiles > 0 || !tail.includes(END_OF_ARCHIVE)) throw damaged(undefined);
        } else {
          push(piece.value, false);
          tail = Buffer.concat([tail, piece.value]).subarray(-TAIL_BYTES);
        }
      }
      return queue.shift() ?? null;
    },
  };
}

async function* fileBody(events: ZipEvents): AsyncGenerator<Uint8Array, void> {
  for (;;) {
    const event = await events.next();
    if (event === null || event.kind === 'end') return;
    if (event.kind === 'data') yield event.bytes;
  }
}

function damaged(cause: unknown): IngestError {
  return new IngestError(
    'SOURCE_ERROR',
    'The ZIP answer is damaged, broke off, or is packed in a way that is not known.',
    {cause},
  );
}
