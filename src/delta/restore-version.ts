import {isDeepStrictEqual} from 'node:util';

import type {AddFile, DomainMetadata, Metadata, RemoveFile} from './actions.ts';
import {MAX_COLUMN_ID} from './column-mapping.ts';
import {TIMESTAMPS_SINCE_TIME, TIMESTAMPS_SINCE_VERSION} from './commit-times.ts';
import {vectorName} from './deletion-vectors.ts';
import type {DeltaContext, DeltaTable, TableSnapshot} from './delta-table.ts';
import {vectorId} from './replay.ts';
import {storedNameOf} from './stored-name.ts';

/** What makes a table what an older version of it was; goes into one commit. */
export interface VersionDifference {
  readonly adds: readonly AddFile[];
  readonly removes: readonly RemoveFile[];
  /** Undefined when it is the same. */
  readonly metadata: Metadata | undefined;
  readonly domains: readonly DomainMetadata[];
}

/** Properties that say what the table has been through, not what it is: they stay as they are now. */
const LASTING_PROPERTIES = [
  MAX_COLUMN_ID,
  'delta.enableInCommitTimestamps',
  TIMESTAMPS_SINCE_VERSION,
  TIMESTAMPS_SINCE_TIME,
  'delta.requireCheckpointProtectionBeforeVersion',
];

/**
 * How a table's newest version differs from `target`, an older snapshot of it. The protocol is left alone: what a table
 * once needed its log still has.
 * @param keep further properties that stay as they are now.
 */
export function differenceTo(table: DeltaTable, target: TableSnapshot, keep: readonly string[]): VersionDifference {
  const {snapshot} = table;
  const isIn = (file: AddFile, other: TableSnapshot): boolean => {
    const same = other.files.get(file.path);
    return same !== undefined && vectorId(same.deletionVector) === vectorId(file.deletionVector);
  };
  const come = [...target.files.values()].filter((file) => !isIn(file, snapshot));
  const go = [...snapshot.files.values()].filter((file) => !isIn(file, target));
  return {
    adds: come.map((file) => ({...file, dataChange: true})),
    removes: go.map((file) => table.removeOf(file)),
    metadata: restoredMetadata(snapshot.metadata, target.metadata, [...LASTING_PROPERTIES, ...keep]),
    domains: restoredDomains(snapshot, target),
  };
}

function restoredMetadata(now: Metadata, then: Metadata, keep: readonly string[]): Metadata | undefined {
  const pick = (configuration: Metadata['configuration'], isKept: boolean): Metadata['configuration'] =>
    Object.fromEntries(Object.entries(configuration).filter(([name]) => keep.includes(name) === isKept));
  const configuration = {...pick(then.configuration, false), ...pick(now.configuration, true)};
  const restored = {...then, id: now.id, configuration};
  return isDeepStrictEqual(withoutTime(restored), withoutTime(now)) ? undefined : restored;
}

function withoutTime(metadata: Metadata): Metadata {
  return {...metadata, createdTime: 0};
}

function restoredDomains(now: TableSnapshot, then: TableSnapshot): readonly DomainMetadata[] {
  const changed = [...then.domains.values()].filter(
    (domain) => now.domains.get(domain.domain)?.configuration !== domain.configuration,
  );
  const gone = [...now.domains.values()].filter(({domain}) => !then.domains.has(domain));
  return [...changed, ...gone.map((domain) => ({...domain, removed: true}))];
}

/**
 * Names in the store, of data files with their deletion vectors and of `others`, of what is not there any more.
 * @param others names relative to the table's root.
 */
export async function missingFiles(
  {store}: DeltaContext,
  root: string,
  wanted: {readonly files: readonly AddFile[]; readonly others: readonly string[]},
): Promise<readonly string[]> {
  const names = new Set(wanted.others.map((name) => `${root}/${name}`));
  for (const {path, deletionVector} of wanted.files) {
    names.add(storedNameOf(store, root, path));
    if (deletionVector !== undefined && deletionVector.storageType !== 'i')
      names.add(vectorName(store, root, deletionVector));
  }
  if (names.size === 0) return [];
  for await (const {name} of store.list(`${root}/`)) names.delete(name);
  const missing: string[] = [];
  // A listing may lag behind, or not go where a file is.
  for (const name of names) if ((await store.get(name, {start: 0, end: 1})) === null) missing.push(name);
  return missing;
}
