import {stat} from 'node:fs/promises';
import {basename, dirname, join, resolve} from 'node:path';

import {connectors} from '../../connectors/index.ts';
import {proofs} from '../../connectors/simulators.ts';
import {IngestError} from '../../core/errors.ts';
import {didYouMean} from '../../core/suggest.ts';
import type {ConnectorDefinition} from '../../sdk/define-connector.ts';
import {isPath} from '../config/connector-place.ts';
import {checkedPlace, loadAddedConnector} from './added-connectors.ts';
import {readConnectorsFile} from './connectors-file.ts';
import type {ModuleExports} from './import-code.ts';
import {entryOf, loadConnectorFolder, loadModule} from './load-connector.ts';

/** What NAME or PATH of a `connector` command stands for. */
export type ConnectorTarget =
  | {readonly kind: 'builtin'; readonly name: string}
  /** A folder or file; `added`: the name under which it was added. */
  | {readonly kind: 'path'; readonly path: string; readonly added: string | null};

/** A connector that a command is about. */
export interface TargetConnector {
  readonly target: ConnectorTarget;
  readonly definition: ConnectorDefinition;
  /** Files to watch; empty for connectors of this package. */
  readonly inputs: readonly string[];
}

/** A path or an existing folder; else a connector that was added to the project at `cwd`, else one of this package. @throws UNKNOWN_CONNECTOR; INVALID_CONNECTOR when it is not what was pinned */
export async function resolveTarget(text: string, cwd: string): Promise<ConnectorTarget> {
  const path = resolve(cwd, text);
  if (isPath(text) || (await stat(path).catch(() => null)) !== null) return {kind: 'path', path, added: null};
  const added = await readConnectorsFile(cwd);
  const entry = added.find(({name}) => name === text);
  if (entry !== undefined) return {kind: 'path', path: await checkedPlace(entry, cwd), added: text};
  if (Object.hasOwn(connectors, text.toLowerCase())) return {kind: 'builtin', name: text.toLowerCase()};
  const names = [...added.map(({name}) => name), ...Object.keys(connectors)];
  const close = didYouMean(text, names);
  throw new IngestError('UNKNOWN_CONNECTOR', `There is no connector "${text}".`, {
    fix: close === null ? `Known here: ${names.join(', ')}. A path begins with ./` : `Did you mean "${close}"?`,
    context: {connector: text},
  });
}

/** Loads what a command is about. @throws UNKNOWN_CONNECTOR, INVALID_CONNECTOR */
export async function loadTarget(target: ConnectorTarget, cwd: string): Promise<TargetConnector> {
  if (target.kind === 'builtin') {
    const load = connectors[target.name];
    if (load === undefined) throw new IngestError('UNKNOWN_CONNECTOR', `There is no connector "${target.name}".`);
    return {target, definition: await load(), inputs: []};
  }
  const loaded =
    target.added === null ? await loadConnectorFolder(target.path) : await loadAddedConnector(target.added, cwd);
  return {target, definition: loaded.definition, inputs: loaded.inputs};
}

/** A proof as its module exports it: `ConnectorProof` of the testkit, which this room does not know. */
export interface LoadedProof {
  readonly proof: unknown;
  /** Files to watch; empty for connectors of this package. */
  readonly inputs: readonly string[];
}

/**
 * The proof of a connector: of this package, or exported by `simulator.ts` beside the connector's code (beside a document:
 * `NAME.simulator.ts`). Null when there is none. @throws INVALID_CONNECTOR when it cannot be loaded
 */
export async function loadProof(target: ConnectorTarget): Promise<LoadedProof | null> {
  if (target.kind === 'builtin') {
    const load = proofs[target.name];
    return load === undefined ? null : {proof: await load(), inputs: []};
  }
  const file = await proofFile(target.path);
  if (file === null) return null;
  const {module, inputs} = await loadModule(file);
  return {proof: proofIn(module, file), inputs};
}

/** The file that holds the proof; null when there is none. */
export async function proofFile(path: string): Promise<string | null> {
  const entry = await entryOf(path);
  const stem = /^(.*)\.ya?ml$/i.exec(basename(entry))?.[1];
  const names = ['simulator.ts', 'simulator.js'].flatMap((name) =>
    stem === undefined ? [name] : [`${stem}.${name}`, name],
  );
  for (const name of names) {
    const file = join(dirname(entry), name);
    if ((await stat(file).catch(() => null))?.isFile() === true) return file;
  }
  return null;
}

function proofIn(module: ModuleExports, file: string): unknown {
  const found = [...new Set(Object.values(module).filter(isProof))];
  if (found.length === 1) return found[0];
  throw new IngestError('INVALID_CONNECTOR', `${file} exports ${found.length === 0 ? 'no proof' : 'several proofs'}.`, {
    fix: 'Export one value of type ConnectorProof: {definition, start, tables}.',
    context: {file},
  });
}

/** True for what has the parts of a `ConnectorProof`. */
export function isProof(value: unknown): boolean {
  return (
    typeof value === 'object' &&
    value !== null &&
    'definition' in value &&
    'start' in value &&
    typeof value.start === 'function' &&
    'tables' in value
  );
}
