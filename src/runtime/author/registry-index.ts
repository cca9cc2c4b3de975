import {readFile, rename, writeFile} from 'node:fs/promises';

import {IngestError} from '../../core/errors.ts';

/** How far a connector is: what its users may expect. */
export type Maturity = 'alpha' | 'beta' | 'stable';

/** One version of a connector in a registry index. */
export interface IndexEntry {
  readonly name: string;
  readonly version: string;
  readonly displayName: string;
  readonly description: string;
  readonly maturity: Maturity;
  /** Who answers for it. */
  readonly owner: string;
  /** SDK versions that it runs with. */
  readonly sdk: string;
  /** Of the built file. */
  readonly sha256: string;
  /** The package, by its file name, with its SHA-256. */
  readonly package: {readonly file: string; readonly sha256: string};
  readonly auth: readonly string[];
  /** Names of its tables; null where only the source knows them. */
  readonly tables: readonly string[] | null;
  readonly tests: {readonly passed: number; readonly excluded: number; readonly seed: number};
}

/** Entries of an index by name, then version; none when there is no file. @throws INVALID_CONNECTOR when it is malformed */
export async function readIndex(file: string): Promise<readonly IndexEntry[]> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '{"connectors": []}';
    throw error;
  });
  let value: unknown = null;
  try {
    value = JSON.parse(text);
  } catch {
    // Told below, as any other content that is no index.
  }
  if (typeof value === 'object' && value !== null && 'connectors' in value && Array.isArray(value.connectors)) {
    const entries: readonly unknown[] = value.connectors;
    if (entries.every(isEntry)) return entries;
  }
  throw new IngestError('INVALID_CONNECTOR', `${file} is no registry index.`, {
    fix: 'Name the file that `sluice connector publish` writes.',
    context: {at: file},
  });
}

/** @throws INVALID_CONNECTOR when the index has the version with other code */
export async function checkVersion(
  file: string,
  {name, version, sha256}: Pick<IndexEntry, 'name' | 'version' | 'sha256'>,
): Promise<void> {
  const same = (await readIndex(file)).find((entry) => entry.name === name && entry.version === version);
  if (same === undefined || same.sha256 === sha256) return;
  throw new IngestError('INVALID_CONNECTOR', `${name} ${version} was published with other code.`, {
    fix: 'Raise the version in package.json: a version never changes what it is.',
    context: {connector: name, version},
  });
}

/** Adds an entry, replacing that of the same version if it is the same code. @throws as {@link checkVersion} */
export async function writeIndexEntry(file: string, entry: IndexEntry): Promise<void> {
  await checkVersion(file, entry);
  const all = await readIndex(file);
  const same = all.find(({name, version}) => name === entry.name && version === entry.version);
  const entries = [...all.filter((other) => other !== same), entry].sort(
    (left, right) => compare(left.name, right.name) || compareVersions(left.version, right.version),
  );
  await writeFile(`${file}.new`, `${JSON.stringify({connectors: entries}, null, 2)}\n`);
  await rename(`${file}.new`, file);
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

function compareVersions(left: string, right: string): number {
  return left.localeCompare(right, 'en', {numeric: true});
}

function isEntry(value: unknown): value is IndexEntry {
  if (typeof value !== 'object' || value === null) return false;
  const fields: Readonly<Record<string, unknown>> = {...value};
  const {auth, tables, package: packed} = fields;
  return (
    ['name', 'version', 'maturity', 'owner', 'sdk', 'sha256'].every((key) => typeof fields[key] === 'string') &&
    isTexts(auth) &&
    (tables === null || isTexts(tables)) &&
    typeof packed === 'object' &&
    packed !== null &&
    'file' in packed &&
    typeof packed.file === 'string'
  );
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}
