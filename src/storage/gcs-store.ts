import type * as Gcs from '@google-cloud/storage';

import {failureOfNetwork, failureOfStatus} from './network-failure.ts';
import type {
  Attempts,
  ClientFailure,
  ListPage,
  ListRequest,
  LocalFile,
  ObjectClient,
  ObjectHead,
} from './object-client.ts';
import {loadClient} from './optional-client.ts';
import type {GcsOptions} from './store-options.ts';

/** Opens a bucket of Google Cloud Storage. @throws UNSUPPORTED when its client is not installed. */
export async function openGcsClient(bucket: string, options: GcsOptions): Promise<ObjectClient> {
  const sdk = await loadClient(() => import('@google-cloud/storage'), '@google-cloud/storage', 'A lake at gs://');
  const {endpoint, projectId, serviceAccountFile} = options;
  const storage = new sdk.Storage({
    ...(endpoint === undefined ? {} : {apiEndpoint: endpoint, useAuthWithCustomEndpoint: false}),
    ...(projectId === undefined ? (endpoint === undefined ? {} : {projectId: 'emulator'}) : {projectId}),
    ...(serviceAccountFile === undefined ? {} : {keyFilename: serviceAccountFile}),
    // The store retries: a conditional put whose answer was lost needs a look before it is tried again.
    retryOptions: {autoRetry: false, maxRetries: 0},
  });
  return new GcsObjectClient(storage.bucket(bucket), `${endpoint ?? 'gcs'}/${bucket}`);
}

/** The client takes no abort signals: attempts that time out go on and are not heeded. */
class GcsObjectClient implements ObjectClient {
  readonly identity: string;
  readonly listsInOrder = true;
  readonly rights: string;
  readonly credentials =
    'Give service_account_file under lake_options.gcs, or application default credentials: GOOGLE_APPLICATION_CREDENTIALS, gcloud auth application-default login, or the service account of this machine.';
  readonly #bucket: Gcs.Bucket;

  constructor(bucket: Gcs.Bucket, identity: string) {
    this.#bucket = bucket;
    this.identity = identity;
    this.rights = `the role Storage Object User (roles/storage.objectUser) on the bucket ${bucket.name}.`;
  }

  async get(key: string, range: {readonly start: number; readonly end: number} | null): Promise<Uint8Array | null> {
    try {
      const part = range === null ? {} : {start: range.start, end: range.end - 1};
      const [bytes] = await this.#bucket
        .file(key)
        .download({...part, decompress: false, validation: range === null ? 'crc32c' : false});
      return bytes;
    } catch (error) {
      if (isAbsent(error)) return null;
      if (range !== null && statusOf(error) === 416) return new Uint8Array();
      throw error;
    }
  }

  async head(key: string): Promise<ObjectHead | null> {
    try {
      const [metadata] = await this.#bucket.file(key).getMetadata();
      const mark = metadata.metadata?.[MARK];
      return {
        sizeBytes: Number(metadata.size ?? 0),
        etag: String(metadata.generation ?? metadata.etag ?? ''),
        mark: typeof mark === 'string' ? mark : null,
      };
    } catch (error) {
      if (isAbsent(error)) return null;
      throw error;
    }
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    await this.#bucket.file(key).save(Buffer.from(bytes), {resumable: false, contentType: BINARY});
  }

  async putIfAbsent(key: string, bytes: Uint8Array, mark: string): Promise<boolean> {
    try {
      await this.#bucket.file(key).save(Buffer.from(bytes), {
        resumable: false,
        contentType: BINARY,
        preconditionOpts: {ifGenerationMatch: 0},
        metadata: {metadata: {[MARK]: mark}},
      });
      return true;
    } catch (error) {
      if (statusOf(error) === 412) return false;
      throw error;
    }
  }

  async list(request: ListRequest): Promise<ListPage> {
    const [files, next, answer] = (await this.#bucket.getFiles({
      autoPaginate: false,
      prefix: request.prefix,
      maxResults: 1000,
      ...(request.delimited ? {delimiter: '/'} : {}),
      ...(request.after === null ? {} : {startOffset: request.after}),
      ...(request.page === null ? {} : {pageToken: request.page}),
    })) as [Gcs.File[], {pageToken?: string} | null, {prefixes?: string[]} | undefined];
    return {
      objects: files.map(({name, metadata}) => ({
        key: name,
        sizeBytes: Number(metadata.size ?? 0),
        modifiedAtMs: Date.parse(String(metadata.updated ?? metadata.timeCreated ?? '')),
      })),
      prefixes: answer?.prefixes ?? [],
      next: next?.pageToken ?? null,
    };
  }

  async delete(key: string): Promise<void> {
    await this.#bucket.file(key).delete({ignoreNotFound: true});
  }

  async upload(key: string, file: LocalFile, attempts: Attempts, signal: AbortSignal): Promise<void> {
    // Streamed whole, and whole again when it fails: a resumable session saves little at the sizes of data files.
    const call = async (): Promise<void> => {
      await this.#bucket.upload(file.path, {
        destination: key,
        resumable: false,
        contentType: BINARY,
        validation: 'crc32c',
      });
    };
    await attempts(call, signal, BASE_TIMEOUT_MS + file.sizeBytes / SLOWEST_BYTES_PER_MS);
  }

  classify(error: unknown): ClientFailure {
    const message = error instanceof Error ? error.message : String(error);
    const status = statusOf(error);
    const code = status === undefined ? (error instanceof Error ? error.name : 'Unknown') : `HTTP ${status}`;
    if (status === 404) return {kind: 'no-bucket', code, message};
    if (/default credentials|invalid_grant|Could not refresh access token|ENOENT/.test(message)) {
      // The authentication library throws plain errors: their text is all there is.
      return {kind: 'auth', code, message};
    }
    return failureOfNetwork(error) ?? failureOfStatus(status, code, message) ?? {kind: 'refused', code, message};
  }

  close(): void {
    // The client holds no connections of its own: they belong to the process's agent.
  }
}

/** Name of the metadata entry that tells a writer its own object. */
const MARK = 'sluice-mark';

const BASE_TIMEOUT_MS = 120_000;
/** 500 KB a second: a file that goes slower than this is given up and begun again. */
const SLOWEST_BYTES_PER_MS = 500;

const BINARY = 'application/octet-stream';

/** A missing bucket looks the same but for its text: a listing or a write tells. */
function isAbsent(error: unknown): boolean {
  return statusOf(error) === 404;
}

function statusOf(error: unknown): number | undefined {
  const {code, status} = error as {readonly code?: unknown; readonly status?: unknown};
  if (typeof code === 'number') return code;
  if (typeof code === 'string' && /^\d{3}$/.test(code)) return Number(code);
  return typeof status === 'number' ? status : undefined;
}
