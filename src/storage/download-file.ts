import {open, type FileHandle} from 'node:fs/promises';

import type {Attempts, ObjectClient} from './object-client.ts';

/** What to download to where. */
export interface Download {
  readonly client: ObjectClient;
  readonly key: string;
  readonly sizeBytes: number;
  readonly path: string;
}

const RANGE_BYTES = 8 * 1024 * 1024;
const RANGES_AT_ONCE = 4;

/** Writes an object to a new file, large ones by several ranges at once. Half a file may stay when it fails. */
export async function downloadFile(download: Download, attempts: Attempts): Promise<void> {
  await using handle = await open(download.path, 'wx', 0o666);
  const ranges = Math.ceil(download.sizeBytes / RANGE_BYTES);
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < ranges) await downloadRange(download, handle, {attempts, start: next++ * RANGE_BYTES});
  };
  const workers = Array.from({length: Math.min(RANGES_AT_ONCE, ranges)}, () =>
    work().catch((error: unknown) => {
      next = ranges;
      throw error;
    }),
  );
  // All of them end before the file is closed.
  const ends = await Promise.allSettled(workers);
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
}

async function downloadRange(
  {client, key, sizeBytes}: Download,
  handle: FileHandle,
  range: {readonly attempts: Attempts; readonly start: number},
): Promise<void> {
  const {attempts, start} = range;
  const end = Math.min(start + RANGE_BYTES, sizeBytes);
  const bytes = await attempts(async (signal) => {
    const found = await client.get(key, {start, end}, signal);
    if (found?.length !== end - start) {
      throw Object.assign(new Error(`${found?.length ?? 0} of ${end - start} bytes came`), {code: 'ECONNRESET'});
    }
    return found;
  });
  for (let written = 0; written < bytes.length;) {
    written += (await handle.write(bytes, written, bytes.length - written, start + written)).bytesWritten;
  }
}
