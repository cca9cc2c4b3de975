import {isIngestError} from '../core/errors.ts';
import {failpoint} from '../core/failpoint.ts';
import {LinkedAbort} from '../core/linked-abort.ts';
import type {KnownTables, LogIdentity, LogReader} from '../sdk/change-log.ts';
import {claimSource} from '../staging/staging.ts';
import {isChanged, recordTables, wantedTables} from './follow-tables.ts';
import {Backoff, errorText, mayPass, stopped, type GatewayCore} from './gateway-core.ts';
import {pumpLog} from './log-pump.ts';

/** Follows the log until the gateway ends: connects, copies, and connects again when a connection fails or other tables are wanted. */
export async function runLogTask(core: GatewayCore): Promise<void> {
  await new LogTask(core).run();
}

class LogTask {
  readonly #core: GatewayCore;
  readonly #backoff: Backoff;
  /** Why the log must begin anew. */
  #lost: string | null = null;

  constructor(core: GatewayCore) {
    this.#core = core;
    this.#backoff = new Backoff(core);
  }

  async run(): Promise<void> {
    const {signal} = this.#core;
    while (!signal.aborted) {
      const sealedBefore = this.#core.manifest.state.lastLog?.n ?? 0;
      try {
        await this.#followOnce();
      } catch (error) {
        if (signal.aborted) return;
        if ((this.#core.manifest.state.lastLog?.n ?? 0) > sealedBefore) this.#backoff.reset();
        await this.#answer(error).catch((answer: unknown) => {
          // A wait that the stop has ended.
          if (!signal.aborted) throw answer;
        });
      }
    }
  }

  async #answer(error: unknown): Promise<void> {
    const {facts, event, signal} = this.#core;
    if (isIngestError(error, 'LOG_LOST')) {
      // A log that is lost again as soon as it was begun is not begun again at once.
      if (this.#lost !== null) await this.#backoff.wait(error, signal);
      this.#lost = errorText(error);
      return;
    }
    if (!mayPass(error) && !isIngestError(error, 'AUTH_FAILED')) throw error;
    facts.connection = 'waiting';
    facts.message = errorText(error);
    event('retry', 'warning', `The log is not read; it is tried again. ${errorText(error)}`, {
      facts: {standstill: true},
    });
    await this.#backoff.wait(error, signal);
  }

  /** One connection: until other tables are wanted, the gateway ends, or an error. */
  async #followOnce(): Promise<void> {
    const {source, manifest, facts, signal, event} = this.#core;
    const context = this.#core.context(signal);
    // A write whose answer was lost may have come true.
    await manifest.catchUp();
    const identity = await source.identify(context);
    const wanted = await wantedTables(this.#core, signal);
    const tables = [...wanted.tables.keys()];
    const reason = await this.#whyNewEpoch(identity);
    if (manifest.state.epoch === 0) await claimSource(manifest.staging, source.codec);
    const point = await source.prepare(tables, context);
    failpoint('gateway.prepared');
    const {state} = manifest;
    if (reason !== null) {
      const epoch = state.epoch + 1;
      await manifest.append({kind: 'epoch', epoch, identity, codec: source.codec, start: point, message: reason});
      if (epoch > 1) event('epoch_began', 'error', `All tables are read anew. ${reason}`, {facts: {epoch}});
    }
    const {end} = manifest.state;
    if (end === null) throw stopped();
    const known: KnownTables = (id) => [...manifest.state.tables.values()].find(({table}) => table.id === id)?.table;
    await using reader = await source.openLog(end, tables, context, known);
    this.#lost = null;
    await recordTables(this.#core, wanted);
    facts.connection = 'streaming';
    facts.message = null;
    event('streaming', 'info', `The log of ${tables.length} tables is followed.`, {
      facts: {position: end.position.toString(), tables: tables.length},
    });
    await this.#copyUntilChange(reader);
  }

  async #copyUntilChange(reader: LogReader): Promise<void> {
    using inner = new LinkedAbort(this.#core.signal);
    const leave = (): void => inner.controller.abort(stopped());
    const watching = this.#untilTablesChange(inner.signal).finally(leave);
    const copying = pumpLog(this.#core, reader, inner.signal).finally(leave);
    const [copied, watched] = await Promise.allSettled([copying, watching]);
    if (copied.status === 'rejected') throw copied.reason;
    if (watched.status === 'rejected') throw watched.reason;
  }

  /** Returns when other tables are wanted, or at the signal. That nobody can be asked now is no reason to stop copying. */
  async #untilTablesChange(signal: AbortSignal): Promise<void> {
    const {clock, limits, event} = this.#core;
    while (!signal.aborted) {
      try {
        await clock.sleep(limits.tablesMs, signal);
        await this.#core.manifest.catchUp();
        if (isChanged(this.#core, await wantedTables(this.#core, signal))) return;
      } catch (error) {
        if (signal.aborted) return;
        if (isIngestError(error, 'CONCURRENT_RUN')) throw error;
        event('retry', 'warning', `Which tables are wanted could not be asked. ${errorText(error)}`);
      }
    }
  }

  /** Null while the log goes on where the manifest ends. */
  async #whyNewEpoch(identity: LogIdentity): Promise<string | null> {
    const {manifest, source, signal} = this.#core;
    const {state} = manifest;
    if (state.epoch === 0 || state.identity === null) return '';
    if (state.identity.server !== identity.server) return 'The source is another server than before.';
    if (state.identity.timeline !== identity.timeline)
      return 'The source went back in time, by a failover or a restore.';
    if (state.codec !== source.codec) return `Frames are written as ${source.codec} from here on.`;
    if (this.#lost !== null) return this.#lost;
    const {state: health, message = ''} = await source.health(this.#core.context(signal));
    if (health === 'lost' || health === 'missing')
      return `The source no longer keeps the log for this gateway. ${message}`;
    return null;
  }
}
