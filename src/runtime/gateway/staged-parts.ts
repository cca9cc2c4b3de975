import {systemClock} from '../../core/clock.ts';
import type {ConnectionSpec} from '../../pipeline/spec.ts';
import {stagedConnector} from '../../staging/staged-connector.ts';
import type {LakeOptions} from '../api.ts';
import {connectorContext, type OpenedConnector} from '../open-connector.ts';
import {changeLogOf, openGatewayStaging} from './open-gateway.ts';

/** Staged tables for a process that reads partitions of them and nothing else: the database is not asked. */
export async function openStagedParts(
  connection: ConnectionSpec,
  place: Pick<LakeOptions, 'lake' | 'storeOptions'>,
  gatewayId: string,
): Promise<OpenedConnector> {
  const {definition} = await connectorContext(connection, {clock: systemClock});
  const codec = await changeLogOf(definition).codec();
  const {staging, ...opened} = await openGatewayStaging(place, gatewayId);
  return {
    definition,
    connector: stagedConnector({staging, codec, reader: '', nowMs: () => systemClock.nowMs()}),
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  };
}
