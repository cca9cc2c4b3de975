import {fork} from 'node:child_process';

import {IngestError} from '../core/errors.ts';
import type {PipelineSpec} from '../pipeline/spec.ts';
import type {RunOptions, RunResult} from './api.ts';
import {updateEnvironment} from './config/process-environment.ts';
import {fromPlainError} from './process-messages.ts';
import type {UpdateReplyMessage, UpdateRequestMessage} from './update-process.ts';

/** Heap of an update's process in MB, beside the engine's memory. */
const HEAP_MB = 1024;

/**
 * Runs one update in a process of its own, with a memory limit: a crash of the engine ends that process, not ours.
 * Aborting asks it to stop at a safe place and waits.
 * @throws what the update threw; ENGINE_FAILED when the process died.
 */
export function runUpdateInChild(spec: PipelineSpec, options: RunOptions): Promise<RunResult> {
  const {signal, onUpdate, ...plain} = options;
  const file = import.meta.url.endsWith('.ts') ? './update-process.ts' : './update-process.js';
  return new Promise((resolve, reject) => {
    const child = fork(new URL(file, import.meta.url), {
      execArgv: [...process.execArgv, `--max-old-space-size=${HEAP_MB}`],
      env: updateEnvironment(),
      serialization: 'advanced',
    });
    const send = (message: UpdateRequestMessage): void => {
      if (child.connected) child.send(message);
    };
    const stop = (): void => send({kind: 'stop'});
    let outcome: (() => void) | null = null;
    child.on('message', (message: UpdateReplyMessage) => {
      if (message.kind === 'updates') message.updates.forEach(onUpdate);
      else if (message.kind === 'result') outcome = () => resolve(message.result);
      else outcome = () => reject(fromPlainError(message.error));
    });
    child.on('error', (error) => reject(error));
    // Not `exit`: the process may be gone before its last messages are read.
    child.on('close', (code, killedBy) => {
      signal.removeEventListener('abort', stop);
      if (outcome !== null) outcome();
      else reject(died(code, killedBy));
    });
    signal.addEventListener('abort', stop, {once: true});
    send({kind: 'run', spec, options: plain});
    if (signal.aborted) stop();
  });
}

function died(code: number | null, killedBy: NodeJS.Signals | null): IngestError {
  return new IngestError(
    'ENGINE_FAILED',
    `The update's process ended ${killedBy === null ? `with code ${code}` : `by ${killedBy}`} before it was done.`,
    {
      fix: 'Run again: it goes on after the last commit. If it happens again, give the engine less memory or the machine more.',
    },
  );
}
