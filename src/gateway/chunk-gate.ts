import type {ChunkEnd} from '../sdk/change-log.ts';
import type {GatewayCore} from './gateway-core.ts';

/** How often it is looked whether snapshots may go on. */
const LOOK_MS = 1000;

/** Lets so many chunks be read at once, so many bytes a second, and none while snapshots are paused. */
export class ChunkGate {
  readonly #core: GatewayCore;
  #free: number;
  readonly #waiting: (() => void)[] = [];
  /** When the bytes that were let through are paid for. */
  #paidAtMs = 0;

  constructor(core: GatewayCore) {
    this.#core = core;
    this.#free = Math.max(1, core.limits.parallelChunks);
  }

  /** Runs work when there is room for a chunk. @throws the signal's reason */
  async enter<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      await this.#untilAllowed(signal);
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }

  /** The same bytes, no faster than the limit. */
  async *throttle(
    read: AsyncGenerator<Uint8Array, ChunkEnd>,
    signal: AbortSignal,
    count: (bytes: number) => void,
  ): AsyncGenerator<Uint8Array, ChunkEnd> {
    const {clock, limits} = this.#core;
    try {
      for (;;) {
        signal.throwIfAborted();
        const {done, value} = await read.next();
        if (done === true) return value;
        count(value.length);
        if (limits.snapshotBytesPerSecond > 0) {
          const costMs = (value.length * 1000) / limits.snapshotBytesPerSecond;
          this.#paidAtMs = Math.max(this.#paidAtMs, clock.nowMs()) + costMs;
          const waitMs = this.#paidAtMs - clock.nowMs();
          if (waitMs > 20) await clock.sleep(waitMs, signal);
        }
        yield value;
      }
    } finally {
      await read.return({rows: 0});
    }
  }

  async #untilAllowed(signal: AbortSignal): Promise<void> {
    const {clock, options} = this.#core;
    signal.throwIfAborted();
    while (!(options.maySnapshot?.(clock.nowMs()) ?? true)) await clock.sleep(LOOK_MS, signal);
  }
}
