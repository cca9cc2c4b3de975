import {mkdir, mkdtemp, rm} from 'node:fs/promises';
import {availableParallelism, tmpdir} from 'node:os';
import {join, resolve} from 'node:path';

import type {ApplyEngine} from '../apply/apply-engine.ts';
import {createDuckDbApply} from '../apply/duckdb-apply.ts';
import {systemClock} from '../core/clock.ts';
import {IngestError} from '../core/errors.ts';
import type {DeltaContext} from '../delta/delta-table.ts';
import {openEngine} from '../engine/duckdb-engine.ts';
import {createLocalStore} from '../storage/local-store.ts';
import type {LakeOptions} from './api.ts';

/** What one process works with: a lake, an engine, apply. Disposing closes the engine and removes its temporary files. */
export interface Workbench extends AsyncDisposable {
  readonly lake: string;
  readonly context: DeltaContext;
  readonly apply: ApplyEngine;
}

/** Memory of the engine in MB unless the caller says otherwise. */
export const DEFAULT_MEMORY_MB = 1024;

/**
 * Opens a lake.
 * @param inputs folders that may be read beside the lake.
 * @throws UNSUPPORTED for a lake that is no local folder; STORAGE_* when it cannot be made.
 */
export async function openWorkbench(
  options: Pick<LakeOptions, 'lake' | 'memoryLimitMb' | 'threads'>,
  inputs: readonly string[] = [],
): Promise<Workbench> {
  const lake = lakeFolder(options.lake);
  const store = createLocalStore(lake);
  const tempFolder = await mkdtemp(join(tmpdir(), 'sluice-'));
  try {
    await mkdir(tempFolder, {recursive: true});
    const engine = await openEngine({
      memoryLimitMb: options.memoryLimitMb ?? DEFAULT_MEMORY_MB,
      threads: options.threads ?? availableParallelism(),
      tempFolder,
      allowedFolders: [lake, ...inputs.map((input) => resolve(input))],
    });
    const context: DeltaContext = {store, engine, clock: systemClock};
    return {
      lake,
      context,
      apply: createDuckDbApply(context),
      async [Symbol.asyncDispose](): Promise<void> {
        await engine[Symbol.asyncDispose]();
        await rm(tempFolder, {recursive: true, force: true});
      },
    };
  } catch (error) {
    await rm(tempFolder, {recursive: true, force: true});
    throw error;
  }
}

function lakeFolder(lake: string): string {
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(lake) && !lake.startsWith('file://')) {
    throw new IngestError('UNSUPPORTED', `The lake "${lake}" is no local folder.`, {
      fix: 'Give a folder: --lake ./lake',
    });
  }
  return resolve(lake.replace(/^file:\/\//, ''));
}
