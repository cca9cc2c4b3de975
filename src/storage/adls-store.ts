import type * as Blob from '@azure/storage-blob';

import {IngestError} from '../core/errors.ts';
import {failureOfNetwork, failureOfStatus} from './network-failure.ts';
import type {
  Attempts,
  ClientFailure,
  FailureKind,
  ListPage,
  ListRequest,
  LocalFile,
  ObjectClient,
  ObjectHead,
} from './object-client.ts';
import {loadClient} from './optional-client.ts';
import type {AzureOptions} from './store-options.ts';
import {PART_BYTES, sendParts} from './upload-parts.ts';

/** Where a container is. */
export interface AdlsPlace {
  readonly account: string;
  /** Host of the URL, for example `account.dfs.core.windows.net`. */
  readonly host: string;
  readonly container: string;
}

/**
 * Opens a container of Azure storage by its blob service, which serves accounts with and without a hierarchical namespace.
 * @throws UNSUPPORTED when its client is not installed.
 */
export async function openAdlsClient(place: AdlsPlace, options: AzureOptions): Promise<ObjectClient> {
  const sdk = await loadClient(() => import('@azure/storage-blob'), '@azure/storage-blob', 'A lake at abfss://');
  const url = options.endpoint ?? `https://${place.host.replace('.dfs.', '.blob.')}`;
  const service = await serviceOf(sdk, {url, account: place.account, options});
  return new AdlsObjectClient(service.getContainerClient(place.container), `${url}/${place.container}`);
}

class AdlsObjectClient implements ObjectClient {
  readonly identity: string;
  // With a hierarchical namespace a deep listing goes folder by folder.
  readonly listsInOrder = false;
  readonly rights =
    'the role Storage Blob Data Contributor on the container, or a SAS token with read, add, create, write, delete and list.';
  readonly credentials =
    'Give account_key, sas_token or a client secret under lake_options.azure, or sign in by the Azure chain: AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET, a managed identity, or az login.';
  readonly #container: Blob.ContainerClient;

  constructor(container: Blob.ContainerClient, identity: string) {
    this.#container = container;
    this.identity = identity;
  }

  async get(
    key: string,
    range: {readonly start: number; readonly end: number} | null,
    signal: AbortSignal,
  ): Promise<Uint8Array | null> {
    const count = range === null ? undefined : range.end - range.start;
    try {
      const answer = await this.#blob(key).download(range?.start ?? 0, count, {abortSignal: signal});
      const chunks: Buffer[] = [];
      for await (const chunk of answer.readableStreamBody ?? []) chunks.push(Buffer.from(chunk));
      return Buffer.concat(chunks);
    } catch (error) {
      if (isAbsent(error)) return null;
      if (range !== null && statusOf(error) === 416) return new Uint8Array();
      throw error;
    }
  }

  async head(key: string, signal: AbortSignal): Promise<ObjectHead | null> {
    try {
      const answer = await this.#blob(key).getProperties({abortSignal: signal});
      return {
        sizeBytes: answer.contentLength ?? 0,
        etag: answer.etag ?? '',
        mark: answer.metadata?.[MARK] ?? null,
      };
    } catch (error) {
      if (isAbsent(error) || codeOf(error) === null) {
        // HEAD has no body, so a missing container looks the same: the next call that has one tells.
        if (statusOf(error) === 404) return null;
      }
      throw error;
    }
  }

  async put(key: string, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    await this.#blob(key).upload(bytes, bytes.length, {abortSignal: signal});
  }

  async putIfAbsent(key: string, bytes: Uint8Array, mark: string, signal: AbortSignal): Promise<boolean> {
    try {
      await this.#blob(key).upload(bytes, bytes.length, {
        abortSignal: signal,
        conditions: {ifNoneMatch: '*'},
        metadata: {[MARK]: mark},
      });
      return true;
    } catch (error) {
      if (statusOf(error) === 412 || (statusOf(error) === 409 && TAKEN.has(codeOf(error) ?? ''))) return false;
      throw error;
    }
  }

  async list(request: ListRequest, signal: AbortSignal): Promise<ListPage> {
    const options = {
      prefix: request.prefix,
      abortSignal: signal,
      // Folders of a hierarchical namespace are listed as blobs; this tells them.
      includeMetadata: true,
    };
    const page = {maxPageSize: PAGE_SIZE, ...(request.page === null ? {} : {continuationToken: request.page})};
    const pages = request.delimited
      ? this.#container.listBlobsByHierarchy('/', options).byPage(page)
      : this.#container.listBlobsFlat(options).byPage(page);
    const {value} = await pages.next();
    if (value === undefined) return {objects: [], prefixes: [], next: null};
    const found = value as Blob.ContainerListBlobHierarchySegmentResponse;
    const {segment, continuationToken} = found;
    return {
      objects: segment.blobItems
        .filter((blob) => blob.metadata?.['hdi_isfolder'] !== 'true')
        .map(({name, properties}) => ({
          key: name,
          sizeBytes: properties.contentLength ?? 0,
          modifiedAtMs: properties.lastModified.getTime(),
        })),
      prefixes: (segment.blobPrefixes ?? []).map(({name}) => name),
      next: continuationToken === undefined || continuationToken === '' ? null : continuationToken,
    };
  }

  async delete(key: string, signal: AbortSignal): Promise<void> {
    await this.#blob(key).deleteIfExists({abortSignal: signal});
  }

  async upload(key: string, file: LocalFile, attempts: Attempts, signal: AbortSignal): Promise<void> {
    if (file.sizeBytes <= PART_BYTES) {
      await sendParts(file, ({bytes}, each) => this.put(key, bytes, each), attempts, signal);
      return;
    }
    const blob = this.#blob(key);
    // Blocks that no list names vanish after a week; nothing is to be given up.
    const blocks = await sendParts(
      file,
      async ({index, bytes}, each) => {
        const id = Buffer.from(String(index).padStart(8, '0')).toString('base64');
        await blob.stageBlock(id, bytes, bytes.length, {abortSignal: each});
        return id;
      },
      attempts,
      signal,
    );
    await attempts((each) => blob.commitBlockList([...blocks], {abortSignal: each}), signal);
  }

  classify(error: unknown): ClientFailure {
    const {name, message} = error instanceof Error ? error : {name: 'Unknown', message: String(error)};
    const code = codeOf(error) ?? name;
    const known = KINDS[code];
    const retryAfterMs = retryAfterOf(error);
    if (known !== undefined) return {kind: known, code, message, ...retryAfterMs};
    return (
      failureOfNetwork(error) ??
      withRetryAfter(failureOfStatus(statusOf(error), code, message), retryAfterMs) ?? {kind: 'refused', code, message}
    );
  }

  close(): void {
    // The client holds no connections of its own: they belong to the process's agent.
  }

  #blob(key: string): Blob.BlockBlobClient {
    return this.#container.getBlockBlobClient(key);
  }
}

