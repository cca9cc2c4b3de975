import {z} from 'zod';

import {replySchema} from './document-parts.ts';
import type {PagingSpec} from './paging-spec.ts';

const place = z.union([z.strictObject({body: z.string()}), z.strictObject({header: z.string()})]);

const facts = {
  pageSize: z.int().min(1).exactOptional(),
  total: place.exactOptional(),
  pages: place.exactOptional(),
  hasMore: place.exactOptional(),
  isLast: place.exactOptional(),
  whenLast: z.enum(['absent', 'null', 'empty']).exactOptional(),
  linkHeader: z.boolean().exactOptional(),
  reach: z.strictObject({rows: z.int().min(1), reply: replySchema.exactOptional()}).exactOptional(),
};
const next = {
  next: place.exactOptional(),
  nextAs: z.enum(['value', 'text', 'url', 'relativeUrl']).exactOptional(),
};
const cursor = {
  remembers: z.enum(['key', 'offset']).exactOptional(),
  expiresAfterMs: z.number().positive().exactOptional(),
  endless: z.boolean().exactOptional(),
  delta: z
    .strictObject({
      next: place,
      nextAs: z.enum(['value', 'url']).exactOptional(),
      param: z.string(),
      expiresAfterMs: z.number().positive().exactOptional(),
    })
    .exactOptional(),
};

/** See {@link PagingSpec}. */
export const pagingSchema: z.ZodType<PagingSpec> = z.discriminatedUnion('style', [
  z.strictObject({style: z.literal('none')}),
  z.strictObject({style: z.literal('page'), ...facts, ...next}),
  z.strictObject({style: z.literal('offset'), multiple: z.boolean().exactOptional(), ...facts, ...next}),
  z.strictObject({style: z.literal('cursor'), ...facts, ...next, ...cursor}),
  z.strictObject({
    style: z.literal('keyset'),
    whenGone: z.enum(['continue', 'error']).exactOptional(),
    ...facts,
    ...next,
  }),
  z.strictObject({style: z.literal('odata'), ...facts, ...cursor}),
]);
