import {systemClock} from '../../core/clock.ts';
import {IngestError} from '../../core/errors.ts';
import {selectTables} from '../../pipeline/discover.ts';
import type {ChangeLogSpec, ConnectionSpec} from '../../pipeline/spec.ts';
import type {ChangeLogSource} from '../../sdk/change-log.ts';
import type {CallContext} from '../../sdk/contract.ts';
import type {ChangeLogAbility, ConnectorDefinition} from '../../sdk/define-connector.ts';
import {openStaging, type Staging} from '../../staging/staging.ts';
import {openStore} from '../../storage/open-store.ts';
import type {LakeOptions} from '../api.ts';
import type {GatewaySpec} from '../config/resolve-gateway.ts';
import {connectorContext, openConnector} from '../open-connector.ts';

/** Where gateways stage, below a lake. */
const STAGING = '_sluice/staging';

/** The staging area of a gateway in a lake; disposing gives up its store. */
export interface OpenedStaging extends AsyncDisposable {
  readonly staging: Staging;
}

/** Opens the staging area of a gateway; nothing is asked yet. @throws as `openStore` */
export async function openGatewayStaging(
  {lake, storeOptions = {}}: Pick<LakeOptions, 'lake' | 'storeOptions'>,
  gatewayId: string,
): Promise<OpenedStaging> {
  const opened = await openStore(`${lake.replace(/\/+$/, '')}/${STAGING}`, storeOptions);
  return {
    staging: openStaging(opened.store, gatewayId),
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  };
}

/** What a connector says of its change log. @throws UNSUPPORTED for connectors without one */
export function changeLogOf({name, spec, changeLog}: ConnectorDefinition): ChangeLogAbility {
  if (changeLog !== undefined) return changeLog;
  throw new IngestError('UNSUPPORTED', `${spec.displayName} has no change log that a gateway could follow.`, {
    fix: 'Read it by queries: give connection_name without connector_type CDC.',
    context: {connector: name},
  });
}

/** What is said of a gateway at the source; `isNew`: nothing can have been made there for it. */
export interface SourceSettings extends Partial<Pick<ChangeLogSpec, 'slotName' | 'publicationName'>> {
  readonly isNew?: boolean;
}

/** The source of a gateway; the caller closes it. */
export async function openChangeLog(
  {gatewayId, connection}: Pick<GatewaySpec, 'gatewayId' | 'connection'>,
  {slotName, publicationName, isNew}: SourceSettings = {},
): Promise<{readonly definition: ConnectorDefinition; readonly source: ChangeLogSource}> {
  const {definition, context} = await connectorContext(connection, {clock: systemClock});
  const source = changeLogOf(definition).open(context, {
    gatewayId,
    ...(typeof slotName === 'string' ? {slotName} : {}),
    ...(typeof publicationName === 'string' ? {publicationName} : {}),
    ...(isNew === undefined ? {} : {isNew}),
  });
  return {definition, source};
}

/** Asks the source which tables the pipelines of a gateway want, as it names them. */
export function wantedTables(
  {pipelines}: Pick<GatewaySpec, 'pipelines'>,
  connection: ConnectionSpec,
  ctx: CallContext,
): (signal: AbortSignal) => Promise<readonly string[]> {
  return async (signal) => {
    await using open = await openConnector(connection, {clock: systemClock});
    const wanted = new Set<string>();
    for (const pipeline of pipelines)
      for (const {sourceTable} of await selectTables(pipeline, open, {...ctx, signal})) wanted.add(sourceTable);
    return [...wanted];
  };
}
