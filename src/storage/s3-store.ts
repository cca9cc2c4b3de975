import type * as S3 from '@aws-sdk/client-s3';

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
import type {S3Options} from './store-options.ts';
import {PART_BYTES, sendParts} from './upload-parts.ts';

/** Opens a bucket of S3, or of a store that speaks its protocol. @throws UNSUPPORTED when its client is not installed. */
export async function openS3Client(bucket: string, options: S3Options): Promise<ObjectClient> {
  const sdk = await loadClient(() => import('@aws-sdk/client-s3'), '@aws-sdk/client-s3', 'A lake at s3://');
  return new S3ObjectClient(sdk, bucket, options);
}

type Sdk = typeof S3;

class S3ObjectClient implements ObjectClient {
  readonly identity: string;
  readonly listsInOrder = true;
  readonly rights: string;
  readonly credentials =
    'Give valid credentials under lake_options.s3, or by the AWS chain: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role of this machine.';
  readonly #sdk: Sdk;
  readonly #client: S3.S3Client;
  readonly #bucket: string;

  constructor(sdk: Sdk, bucket: string, options: S3Options) {
    this.#sdk = sdk;
    this.#bucket = bucket;
    this.identity = `${options.endpoint ?? 'aws'}/${bucket}`;
    this.rights = `s3:ListBucket, s3:GetObject, s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload on ${bucket} and ${bucket}/*.`;
    this.#client = new sdk.S3Client(clientConfig(options));
  }

  async get(
    key: string,
    range: {readonly start: number; readonly end: number} | null,
    signal: AbortSignal,
  ): Promise<Uint8Array | null> {
    const Range = range === null ? undefined : `bytes=${range.start}-${range.end - 1}`;
    try {
      const answer = await this.#client.send(new this.#sdk.GetObjectCommand({...this.#at(key), Range}), {
        abortSignal: signal,
      });
      return (await answer.Body?.transformToByteArray()) ?? new Uint8Array();
    } catch (error) {
      if (isAbsent(error)) return null;
      if (range !== null && statusOf(error) === 416) return new Uint8Array();
      throw error;
    }
  }

  async head(key: string, signal: AbortSignal): Promise<ObjectHead | null> {
    try {
      const answer = await this.#client.send(new this.#sdk.HeadObjectCommand(this.#at(key)), {abortSignal: signal});
      return {
        sizeBytes: answer.ContentLength ?? 0,
        etag: answer.ETag ?? '',
        mark: answer.Metadata?.[MARK] ?? null,
      };
    } catch (error) {
      // HEAD has no body, so a missing bucket looks the same: the next call that has one tells.
      if (isAbsent(error) || statusOf(error) === 404) return null;
      throw error;
    }
  }

  async put(key: string, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    await this.#client.send(new this.#sdk.PutObjectCommand({...this.#at(key), Body: bytes}), {abortSignal: signal});
  }

  async putIfAbsent(key: string, bytes: Uint8Array, mark: string, signal: AbortSignal): Promise<boolean> {
    const request = {...this.#at(key), Body: bytes, IfNoneMatch: '*', Metadata: {[MARK]: mark}};
    try {
      await this.#client.send(new this.#sdk.PutObjectCommand(request), {abortSignal: signal});
      return true;
    } catch (error) {
      if (statusOf(error) === 412) return false;
      throw error;
    }
  }

  async list(request: ListRequest, signal: AbortSignal): Promise<ListPage> {
    const answer = await this.#client.send(
      new this.#sdk.ListObjectsV2Command({
        Bucket: this.#bucket,
        Prefix: request.prefix,
        Delimiter: request.delimited ? '/' : undefined,
        StartAfter: request.after ?? undefined,
        ContinuationToken: request.page ?? undefined,
      }),
      {abortSignal: signal},
    );
    return {
      objects: (answer.Contents ?? []).map((each) => ({
        key: each.Key ?? '',
        sizeBytes: each.Size ?? 0,
        modifiedAtMs: each.LastModified?.getTime() ?? 0,
      })),
      prefixes: (answer.CommonPrefixes ?? []).map((each) => each.Prefix ?? ''),
      next: answer.IsTruncated === true ? (answer.NextContinuationToken ?? null) : null,
    };
  }

  async delete(key: string, signal: AbortSignal): Promise<void> {
    await this.#client.send(new this.#sdk.DeleteObjectCommand(this.#at(key)), {abortSignal: signal});
  }

  async upload(key: string, file: LocalFile, attempts: Attempts, signal: AbortSignal): Promise<void> {
    if (file.sizeBytes <= PART_BYTES) {
      await sendParts(file, ({bytes}, each) => this.put(key, bytes, each), attempts, signal);
      return;
    }
    const begun = await attempts(
      (each) => this.#client.send(new this.#sdk.CreateMultipartUploadCommand(this.#at(key)), {abortSignal: each}),
      signal,
    );
    const upload = {...this.#at(key), UploadId: begun.UploadId};
    try {
      const tags = await sendParts(
        file,
        async ({index, bytes}, each) => {
          const part = {...upload, PartNumber: index + 1, Body: bytes};
          const answer = await this.#client.send(new this.#sdk.UploadPartCommand(part), {abortSignal: each});
          return {...answer, PartNumber: index + 1};
        },
        attempts,
        signal,
      );
      const Parts = tags.map(({ETag, PartNumber, ChecksumCRC32}) => ({ETag, PartNumber, ChecksumCRC32}));
      await attempts((each) => this.#complete({...upload, MultipartUpload: {Parts}}, file.sizeBytes, each), signal);
    } catch (error) {
      // The first error tells the story; parts that stay are removed by the bucket's rule for unfinished uploads.
      await this.#client.send(new this.#sdk.AbortMultipartUploadCommand(upload)).catch(() => undefined);
      throw error;
    }
  }

  classify(error: unknown): ClientFailure {
    const {name, message} = error instanceof Error ? error : {name: 'Unknown', message: String(error)};
    const known = KINDS[name];
    if (known !== undefined) return {kind: known, code: name, message};
    return (
      failureOfNetwork(error) ??
      failureOfStatus(statusOf(error), name, message) ?? {kind: 'refused', code: name, message}
    );
  }

  close(): void {
    this.#client.destroy();
  }

  #at(key: string): {readonly Bucket: string; readonly Key: string} {
    return {Bucket: this.#bucket, Key: key};
  }

  /** An upload whose end was told to somebody who did not hear it is gone, and its object is there. */
  async #complete(
    request: S3.CompleteMultipartUploadCommandInput,
    sizeBytes: number,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      await this.#client.send(new this.#sdk.CompleteMultipartUploadCommand(request), {abortSignal: signal});
    } catch (error) {
      const isGone = error instanceof Error && error.name === 'NoSuchUpload';
      const head = isGone ? await this.head(request.Key ?? '', signal) : null;
      if (head?.sizeBytes !== sizeBytes) throw error;
    }
  }
}

