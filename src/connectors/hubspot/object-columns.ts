import {
  type DataType,
  decimal,
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
    field(column, columnType(type, numbers), label === '' ? {} : {comment: label}),
  );
  return {type: 'struct', fields: [...OWN_COLUMNS, ...fields]};
}

/**
 * A record as a row: its own properties object, changed in place, for nobody else holds it and copying its values costs nearly
 * as much as parsing them. All values come as texts; an empty text is a property without value.
 * @see https://developers.hubspot.com/docs/api/crm/properties
 */
export function objectRow(record: JsonObject, properties: readonly PropertyColumn[]): JsonObject {
  const row = (isJsonObject(record['properties']) ? record['properties'] : {}) as Record<string, JsonValue>;
  for (const {property, column, type} of properties) {
    const value = row[property];
    // Most values are null, or texts that stay as they are.
    if (value === null && property === column) continue;
    const landed = propertyValue(value, type);
    if (landed !== value || property !== column) row[column] = landed;
  }
  for (const name of OWN_FIELDS) row[name] = record[name] ?? null;
  return row;
}

function propertyValue(value: JsonValue | undefined, type: string): JsonValue {
  if (value === undefined || value === null || value === '') return null;
  if (typeof value !== 'string') return value;
  switch (type) {
    case 'bool':
      return value === 'true' ? true : value === 'false' ? false : value;
    // Older records have times as milliseconds, days as those of midnight, UTC.
    case 'date':
      return IS_MILLIS.test(value) ? new Date(Number(value)).toISOString().slice(0, 10) : value;
    case 'datetime':
      return IS_MILLIS.test(value) ? new Date(Number(value)).toISOString() : value;
    default:
      return value;
  }
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
  more: {readonly nullable?: boolean; readonly comment?: string} = {},
): StructField {
  const {nullable = true, comment} = more;
  return {name, type, nullable, metadata: comment === undefined ? {} : {comment}};
}
