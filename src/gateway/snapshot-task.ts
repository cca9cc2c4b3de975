import {isIngestError} from '../core/errors.ts';
import {LinkedAbort} from '../core/linked-abort.ts';
import {demandOf} from '../staging/state.ts';
import {ChunkGate} from './chunk-gate.ts';
import {Backoff, errorText, mayPass, stopped, type GatewayCore} from './gateway-core.ts';
import {snapshotTable} from './snapshot-table.ts';

/** How often it is looked whether a table waits for its snapshot. */
const LOOK_MS = 250;

/** Reads the snapshots that are missing, beside the log and some tables at once, until the gateway ends. */
export async function runSnapshotTask(core: GatewayCore): Promise<void> {
  await new SnapshotTask(core).run();
}

class SnapshotTask {
  readonly #core: GatewayCore;
  readonly #gate: ChunkGate;
  /** Tables that are read now. */
  readonly #running = new Map<
    string,
    {readonly done: Promise<void>; readonly stop: LinkedAbort; readonly demand: string}
  >();
  /** Those of them that only wait for the log: others may be read meanwhile. */
  readonly #waiting = new Set<string>();
  readonly #backoffs = new Map<string, Backoff>();
  #failure: unknown = null;

  constructor(core: GatewayCore) {
    this.#core = core;
    this.#gate = new ChunkGate(core);
  }

  async run(): Promise<void> {
    const {clock, signal} = this.#core;
    try {
      while (!signal.aborted) {
        if (this.#failure !== null) throw this.#failure;
        this.#stopStale();
        this.#startWaiting();
        await clock.sleep(Math.min(LOOK_MS, this.#core.limits.sealMs), signal).catch(() => undefined);
      }
    } finally {
      for (const {stop} of this.#running.values()) stop.controller.abort(stopped());
      await Promise.all([...this.#running.values()].map(({done}) => done));
    }
  }

  /** A snapshot leads nowhere once its table is no longer followed, or must be read anew for another reason. */
  #stopStale(): void {
    for (const [name, {stop, demand}] of this.#running)
      if (this.#demandOf(name) !== demand) stop.controller.abort(stopped());
  }

  #startWaiting(): void {
    const {facts, manifest, limits, options, clock} = this.#core;
    if (facts.connection === 'starting' || !(options.maySnapshot?.(clock.nowMs()) ?? true)) return;
    for (const name of manifest.state.tables.keys()) {
      if (this.#running.size - this.#waiting.size >= limits.parallelTables) return;
      const demand = this.#demandOf(name);
      if (demand === null || this.#running.has(name)) continue;
      const stop = new LinkedAbort(this.#core.signal);
      const done = this.#read(name, stop.signal)
        .catch((error: unknown) => {
          this.#failure ??= error;
        })
        .finally(() => {
          stop[Symbol.dispose]();
          this.#waiting.delete(name);
          this.#running.delete(name);
        });
      this.#running.set(name, {done, stop, demand});
    }
  }

  /** Names what a snapshot would be for; null when none is needed. */
  #demandOf(name: string): string | null {
    const {facts, manifest} = this.#core;
    const staged = manifest.state.tables.get(name);
    if (staged === undefined || !facts.followed.has(name)) return null;
    if (staged.snapshot !== null && staged.reset === null) return null;
    return `${manifest.state.epoch}/${staged.table.id}/${demandOf(staged)}`;
  }

  async #read(name: string, signal: AbortSignal): Promise<void> {
    const {facts, event} = this.#core;
    const backoff = this.#backoffs.get(name) ?? new Backoff(this.#core);
    this.#backoffs.set(name, backoff);
    try {
      const onWaiting = (): void => void this.#waiting.add(name);
      await snapshotTable({core: this.#core, gate: this.#gate, name, signal, onWaiting});
      facts.failures.delete(name);
      backoff.reset();
    } catch (error) {
      if (signal.aborted) return;
      if (isIngestError(error, 'CONCURRENT_RUN')) throw error;
      facts.failures.set(name, errorText(error));
      const level = mayPass(error) ? 'warning' : 'error';
      event('snapshot_failed', level, `The snapshot of ${name} failed and is tried again. ${errorText(error)}`, {
        table: name,
      });
      await backoff.wait(error, signal).catch(() => undefined);
    } finally {
      facts.snapshots.delete(name);
    }
  }
}
