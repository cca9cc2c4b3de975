import {open, type FileHandle} from 'node:fs/promises';

import {LinkedAbort} from '../core/linked-abort.ts';
import type {Attempts, LocalFile} from './object-client.ts';

/** One part of a file. */
export interface FilePart {
  /** From 0. */
  readonly index: number;
  readonly bytes: Uint8Array;
}

/** From this size on a file goes up in parts. */
export const PART_BYTES: number = 8 * 1024 * 1024;

const PARTS_AT_ONCE = 4;
/** S3 takes 10,000 parts; a margin for files that grow no more. */
const MAX_PARTS = 9_000;

/** Sends a file in parts, some at once, each with retries. The results are in the order of the parts. */
export async function sendParts<T>(
  file: LocalFile,
  send: (part: FilePart, signal: AbortSignal) => Promise<T>,
  attempts: Attempts,
  signal: AbortSignal,
): Promise<readonly T[]> {
  const partBytes = Math.max(PART_BYTES, Math.ceil(file.sizeBytes / MAX_PARTS));
  const count = Math.max(1, Math.ceil(file.sizeBytes / partBytes));
  const results = new Map<number, T>();
  let next = 0;
  using stop = new LinkedAbort(signal);
  await using handle = await open(file.path, 'r');
  const work = async (): Promise<void> => {
    while (next < count) {
      const index = next++;
      const start = index * partBytes;
      const bytes = await readExactly(handle, start, Math.min(partBytes, file.sizeBytes - start));
      results.set(index, await attempts((each) => send({index, bytes}, each), stop.signal));
    }
  };
  const workers = Array.from({length: Math.min(PARTS_AT_ONCE, count)}, () =>
    work().catch((error: unknown) => {
      stop.controller.abort(error);
      throw error;
    }),
  );
  // All of them end before the file is closed, and before the caller gives the upload up.
  const ends = await Promise.allSettled(workers);
  const failed = ends.find((end) => end.status === 'rejected');
  if (failed !== undefined) throw stop.signal.aborted ? stop.signal.reason : failed.reason;
  return Array.from({length: count}, (_, index) => results.get(index) as T);
}

async function readExactly(handle: FileHandle, start: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let filled = 0; filled < length;) {
    const {bytesRead} = await handle.read(bytes, filled, length - filled, start + filled);
    if (bytesRead === 0) throw new Error('the file became shorter while it was uploaded');
    filled += bytesRead;
  }
  return bytes;
}
