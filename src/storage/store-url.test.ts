import {describe, expect, it} from 'vitest';

import {loadClient} from './optional-client.ts';
import {parseStoreUrl} from './store-url.ts';

describe('the URL of a store', () => {
  it.each([
    ['s3://bucket/a/b/', {kind: 's3', bucket: 'bucket', prefix: 'a/b', root: 's3://bucket/a/b'}],
    ['s3a://my.bucket', {kind: 's3', bucket: 'my.bucket', prefix: '', root: 's3://my.bucket'}],
    ['gs://bucket//a', {kind: 'gcs', bucket: 'bucket', prefix: 'a', root: 'gs://bucket/a'}],
    [
      'abfss://lake@acc.dfs.core.windows.net/raw',
      {
        kind: 'azure',
        account: 'acc',
        host: 'acc.dfs.core.windows.net',
        container: 'lake',
        prefix: 'raw',
        root: 'abfss://lake@acc.dfs.core.windows.net/raw',
      },
    ],
    ['file:///data/lake', {kind: 'local', path: '/data/lake'}],
    ['./lake', {kind: 'local', path: './lake'}],
    ['C:\\lake', {kind: 'local', path: 'C:\\lake'}],
  ])('%s is taken apart', (url, place) => {
    expect(parseStoreUrl(url)).toEqual(place);
  });

  it.each([
    's3:///a',
    'abfss://acc.dfs.core.windows.net/x',
    'abfss://c@acc/x',
    's3://b/../c',
    's3://key:SECRET@bucket/x',
  ])('%s is refused, without what may be secret', (url) => {
    expect(() => parseStoreUrl(url)).toThrow(expect.objectContaining({code: 'INVALID_OPTION'}));
    expect(() => parseStoreUrl(url)).not.toThrow(/SECRET/);
  });

  it('of another kind is refused with what there is', () => {
    expect(() => parseStoreUrl('hdfs://name/x?token=SECRET')).toThrow(
      expect.objectContaining({code: 'UNSUPPORTED', fix: expect.stringContaining('s3://bucket/prefix') as string}),
    );
    expect(() => parseStoreUrl('hdfs://name/x?token=SECRET')).not.toThrow(/SECRET/);
  });
});

describe('the client of a vendor', () => {
  it('names the command that installs a missing client', async () => {
    const missing = (): Promise<never> =>
      Promise.reject(Object.assign(new Error('not found'), {code: 'ERR_MODULE_NOT_FOUND'}));
    await expect(loadClient(missing, '@aws-sdk/client-s3', 'A lake at s3://')).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: 'A lake at s3:// needs the package @aws-sdk/client-s3, which is not installed.',
      fix: 'Run: npm install @aws-sdk/client-s3',
    });
  });
});
