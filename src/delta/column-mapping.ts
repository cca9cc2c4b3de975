import {randomUUID} from 'node:crypto';

import {IngestError} from '../core/errors.ts';
import type {DataType, StructField, StructType} from '../core/types.ts';
import type {Metadata} from './actions.ts';

/**
 * How columns are found in data files: by their own names, or by names and ids that never change.
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#column-mapping
 */
export type MappingMode = 'none' | 'name' | 'id';

/** Table property of the mode. */
export const MAPPING_MODE = 'delta.columnMapping.mode';
/** Table property of the greatest id that a column ever had; it never sinks. */
export const MAX_COLUMN_ID = 'delta.columnMapping.maxColumnId';
/** Field metadata: the id, which is also the field id in Parquet. */
const COLUMN_ID = 'delta.columnMapping.id';
/** Field metadata: the name in data files, statistics and partition values. */
export const PHYSICAL_NAME = 'delta.columnMapping.physicalName';

/** The mode that a table's properties name. @throws INVALID_OPTION for a mode that there is not. */
export function mappingMode({configuration}: Pick<Metadata, 'configuration'>): MappingMode {
  const mode = configuration[MAPPING_MODE]?.toLowerCase() ?? 'none';
  if (mode === 'none' || mode === 'name' || mode === 'id') return mode;
  throw new IngestError('INVALID_OPTION', `${MAPPING_MODE} is ${JSON.stringify(mode)}.`, {
    fix: 'Set it to name, id or none.',
    context: {property: MAPPING_MODE},
  });
}

/** A schema whose fields are changed at any depth, in list elements, map keys and values, too; their types stay. */
export function mapFields(schema: StructType, change: (field: StructField) => StructField): StructType {
  return {
    type: 'struct',
    fields: schema.fields.map((field) => ({...change(field), type: mapInside(field.type, change)})),
  };
}

/** Gives every field another name, at any depth. */
export function renameFields(schema: StructType, nameOf: (field: StructField) => string): StructType {
  return mapFields(schema, (field) => ({...field, name: nameOf(field)}));
}

function mapInside(type: DataType, change: (field: StructField) => StructField): DataType {
  if (typeof type === 'string') return type;
  switch (type.type) {
    case 'decimal':
      return type;
    case 'array':
      return {...type, elementType: mapInside(type.elementType, change)};
    case 'map':
      return {...type, keyType: mapInside(type.keyType, change), valueType: mapInside(type.valueType, change)};
    case 'struct':
      return mapFields(type, change);
  }
}

/**
 * The name of a column in data files, statistics and partition values.
 * @throws RangeError for a column of a mapped table that was never given one: see {@link withColumnMetadata}.
 */
export function physicalName(field: StructField, mode: MappingMode): string {
  if (mode === 'none') return field.name;
  const name = field.metadata[PHYSICAL_NAME];
  if (typeof name === 'string') return name;
  throw new RangeError(`Column "${field.name}" has no physical name in a table with column mapping.`);
}

/** The {@link physicalName} of top-level columns by their names. */
export function physicalNames(schema: StructType, names: readonly string[], mode: MappingMode): readonly string[] {
  return names.map((name) => {
    const field = schema.fields.find((each) => each.name === name);
    return field === undefined ? name : physicalName(field, mode);
  });
}

/** A schema as data files have it. */
export function physicalSchema(schema: StructType, mode: MappingMode): StructType {
  return mode === 'none' ? schema : renameFields(schema, (field) => physicalName(field, mode));
}

/** The id of a column; null without one. */
export function columnId(field: StructField): number | null {
  const id = field.metadata[COLUMN_ID];
  return typeof id === 'number' ? id : null;
}

/** A table's metadata as far as columns need it. */
export type MappedMetadata = Pick<Metadata, 'configuration'>;

/**
 * Lays what a table knows of its columns (comments, ids, physical names, type changes) over a schema that comes from
 * elsewhere: metadata of a field that the table has is the table's; a new field of a mapped table gets an id and a physical
 * name, unless it has one already.
 * @param known schemas that name columns, the table's first; later ones for columns that files have and the table not yet.
 */
export function withColumnMetadata(
  metadata: MappedMetadata,
  known: readonly StructType[],
  schema: StructType,
): StructType {
  if (mappingMode(metadata) === 'none') return laidOver(known, schema, null);
  const [table, ...reserved] = known;
  const owned = table === undefined ? new Map<string, number>() : idsByPhysicalName(table);
  const taken = Math.max(maxColumnId(metadata), ...owned.values());
  const last = Math.max(taken, ...reserved.map(greatestId), greatestId(schema));
  const free = reserved.map((each) => withoutOwned(each, owned));
  return laidOver(table === undefined ? free : [table, ...free], schema, new Numbering(owned, taken, last));
}

/** A schema without what the columns of another table are called in its files. */
export function withoutColumnIds(schema: StructType): StructType {
  return mapFields(schema, (field) => {
    const {[COLUMN_ID]: _id, [PHYSICAL_NAME]: _name, ...metadata} = field.metadata;
    return {...field, metadata};
  });
}

/** A schema whose columns without a physical name, which are none of the table, have their own name as such, and so has all in them. */
export function withOwnNames(schema: StructType): StructType {
  const fields = schema.fields.flatMap((field) => {
    const one: StructType = {type: 'struct', fields: [field]};
    // Fields of a struct made of the table's columns may know what these are called in files.
    return (PHYSICAL_NAME in field.metadata ? one : withoutColumnIds(one)).fields;
  });
  return mapFields({...schema, fields}, (field) => ({
    ...field,
    metadata: {[PHYSICAL_NAME]: field.name, ...field.metadata},
  }));
}

