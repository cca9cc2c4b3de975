import {z} from 'zod';

import {timeFormatSchema} from './document-parts.ts';
import type {ParamSpec} from './simulator-spec.ts';

const place = {
  in: z.enum(['query', 'body', 'header']).exactOptional(),
  required: z.boolean().exactOptional(),
};
const filter = {
  ...place,
  field: z.string(),
  op: z.enum(['eq', 'ne', 'gt', 'gte', 'lt', 'lte', 'in', 'between', 'prefix', 'contains']).exactOptional(),
  separator: z.string().exactOptional(),
  as: timeFormatSchema.exactOptional(),
  any: z.string().exactOptional(),
  default: z.string().exactOptional(),
};

/** See {@link ParamSpec}. */
export const paramSchema: z.ZodType<ParamSpec> = z.discriminatedUnion('role', [
  z.strictObject({role: z.literal('filter'), ...filter}),
  z.strictObject({role: z.literal('since'), ...filter}),
  z.strictObject({role: z.literal('until'), ...filter}),
  z.strictObject({
    role: z.literal('limit'),
    ...place,
    default: z.int().min(1).exactOptional(),
    max: z.int().min(1).exactOptional(),
    above: z.enum(['cap', 'error']).exactOptional(),
  }),
  z.strictObject({role: z.literal('page'), ...place, first: z.literal([0, 1]).exactOptional()}),
  z.strictObject({role: z.literal('offset'), ...place}),
  z.strictObject({role: z.literal('cursor'), ...place}),
  z.strictObject({role: z.literal('after'), ...place}),
  z.strictObject({role: z.literal('before'), ...place}),
  z.strictObject({role: z.literal('sort'), ...place, options: z.record(z.string(), z.string()).exactOptional()}),
  z.strictObject({role: z.literal('order'), ...place}),
  z.strictObject({
    role: z.literal('fields'),
    ...place,
    separator: z.string().exactOptional(),
    under: z.string().exactOptional(),
  }),
  z.strictObject({
    role: z.literal('deleted'),
    ...place,
    values: z.record(z.string(), z.enum(['rows', 'deleted', 'all', 'events'])).exactOptional(),
  }),
  z.strictObject({role: z.literal('ignore'), ...place}),
]);
