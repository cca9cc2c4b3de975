import {readFile, rename, writeFile} from 'node:fs/promises';
import {join} from 'node:path';

import {stringify} from 'yaml';

import {connectors} from '../../connectors/index.ts';
import {IngestError} from '../../core/errors.ts';
import {didYouMean} from '../../core/suggest.ts';
import {parseYaml} from './connector-document.ts';

/** The list of connectors that a project added, beside its configuration; it belongs under version control. */
export const CONNECTORS_FILE = 'sluice.connectors.yml';

/** Where copies of added connectors lie, relative to the project. Made anew from the list at any time. */
export const COPIES_FOLDER = '.sluice/connectors';

/** A connector that was added: where it comes from and what pins it. */
export interface AddedConnector {
  readonly name: string;
  /** A path relative to the project, `npm:PACKAGE`, `git+URL`, or the URL of a built file. */
  readonly source: string;
  /** Commit of a Git source, 40 or 64 hexadecimal digits. */
  readonly commit: string | null;
  /** Folder of the connector within a Git repository. */
  readonly folder: string | null;
  /** Of the copy: of the file of a URL, of the files of a Git source. Null: the code is not pinned (a path, a package). */
  readonly sha256: string | null;
  /** SDK versions that it declared when it was added. */
  readonly sdk: string | null;
}

/** The connectors of a project, in the order of the file; none when there is no file. @throws INVALID_CONNECTOR */
export async function readConnectorsFile(project: string): Promise<readonly AddedConnector[]> {
  const file = join(project, CONNECTORS_FILE);
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  const root = parseYaml(text, file) ?? {};
  const list = fieldsOf(root, file)['connectors'] ?? {};
  return Object.entries(fieldsOf(list, file)).map(([name, entry]) =>
    readEntry(name, fieldsOf(entry, `${file}: ${name}`), file),
  );
}

/** Replaces the entry of that name, or adds it; the file is replaced as a whole. */
export async function writeConnector(project: string, connector: AddedConnector): Promise<void> {
  const others = (await readConnectorsFile(project)).filter(({name}) => name !== connector.name);
  const all = [...others, connector].sort((left, right) => (left.name < right.name ? -1 : 1));
  const file = join(project, CONNECTORS_FILE);
  await writeFile(`${file}.new`, connectorsText(all));
  await rename(`${file}.new`, file);
}

/** The entry of a name. @throws UNKNOWN_CONNECTOR */
export async function addedConnector(name: string, project: string): Promise<AddedConnector> {
  const all = await readConnectorsFile(project);
  const found = all.find((entry) => entry.name === name);
  if (found !== undefined) return found;
  const close = didYouMean(
    name,
    all.map((entry) => entry.name),
  );
  const isOurs = Object.hasOwn(connectors, name.toLowerCase());
  throw new IngestError('UNKNOWN_CONNECTOR', `The connector "${name}" was not added to ${project}.`, {
    fix: isOurs
      ? `It is a connector of Sluice: write connection_type: ${name.toUpperCase()} instead.`
      : close === null
        ? 'Add it: sluice connector add SOURCE. A path begins with ./, a connector of Sluice is named by connection_type.'
        : `Did you mean "${close}"?`,
    context: {connector: name},
  });
}

const HEADER = `# Connectors of others that this project uses, written by \`sluice connector add\`. Keep it under version control:
# what sha256 and commit say is checked whenever a connector is loaded.
`;

function connectorsText(all: readonly AddedConnector[]): string {
  const connectors = Object.fromEntries(
    all.map(({name, ...entry}) => [
      name,
      Object.fromEntries(Object.entries(entry).filter(([, value]) => value !== null)),
    ]),
  );
  return `${HEADER}${stringify({connectors}, {lineWidth: 0})}`;
}

const KEYS = ['source', 'commit', 'folder', 'sha256', 'sdk'];

function readEntry(name: string, entry: Readonly<Record<string, unknown>>, file: string): AddedConnector {
  const unknown = Object.keys(entry).find((key) => !KEYS.includes(key));
  if (unknown !== undefined) throw malformed(file, `${name}: unknown key "${unknown}"`, `Known: ${KEYS.join(', ')}.`);
  const text = (key: string): string | null => {
    const value = entry[key];
    if (value === undefined || value === null) return null;
    if (typeof value === 'string') return value;
    throw malformed(file, `${name}.${key} is no text`, 'Write it in quotes.');
  };
  const source = text('source');
  if (source === null) throw malformed(file, `${name} has no source`, 'Add it, or remove the entry.');
  const connector = {
    name,
    source,
    commit: text('commit'),
    folder: text('folder'),
    sha256: text('sha256'),
    sdk: text('sdk'),
  };
  checkEntry(connector);
  return connector;
}

/** @throws INVALID_OPTION for code from elsewhere that nothing pins, and for names that are no plain words */
export function checkEntry(connector: AddedConnector): void {
  const {name} = connector;
  // The name becomes that of a folder.
  if (!/^[a-z][a-z0-9_-]*$/i.test(name))
    throw new IngestError('INVALID_OPTION', `"${name}" cannot be the name of a connector.`, {
      fix: 'Use letters, digits, "_" and "-".',
      context: {connector: name},
    });
  checkSource(connector, `The connector "${name}"`);
}

/** The same for a source that has no name yet. */
export function checkSource({source, commit, sha256}: Omit<AddedConnector, 'name'>, about: string): void {
  const refuse = (why: string, fix: string): never => {
    throw new IngestError('INVALID_OPTION', `${about} ${why}.`, {fix});
  };
  if (isGit(source) && !/^git\+(https|ssh|file):\/\/[^-]/.test(source))
    refuse('names no Git repository', 'Write git+https://…, git+ssh://… or git+file:///…');
  // The list goes under version control. The user of SSH is no secret.
  if (/^(git\+)?(https?:\/\/[^/]*@|ssh:\/\/[^/@]*:[^/]*@)/i.test(source))
    refuse(
      'comes from an address with a name or password',
      'Leave it out: Git asks your credential helper or SSH agent.',
    );
  if (isGit(source) && !/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(commit ?? ''))
    refuse(
      'comes from a Git repository without a full commit id',
      'Give the commit that you have looked at: --ref with its 40 digits; branches and tags move.',
    );
  if (isUrl(source) && !/^[0-9a-f]{64}$/.test(sha256 ?? ''))
    refuse(
      'comes from a URL without its SHA-256',
      'Give the hash that its publisher states (manifest.json): --sha256 with its 64 digits.',
    );
  if (!isGit(source) && !isUrl(source) && (sha256 ?? commit) !== null)
    refuse('lies in the project: no hash or commit is checked there', 'Leave sha256 and commit out.');
}

/** A Git repository: `git+https://`, `git+ssh://`, `git+file://`. */
export function isGit(source: string): boolean {
  return source.startsWith('git+');
}

/** A file on the web. */
export function isUrl(source: string): boolean {
  return /^https?:\/\//i.test(source);
}

function fieldsOf(value: unknown, file: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return {...value};
  throw malformed(
    file,
    'expected a mapping',
    `For example: ${CONNECTORS_FILE} with connectors: {my_api: {source: ./my-api.yml}}`,
  );
}

function malformed(file: string, message: string, fix: string): IngestError {
  return new IngestError('INVALID_CONNECTOR', `${file}: ${message}.`, {fix, context: {at: file}});
}
