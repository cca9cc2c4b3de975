import type {Engine} from './engine.ts';

/** Limits and places of an engine. */
export interface EngineOptions {
  /** For DuckDB's buffers; the process needs about 300 MB beside. At least 64. */
  readonly memoryLimitMb: number;
  readonly threads: number;
  /** Where work that exceeds the memory limit spills: a folder of the engine's own is made in it and removed on close. */
  readonly tempFolder: string;
  /** Absolute folders that SQL may read and write, beside the temporary one; without it, every file. Fixed for the engine's life. */
  readonly allowedFolders?: readonly string[];
}

/**
 * Starts an embedded DuckDB. The caller disposes it, which interrupts what runs. DuckDB is loaded by the first call.
 * @throws ENGINE_FAILED when an option is refused.
 */
export async function openEngine(options: EngineOptions): Promise<Engine> {
  const {DuckDbInstance} = await import('./duckdb-instance.ts');
  return DuckDbInstance.start(options);
}
