import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import type {SourceFiles} from '../sdk/contract.ts';

const MEMORY_MB = 512;

interface OpenFiles {
  readonly files: SourceFiles;
  close(): Promise<void>;
}

/** Files below some folders; the engine that reads them is started when they are first asked for, and ended by disposing. */
export function lazyFiles(folders: readonly string[]): SourceFiles & AsyncDisposable {
  let opening: Promise<OpenFiles> | null = null;
  const opened = async (): Promise<SourceFiles> => (await (opening ??= openFiles(folders))).files;
  return {
    list: async (folder, glob) => (await opened()).list(folder, glob),
    inferSchema: async (files, options) => (await opened()).inferSchema(files, options),
    async [Symbol.asyncDispose](): Promise<void> {
      const open = opening;
      opening = null;
      if (open !== null) await (await open).close();
    },
  };
}

async function openFiles(folders: readonly string[]): Promise<OpenFiles> {
  const {openEngine} = await import('../engine/duckdb-engine.ts');
  const {createSourceFiles} = await import('./source-files.ts');
  const tempFolder = await mkdtemp(join(tmpdir(), 'sluice-look-'));
  const engine = await openEngine({memoryLimitMb: MEMORY_MB, threads: 1, tempFolder, allowedFolders: [...folders]});
  return {
    files: createSourceFiles(engine, folders),
    async close(): Promise<void> {
      await engine[Symbol.asyncDispose]();
      await rm(tempFolder, {recursive: true, force: true});
    },
  };
}
