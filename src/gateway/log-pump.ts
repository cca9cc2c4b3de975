import {isIngestError} from '../core/errors.ts';
import {failpoint} from '../core/failpoint.ts';
import type {LogBatch, LogPoint, LogReader} from '../sdk/change-log.ts';
import {openLogWriter, type LogWriter} from '../staging/log-writer.ts';
import {resetTable} from './follow-tables.ts';
import {Backoff, errorText, mayPass, type GatewayCore} from './gateway-core.ts';

/**
 * Copies an open log into segments until the signal; then seals what ends behind a commit. Nothing is acknowledged that the manifest
 * does not hold.
 * @throws what reading or sealing throws for good
 */
export async function pumpLog(core: GatewayCore, reader: LogReader, signal: AbortSignal): Promise<void> {
  const pump = new LogPump(core, reader, signal);
  try {
    await pump.run();
  } finally {
    await pump.settle();
  }
}

const WAIT_OVER = new Error('the wait is over');
const HOUR_MS = 3_600_000;

class LogPump {
  readonly #core: GatewayCore;
  readonly #reader: LogReader;
  readonly #signal: AbortSignal;
  readonly #writer: LogWriter;
  readonly #backoff: Backoff;
  #sealing: Promise<void> | null = null;
  /** An error of a seal that ran beside the reading. */
  #failure: unknown = null;
  /** When the oldest change came that no cut has taken. */
  #unsealedSinceMs: number | null = null;
  #gatheredBytes = 0;
  /** Of the batch that is waited for: one for each, so that nothing gathers on the signal of a gateway that runs for months. */
  #wait: AbortController = new AbortController();
  readonly #endWait = (): void => this.#wait.abort(WAIT_OVER);
  #advancedAtMs: number;

