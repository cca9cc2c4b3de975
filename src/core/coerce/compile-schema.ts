import {IngestError} from '../errors.ts';
import {BINARY_ENCODING, EMPTY_IS_NULL, EPOCH_UNIT, WIDE_TIMES} from '../schema.ts';
import type {DataType, MapType, PrimitiveType, StructField, StructType} from '../types.ts';
import type {ColumnWriter} from './column-writer.ts';
import {DecimalWriter} from './decimal-writer.ts';
import {compileFieldLoop, type LoopField, type UnknownFields} from './field-loop.ts';
import {type Misfits, pathPart} from './misfits.ts';
import {ListWriter, type MapKey, MapWriter, StructWriter} from './nested-writers.ts';
import {BooleanWriter, FloatWriter, IntegerWriter, LongWriter} from './number-writers.ts';
import type {TextArena} from './text-arena.ts';
import {type BinaryEncoding, BinaryWriter, StringWriter} from './text-writers.ts';
import {DateWriter, type EpochUnit, TimestampWriter} from './time-writers.ts';
import {TokenLoop} from './token-loop.ts';

/** A field with its writer. */
export interface CompiledField extends LoopField {
  /** The key column in or at this field, as names from the top; null when the field holds no key. */
  readonly keyPath: readonly string[] | null;
}

/**
 * Makes a writer for each field. Fields of `keys` (dotted paths into structs) are required, whatever the schema says; those of
 * `beside` are read from what comes beside the record.
 * @throws INVALID_SCHEMA
 */
export function compileFields(
  schema: StructType,
  keys: readonly string[],
  options: {
    readonly misfits: Misfits;
    readonly arena: TextArena;
    readonly rescueUnknown: boolean;
    readonly beside?: ReadonlySet<string>;
  },
): readonly CompiledField[] {
  const {misfits, arena, rescueUnknown, beside} = options;
  const keyPaths = keys.map((key) => pathOf(schema, key));
  const fields = compileStruct(schema, {misfits, arena, rescueUnknown, path: '', keyPaths});
  return beside === undefined
    ? fields
    : fields.map((field) => (beside.has(field.name) ? {...field, beside: true} : field));
}

/** Where the compiler stands. */
interface Place {
  readonly misfits: Misfits;
  readonly arena: TextArena;
  /** Fields of structs that the schema does not have are misfits. */
  readonly rescueUnknown: boolean;
  /** For messages. */
  readonly path: string;
  /** Key columns at or under this place, as names relative to it. */
  readonly keyPaths: readonly (readonly string[])[];
}

type Metadata = StructField['metadata'];

const NONE: ReadonlySet<string> = new Set();

function compileStruct(schema: StructType, place: Place): readonly CompiledField[] {
  return schema.fields.map((field) => {
    const keyPath = place.keyPaths.find(([name]) => name === field.name) ?? null;
    const inner: Place = {
      misfits: place.misfits,
      arena: place.arena,
      rescueUnknown: place.rescueUnknown,
      path: place.path === '' ? field.name : `${place.path}.${field.name}`,
      keyPaths: place.keyPaths
        .filter(([name, ...rest]) => name === field.name && rest.length > 0)
        .map((path) => path.slice(1)),
    };
    return {
      name: field.name,
      writer: writerOf(field.type, field.metadata, inner),
      required: !field.nullable || keyPath !== null,
      nested: typeof field.type === 'object' && field.type.type !== 'decimal',
      emptyIsNull: field.metadata[EMPTY_IS_NULL] === true,
      keyPath,
    };
  });
}

function writerOf(type: DataType, metadata: Metadata, place: Place): ColumnWriter {
  if (typeof type === 'string') return primitiveWriter(type, metadata, place);
  const {misfits} = place;
  switch (type.type) {
    case 'decimal':
      return new DecimalWriter(type);
    case 'array': {
      const writer = writerOf(type.elementType, metadata, {...place, keyPaths: []});
      return new ListWriter({writer, nullable: type.containsNull}, misfits);
    }
    case 'map': {
      const writer = writerOf(type.valueType, metadata, {...place, keyPaths: []});
      return new MapWriter(mapKey(type, metadata, place), {writer, nullable: type.valueContainsNull}, misfits);
    }
    case 'struct': {
      const fields = compileStruct(type, place);
      return new StructWriter(
        fields.map((field) => field.writer),
        {
          loop: compileFieldLoop(fields, misfits, place.rescueUnknown ? rescuedFields(fields, misfits) : null),
          tokens: new TokenLoop(fields, {ignored: NONE, refusesUnknown: place.rescueUnknown}),
        },
        misfits,
      );
    }
  }
}

