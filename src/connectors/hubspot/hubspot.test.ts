import {afterEach, describe, expect, test} from 'vitest';

import type {JsonObject} from '../../sdk/index.ts';
import {openSimulatedWorld, sampledCases, type SimulatedWorld} from '../../testkit/index.ts';
import {hubspot} from './index.ts';
import {hubspotProof} from './simulator-proof.ts';
import {
  HUBSPOT_OAUTH,
  HUBSPOT_TOKEN,
  type HubspotSimulator,
  hubspotSimulator,
  type HubspotSimulatorOptions,
} from './simulator.ts';

/** One table of each way of reading: everything is proved. */
const WAYS = ['contacts', 'contacts_to_companies', 'marketing_emails'];
/** Of the others what their declaration could get wrong. */
const DECLARED =
  /gives metadata|fills every column|after (updates|deletes)|after inserts: (email|form)_|^partition: .*: (email_|marketing_campaign_asset)|after a kill .*: (email_events|marketing_campaign_asset)/;
/** Read alike: one stands for all of them. */
const ALIKE =
  /^(contacts|companies|deals|calls|emails|meetings|notes|tasks)_to_|^(deals|products|line_items|quotes|leads|orders|calls|emails|meetings|notes|tasks)$/;

describe('the suites', () => {
  const cases = sampledCases(hubspotProof, {
    whole: WAYS,
    ofAll: (name) => /^generic: (?!lands every table)/.test(name),
    ofOthers: (name, table) => !ALIKE.test(table) && DECLARED.test(name),
    written: (table) => !table.includes('_to_'),
  });
  for (const {name, run} of cases) test(name, run, 60_000);
});

type World = SimulatedWorld<HubspotSimulator>;

let world: World | null = null;
afterEach(async () => {
  await world?.[Symbol.asyncDispose]();
  world = null;
});

async function open(options: HubspotSimulatorOptions = {}): Promise<World> {
  const source = await hubspotSimulator({records: 12, pageCap: 5, ...options});
  world = await openSimulatedWorld(source, {definition: hubspot, login: {access_token: HUBSPOT_TOKEN}});
  return world;
}

function idsOf({source: {portal}}: World, type: string): readonly {readonly id: string}[] {
  return [...portal.ids(type)].sort().map((id) => ({id}));
}

/** Lets the search see everything. */
function settle({source: {simulator}}: World): void {
  simulator.clock.advance(120_000);
}

function idAt({source: {portal}}: World, type: string, index: number): string {
  const id = portal.ids(type)[index];
  if (id === undefined) throw new Error(`nothing of ${type} at ${index}`);
  return id;
}

/** Texts of the requests to a path. */
function bodiesOf({source: {simulator}}: World, path: string): readonly string[] {
  return simulator.requests.filter((request) => request.path === path).map(({text}) => text);
}

