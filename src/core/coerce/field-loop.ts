import type {JsonObject, JsonValue} from '../json-value.ts';
import type {ColumnWriter} from './column-writer.ts';
import {type Misfits, pathPart} from './misfits.ts';

/** One field of a struct or table as the loop writes it. */
export interface LoopField {
  readonly name: string;
  readonly writer: ColumnWriter;
  /** A null or a misfit makes the whole object a misfit. */
  readonly required: boolean;
  /** Its values hold values, which may be misfits on their own. */
  readonly nested: boolean;
  /** An empty text is null. */
  readonly emptyIsNull: boolean;
  /** Read from what comes beside the object, not from the object. */
  readonly beside?: boolean;
}

/** Writes the fields of JSON objects. */
export interface FieldLoop {
  /** Writes all fields of a row; the index of the first required field that is null or does not fit, or -1. `beside` has the fields that are read from there. */
  write(row: number, object: JsonObject, beside?: JsonObject): number;
}

/** What a loop tells about fields that nobody asked for. */
export interface UnknownFields {
  /** Names that are no fields and yet no news. */
  readonly ignored: ReadonlySet<string>;
  /** Called for an object that has so many other names. */
  readonly found: (object: JsonObject, count: number) => void;
}

/**
 * Generates the loop over the fields as code. With the names in the code, and one place per writer, the engine specialises
 * both on the shape of the records and on the types: a third less time for the whole coercion than a loop over lists of
 * names and writers, and more when several tables are read in one process. Names enter the code as JSON literals only.
 */
export function compileFieldLoop(
  fields: readonly LoopField[],
  misfits: Misfits,
  unknown: UnknownFields | null,
): FieldLoop {
  const body = [
    'let value = null, known = 0, before = 0;',
    ...fields.flatMap((field, index) => fieldCode(field, index)),
    ...(unknown === null ? [] : unknownCode([...unknown.ignored])),
    'return -1;',
  ].join('\n');
  // oxlint-disable-next-line typescript/no-implied-eval -- only JSON literals and numbers of ours become code
  const build = new Function(
    'writers',
    'misfits',
    'found',
    `${destructured(fields.length)}\nreturn (row, object, beside) => {\n${body}\n};`,
  ) as (
    writers: readonly ColumnWriter[],
    misfits: Misfits,
    found: UnknownFields['found'] | undefined,
  ) => FieldLoop['write'];
  return {
    write: build(
      fields.map((field) => field.writer),
      misfits,
      unknown?.found,
    ),
  };
}

function destructured(count: number): string {
  return `"use strict"; const [${Array.from({length: count}, (_, index) => `w${index}`).join(', ')}] = writers;`;
}

function fieldCode(field: LoopField, index: number): readonly string[] {
  const path = JSON.stringify(pathPart(field.name));
  const misfit = field.required ? `return ${index};` : `misfits.add(${path}, value);`;
  return [
    `value = ${field.beside === true ? `beside[${JSON.stringify(field.name)}]` : read(field.name)};`,
    ...(field.beside === true ? [] : ['if (value !== undefined) known++;']),
    ...(field.emptyIsNull ? ["if (value === '') value = null;"] : []),
    ...(field.required ? [`if (value === null || value === undefined) return ${index};`] : []),
    ...(field.nested ? ['before = misfits.length;'] : []),
    `if (!w${index}.write(row, value)) { ${misfit} }`,
    ...(field.nested ? [`else if (misfits.length > before) misfits.prefix(before, ${path});`] : []),
  ];
}

/** More names than were read means that some are unknown: a count is cheaper than looking each of them up. */
function unknownCode(ignored: readonly string[]): readonly string[] {
  return [
    ...ignored.map((name) => `if (${read(name)} !== undefined) known++;`),
    'let count = 0;',
    'for (const name in object) count++;',
    'if (count !== known) found(object, count - known);',
  ];
}

/** Names that every object inherits are read only where the record has them itself. */
function read(name: string): string {
  const literal = JSON.stringify(name);
  return name in Object.prototype
    ? `(Object.hasOwn(object, ${literal}) ? object[${literal}] : undefined)`
    : `object[${literal}]`;
}

/** The value of a field as the loop reads it. */
export function fieldValue(object: JsonObject, name: string): JsonValue | undefined {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}
