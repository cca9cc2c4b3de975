import {systemClock} from '../../core/clock.ts';
import {IngestError} from '../../core/errors.ts';
import type {OptionValue} from '../../sdk/contract.ts';
import type {ConnectorSpec} from '../../sdk/define-connector.ts';
import type {KnownConnections} from '../config/load-pipelines.ts';
import {connectorDefinition} from '../open-connector.ts';
import {checkLogin, saveLogin} from './connection-store.ts';
import {optionSpecs} from './create-connection.ts';
import {loginInBrowser, type LoginOptions, type LoginToken} from './login.ts';
import {forgetSecrets} from './sealed-secrets.ts';

/** What a login gave, without the token. */
export type LoginReport = Omit<LoginToken, 'value'> & {readonly connection: string};

/**
 * Logs a connection in with the browser and keeps the token sealed in the store, also for a connection that the
 * configuration declares. Tokens of an earlier login are forgotten.
 * @throws UNSUPPORTED for a connector without a login; INVALID_OPTION when another connector's stored connection has the name; else as `loginInBrowser`
 */
export async function loginConnection(
  known: KnownConnections,
  name: string,
  options: LoginOptions,
): Promise<LoginReport> {
  const connection = known.find(name);
  const {spec} = await connectorDefinition(connection);
  if (spec.oauth === undefined) {
    throw new IngestError('UNSUPPORTED', `${spec.displayName} has no login in the browser.`, {
      fix: `Give its options instead: sluice connections create ${name} --connector ${connection.connector} --option NAME=VALUE`,
      context: {connection: name},
    });
  }
  checkLogin(known.store, connection);
  const complete = {...connection, options: {...defaultsOf(spec), ...connection.options}};
  const {value, ...told} = await loginInBrowser(complete, spec.oauth, options);
  await saveLogin(known.store, connection, {option: told.option, value, nowMs: systemClock.nowMs()});
  await forgetSecrets({home: known.store.home, connection: name, env: known.store.env});
  return {connection: name, ...told};
}

/** Not checked as a connection's options are: what the login gives is still missing. */
function defaultsOf(spec: ConnectorSpec): Readonly<Record<string, OptionValue>> {
  const entries = Object.entries(optionSpecs(spec)).filter(([, option]) => option.default !== undefined);
  return Object.fromEntries(entries.map(([name, option]) => [name, option.default]));
}
