/** How to reach S3 or a store that speaks its protocol. What is not given comes from the AWS SDK's default chains: environment, profiles, SSO, container and instance roles. */
export interface S3Options {
  readonly region?: string;
  /** URL of a store that is not AWS, for example `http://127.0.0.1:9000`. */
  readonly endpoint?: string;
  readonly accessKeyId?: string;
  readonly secretAccessKey?: string;
  readonly sessionToken?: string;
  /** Bucket in the path instead of the host name; default: true with an endpoint. */
  readonly forcePathStyle?: boolean;
}

/** How to reach Azure storage. Without a key, token or secret: the default chain of `@azure/identity`. */
export interface AzureOptions {
  /** URL of the account's blob service, where it is not that of Azure: `http://127.0.0.1:10000/devstoreaccount1`. */
  readonly endpoint?: string;
  readonly accountKey?: string;
  readonly sasToken?: string;
  readonly tenantId?: string;
  readonly clientId?: string;
  readonly clientSecret?: string;
}

/** How to reach Google Cloud Storage. Without a file: application default credentials. */
export interface GcsOptions {
  /** URL of an emulator; calls to it carry no credentials. */
  readonly endpoint?: string;
  readonly projectId?: string;
  /** Path of a service account's JSON key. */
  readonly serviceAccountFile?: string;
}

/** Where copies of a remote lake's files are kept, and how many. */
export interface CacheOptions {
  /** Default: `sluice` in the user's cache folder. */
  readonly folder?: string;
  /** In GB (10^9 bytes); default 20. Files in use may exceed it for a while. */
  readonly maxSizeGb?: number;
}

/** Options of all kinds of stores as plain data; a lake uses those of its kind. */
export interface StoreOptions {
  readonly s3?: S3Options;
  readonly azure?: AzureOptions;
  readonly gcs?: GcsOptions;
  readonly cache?: CacheOptions;
}
