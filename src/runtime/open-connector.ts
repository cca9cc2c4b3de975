import {connectors} from '../connectors/index.ts';
import type {Clock, Random} from '../core/clock.ts';
import {IngestError, isIngestError} from '../core/errors.ts';
import {didYouMean} from '../core/suggest.ts';
import type {OpenConnector} from '../pipeline/resolve-flow.ts';
import type {ConnectionSpec} from '../pipeline/spec.ts';
import type {ConnectorDefinition, ConnectorSpec, CreateContext, TraceEntry} from '../sdk/define-connector.ts';
import {resolveConnectionOptions} from '../sdk/options.ts';
import {processEnvironment, proxiesOf, type Environment} from './config/environment.ts';
import {sealedSecrets} from './connections/sealed-secrets.ts';

/** A connector instance; disposing closes its connections. */
export type OpenedConnector = OpenConnector & AsyncDisposable;

/** What an instance gets beside its options. */
export interface ConnectorServices {
  readonly clock: Clock;
  readonly random?: Random;
  /** Where the key of kept secrets and the proxies are found; default: the process's environment. */
  readonly env?: Environment | undefined;
  /** Hears of every exchange with the source. */
  readonly trace?: (entry: TraceEntry) => void;
}

/**
 * Loads a connector and makes an instance with the options of its connection and nothing else.
 * @throws UNKNOWN_CONNECTOR, INVALID_OPTION
 */
export async function openConnector(connection: ConnectionSpec, services: ConnectorServices): Promise<OpenedConnector> {
  const {definition, context} = await connectorContext(connection, services);
  const connector = definition.create(context);
  return {
    definition,
    connector,
    async [Symbol.asyncDispose](): Promise<void> {
      await connector.close?.();
    },
  };
}

/** A connector's definition and what an instance of it gets. @throws UNKNOWN_CONNECTOR, INVALID_OPTION */
export async function connectorContext(
  connection: ConnectionSpec,
  services: ConnectorServices,
): Promise<{readonly definition: ConnectorDefinition; readonly context: CreateContext}> {
  const definition = await connectorDefinition(connection);
  const env = services.env ?? processEnvironment();
  const proxies = proxiesOf(env);
  const context: CreateContext = {
    options: resolvedOptions(definition.spec, connection),
    clock: services.clock,
    random: services.random ?? Math.random,
    connectionName: connection.name,
    ...(connection.home === undefined
      ? {}
      : {
          secrets: sealedSecrets({
            home: connection.home,
            connection: connection.name,
            env,
          }),
        }),
    ...(services.trace === undefined ? {} : {trace: services.trace}),
    ...(proxies === undefined ? {} : {proxies}),
  };
  return {definition, context};
}

function resolvedOptions({oauth, ...spec}: ConnectorSpec, {name, options}: ConnectionSpec): CreateContext['options'] {
  try {
    return resolveConnectionOptions(spec, options, `connection "${name}"`);
  } catch (error) {
    const isBeforeLogin = oauth !== undefined && options[oauth.tokenOption ?? 'refresh_token'] === undefined;
    if (!isBeforeLogin || options['client_id'] === undefined || !isIngestError(error)) throw error;
    const {code, message, context} = error;
    throw new IngestError(code, message, {fix: `Log in: sluice connections login ${name}`, context, cause: error});
  }
}

/** The connector of a connection, not made yet. @throws UNKNOWN_CONNECTOR, INVALID_CONNECTOR */
export async function connectorDefinition(connection: ConnectionSpec): Promise<ConnectorDefinition> {
  const {place} = connection;
  if (place !== undefined) return (await import('./author/load-connector.ts')).loadConnectorAt(place);
  const load = Object.hasOwn(connectors, connection.connector) ? connectors[connection.connector] : undefined;
  if (load !== undefined) return load();
  const names = Object.keys(connectors);
  const close = didYouMean(connection.connector, names);
  throw new IngestError(
    'UNKNOWN_CONNECTOR',
    `Connection "${connection.name}": there is no connector "${connection.connector}".`,
    {
      fix:
        close === null
          ? `connection_type is one of ${names.join(', ')}; others are named by connector.`
          : `Did you mean "${close}"?`,
      context: {connection: connection.name},
    },
  );
}
