import {randomUUID} from 'node:crypto';
import {readdir, rm, stat} from 'node:fs/promises';
import {createRequire} from 'node:module';
import {dirname, join, relative, resolve, sep} from 'node:path';
import {isDeepStrictEqual} from 'node:util';

import {connectors} from '../../connectors/index.ts';
import {IngestError, isIngestError} from '../../core/errors.ts';
import {builtRange} from './build-manifest.ts';
import {
  addedConnector,
  checkEntry,
  checkSource,
  isGit,
  isUrl,
  readConnectorsFile,
  writeConnector,
  type AddedConnector,
} from './connectors-file.ts';
import {checkCopy, copyFolder, fetchCopy, moveCopy} from './fetch-connector.ts';
import {entryOf, loadConnectorFolder, type LoadedConnector} from './load-connector.ts';
import {packageOf} from './package-folder.ts';

/** What `connector add` is asked for. */
export interface AddRequest {
  /** A path, an npm package, `git+URL`, or the URL of a built file or document. */
  readonly source: string;
  readonly sha256?: string;
  /** Commit id of a Git source. */
  readonly ref?: string;
  /** Folder within a Git repository. */
  readonly folder?: string;
  /** Default: the name that the connector declares. */
  readonly name?: string;
  /** Folder of the configuration. */
  readonly project: string;
  /** What paths are relative to. */
  readonly cwd: string;
  readonly signal: AbortSignal;
}

/** Loads a connector of the list; code that is pinned is checked every time. @throws UNKNOWN_CONNECTOR, INVALID_CONNECTOR */
export async function loadAddedConnector(name: string, project: string): Promise<LoadedConnector> {
  return loadConnectorFolder(await checkedPlace(await addedConnector(name, project), project));
}

/** Where an entry's code lies, checked when it is pinned. @throws INVALID_CONNECTOR when it is not what was pinned */
export async function checkedPlace(connector: AddedConnector, project: string): Promise<string> {
  if (isRemote(connector.source)) await checkCopy(connector, project);
  return placeOf(connector, project);
}

/** A connector that was added, and the entry whose place it took, of another source or version. */
export interface AddResult extends AddedConnector {
  readonly replaced: AddedConnector | null;
}

/**
 * Adds a connector to the list of a project once it has been loaded.
 * @throws INVALID_OPTION, also for the name of a connector of this package; UNKNOWN_CONNECTOR, INVALID_CONNECTOR
 */
export async function addConnector(request: AddRequest): Promise<AddResult> {
  const {project, signal} = request;
  const source = await writtenSource(request);
  const draft: AddedConnector = {
    name: request.name ?? '',
    source,
    commit: request.ref ?? null,
    folder: request.folder ?? null,
    sha256: request.sha256?.toLowerCase() ?? null,
    sdk: null,
  };
  if (!isGit(source) && (draft.commit !== null || draft.folder !== null))
    throw onlyFor('--ref and --folder', 'git+… sources');
  if (!isRemote(source) && draft.sha256 !== null) throw onlyFor('--sha256', 'URLs and Git sources');
  if (request.name === undefined) checkSource(draft, 'What is added');
  else checkEntry(draft);
  if (!isRemote(source)) return listLoaded(draft, await loadConnectorFolder(await placeOf(draft, project)), request);
  // A copy that is there stays until the new one has been loaded.
  const fetched = {...draft, name: `${PENDING}${randomUUID()}`};
  try {
    const sha256 = await fetchCopy(fetched, project, signal, `What ${source} gives`);
    const place = await placeOf(fetched, project);
    if (isGit(source)) await checkHolds(place, draft.folder);
    return await listLoaded({...fetched, sha256}, await loadConnectorFolder(place), request);
  } finally {
    await rm(copyFolder(project, fetched.name), {recursive: true, force: true});
  }
}

async function listLoaded(draft: AddedConnector, loaded: LoadedConnector, request: AddRequest): Promise<AddResult> {
  const {project} = request;
  const name = request.name ?? loaded.definition.name;
  const added = {...draft, name, sdk: await declaredRange(loaded)};
  checkEntry(added);
  if (Object.hasOwn(connectors, name.toLowerCase()))
    throw new IngestError('INVALID_OPTION', `"${name}" is the name of a connector of Sluice.`, {
      fix: 'Give it another name in this project: --name NAME',
      context: {connector: name},
    });
  const before = (await readConnectorsFile(project)).find((entry) => entry.name === name);
  if (isRemote(draft.source)) await moveCopy(draft.name, name, project);
  await writeConnector(project, added);
  return {...added, replaced: before === undefined || isDeepStrictEqual(before, added) ? null : before};
}

