import {IngestError, isIngestError} from '../../core/errors.ts';
import type {EngineRow} from '../../engine/engine.ts';
import type {ConnectionSpec} from '../../pipeline/spec.ts';
import type {OptionValue} from '../../sdk/contract.ts';
import type {KnownConnections} from '../config/load-pipelines.ts';
import {listStored} from '../connections/connection-store.ts';
import {testConnection, toldError} from '../connections/test-connection.ts';
import {agentErrorCode} from './agent-error.ts';
import {AGENT_OPERATIONS, type AgentErrorCode, type AgentOperationName} from './agent-operations.ts';
import {listObjects, objectMetadata, readRows} from './look-at-source.ts';

/** The values of an operation's parameters, checked and with defaults. */
export interface AgentParameters {
  readonly connection?: string | undefined;
  readonly path?: readonly string[] | undefined;
  readonly search?: string | undefined;
  readonly limit?: number | undefined;
  readonly name?: string | undefined;
  readonly metadata_key?: string | undefined;
  readonly table_name?: string | undefined;
  readonly schema_name?: string | undefined;
  readonly catalog_name?: string | undefined;
  readonly columns?: readonly string[] | undefined;
  readonly options?: Readonly<Record<string, OptionValue>> | undefined;
}

/** How an operation ended. */
export interface AgentStatus {
  readonly status: 'ok' | 'error';
  readonly code: AgentErrorCode | null;
  readonly message: string | null;
}

/** What an operation gives: rows, or the reason why there are none. */
export interface AgentReply {
  readonly _meta: AgentStatus;
  readonly rows: readonly EngineRow[];
  /** There are more rows than were asked for. */
  readonly truncated: boolean;
  /** Columns of the rows, in order; absent where the operation says them. */
  readonly columns?: readonly AgentColumn[];
}

/** A column of a table. */
export interface AgentColumn {
  readonly name: string;
  /** As DDL says it: `BIGINT`, `STRING`, `TIMESTAMP`, … */
  readonly type: string;
  /** The engine's word for it, by which values become text. */
  readonly engineType: string;
}

/** Rows before the status is added. */
export type AgentRows = Omit<AgentReply, '_meta'>;

/** What operations work with. */
export interface AgentHost {
  /** Read anew for every call, so that a changed configuration counts. @throws INVALID_SPEC */
  connections(): Promise<KnownConnections>;
  readonly signal: AbortSignal;
}

const OK: AgentStatus = {status: 'ok', code: null, message: null};

/**
 * Runs one operation. What goes wrong is told in `_meta`, never thrown, without secrets; `list_operations` works whatever
 * the state of the connections.
 */
export async function runAgentOperation(
  name: AgentOperationName,
  parameters: AgentParameters,
  host: AgentHost,
): Promise<AgentReply> {
  let connection: ConnectionSpec | null = null;
  try {
    if (name === 'list_operations') return listOperations();
    if (name === 'validate_connection') return await validate(parameters, host);
    connection = await chosenConnection(parameters, host);
    const look = {connection, parameters, signal: host.signal};
    switch (name) {
      case 'list_objects':
        return {_meta: OK, ...(await listObjects(look))};
      case 'get_object_metadata':
        return {_meta: OK, ...(await objectMetadata(look))};
      case 'read_table':
        return {_meta: OK, ...(await readRows(look))};
    }
  } catch (error) {
    return await failure(error, connection);
  }
}

async function failure(error: unknown, connection: ConnectionSpec | null): Promise<AgentReply> {
  const {code, message, fix} = await toldError(error, connection);
  const isUnknownConnection = isIngestError(error, 'INVALID_OPTION') && error.context['connection'] !== undefined;
  return {
    _meta: {
      status: 'error',
      code: isUnknownConnection ? 'not_found' : agentErrorCode(code),
      message: fix === undefined ? message : `${message} ${fix}`,
    },
    rows: [],
    truncated: false,
  };
}

function listOperations(): AgentReply {
  const rows = AGENT_OPERATIONS.map(({name, description, kind, parameters, result}) => ({
    name,
    description,
    kind,
    parameters_json: JSON.stringify(parameters),
    result_schema_json: result === null ? null : JSON.stringify(result),
  }));
  return {_meta: OK, rows, truncated: false};
}

async function validate(parameters: AgentParameters, host: AgentHost): Promise<AgentReply> {
  const known = await host.connections();
  const names = connectionNames(known);
  if (parameters.connection === undefined && names.length !== 1) {
    const rows = names.map((connection) => ({
      connection,
      connector: connectorOf(known, connection),
      status: 'untried',
      detail: 'Name it to try it.',
      tables: null,
    }));
    return {_meta: OK, rows, truncated: false};
  }
  const connection = await chosenConnection(parameters, host);
  const report = await testConnection(connection, {signal: host.signal});
  const {error} = report;
  const row = {
    connection: report.connection,
    connector: report.connector,
    status: report.passed ? 'ok' : 'error',
    detail: report.checks.map((check) => check.detail).join(' '),
    tables: report.tables?.length ?? null,
  };
  if (error === null) return {_meta: OK, rows: [row], truncated: false};
  const code = agentErrorCode(error.code);
  const isOfConnection = code === 'auth_failed' || code === 'permission_denied' || code === 'rate_limited';
  return {
    _meta: {status: 'error', code: isOfConnection ? code : 'connection_failed', message: error.message},
    rows: [row],
    truncated: false,
  };
}

async function chosenConnection(parameters: AgentParameters, host: AgentHost): Promise<ConnectionSpec> {
  const known = await host.connections();
  const names = connectionNames(known);
  const [only] = names;
  if (parameters.connection !== undefined) return known.find(parameters.connection);
  if (only !== undefined && names.length === 1) return known.find(only);
  throw new IngestError(
    'INVALID_OPTION',
    names.length === 0 ? 'There is no connection.' : `There are several connections: ${names.join(', ')}.`,
    {fix: names.length === 0 ? 'Declare one, or run: sluice connections create' : 'Name one as connection.'},
  );
}

function connectionNames(known: KnownConnections): readonly string[] {
  return [...new Set([...known.declared, ...listStored(known.store).map((stored) => stored.name)])];
}

function connectorOf(known: KnownConnections, name: string): string {
  if (known.declared.includes(name)) return known.connectorOf(name);
  return listStored(known.store).find((stored) => stored.name === name)?.connector ?? '';
}
