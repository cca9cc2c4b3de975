import {expect, test} from 'vitest';

import {withBatchLimit} from './batch-limit.ts';
import {DEFAULT_TABLE_CONFIGURATION, type ObjectSpec} from './spec.ts';

function object(options: ObjectSpec['options'], maxRecordsPerBatch: number | null = null): ObjectSpec {
  return {
    kind: 'table',
    path: 'objects[0].table',
    sourceCatalog: null,
    sourceSchema: null,
    sourceTable: 't',
    destinationCatalog: 'main',
    destinationSchema: 'test',
    destinationTable: null,
    configuration: {...DEFAULT_TABLE_CONFIGURATION, maxRecordsPerBatch},
    options,
  };
}

test('a limit among the options of any connector is the setting of the table', () => {
  const limited = withBatchLimit(object({max_records_per_batch: '100', page: 5}));
  expect(limited.configuration.maxRecordsPerBatch).toBe(100);
  expect(limited.options).toEqual({page: 5});
});

test('a limit that is none, or is said twice with two values, is refused', () => {
  expect(() => withBatchLimit(object({max_records_per_batch: 0}))).toThrow(/max_records_per_batch.*at least 1/);
  expect(() => withBatchLimit(object({max_records_per_batch: 7}, 8))).toThrow(/given twice/);
  expect(withBatchLimit(object({max_records_per_batch: 8}, 8)).configuration.maxRecordsPerBatch).toBe(8);
});