describe('in a lake', () => {
  test('SCD type 2 has a version for every change that was read, and ends it with the archiving', async () => {
    const here = await open();
    const table = {source: 'deals', configuration: {scdType: 'SCD_TYPE_2'}} as const;
    await here.run(table);
    const id = idAt(here, 'deals', 0);
    for (const dealname of ['first', 'second']) {
      here.source.portal.update('deals', id, {dealname});
      settle(here);
      await here.run(table);
    }
    here.source.portal.archive('deals', id);
    settle(here);
    expect(await here.run(table)).toMatchObject({state: 'COMPLETED'});
    const versions = (await here.rows('deals', 'id, dealname, __END_AT IS NULL AS is_open')).filter(
      (row) => row['id'] === id,
    );
    expect(versions.map(({dealname}) => dealname)).toEqual(expect.arrayContaining(['first', 'second']));
    expect(versions).toHaveLength(3);
    expect(versions.every((row) => row['is_open'] === false)).toBe(true);
  });

  test('what landed is compared with HubSpot, value by value', async () => {
    const here = await open();
    for (const source of ['contacts', 'cars', 'contacts_to_companies']) {
      const {verdicts} = await here.run({source, configuration: {verify: {afterSnapshot: true, intervalHours: 0}}});
      expect(verdicts).toMatchObject([{verdict: 'equal'}]);
    }
  });

  test('records that were merged into another one are deleted', async () => {
    const here = await open();
    const {portal} = here.source;
    for (const type of ['contacts', 'companies']) {
      await here.run({source: type});
      portal.merge(type, idAt(here, type, 1), idAt(here, type, 4));
      portal.merge(type, idAt(here, type, 1), idAt(here, type, 2));
      settle(here);
      await here.run({source: type});
      expect(await here.rows(type)).toEqual(idsOf(here, type));
    }
  });

  test('a record that was removed for good is found by a key scan', async () => {
    const here = await open();
    const table = {source: 'contacts', configuration: {hardDeletionSyncMinIntervalSeconds: 60}};
    await here.run(table);
    here.source.portal.purge('contacts', idAt(here, 'contacts', 3));
    settle(here);
    await here.run(table);
    expect(await here.rows('contacts')).toEqual(idsOf(here, 'contacts'));
  });

  test('more records of one millisecond than a search gives are drained by their ids', async () => {
    const here = await open({pageCap: 200});
    await here.run({source: 'products'});
    here.source.portal.createTied('products', 10_250);
    settle(here);
    here.source.portal.create('products');
    settle(here);
    expect(await here.run({source: 'products'})).toMatchObject({state: 'COMPLETED'});
    expect(await here.rows('products', 'count(DISTINCT id) AS n')).toEqual([
      {n: BigInt(idsOf(here, 'products').length)},
    ]);
    expect(bodiesOf(here, '/crm/v3/objects/products/search').some((text) => text.includes('"GT"'))).toBe(true);
  }, 60_000);

  test('a daily limit stops the run and loses nothing: the next day goes on', async () => {
    const here = await open({daily: 4});
    const end = await here.run({source: 'companies', configuration: {maxRecordsPerBatch: 1}});
    expect(end).toMatchObject({state: 'FAILED', flows: [{errorCode: 'THROTTLED'}]});
    expect(end.flows[0]?.batches).toBeGreaterThan(0);
    for (let day = 0; day < 6; day++) {
      here.source.simulator.clock.advance(86_400_000);
      await here.run({source: 'companies'});
    }
    expect(await here.rows('companies')).toEqual(idsOf(here, 'companies'));
  });

  test('an OAuth login is refreshed when its token expires', async () => {
    const here = await open();
    const login = {...HUBSPOT_OAUTH, access_token: undefined};
    await here.run({source: 'tasks'}, login);
    here.source.portal.create('tasks');
    here.source.simulator.clock.advance(3_600_000);
    expect(await here.run({source: 'tasks'}, login)).toMatchObject({state: 'COMPLETED'});
    expect(await here.rows('tasks')).toEqual(idsOf(here, 'tasks'));
  });
});

describe('columns', () => {
  test('are the properties with their types; numbers can be exact', async () => {
    const here = await open();
    await here.run({source: 'cars', options: {number_type: 'decimal'}});
    const types =
      'typeof(amount) AS amount, typeof(closedate) AS closedate, typeof(is_important) AS flag, typeof("updatedAt") AS updated';
    expect((await here.rows('cars', `DISTINCT ${types}`))[0]).toEqual({
      amount: 'DECIMAL(38,12)',
      closedate: 'DATE',
      flag: 'BOOLEAN',
      updated: 'TIMESTAMP WITH TIME ZONE',
    });
  });

  test('that are not selected are not asked for', async () => {
    const here = await open();
    await here.run({source: 'contacts', configuration: {includeColumns: ['id', 'email', 'updatedAt']}});
    const asked = here.source.simulator.requests.filter(({query}) => query.includes('properties='));
    expect(asked.length).toBeGreaterThan(0);
    expect(asked.every(({query}) => !query.includes('lifecyclestage'))).toBe(true);
  });

  test('whose names do not fit into one address come in several requests', async () => {
    const here = await open();
    expect(await here.run({source: 'tickets'})).toMatchObject({state: 'COMPLETED', flows: [{rescuedValues: 0}]});
    const sizes = here.source.simulator.requests.map(({query}) => query.length);
    expect(Math.max(...sizes)).toBeLessThan(6000);
    const [row] = await here.rows(
      'tickets',
      'count(answer_to_question_number_0_of_the_survey) AS a, count(answer_to_question_number_129_of_the_survey) AS b',
    );
    expect(Number(row?.['a'])).toBeGreaterThan(0);
    expect(Number(row?.['b'])).toBeGreaterThan(0);
  });
});

