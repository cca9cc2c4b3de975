import {readFile} from 'node:fs/promises';
import {hostname} from 'node:os';

import {systemClock, type Clock} from '../core/clock.ts';
import {IngestError} from '../core/errors.ts';
import {failpoint} from '../core/failpoint.ts';
import type {Store} from '../storage/store.ts';

/** Who holds a lease: a process of a host, told from a later process with the same number by its start time. */
interface LeaseEntry {
  readonly host: string;
  readonly pid: number;
  /** Start time of the process in clock ticks since boot (Linux); null where the system does not tell. */
  readonly processStart: string | null;
  readonly acquiredAt: string;
  readonly released: boolean;
}

/** An exclusive claim. Released by disposing; a claim whose process died is taken over at once on the same host. */
export interface Lease extends AsyncDisposable {
  readonly name: string;
}

const MAX_TRIES = 20;

const SIGN_OF_LIFE_MS = 60_000;
/** A holder on another host that was silent for so long is dead; its clock and ours may differ by less. */
const DEAD_AFTER_MS = 15 * 60_000;

/**
 * Claims a name, for example `_sluice/pipelines/daily/lease`. The claim is a chain of numbered objects that are put if
 * absent: the highest number says who holds it, so two claimants can never both win. The holder gives a sign of life every
 * minute; a holder on another host that is silent for a quarter of an hour is taken for dead.
 * @throws CONCURRENT_RUN when a living process holds it.
 */
export async function acquireLease(store: Store, name: string, clock: Clock): Promise<Lease> {
  const me: LeaseEntry = {
    host: hostname(),
    pid: process.pid,
    processStart: await processStart(process.pid),
    acquiredAt: new Date(clock.nowMs()).toISOString(),
    released: false,
  };
  for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
    const last = await lastEntry(store, name);
    if (last !== null && (await isHeld(last, clock))) throw heldBy(name, store, last);
    const number = (last?.number ?? 0) + 1;
    if (await store.putIfAbsent(entryName(name, number), encode(me))) {
      failpoint('lease.taken');
      // The number was free because later holders had removed it: they have gone on from it.
      if ((await lastEntry(store, name))?.number !== number) {
        await store.delete(entryName(name, number));
        continue;
      }
      await removeOlder(store, name, number);
      return leaseOf(store, name, number, me);
    }
  }
  throw new IngestError('CONCURRENT_RUN', `Could not claim ${name}: other processes keep claiming it.`, {
    fix: 'Run one pipeline once at a time.',
  });
}

/**
 * Since when a living process holds a lease, in milliseconds since 1970, by its clock or that of the store, whichever says
 * earlier; null when none does. Claims nothing.
 */
export async function leaseHeldSince(store: Store, name: string, clock: Clock = systemClock): Promise<number | null> {
  const last = await lastEntry(store, name);
  if (last === null || !(await isHeld(last, clock))) return null;
  return Math.min(Date.parse(last.entry.acquiredAt), last.claimedAtMs);
}

function leaseOf(store: Store, name: string, number: number, me: LeaseEntry): Lease {
  let released = false;
  let sign: Promise<void> = Promise.resolve();
  const timer = setInterval(() => {
    // One that cannot be given is given a minute later: only many in a row are missed.
    sign = store.put(signName(name), encode(me)).catch(() => undefined);
  }, SIGN_OF_LIFE_MS);
  timer.unref();
  return {
    name,
    async [Symbol.asyncDispose](): Promise<void> {
      if (released) return;
      released = true;
      clearInterval(timer);
      await sign;
      await store.putIfAbsent(entryName(name, number + 1), encode({...me, released: true}));
      failpoint('lease.released');
    },
  };
}

interface LastEntry {
  readonly number: number;
  readonly entry: LeaseEntry;
  /** When the entry was written, by the clock of the store. */
  readonly claimedAtMs: number;
  /** By the clock of the store; 0 when there was none. */
  readonly signOfLifeAtMs: number;
}

async function lastEntry(store: Store, name: string): Promise<LastEntry | null> {
  let lastName: string | null = null;
  let claimedAtMs = 0;
  let signOfLifeAtMs = 0;
  for await (const info of store.list(`${name}/`)) {
    if (info.name.endsWith('.json')) [lastName, claimedAtMs] = [info.name, info.modifiedAtMs];
    else if (info.name === signName(name)) signOfLifeAtMs = info.modifiedAtMs;
  }
  if (lastName === null) return null;
  const bytes = await store.get(lastName);
  const number = Number(lastName.slice(name.length + 1, -'.json'.length));
  const entry = bytes === null ? RELEASED : (JSON.parse(new TextDecoder().decode(bytes)) as LeaseEntry);
  return {number, entry, claimedAtMs, signOfLifeAtMs};
}

const RELEASED: LeaseEntry = {host: '', pid: 0, processStart: null, acquiredAt: '', released: true};

async function removeOlder(store: Store, name: string, number: number): Promise<void> {
  for await (const info of store.list(`${name}/`))
    if (info.name < entryName(name, number)) await store.delete(info.name);
}

function entryName(name: string, number: number): string {
  return `${name}/${String(number).padStart(12, '0')}.json`;
}

/** Sorts after every entry, and is none. */
function signName(name: string): string {
  return `${name}/sign-of-life`;
}

function encode(entry: LeaseEntry): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(entry)}\n`);
}

function heldBy(name: string, store: Store, last: LastEntry): IngestError {
  const {pid, host, acquiredAt} = last.entry;
  return new IngestError(
    'CONCURRENT_RUN',
    `Another run is under way: process ${pid} on ${host}, since ${acquiredAt}.`,
    {
      fix: `Wait for it, or stop it. If that host is gone for good, its claim ends a quarter of an hour after its last sign of life; or delete ${store.root}/${entryName(name, last.number)}.`,
      context: {pid, host},
    },
  );
}

async function isHeld({entry, signOfLifeAtMs}: LastEntry, clock: Clock): Promise<boolean> {
  if (entry.released) return false;
  if (entry.host === hostname()) return isAlive(entry);
  return clock.nowMs() - Math.max(signOfLifeAtMs, Date.parse(entry.acquiredAt)) < DEAD_AFTER_MS;
}

async function isAlive(entry: LeaseEntry): Promise<boolean> {
  try {
    process.kill(entry.pid, 0);
  } catch (error) {
    // Without the permission to signal it the process exists.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  const start = await processStart(entry.pid);
  return start === entry.processStart;
}

/** Field 22 of /proc/PID/stat; a zombie counts as dead, so its start is null. */
async function processStart(pid: number): Promise<string | null> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? null : (fields[19] ?? null);
  } catch {
    // Not Linux, or the process is gone: the signal above decides alone.
    return null;
  }
}
