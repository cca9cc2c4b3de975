import type {DuckDBAppender, DuckDBConnection, DuckDBDataChunk} from '@duckdb/node-api';
import duckdb from '@duckdb/node-bindings';

import type {ColumnBatch} from '../core/columns.ts';
import type {StructType} from '../core/types.ts';
import {checkBatch} from './batch-check.ts';
import {duckDb} from './duckdb-api.ts';
import {engineError} from './engine-errors.ts';
import type {Appender} from './engine.ts';
import {RawChunkWriter} from './raw-chunk-writer.ts';
import {rawVectorsWork} from './raw-self-test.ts';
import {ValueChunkWriter} from './value-chunk-writer.ts';
import {duckDbTypes} from './vector-types.ts';

/** Fills a data chunk with rows of a batch. */
export interface ChunkWriter {
  /** Called once per batch, before its rows; what it prepares is good until {@link endBatch}. */
  beginBatch(batch: ColumnBatch): void;
  /** Writes rows `from` to `from + count` (at most a vector's size) into an empty chunk. */
  write(chunk: duckdb.DataChunk, from: number, count: number): void;
  /** Lets go of the batch. */
  endBatch(): void;
}

/** Where an appender writes and how it is let go. */
export interface ColumnAppenderOptions {
  /** Used by nobody else until `onClose`. */
  readonly connection: DuckDBConnection;
  readonly table: string;
  readonly schema: StructType;
  readonly onClose: () => void;
  /** Default: raw vectors where their self-test passes, DuckDB's own values else. */
  readonly writer?: 'raw' | 'values';
}

/** Opens an appender; rows become visible as it fills and all of them at `close`. A batch that is refused leaves the table in no state to use. */
export async function openColumnAppender(options: ColumnAppenderOptions): Promise<Appender> {
  const kind = options.writer ?? (rawVectorsWork() ? 'raw' : 'values');
  const writer = kind === 'raw' ? new RawChunkWriter(options.schema) : new ValueChunkWriter(options.schema);
  const appender = await options.connection.createAppender(options.table);
  return new ColumnAppender(options, appender, writer);
}

/** DuckDB's appender holds rows outside of its memory limit until it flushes. */
const FLUSH_BYTES = 32 * 1024 * 1024;

class ColumnAppender implements Appender {
  readonly #options: ColumnAppenderOptions;
  readonly #appender: DuckDBAppender;
  readonly #writer: ChunkWriter;
  readonly #chunk: DuckDBDataChunk;
  readonly #vectorSize = duckdb.vector_size();
  #bytesSinceFlush = 0;
  #closed = false;

  constructor(options: ColumnAppenderOptions, appender: DuckDBAppender, writer: ChunkWriter) {
    this.#options = options;
    this.#appender = appender;
    this.#writer = writer;
    this.#chunk = duckDb.DuckDBDataChunk.create(duckDbTypes(options.schema));
  }

  append(batch: ColumnBatch): number {
    const sizeBytes = checkBatch(batch, this.#options.schema);
    if (batch.rowCount === 0) return 0;
    try {
      this.#writer.beginBatch(batch);
      for (let from = 0; from < batch.rowCount; from += this.#vectorSize) {
        const count = Math.min(this.#vectorSize, batch.rowCount - from);
        this.#writer.write(this.#chunk.chunk, from, count);
        duckdb.data_chunk_set_size(this.#chunk.chunk, count);
        this.#appender.appendDataChunk(this.#chunk);
        duckdb.data_chunk_reset(this.#chunk.chunk);
      }
      this.#flushWhenDue(sizeBytes);
      return sizeBytes;
    } catch (error) {
      throw engineError(error);
    } finally {
      duckdb.data_chunk_reset(this.#chunk.chunk);
      this.#writer.endBatch();
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    try {
      this.#appender.closeSync();
    } catch (error) {
      throw engineError(error);
    } finally {
      this.#options.onClose();
    }
  }

  #flushWhenDue(sizeBytes: number): void {
    this.#bytesSinceFlush += sizeBytes;
    if (this.#bytesSinceFlush < FLUSH_BYTES) return;
    this.#appender.flushSync();
    this.#bytesSinceFlush = 0;
  }
}
