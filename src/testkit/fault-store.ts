import {stat, truncate} from 'node:fs/promises';

import type {Clock, Random} from '../core/clock.ts';
import {systemClock} from '../core/clock.ts';
import {storageError} from '../storage/storage-error.ts';
import type {ObjectInfo, StagedObject, Store} from '../storage/store.ts';

/** Methods of a store that can be made to fail; `seal` is that of its staged objects. */
export type StoreMethod = 'get' | 'put' | 'putIfAbsent' | 'list' | 'prefixes' | 'delete' | 'stage' | 'seal';

/** What goes wrong with one call. Faults that make no sense for a method leave it alone. */
export type Fault =
  /** The call fails before anything happens: disk error, full, read-only. */
  | {readonly kind: 'fail'; readonly systemCode: 'EIO' | 'ENOSPC' | 'EROFS'}
  /** The call does its work, but its answer is lost: it fails after all. */
  | {readonly kind: 'lost-answer'}
  /**
   * Writes: the first bytes become visible under the name, then the call fails. `seal`: the local file is cut there. A store
   * that writes under another name first, as the local one, tears only files that are being sealed.
   */
  | {readonly kind: 'torn'; readonly keptBytes: number}
  /** The call waits first. */
  | {readonly kind: 'slow'; readonly ms: number}
  /** `list`: the last `count` objects are not shown yet. */
  | {readonly kind: 'stale'; readonly count: number}
  /** `list`: every object is shown twice. */
  | {readonly kind: 'duplicate'}
  /** `delete`: it succeeds, and the object is still there for so many more calls. */
  | {readonly kind: 'late-delete'; readonly calls: number};

/** Which calls get a fault. */
export interface FaultRule {
  readonly fault: Fault;
  /** Default: every method. */
  readonly method?: StoreMethod;
  /** Names (for `list`, prefixes) that match; default: all. */
  readonly name?: RegExp;
  /** So many matching calls pass first; default 0. */
  readonly after?: number;
  /** So many get the fault; default 1. */
  readonly times?: number;
}

/** A fault that was injected. */
export interface InjectedFault {
  readonly method: StoreMethod;
  readonly name: string;
  readonly fault: Fault;
}

/** What goes wrong, by script or by chance. */
export interface FaultOptions {
  /** Asked in order; the first that applies to a call decides. */
  readonly rules?: readonly FaultRule[];
  /**
   * After the rules: each call gets one of the faults with this probability, `torn` those of `seal` only. Seed the random
   * numbers and print the seed.
   */
  readonly chance?: {readonly random: Random; readonly probability: number; readonly faults: readonly Fault[]};
  /** For slow calls; default the machine's clock. */
  readonly clock?: Clock;
}

/** A store whose calls fail as told. */
export interface FaultStore extends Store {
  /** What was injected so far, in order. */
  readonly injected: readonly InjectedFault[];
  /** Adds a rule behind those there are. */
  inject(rule: FaultRule): void;
  /** Ends all faults. */
  heal(): void;
}

/** Wraps a store so that its calls fail by script or by chance. */
export function createFaultStore(inner: Store, options: FaultOptions = {}): FaultStore {
  return new FaultyStore(inner, options);
}

interface ActiveRule extends FaultRule {
  seen: number;
  done: number;
}

class FaultyStore implements FaultStore {
  readonly injected: InjectedFault[] = [];
  readonly #inner: Store;
  readonly #clock: Clock;
  #rules: ActiveRule[];
  #chance: FaultOptions['chance'];
  /** Calls until a delete shows, by name. */
  readonly #leaving = new Map<string, number>();

  constructor(inner: Store, options: FaultOptions) {
    this.#inner = inner;
    this.#clock = options.clock ?? systemClock;
    this.#rules = (options.rules ?? []).map((rule) => ({...rule, seen: 0, done: 0}));
    this.#chance = options.chance;
  }

  get root(): string {
    return this.#inner.root;
  }

  inject(rule: FaultRule): void {
    this.#rules.push({...rule, seen: 0, done: 0});
  }

  heal(): void {
    this.#rules = [];
    this.#chance = undefined;
  }

  get(name: string, range?: {readonly start: number; readonly end: number}): Promise<Uint8Array | null> {
    return this.#faulty('get', name, () => this.#inner.get(name, range));
  }