/** Name of the metadata entry that tells a writer its own object. */
const MARK = 'sluice-mark';

function clientConfig(options: S3Options): S3.S3ClientConfig {
  const {endpoint, accessKeyId, secretAccessKey, sessionToken} = options;
  // Stores that are not AWS: many know no checksums in trailers, and few care for the region.
  const elsewhere: S3.S3ClientConfig =
    endpoint === undefined
      ? {}
      : {
          endpoint,
          forcePathStyle: options.forcePathStyle ?? true,
          requestChecksumCalculation: 'WHEN_REQUIRED',
          responseChecksumValidation: 'WHEN_REQUIRED',
        };
  const region = options.region ?? (endpoint === undefined ? undefined : 'us-east-1');
  return {
    ...elsewhere,
    ...(options.forcePathStyle === undefined ? {} : {forcePathStyle: options.forcePathStyle}),
    ...(region === undefined ? {} : {region}),
    ...(accessKeyId === undefined || secretAccessKey === undefined
      ? {}
      : {
          credentials: {accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : {sessionToken})},
        }),
    // The store retries: a conditional put whose answer was lost needs a look before it is tried again.
    maxAttempts: 1,
    followRegionRedirects: true,
  };
}

const KINDS: Readonly<Record<string, FailureKind>> = {
  NoSuchBucket: 'no-bucket',
  InvalidBucketName: 'no-bucket',
  // What some stores answer to a condition that they do not know.
  NotImplemented: 'refused',
  AccessDenied: 'denied',
  AllAccessDisabled: 'denied',
  AccountProblem: 'denied',
  InvalidAccessKeyId: 'auth',
  SignatureDoesNotMatch: 'auth',
  ExpiredToken: 'auth',
  InvalidToken: 'auth',
  TokenRefreshRequired: 'auth',
  CredentialsProviderError: 'auth',
  TokenProviderError: 'auth',
  PermanentRedirect: 'wrong-address',
  AuthorizationHeaderMalformed: 'wrong-address',
  IllegalLocationConstraintException: 'wrong-address',
  ConditionalRequestConflict: 'busy',
  OperationAborted: 'busy',
  SlowDown: 'throttled',
  RequestLimitExceeded: 'throttled',
  ThrottlingException: 'throttled',
  Throttling: 'throttled',
  RequestTimeout: 'transient',
  RequestTimeTooSkewed: 'auth',
  InternalError: 'transient',
  TimeoutError: 'transient',
};

function isAbsent(error: unknown): boolean {
  return error instanceof Error && (error.name === 'NoSuchKey' || error.name === 'NotFound');
}

function statusOf(error: unknown): number | undefined {
  const metadata = (error as {readonly $metadata?: {readonly httpStatusCode?: number}}).$metadata;
  return metadata?.httpStatusCode;
}
