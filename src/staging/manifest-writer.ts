import {randomUUID} from 'node:crypto';
import {isDeepStrictEqual} from 'node:util';

import type {Clock} from '../core/clock.ts';
import {IngestError} from '../core/errors.ts';
import {failpoint} from '../core/failpoint.ts';
import {encodeEntry, type EntryBody, type EntryHead, type ManifestEntry} from './entry.ts';
import {catchUp, loadState, readEntryAt, type Staging} from './staging.ts';
import {encodeState, foldEntry, type StagingState} from './state.ts';

/** Entries between two checkpoints of the state. */
const CHECKPOINT_EVERY = 32;

/** Adds entries to a manifest, one after the other. Every entry is durable before the call resolves. */
export interface ManifestWriter {
  readonly staging: Staging;
  /** Names this writer in entries and files. */
  readonly writer: string;
  /** Behind the last entry that was added or met. */
  readonly state: StagingState;
  /**
   * Adds an entry. After an error it may be called again with the same body.
   * @throws CONCURRENT_RUN when another gateway adds entries
   */
  append<T extends EntryBody>(body: T): Promise<EntryHead & T>;
  /** Meets what others added, such as a table that somebody wants to be read anew. @throws CONCURRENT_RUN */
  catchUp(): Promise<StagingState>;
}

/** Told of the manifest's state: when it was opened, and behind every entry that was added or met. */
export type StateListener = (state: StagingState) => void;

/** Opens the manifest for writing. Nothing is written yet. @throws STAGING_DAMAGED */
export async function openManifest(
  staging: Staging,
  clock: Clock,
  onState: StateListener = () => undefined,
): Promise<ManifestWriter> {
  return new NumberedManifest(staging, {clock, state: await loadState(staging), onState});
}

class NumberedManifest implements ManifestWriter {
  readonly staging: Staging;
  readonly writer: string = randomUUID().slice(0, 8);
  readonly #clock: Clock;
  readonly #onState: StateListener;
  #state: StagingState;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(
    staging: Staging,
    parts: {readonly clock: Clock; readonly state: StagingState; readonly onState: StateListener},
  ) {
    this.staging = staging;
    this.#clock = parts.clock;
    this.#onState = parts.onState;
    this.#state = parts.state;
    this.#onState(this.#state);
  }

  get state(): StagingState {
    return this.#state;
  }

  append<T extends EntryBody>(body: T): Promise<EntryHead & T> {
    return this.#inTurn(() => this.#append(body));
  }

  catchUp(): Promise<StagingState> {
    return this.#inTurn(async () => {
      const {n} = this.state;
      const next = await catchUp(this.staging, this.state);
      if (next.n !== n) this.#checkOthers(await readEntryAt(this.staging, next.n));
      if (next.n !== n) this.#become(next);
      return next;
    });
  }

  async #append<T extends EntryBody>(body: T): Promise<EntryHead & T> {
    const {store, layout} = this.staging;
    for (;;) {
      this.#checkStart(body);
      const entry = {n: this.state.n + 1, writer: this.writer, sealedAt: this.#clock.nowMicros(), ...body};
      const won = await store.putIfAbsent(layout.entry(entry.n), encodeEntry(entry as ManifestEntry));
      failpoint('staging.entry-written');
      if (won || (await this.#isOurs(entry.n, body))) {
        this.#become(foldEntry(this.state, entry as ManifestEntry));
        await this.#checkpoint();
        return entry;
      }
      const other = await readEntryAt(this.staging, entry.n);
      this.#checkOthers(other);
      if (other !== null) this.#become(foldEntry(this.state, other));
    }
  }

  #become(state: StagingState): void {
    this.#state = state;
    this.#onState(state);
  }

  /** A write that failed may come true late: what was read from behind an older end would then come twice. */
  #checkStart(body: EntryBody): void {
    const {end, epoch} = this.state;
    if (body.kind !== 'log' || (body.epoch === epoch && body.start.position === end?.position)) return;
    throw new IngestError('STORAGE_FAILED', 'The manifest ends elsewhere than where this segment begins.', {
      fix: 'Nothing: the log is read again from where the manifest ends.',
    });
  }

  /** An answer was lost, and what was asked for had happened. */
  async #isOurs(n: number, body: EntryBody): Promise<boolean> {
    const found = await readEntryAt(this.staging, n);
    return found !== null && found.writer === this.writer && sameBody(found, body);
  }

  /** Maintenance may add entries beside a gateway; a second gateway may not. */
  #checkOthers(other: ManifestEntry | null): void {
    if (other === null || other.writer === this.writer || other.kind === 'reset' || other.kind === 'retired') return;
    const {root} = this.staging.store;
    throw new IngestError('CONCURRENT_RUN', `Another gateway writes into the staging of "${this.staging.gateway}".`, {
      fix: `Run one gateway for ${root}/${this.staging.layout.manifest}; this one stops.`,
    });
  }

  async #checkpoint(): Promise<void> {
    const {n} = this.state;
    if (n % CHECKPOINT_EVERY !== 0) return;
    const {store, layout} = this.staging;
    try {
      await store.put(layout.checkpoint(n), encodeState(this.state));
      failpoint('staging.checkpoint-written');
      await store.delete(layout.checkpoint(n - 2 * CHECKPOINT_EVERY));
    } catch {
      // It only saves time; the entry that it follows is durable.
    }
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work, work);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}

/** Bodies of two attempts differ at least in where the log stands or in the name of their file. */
function sameBody({n: _n, writer: _writer, sealedAt: _sealedAt, ...found}: ManifestEntry, body: EntryBody): boolean {
  return isDeepStrictEqual(found, body);
}
