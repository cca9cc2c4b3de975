import {randomUUID} from 'node:crypto';
import {mkdtemp, rm} from 'node:fs/promises';
import {createRequire} from 'node:module';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {CreateBucketCommand, S3Client} from '@aws-sdk/client-s3';
import {BlobServiceClient, StorageSharedKeyCredential} from '@azure/storage-blob';

import type {StoreOptions} from '../src/storage/store-options.ts';
import {freePort, startServer} from './child-server.ts';

/** A server of one vendor's protocol, with a fresh bucket. */
export interface ObjectServer extends AsyncDisposable {
  /** URL of the bucket, to be followed by `/prefix`. */
  readonly url: string;
  /** How to reach it, without a cache. */
  readonly storeOptions: StoreOptions;
}

/** Starts MinIO with a bucket. */
export async function startMinio(program: string): Promise<ObjectServer> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-minio-'));
  const endpoint = `http://127.0.0.1:${await freePort()}`;
  const credentials = {accessKeyId: 'sluice', secretAccessKey: 'a-secret-word'};
  const server = await startServer({
    command: program,
    args: ['server', '--quiet', '--address', endpoint.slice('http://'.length), folder],
    env: {
      MINIO_ROOT_USER: credentials.accessKeyId,
      MINIO_ROOT_PASSWORD: credentials.secretAccessKey,
      MINIO_BROWSER: 'off',
      MINIO_UPDATE: 'off',
    },
    url: endpoint,
  });
  const bucket = `lake-${randomUUID()}`;
  const client = new S3Client({region: 'us-east-1', endpoint, forcePathStyle: true, credentials});
  // It listens before it serves.
  for (let tried = 0; ; tried++) {
    const failure = await client.send(new CreateBucketCommand({Bucket: bucket})).then(
      () => null,
      (error: unknown) => error,
    );
    if (failure === null) break;
    if (tried === 100) throw failure;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  client.destroy();
  return {
    url: `s3://${bucket}`,
    storeOptions: {s3: {endpoint, ...credentials}},
    async [Symbol.asyncDispose](): Promise<void> {
      await server[Symbol.asyncDispose]();
      await rm(folder, {recursive: true, force: true});
    },
  };
}

/** The account of every Azurite, as its documentation has it. */
const AZURITE = {
  account: 'devstoreaccount1',
  accountKey: 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==',
};

/** Starts Azurite with a container. */
export async function startAzurite(): Promise<ObjectServer> {
  const port = await freePort();
  const {account, accountKey} = AZURITE;
  const program = createRequire(import.meta.url).resolve('azurite/dist/src/blob/main.js');
  const server = await startServer({
    command: process.execPath,
    // It knows older versions of the protocol than the client speaks, and what we use has not changed.
    args: [program, '--silent', '--inMemoryPersistence', '--skipApiVersionCheck', '--blobPort', String(port)],
    url: `http://127.0.0.1:${port}/${account}`,
  });
  const endpoint = `http://127.0.0.1:${port}/${account}`;
  const container = `lake-${randomUUID()}`;
  const service = new BlobServiceClient(endpoint, new StorageSharedKeyCredential(account, accountKey));
  await service.createContainer(container);
  return {
    url: `abfss://${container}@${account}.dfs.core.windows.net`,
    storeOptions: {azure: {endpoint, accountKey}},
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** Starts the emulator of Google Cloud Storage with a bucket. */
export async function startFakeGcs(program: string): Promise<ObjectServer> {
  const port = await freePort();
  const address = `127.0.0.1:${port}`;
  const endpoint = `http://${address}`;
  const server = await startServer({
    command: program,
    args: [
      '-backend',
      'memory',
      '-scheme',
      'http',
      '-host',
      '127.0.0.1',
      '-port',
      String(port),
      '-public-host',
      address,
    ],
    url: `${endpoint}/storage/v1/b`,
  });
  const bucket = `lake-${randomUUID()}`;
  const made = await fetch(`${endpoint}/storage/v1/b?project=test`, {
    method: 'POST',
    headers: {'content-type': 'application/json'},
    body: JSON.stringify({name: bucket}),
  });
  if (!made.ok) throw new Error(`the bucket could not be made: ${made.status}`);
  return {
    url: `gs://${bucket}`,
    storeOptions: {gcs: {endpoint}},
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