  put(name: string, bytes: Uint8Array): Promise<void> {
    return this.#faulty(
      'put',
      name,
      () => this.#inner.put(name, bytes),
      (kept) => this.#inner.put(name, bytes.subarray(0, kept)),
    );
  }

  putIfAbsent(name: string, bytes: Uint8Array): Promise<boolean> {
    return this.#faulty(
      'putIfAbsent',
      name,
      () => this.#inner.putIfAbsent(name, bytes),
      (kept) => this.#inner.putIfAbsent(name, bytes.subarray(0, kept)),
    );
  }

  async *list(
    prefix: string,
    options?: {readonly after?: string; readonly shallow?: boolean; readonly temporaries?: boolean},
  ): AsyncGenerator<ObjectInfo> {
    const fault = await this.#begin('list', prefix);
    const found: ObjectInfo[] = [];
    for await (const info of this.#inner.list(prefix, options)) found.push(info);
    const shown = fault?.kind === 'stale' ? found.slice(0, -fault.count) : found;
    for (const info of shown) {
      yield info;
      if (fault?.kind === 'duplicate') yield info;
    }
    this.#after(fault, 'list', prefix);
  }

  prefixes(prefix: string): Promise<readonly string[]> {
    return this.#faulty('prefixes', prefix, () => this.#inner.prefixes(prefix));
  }

  async delete(name: string): Promise<void> {
    const fault = await this.#begin('delete', name);
    if (fault?.kind === 'late-delete') this.#leaving.set(name, fault.calls);
    else await this.#inner.delete(name);
    this.#after(fault, 'delete', name);
  }

  async stage(name: string): Promise<StagedObject> {
    const staged = await this.#faulty('stage', name, () => this.#inner.stage(name));
    const cut = async (keptBytes: number): Promise<void> =>
      truncate(staged.localPath, Math.min(keptBytes, (await stat(staged.localPath)).size));
    return {...staged, seal: (signal) => this.#faulty('seal', name, () => staged.seal(signal), cut)};
  }

  localPath(name: string): Promise<string> {
    return this.#inner.localPath(name);
  }

  async #faulty<T>(
    method: StoreMethod,
    name: string,
    work: () => Promise<T>,
    torn?: (keptBytes: number) => Promise<unknown>,
  ): Promise<T> {
    const fault = await this.#begin(method, name);
    if (fault?.kind === 'torn' && torn !== undefined) {
      await torn(fault.keptBytes);
      throw injectedError('EIO', method, name);
    }
    const result = await work();
    this.#after(fault, method, name);
    return result;
  }

  /** Chooses the fault of a call, and lets happen what comes before the call's work. */
  async #begin(method: StoreMethod, name: string): Promise<Fault | null> {
    const fault = this.#next(method, name);
    if (method !== 'delete') await this.#leave(name, WRITES.has(method));
    await this.#before(fault, method, name);
    return fault;
  }

  /** Deletes that show late come closer; one whose name is written anew has shown before. */
  async #leave(name: string, isWritten: boolean): Promise<void> {
    for (const [leaving, calls] of this.#leaving) {
      if (calls > 1 && !(isWritten && leaving === name)) {
        this.#leaving.set(leaving, calls - 1);
        continue;
      }
      this.#leaving.delete(leaving);
      await this.#inner.delete(leaving);
    }
  }

  #next(method: StoreMethod, name: string): Fault | null {
    const fault = this.#byRule(method, name) ?? this.#byChance(method);
    if (fault !== null) this.injected.push({method, name, fault});
    return fault;
  }

  #byRule(method: StoreMethod, name: string): Fault | null {
    for (const rule of this.#rules) {
      if (rule.done >= (rule.times ?? 1)) continue;
      if ((rule.method ?? method) !== method || !(rule.name ?? ANY).test(name)) continue;
      if (rule.seen++ < (rule.after ?? 0)) continue;
      rule.done++;
      return rule.fault;
    }
    return null;
  }

  #byChance(method: StoreMethod): Fault | null {
    const chance = this.#chance;
    if (chance === undefined || chance.random() >= chance.probability) return null;
    const fault = chance.faults[Math.floor(chance.random() * chance.faults.length)] ?? null;
    // Every store shows an object that is put whole or not at all; a file that the engine writes is there before it is sealed.
    return fault?.kind === 'torn' && method !== 'seal' ? null : fault;
  }

  async #before(fault: Fault | null, method: StoreMethod, name: string): Promise<void> {
    if (fault?.kind === 'fail') throw injectedError(fault.systemCode, method, name);
    if (fault?.kind === 'slow') await this.#clock.sleep(fault.ms, new AbortController().signal);
  }

  #after(fault: Fault | null, method: StoreMethod, name: string): void {
    if (fault?.kind === 'lost-answer') throw injectedError('EIO', method, name);
  }
}

const ANY = /(?:)/;
const WRITES: ReadonlySet<StoreMethod> = new Set(['put', 'putIfAbsent', 'stage', 'seal']);

function injectedError(systemCode: string, method: StoreMethod, name: string): Error {
  return storageError(Object.assign(new Error(`${systemCode}: injected fault`), {code: systemCode}), method, name);
}
