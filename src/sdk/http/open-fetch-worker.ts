import {Worker} from 'node:worker_threads';

import type {FetchOptions} from './fetch-worker.ts';

/** The code of the thread; null where nothing is built, for a thread loads JavaScript only. Tests name what they built. */
export const fetchWorker: {file: URL | null} = {
  file: import.meta.url.endsWith('.ts') ? null : new URL('./fetch-worker.js', import.meta.url),
};

/** Starts the thread; null without its code. */
export function openFetchWorker(workerData: FetchOptions): Worker | null {
  return fetchWorker.file === null ? null : new Worker(fetchWorker.file, {workerData});
}
