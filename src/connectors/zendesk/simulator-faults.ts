import type {Fault} from '../../simulator/index.ts';
import type {ProofFaultSpec} from '../../testkit/index.ts';

/** What goes wrong with Zendesk, as its limits, its gateways and the network show it. */
export const ZENDESK_FAULTS: readonly ProofFaultSpec[] = [
  {name: 'a 429 with Retry-After', fault: answer(429, {'retry-after': '37'})},
  {name: 'a 503 with Retry-After', fault: answer(503, {'retry-after': '5'})},
  {name: 'a 500', fault: answer(500)},
  {name: 'a 504 of the gateway', fault: answer(504)},
  {name: 'a reset in the body', fault: {kind: 'reset', when: 'midBody'}},
  {name: 'half a body', fault: {kind: 'truncate'}},
  {name: 'a body that is no JSON', fault: {kind: 'malformed'}},
];

function answer(status: number, headers: Readonly<Record<string, string>> = {}): Fault {
  return {kind: 'answer', status, headers, body: {error: 'Something', description: 'is wrong'}};
}
