import {describe, expect, it} from 'vitest';

import type {Store} from '../storage/store.ts';
import {storedNameOf} from './stored-name.ts';

const at = (root: string): Store => ({root}) as Store;

describe('the object name of a file in the log', () => {
  it.each([
    ['/data/lake', 'part-0', 't/part-0'],
    ['/data/lake', 'a%20b/part-0', 't/a b/part-0'],
    ['/data/lake', '/data/lake/t/part-0', 't/part-0'],
    ['/data/lake', 'file:/data/lake/t/a%20b', 't/a b'],
    ['s3://bucket/lake', 'part-0', 't/part-0'],
    ['s3://bucket/lake', 's3://bucket/lake/t/a%20b', 't/a b'],
    ['s3://bucket/lake', 's3a://bucket/lake/other/part-0', 'other/part-0'],
    ['s3://bucket', 's3n://bucket/t/part-0', 't/part-0'],
    ['abfss://c@a.dfs.core.windows.net/lake', 'abfs://c@a.dfs.core.windows.net/lake/t/p', 't/p'],
    ['gs://bucket/lake', 'gs://bucket/lake/t/p', 't/p'],
  ])('in %s, %s is %s', (root, path, name) => {
    expect(storedNameOf(at(root), 't', path)).toBe(name);
  });

  it.each([
    ['/data/lake', '/data/other/part-0'],
    ['/data/lake', 's3://bucket/lake/t/part-0'],
    ['s3://bucket/lake', 's3://bucket/lake-2/t/part-0'],
    ['s3://bucket/lake', 's3://other/lake/t/part-0'],
    ['s3://bucket/lake', 'gs://bucket/lake/t/part-0'],
    ['s3://bucket/lake', '/bucket/lake/t/part-0'],
  ])('in %s, %s is outside', (root, path) => {
    expect(() => storedNameOf(at(root), 't', path)).toThrow(expect.objectContaining({code: 'UNSUPPORTED'}));
  });
});
