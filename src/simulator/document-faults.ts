import {z} from 'zod';

import {methodSchema, replyFields} from './document-parts.ts';
import type {Fault, FaultRule} from './fault-plan.ts';

const fault: z.ZodType<Fault> = z.discriminatedUnion('kind', [
  z.strictObject({kind: z.literal('answer'), ...replyFields}),
  z.strictObject({kind: z.literal('reset'), when: z.enum(['beforeHeaders', 'midBody']).exactOptional()}),
  z.strictObject({kind: z.literal('slow'), firstByteMs: z.number().min(0)}),
  z.strictObject({
    kind: z.enum([
      'hang',
      'stall',
      'truncate',
      'malformed',
      'repeatRows',
      'stuckPage',
      'shuffleRows',
      'expireCursor',
      'expireTokens',
    ]),
  }),
]);

/** See {@link FaultRule}; `where` and `run` have no form in documents. */
export const faultRuleSchema: z.ZodType<FaultRule> = z.strictObject({
  fault,
  method: methodSchema.exactOptional(),
  path: z.string().exactOptional(),
  nth: z.union([z.int().min(1), z.array(z.int().min(1))]).exactOptional(),
  every: z.int().min(1).exactOptional(),
  probability: z.number().min(0).max(1).exactOptional(),
  inARow: z.int().min(1).exactOptional(),
  times: z.int().min(1).exactOptional(),
});
