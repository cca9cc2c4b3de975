import {connectors} from '../../connectors/index.ts';
import {messageOf} from '../../core/errors.ts';
import type {ConnectorSpec} from '../../sdk/define-connector.ts';
import {loadAddedConnector} from './added-connectors.ts';
import {loadProof} from './connector-target.ts';
import {readConnectorsFile} from './connectors-file.ts';
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
    const {definition} = await loadAddedConnector(name, cwd);
    return {...unknown, auth: Object.keys(definition.spec.authMethods ?? {}), problem: null};
  } catch (error) {
    return {...unknown, auth: [], problem: messageOf(error)};
  }
}

/** Names of the tables that a proof proves. */
function tablesOf(proof: unknown): readonly string[] | null {
  if (typeof proof !== 'object' || proof === null || !('tables' in proof)) return null;
  const {tables} = proof;
  return typeof tables === 'object' && tables !== null ? Object.keys(tables) : null;
}