const PAGE_SIZE = 1000;

/** Name of the metadata entry that tells a writer its own object; Azure takes identifiers only. */
const MARK = 'sluice_mark';

const TAKEN: ReadonlySet<string> = new Set(['BlobAlreadyExists', 'ConditionNotMet', 'UnauthorizedBlobOverwrite']);

interface ServiceRequest {
  readonly url: string;
  readonly account: string;
  readonly options: AzureOptions;
}

async function serviceOf(sdk: typeof Blob, {url, account, options}: ServiceRequest): Promise<Blob.BlobServiceClient> {
  // The store retries: a conditional put whose answer was lost needs a look before it is tried again.
  const pipeline: Blob.StoragePipelineOptions = {retryOptions: {maxTries: 1}};
  const {accountKey, sasToken, clientId, clientSecret, tenantId} = options;
  if (accountKey !== undefined) {
    return new sdk.BlobServiceClient(url, new sdk.StorageSharedKeyCredential(account, accountKey), pipeline);
  }
  if (sasToken !== undefined) {
    return new sdk.BlobServiceClient(`${url}?${sasToken.replace(/^\?/, '')}`, new sdk.AnonymousCredential(), pipeline);
  }
  const identity = await loadClient(
    () => import('@azure/identity'),
    '@azure/identity',
    'A lake at abfss:// without account_key or sas_token',
  );
  if (clientSecret === undefined) {
    return new sdk.BlobServiceClient(
      url,
      new identity.DefaultAzureCredential(clientId === undefined ? {} : {managedIdentityClientId: clientId}),
      pipeline,
    );
  }
  if (tenantId === undefined || clientId === undefined) {
    throw new IngestError('INVALID_OPTION', 'lake_options.azure has a client_secret without tenant_id or client_id.', {
      fix: 'Give all three.',
    });
  }
  return new sdk.BlobServiceClient(
    url,
    new identity.ClientSecretCredential(tenantId, clientId, clientSecret),
    pipeline,
  );
}

const KINDS: Readonly<Record<string, FailureKind>> = {
  ContainerNotFound: 'no-bucket',
  ContainerBeingDeleted: 'no-bucket',
  ResourceNotFound: 'no-bucket',
  FilesystemNotFound: 'no-bucket',
  AuthenticationFailed: 'auth',
  InvalidAuthenticationInfo: 'auth',
  NoAuthenticationInformation: 'auth',
  CredentialUnavailableError: 'auth',
  AuthenticationError: 'auth',
  AggregateAuthenticationError: 'auth',
  AuthenticationRequiredError: 'auth',
  AuthorizationFailure: 'denied',
  AuthorizationPermissionMismatch: 'denied',
  InsufficientAccountPermissions: 'denied',
  ServerBusy: 'throttled',
  InternalError: 'transient',
  OperationTimedOut: 'transient',
  REQUEST_SEND_ERROR: 'transient',
};

function isAbsent(error: unknown): boolean {
  return codeOf(error) === 'BlobNotFound' || codeOf(error) === 'PathNotFound';
}

function statusOf(error: unknown): number | undefined {
  return (error as {readonly statusCode?: number}).statusCode;
}

/** The service's code, or that of the client's own errors. */
function codeOf(error: unknown): string | null {
  const {details, code, name} = error as {
    readonly details?: {readonly errorCode?: string; readonly code?: string};
    readonly code?: string;
    readonly name?: string;
  };
  const found = details?.errorCode ?? code ?? details?.code;
  return typeof found === 'string' ? found : name !== undefined && KINDS[name] !== undefined ? name : null;
}

function retryAfterOf(error: unknown): {readonly retryAfterMs?: number} {
  const {response} = error as {readonly response?: {readonly headers?: {get(name: string): string | undefined}}};
  const seconds = Number(response?.headers?.get('retry-after'));
  return Number.isFinite(seconds) && seconds > 0 ? {retryAfterMs: seconds * 1000} : {};
}

function withRetryAfter(
  failure: ClientFailure | null,
  retryAfter: {readonly retryAfterMs?: number},
): ClientFailure | null {
  return failure === null ? null : {...failure, ...retryAfter};
}
