import {schemaFromJson} from '../core/schema-json.ts';
import type {
  Action,
  AddFile,
  DeletionVectorDescriptor,
  DomainMetadata,
  Metadata,
  Protocol,
  TxnAction,
} from './actions.ts';
import type {TableSnapshot} from './delta-table.ts';

/** Names a deletion vector within a table; the empty text stands for no vector. */
export function vectorId(vector: DeletionVectorDescriptor | undefined): string {
  if (vector === undefined) return '';
  return `${vector.storageType}${vector.pathOrInlineDv}${vector.offset === undefined ? '' : `@${vector.offset}`}`;
}

/**
 * Reconciles actions into a snapshot, version by version. Starts from nothing or from a snapshot, which stays as it is.
 * Used up once its own snapshot is taken.
 */
export class Replay {
  #protocol: Protocol | null;
  #metadata: Metadata | null;
  #files: Map<string, AddFile>;
  #txns: Map<string, TxnAction>;
  #domains: Map<string, DomainMetadata>;
  #version: number;
  #timestampMs: number;
  readonly #base: TableSnapshot | null;

  constructor(base: TableSnapshot | null) {
    this.#base = base;
    this.#protocol = base?.protocol ?? null;
    this.#metadata = base?.metadata ?? null;
    this.#files = new Map(base?.files);
    this.#txns = new Map(base?.txns);
    this.#domains = new Map(base?.domains);
    this.#version = base?.version ?? -1;
    this.#timestampMs = base?.timestampMs ?? 0;
  }

  /** The actions of one commit, or of a checkpoint, that lead to `version`; `timestampMs` is used when they name none. */
  apply(version: number, actions: readonly Action[], timestampMs: number): void {
    this.#version = version;
    this.#timestampMs = timestampMs;
    // A file whose deletion vector changes is removed and added by one commit, in any order.
    for (const action of actions) if ('remove' in action) this.#remove(action.remove);
    for (const action of actions) this.#add(action);
  }

  /** What the actions came to; null when no protocol or no metadata was among them, which no table is without. */
  snapshot(): TableSnapshot | null {
    if (this.#protocol === null || this.#metadata === null) return null;
    const isSameSchema = this.#base !== null && this.#base.metadata.schemaString === this.#metadata.schemaString;
    return {
      version: this.#version,
      protocol: this.#protocol,
      metadata: this.#metadata,
      schema: isSameSchema ? this.#base.schema : schemaFromJson(this.#metadata.schemaString),
      files: this.#files,
      txns: this.#txns,
      domains: this.#domains,
      timestampMs: this.#timestampMs,
    };
  }

  #remove(remove: {readonly path: string; readonly deletionVector?: DeletionVectorDescriptor}): void {
    const live = this.#files.get(remove.path);
    // Path and vector together name a logical file: the remove of another one says nothing about this.
    if (live !== undefined && vectorId(live.deletionVector) === vectorId(remove.deletionVector))
      this.#files.delete(remove.path);
  }

  #add(action: Action): void {
    if ('add' in action) this.#files.set(action.add.path, action.add);
    else if ('protocol' in action) this.#protocol = action.protocol;
    else if ('metaData' in action) this.#metadata = action.metaData;
    else if ('txn' in action) this.#txns.set(action.txn.appId, action.txn);
    else if ('domainMetadata' in action) this.#applyDomain(action.domainMetadata);
    else if ('commitInfo' in action) this.#timestampMs = timestampOf(action.commitInfo) ?? this.#timestampMs;
  }

  #applyDomain(domain: DomainMetadata): void {
    if (domain.removed) this.#domains.delete(domain.domain);
    else this.#domains.set(domain.domain, domain);
  }
}

function timestampOf(info: Readonly<Record<string, unknown>>): number | null {
  const {inCommitTimestamp, timestamp} = info;
  if (typeof inCommitTimestamp === 'number') return inCommitTimestamp;
  return typeof timestamp === 'number' ? timestamp : null;
}
