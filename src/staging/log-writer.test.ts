import {expect, test} from 'vitest';

import {batchOf, makeStaging, ORDERS, pointAt, readTexts, startWriter} from './staging.support.test.ts';

test('a segment begins where the manifest ends, also when that moved without a segment', async () => {
  await using made = await makeStaging();
  const {manifest, log} = await startWriter(made.staging);
  log.append(batchOf({position: 100, changes: [[ORDERS, 'a']]}));
  await log.seal();
  await manifest.append({kind: 'advance', epoch: 1, end: pointAt(500)});
  log.append(batchOf({position: 600, changes: [[ORDERS, 'b']]}));
  expect(await log.seal()).toMatchObject({start: pointAt(500), end: pointAt(610)});
  expect((await readTexts(made.staging, ORDERS)).texts).toEqual(['t100.1=a', 't600.1=b']);
});
