import type {ProofClock} from './connector-proof.ts';

/** Something that knows the time and can be told to move on, for example a simulator's clock. */
export interface MovableTime {
  /** Milliseconds since 1970. */
  nowMs(): number;
  /** Moves on by so many milliseconds; never back. */
  advance(ms: number): void;
}

/** A clock over a time that stands still: who waits moves it on. */
export function proofClock(time: MovableTime): ProofClock {
  return {
    nowMs: () => time.nowMs(),
    nowMicros: () => BigInt(time.nowMs()) * 1000n,
    advance: (ms) => time.advance(ms),
    async sleep(ms, signal): Promise<void> {
      signal.throwIfAborted();
      time.advance(Math.ceil(ms));
      await Promise.resolve();
    },
  };
}

/** A clock that stands at a moment until it is told to move on. */
export function standingClock(startMs: number): ProofClock {
  let now = startMs;
  return proofClock({
    nowMs: () => now,
    advance: (ms) => {
      now += ms;
    },
  });
}
