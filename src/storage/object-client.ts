/** What an object store says of one object. */
export interface ObjectHead {
  readonly sizeBytes: number;
  /** Changes whenever the content does. */
  readonly etag: string;
  /** What the writer of a conditional put left to know its own object by; null when there is none. */
  readonly mark: string | null;
}

/** One object of a page. */
export interface ListedObject {
  readonly key: string;
  readonly sizeBytes: number;
  readonly modifiedAtMs: number;
}

/** One page of a listing. */
export interface ListPage {
  readonly objects: readonly ListedObject[];
  /** With `delimited`: what is one level below, each ending with `/`. */
  readonly prefixes: readonly string[];
  /** Where the next page starts; null after the last. */
  readonly next: string | null;
}

/** Which page of which listing. */
export interface ListRequest {
  readonly prefix: string;
  /** Only what is directly below the prefix; deeper objects come as prefixes. */
  readonly delimited: boolean;
  /** A hint: objects up to this key may be left out, and are where the store can. */
  readonly after: string | null;
  /** `next` of the page before; null for the first. */
  readonly page: string | null;
}

/** A file to upload. */
export interface LocalFile {
  readonly path: string;
  readonly sizeBytes: number;
}

/** Why a call failed, in words that all vendors share. */
export type FailureKind =
  /** It may pass: server errors, broken connections, time-outs. */
  | 'transient'
  /** The store asks for a pause. */
  | 'throttled'
  /** Nobody answers at that address. */
  | 'unreachable'
  /** No credentials were found, or the store does not know them. */
  | 'auth'
  /** The credentials are good, but this is not allowed. */
  | 'denied'
  /** The bucket or container does not exist. */
  | 'no-bucket'
  /** The bucket is at another address or in another region. */
  | 'wrong-address'
  /** Another writer is busy with the same name; it did not happen. */
  | 'busy'
  /** Anything else: the same call would fail again. */
  | 'refused';

/** A failed call, classified. */
export interface ClientFailure {
  readonly kind: FailureKind;
  /** The vendor's code or status, for messages. */
  readonly code: string;
  readonly message: string;
  readonly retryAfterMs?: number;
}

/** Runs one idempotent call with the store's retries; a client uses it for the steps of an upload. One attempt may take `timeoutMs`. */
export type Attempts = <T>(
  call: (signal: AbortSignal) => Promise<T>,
  signal?: AbortSignal,
  timeoutMs?: number,
) => Promise<T>;

/**
 * One vendor's calls, each a single attempt: retries, names and errors are the business of the store above. A key is the
 * whole name in the bucket. Calls throw what the vendor's client throws.
 */
export interface ObjectClient {
  /** What tells this place from others: service address and bucket, without secrets. */
  readonly identity: string;
  /** False where a deep listing may come in another order than that of whole keys. */
  readonly listsInOrder: boolean;
  /** What the credentials must be allowed to do, for messages. */
  readonly rights: string;
  /** How credentials are given, for messages. */
  readonly credentials: string;
  /** Null when there is no such object; a range behind the end is empty. */
  get(
    key: string,
    range: {readonly start: number; readonly end: number} | null,
    signal: AbortSignal,
  ): Promise<Uint8Array | null>;
  head(key: string, signal: AbortSignal): Promise<ObjectHead | null>;
  put(key: string, bytes: Uint8Array, signal: AbortSignal): Promise<void>;
  /** False when the store says that the key is taken. Leaves the mark at the object. */
  putIfAbsent(key: string, bytes: Uint8Array, mark: string, signal: AbortSignal): Promise<boolean>;
  list(request: ListRequest, signal: AbortSignal): Promise<ListPage>;
  /** No error when it is not there. */
  delete(key: string, signal: AbortSignal): Promise<void>;
  /** Uploads a file; nothing shows before all of it is there, and what was begun is given up when it fails. */
  upload(key: string, file: LocalFile, attempts: Attempts, signal: AbortSignal): Promise<void>;
  classify(error: unknown): ClientFailure;
  close(): void;
}
