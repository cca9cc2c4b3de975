import {mkdtemp, rm} from 'node:fs/promises';
import {availableParallelism, tmpdir} from 'node:os';
import {join, resolve} from 'node:path';

import type {ApplyEngine} from '../apply/apply-engine.ts';
import {createDuckDbApply} from '../apply/duckdb-apply.ts';
import {systemClock} from '../core/clock.ts';
import {Background} from '../delta/background.ts';
import type {DeltaContext} from '../delta/delta-table.ts';
import {openEngine} from '../engine/duckdb-engine.ts';
import {openStore} from '../storage/open-store.ts';
import type {StoreOptions} from '../storage/store-options.ts';
import type {LakeOptions} from './api.ts';

/** What one process works with: a lake, an engine, apply. Disposing closes the engine and removes its temporary files. */
export interface Workbench extends AsyncDisposable {
  readonly lake: string;
  readonly storeOptions: StoreOptions;
  /** A folder of this machine for what belongs to the lake and is not in it yet: the lake's own, if it is a folder. */
  readonly localFolder: string;
  readonly context: DeltaContext;
  readonly apply: ApplyEngine;
}

/** Memory of the engine in MB unless the caller says otherwise. */
export const DEFAULT_MEMORY_MB = 1024;

/**
 * Opens a lake.
 * @param inputs folders that may be read beside the lake.
 * @throws UNSUPPORTED for a lake of an unknown kind or without its client; STORAGE_* when it cannot be made.
 */
export async function openWorkbench(
  options: Pick<LakeOptions, 'lake' | 'storeOptions' | 'memoryLimitMb' | 'threads'>,
  inputs: readonly string[] = [],
): Promise<Workbench> {
  const {lake, storeOptions = {}} = options;
  const opened = await openStore(lake, storeOptions);
  const tempFolder = await mkdtemp(join(tmpdir(), 'sluice-'));
  const close = async (): Promise<void> => {
    await rm(tempFolder, {recursive: true, force: true});
    await opened[Symbol.asyncDispose]();
  };
  try {
    const engine = await openEngine({
      memoryLimitMb: options.memoryLimitMb ?? DEFAULT_MEMORY_MB,
      threads: options.threads ?? availableParallelism(),
      tempFolder,
      allowedFolders: [...opened.fileFolders, ...inputs.map((input) => resolve(input))],
    });
    const background = new Background();
    const context: DeltaContext = {store: opened.store, engine, clock: systemClock, background};
    return {
      lake,
      storeOptions,
      localFolder: opened.localFolder,
      context,
      apply: createDuckDbApply(context),
      async [Symbol.asyncDispose](): Promise<void> {
        await background.settle();
        await engine[Symbol.asyncDispose]();
        await close();
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}
