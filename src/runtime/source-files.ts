import {readdir, realpath, stat} from 'node:fs/promises';
import {join, relative, resolve, sep} from 'node:path';

import {IngestError, messageOf} from '../core/errors.ts';
import type {StructType} from '../core/types.ts';
import type {Engine} from '../engine/engine.ts';
import {inferFileSchema} from '../engine/infer-schema.ts';
import type {FileReadOptions, SourceFile, SourceFiles} from '../sdk/contract.ts';
import {openFilesByEngine} from './verify-files.ts';

/** A schema is inferred from at most so many files and bytes, in the order given. */
const SAMPLE_FILES = 1000;
const SAMPLE_BYTES = 256 * 1024 * 1024;

/** Reads files of this machine under the folders that a pipeline declares as inputs; nothing else is shown. */
export function createSourceFiles(engine: Engine, allowedFolders: readonly string[]): SourceFiles {
  return {
    async list(folder: string, glob: string): Promise<readonly SourceFile[]> {
      const root = await openFolder(folder, allowedFolders);
      const matches = globMatcher(glob);
      const files: SourceFile[] = [];
      await walk(root, async (path) => {
        if (!matches(relative(root, path).split(sep).join('/'))) return;
        const file = await sourceFile(path);
        if (file !== null) files.push(file);
      });
      return files.sort((left, right) => (left.path < right.path ? -1 : 1));
    },
    openVerify: (files, scope) => openFilesByEngine(engine, files, scope),
    inferSchema: (files: readonly SourceFile[], options: FileReadOptions): Promise<StructType> =>
      inferFileSchema(
        engine,
        sampleOf(files).map((file) => ({localPath: file.path, options})),
      ),
  };
}

/**
 * Tells whether a path with `/` between parts matches a glob: `*` and `?` within a part, `**` over any number of parts,
 * `{a,b}`; a backslash takes the next character as it is.
 */
export function globMatcher(glob: string): (path: string) => boolean {
  let pattern = '';
  let braces = 0;
  for (let at = 0; at < glob.length; at++) {
    const char = glob.charAt(at);
    if (glob.startsWith('**/', at)) {
      pattern += '(?:[^/]+/)*';
      at += 2;
    } else if (glob.startsWith('**', at)) {
      pattern += '.*';
      at += 1;
    } else if (char === '*') pattern += '[^/]*';
    else if (char === '?') pattern += '[^/]';
    else if (char === '{') {
      pattern += '(?:';
      braces++;
    } else if (char === '}' && braces > 0) {
      pattern += ')';
      braces--;
    } else if (char === ',' && braces > 0) pattern += '|';
    else if (char === '\\' && at + 1 < glob.length) pattern += escapeRegExp(glob.charAt(++at));
    else pattern += escapeRegExp(char);
  }
  const expression = new RegExp(`^${pattern}${')'.repeat(braces)}$`, 'su');
  return (path) => expression.test(path);
}

function escapeRegExp(char: string): string {
  return /[\\^$.*+?()[\]{}|/]/u.test(char) ? `\\${char}` : char;
}

async function openFolder(folder: string, allowedFolders: readonly string[]): Promise<string> {
  const absolute = resolve(folder);
  let real: string;
  try {
    if (!(await stat(absolute)).isDirectory()) throw new Error('it is no folder');
    real = await realpath(absolute);
  } catch (error) {
    throw new IngestError('UNKNOWN_TABLE', `There is no folder "${folder}": ${messageOf(error)}.`, {
      fix: 'Check the connection option "path" and the name of the source table.',
      context: {folder},
      cause: error,
    });
  }
  for (const allowed of allowedFolders) {
    const base = await realpath(resolve(allowed)).catch(() => resolve(allowed));
    if (real === base || real.startsWith(base.endsWith(sep) ? base : base + sep)) return absolute;
  }
  throw new IngestError('PERMISSION_DENIED', `The folder "${folder}" is not under the inputs of this pipeline.`, {
    fix: 'Read below the folder of the connection option "path".',
    context: {folder},
  });
}

async function walk(folder: string, visit: (path: string) => Promise<void>): Promise<void> {
  for (const entry of await readdir(folder, {withFileTypes: true})) {
    const path = join(folder, entry.name);
    // Links are not followed into folders, which could lead out of the inputs or round in circles.
    if (entry.isDirectory()) await walk(path, visit);
    else if (entry.isFile()) await visit(path);
  }
}

/** Null when the file went away since it was listed. */
async function sourceFile(path: string): Promise<SourceFile | null> {
  try {
    const {size, mtimeMs} = await stat(path);
    return {path, sizeBytes: size, modifiedAtMs: Math.floor(mtimeMs)};
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw new IngestError('SOURCE_ERROR', `The file "${path}" cannot be looked at: ${messageOf(error)}.`, {
      context: {path},
      cause: error,
    });
  }
}

function sampleOf(files: readonly SourceFile[]): readonly SourceFile[] {
  const sample: SourceFile[] = [];
  let bytes = 0;
  for (const file of files) {
    if (sample.length === SAMPLE_FILES || (sample.length > 0 && bytes + file.sizeBytes > SAMPLE_BYTES)) break;
    sample.push(file);
    bytes += file.sizeBytes;
  }
  return sample;
}
