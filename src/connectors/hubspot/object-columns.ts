import {
  type DataType,
  decimal,
  EMPTY_IS_NULL,
  EPOCH_UNIT,
  type JsonObject,
  type JsonValue,
  type RestCall,
  type StructField,
  type StructType,
  isJsonObject,
} from '../../sdk/index.ts';

/** A property of a type, and the column that it is. */
export interface PropertyColumn {
  readonly property: string;
  readonly column: string;
  /** As HubSpot says: `string`, `number`, `date`, `datetime`, `bool`, `enumeration`, and others that are texts. */
  readonly type: string;
  readonly label: string;
  /** HubSpot works its value out. */
  readonly isCalculated: boolean;
}

/** Columns of a record that are no properties. */
const OWN_COLUMNS: readonly StructField[] = [
  field('id', 'string', {nullable: false}),
  field('createdAt', 'timestamp'),
  field('updatedAt', 'timestamp'),
];
const OWN_FIELDS = OWN_COLUMNS.map(({name}) => name);
const OWN_NAMES = new Set(OWN_FIELDS.map((name) => name.toLowerCase()));
const IS_MILLIS = /^-?\d{6,}$/;

/** The properties of a type by name: what HubSpot knows now, archived ones left out. */
export async function propertyColumns(objectPath: string, call: RestCall): Promise<readonly PropertyColumn[]> {
  const found: PropertyColumn[] = [];
  const request = {url: `/crm/v3/properties/${encodeURIComponent(objectPath)}`};
  for await (const page of call.list({request, records: 'results'})) {
    for (const {name, type, label, calculated} of page) {
      const property = String(name);
      found.push({
        property,
        column: columnName(property),
        type: String(type),
        label: String(label ?? ''),
        isCalculated: calculated === true,
      });
    }
  }
  return found.sort((left, right) => (left.property < right.property ? -1 : 1));
}

/** A property that has the name of one of the record's own fields gets a prefix. */
function columnName(property: string): string {
  return OWN_NAMES.has(property.toLowerCase()) ? `property_${property}` : property;
}

/** How numbers land. */
export type NumberKind = 'double' | 'decimal';

/** The schema of a type. */
export function objectSchema(properties: readonly PropertyColumn[], numbers: NumberKind): StructType {
  const fields = properties.map(({column, type, label}) =>
    field(column, columnType(type, numbers), {
      metadata: {
        // All values come as texts; an empty one is a property without value, digits are milliseconds.
        [EMPTY_IS_NULL]: true,
        ...(type === 'datetime' ? {[EPOCH_UNIT]: 'ms'} : {}),
        ...(label === '' ? {} : {comment: label}),
      },
    }),
  );
  return {type: 'struct', fields: [...OWN_COLUMNS, ...fields]};
}

/**
 * Makes rows of records: their own properties objects, changed in place, for nobody else holds them. What no schema can say is done here:
 * days as milliseconds, and properties under other names.
 * @see https://developers.hubspot.com/docs/api/crm/properties
 */
export function rowMaker(properties: readonly PropertyColumn[]): (record: JsonObject) => JsonObject {
  const renamed = properties.filter(({property, column}) => property !== column);
  const days = properties.filter(({type}) => type === 'date');
  return (record) => {
    const row = (isJsonObject(record['properties']) ? record['properties'] : {}) as Record<string, JsonValue>;
    for (const {property, column} of renamed) row[column] = row[property] ?? null;
    for (const {column} of days) {
      const day = row[column];
      // Older records have days as milliseconds of their midnight, UTC.
      if (typeof day === 'string' && IS_MILLIS.test(day))
        row[column] = new Date(Number(day)).toISOString().slice(0, 10);
    }
    for (const name of OWN_FIELDS) row[name] = record[name] ?? null;
    return row;
  };
}

function columnType(type: string, numbers: NumberKind): DataType {
  switch (type) {
    case 'number':
      return numbers === 'decimal' ? decimal(38, 12).type : 'double';
    case 'bool':
      return 'boolean';
    case 'date':
      return 'date';
    case 'datetime':
      return 'timestamp';
    default:
      return 'string';
  }
}

function field(
  name: string,
  type: DataType,
  {nullable = true, metadata = {}}: Partial<Pick<StructField, 'nullable' | 'metadata'>> = {},
): StructField {
  return {name, type, nullable, metadata};
}
