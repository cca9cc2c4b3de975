import type {PlainJson} from '../core/offset.ts';

/** Delta's `protocol` action. */
export interface Protocol {
  readonly minReaderVersion: number;
  readonly minWriterVersion: number;
  readonly readerFeatures?: readonly string[];
  readonly writerFeatures?: readonly string[];
}

/** Delta's `metaData` action. */
export interface Metadata {
  readonly id: string;
  readonly name?: string;
  readonly description?: string;
  readonly format: {readonly provider: string; readonly options: Readonly<Record<string, string>>};
  /** Spark's JSON form of the schema. */
  readonly schemaString: string;
  readonly partitionColumns: readonly string[];
  readonly configuration: Readonly<Record<string, string>>;
  /** Milliseconds since 1970-01-01T00:00:00Z. */
  readonly createdTime?: number;
}

/** Where a deletion vector is stored. */
export interface DeletionVectorDescriptor {
  /** `u` file beside the table by UUID, `i` inline, `p` absolute path. */
  readonly storageType: 'u' | 'i' | 'p';
  readonly pathOrInlineDv: string;
  readonly offset?: number;
  readonly sizeInBytes: number;
  readonly cardinality: number;
}

/** Delta's `add` action: one live data file. */
export interface AddFile {
  /** URL-encoded path relative to the table, or absolute URI. */
  readonly path: string;
  readonly partitionValues: Readonly<Record<string, string | null>>;
  readonly size: number;
  readonly modificationTime: number;
  readonly dataChange: boolean;
  /** JSON text: numRecords, minValues, maxValues, nullCount, tightBounds. */
  readonly stats?: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly deletionVector?: DeletionVectorDescriptor;
  readonly baseRowId?: number;
  readonly defaultRowCommitVersion?: number;
  readonly clusteringProvider?: string;
}

/** Delta's `remove` action: a file that is no longer live. */
export interface RemoveFile {
  readonly path: string;
  readonly deletionTimestamp?: number;
  readonly dataChange: boolean;
  readonly extendedFileMetadata?: boolean;
  readonly partitionValues?: Readonly<Record<string, string | null>>;
  readonly size?: number;
  readonly stats?: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly deletionVector?: DeletionVectorDescriptor;
}

/** Delta's `cdc` action: a file with the rows that a commit changed. Names no live rows. */
export interface AddCdcFile {
  /** As in {@link AddFile}, below `_change_data/`. */
  readonly path: string;
  readonly partitionValues: Readonly<Record<string, string | null>>;
  readonly size: number;
  /** Always false: the file repeats what other actions of the commit do. */
  readonly dataChange: boolean;
  readonly tags?: Readonly<Record<string, string>>;
}

/** Delta's `txn` action: the last transaction of an application, here of a flow. */
export interface TxnAction {
  readonly appId: string;
  readonly version: number;
  readonly lastUpdated?: number;
}

/** Delta's `domainMetadata` action. */
export interface DomainMetadata {
  readonly domain: string;
  readonly configuration: string;
  readonly removed: boolean;
}

/** Delta's `commitInfo` action; `txnId` names the attempt, so that a lost answer can be told from a lost race. */
export interface CommitInfo {
  readonly timestamp?: number;
  /** Milliseconds since 1970, later than that of every commit before; only where the table has the feature. */
  readonly inCommitTimestamp?: number;
  readonly operation?: string;
  readonly operationParameters?: Readonly<Record<string, PlainJson>>;
  readonly operationMetrics?: Readonly<Record<string, string>>;
  readonly readVersion?: number;
  readonly isolationLevel?: string;
  readonly isBlindAppend?: boolean;
  readonly engineInfo?: string;
  readonly txnId?: string;
  readonly [key: string]: PlainJson | undefined;
}

/** One line of a commit. */
export type Action =
  | {readonly protocol: Protocol}
  | {readonly metaData: Metadata}
  | {readonly add: AddFile}
  | {readonly remove: RemoveFile}
  | {readonly cdc: AddCdcFile}
  | {readonly txn: TxnAction}
  | {readonly domainMetadata: DomainMetadata}
  | {readonly commitInfo: CommitInfo};
