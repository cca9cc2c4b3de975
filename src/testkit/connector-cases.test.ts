import {describe, it} from 'vitest';

import {connectorCases} from './connector-cases.ts';
import {shopProof} from './shop.support.test.ts';

describe('a connector without mistakes', () => {
  for (const each of connectorCases(shopProof())) if (each.excluded === undefined) it(each.name, each.run, 60_000);
});
