import {readFile} from 'node:fs/promises';
import {join} from 'node:path';

import {IngestError} from '../../core/errors.ts';

/** package.json of a folder as plain data; null when there is none. @throws INVALID_CONNECTOR when it is no JSON object */
export async function packageOf(folder: string): Promise<Readonly<Record<string, unknown>> | null> {
  const file = join(folder, 'package.json');
  const text = await readFile(file, 'utf8').catch(() => null);
  if (text === null) return null;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return {...value};
  } catch {
    // Reported below, like any other JSON that is no object.
  }
  throw new IngestError('INVALID_CONNECTOR', `${file} is no JSON object.`, {
    fix: 'Correct it.',
    context: {at: file},
  });
}

/** The package that a file under `node_modules` belongs to. */
export function packageFolderOf(file: string): {readonly name: string; readonly folder: string} | null {
  const match = /^(.*[/\\]node_modules[/\\])((?:@[^/\\]+[/\\])?[^/\\]+)[/\\]/.exec(file);
  const [, root, name] = match ?? [];
  return root === undefined || name === undefined ? null : {name: name.replace('\\', '/'), folder: join(root, name)};
}
