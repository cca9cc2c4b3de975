import {expect, it} from 'vitest';

import {type ConnectorDefinition, defineConnector} from '../sdk/define-connector.ts';
import {connectorCases} from './connector-cases.ts';
import {liveLogin, liveProof} from './live-proof.ts';
import {runConnectorCases} from './run-connector-cases.ts';
import {shopConnector, shopProof} from './shop.support.test.ts';
import {simulatorOf} from './simulated-source.ts';

it('shows no values of a real account, also where a snapshot holds a key twice', async () => {
  const definition = defineConnector({
    name: 'live',
    spec: {displayName: 'Live', description: 'A source of a test.', connection: {}, table: {}},
    create: () => ({
      listTables: () => Promise.resolve(['people']),
      getTableSchema: () =>
        Promise.resolve({
          type: 'struct',
          fields: [{name: 'email', type: 'string', nullable: false, metadata: {}}],
        }),
      readTableMetadata: () => Promise.resolve({primaryKeys: ['email'], ingestionType: 'snapshot'}),
      async *readTable() {
        yield [{email: 'ann@example.com'}, {email: 'ann@example.com'}];
        return null;
      },
    }),
  });
  const proof = liveProof(definition, {...liveLogin({connectionOptions: {}}), tables: ['people']});
  const said: string[] = [];
  for (const each of connectorCases(proof, {suite: 'generic'}))
    if (each.excluded === undefined) await each.run().catch((error: unknown) => said.push(String(error)));
  expect(said.join('\n')).toContain('a key more than once');
  expect(said.join('\n')).not.toContain('ann@');
});

it('writes to a real account by the connection alone, and deletes what it has written, also after a failure', async () => {
  // Stamps are seconds: time at the source goes fast, so that every write has one of its own.
  const startMs = Date.now();
  const simulated = shopProof([], null, {nowMs: () => startMs + 40 * (Date.now() - startMs)});
  await using source = await simulated.start({seed: 1});
  const shop = simulatorOf(source);
  const login = liveLogin({connectionOptions: source.connectionOptions});
  const written = async (definition: ConnectorDefinition): Promise<readonly string[]> => {
    const proof = liveProof(definition, {...login, tables: ['items'], simulated});
    const {results} = await runConnectorCases(connectorCases(proof, {suite: 'writeback', tables: ['items']}));
    return results.map(({state}) => state);
  };
  expect(await written(simulated.definition)).toEqual(['passed', 'passed', 'passed']);
  expect(await written(shopConnector('leaves changed rows out'))).toEqual(['passed', 'failed', 'passed']);
  const items = shop.collection('items');
  expect(items.tombstones()).toHaveLength(6);
  expect(items.rows().filter(({name}) => String(name).includes('sluice-test-'))).toEqual([]);
}, 60_000);
