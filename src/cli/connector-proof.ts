import {readFile} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';

import {IngestError} from '../core/errors.ts';
import {parseYaml} from '../runtime/author/connector-document.ts';
import {isProof, loadProof, resolveTarget, type ConnectorTarget} from '../runtime/author/connector-target.ts';
import {entryOf, loadConnectorFolder} from '../runtime/author/load-connector.ts';
import type {ConnectorProof} from '../testkit/connector-proof.ts';

/** A proof, and the files that it was made of. */
export interface FoundProof {
  readonly proof: ConnectorProof;
  readonly inputs: readonly string[];
}

/** The proof of a connector by its name or path; null when it has none. @throws UNKNOWN_CONNECTOR, INVALID_CONNECTOR */
export async function findProof(nameOrPath: string, cwd: string): Promise<FoundProof | null> {
  return proofOf(await resolveTarget(nameOrPath, cwd));
}

/** {@link findProof} for a target. */
export async function proofOf(target: ConnectorTarget): Promise<FoundProof | null> {
  const loaded = await loadProof(target);
  if (loaded === null) return documentProofOf(target);
  if (isConnectorProof(loaded.proof)) return {proof: loaded.proof, inputs: loaded.inputs};
  throw new IngestError('INVALID_CONNECTOR', 'The simulator of the connector exports no proof.', {
    fix: 'Export one value of type ConnectorProof: {definition, start, tables}.',
  });
}

/** The proof of a document: `NAME.proof.yml` or `proof.yml` beside it, with the simulator in it or in a file that it names. */
async function documentProofOf(target: ConnectorTarget): Promise<FoundProof | null> {
  if (target.kind !== 'path') return null;
  const entry = await entryOf(target.path);
  const folder = dirname(entry);
  const stem = basename(entry).replace(/\.[^.]+$/, '');
  for (const name of [`${stem}.proof.yml`, 'proof.yml']) {
    const file = join(folder, name);
    const text = await readFile(file, 'utf8').catch(() => null);
    if (text === null) continue;
    const proof = parseYaml(text, file);
    const named = typeof proof === 'object' && proof !== null && 'simulator' in proof ? proof.simulator : undefined;
    const simulatorFile = typeof named === 'string' ? join(folder, named) : null;
    const simulator = simulatorFile === null ? named : parseYaml(await readFile(simulatorFile, 'utf8'), simulatorFile);
    const {definition} = await loadConnectorFolder(target.path);
    const {restDocumentProof} = await import('../testkit/document-proof.ts');
    const inputs = [entry, file, ...(simulatorFile === null ? [] : [simulatorFile])];
    return {proof: restDocumentProof({connector: definition, simulator, proof}, name), inputs};
  }
  return null;
}

function isConnectorProof(value: unknown): value is ConnectorProof {
  return isProof(value);
}
