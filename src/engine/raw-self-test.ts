import duckdb from '@duckdb/node-bindings';

import type {ColumnBatch} from '../core/columns.ts';
import type {ChunkWriter} from './column-appender.ts';
import {duckDb} from './duckdb-api.ts';
import {RawChunkWriter} from './raw-chunk-writer.ts';
import {ValueChunkWriter} from './value-chunk-writer.ts';
import {duckDbTypes} from './vector-types.ts';

const {DuckDBDataChunk, VARCHAR} = duckDb;

let answer: boolean | undefined;

/**
 * True when raw vectors hold what DuckDB's own calls write: tried once per process on a batch with short and long
 * strings, nulls and nested values. Raw vectors rest on the layout of DuckDB's memory, which it promises nobody.
 */
export function rawVectorsWork(): boolean {
  // First without following an address: a layout that is not known must be seen, not crashed upon.
  answer ??= stringLayoutIsKnown() && sameText(new RawChunkWriter(SAMPLE.schema), new ValueChunkWriter(SAMPLE.schema));
  return answer;
}

function stringLayoutIsKnown(): boolean {
  const {chunk} = DuckDBDataChunk.create([VARCHAR]);
  const vector = duckdb.data_chunk_get_vector(chunk, 0);
  const [short, long] = ['twelve bytes', 'a string of more than twelve bytes'];
  duckdb.vector_assign_string_element(vector, 0, short);
  duckdb.vector_assign_string_element(vector, 1, long);
  const entries = Buffer.from(duckdb.vector_get_data(vector, 32));
  const lengthsAreFirst = entries.readUInt32LE(0) === short.length && entries.readUInt32LE(16) === long.length;
  const textsFollow =
    entries.toString('latin1', 4, 16) === short && entries.toString('latin1', 20, 24) === long.slice(0, 4);
  return lengthsAreFirst && textsFollow && entries.readBigUInt64LE(24) < 2n ** 53n;
}

function sameText(raw: ChunkWriter, values: ChunkWriter): boolean {
  return chunkText(raw) === chunkText(values);
}

function chunkText(writer: ChunkWriter): string {
  const chunk = DuckDBDataChunk.create(duckDbTypes(SAMPLE.schema));
  writer.beginBatch(SAMPLE);
  writer.write(chunk.chunk, 0, SAMPLE.rowCount);
  chunk.rowCount = SAMPLE.rowCount;
  const text = chunk
    .getRows()
    .map((row) => row.map(String).join('|'))
    .join('\n');
  writer.endBatch();
  return text;
}

const SAMPLE_TEXT = Buffer.from('short|twelve bytes|a string of more than twelve bytes|é');

/** Three rows, the second one null everywhere. */
const SAMPLE: ColumnBatch = {
  schema: {
    type: 'struct',
    fields: [
      {name: 'a', type: 'string', nullable: true, metadata: {}},
      {name: 'b', type: 'long', nullable: true, metadata: {}},
      {name: 'c', type: {type: 'decimal', precision: 38, scale: 4}, nullable: true, metadata: {}},
      {name: 'd', type: {type: 'array', elementType: 'string', containsNull: true}, nullable: true, metadata: {}},
      {
        name: 'e',
        type: {type: 'struct', fields: [{name: 'f', type: 'boolean', nullable: true, metadata: {}}]},
        nullable: true,
        metadata: {},
      },
    ],
  },
  rowCount: 3,
  columns: [
    {
      kind: 'bytes',
      data: SAMPLE_TEXT,
      starts: Uint32Array.of(0, 0, 19),
      lengths: Uint32Array.of(5, 9, 34),
      validity: Uint8Array.of(5),
    },
    {kind: 'fixed', data: BigInt64Array.of(1n, 2n, -(2n ** 63n)), validity: Uint8Array.of(5)},
    {kind: 'fixed', data: BigInt64Array.of(5n, 0n, 7n, 7n, -1n, -1n), validity: Uint8Array.of(5)},
    {
      kind: 'list',
      starts: Uint32Array.of(0, 9, 2),
      lengths: Uint32Array.of(2, 9, 1),
      child: {
        kind: 'bytes',
        data: SAMPLE_TEXT,
        starts: Uint32Array.of(6, 0, 19),
        lengths: Uint32Array.of(12, 0, 34),
        validity: Uint8Array.of(5),
      },
      childCount: 3,
      validity: Uint8Array.of(5),
    },
    {
      kind: 'struct',
      children: [{kind: 'fixed', data: Uint8Array.of(1, 1, 0), validity: null}],
      validity: Uint8Array.of(5),
    },
  ],
};
