import {mkdir, mkdtemp, rm} from 'node:fs/promises';
import {join} from 'node:path';

import type {DuckDBConnection, DuckDBInstance} from '@duckdb/node-api';

import type {StructType} from '../core/types.ts';
import {openColumnAppender} from './column-appender.ts';
import {duckDb} from './duckdb-api.ts';
import type {EngineOptions} from './duckdb-engine.ts';
import {engineClosed, engineError} from './engine-errors.ts';
import type {Appender, Engine, EngineRow, ParquetFilesJob, ParquetJob, WrittenParquet} from './engine.ts';
import {writeParquetFile, writeParquetFolder} from './parquet-writer.ts';
import {chunkRows, resultColumns} from './row-values.ts';
import {quoteIdentifier, quoteList, sqlType} from './sql-types.ts';
import {onAbort, StatementGate} from './statement-gate.ts';

const MAX_RUNNING_STATEMENTS = 2;
/** An interrupt that comes before DuckDB has begun the statement is lost, so it is repeated. */
const INTERRUPT_INTERVAL_MS = 20;

/** The DuckDB behind {@link Engine}: one in-memory database, connections as needed, one gate for all statements. */
export class DuckDbInstance implements Engine {
  readonly kind = 'duckdb';
  readonly #instance: DuckDBInstance;
  readonly #spillFolder: string;
  readonly #gate = new StatementGate(MAX_RUNNING_STATEMENTS);
  readonly #idle: DuckDBConnection[] = [];
  readonly #closing = new AbortController();
  readonly #running = new Set<Promise<unknown>>();
  #nextName = 0;

  private constructor(instance: DuckDBInstance, spillFolder: string) {
    this.#instance = instance;
    this.#spillFolder = spillFolder;
  }

  /** See `openEngine`. */
  static async start(options: EngineOptions): Promise<Engine> {
    await mkdir(options.tempFolder, {recursive: true});
    // DuckDB names its spill files alike in every process: two engines must not share the folder.
    const spillFolder = await mkdtemp(join(options.tempFolder, 'engine-'));
    try {
      const instance = await duckDb.DuckDBInstance.create(':memory:', settings(options, spillFolder));
      const engine = new DuckDbInstance(instance, spillFolder);
      await engine.run(lockDown(options, spillFolder));
      return engine;
    } catch (error) {
      await rm(spillFolder, {recursive: true, force: true});
      throw engineError(error);
    }
  }

  async run(sql: string, signal?: AbortSignal): Promise<void> {
    await this.#withConnection((connection) => this.#statement(connection, () => connection.run(sql), signal));
  }

