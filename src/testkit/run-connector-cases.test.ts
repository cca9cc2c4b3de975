import {expect, it} from 'vitest';

import {IngestError} from '../core/errors.ts';
import type {ConnectorCase} from './connector-proof.ts';
import {runConnectorCases} from './run-connector-cases.ts';

const fails: ConnectorCase = {
  name: 'a',
  suite: 'generic',
  run: () => Promise.reject(new IngestError('SOURCE_ERROR', 'No answer.\nCase: a (seed 1)', {fix: 'Ask again.'})),
};
const passes: ConnectorCase = {name: 'b', suite: 'generic', run: () => Promise.resolve()};

it('tells why a case fails without its name, and goes on unless told to stop', async () => {
  const all = await runConnectorCases([fails, passes]);
  expect(all).toMatchObject({passed: 1, failed: 1});
  expect(all.results[0]).toMatchObject({reason: 'SOURCE_ERROR: No answer.', fix: 'Ask again.'});
  expect(await runConnectorCases([fails, passes], {stopsAtFailure: true})).toMatchObject({passed: 0, failed: 1});
});
