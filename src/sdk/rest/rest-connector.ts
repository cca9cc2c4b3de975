import {IngestError} from '../../core/errors.ts';
import {defineConnector, type ConnectorDefinition} from '../define-connector.ts';
import {RestSource} from './rest-source.ts';
import type {Partitions, RestConnectorSpec} from './rest-spec.ts';
import {connectorTableOptions, isFixed} from './table-options.ts';

/**
 * Makes a connector of a declared REST API.
 * @throws INVALID_SPEC when the declaration contradicts itself; the message names table and place.
 */
export function restConnector(spec: RestConnectorSpec): ConnectorDefinition {
  checkTables(spec);
  return defineConnector({
    name: spec.name,
    spec: {
      displayName: spec.displayName,
      description: spec.description,
      connection: spec.connection,
      table: connectorTableOptions(spec),
      ...(spec.authMethods === undefined ? {} : {authMethods: spec.authMethods}),
      ...(spec.oauth === undefined ? {} : {oauth: spec.oauth}),
    },
    create: (context) => new RestSource(spec, context),
    client: (context) => spec.client(context.options, context),
  });
}

function checkTables({tables}: RestConnectorSpec): void {
  if (!isFixed(tables)) return;
  const names = new Set<string>();
  for (const table of tables) {
    if (names.has(table.name)) throw wrong(table.name, 'is declared twice');
    names.add(table.name);
    const {ingestionType, read, deletes, primaryKeys} = table;
    const hasOwnDeletes = deletes?.kind === 'log' || deletes?.kind === 'archived';
    if (hasOwnDeletes !== (ingestionType === 'cdc_with_deletes'))
      throw wrong(
        table.name,
        hasOwnDeletes
          ? 'has a list of deletes and is not cdc_with_deletes'
          : 'is cdc_with_deletes and has no list of deletes',
      );
    if (ingestionType === 'snapshot' && read.kind !== 'snapshot' && read.kind !== 'custom')
      throw wrong(table.name, `is a snapshot and is read by "${read.kind}"`);
    if (ingestionType !== 'snapshot' && ingestionType !== 'append' && primaryKeys.length === 0)
      throw wrong(table.name, `is ${ingestionType} and has no primaryKeys`);
    if (
      ingestionType === 'append' &&
      primaryKeys.length === 0 &&
      read.kind !== 'custom' &&
      read.kind !== 'id' &&
      !('id' in read && read.id !== undefined)
    )
      throw wrong(table.name, 'is append and has neither primaryKeys nor an id in its plan, which tell rows apart');
    if ((read.kind === 'token' || read.kind === 'eventLog') && ingestionType !== 'cdc')
      throw wrong(table.name, `is read by "${read.kind}", which gives changes: its ingestionType is cdc`);
    if (deletes?.kind === 'stream' && ingestionType !== 'cdc' && ingestionType !== 'append')
      throw wrong(table.name, 'has deletes among its rows: its ingestionType is cdc');
    if (table.partitions?.kind === 'product' && !isProduct(table.partitions.of))
      throw wrong(table.name, 'has a product of partitions that is empty, or whose parents are grouped');
    if (ingestionType === 'append' && table.partitions?.kind === 'parent' && (table.partitions.groupSize ?? 1) > 1)
      throw wrong(
        table.name,
        'is append and is read by groups of parents: a new parent makes other groups, whose rows would come again',
      );
    if (ingestionType === 'append' && read.kind === 'snapshot')
      throw wrong(table.name, 'is append and is read whole in every trigger, so that all its rows would come again');
    if (deletes?.kind === 'snapshotDiff' && ingestionType !== 'snapshot')
      throw wrong(table.name, 'finds deletes by reading everything: its ingestionType is snapshot');
  }
}

function isProduct(of: readonly Partitions[]): boolean {
  return (
    of.length > 0 &&
    of.every((part) =>
      part.kind === 'product' ? isProduct(part.of) : part.kind !== 'parent' || (part.groupSize ?? 1) === 1,
    )
  );
}

function wrong(table: string, what: string): IngestError {
  return new IngestError('INVALID_SPEC', `Table "${table}" ${what}.`, {
    fix: 'Correct the spec of the connector.',
    context: {table},
  });
}
