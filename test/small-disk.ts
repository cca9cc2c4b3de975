import {execFileSync} from 'node:child_process';
import {mkdir} from 'node:fs/promises';

/** A disk of its own, in memory. */
export interface SmallDisk extends AsyncDisposable {
  /** Mounts it anew with other options, e.g. `size=64m` or `ro`; what it holds stays. */
  remount(options: string): void;
}

/** Mounts a small disk on a folder. Only root may: others skip the test, and say so. */
export async function mountDisk(folder: string, size: string, skip: (note: string) => void): Promise<SmallDisk> {
  await mkdir(folder, {recursive: true});
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder], {stdio: 'pipe'});
  } catch (error) {
    skip(
      `needs the right to mount a file system: ${error instanceof Error ? (error.message.split('\n')[1] ?? error.message) : ''}`,
    );
  }
  return {
    remount: (options) => void execFileSync('mount', ['-o', `remount,${options}`, folder]),
    [Symbol.asyncDispose]: () => Promise.resolve(void execFileSync('umount', [folder])),
  };
}
