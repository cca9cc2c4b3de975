import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {pathToFileURL} from 'node:url';

import {IngestError, isIngestError, messageOf} from '../../core/errors.ts';

/** Exports of a module by name. */
export type ModuleExports = Readonly<Record<string, unknown>>;

/**
 * Runs an ES module from its text and gives its exports. The file that it takes lives in a folder that only this user can
 * read, for as long as the import lasts: nobody can put other code in its place. @throws INVALID_CONNECTOR when it throws
 */
export async function importCode(code: string, about: string): Promise<ModuleExports> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-connector-'));
  try {
    const file = join(folder, 'index.mjs');
    await writeFile(file, code, {mode: 0o600});
    const module: unknown = await import(/* @vite-ignore */ pathToFileURL(file).href);
    return typeof module === 'object' && module !== null ? {...module} : {};
  } catch (error) {
    if (isIngestError(error)) throw error;
    throw new IngestError('INVALID_CONNECTOR', `${about} fails when it is loaded: ${messageOf(error)}`, {
      fix: 'Correct its code; what runs at import may only declare.',
      cause: error,
    });
  } finally {
    await rm(folder, {recursive: true, force: true});
  }
}
