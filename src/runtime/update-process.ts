import type {RunUpdate} from '../pipeline/events.ts';
import type {PipelineSpec} from '../pipeline/spec.ts';
import type {RunOptions, RunResult} from './api.ts';
import {installFailpointOf, processEnvironment} from './config/environment.ts';
import {runUpdateHere} from './update.ts';
import {toPlainError, type PlainError} from './process-messages.ts';

/** To an update's process. */
export type UpdateRequestMessage =
  | {readonly kind: 'run'; readonly spec: PipelineSpec; readonly options: Omit<RunOptions, 'signal' | 'onUpdate'>}
  | {readonly kind: 'stop'};

/** From an update's process. */
export type UpdateReplyMessage =
  | {readonly kind: 'update'; readonly update: RunUpdate}
  | {readonly kind: 'result'; readonly result: RunResult}
  | {readonly kind: 'failed'; readonly error: PlainError};

const stop = new AbortController();

function send(message: UpdateReplyMessage): Promise<void> {
  return new Promise(resolve => {
    if (process.send === undefined || !process.connected) resolve();
    else process.send(message, () => resolve());
  });
}

async function run(message: Extract<UpdateRequestMessage, {kind: 'run'}>): Promise<void> {
  try {
    const onUpdate = (update: RunUpdate): void => void send({kind: 'update', update});
    await send({kind: 'result', result: await runUpdateHere(message.spec, {...message.options, signal: stop.signal, onUpdate})});
  } catch (error) {
    await send({kind: 'failed', error: toPlainError(error)});
  }
  if (process.connected) process.disconnect();
}

installFailpointOf(processEnvironment());
// The terminal sends Ctrl-C to the whole group: the parent decides and tells us.
process.on('SIGINT', () => undefined);
process.on('message', (message: UpdateRequestMessage) => {
  if (message.kind === 'stop') stop.abort(new Error('The run was asked to stop.'));
  else void run(message);
});
// Without a parent nobody waits for the result: stop at the next safe place.
process.on('disconnect', () => stop.abort(new Error('The parent process is gone.')));