  constructor(core: GatewayCore, reader: LogReader, signal: AbortSignal) {
    this.#core = core;
    this.#reader = reader;
    this.#signal = signal;
    this.#writer = openLogWriter(core.manifest, core.limits.logCompression);
    this.#backoff = new Backoff(core);
    this.#advancedAtMs = core.clock.nowMs();
    signal.addEventListener('abort', this.#endWait, {once: true});
  }

  async run(): Promise<void> {
    const batches = this.#reader.batches()[Symbol.asyncIterator]();
    let pending: Promise<IteratorResult<LogBatch>> | null = null;
    try {
      while (!this.#signal.aborted) {
        pending ??= batches.next();
        const result = await this.#firstOf(pending);
        if (this.#failure !== null) throw this.#failure;
        if (result !== null) {
          pending = null;
          if (result.done === true) return;
          await this.#take(result.value);
        }
        this.#sealWhenDue();
        await this.#waitForRoom();
      }
    } finally {
      // Whoever leaves early is not interested in how it ends.
      pending?.catch(() => undefined);
    }
  }

  /** Ends what is under way and seals what ends behind a commit, if that works at once. */
  async settle(): Promise<void> {
    this.#signal.removeEventListener('abort', this.#endWait);
    await this.#sealing;
    if (this.#failure !== null || this.#writer.isOpen) return;
    try {
      const entry = await this.#writer.seal();
      if (entry !== null) this.#reader.acknowledge(entry.end);
    } catch (error) {
      if (!isIngestError(error)) throw error;
      // What is not sealed is read again.
    }
  }

  /** The next batch; null when a segment is due or sealed first, or the signal comes. */
  async #firstOf(pending: Promise<IteratorResult<LogBatch>>): Promise<IteratorResult<LogBatch> | null> {
    const {clock} = this.#core;
    const sealing = this.#sealing;
    const wait = new AbortController();
    this.#wait = wait;
    const due = clock.sleep(this.#dueInMs(), wait.signal).then(
      () => null,
      () => null,
    );
    try {
      return await Promise.race(sealing === null ? [pending, due] : [pending, due, sealing.then(() => null)]);
    } finally {
      wait.abort(WAIT_OVER);
    }
  }

  /** When there is something to do though no batch comes; the end of a seal under way is waited for by itself. */
  #dueInMs(): number {
    if (this.#unsealedSinceMs === null || this.#sealing !== null) return HOUR_MS;
    return Math.max(0, this.#unsealedSinceMs + this.#core.limits.sealMs - this.#core.clock.nowMs());
  }

  async #take(batch: LogBatch): Promise<void> {
    const {facts, clock, manifest} = this.#core;
    facts.lastBatchAtMs = clock.nowMs();
    if (batch.frames === 0) await this.#advance(batch.end);
    else {
      this.#writer.append(batch);
      this.#unsealedSinceMs ??= clock.nowMs();
      this.#gatheredBytes += batch.bytes.length;
      facts.logBytes += batch.bytes.length;
      facts.lastChangeAtMs = clock.nowMs();
      facts.unsealedBytes = this.#writer.unsealedBytes;
    }
    for (const {table, message} of batch.resets) {
      const staged = [...manifest.state.tables.values()].find((each) => each.table.id === table);
      if (staged === undefined) continue;
      await resetTable(this.#core, {name: staged.name, reason: 'unsupported_change', message, table: null});
    }
  }

  /** A quiet log has moved: where nothing waits to be sealed, the manifest says so now and then, and then the source may forget it. */
  async #advance(end: LogPoint | null): Promise<void> {
    const {manifest, clock, limits, facts} = this.#core;
    const {state} = manifest;
    if (end === null || state.end === null || end.position <= state.end.position) return;
    if (this.#writer.unsealedBytes > 0 || this.#sealing !== null) return;
    // A snapshot is whole once the log has reached the end of its views.
    const isAwaited =
      facts.awaited.size > 0 ||
      [...state.tables.values()].some(({snapshot}) => isBetween(state.end, snapshot?.until, end));
    if (!isAwaited && clock.nowMs() - this.#advancedAtMs < limits.advanceMs) return;
    this.#advancedAtMs = clock.nowMs();
    try {
      await manifest.append({kind: 'advance', epoch: state.epoch, end});
    } catch (error) {
      // It only spares the source: the next time will do.
      if (mayPass(error)) return;
      throw error;
    }
    failpoint('gateway.advanced');
    this.#reader.acknowledge(end);
  }

  #sealWhenDue(): void {
    if (this.#sealing !== null || this.#unsealedSinceMs === null) return;
    const {limits, clock} = this.#core;
    const isOld = clock.nowMs() - this.#unsealedSinceMs >= limits.sealMs;
    const isDue = this.#writer.isOpen
      ? this.#gatheredBytes >= limits.cutBytes
      : isOld || this.#gatheredBytes >= limits.sealBytes;
    if (!isDue) return;
    this.#unsealedSinceMs = null;
    this.#gatheredBytes = 0;
    this.#sealing = this.#seal()
      .catch((error: unknown) => {
        // Once it is to end, what is not sealed is read again, and what stands against that is met again.
        if (!this.#signal.aborted) this.#failure = error;
      })
      .finally(() => {
        this.#sealing = null;
      });
  }

  /** Not reading is what slows the source down. */
  async #waitForRoom(): Promise<void> {
    while (this.#sealing !== null && this.#writer.unsealedBytes >= this.#core.limits.maxUnsealedBytes) {
      await this.#sealing;
      if (this.#failure !== null) throw this.#failure;
      this.#sealWhenDue();
    }
  }

  async #seal(): Promise<void> {
    const {facts, event} = this.#core;
    for (;;) {
      try {
        const entry = await this.#writer.seal();
        failpoint('gateway.sealed');
        // Invariant 1: acknowledge only what the manifest holds.
        if (entry !== null) this.#reader.acknowledge(entry.end);
        failpoint('gateway.acknowledged');
        facts.unsealedBytes = this.#writer.unsealedBytes;
        this.#backoff.reset();
        if (facts.connection === 'storage_full') event('storage_recovered', 'info', 'Staging takes segments again.');
        facts.connection = 'streaming';
        facts.message = null;
        return;
      } catch (error) {
        if (!mayPass(error)) throw error;
        await this.#waitForStorage(error);
      }
    }
  }

  async #waitForStorage(error: unknown): Promise<void> {
    const {facts, event} = this.#core;
    const isNew = facts.connection !== 'storage_full';
    facts.connection = isIngestError(error, 'STORAGE_FULL') ? 'storage_full' : 'waiting';
    facts.message = errorText(error);
    if (isNew && facts.connection === 'storage_full') {
      event(
        'storage_full',
        'error',
        `Staging is full; the log waits at the source, which keeps it. ${errorText(error)}`,
        {facts: {standstill: true}},
      );
    } else if (isNew) {
      event('retry', 'warning', `A segment could not be stored and is tried again. ${errorText(error)}`, {
        facts: {standstill: true},
      });
    }
    await this.#backoff.wait(error, this.#signal);
  }
}

function isBetween(from: LogPoint | null, position: bigint | undefined, to: LogPoint): boolean {
  return from !== null && position !== undefined && from.position < position && position <= to.position;
}
