import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {ContainerSASPermissions, generateBlobSASQueryParameters, StorageSharedKeyCredential} from '@azure/storage-blob';
import {afterAll, beforeAll, describe, expect, inject, it} from 'vitest';

import type {ObjectClient} from '../src/storage/object-client.ts';
import {createObjectStore} from '../src/storage/object-store.ts';
import {openStore} from '../src/storage/open-store.ts';
import {openReadCache} from '../src/storage/read-cache.ts';
import {openS3Client} from '../src/storage/s3-store.ts';
import type {StoreOptions} from '../src/storage/store-options.ts';
import {needStore} from './need-store.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-errors-'));
});
afterAll(() => rm(folder, {recursive: true, force: true}));

const NEVER = new AbortController().signal;
const SECRET = 'bm90IHRoZSBzZWNyZXQ=';
const bytes = new TextEncoder().encode('x');

/** What a listing, a put and a conditional put are answered. */
async function refusals(url: string, options: StoreOptions): Promise<readonly unknown[]> {
  await using opened = await openStore(url, {...options, cache: {folder}});
  const calls = [opened.store.prefixes(''), opened.store.put('x', bytes), opened.store.putIfAbsent('y', bytes)];
  const ends = await Promise.allSettled(calls);
  return ends.map((end) => (end.status === 'rejected' ? (end.reason as unknown) : end.value));
}

describe.each(inject('stores'))('$name', (provided) => {
  it('says that a bucket does not exist', async (context) => {
    const url = needStore(context, provided).replace(/lake-[0-9a-f]{8}/, 'nolake00');
    for (const error of await refusals(url, provided.storeOptions)) {
      expect(error).toMatchObject({
        code: 'STORAGE_FAILED',
        class: 'config',
        fix: expect.stringContaining('Create it') as string,
        message: expect.stringContaining(url) as string,
      });
    }
  });

  it('says that credentials are wrong, and keeps them to itself', async (context) => {
    const url = needStore(context, provided);
    const {s3, azure} = provided.storeOptions;
    if (s3 === undefined && azure === undefined) return; // The emulator of Google's store asks for none.
    const wrong: StoreOptions = {
      ...(s3 === undefined ? {} : {s3: {...s3, secretAccessKey: SECRET}}),
      ...(azure === undefined ? {} : {azure: {...azure, accountKey: SECRET}}),
    };
    for (const error of await refusals(url, wrong)) {
      expect(error).toMatchObject({
        class: 'config',
        code: expect.stringMatching(/AUTH_FAILED|PERMISSION_DENIED/) as string,
      });
      expect(JSON.stringify([error, String(error)])).not.toContain(SECRET);
    }
  });
});

it('reaches Azure by a token that expires, and says when a right is missing', async (context) => {
  const azure = inject('stores').find(({storeOptions}) => storeOptions.azure !== undefined);
  if (azure === undefined) throw new Error('there is no store of Azure');
  const url = needStore(context, azure);
  const {endpoint = '', accountKey = ''} = azure.storeOptions.azure ?? {};
  const token = (permissions: string): string =>
    generateBlobSASQueryParameters(
      {
        containerName: /\/\/([^@]+)@/.exec(url)?.[1] ?? '',
        permissions: ContainerSASPermissions.parse(permissions),
        expiresOn: new Date(Date.now() + 3_600_000),
      },
      new StorageSharedKeyCredential('devstoreaccount1', accountKey),
    ).toString();
  await using opened = await openStore(`${url}/sas`, {azure: {endpoint, sasToken: token('racwdl')}, cache: {folder}});
  expect(await opened.store.putIfAbsent('x', bytes)).toBe(true);
  await using readOnly = await openStore(`${url}/sas`, {
    azure: {endpoint, sasToken: `?${token('rl')}`},
    cache: {folder},
  });
  expect(await readOnly.store.get('x')).toEqual(Buffer.from(bytes));
  await expect(readOnly.store.put('y', bytes)).rejects.toMatchObject({
    code: 'PERMISSION_DENIED',
    fix: expect.stringContaining('Storage Blob Data Contributor') as string,
    message: expect.not.stringContaining('sig=') as string,
  });
});

