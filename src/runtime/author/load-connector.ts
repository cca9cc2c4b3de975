import {stat} from 'node:fs/promises';
import {dirname, extname, join} from 'node:path';

import {IngestError} from '../../core/errors.ts';
import type {ConnectorPlace} from '../../pipeline/spec.ts';
import type {ConnectorDefinition} from '../../sdk/define-connector.ts';
import {checkBuilt} from './build-manifest.ts';
import {bundleCode} from './bundle-code.ts';
import {loadConnectorDocument} from './connector-document.ts';
import {definitionIn} from './connector-exports.ts';
import {importCode, type ModuleExports} from './import-code.ts';
import {packageOf} from './package-folder.ts';
import {checkSdkRange} from './sluice-doors.ts';

/** A connector with the files that it was made of. */
export interface LoadedConnector {
  readonly definition: ConnectorDefinition;
  /** `document`: YAML; `source`: code that was bundled; `built`: one file made by `connector build`. */
  readonly kind: 'document' | 'source' | 'built';
  /** The document, or the file that exports the connector. */
  readonly file: string;
  /** Every file that went in: what `connector dev` watches. */
  readonly inputs: readonly string[];
}

/** Loads the connector that a connection names. @throws UNKNOWN_CONNECTOR, INVALID_CONNECTOR, UNSUPPORTED */
export async function loadConnectorAt(place: ConnectorPlace): Promise<ConnectorDefinition> {
  if (place.kind === 'path') return (await loadConnectorFolder(place.path)).definition;
  const {loadAddedConnector} = await import('./added-connectors.ts');
  return (await loadAddedConnector(place.name, place.project)).definition;
}

/**
 * Loads a connector from a folder with code, a YAML document or a file. Its imports of `sluice/sdk` get the SDK that runs here.
 * @throws UNKNOWN_CONNECTOR when nothing is there; INVALID_CONNECTOR, INVALID_SPEC naming the file; UNSUPPORTED for another SDK
 */
export async function loadConnectorFolder(path: string): Promise<LoadedConnector> {
  const entry = await entryOf(path);
  if (/\.ya?ml$/i.test(entry)) {
    return {definition: await loadConnectorDocument(entry), kind: 'document', file: entry, inputs: [entry]};
  }
  const folder = dirname(entry);
  const isBuilt = await checkBuilt(entry);
  if (!isBuilt) await checkPeerRange(folder);
  const {module, inputs} = await loadModule(entry);
  return {definition: definitionIn(module, entry), kind: isBuilt ? 'built' : 'source', file: entry, inputs};
}

/** Bundles and runs a module of a connector's folder, for example its simulator. @throws INVALID_CONNECTOR */
export async function loadModule(
  entry: string,
): Promise<{readonly module: ModuleExports; readonly inputs: readonly string[]}> {
  const {code, inputs} = await bundleCode(entry, {folder: dirname(entry), doors: 'ours'});
  return {module: await importCode(code, entry), inputs};
}

/** Files that may be the entry of a folder, in this order; then what package.json names. */
const ENTRIES = ['index.ts', 'src/index.ts', 'connector.yml', 'connector.yaml'];
const BUILT_ENTRIES = ['index.js', 'index.mjs', 'dist/index.js'];

/** The file that holds the connector of a folder or file. @throws UNKNOWN_CONNECTOR */
export async function entryOf(path: string): Promise<string> {
  const found = await stat(path).catch(() => null);
  if (found?.isFile() === true) return checkedExtension(path);
  if (found === null)
    throw new IngestError('UNKNOWN_CONNECTOR', `There is no connector at ${path}.`, {
      fix: 'Correct the path: a folder, a YAML document or a file.',
      context: {path},
    });
  for (const name of ENTRIES) if (await isFile(join(path, name))) return join(path, name);
  const declared = await declaredEntry(path);
  if (declared !== null && (await isFile(declared))) return declared;
  for (const name of BUILT_ENTRIES) if (await isFile(join(path, name))) return join(path, name);
  throw new IngestError('UNKNOWN_CONNECTOR', `The folder ${path} holds no connector.`, {
    fix: 'It needs an index.ts that exports one; `sluice connector new NAME` makes such a folder.',
    context: {path},
  });
}

function checkedExtension(file: string): string {
  if (['.yml', '.yaml', '.ts', '.mts', '.js', '.mjs'].includes(extname(file).toLowerCase())) return file;
  throw new IngestError('UNKNOWN_CONNECTOR', `${file} is no connector.`, {
    fix: 'A connector is a YAML document, a TypeScript or JavaScript file, or a folder.',
    context: {path: file},
  });
}

/** The file that package.json names by `exports` or `main`. */
async function declaredEntry(folder: string): Promise<string | null> {
  const manifest = await packageOf(folder);
  const name = exportTarget(manifest?.['exports']) ?? manifest?.['main'];
  return typeof name === 'string' ? join(folder, name) : null;
}

function exportTarget(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (typeof value !== 'object' || value === null) return undefined;
  const entries: Readonly<Record<string, unknown>> = {...value};
  return exportTarget(entries['.'] ?? entries['import'] ?? entries['node'] ?? entries['default']);
}

/** `peerDependencies.sluice` of a source folder says which SDK it is written for. */
async function checkPeerRange(folder: string): Promise<void> {
  const peers = (await packageOf(folder))?.['peerDependencies'];
  if (typeof peers !== 'object' || peers === null || !('sluice' in peers)) return;
  if (typeof peers.sluice === 'string') checkSdkRange(peers.sluice, `The connector in ${folder}`);
}

async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null))?.isFile() === true;
}
