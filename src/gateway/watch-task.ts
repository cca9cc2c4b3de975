import type {LogHealth} from '../sdk/change-log.ts';
import {errorText, type GatewayCore} from './gateway-core.ts';

/** Looks after the source until the gateway ends: how much log it keeps and for how long, and that an idle one moves on. */
export async function runWatchTask(core: GatewayCore): Promise<void> {
  const {clock, limits, signal} = core;
  const watch = new SourceWatch(core);
  while (!signal.aborted) {
    await clock.sleep(Math.min(limits.healthMs, limits.heartbeatMs), signal).catch(() => undefined);
    if (signal.aborted || core.facts.connection === 'starting') continue;
    await watch.look();
  }
}

class SourceWatch {
  readonly #core: GatewayCore;
  #last: {readonly atMs: number; readonly health: LogHealth} | null = null;
  #state: LogHealth['state'] = 'ok';
  #heartbeatAtMs: number;

  constructor(core: GatewayCore) {
    this.#core = core;
    this.#heartbeatAtMs = core.clock.nowMs();
  }

  /** That the source cannot be asked now is told by whoever reads the log. */
  async look(): Promise<void> {
    const {source, signal, facts, clock, options} = this.#core;
    const context = this.#core.context(signal);
    try {
      const health = await source.health(context);
      facts.health = health;
      this.#tell(health, clock.nowMs());
      await this.#beat();
    } catch (error) {
      if (!signal.aborted) options.context.log.debug(`The source's health could not be asked. ${errorText(error)}`);
    }
  }

  #tell(health: LogHealth, nowMs: number): void {
    const {event} = this.#core;
    const secondsToDanger = this.#secondsToDanger(health, nowMs);
    this.#last = {atMs: nowMs, health};
    if (health.state === this.#state) return;
    this.#state = health.state;
    const {retainedBytes = null, bytesToDanger = null, message = ''} = health;
    const facts = {retained_bytes: retainedBytes, bytes_to_danger: bytesToDanger, seconds_to_danger: secondsToDanger};
    const level = health.state === 'ok' ? 'info' : health.state === 'at_risk' ? 'warning' : 'error';
    event('health', level, `The log at the source: ${health.state}. ${message}`.trim(), {facts});
  }

  /** At the rate of the last look; null when nothing is in danger. */
  #secondsToDanger({bytesToDanger}: LogHealth, nowMs: number): number | null {
    const before = this.#last?.health.bytesToDanger;
    if (bytesToDanger === undefined || before === undefined || this.#last === null) return null;
    const perMs = (before - bytesToDanger) / Math.max(1, nowMs - this.#last.atMs);
    return perMs <= 0 ? null : Math.round(bytesToDanger / perMs / 1000);
  }

  async #beat(): Promise<void> {
    const {source, facts, clock, limits, signal} = this.#core;
    const nowMs = clock.nowMs();
    const quietMs = nowMs - Math.max(facts.lastChangeAtMs, this.#heartbeatAtMs);
    if (source.heartbeat === undefined || quietMs < limits.heartbeatMs) return;
    this.#heartbeatAtMs = nowMs;
    await source.heartbeat(this.#core.context(signal));
  }
}
