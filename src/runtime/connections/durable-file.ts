import {randomUUID} from 'node:crypto';
import {chmod, link, mkdir, open, rename, rm, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';

import {IngestError} from '../../core/errors.ts';

/** What file systems say that cannot make hard links. */
const NO_LINKS: ReadonlySet<string> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);

/** Makes a folder that only its owner may look into; one that is there stays as it is. */
export async function makePrivateFolder(folder: string): Promise<void> {
  await mkdir(folder, {recursive: true, mode: 0o700});
}

/** Makes `home` with a note for Git to leave it alone. */
export async function makeHome(home: string): Promise<void> {
  await makePrivateFolder(home);
  await writeFile(join(home, '.gitignore'), '*\n', {flag: 'wx'}).catch(unlessThere);
}

/** Writes a file (mode 0600) in one step: readers see the old content or the new, and it is on disk when this resolves. */
export async function replaceFile(path: string, content: string): Promise<void> {
  const temporary = await writeBeside(path, content);
  try {
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, {force: true});
    throw error;
  }
  await syncFolder(dirname(path));
}

/** The same for a name that must be free: false, and nothing changed, when it is taken. */
export async function createFile(path: string, content: string): Promise<boolean> {
  const temporary = await writeBeside(path, content);
  try {
    // A link, unlike a rename, never takes the place of what another process made meanwhile.
    await link(temporary, path);
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    if (!NO_LINKS.has(codeOf(error) ?? '')) throw error;
    throw new IngestError('STORAGE_FAILED', `${dirname(path)} lies on a file system without hard links.`, {
      fix: 'Set SLUICE_HOME (and XDG_CONFIG_HOME, for the key) to a folder of a local disk.',
      class: 'config',
      cause: error,
    });
  } finally {
    await rm(temporary, {force: true});
  }
  await syncFolder(dirname(path));
  return true;
}

/** The code of a file system's error; undefined for anything else. */
export function codeOf(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}

function unlessThere(error: unknown): void {
  if (codeOf(error) !== 'EEXIST') throw error;
}

async function writeBeside(path: string, content: string): Promise<string> {
  const temporary = `${path}.${randomUUID()}.tmp`;
  const handle = await open(temporary, 'wx', 0o600);
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
  // The umask may have taken more than it should, never less.
  await chmod(temporary, 0o600);
  return temporary;
}

async function syncFolder(folder: string): Promise<void> {
  // Windows cannot open folders and needs no sync of them.
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
