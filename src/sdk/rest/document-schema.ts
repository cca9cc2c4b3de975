import {IngestError} from '../../core/errors.ts';
import {fromDdl} from '../../core/schema-ddl.ts';
import type {StructField} from '../../core/types.ts';
import {pathReader} from '../json-path.ts';
import {path} from './document-request.ts';
import {
  count,
  either,
  inside,
  isObject,
  map,
  object,
  optional,
  record,
  text,
  wrongAt,
  type Place,
  type Shape,
} from './document-shape.ts';
import type {RestCall} from './read-plan.ts';
import type {Listing} from './rest-request.ts';
import type {SchemaSource} from './rest-spec.ts';

/** Schemas of documents: columns as DDL, `infer`, or `describe`, which asks the source. */
export function schemaShape(listing: Shape<Listing>): Shape<SchemaSource> {
  return either<SchemaSource>(
    (value) => {
      if (typeof value === 'string') return 0;
      if (isObject(value) && isObject(value['infer'])) return 1;
      return isObject(value) && isObject(value['describe']) ? 2 : 3;
    },
    ddl,
    inferred,
    map(object({describe: describedShape(listing)}), ({describe}): SchemaSource => describe),
    columns,
  );
}

const ddl: Shape<SchemaSource> = map(text, (value, place): SchemaSource =>
  value === 'infer' ? {infer: {}} : checkedDdl(value, place),
);

const columns: Shape<string> = map(record(text), (types, place): string => {
  for (const [name, type] of Object.entries(types)) checkedDdl(`\`${name}\` ${type}`, inside(place, name));
  return Object.entries(types)
    .map(([name, type]) => `\`${name}\` ${type}`)
    .join(', ');
});

const inferred: Shape<SchemaSource> = map(
  object({infer: object({records: optional(count), hints: optional(text)})}),
  ({infer}): SchemaSource => ({infer}),
);

/** One column for each record of a listing; types of the source by a table of types. */
function describedShape(
  listing: Shape<Listing>,
): Shape<(call: RestCall) => Promise<{type: 'struct'; fields: StructField[]}>> {
  const shape = object({
    list: listing,
    name: path,
    type: optional(path),
    types: optional(record(type)),
    other: optional(type),
    columns: optional(columns),
  });
  return map(shape, ({list, name, type: typePath, types = {}, other = 'STRING', columns: own = ''}) => {
    const nameOf = pathReader(name);
    const typeOf = typePath === undefined ? () => undefined : pathReader(typePath);
    return async (call) => {
      const fields = new Map((own === '' ? [] : fromDdl(own).fields).map((field) => [field.name, field]));
      for await (const page of call.list(list)) {
        for (const described of page) {
          const column = nameOf(described);
          if (typeof column !== 'string' || column === '') throw nameless(call.table, name);
          const word = String(typeOf(described) ?? '');
          const [field] = fromDdl(`c ${Object.hasOwn(types, word) ? (types[word] ?? other) : other}`).fields;
          // Columns that the document declares itself are as it says.
          if (field !== undefined && !fields.has(column)) fields.set(column, {...field, name: column});
        }
      }
      return {type: 'struct', fields: [...fields.values()]};
    };
  });
}

const type: Shape<string> = map(text, (value, place) => {
  checkedDdl(`c ${value}`, place);
  return value;
});

function nameless(table: string, name: string): IngestError {
  return new IngestError('SOURCE_ERROR', `${table}: the source describes a column without "${name}".`, {
    fix: 'Correct the path of the name in describe.',
    context: {table},
  });
}

function checkedDdl(value: string, place: Place): string {
  try {
    fromDdl(value);
    return value;
  } catch (error) {
    throw wrongAt(
      place,
      `is no schema: ${error instanceof Error ? error.message.replace(/\.$/, '') : ''}`,
      'Write columns like id: BIGINT NOT NULL.',
    );
  }
}
