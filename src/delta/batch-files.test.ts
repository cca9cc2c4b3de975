import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterEach, beforeEach, describe, expect, it} from 'vitest';

import {isIngestError} from '../core/errors.ts';
import {decimal, long, struct} from '../core/schema.ts';
import {createLocalStore} from '../storage/local-store.ts';
import type {Store} from '../storage/store.ts';
import {createFaultStore} from '../testkit/fault-store.ts';
import type {BatchFile} from './batch-file.ts';
import {batchFileName, decodeBatchFile, encodeBatchFile, readBatchFile, writeBatchFile} from './batch-files.ts';

const FLOW = '0b9f4c1e-6a55-4f7b-9d51-3f1b1f8f9f10';

const file: BatchFile = {
  formatVersion: 1,
  flowId: FLOW,
  batchId: 7,
  previousBatchId: 5,
  start: {rows: {cursor: '2024-01-01', seen: [1, 2]}, deletes: null},
  end: {rows: {cursor: '2024-01-02', seen: []}, deletes: {page: 3}},
  inSnapshot: true,
  schema: struct({id: long().notNull(), amount: decimal(18, 2)}),
  counts: {read: 10, inserted: 5, updated: 2, deleted: 1, unchanged: 2, rescuedValues: 3, quarantinedRows: 0},
  side: {
    tombstones: ['_sluice/t.parquet'],
    ledger: ['_sluice/l-1.parquet', '_sluice/l-2.parquet'],
    tail: [],
    hidden: ['_sluice/h.parquet'],
    truncates: [],
    authors: [],
    pending: [{kind: 'rows', name: 'part-1.parquet', rowCount: 10, sizeBytes: 900, stats: '{"numRecords":10}'}],
  },
  writtenAt: '2024-01-02T03:04:05.000Z',
  notes: {lastKeyScan: '2024-01-01T00:00:00Z', attempts: 2, complete: false, nothing: null},
};

const GOLDEN = `{
  "formatVersion": 1,
  "flowId": "0b9f4c1e-6a55-4f7b-9d51-3f1b1f8f9f10",
  "batchId": 7,
  "previousBatchId": 5,
  "start": {"rows":{"cursor":"2024-01-01","seen":[1,2]},"deletes":null},
  "end": {"rows":{"cursor":"2024-01-02","seen":[]},"deletes":{"page":3}},
  "inSnapshot": true,
  "counts": {"read":10,"inserted":5,"updated":2,"deleted":1,"unchanged":2,"rescuedValues":3,"quarantinedRows":0},
  "side": {"tombstones":["_sluice/t.parquet"],"ledger":["_sluice/l-1.parquet","_sluice/l-2.parquet"],"tail":[],"hidden":["_sluice/h.parquet"],"truncates":[],"authors":[],"pending":[{"kind":"rows","name":"part-1.parquet","rowCount":10,"sizeBytes":900,"stats":"{\\"numRecords\\":10}"}]},
  "writtenAt": "2024-01-02T03:04:05.000Z",
  "notes": {"lastKeyScan":"2024-01-01T00:00:00Z","attempts":2,"complete":false,"nothing":null},
  "schema": {"type":"struct","fields":[{"name":"id","type":"long","nullable":false,"metadata":{}},{"name":"amount","type":"decimal(18,2)","nullable":true,"metadata":{}}]}
}
`;

/** As the first release wrote it: readers must go on to accept it. */
const FIRST_GOLDEN = GOLDEN.replace('"hidden":["_sluice/h.parquet"],"truncates":[],"authors":[],', '');

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('batch files', () => {
  let folder: string;
  let store: Store;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-batch-'));
    store = createLocalStore(folder);
  });
  afterEach(() => rm(folder, {recursive: true, force: true}));

  it('have the form of the golden file', () => {
    expect(new TextDecoder().decode(encodeBatchFile(file))).toBe(GOLDEN);
    expect(decodeBatchFile(bytes(GOLDEN))).toEqual(file);
  });

  it('are read as the first release wrote them, without the lists that came later', () => {
    expect(FIRST_GOLDEN).not.toBe(GOLDEN);
    expect(decodeBatchFile(bytes(FIRST_GOLDEN))).toEqual({...file, side: {...file.side, hidden: []}});
  });

  it('take the first free id above the one that the table names', async () => {
    await store.put(batchFileName('t', FLOW, 6), bytes('an attempt that did not commit'));
    const written = await writeBatchFile(store, 't', file, 5);
    expect(written.batchId).toBe(7);
    expect(await readBatchFile(store, 't', FLOW, 7)).toEqual(written);
    expect((await writeBatchFile(store, 't', file, null)).batchId).toBe(1);
    expect(await store.get(`t/_sluice/${FLOW}/1.json`)).not.toBeNull();
  });

  it('leave the id of a lost answer alone and take the next', async () => {
    const faulty = createFaultStore(store, {rules: [{method: 'putIfAbsent', fault: {kind: 'lost-answer'}}]});
    await expect(writeBatchFile(faulty, 't', file, 5)).rejects.toMatchObject({code: 'STORAGE_FAILED'});
    expect((await writeBatchFile(faulty, 't', file, 5)).batchId).toBe(7);
  });

  it.each([
    ['missing', null],
    ['cut short', GOLDEN.slice(0, -20)],
    ['of a later format', GOLDEN.replace('"formatVersion": 1', '"formatVersion": 2')],
    ['of another batch', GOLDEN.replace('"batchId": 7', '"batchId": 8')],
    ['of another flow', GOLDEN.replace(FLOW, FLOW.replace('0', '1'))],
    ['with an unknown entry', GOLDEN.replace('"notes":', '"note": 1,\n  "notes":')],
    ['without an entry', GOLDEN.replace(/ {2}"inSnapshot".*\n/, '')],
    ['with a negative count', GOLDEN.replace('"read":10', '"read":-1')],
    ['with an unknown type', GOLDEN.replace('decimal(18,2)', 'decimal(18,20)')],
    ['with a nested note', GOLDEN.replace('"attempts":2', '"attempts":{}')],
    ['with an unknown kind of pending file', GOLDEN.replace('"kind":"rows"', '"kind":"row"')],
  ])('are refused when %s', async (_, text) => {
    if (text !== null) await store.put(batchFileName('t', FLOW, 7), bytes(text));
    const error: unknown = await readBatchFile(store, 't', FLOW, 7).catch((caught: unknown) => caught);
    expect(isIngestError(error, 'CORRUPT_LOG') && error.message).toContain(`t/_sluice/${FLOW}/7.json`);
  });
});
