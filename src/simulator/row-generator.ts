import type {JsonObject, JsonValue} from '../core/json-value.ts';
import {formatTime} from './row-values.ts';
import type {GeneratedField, GeneratorSpec} from './simulator-spec.ts';

/** Rows of a description, one after the other; equal random numbers give equal rows. */
export function* generatedRows({count, fields}: GeneratorSpec, random: () => number): Generator<JsonObject> {
  for (let index = 0; index < count; index++) yield generatedRow(fields, index, random);
}

function generatedRow(
  fields: Readonly<Record<string, GeneratedField>>,
  index: number,
  random: () => number,
): JsonObject {
  return Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, generated(field, index, random)]));
}

function generated(field: GeneratedField, index: number, random: () => number): JsonValue {
  if (field.nulls !== undefined && random() < field.nulls) return null;
  switch (field.kind) {
    case 'sequence':
      return (field.start ?? 1) + index * (field.step ?? 1);
    case 'text':
      return field.template.replaceAll('{n}', String(index + 1));
    case 'time': {
      const step = Math.floor(index / (field.ties ?? 1));
      return formatTime(Date.parse(field.start) + step * field.stepMs, field.format);
    }
    case 'choice':
      return field.of[Math.floor(random() * field.of.length)] ?? null;
    case 'number':
      return Number((field.min + random() * (field.max - field.min)).toFixed(field.decimals ?? 0));
    case 'boolean':
      return random() < 0.5;
    case 'constant':
      return field.value;
    case 'object':
      return generatedRow(field.fields, index, random);
  }
}