describe('tables', () => {
  test('of pairs that are not listed can be read by their names', async () => {
    const here = await open();
    expect(await here.run({source: 'deals_to_contacts'})).toMatchObject({state: 'COMPLETED'});
    expect((await here.rows('deals_to_contacts', 'from_id, to_id')).length).toBeGreaterThan(0);
  });

  test('whose scopes are missing fail alone and say which', async () => {
    const here = await open();
    const body: JsonObject = {
      status: 'error',
      category: 'MISSING_SCOPES',
      message: 'This app has not been granted all required scopes.',
    };
    here.source.simulator.faults.add({
      path: '/crm/v3/objects/orders',
      fault: {kind: 'answer', status: 403, body},
      times: 99,
    });
    const end = await here.run({source: 'orders'});
    expect(end).toMatchObject({state: 'FAILED', flows: [{errorCode: 'PERMISSION_DENIED'}]});
    expect(end.flows[0]?.errorFix).toMatch(/scopes/);
  });
});

describe('options of the framework', () => {
  const values = ({source: {portal}}: World): readonly unknown[] =>
    portal.list('deals').map(({id, properties}) => ({id, amount: Number(properties['amount'])}));
  const landed = async (here: World): Promise<readonly unknown[]> =>
    (await here.rows('deals', 'id, amount')).map(({id, amount}) => ({id, amount: Number(amount)}));

  test('lookback_seconds finds what the search sees later than it is told to wait for', async () => {
    const here = await open({searchLagMs: 3_000_000});
    const {portal, simulator} = here.source;
    await here.run({source: 'deals'});
    const ids = portal.ids('deals');
    for (const id of ids) portal.update('deals', id, {amount: '7'});
    simulator.clock.advance(1_200_000);
    for (const id of ids.slice(0, 3)) portal.update('deals', id, {amount: '8'});
    simulator.clock.advance(1_000);
    await here.run({source: 'deals'});
    simulator.clock.advance(4_000_000);
    await here.run({source: 'deals'});
    expect(await landed(here)).not.toEqual(values(here));
    await here.run({source: 'deals', options: {lookback_seconds: 7200}});
    expect(await landed(here)).toEqual(values(here));
  });

  test('lookback_seconds of email events is an hour unless it is set: that of records is theirs', async () => {
    const here = await open();
    const {simulator} = here.source;
    const recent = {start_timestamp: new Date(simulator.clock.stampMs() - 20 * 86_400_000).toISOString()};
    const run = (options: Readonly<Record<string, string | number>> = recent): Promise<unknown> =>
      here.run({source: 'email_events', options});
    await run();
    const lookedBack = async (options?: Readonly<Record<string, string | number>>): Promise<number> => {
      simulator.clock.advance(90_000_000);
      const before = simulator.requests.length;
      await run(options);
      const bounds = simulator.requests.slice(before).flatMap(({query}) => {
        const from = new URLSearchParams(query).get('startTimestamp');
        return from === null ? [] : [Number(from)];
      });
      return simulator.clock.stampMs() - 90_000_000 - Math.min(...bounds);
    };
    // A minute behind the run before, which the windows stay, and a few seconds that requests take.
    expect(Math.round((await lookedBack()) / 60_000)).toBe(61);
    expect(Math.round((await lookedBack({...recent, lookback_seconds: 0})) / 60_000)).toBe(1);
  });

  test('start_timestamp reads what changed since, by searches of window_seconds each', async () => {
    const here = await open();
    const {portal, simulator} = here.source;
    const start = simulator.clock.stampMs();
    const changed = portal.ids('deals').slice(2, 5);
    for (const id of changed) {
      simulator.clock.advance(3_600_000);
      portal.update('deals', id, {amount: '7'});
    }
    settle(here);
    const options = {start_timestamp: new Date(start).toISOString(), window_seconds: 600};
    const {verdicts} = await here.run({
      source: 'deals',
      options,
      configuration: {verify: {afterSnapshot: true, intervalHours: 0}},
    });
    expect(await here.rows('deals')).toEqual(changed.map((id) => ({id})));
    expect(verdicts).toMatchObject([{verdict: 'equal'}]);
    const searches = simulator.requests.filter(({path, method}) => method === 'POST' && path.endsWith('deals/search'));
    expect(searches.length).toBeGreaterThanOrEqual(18);
  });
});
