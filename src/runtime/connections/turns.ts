import {randomUUID} from 'node:crypto';
import {hostname} from 'node:os';

import {systemClock} from '../../core/clock.ts';
import {IngestError} from '../../core/errors.ts';

/** A value shared by processes, replaced by one of them at a time: who has the turn. */
export interface TurnCell {
  read(): Promise<string | null>;
  /** False when the value is not `expected` any more; null frees the turn. */
  replace(expected: string | null, value: string | null): Promise<boolean>;
}

const TURN_MS = 120_000;
const MOST_WAIT_MS = 15 * 60_000;
const POLL_MS = 20;
const MOST_POLL_MS = 250;

/**
 * Runs work while no other process does; waits until it may. A turn ends with the work, with its process (on this machine),
 * or after two minutes. @throws SOURCE_ERROR (transient) after a quarter of an hour
 */
export async function inTurn<T>(cell: TurnCell, work: () => Promise<T>): Promise<T> {
  const mine = await taken(cell);
  try {
    return await work();
  } finally {
    // When it fails somebody has taken the turn over: it was too long.
    await cell.replace(mine, null);
  }
}

async function taken(cell: TurnCell): Promise<string> {
  const giveUpAtMs = systemClock.nowMs() + MOST_WAIT_MS;
  for (let waitMs = POLL_MS; systemClock.nowMs() < giveUpAtMs; waitMs = Math.min(waitMs * 1.5, MOST_POLL_MS)) {
    const current = await cell.read();
    if (current === null || isOver(current)) {
      const turn = {id: randomUUID(), pid: process.pid, host: hostname(), untilMs: systemClock.nowMs() + TURN_MS};
      const mine = JSON.stringify(turn);
      if (await cell.replace(current, mine)) return mine;
    }
    await systemClock.sleep(waitMs * (0.5 + Math.random()), new AbortController().signal);
  }
  throw new IngestError('SOURCE_ERROR', 'Other processes renew the login of this connection all the time.', {
    fix: 'Run fewer pipelines of this connection at once.',
  });
}

function isOver(text: string): boolean {
  const {pid, host, untilMs} = JSON.parse(text) as {
    readonly pid: number;
    readonly host: string;
    readonly untilMs: number;
  };
  return systemClock.nowMs() > untilMs || (host === hostname() && !isAlive(pid));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // It belongs to somebody else: it lives.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
