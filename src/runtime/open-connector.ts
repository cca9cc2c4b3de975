import {connectors} from '../connectors/index.ts';
import type {Clock, Random} from '../core/clock.ts';
import {IngestError} from '../core/errors.ts';
import {didYouMean} from '../core/suggest.ts';
import type {OpenConnector} from '../pipeline/resolve-flow.ts';
import type {ConnectionSpec} from '../pipeline/spec.ts';
import {resolveConnectionOptions} from '../sdk/options.ts';

/** A connector instance; disposing closes its connections. */
export type OpenedConnector = OpenConnector & AsyncDisposable;

/**
 * Loads a connector and makes an instance with the options of its connection and nothing else.
 * @throws UNKNOWN_CONNECTOR, INVALID_OPTION
 */
export async function openConnector(
  connection: ConnectionSpec,
  services: {readonly clock: Clock; readonly random?: Random},
): Promise<OpenedConnector> {
  const load = connectors[connection.connector];
  if (load === undefined) {
    const names = Object.keys(connectors);
    const close = didYouMean(connection.connector, names);
    throw new IngestError(
      'UNKNOWN_CONNECTOR',
      `Connection "${connection.name}": there is no connector "${connection.connector}".`,
      {
        fix: close === null ? `connection_type is one of ${names.join(', ')}.` : `Did you mean "${close}"?`,
        context: {connection: connection.name},
      },
    );
  }
  const definition = await load();
  const options = resolveConnectionOptions(definition.spec, connection.options, `connection "${connection.name}"`);
  const connector = definition.create({
    options,
    clock: services.clock,
    random: services.random ?? Math.random,
    connectionName: connection.name,
  });
  return {
    definition,
    connector,
    async [Symbol.asyncDispose](): Promise<void> {
      await connector.close?.();
    },
  };
}
