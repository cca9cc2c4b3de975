import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';

import fc from 'fast-check';
import {describe, expect, it} from 'vitest';

import type {ChunkEnd} from '../sdk/change-log.ts';
import {createFaultStore} from '../testkit/fault-store.ts';
import {readChunk, writeChunk, type SnapshotPlan, type StagedChunk} from './snapshot-files.ts';
import {makeStaging, ORDERS, type TestStaging} from './staging.support.test.ts';

const PLAN: SnapshotPlan = {
  id: 'p',
  name: 'orders',
  table: ORDERS,
  epoch: 1,
  demand: 0,
  token: null,
  position: 1n,
  logFrom: 1,
  chunks: [{}],
  isResumable: true,
  estimatedRows: null,
};

describe('a chunk of a snapshot', () => {
  it('comes back byte by byte, whatever pieces it came in', async () => {
    await using test = await makeStaging();
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({min: 0, max: 900_000}), {maxLength: 6}),
        fc.constantFrom('none', 'brotli'),
        async (sizes, compression) => {
          const pieces = sizes.map((size, index) => Buffer.alloc(size, index + 1));
          const chunk = await write(test, pieces, compression);
          expect((await read(test, chunk)).equals(Buffer.concat(pieces))).toBe(true);
          expect(chunk).toMatchObject({rows: pieces.length, rawBytes: Buffer.concat(pieces).length});
        },
      ),
      {numRuns: 12},
    );
  });

  it('is named when a byte of it changed or its end is gone', async () => {
    await using test = await makeStaging();
    const chunk = await write(test, [Buffer.from('rows of a table')], 'none');
    const path = join(test.folder, chunk.file);
    const bytes = await readFile(path);
    const wrong = Buffer.from(bytes);
    wrong[bytes.indexOf('table')] = 0;
    await writeFile(path, wrong);
    const error = {code: 'STAGING_DAMAGED', context: {path: chunk.file}};
    await expect(read(test, chunk)).rejects.toMatchObject(error);
    await writeFile(path, bytes.subarray(0, -3));
    await expect(read(test, chunk)).rejects.toMatchObject(error);
    await test.store.delete(chunk.file);
    await expect(read(test, chunk)).rejects.toMatchObject(error);
  });

  it('gives up the read at the source when it cannot be stored', async () => {
    await using test = await makeStaging((store) =>
      createFaultStore(store, {rules: [{fault: {kind: 'fail', systemCode: 'ENOSPC'}, method: 'seal'}]}),
    );
    let isLeft = false;
    const source = (async function* (): AsyncGenerator<Uint8Array, ChunkEnd> {
      try {
        yield Buffer.from('x');
        return await Promise.resolve({rows: 1});
      } finally {
        isLeft = true;
      }
    })();
    const target = {plan: PLAN, index: 0, compression: 'none'} as const;
    const writing = writeChunk(test.staging, target, source, new AbortController().signal);
    await expect(writing).rejects.toMatchObject({code: 'STORAGE_FULL'});
    expect(isLeft).toBe(true);
  });
});

function write(test: TestStaging, pieces: readonly Buffer[], compression: 'none' | 'brotli'): Promise<StagedChunk> {
  const source = (async function* (): AsyncGenerator<Uint8Array, ChunkEnd> {
    for (const piece of pieces) yield await Promise.resolve(piece);
    return {rows: pieces.length};
  })();
  return writeChunk(test.staging, {plan: PLAN, index: 0, compression}, source, new AbortController().signal);
}

async function read(test: TestStaging, chunk: StagedChunk): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of readChunk(test.staging, chunk)) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}
