import {connectorCases} from 'sluice/testkit';
import {describe, it} from 'vitest';

import {mySourceProof} from './simulator.ts';

// What `sluice connector test .` runs, as tests of this folder; tests of your own stand beside it.
describe('my_source', () => {
  for (const one of connectorCases(mySourceProof)) {
    it.skipIf(one.excluded !== undefined)(one.name, one.run, 60_000);
  }
});
