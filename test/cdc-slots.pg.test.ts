import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';

import {afterAll, beforeAll, expect, test} from 'vitest';

import {loadGateways, loadPipelines} from '../src/runtime/config/load-pipelines.ts';
import {removeGateway} from '../src/runtime/gateway/run-gateway.ts';
import {verifyPipeline} from '../src/runtime/verify.ts';
import {startGateway} from './cdc-gateway.ts';
import {Shop} from './cdc-shop.ts';
import {startPostgres, type PostgresServer} from './postgres.ts';

let server: PostgresServer;
let shop: Shop;

beforeAll(async () => {
  server = await startPostgres();
  shop = await Shop.open(server);
});
afterAll(async () => {
  await shop[Symbol.asyncDispose]();
  await server.close();
});

/** Two gateways of one database, each with a pipeline: the one for the table that is written most, the other for the rest. */
function bundle(): object {
  const {resources} = shop.bundle() as {resources: {connections: object}};
  const pipeline = (gateway: string, tables: readonly string[]): object => ({
    catalog: 'main',
    schema: 'shop',
    ingestion_definition: {
      ingestion_gateway_id: gateway,
      objects: tables.map((name) => ({table: {source_schema: 'public', source_table: name}})),
    },
  });
  return {
    resources: {
      connections: resources.connections,
      pipelines: {
        busy_gateway: {gateway_definition: {connection_name: 'db'}},
        other_gateway: {gateway_definition: {connection_name: 'db'}},
        busy: pipeline('busy_gateway', ['orders']),
        other: pipeline('other_gateway', ['customers', 'items']),
      },
    },
  };
}

test('tables of one database come through several slots at once, each with its own publication, staging and place', async () => {
  await shop.sql(`CREATE TABLE customers (id int PRIMARY KEY, name text); CREATE TABLE items (id int PRIMARY KEY, name text);
    INSERT INTO customers SELECT g, 'c' || g FROM generate_series(1, 50) g`);
  const {gateways} = await loadGateways({data: bundle(), variables: {}, cwd: shop.lake, env: {}});
  expect(gateways.map(({gatewayId}) => gatewayId)).toEqual(['busy_gateway', 'other_gateway']);
  const running = await Promise.all(gateways.map((gateway) => startGateway(gateway, shop.lake)));
  await Promise.all(running.map((gateway) => gateway.staged()));
  expect(await shop.sql('SELECT slot_name, active FROM pg_replication_slots ORDER BY 1')).toEqual([
    {slot_name: 'sluice_busy_gateway', active: true},
    {slot_name: 'sluice_other_gateway', active: true},
  ]);
  expect(await shop.sql('SELECT pubname, tablename FROM pg_publication_tables ORDER BY 1, 2')).toEqual([
    {pubname: 'sluice_busy_gateway', tablename: 'orders'},
    {pubname: 'sluice_other_gateway', tablename: 'customers'},
    {pubname: 'sluice_other_gateway', tablename: 'items'},
  ]);
  for (const pipeline of gateways.flatMap(({pipelines}) => pipelines)) await shop.run(pipeline);
  await shop.sql(`BEGIN; UPDATE orders SET total = total + 1 WHERE id < 100; DELETE FROM customers WHERE id = 3;
    INSERT INTO items VALUES (1, 'one'); COMMIT`);
  await Promise.all(running.map((gateway) => gateway.staged()));
  expect(shop.notes.filter((note) => note.includes('GATEWAY_HEALTH'))).toEqual([]);
  for (const gateway of running) await gateway.stop();
  for (const pipeline of gateways.flatMap(({pipelines}) => pipelines)) await shop.run(pipeline);
  await shop.sql('DELETE FROM customers WHERE id = 99');
  for (const table of ['orders', 'customers', 'items']) await shop.expectEqual(table);
  // Nothing is waited for that would not come.
  const {pipelines} = await loadPipelines({data: bundle(), variables: {}, cwd: shop.lake, env: {}});
  const other = pipelines.find(({key}) => key === 'other');
  if (other === undefined) throw new Error('no pipeline');
  await shop.sql(`INSERT INTO customers VALUES (99, 'late')`);
  const place = {lake: shop.lake, signal: new AbortController().signal};
  const verdicts = await verifyPipeline(other, {...place, tables: []});
  expect(verdicts.find(({flow}) => flow.endsWith('customers'))).toMatchObject({
    verdict: 'not_comparable',
    reason: expect.stringContaining('does not run since') as string,
  });
  // A gateway that was killed does not even say that.
  const file = join(shop.lake, '_sluice', 'staging', 'other_gateway', 'status.json');
  const said = JSON.parse(await readFile(file, 'utf8')) as object;
  await writeFile(file, JSON.stringify({...said, connection: 'streaming', updatedAt: new Date().toISOString()}));
  const [soon] = await verifyPipeline(other, {...place, tables: ['customers']});
  expect(soon).toMatchObject({verdict: 'not_comparable', reason: expect.stringContaining('has ended') as string});
  await shop.run(gateways.flatMap(({pipelines: bound}) => bound).find(({key}) => key === 'other'));
  // What they staged has landed, and nobody is left to believe that it is all there is.
  expect(shop.notes.filter((note) => note.includes('GATEWAY_HEALTH'))).toEqual([
    expect.stringContaining('WARN GATEWAY_HEALTH Gateway "busy_gateway" does not run since'),
    expect.stringContaining('WARN GATEWAY_HEALTH Gateway "other_gateway" does not run since'),
    expect.stringContaining('WARN GATEWAY_HEALTH Gateway "other_gateway" does not run since'),
  ]);
  expect(shop.notes.filter((note) => /TABLE_RESET|EPOCH_BEGAN/.test(note))).toEqual([]);
  const [busy] = gateways;
  if (busy === undefined) throw new Error('no gateway');
  await removeGateway(busy, {lake: shop.lake, signal: new AbortController().signal});
  expect(await shop.sql('SELECT slot_name FROM pg_replication_slots')).toEqual([{slot_name: 'sluice_other_gateway'}]);
}, 180_000);
