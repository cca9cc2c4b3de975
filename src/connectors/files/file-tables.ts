import {relative, resolve, sep} from 'node:path';

import {
  IngestError,
  didYouMean,
  isIngestError,
  type CallContext,
  type FileReadOptions,
  type SourceFile,
} from '../../sdk/index.ts';
import {readOptionsOf, type FileTableOptions} from './options.ts';

/** A file of a table. */
export interface TableFile {
  readonly file: SourceFile;
  readonly options: FileReadOptions;
  /** Path within the connection's folder, with `/` between parts: what the file is known by. */
  readonly key: string;
}

/** Names of the tables in a folder: files that can be read, and folders with such files in them. */
export async function listFileTables(
  base: string,
  options: FileTableOptions,
  ctx: CallContext,
): Promise<readonly string[]> {
  const names = new Set<string>();
  for (const file of await ctx.files.list(base, '**')) {
    const key = keyOf(base, file.path);
    if (!isIgnored(key) && readOptionsOf(key, options) !== null) names.add(key.split('/', 1)[0] ?? key);
  }
  return [...names].sort();
}

/**
 * The files of a table by path: of a folder, one file, or all that a glob matches. Hidden and unfinished files (`.x`, `_x`,
 * `x.tmp`) are left out, and so are files of unknown formats.
 * @throws UNKNOWN_TABLE when there is neither such a folder nor such a file.
 */
export async function listTableFiles(
  base: string,
  table: string,
  options: FileTableOptions,
  ctx: CallContext,
): Promise<readonly TableFile[]> {
  const {root, files} = await filesOf(base, table, options, ctx);
  return files.flatMap((file) => {
    const read = readOptionsOf(file.path, options);
    if (read === null || isIgnored(keyOf(root, file.path))) return [];
    return [{file, options: read, key: keyOf(base, file.path)}];
  });
}

async function filesOf(
  base: string,
  table: string,
  options: FileTableOptions,
  ctx: CallContext,
): Promise<{readonly root: string; readonly files: readonly SourceFile[]}> {
  if (!isWithin(table)) throw await unknownTable(base, table, ctx);
  if (/[*?{]/u.test(table)) return {root: base, files: await ctx.files.list(base, table)};
  const folder = resolve(base, table);
  try {
    return {root: folder, files: await ctx.files.list(folder, options.pattern)};
  } catch (error) {
    if (!isIngestError(error, 'UNKNOWN_TABLE')) throw error;
    // No folder: a file of that name, in the folder that the name says.
    const at = table.lastIndexOf('/');
    const parent = at < 0 ? base : resolve(base, table.slice(0, at));
    const name = table.slice(at + 1).replaceAll(/[\\*?{},]/gu, '\\$&');
    const files = await ctx.files.list(parent, name).catch((cause: unknown) => {
      if (isIngestError(cause, 'UNKNOWN_TABLE')) return [];
      throw cause;
    });
    if (files.length === 0) throw await unknownTable(base, table, ctx);
    return {root: parent, files};
  }
}

async function unknownTable(base: string, table: string, ctx: CallContext): Promise<IngestError> {
  const names = new Set(
    (await ctx.files.list(base, '**')).map((file) => keyOf(base, file.path).split('/', 1)[0] ?? ''),
  );
  const close = didYouMean(table, [...names]);
  return new IngestError(
    'UNKNOWN_TABLE',
    `There is neither a folder nor a file "${table}" in the folder of the connection.`,
    {
      fix:
        close === null
          ? 'Name a file, a folder or a glob below the connection option "path".'
          : `Did you mean "${close}"?`,
      context: {table},
    },
  );
}

function isWithin(table: string): boolean {
  return !table.startsWith('/') && !table.split('/').includes('..') && table !== '';
}

function isIgnored(key: string): boolean {
  return key.split('/').some((part) => /^[._]|\.(?:tmp|filepart|crdownload|partial)$/iu.test(part));
}

function keyOf(base: string, path: string): string {
  return relative(base, path).split(sep).join('/');
}
