import {createHash} from 'node:crypto';
import {readFile} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';

import {IngestError} from '../../core/errors.ts';
import type {ConnectorSpec} from '../../sdk/define-connector.ts';
import {checkSdkRange} from './sluice-doors.ts';

/** What `connector build` writes beside the file: what it is, without running it. Equal sources give equal manifests. */
export interface BuildManifest {
  readonly name: string;
  readonly version: string;
  /** SDK versions that it runs with. */
  readonly sdk: string;
  /** Of the file, hexadecimal. */
  readonly sha256: string;
  readonly spec: ConnectorSpec;
}

/** Name of the manifest beside a built file. */
export const MANIFEST = 'manifest.json';

/** Hexadecimal SHA-256. */
export function sha256Of(bytes: string | Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The first line of a built file: a copy that came without its manifest still says which SDK it runs with. */
export function builtLine(sdk: string): string {
  return `// Built for sluice/sdk ${sdk}\n`;
}

/** The SDK range that a built file states of itself; null for any other file. */
export async function builtRange(file: string): Promise<string | null> {
  return /^\/\/ Built for sluice\/sdk (\S+)\r?\n/.exec(await readFile(file, 'utf8'))?.[1] ?? null;
}

/**
 * Checks a built file: that it is what the manifest beside it describes, if there is one, and that this SDK runs it. False for
 * a file that was not built.
 * @throws INVALID_CONNECTOR when the file is not the one that was built; UNSUPPORTED for another major of the SDK
 */
export async function checkBuilt(file: string): Promise<boolean> {
  const stated = await builtRange(file);
  if (stated !== null) checkSdkRange(stated, `The connector in ${file}`);
  return (await checkManifest(file)) || stated !== null;
}

async function checkManifest(file: string): Promise<boolean> {
  const at = join(dirname(file), MANIFEST);
  const text = await readFile(at, 'utf8').catch(() => null);
  if (text === null || !/^index\.m?js$/.test(basename(file))) return false;
  const manifest = readManifest(text, at);
  if (sha256Of(await readFile(file)) !== manifest.sha256)
    throw new IngestError('INVALID_CONNECTOR', `${file} is not the file that ${at} describes: its SHA-256 differs.`, {
      fix: 'Build it again with `sluice connector build`, or fetch it again.',
      context: {file},
    });
  checkSdkRange(manifest.sdk, `The connector "${manifest.name}"`);
  return true;
}

/** The parts of a manifest that loading depends on. @throws INVALID_CONNECTOR */
export function readManifest(text: string, at: string): Pick<BuildManifest, 'name' | 'version' | 'sdk' | 'sha256'> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = null;
  }
  if (typeof value === 'object' && value !== null) {
    const {name, version, sdk, sha256}: Readonly<Record<string, unknown>> = {...value};
    if (
      typeof name === 'string' &&
      typeof version === 'string' &&
      typeof sdk === 'string' &&
      typeof sha256 === 'string'
    )
      return {name, version, sdk, sha256};
  }
  throw new IngestError('INVALID_CONNECTOR', `${at} is no manifest of a built connector.`, {
    fix: 'Build the connector again with `sluice connector build`.',
    context: {at},
  });
}