  async query(sql: string, signal?: AbortSignal): Promise<readonly EngineRow[]> {
    return this.#withConnection(async (connection) => {
      const result = await this.#statement(connection, () => connection.run(sql), signal);
      const columns = resultColumns(result.deduplicatedColumnNames(), result.columnTypes());
      return (await result.fetchAllChunks()).flatMap((chunk) => chunkRows(chunk, columns));
    });
  }

  async *stream(sql: string, signal?: AbortSignal): AsyncGenerator<readonly EngineRow[], void> {
    // The gate is passed per step: a reader that pauses, or asks something else between chunks, blocks nobody.
    const connection = await this.#connect();
    let finished = false;
    try {
      const result = await this.#statement(connection, () => connection.stream(sql), signal);
      const columns = resultColumns(result.deduplicatedColumnNames(), result.columnTypes());
      for (;;) {
        const chunk = await this.#statement(connection, () => result.fetchChunk(), signal);
        if (chunk === null || chunk.rowCount === 0) break;
        yield chunkRows(chunk, columns);
      }
      finished = true;
    } finally {
      // A connection whose result was not read to its end is not used again.
      if (finished) this.#giveBack(connection);
      else connection.closeSync();
    }
  }

  async createTable(name: string, schema: StructType): Promise<void> {
    const columns = schema.fields.map((field) => `${quoteIdentifier(field.name)} ${sqlType(field.type)}`);
    await this.run(`CREATE OR REPLACE TABLE ${quoteIdentifier(name)} (${columns.join(', ')})`);
  }

  async dropTable(name: string): Promise<void> {
    await this.run(`DROP TABLE IF EXISTS ${quoteIdentifier(name)}`);
  }

  async appender(name: string, schema: StructType): Promise<Appender> {
    const connection = await this.#connect();
    try {
      return await openColumnAppender({connection, table: name, schema, onClose: () => this.#giveBack(connection)});
    } catch (error) {
      connection.closeSync();
      throw engineError(error);
    }
  }

  async writeParquet(job: ParquetJob, signal?: AbortSignal): Promise<WrittenParquet | null> {
    return writeParquetFile(job, (sql) => this.query(sql, signal));
  }

  async writeParquetFiles(job: ParquetFilesJob, signal?: AbortSignal): Promise<readonly WrittenParquet[]> {
    return writeParquetFolder(job, (sql) => this.query(sql, signal));
  }

  uniqueName(prefix: string): string {
    this.#nextName += 1;
    return `${prefix}_${this.#nextName}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort(engineClosed());
    await Promise.allSettled(this.#running);
    for (const connection of this.#idle.splice(0)) connection.closeSync();
    this.#instance.closeSync();
    await rm(this.#spillFolder, {recursive: true, force: true});
  }

  async #withConnection<T>(work: (connection: DuckDBConnection) => Promise<T>): Promise<T> {
    const connection = await this.#connect();
    try {
      return await work(connection);
    } finally {
      this.#giveBack(connection);
    }
  }

  async #connect(): Promise<DuckDBConnection> {
    this.#closing.signal.throwIfAborted();
    return this.#idle.pop() ?? this.#instance.connect();
  }

  #giveBack(connection: DuckDBConnection): void {
    if (this.#closing.signal.aborted || this.#idle.length >= MAX_RUNNING_STATEMENTS) connection.closeSync();
    else this.#idle.push(connection);
  }

  /** Runs one call of DuckDB behind the gate and interrupts it when the signal aborts or the engine closes. */
  async #statement<T>(connection: DuckDBConnection, call: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const stops = signal === undefined ? [this.#closing.signal] : [signal, this.#closing.signal];
    const work = this.#gate.pass(() => interruptible(connection, call, stops), stops);
    this.#running.add(work);
    try {
      return await work;
    } catch (error) {
      for (const stop of stops) stop.throwIfAborted();
      throw engineError(error);
    } finally {
      this.#running.delete(work);
    }
  }
}

async function interruptible<T>(
  connection: DuckDBConnection,
  call: () => Promise<T>,
  signals: readonly AbortSignal[],
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const interrupt = (): void => {
    connection.interrupt();
    timer = setTimeout(interrupt, INTERRUPT_INTERVAL_MS);
  };
  const forget = onAbort(signals, interrupt);
  try {
    return await call();
  } finally {
    clearTimeout(timer);
    forget();
  }
}

function settings(options: EngineOptions, spillFolder: string): Record<string, string> {
  return {
    memory_limit: `${options.memoryLimitMb}MB`,
    threads: `${options.threads}`,
    temp_directory: spillFolder,
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    allow_community_extensions: 'false',
    // Order of rows is no promise of a table, and keeping it costs memory: who needs one says ORDER BY.
    preserve_insertion_order: 'false',
    // Freed memory goes back to the system soon: by default the allocator keeps up to 128 MB of it beyond the limit.
    allocator_flush_threshold: '8MB',
    allocator_bulk_deallocation_flush_threshold: '8MB',
  };
}

function lockDown(options: EngineOptions, spillFolder: string): string {
  const access =
    options.allowedFolders === undefined
      ? []
      : [
          `SET GLOBAL allowed_directories = ${quoteList([spillFolder, options.tempFolder, ...options.allowedFolders])}`,
          'SET GLOBAL enable_external_access = false',
        ];
  return [`SET GLOBAL TimeZone = 'UTC'`, ...access].join('; ');
}
