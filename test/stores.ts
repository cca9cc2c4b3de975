import type {TestProject} from 'vitest/node';

import type {StoreOptions} from '../src/storage/store-options.ts';
import {buildProgram, builtProgram, FAKE_GCS, MINIO, type GoProgram} from './go-program.ts';
import {startAzurite, startFakeGcs, startMinio, type ObjectServer} from './object-servers.ts';

/** A store that tests may use, or why there is none. */
export interface ProvidedStore {
  readonly name: string;
  /** URL of the bucket; null when the server cannot be had. */
  readonly url: string | null;
  readonly storeOptions: StoreOptions;
  /** Why there is none. */
  readonly missing: string;
}

declare module 'vitest' {
  interface ProvidedContext {
    /** Servers that all `*.stores.test.ts` share; use a prefix of your own in their buckets. */
    stores: readonly ProvidedStore[];
  }
}

/** Starts the servers of the project `stores`; those that must be built first are built in CI, and by hand elsewhere. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  // The client says at every start that it will need a newer Node.js some day.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
  const running: ObjectServer[] = [];
  const provided: ProvidedStore[] = [];
  const provide = async (name: string, start: () => Promise<ObjectServer | null>): Promise<void> => {
    const server = await start();
    if (server !== null) running.push(server);
    const missing = 'the server was not built on this machine: npm run test:servers builds it (needs Go)';
    provided.push({name, url: server?.url ?? null, storeOptions: server?.storeOptions ?? {}, missing});
  };
  const close = async (): Promise<void> => {
    for (const server of running) await server[Symbol.asyncDispose]();
  };
  try {
    await provide('S3 (MinIO)', () => withProgram(MINIO, startMinio));
    await provide('Azure (Azurite)', () => startAzurite());
    await provide('Google (fake-gcs-server)', () => withProgram(FAKE_GCS, startFakeGcs));
  } catch (error) {
    await close();
    throw error;
  }
  project.provide('stores', provided);
  return close;
}

async function withProgram<T>(program: GoProgram, start: (path: string) => Promise<T>): Promise<T | null> {
  const path = process.env['CI'] === 'true' ? await buildProgram(program) : await builtProgram(program);
  return path === null ? null : start(path);
}
