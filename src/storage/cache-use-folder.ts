import {randomUUID} from 'node:crypto';
import {mkdir, readdir, rm, stat, utimes} from 'node:fs/promises';
import {hostname} from 'node:os';
import {join} from 'node:path';

import {systemCode} from './storage-error.ts';

/** A folder of one process among those of others; disposing removes it. */
export interface UseFolder extends AsyncDisposable {
  readonly path: string;
}

const SIGN_OF_LIFE_MS = 5 * 60_000;
/** A process that is not to be found on this host counts as dead after so long: it may be in another container of the same name. */
const DEAD_HERE_AFTER_MS = 15 * 60_000;
/** A process that is not on this host, or whose number another has now, counts as dead after so long. */
const DEAD_AFTER_MS = 2 * 3_600_000;

/** Makes a folder for this process, and removes those of processes that died. */
export async function openUseFolder(parent: string): Promise<UseFolder> {
  await mkdir(parent, {recursive: true});
  await removeDead(parent);
  const path = join(parent, `${encodeURIComponent(hostname())}.${process.pid}.${randomUUID().slice(0, 8)}`);
  await mkdir(path);
  const timer = setInterval(() => {
    const now = new Date();
    // Without a sign of life the folder counts as dead only after hours: the next one will do.
    utimes(path, now, now).catch(() => undefined);
  }, SIGN_OF_LIFE_MS);
  timer.unref();
  return {
    path,
    async [Symbol.asyncDispose](): Promise<void> {
      clearInterval(timer);
      await rm(path, {recursive: true, force: true});
    },
  };
}

async function removeDead(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    const path = join(parent, name);
    const {mtimeMs} = await stat(path).catch(() => ({mtimeMs: Number.POSITIVE_INFINITY}));
    const parts = name.split('.');
    const isHere = parts.slice(0, -2).join('.') === encodeURIComponent(hostname());
    const silentMs = Date.now() - mtimeMs;
    const isDead =
      silentMs > DEAD_AFTER_MS || (silentMs > DEAD_HERE_AFTER_MS && isHere && !isAlive(Number(parts.at(-2))));
    if (isDead) await rm(path, {recursive: true, force: true});
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Without the permission to signal it the process exists.
    return systemCode(error) === 'EPERM';
  }
}