/** Makes misfits of the values of an object that are no fields. */
function rescuedFields(fields: readonly CompiledField[], misfits: Misfits): UnknownFields {
  const known = new Set(fields.map((field) => field.name));
  return {
    ignored: new Set(),
    found(object): void {
      for (const name of Object.keys(object)) {
        const value = object[name];
        if (value !== undefined && value !== null && !known.has(name)) misfits.add(pathPart(name), value);
      }
    },
  };
}

function primitiveWriter(type: PrimitiveType, metadata: Metadata, place: Place): ColumnWriter {
  switch (type) {
    case 'string':
      return new StringWriter(false, place.arena);
    case 'variant':
      return new StringWriter(true, place.arena);
    case 'long':
      return new LongWriter();
    case 'integer':
      return new IntegerWriter(32);
    case 'short':
      return new IntegerWriter(16);
    case 'byte':
      return new IntegerWriter(8);
    case 'float':
      return new FloatWriter(32);
    case 'double':
      return new FloatWriter(64);
    case 'boolean':
      return new BooleanWriter();
    case 'binary':
      return new BinaryWriter(hint(metadata, BINARY_ENCODING, BINARY_ENCODINGS, place) ?? 'base64');
    case 'date':
      return new DateWriter(metadata[WIDE_TIMES] === true);
    case 'timestamp':
    case 'timestamp_ntz':
      return new TimestampWriter(hint(metadata, EPOCH_UNIT, EPOCH_UNITS, place), {
        isWallClock: type === 'timestamp_ntz',
        isWide: metadata[WIDE_TIMES] === true,
      });
  }
}

const EPOCH_UNITS: readonly EpochUnit[] = ['s', 'ms', 'us'];
const BINARY_ENCODINGS: readonly BinaryEncoding[] = ['base64', 'hex', 'utf8'];

/** A value of the field's metadata; null when there is none. @throws INVALID_SCHEMA when it is none of the choices. */
function hint<T extends string>(metadata: Metadata, name: string, choices: readonly T[], place: Place): T | null {
  const given = metadata[name];
  if (given === undefined || given === null) return null;
  const choice = choices.find((candidate) => candidate === given);
  if (choice !== undefined) return choice;
  throw invalid(place, `has the metadata ${name} = ${JSON.stringify(given)}`, `Use one of: ${choices.join(', ')}.`);
}

const INTEGER_KEY = /^(?:0|-?[1-9]\d*)$/;
const KEY_FORMS: Partial<Record<PrimitiveType, RegExp>> = {
  string: /^/,
  byte: INTEGER_KEY,
  short: INTEGER_KEY,
  integer: INTEGER_KEY,
  long: INTEGER_KEY,
  boolean: /^(?:true|false)$/,
  date: /^\d{4}-\d{2}-\d{2}$/,
};

function mapKey(type: MapType, metadata: Metadata, place: Place): MapKey {
  const form = typeof type.keyType === 'string' ? KEY_FORMS[type.keyType] : undefined;
  if (form === undefined) {
    throw invalid(
      place,
      'is a map whose keys cannot be told apart as names of a JSON object',
      'Declare the keys as string.',
    );
  }
  return {writer: writerOf(type.keyType, metadata, {...place, keyPaths: []}), isCanonical: (name) => form.test(name)};
}

/** A key as names from the top: a top-level name that contains dots counts as one name. */
function pathOf(schema: StructType, key: string): readonly string[] {
  const path = schema.fields.some((field) => field.name === key) ? [key] : key.split('.');
  let type: DataType = schema;
  for (const name of path) {
    const field: StructField | undefined =
      typeof type === 'object' && type.type === 'struct'
        ? type.fields.find((candidate) => candidate.name === name)
        : undefined;
    if (field === undefined)
      throw new IngestError('INVALID_SCHEMA', `The key column "${key}" is not in the schema.`, {
        context: {column: key},
      });
    type = field.type;
  }
  return path;
}

function invalid(place: Place, what: string, fix: string): IngestError {
  return new IngestError('INVALID_SCHEMA', `The field "${place.path}" ${what}.`, {fix, context: {path: place.path}});
}
