import {readdir, stat} from 'node:fs/promises';
import {join} from 'node:path';

import {packageFolderOf, packageOf} from './package-folder.ts';

/**
 * The packages among bundled files that need code made for one kind of machine, with what says so. Only their JavaScript
 * would come along, and fail elsewhere.
 */
export async function nativePackages(
  inputs: readonly string[],
): Promise<readonly {readonly name: string; readonly sign: string}[]> {
  const folders = new Map<string, string>();
  for (const input of inputs) {
    const found = packageFolderOf(input);
    if (found !== null) folders.set(found.folder, found.name);
  }
  const signs = await Promise.all([...folders].map(async ([folder, name]) => ({name, sign: await nativeSign(folder)})));
  return signs
    .flatMap(({name, sign}) => (sign === null ? [] : [{name, sign}]))
    .sort((left, right) => (left.name < right.name ? -1 : 1));
}

async function nativeSign(folder: string): Promise<string | null> {
  if (await isThere(join(folder, 'binding.gyp'))) return 'binding.gyp';
  if (await isThere(join(folder, 'prebuilds'))) return 'prebuilds';
  const manifest = (await packageOf(folder)) ?? {};
  for (const field of ['os', 'cpu', 'gypfile', 'libc'])
    if (manifest[field] !== undefined) return `"${field}" in its package.json`;
  const files = await readdir(folder);
  return files.find((file) => file.endsWith('.node')) ?? null;
}

async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null)) !== null;
}
