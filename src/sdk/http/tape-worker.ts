// The thread of `tape-thread.ts`: finds the values of JSON bodies, one after another.
import {Buffer} from 'node:buffer';
import {parentPort} from 'node:worker_threads';

import {readTape} from '../../core/read-tape.ts';

/** A body to look through. */
export interface TapeRequest {
  readonly id: number;
  readonly body: ArrayBuffer;
}

/** The body back, and its tokens; null for one that has none. */
export interface TapeReply extends TapeRequest {
  readonly words: ArrayBuffer | null;
}

// From here on it takes bodies.
parentPort?.postMessage('ready');
parentPort?.on('message', ({id, body}: TapeRequest) => {
  const words = (readTape(Buffer.from(body))?.words.buffer ?? null) as ArrayBuffer | null;
  const reply: TapeReply = {id, body, words};
  parentPort?.postMessage(reply, words === null ? [body] : [body, words]);
});
