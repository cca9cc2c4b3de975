import {IngestError} from '../core/errors.ts';
import type {RunUpdate} from '../pipeline/events.ts';
import type {PipelineSpec} from '../pipeline/spec.ts';
import type {RunOptions, RunResult} from './api.ts';
import {installFailpointOf, processEnvironment} from './config/environment.ts';
import {toPlainError, type PlainError} from './process-messages.ts';
import {runUpdateHere} from './update.ts';

/** To an update's process. */
export type UpdateRequestMessage =
  | {readonly kind: 'run'; readonly spec: PipelineSpec; readonly options: Omit<RunOptions, 'signal' | 'onUpdate'>}
  | {readonly kind: 'stop'};

/** From an update's process. */
export type UpdateReplyMessage =
  | {readonly kind: 'updates'; readonly updates: readonly RunUpdate[]}
  | {readonly kind: 'result'; readonly result: RunResult}
  | {readonly kind: 'failed'; readonly error: PlainError};

const stop = new AbortController();

function send(message: UpdateReplyMessage): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined || !process.connected) resolve();
    else process.send(message, () => resolve());
  });
}

const SEND_EVERY_MS = 40;
let unsent: RunUpdate[] = [];
let timer: NodeJS.Timeout | null = null;

/** Updates go in bundles: a message of its own for each costs more than the flow of a table without news. */
function tell(update: RunUpdate): void {
  unsent.push(update);
  timer ??= setTimeout(sendUpdates, SEND_EVERY_MS);
}

function sendUpdates(): void {
  if (timer !== null) clearTimeout(timer);
  timer = null;
  if (unsent.length > 0) void send({kind: 'updates', updates: unsent});
  unsent = [];
}

/** For a step that cannot end whole, such as waiting for a database. */
function cancelled(): IngestError {
  return new IngestError('CANCELLED', 'The run was asked to stop.', {
    fix: 'Run it again: it goes on after the last commit.',
  });
}

async function run(message: Extract<UpdateRequestMessage, {kind: 'run'}>): Promise<void> {
  try {
    const result = await runUpdateHere(message.spec, {...message.options, signal: stop.signal, onUpdate: tell});
    sendUpdates();
    await send({kind: 'result', result});
  } catch (error) {
    sendUpdates();
    await send({kind: 'failed', error: toPlainError(error)});
  }
  if (process.connected) process.disconnect();
}

installFailpointOf(processEnvironment());
// The terminal sends Ctrl-C to the whole group: the parent decides and tells us.
process.on('SIGINT', () => undefined);
process.on('message', (message: UpdateRequestMessage) => {
  if (message.kind === 'stop') stop.abort(cancelled());
  else void run(message);
});
// Without a parent nobody waits for the result: stop at the next safe place.
process.on('disconnect', () => stop.abort(new Error('The parent process is gone.')));
