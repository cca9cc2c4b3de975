import {readFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';

import {connectors} from '../../connectors/index.ts';
import {messageOf} from '../../core/errors.ts';
import type {ConnectorSpec} from '../../sdk/define-connector.ts';
import {loadAddedConnector} from './added-connectors.ts';
import {MANIFEST, readManifest} from './build-manifest.ts';
import {loadProof} from './connector-target.ts';
import {readConnectorsFile} from './connectors-file.ts';
import {packageOf} from './package-folder.ts';
import {readIndex, type Maturity} from './registry-index.ts';
import {sdkVersion} from './sluice-doors.ts';

/** A connector that can be used here, or that an index offers. */
export interface ListedConnector {
  readonly name: string;
  readonly version: string | null;
  readonly maturity: Maturity | null;
  /** Ways to log in; empty when there is one only. */
  readonly auth: readonly string[];
  /** Names of tables; null where only the source knows them. */
  readonly tables: readonly string[] | null;
  /** `sluice`, the source of one that was added, or the package of one in an index. */
  readonly origin: string;
  /** Why it cannot be loaded now; null when it can. */
  readonly problem: string | null;
}

/** Connectors of this package, of the project at `cwd`, and of an index, each by name. @throws INVALID_CONNECTOR for a malformed list or index */
export async function listConnectors(cwd: string, index: string | null): Promise<readonly ListedConnector[]> {
  const own = await Promise.all(
    Object.entries(connectors).map(async ([name, load]) => builtIn(name, (await load()).spec)),
  );
  const added: ListedConnector[] = [];
  for (const entry of await readConnectorsFile(cwd)) added.push(await addedOne(entry.name, entry.source, cwd));
  const offered = index === null ? [] : await readIndex(index);
  return [
    ...own,
    ...added,
    ...offered.map(({name, version, maturity, auth, tables, package: packed}) => ({
      name,
      version,
      maturity,
      auth,
      tables,
      origin: `index: ${packed.file}`,
      problem: null,
    })),
  ];
}

/** Proved against simulators made from their vendors' documentation, not yet against the vendors' own servers. */
const BETA: ReadonlySet<string> = new Set(['github', 'hubspot', 'sqlserver', 'stripe', 'zendesk']);

async function builtIn(name: string, spec: ConnectorSpec): Promise<ListedConnector> {
  return {
    name,
    version: sdkVersion(),
    maturity: BETA.has(name) ? 'beta' : 'stable',
    auth: Object.keys(spec.authMethods ?? {}),
    tables: tablesOf((await loadProof({kind: 'builtin', name}))?.proof),
    origin: 'sluice',
    problem: null,
  };
}

async function addedOne(name: string, source: string, cwd: string): Promise<ListedConnector> {
  const unknown = {name, version: null, maturity: null, tables: null, origin: source};
  try {
    const {definition, file} = await loadAddedConnector(name, cwd);
    const version = await versionBeside(file);
    return {...unknown, version, auth: Object.keys(definition.spec.authMethods ?? {}), problem: null};
  } catch (error) {
    return {...unknown, auth: [], problem: messageOf(error)};
  }
}

/** The version that a built connector's manifest or a package says; null where nothing does, as for a file from a URL. */
async function versionBeside(file: string): Promise<string | null> {
  const folder = dirname(file);
  const text = await readFile(join(folder, MANIFEST), 'utf8').catch(() => null);
  if (text !== null) return readManifest(text, join(folder, MANIFEST)).version;
  const version = (await packageOf(folder))?.['version'];
  return typeof version === 'string' ? version : null;
}

/** Names of the tables that a proof proves. */
function tablesOf(proof: unknown): readonly string[] | null {
  if (typeof proof !== 'object' || proof === null || !('tables' in proof)) return null;
  const {tables} = proof;
  return typeof tables === 'object' && tables !== null ? Object.keys(tables) : null;
}
