import {readdir, stat} from 'node:fs/promises';
import {join, resolve} from 'node:path';

/** Folders that no pattern looks into. */
const SKIPPED = new Set(['node_modules', '.git']);

/**
 * Files that a pattern names, as absolute paths in ascending order: `*` and `?` within a name, `**` for any folders,
 * `{a,b}` for either. A pattern without these is one file, whether it is there or not.
 */
export async function includedFiles(folder: string, pattern: string): Promise<readonly string[]> {
  const parts = pattern.split(/[/\\]+/).filter((part) => part !== '' && part !== '.');
  const fixed = parts.findIndex(isWild);
  if (fixed < 0) return [resolve(folder, pattern)];
  const root = resolve(folder, pattern.startsWith('/') ? '/' : '.', ...parts.slice(0, fixed));
  return (await walk(root, parts.slice(fixed))).sort();
}

/** True for a pattern that may name any number of files. */
export function isWild(pattern: string): boolean {
  return /[*?{]/.test(pattern);
}

async function walk(folder: string, parts: readonly string[]): Promise<string[]> {
  const [part, ...rest] = parts;
  if (part === undefined) return [];
  const entries = await readdir(folder, {withFileTypes: true}).catch((error: NodeJS.ErrnoException) => {
    // A folder that is not there holds no files.
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return [];
    throw error;
  });
  const found: string[] = part === '**' ? await walk(folder, rest) : [];
  for (const entry of entries) {
    const path = join(folder, entry.name);
    const isFolder = entry.isDirectory() || (entry.isSymbolicLink() && (await isDirectory(path)));
    if (part === '**') {
      if (entry.isDirectory() && !SKIPPED.has(entry.name)) found.push(...(await walk(path, parts)));
    } else if (matcherOf(part).test(entry.name)) {
      if (rest.length === 0 && !isFolder) found.push(path);
      else if (rest.length > 0 && isFolder) found.push(...(await walk(path, rest)));
    }
  }
  return found;
}

async function isDirectory(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null))?.isDirectory() === true;
}

function matcherOf(part: string): RegExp {
  const source = part.replace(/[.*+?^${}()|[\]\\,]/g, (character) => GLOB[character] ?? `\\${character}`);
  return new RegExp(`^${source}$`);
}

const GLOB: Readonly<Record<string, string>> = {'*': '[^/]*', '?': '[^/]', '{': '(?:', '}': ')', ',': '|'};
