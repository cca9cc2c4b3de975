import type {Fault, Simulator} from '../../simulator/index.ts';
import type {ProofFaultSpec} from '../../testkit/index.ts';

/** What goes wrong with GitHub, as its limits, its gateways and the network show it. */
export function githubFaults(simulator: Simulator): readonly ProofFaultSpec[] {
  return [
    {
      name: 'a secondary limit with Retry-After',
      fault: answer(403, 'You have exceeded a secondary rate limit.', {'retry-after': '60'}),
    },
    {
      name: 'a secondary limit that names no time',
      fault: answer(403, 'You have exceeded a secondary rate limit. Please wait.'),
    },
    {
      name: 'a spent budget',
      fault: () => {
        const reset = Math.ceil(simulator.clock.nowMs() / 1000) + 1800;
        const headers = {'x-ratelimit-limit': '5000', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(reset)};
        return answer(403, 'API rate limit exceeded.', headers);
      },
    },
    {name: 'a 429 with Retry-After', fault: answer(429, 'Too many requests', {'retry-after': '5'})},
    {name: 'a 502', fault: answer(502, 'Bad Gateway')},
    {name: 'a reset in the body', fault: {kind: 'reset', when: 'midBody'}},
    {name: 'half a body', fault: {kind: 'truncate'}},
    {name: 'a body that is no JSON', fault: {kind: 'malformed'}},
    {name: 'rows in another order', fault: {kind: 'shuffleRows'}},
  ];
}

function answer(status: number, message: string, headers: Readonly<Record<string, string>> = {}): Fault {
  return {kind: 'answer', status, headers, body: {message}};
}
