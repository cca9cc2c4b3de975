import {frameworkOptions, type OptionSpecs, type RestCall, type RestTable, type TableOptions} from '../../sdk/index.ts';
import {objectSchema, type PropertyColumn, propertyColumns} from './object-columns.ts';
import {objectList} from './object-listings.ts';
import {everyRecord, LOOKBACK_SECONDS, readObjects} from './object-reader.ts';
import type {ObjectType} from './object-types.ts';

/** Options of tables of CRM records. */
export const OBJECT_OPTIONS: OptionSpecs = {
  columns: {
    type: 'string[]',
    description: 'Columns that land; the framework passes those that are selected, and only their properties are read.',
  },
  number_type: {
    type: 'string',
    enum: ['double', 'decimal'],
    default: 'double',
    description: 'How number properties land: DOUBLE, or exactly, as DECIMAL(38, 12).',
  },
  ...frameworkOptions(['start_timestamp', 'window_seconds']),
  lookback_seconds: {
    type: 'integer',
    min: 0,
    // No default here: it would be that of the marketing tables as well, which have their own.
    description: `How far behind the last change every run reads again, for what HubSpot shows late. Default: ${LOOKBACK_SECONDS} of records, an hour of email_events and form_submissions.`,
  },
};

const CALCULATED = 'calculated: may change without the time of change';

/** The table of a type of CRM records, with the properties that it has now as columns. */
export async function objectTable(type: ObjectType, call: RestCall): Promise<RestTable> {
  const properties = await propertyColumns(type.path, call);
  return {
    name: type.name,
    description: type.description,
    primaryKeys: ['id'],
    cursorField: 'updatedAt',
    ingestionType: 'cdc',
    options: OBJECT_OPTIONS,
    schema: ({option}) =>
      Promise.resolve(objectSchema(properties, option['number_type'] === 'decimal' ? 'decimal' : 'double')),
    read: {
      kind: 'custom',
      changes: {sequence: 'timestamp'},
      everything: (every) => everyRecord({type, properties: chosen(properties, every.option), call: every}),
      read: (start, read) => readObjects(start, {type, properties: chosen(properties, read.option), call: read}),
    },
    volatileColumns: Object.fromEntries(
      properties.filter(({isCalculated}) => isCalculated).map(({column}) => [column, CALCULATED]),
    ),
    deletes: {kind: 'keyScan', list: objectList(type, ['hs_object_id'], {after: null})},
    estimate: (estimate) => countOf(type, estimate),
  };
}

/** The properties of the columns that land. */
function chosen(properties: readonly PropertyColumn[], {columns}: TableOptions): readonly PropertyColumn[] {
  if (!Array.isArray(columns)) return properties;
  const wanted = new Set<string>(columns);
  return properties.filter(({column}) => wanted.has(column));
}

/** How many records the search finds; it says so with any page. */
async function countOf(type: ObjectType, {client, ctx}: RestCall): Promise<number | null> {
  const url = `/crm/v3/objects/${encodeURIComponent(type.path)}/search`;
  const {body} = await client.json(
    {method: 'POST', url, isIdempotent: true, body: {kind: 'json', value: {filterGroups: [], limit: 1}}},
    ctx,
  );
  const total = typeof body === 'object' && body !== null && 'total' in body ? body['total'] : null;
  return typeof total === 'number' ? total : null;
}
