import {systemClock} from '../src/core/clock.ts';
import type {PlainJson} from '../src/core/offset.ts';
import type {ReadContext} from '../src/sdk/contract.ts';

/** A read context that remembers what the connector said. */
export interface TestReadContext extends ReadContext {
  /** Notes of `progress` and messages of the log, in order. */
  readonly said: readonly string[];
}

/** The first call of a new trigger, unless told otherwise. */
export function testContext(over: Partial<ReadContext> = {}): TestReadContext {
  const said: string[] = [];
  const log = (message: string, context?: Readonly<Record<string, PlainJson>>): void => {
    said.push(context === undefined ? message : `${message} ${JSON.stringify(context)}`);
  };
  return {
    signal: new AbortController().signal,
    clock: systemClock,
    log: {debug: log, info: log, warn: log},
    files: {list: () => Promise.resolve([]), inferSchema: () => Promise.reject(new Error('no files'))},
    progress: ({note}) => {
      if (note !== undefined) said.push(note);
    },
    limits: {maxRows: 1_000_000, maxBytes: 128 << 20},
    triggerStartedAt: systemClock.nowMicros(),
    isFirstCall: true,
    ledger: {get: () => Promise.resolve(new Map()), put: () => undefined},
    said,
    ...over,
  };
}
