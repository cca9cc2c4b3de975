import {describe, it} from 'vitest';

import {connectorCases} from '../../testkit/index.ts';
import {exampleProof} from './simulator.ts';

describe('the example connector', () => {
  for (const each of connectorCases(exampleProof)) {
    if (each.excluded === undefined) it(each.name, each.run, 60_000);
  }
});
