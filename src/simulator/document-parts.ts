import {z} from 'zod';

import {ExactNumber, type JsonObject, type JsonValue} from '../core/json-value.ts';
import type {ErrorReply, SimulatedMethod, TimeFormat} from './simulator-spec.ts';

/** Any JSON value, exact numbers among them. */
export const jsonSchema: z.ZodType<JsonValue> = z.custom<JsonValue>(isJson, 'must be JSON');

/** A JSON object. */
export const objectSchema: z.ZodType<JsonObject> = z.custom<JsonObject>(
  (value) => isJson(value) && typeof value === 'object' && value !== null && !Array.isArray(value),
  'must be an object',
);

/** Texts by name. */
export const textsSchema: z.ZodType<Readonly<Record<string, string>>> = z.record(z.string(), z.string());

/** See {@link TimeFormat}. */
export const timeFormatSchema: z.ZodType<TimeFormat> = z.enum([
  'iso',
  'isoSeconds',
  'epochSeconds',
  'epochMs',
  'sqlSeconds',
]);

/** See {@link SimulatedMethod}. */
export const methodSchema: z.ZodType<SimulatedMethod> = z.enum(['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD']);

/** The fields of {@link ErrorReply}. */
export const replyFields: {
  readonly status: z.ZodInt;
  readonly headers: z.ZodExactOptional<typeof textsSchema>;
  readonly body: z.ZodExactOptional<typeof jsonSchema>;
} = {
  status: z.int().min(200).max(599),
  headers: z.exactOptional(textsSchema),
  body: z.exactOptional(jsonSchema),
};

/** See {@link ErrorReply}. */
export const replySchema: z.ZodType<ErrorReply> = z.strictObject(replyFields);

function isJson(value: unknown): boolean {
  if (value === null || value instanceof ExactNumber) return true;
  if (['string', 'number', 'boolean', 'bigint'].includes(typeof value)) return true;
  if (Array.isArray(value)) return value.every(isJson);
  return typeof value === 'object' && Object.values(value).every((one) => one === undefined || isJson(one));
}
