import type {FailpointName} from '../core/failpoint.ts';

/** Steps that a gateway comes by. */
export const GATEWAY_FAILPOINTS: readonly FailpointName[] = [
  'staging.segment-written',
  'staging.entry-written',
  'staging.checkpoint-written',
  'staging.plan-written',
  'staging.chunk-written',
  'staging.chunk-described',
  'staging.snapshot-described',
  'staging.file-retired',
  'gateway.prepared',
  'gateway.sealed',
  'gateway.acknowledged',
  'gateway.advanced',
  'gateway.snapshot-finished',
];
