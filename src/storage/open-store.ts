import {createHash} from 'node:crypto';
import {homedir} from 'node:os';
import {join, resolve} from 'node:path';

import {createLocalStore} from './local-store.ts';
import type {ObjectClient} from './object-client.ts';
import {createObjectStore} from './object-store.ts';
import {openReadCache} from './read-cache.ts';
import type {StoreOptions} from './store-options.ts';
import {parseStoreUrl, type StorePlace} from './store-url.ts';
import type {Store} from './store.ts';

/** A store with what goes with it on this machine. Disposing gives up connections and local copies in use. */
export interface OpenedStore extends AsyncDisposable {
  readonly store: Store;
  /** Absolute folders that hold the store's files or copies of them: an engine must be allowed to read and write there. */
  readonly fileFolders: readonly string[];
  /** A folder of this machine for what belongs to the lake and is not in the store yet; survives the process. */
  readonly localFolder: string;
}

/** Of a cache whose size nobody set. */
const DEFAULT_CACHE_GB = 20;

/**
 * Opens a folder (a path or `file://`) or a place in an object store: `s3://bucket/prefix`,
 * `abfss://container@account.dfs.core.windows.net/prefix`, `gs://bucket/prefix`. Asks the store nothing yet.
 * @throws UNSUPPORTED for other URLs and when the vendor's client is not installed; INVALID_OPTION for a malformed URL.
 */
export async function openStore(url: string, options: StoreOptions = {}): Promise<OpenedStore> {
  const place = parseStoreUrl(url);
  if (place.kind === 'local') {
    const folder = resolve(place.path);
    return {
      store: createLocalStore(folder),
      fileFolders: [folder],
      localFolder: folder,
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }
  const client = await openClient(place, options);
  const folder = join(options.cache?.folder ?? defaultCacheFolder(), lakeFolder(place, client));
  const cache = await openReadCache({folder, maxBytes: (options.cache?.maxSizeGb ?? DEFAULT_CACHE_GB) * 1e9});
  return {
    store: createObjectStore({
      client,
      cache,
      root: place.root,
      keyPrefix: place.prefix === '' ? '' : `${place.prefix}/`,
    }),
    fileFolders: [folder],
    localFolder: join(folder, 'local'),
    async [Symbol.asyncDispose](): Promise<void> {
      await cache[Symbol.asyncDispose]();
      client.close();
    },
  };
}

type RemotePlace = Exclude<StorePlace, {readonly kind: 'local'}>;

async function openClient(place: RemotePlace, options: StoreOptions): Promise<ObjectClient> {
  switch (place.kind) {
    case 's3': {
      const {openS3Client} = await import('./s3-store.ts');
      return openS3Client(place.bucket, options.s3 ?? {});
    }
    case 'azure': {
      const {openAdlsClient} = await import('./adls-store.ts');
      return openAdlsClient(place, options.azure ?? {});
    }
    case 'gcs': {
      const {openGcsClient} = await import('./gcs-store.ts');
      return openGcsClient(place.bucket, options.gcs ?? {});
    }
  }
}

/** Known to people by the bucket, and to the machine by service, bucket and prefix. */
function lakeFolder(place: RemotePlace, client: ObjectClient): string {
  const bucket = place.kind === 'azure' ? place.container : place.bucket;
  const hash = createHash('sha256').update(`${client.identity}/${place.prefix}`).digest('hex');
  return `${place.kind}-${bucket.replaceAll(/[^\w.-]/g, '_')}-${hash.slice(0, 16)}`;
}

function defaultCacheFolder(): string {
  switch (process.platform) {
    case 'darwin':
      return join(homedir(), 'Library', 'Caches', 'sluice');
    case 'win32':
      return join(homedir(), 'AppData', 'Local', 'sluice', 'cache');
    default:
      return join(homedir(), '.cache', 'sluice');
  }
}
