import {resolve} from 'node:path';

import {IngestError} from '../core/errors.ts';
import {proxiesOf} from '../runtime/config/environment.ts';
import type {sealedSecrets} from '../runtime/connections/sealed-secrets.ts';
import type {CommandContext} from './command-context.ts';
import {readConnectionOptions, type OptionRecord} from './option-files.ts';

/** Flags that name the real source of a connector. */
export interface SourceFlags {
  /** A JSON file of options. */
  readonly credentials?: string;
  /** Name of a connection, of the configuration or stored. */
  readonly connection?: string;
}

/** How a connector under development logs in to its real source. */
export interface SourceLogin {
  readonly options: OptionRecord;
  readonly connectionName: string;
  /** Where tokens that rotate are kept. Absent: they are lost with the process. */
  readonly secrets?: ReturnType<typeof sealedSecrets>;
  /** Of the environment. */
  readonly proxies?: NonNullable<ReturnType<typeof proxiesOf>>;
}

/**
 * The login that the flags name; null when they name none.
 * @throws INVALID_OPTION when there is no such file or connection, or when the connection is that of another connector
 */
export async function sourceLogin(
  {io}: CommandContext,
  {credentials, connection}: SourceFlags,
  connector: string,
): Promise<SourceLogin | null> {
  const {cwd, env} = io;
  const proxies = proxiesOf(env);
  const way = proxies === undefined ? {} : {proxies};
  if (connection === undefined) {
    if (credentials === undefined) return null;
    return {options: await readConnectionOptions(resolve(cwd, credentials)), connectionName: 'credentials', ...way};
  }
  const {loadConnections} = await import('../runtime/config/load-pipelines.ts');
  const known = await loadConnections({file: undefined, target: undefined, variables: {}, cwd, env, home: undefined});
  const found = known.find(connection);
  // A connector is given the options of its own connections and no other's.
  const {connectorDefinition} = await import('../runtime/open-connector.ts');
  const {name: own} = await connectorDefinition(found);
  if (own !== connector)
    throw new IngestError(
      'INVALID_OPTION',
      `Connection "${connection}" is one of connector "${own}", not of "${connector}".`,
      {
        fix: `Create one: sluice connections create NAME --connector ${connector}`,
        context: {connection},
      },
    );
  const {sealedSecrets: openSecrets} = await import('../runtime/connections/sealed-secrets.ts');
  const options = Object.entries(found.options).filter(([, value]) => value !== undefined);
  return {
    options: Object.fromEntries(options) as OptionRecord,
    connectionName: connection,
    ...way,
    ...(found.home === undefined ? {} : {secrets: openSecrets({home: found.home, connection, env})}),
  };
}