/** True for a schema of a mapped table. */
export function isMapped(schema: StructType): boolean {
  return schema.fields.some((field) => PHYSICAL_NAME in field.metadata);
}

/** As {@link withColumnMetadata}, but new columns stay as they are. */
export function withKnownMetadata(known: StructType, schema: StructType): StructType {
  return laidOver([known], schema, null);
}

/** Properties of a mapped table with a schema: the greatest column id grows with it. */
export function withMaxColumnId<M extends MappedMetadata>(metadata: M, schema: StructType): M {
  if (mappingMode(metadata) === 'none') return metadata;
  const maxId = Math.max(maxColumnId(metadata), greatestId(schema));
  return {...metadata, configuration: {...metadata.configuration, [MAX_COLUMN_ID]: `${maxId}`}};
}

/** The schema of a table whose files have the names of its columns, made ready for mapping: those names stay. */
export function mappedInPlace(metadata: MappedMetadata, schema: StructType): StructType {
  const taken = Math.max(maxColumnId(metadata), greatestId(schema));
  const numbering = new Numbering(new Map(), taken, taken);
  return mapFields(schema, (field) => ({
    ...field,
    metadata: {...field.metadata, [COLUMN_ID]: columnId(field) ?? numbering.next(), [PHYSICAL_NAME]: field.name},
  }));
}

/** Gives out ids. */
class Numbering {
  /** Ids of the table's columns by their physical names. */
  readonly owned: ReadonlyMap<string, number>;
  /** Ids up to this one belong to columns that the table has or had. */
  readonly taken: number;
  #last: number;

  constructor(owned: ReadonlyMap<string, number>, taken: number, last: number) {
    this.owned = owned;
    this.taken = taken;
    this.#last = last;
  }

  next(): number {
    this.#last += 1;
    return this.#last;
  }
}

function maxColumnId({configuration}: MappedMetadata): number {
  const id = Number(configuration[MAX_COLUMN_ID] ?? 0);
  return Number.isSafeInteger(id) ? id : 0;
}

function idsByPhysicalName(schema: StructType): ReadonlyMap<string, number> {
  const ids = new Map<string, number>();
  mapFields(schema, (field) => {
    const name = field.metadata[PHYSICAL_NAME];
    const id = columnId(field);
    if (typeof name === 'string' && id !== null) ids.set(name, id);
    return field;
  });
  return ids;
}

/** Columns that the table does not have, be it under another name. */
function withoutOwned(schema: StructType, owned: ReadonlyMap<string, number>): StructType {
  return {type: 'struct', fields: schema.fields.filter((field) => !owned.has(String(field.metadata[PHYSICAL_NAME])))};
}

function greatestId(schema: StructType): number {
  let greatest = 0;
  renameFields(schema, (field) => {
    greatest = Math.max(greatest, columnId(field) ?? 0);
    return field.name;
  });
  return greatest;
}

/** `numbering` null: the table is not mapped. */
function laidOver(schemas: readonly StructType[], schema: StructType, numbering: Numbering | null): StructType {
  return {
    type: 'struct',
    fields: schema.fields.map((field) => {
      const stored = schemas.flatMap(({fields}) => fields.filter(({name}) => name === field.name));
      const known = stored[0]?.metadata ?? field.metadata;
      // Before the parts: a column's id comes before theirs.
      const metadata = numbering === null ? known : identified(known, stored.length > 0, numbering);
      return {
        ...field,
        type: laidInside(
          stored.map(({type}) => type),
          field.type,
          numbering,
        ),
        metadata,
      };
    }),
  };
}

function laidInside(known: readonly DataType[], type: DataType, numbering: Numbering | null): DataType {
  if (typeof type === 'string') return type;
  const same = known.filter((each) => typeof each === 'object' && each.type === type.type);
  switch (type.type) {
    case 'decimal':
      return type;
    case 'array': {
      const elements = same.flatMap((each) => (isKind(each, 'array') ? [each.elementType] : []));
      return {...type, elementType: laidInside(elements, type.elementType, numbering)};
    }
    case 'map': {
      const maps = same.flatMap((each) => (isKind(each, 'map') ? [each] : []));
      return {
        ...type,
        keyType: laidInside(
          maps.map(({keyType}) => keyType),
          type.keyType,
          numbering,
        ),
        valueType: laidInside(
          maps.map(({valueType}) => valueType),
          type.valueType,
          numbering,
        ),
      };
    }
    case 'struct':
      return laidOver(
        same.flatMap((each) => (isKind(each, 'struct') ? [each] : [])),
        type,
        numbering,
      );
  }
}

function isKind<K extends 'array' | 'map' | 'struct'>(
  type: DataType,
  kind: K,
): type is Extract<DataType, {readonly type: K}> {
  return typeof type === 'object' && type.type === kind;
}

/** An id that no column of the table ever had was given to a new one, for files that are written before the table has it. */
function identified(
  metadata: StructField['metadata'],
  isKnown: boolean,
  numbering: Numbering,
): StructField['metadata'] {
  const id = metadata[COLUMN_ID];
  const name = metadata[PHYSICAL_NAME];
  if (typeof id === 'number' && typeof name === 'string') {
    if (id > numbering.taken || (isKnown && numbering.owned.get(name) === id)) return metadata;
    // Files have the name; another column took the id meanwhile.
    if (isKnown) return {...metadata, [COLUMN_ID]: numbering.next()};
  }
  return {...metadata, [COLUMN_ID]: numbering.next(), [PHYSICAL_NAME]: `col-${randomUUID()}`};
}