describe('lost answers of S3', () => {
  /** Every second answer of a write is lost after the work was done. */
  function losing(client: ObjectClient): ObjectClient {
    let count = 0;
    const lose = <T>(answer: T): T => {
      if (count++ % 2 === 0) throw Object.assign(new Error('lost'), {code: 'ECONNRESET'});
      return answer;
    };
    return new Proxy(client, {
      get(target, key) {
        const value: unknown = Reflect.get(target, key);
        if (typeof value !== 'function') return value;
        const call = value.bind(target) as (...args: readonly unknown[]) => unknown;
        if (key !== 'put' && key !== 'putIfAbsent' && key !== 'delete') return call;
        return async (...args: readonly unknown[]): Promise<unknown> => lose(await call(...args));
      },
    });
  }

  it('do not turn a winner into a loser, nor two into winners', async (context) => {
    const s3 = inject('stores').find(({storeOptions}) => storeOptions.s3 !== undefined);
    if (s3 === undefined) throw new Error('there is no store of S3');
    const url = needStore(context, s3);
    await using cache = await openReadCache({folder: join(folder, 'losing'), maxBytes: 1e8});
    const bucket = url.slice('s3://'.length);
    // The probe of a new lake counts no races with lost answers, and gives up where half of them are.
    await using healthy = await openStore(`${url}/losing`, {...s3.storeOptions, cache: {folder}});
    await healthy.store.putIfAbsent('probed', bytes);
    const stores = await Promise.all(
      Array.from({length: 4}, async () =>
        createObjectStore({
          client: losing(await openS3Client(bucket, s3.storeOptions.s3 ?? {})),
          cache,
          root: url,
          keyPrefix: 'losing/',
        }),
      ),
    );
    for (let round = 0; round < 10; round++) {
      const wins = await Promise.all(stores.map((store) => store.putIfAbsent(`race/${round}`, bytes)));
      expect(wins.filter((won) => won)).toHaveLength(1);
    }
    const [store] = stores;
    const staged = await store?.stage('large');
    await writeFile(staged?.localPath ?? '', Buffer.alloc(9 * 1024 * 1024, 7));
    await staged?.seal(NEVER);
    expect((await store?.get('large'))?.length).toBe(9 * 1024 * 1024);
  });

  it('leave no half-uploaded file behind', async (context) => {
    const s3 = inject('stores').find(({storeOptions}) => storeOptions.s3 !== undefined);
    if (s3 === undefined) throw new Error('there is no store of S3');
    const url = needStore(context, s3);
    const stop = new AbortController();
    await using opened = await openStore(`${url}/aborted`, {...s3.storeOptions, cache: {folder}});
    const staged = await opened.store.stage('large');
    await writeFile(staged.localPath, Buffer.alloc(64 * 1024 * 1024, 7));
    const sealing = staged.seal(stop.signal);
    setTimeout(() => stop.abort(new Error('stop')), 60);
    await expect(sealing).rejects.toThrow('stop');
    expect(await opened.store.get('large')).toBeNull();
    const {ListMultipartUploadsCommand, S3Client} = await import('@aws-sdk/client-s3');
    const {endpoint = '', accessKeyId = '', secretAccessKey = ''} = s3.storeOptions.s3 ?? {};
    const client = new S3Client({
      region: 'us-east-1',
      endpoint,
      forcePathStyle: true,
      credentials: {accessKeyId, secretAccessKey},
    });
    const left = await client.send(
      new ListMultipartUploadsCommand({Bucket: url.slice('s3://'.length), Prefix: 'aborted/large'}),
    );
    expect(left.Uploads ?? []).toEqual([]);
  });
});
