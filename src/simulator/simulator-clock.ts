import type {Clock} from '../core/clock.ts';

/** The simulator's time: stands still unless a clock is given, and moves when told. */
export interface SimulatorClock {
  /** Milliseconds since 1970: what windows, expiry and visibility are measured by. */
  nowMs(): number;
  /** What is stamped into rows and headers: `nowMs` and the skew. */
  stampMs(): number;
  /** Moves the time forward. */
  advance(ms: number): void;
  /** The server's stamps differ from its clients' time by so many milliseconds. */
  setSkew(ms: number): void;
}

/** Where time begins when nobody says: 2025-01-01T00:00:00Z. */
export const DEFAULT_START_MS: number = Date.UTC(2025, 0, 1);

/** A clock of the simulator: on top of `base`, or standing at `startMs`. */
export function simulatorClock(base: Pick<Clock, 'nowMs'> | undefined, startMs: number): SimulatorClock {
  let advanced = 0;
  let skew = 0;
  const nowMs = (): number => (base?.nowMs() ?? startMs) + advanced;
  return {
    nowMs,
    stampMs: () => nowMs() + skew,
    advance(ms) {
      advanced += ms;
    },
    setSkew(ms) {
      skew = ms;
    },
  };
}
