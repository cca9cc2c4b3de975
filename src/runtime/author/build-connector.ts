import {mkdir, readdir, rename, rm, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';

import {IngestError} from '../../core/errors.ts';
import type {ConnectorDefinition} from '../../sdk/define-connector.ts';
import {builtLine, MANIFEST, sha256Of, type BuildManifest} from './build-manifest.ts';
import {bundleCode} from './bundle-code.ts';
import {documentCode} from './connector-document.ts';
import {entryOf, loadConnectorFolder} from './load-connector.ts';
import {nativePackages} from './native-packages.ts';
import {packageOf} from './package-folder.ts';
import {sdkRange, sdkVersion} from './sluice-doors.ts';

/** What `connector build` made. */
export interface BuiltConnector {
  readonly definition: ConnectorDefinition;
  readonly manifest: BuildManifest;
  /** Folder with `index.js` and `manifest.json`. */
  readonly folder: string;
  readonly sizeBytes: number;
}

/**
 * Puts a connector and the packages that it uses into one file, beside a manifest; `sluice/sdk` stays outside. Equal input
 * gives equal bytes. @throws UNSUPPORTED naming packages with native code; INVALID_CONNECTOR
 */
export async function buildConnector(path: string, out?: string): Promise<BuiltConnector> {
  const entry = await entryOf(path);
  const root = dirname(entry);
  const {definition, kind} = await loadConnectorFolder(entry);
  if (kind === 'built')
    throw new IngestError('INVALID_CONNECTOR', `${entry} was built already.`, {fix: 'Name the folder of its source.'});
  const sdk = sdkRange(sdkVersion());
  const code = builtLine(sdk) + (kind === 'document' ? await documentCode(entry) : await sourceCode(entry, root));
  const {name, spec} = definition;
  const manifest: BuildManifest = {
    name,
    version: await versionOf(root),
    sdk,
    sha256: sha256Of(code),
    spec,
  };
  const folder = out ?? join(root, 'dist', name);
  await writeBuilt(folder, {[MANIFEST]: `${JSON.stringify(manifest, null, 2)}\n`, [BUILT]: code});
  return {definition, manifest, folder, sizeBytes: Buffer.byteLength(code)};
}

const BUILT = 'index.js';

/** Replaces what an earlier build left, and nothing else. @throws INVALID_OPTION for a folder that holds other files */
async function writeBuilt(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  const there = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const other = there.find((name) => !Object.hasOwn(files, name.replace(/\.new$/, '')));
  if (other !== undefined)
    throw new IngestError('INVALID_OPTION', `The folder ${folder} holds other files (${other}); nothing was built.`, {
      fix: 'Name a folder of its own: --out FOLDER',
      context: {path: folder},
    });
  await mkdir(folder, {recursive: true});
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, `${name}.new`), text);
  // A file beside the manifest of another build is refused when it is loaded: a crash in between is seen.
  await rm(join(folder, BUILT), {force: true});
  for (const name of Object.keys(files)) await rename(join(folder, `${name}.new`), join(folder, name));
}

async function sourceCode(entry: string, folder: string): Promise<string> {
  const {code, inputs} = await bundleCode(entry, {folder, doors: {named: ['sluice/sdk']}});
  const native = await nativePackages(inputs);
  if (native.length === 0) return code;
  throw new IngestError(
    'UNSUPPORTED',
    `The connector uses packages with native code: ${native.map(({name, sign}) => `${name} (${sign})`).join(', ')}.`,
    {fix: 'Use packages in plain JavaScript: a built connector is one file that runs everywhere.'},
  );
}

/** The version in package.json; 0.0.0 for a document or a folder without one. */
async function versionOf(folder: string): Promise<string> {
  const version = (await packageOf(folder))?.['version'];
  if (version === undefined) return '0.0.0';
  // It becomes a part of file names.
  if (typeof version === 'string' && /^\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?$/.test(version)) return version;
  throw new IngestError('INVALID_CONNECTOR', `${join(folder, 'package.json')}: its version is no version.`, {
    fix: 'Write it as 1.2.3.',
  });
}
