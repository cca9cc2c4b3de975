import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import type {Clock} from '../core/clock.ts';
import {systemClock} from '../core/clock.ts';
import {openEngine} from '../engine/duckdb-engine.ts';
import type {Engine} from '../engine/engine.ts';
import {openStore} from '../storage/open-store.ts';
import type {StoreOptions} from '../storage/store-options.ts';
import type {Store} from '../storage/store.ts';
import type {CreateOptions, DeltaContext, DeltaTable} from './delta-table.ts';
import {createTable, openTable} from './table.ts';

/** Limits of a lake's engine; all have defaults. */
export interface LakeOptions {
  /** For the engine's buffers; default 1024. The process needs about 300 MB beside. */
  readonly memoryLimitMb?: number;
  /** Threads of the engine; default 2. */
  readonly threads?: number;
  /** Where work that exceeds the memory limit spills; default a new folder in the system's temporary folder, removed when the lake is disposed. */
  readonly tempFolder?: string;
  /** Default: the machine's clock. */
  readonly clock?: Clock;
  /** How to reach a lake in an object store, and its local cache; default: the vendor's chains of credentials. */
  readonly storeOptions?: StoreOptions;
}

/** A folder of Delta tables with an engine to read and write them. */
export interface Lake extends DeltaContext, AsyncDisposable {
  readonly store: Store;
  readonly engine: Engine;
  /** Opens the table in a folder below the lake's; null when there is none. */
  open(root: string): Promise<DeltaTable | null>;
  /** Makes a table. @throws COMMIT_CONFLICT when it exists. */
  create(root: string, options: CreateOptions): Promise<DeltaTable>;
}

/**
 * Opens a folder, or a place in an object store (`s3://`, `abfss://`, `gs://` with bucket and prefix), as a lake. A folder
 * is made with the first table. The caller disposes the lake, which closes its engine.
 */
export async function openLake(lake: string, options: LakeOptions = {}): Promise<Lake> {
  const opened = await openStore(lake, options.storeOptions);
  // One of its own: a folder that all users share belongs to whoever made it first.
  const ownFolder = options.tempFolder === undefined ? await mkdtemp(join(tmpdir(), 'sluice-')) : null;
  const close = async (): Promise<void> => {
    if (ownFolder !== null) await rm(ownFolder, {recursive: true, force: true});
    await opened[Symbol.asyncDispose]();
  };
  try {
    const engine = await openEngine({
      memoryLimitMb: options.memoryLimitMb ?? 1024,
      threads: options.threads ?? 2,
      tempFolder: ownFolder ?? options.tempFolder ?? tmpdir(),
      allowedFolders: opened.fileFolders,
    });
    const context: DeltaContext = {engine, store: opened.store, clock: options.clock ?? systemClock};
    return {
      ...context,
      open: (root) => openTable(context, root),
      create: (root, createOptions) => createTable(context, root, createOptions),
      async [Symbol.asyncDispose](): Promise<void> {
        await engine[Symbol.asyncDispose]();
        await close();
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}
