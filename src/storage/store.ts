/** What {@link Store.list} says of one object. */
export interface ObjectInfo {
  /** Name relative to the store's root, `/` between parts, no leading `/`. */
  readonly name: string;
  readonly sizeBytes: number;
  /** Milliseconds since 1970-01-01T00:00:00Z. */
  readonly modifiedAtMs: number;
}

/** A local file that will become an object: the engine writes at `localPath`, `seal` makes it durable under `name`. */
export interface StagedObject {
  readonly name: string;
  /** Absolute path in a folder that exists; nothing is there yet. */
  readonly localPath: string;
  /** Makes the bytes durable under the name (fsync of file and folder on disk, upload elsewhere); resolves to the size in bytes. */
  seal(signal: AbortSignal): Promise<number>;
}

/**
 * Bytes by name on every kind of store: no rename, no append, no folders. Names are relative to the root, with `/`
 * between parts; a part is never `..`. Objects that were put are immutable for the readers of Sluice, except
 * `_last_checkpoint` and leases.
 * All methods throw STORAGE_FAILED, STORAGE_FULL, STORAGE_READ_ONLY or PERMISSION_DENIED.
 */
export interface Store {
  /** Where the store is, for messages: a folder or URL without secrets. */
  readonly root: string;
  /** The bytes of an object, or of the range [start, end) of it; null when there is none of that name. */
  get(name: string, range?: {readonly start: number; readonly end: number}): Promise<Uint8Array | null>;
  /** Writes an object, replacing an older one whole; durable when it resolves. */
  put(name: string, bytes: Uint8Array): Promise<void>;
  /** Writes an object unless the name is taken; true when this call made it, false when it existed. Durable when it resolves. */
  putIfAbsent(name: string, bytes: Uint8Array): Promise<boolean>;
  /**
   * Objects whose name starts with `prefix` (any depth), in ascending order of name. With `after`, only names greater than it.
   * With `temporaries`, also what a killed writer left behind: names whose last part starts with a dot.
   */
  list(
    prefix: string,
    options?: {readonly after?: string; readonly shallow?: boolean; readonly temporaries?: boolean},
  ): AsyncIterable<ObjectInfo>;
  /** Names of what is one level below a prefix that ends with `/` (or is empty) and has objects under it, ascending: what object stores call common prefixes. */
  prefixes(prefix: string): Promise<readonly string[]>;
  /** Removes an object; no error when it is not there. */
  delete(name: string): Promise<void>;
  /** Prepares a local file for an object that the engine will write. */
  stage(name: string): Promise<StagedObject>;
  /** A local path under which the engine can read an immutable object (itself on disk, a cached copy elsewhere). */
  localPath(name: string): Promise<string>;
}
