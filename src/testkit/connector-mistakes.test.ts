import {describe, expect, it} from 'vitest';

import {connectorCases} from './connector-cases.ts';
import {shopProof, type Mistake} from './shop.support.test.ts';

/** A case that catches each mistake; without the case the mistake would pass. */
const CAUGHT_BY: Readonly<Record<Mistake, readonly string[]>> = {
  'reads past ties': ['exactness: equals the source after small and large batches alike: items'],
  'skips the last page': ['exactness: equals the source after a first load: items'],
  'excludes its bound': [
    'exactness: equals the source after small and large batches alike: items',
    'resume: equals the source after a kill at every page of a first load: items',
  ],
  'ignores errors in answers with status 200': [
    'faults: equals the source after every fault during a first load: items',
  ],
  'keeps its offset': ['exactness: equals the source after small and large batches alike: items'],
  'moves its offset before the rows': ['exactness: equals the source after small and large batches alike: items'],
  'drops deletes': [
    'exactness: equals the source after deletes: items',
    'writeback: follows a delete that was written: items',
  ],
  'repeats rows in append tables': ['exactness: equals the source after inserts: notes'],
  'takes 429 for the end': ['faults: equals the source after every fault during a first load: items'],
  'keeps the place in the instance': ['generic: reads the same rows, or more, from the same offset: items'],
  'knows no unknown tables': ['generic: refuses an unknown table with UNKNOWN_TABLE and a suggestion'],
  'adds the time of reading': ['generic: reads the same rows from equal sources, and at any time: items'],
  'gives a wrong type': ['generic: reads rows that land whole: keys, required columns, types: items'],
  'forgets a required column': ['generic: reads rows that land whole: keys, required columns, types: items'],
  'misnames a column': [
    'generic: fills every column in some row: items',
    'writeback: reads a row back that was written: items',
  ],
  'reads for ever': ['generic: ends a trigger, and brings nothing new from a quiet source: items'],
  'reads offsets by the order of their keys': [
    'generic: reads on from an offset whatever the order of its keys: items',
  ],
  'shows the token': ['generic: refuses wrong credentials with AUTH_FAILED and shows no secret'],
  'fails for good on 503': ['faults: equals the source after every fault during a first load: items'],
  'trusts the last row of a page': ['faults: equals the source after every fault during a first load: notes'],
  'pages by number': ['exactness: equals the source after rows that change while they are paged: items'],
  'leaves a gap between partitions': ['partition: reads every row in exactly one partition: parts'],
  'reads borders of partitions twice': ['partition: reads every row in exactly one partition: parts'],
  'plans for equal offsets': ['partition: gives no partitions between equal offsets, and stands still: parts'],
  'numbers its partitions': ['partition: gives partitions that are plain JSON, the same for the same range: parts'],
  'keeps its partitions in the instance': ['partition: reads partitions on another instance, in any order: parts'],
  'takes an empty offset for one': ['partition: takes an empty offset for none: parts'],
  'ends its plans after its partitions': ['partition: equals the source after changes between plan and read: parts'],
  'spreads its partitions over processes': [
    'partition: reads partitions at once within the budget of the source: parts',
  ],
  'gives live rows as deletes': ['generic: gives no live rows as deletes: items'],
  'leaves changed rows out': ['writeback: reads a change back that was written: items'],
};

/** What disturbs the connectors, so that each mistake meets the faults that show it. */
const FAULTS = ['429 with Retry-After', '503 with Retry-After', '200 with an error', 'reordered rows'];

describe('the suites catch a connector that', () => {
  for (const [mistake, names] of Object.entries(CAUGHT_BY) as [Mistake, readonly string[]][]) {
    it(
      mistake,
      async () => {
        const cases = connectorCases(shopProof([mistake], FAULTS), {full: true}).filter((each) =>
          names.includes(each.name),
        );
        expect(cases.map((each) => each.name)).toEqual(names);
        for (const each of cases) await expect(each.run()).rejects.toThrow(/Expected: |went round in circles/);
      },
      60_000,
    );
  }
});

it('a value of a wrong type is told by its column alone', async () => {
  const wanted = CAUGHT_BY['gives a wrong type'];
  const [found] = connectorCases(shopProof(['gives a wrong type'])).filter((each) => wanted.includes(each.name));
  await expect(found?.run()).rejects.toThrow(/Came: {5}\d+ values that would be rescued, of [a-z_]+\n/);
});
