import {randomUUID} from 'node:crypto';

import {schemaToJson} from '../core/schema-json.ts';
import {typesEqual} from '../core/schema.ts';
import type {DataType, StructType} from '../core/types.ts';
import {alterTable, type TableAlteration} from '../delta/alter-table.ts';
import {MAPPING_MODE, mappingMode, withColumnMetadata, withMaxColumnId} from '../delta/column-mapping.ts';
import {checkTableSchema} from '../delta/create-table.ts';
import type {DeltaTable, TableSnapshot} from '../delta/delta-table.ts';
import {canWiden} from '../delta/type-widening.ts';
import {namedField, rememberedName} from './column-names.ts';
import {INACTIVE_PROPERTY, TYPE_WIDENING, type SettledFlow} from './evolve-plan.ts';

/** Table property: JSON of a {@link WaitingColumns}, while there are any. */
export const BACKFILL_PROPERTY = 'sluice.backfillColumns';

/** True when the table's metadata is not what the flow was settled on. */
export function needsEvolution(settled: SettledFlow, {schema, metadata}: TableSnapshot): boolean {
  const {[INACTIVE_PROPERTY]: inactive} = propertiesOf(settled);
  return (
    settled.renamed.size > 0 ||
    schemaToJson(schema) !== schemaToJson(settled.schema) ||
    (metadata.configuration[INACTIVE_PROPERTY] ?? null) !== inactive
  );
}

/**
 * Makes the table's metadata that of the settled flow, by commits that touch no data file. What is so already is left: the
 * call may be repeated after a crash at any place.
 * @param backfill columns whose values are to be read again for the rows that are there.
 * @throws UNSUPPORTED, INVALID_SCHEMA when the table's features do not allow a column; COMMIT_CONFLICT.
 */
export async function evolveTable(
  table: DeltaTable,
  settled: SettledFlow,
  backfill: readonly string[],
): Promise<TableSnapshot> {
  await alterTable(table, alterationOf(settled, table.snapshot, backfill));
  return writeSchema(table, settled);
}

/** What Delta has no operation for: fields of structs, and which column of the source a column is. */
async function writeSchema(table: DeltaTable, settled: SettledFlow): Promise<TableSnapshot> {
  const {snapshot} = table;
  const schema = withColumnMetadata(snapshot.metadata, [withSourceNames(snapshot.schema, settled)], settled.schema);
  if (schemaToJson(schema) === schemaToJson(snapshot.schema)) return snapshot;
  checkTableSchema(table.root, schema, snapshot.metadata.partitionColumns);
  const metadata = withMaxColumnId({...snapshot.metadata, schemaString: schemaToJson(schema)}, schema);
  return table.commit({base: snapshot, operation: 'CHANGE COLUMN', metadata, blindAppend: true});
}

/** Notes on a table whose rows were all replaced which columns nobody fills; no row waits for values any more. */
export async function noteReplaced(table: DeltaTable, settled: SettledFlow): Promise<void> {
  await alterTable(table, {properties: {...propertiesOf(settled), [BACKFILL_PROPERTY]: null}});
  await writeSchema(table, settled);
}

/** The table's columns, with the names in the source that the settled flow knows them by. */
function withSourceNames(schema: StructType, settled: SettledFlow): StructType {
  const names = new Map(settled.schema.fields.map((field) => [field.name, rememberedName(field)]));
  const fields = schema.fields.map((field) => namedField(field, field.name, names.get(field.name) ?? field.name));
  return {type: 'struct', fields};
}

/** What Delta's own operations can do: renames and wider types, with the features that they need, and properties. */
function alterationOf(settled: SettledFlow, snapshot: TableSnapshot, backfill: readonly string[]): TableAlteration {
  const renames = new Map([...settled.renamed].map(([old, name]) => [name, old]));
  const widen = new Map<string, DataType>();
  for (const field of settled.schema.fields) {
    const before = snapshot.schema.fields.find(({name}) => name === (renames.get(field.name) ?? field.name));
    if (before === undefined || typesEqual(before.type, field.type)) continue;
    const wider = widened(before.type, field.type);
    if (!typesEqual(before.type, wider)) widen.set(field.name, wider);
  }
  const {configuration} = snapshot.metadata;
  const wanted = settled.flow.configuration.tableProperties;
  const asked = [
    // Renames need it, and names of new columns may.
    ...(wanted[MAPPING_MODE] !== undefined && mappingMode(snapshot.metadata) === 'none' ? [MAPPING_MODE] : []),
    ...(widen.size > 0 && configuration[TYPE_WIDENING] === undefined ? [TYPE_WIDENING] : []),
  ];
  const features = Object.fromEntries(asked.map((name) => [name, wanted[name] ?? null]));
  return {
    properties: {
      ...features,
      ...propertiesOf(settled),
      ...(backfill.length === 0 ? {} : {[BACKFILL_PROPERTY]: JSON.stringify(waiting(configuration, backfill))}),
    },
    renames,
    widen: snapshot.files.size === 0 && !isWidening(configuration, wanted) ? new Map() : widen,
  };
}

/** Columns whose values the rows that are there still wait for. */
export interface WaitingColumns {
  readonly columns: readonly string[];
  /** Another one for every request: what batches note of an older one does not count. */
  readonly request: string;
}

/** Columns that wait for their values, by the table's properties; null: none. */
export function waitingColumns(configuration: Readonly<Record<string, string>>): WaitingColumns | null {
  const text = configuration[BACKFILL_PROPERTY];
  return text === undefined ? null : (JSON.parse(text) as WaitingColumns);
}

/** A request that is under way goes on when nothing new is asked. */
function waiting(configuration: Readonly<Record<string, string>>, more: readonly string[]): WaitingColumns {
  const before = waitingColumns(configuration);
  if (before !== null && more.every((name) => before.columns.includes(name))) return before;
  return {columns: [...new Set([...(before?.columns ?? []), ...more])], request: randomUUID()};
}

function isWidening(...places: readonly Readonly<Record<string, string>>[]): boolean {
  return places.some((place) => place[TYPE_WIDENING]?.toLowerCase() === 'true');
}

function propertiesOf({inactive}: SettledFlow): {readonly [INACTIVE_PROPERTY]: string | null} {
  return {[INACTIVE_PROPERTY]: inactive.length === 0 ? null : JSON.stringify(inactive)};
}

/** The type with the parts of another that are wider; all else stays. */
function widened(from: DataType, to: DataType): DataType {
  if (typeof from === 'object' && typeof to === 'object') {
    if (from.type === 'struct' && to.type === 'struct') {
      const fields = from.fields.map((field) => {
        const target = to.fields.find(({name}) => name === field.name);
        return target === undefined ? field : {...field, type: widened(field.type, target.type)};
      });
      return {...from, fields};
    }
    if (from.type === 'array' && to.type === 'array')
      return {...from, elementType: widened(from.elementType, to.elementType)};
    if (from.type === 'map' && to.type === 'map')
      return {...from, keyType: widened(from.keyType, to.keyType), valueType: widened(from.valueType, to.valueType)};
  }
  return canWiden(from, to) ? to : from;
}