/** @throws UNKNOWN_CONNECTOR for a folder of a repository without a connector, naming the folders below it that hold one */
async function checkHolds(place: string, folder: string | null): Promise<void> {
  const isThere = await entryOf(place).then(
    () => true,
    (error: unknown) => {
      if (isIngestError(error) && error.code === 'UNKNOWN_CONNECTOR') return false;
      throw error;
    },
  );
  if (isThere) return;
  const files = await readdir(place, {recursive: true});
  const folders = files.filter((file) => /[/\\](index\.ts|connector\.ya?ml)$/.test(file)).map((file) => dirname(file));
  const found = [...new Set(folders)].sort().slice(0, 5);
  throw new IngestError('UNKNOWN_CONNECTOR', `The repository holds no connector in ${folder ?? 'its first folder'}.`, {
    fix:
      found.length === 0
        ? 'Name the folder of one: --folder FOLDER'
        : `Name its folder: ${found
            .map(
              (one) =>
                `--folder ${join(folder ?? '', one)
                  .split(sep)
                  .join('/')}`,
            )
            .join(' or ')}`,
  });
}

/** Fetches every copy that is not here, as after a fresh checkout of the project. Gives the names of all that were fetched. */
export async function fetchListed(project: string, signal: AbortSignal): Promise<readonly string[]> {
  const fetched: string[] = [];
  for (const connector of await readConnectorsFile(project)) {
    if (!isRemote(connector.source) || (await stat(copyFolder(project, connector.name)).catch(() => null)) !== null)
      continue;
    const sha256 = await fetchCopy(connector, project, signal);
    // An entry that was written by hand may have the commit alone: from now on the copy is checked.
    if (connector.sha256 === null) await writeConnector(project, {...connector, sha256});
    fetched.push(connector.name);
  }
  return fetched;
}

async function placeOf(connector: AddedConnector, project: string): Promise<string> {
  const {source, name} = connector;
  if (isRemote(source)) return copyFolder(project, name);
  if (source.startsWith('npm:')) return packageFolder(source.slice('npm:'.length), project);
  return resolve(project, source);
}

/** Begins a copy's name until it has been loaded. */
const PENDING = 'pending-';

function isRemote(source: string): boolean {
  return isGit(source) || isUrl(source);
}

/** A source as the list says it: paths relative to the project, packages with `npm:`. */
async function writtenSource({source, cwd, project}: AddRequest): Promise<string> {
  const repository = gitAddress(source);
  if (repository !== null)
    throw new IngestError('INVALID_OPTION', 'A Git repository is added by an address that says so.', {
      fix: `Write it as ${repository}, with --ref and its full commit id.`,
    });
  if (isRemote(source) || source.startsWith('npm:')) return source;
  const path = resolve(cwd, source);
  if ((await stat(path).catch(() => null)) === null) {
    if (/^(@[a-z0-9._-]+\/)?[a-z0-9._-]+$/.test(source) && !/\.ya?ml$/.test(source)) return `npm:${source}`;
    throw new IngestError('UNKNOWN_CONNECTOR', `There is no connector at ${source}.`, {
      fix: 'Give a path, the name of an installed npm package, git+URL, or the URL of a built file.',
    });
  }
  const shown = relative(project, path).split(sep).join('/');
  return shown.startsWith('.') || shown.startsWith('/') ? shown : `./${shown}`;
}

/** How the address of a Git repository is written here, for one that is written as others write it; else null. */
function gitAddress(source: string): string | null {
  const scp = /^([\w.-]+@[\w.-]+):(?!\/\/)(.+)$/.exec(source);
  if (scp !== null) return `git+ssh://${scp[1] ?? ''}/${scp[2] ?? ''}`;
  return /^(ssh|git|file):\/\//i.test(source) || /^https?:\/\/[^@]+\.git$/i.test(source) ? `git+${source}` : null;
}

/** The folder of an installed package. Nothing is installed: that is the project's own choice. @throws UNKNOWN_CONNECTOR */
async function packageFolder(name: string, project: string): Promise<string> {
  const paths = createRequire(join(project, 'package.json')).resolve.paths(name) ?? [];
  for (const folder of paths) {
    if ((await packageOf(join(folder, name))) !== null) return join(folder, name);
  }
  throw new IngestError('UNKNOWN_CONNECTOR', `The package "${name}" is not installed in ${project}.`, {
    fix: `Install it there: npm install ${name}`,
    context: {connector: name},
  });
}

/** The SDK range that a connector declares: a built file's, else its package's; null when it declares none. */
async function declaredRange({file, kind}: LoadedConnector): Promise<string | null> {
  if (kind === 'document') return null;
  const peers = (await packageOf(dirname(file)))?.['peerDependencies'];
  const ofPackage = typeof peers === 'object' && peers !== null && 'sluice' in peers ? peers.sluice : null;
  return (await builtRange(file)) ?? (typeof ofPackage === 'string' ? ofPackage : null);
}

function onlyFor(flags: string, sources: string): IngestError {
  return new IngestError('INVALID_OPTION', `${flags} are for ${sources}.`, {
    fix: 'Leave them out: code that lies in your project or its node_modules is pinned there.',
  });
}
