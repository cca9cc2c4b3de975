import {systemClock} from '../../core/clock.ts';
import {IngestError, isIngestError} from '../../core/errors.ts';
import type {ConnectionSpec} from '../../pipeline/spec.ts';
import type {OptionValue} from '../../sdk/contract.ts';
import type {ConnectorDefinition, ConnectorSpec, OptionSpecs} from '../../sdk/define-connector.ts';
import {isCredentialName} from '../../sdk/http/redaction.ts';
import {resolveConnectionOptions} from '../../sdk/options.ts';
import {connectorPlace, isPath} from '../config/connector-place.ts';
import type {Environment} from '../config/environment.ts';
import type {KnownConnections} from '../config/load-pipelines.ts';
import {connectorDefinition} from '../open-connector.ts';
import {saveConnection, type StoredConnection} from './connection-store.ts';
import {withEnvironment} from './option-references.ts';

/** A connection to store. */
export interface CreateRequest {
  readonly name: string;
  /** Name of a connector, or a path to one, relative to `folder`. */
  readonly connector: string;
  readonly folder: string;
  readonly options: Readonly<Record<string, OptionValue>>;
  /** Options that are not given are taken from variables `CONNECTOR_OPTION`, for example `STRIPE_API_KEY`. */
  readonly fromEnvironment: boolean;
  readonly replace: boolean;
}

/** A connection that was stored. */
export interface CreatedConnection {
  readonly stored: StoredConnection;
  /** Options that came from the environment. */
  readonly taken: readonly string[];
  /** What is still to do, in sentences. */
  readonly notes: readonly string[];
}

/**
 * Checks the options by the connector's spec and stores the connection, secrets sealed; asks no source.
 * @throws INVALID_OPTION also when the configuration declares a connection of that name; UNKNOWN_CONNECTOR
 */
export async function createConnection(known: KnownConnections, request: CreateRequest): Promise<CreatedConnection> {
  const {name} = request;
  if (known.declared.includes(name)) {
    throw new IngestError('INVALID_OPTION', `${known.file ?? 'The configuration'} declares a connection "${name}".`, {
      fix: 'What the file says wins: choose another name, or take it out of the file.',
    });
  }
  const {connection, definition} = await findConnector(request);
  const fromEnv = request.fromEnvironment ? environmentOptions(definition, request, known.store.env) : {};
  const options = {...fromEnv, ...request.options};
  const notes = checkOptions(definition.spec, {...connection, options}, known.store.env);
  const stored = await saveConnection(
    known.store,
    {
      name,
      connector: connection.connector,
      ...(connection.place === undefined ? {} : {place: connection.place}),
      options,
      isSecret: (option) =>
        isSecretOption(definition.spec, option) || withoutUserInfo(options[option]) !== options[option],
      nowMs: systemClock.nowMs(),
    },
    request.replace ? 'replace' : 'create',
  );
  return {stored, taken: Object.keys(fromEnv), notes};
}

/** True for options that are never shown: those that the spec says, what a login gives, and what is named like a credential. */
export function isSecretOption(spec: ConnectorSpec, option: string): boolean {
  if (optionSpecs(spec)[option]?.secret === true || isCredentialName(option)) return true;
  return spec.oauth !== undefined && option === (spec.oauth.tokenOption ?? 'refresh_token');
}

const USER_INFO = /\/\/[^/?#@\s]*@/;

/** The value of an option without the credentials of an address: `https://user:password@host`. */
export function withoutUserInfo(value: OptionValue): OptionValue {
  return typeof value === 'string' ? value.replace(USER_INFO, '//***@') : value;
}

async function findConnector(
  request: CreateRequest,
): Promise<{readonly connection: ConnectionSpec; readonly definition: ConnectorDefinition}> {
  const base = {name: request.name, options: {}};
  const ours: ConnectionSpec = {...base, connector: request.connector.toLowerCase()};
  const others: ConnectionSpec = {...base, ...connectorPlace(request.connector, request.folder)};
  if (isPath(request.connector)) return {connection: others, definition: await connectorDefinition(others)};
  try {
    return {connection: ours, definition: await connectorDefinition(ours)};
  } catch (error) {
    if (!isIngestError(error, 'UNKNOWN_CONNECTOR')) throw error;
    // One that was added by that name, unless there is none either: then the first error says more.
    const definition = await connectorDefinition(others).catch(() => {
      throw error;
    });
    return {connection: others, definition};
  }
}

function environmentOptions(
  definition: ConnectorDefinition,
  request: CreateRequest,
  env: Environment,
): Readonly<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const option of Object.keys(optionSpecs(definition.spec))) {
    const value = env[`${definition.name}_${option}`.toUpperCase().replaceAll('-', '_')];
    if (value !== undefined && value !== '' && request.options[option] === undefined) found[option] = value;
  }
  return found;
}

/** Options of a connection, of every way to log in. */
export function optionSpecs(spec: ConnectorSpec): OptionSpecs {
  const methods = Object.values(spec.authMethods ?? {}).map((method) => method.options);
  return methods.reduce((all, options) => ({...all, ...options}), spec.connection);
}

/** Notes of what could not be checked or is still missing. */
function checkOptions(spec: ConnectorSpec, connection: ConnectionSpec, env: Environment): readonly string[] {
  const where = `connection "${connection.name}"`;
  let options: Record<string, OptionValue>;
  try {
    options = Object.fromEntries(
      Object.entries(connection.options).map(([name, value]) => [
        name,
        withEnvironment(value, env, `${where}: ${name}`),
      ]),
    );
  } catch (error) {
    if (!isIngestError(error, 'MISSING_SECRET')) throw error;
    return [`Not checked yet: ${error.message}`];
  }
  try {
    resolveConnectionOptions(spec, options, where);
    return [];
  } catch (error) {
    const token = spec.oauth?.tokenOption ?? 'refresh_token';
    if (spec.oauth === undefined || options[token] !== undefined) throw error;
    try {
      resolveConnectionOptions(spec, {...options, [token]: 'comes with the login'}, where);
    } catch {
      // The login would not help: the first error says what is wrong.
      throw error;
    }
    return [`Log in next: sluice connections login ${connection.name}`];
  }
}
