import {afterEach, describe, expect, test} from 'vitest';

import {openSimulatedWorld, sampledCases, type SimulatedWorld} from '../../testkit/index.ts';
import {stripe} from './index.ts';
import {stripeProof} from './simulator-proof.ts';
import {STRIPE_KEY, type StripeSimulator, stripeSimulator, type StripeSimulatorOptions} from './simulator.ts';

/** One table of each way of reading: everything is proved. */
const WAYS = ['customers', 'invoice_lines', 'balance_transactions'];
/** Of the others what their declaration could get wrong. */
const DECLARED =
  /gives metadata|fills every column|after (updates|deletes)|after .*: events$|one partition: (prices|invoice_items|events)$/;

describe('the suites', () => {
  const cases = sampledCases(stripeProof, {
    whole: WAYS,
    ofAll: (name) => /^generic: (?!lands every table)/.test(name),
    ofOthers: (name) => DECLARED.test(name),
  });
  for (const {name, run} of cases) test(name, run, 60_000);
});

type World = SimulatedWorld<StripeSimulator>;

let world: World | null = null;
afterEach(async () => {
  await world?.[Symbol.asyncDispose]();
  world = null;
});

async function open(options: StripeSimulatorOptions = {}): Promise<World> {
  const source = await stripeSimulator({objects: 12, pageCap: 5, ...options});
  world = await openSimulatedWorld(source, {definition: stripe, login: {api_key: STRIPE_KEY}});
  return world;
}

function idsOf({source: {account}}: World, kind: string): readonly {readonly id: string}[] {
  return [...account.ids(kind)].sort().map((id) => ({id}));
}

function firstId({source: {account}}: World, kind: string): string {
  const [id] = account.ids(kind);
  if (id === undefined) throw new Error(`nothing of ${kind}`);
  return id;
}

describe('in a lake', () => {
  test('a gap that events do not reach back over reads the table anew in the same run, deletes included', async () => {
    const here = await open();
    await here.run({source: 'customers'});
    here.source.account.remove('customers', firstId(here, 'customers'));
    here.source.account.create('customers');
    here.source.simulator.clock.advance(40 * 86_400_000);
    const end = await here.run({source: 'customers'});
    expect(end).toMatchObject({state: 'COMPLETED', notes: [{level: 'WARN', code: 'OFFSET_EXPIRED'}]});
    expect(await here.rows('customers')).toEqual(idsOf(here, 'customers'));
  });

  test('a quiet account is read without being read anew, however long it is quiet', async () => {
    const here = await open();
    await here.run({source: 'customers'});
    for (let week = 0; week < 6; week++) {
      here.source.simulator.clock.advance(7 * 86_400_000);
      expect(await here.run({source: 'customers'})).toMatchObject({state: 'COMPLETED', notes: []});
    }
    expect(await here.rows('customers')).toEqual(idsOf(here, 'customers'));
  });

  test('SCD type 2 has a version for every event, and ends it with a delete', async () => {
    const here = await open();
    const table = {source: 'customers', configuration: {scdType: 'SCD_TYPE_2'}} as const;
    await here.run(table);
    const id = firstId(here, 'customers');
    for (const name of ['first', 'second', 'third']) {
      here.source.simulator.clock.advance(10_000);
      here.source.account.update('customers', id, {name});
    }
    here.source.account.remove('customers', id);
    here.source.simulator.clock.advance(60_000);
    expect(await here.run(table)).toMatchObject({state: 'COMPLETED'});
    const versions = (await here.rows('customers', 'id, name, __END_AT IS NULL AS is_open')).filter(
      (row) => row['id'] === id,
    );
    expect(versions.map(({name}) => name)).toEqual(expect.arrayContaining(['first', 'second', 'third']));
    expect(versions.every((row) => row['is_open'] === false)).toBe(true);
  });

  test('what landed is compared with Stripe, value by value', async () => {
    const here = await open();
    for (const source of ['charges', 'prices', 'invoice_lines', 'balance_transactions']) {
      const {verdicts} = await here.run({source, configuration: {verify: {afterSnapshot: true, intervalHours: 0}}});
      expect(verdicts).toMatchObject([{verdict: 'equal'}]);
    }
  });

  test('nothing is rescued or quarantined, and amounts and times have their types', async () => {
    const here = await open();
    const end = await here.run({source: 'charges'});
    expect(end).toMatchObject({state: 'COMPLETED', flows: [{rescuedValues: 0, quarantinedRows: 0}]});
    const [row] = await here.rows(
      'charges',
      'typeof(amount) AS amount, typeof(created) AS created, year(created) AS year',
    );
    expect(row).toMatchObject({amount: 'BIGINT', created: 'TIMESTAMP WITH TIME ZONE'});
    expect(Number(row?.['year'])).toBe(2026);
  });
});

describe('what Stripe does', () => {
  test('events in another version of the API only say which object to fetch', async () => {
    const here = await open({eventVersion: '2020-08-27'});
    await here.run({source: 'customers'});
    const {account, simulator} = here.source;
    account.update('customers', firstId(here, 'customers'), {name: 'Renamed'});
    account.remove('customers', String(account.ids('customers')[3]));
    account.create('customers');
    simulator.clock.advance(60_000);
    expect(await here.run({source: 'customers'})).toMatchObject({state: 'COMPLETED'});
    expect(await here.rows('customers')).toEqual(idsOf(here, 'customers'));
    expect(await here.rows('customers', 'id, name')).toContainEqual({id: firstId(here, 'customers'), name: 'Renamed'});
  });

  test('the object that a page ends with is deleted before the next page is asked for', async () => {
    const here = await open();
    const {simulator, account} = here.source;
    let isRemoved = false;
    simulator.faults.add({
      path: '/v1/products',
      times: 99,
      fault: {
        kind: 'run',
        run: (_, {query}) => {
          const last = query.get('starting_after');
          if (last !== null && !isRemoved) account.remove('products', last);
          isRemoved ||= last !== null;
        },
      },
    });
    expect(await here.run({source: 'products'})).toMatchObject({state: 'COMPLETED'});
    expect(simulator.requests.some(({query}) => decodeURIComponent(query).includes('created[lte]'))).toBe(true);
    expect(await here.rows('products')).toEqual(idsOf(here, 'products'));
  });

  test('more events than fit into memory are read in shorter stretches, oldest first', async () => {
    const here = await open({pageCap: 100});
    const {simulator, account} = here.source;
    await here.run({source: 'coupons'});
    const ids = account.ids('coupons');
    for (let n = 0; n < 5_600; n++) {
      if (n % 50 === 0) simulator.clock.advance(2_000);
      account.update('coupons', String(ids[n % ids.length]), {name: `name ${n}`});
    }
    simulator.clock.advance(60_000);
    expect(await here.run({source: 'coupons'})).toMatchObject({state: 'COMPLETED', flows: [{rowsUpdated: ids.length}]});
    const names = account.rows('coupons').map(({id, name}) => ({id, name}));
    expect(await here.rows('coupons', 'id, name')).toEqual(
      names.toSorted((a, b) => (String(a.id) < String(b.id) ? -1 : 1)),
    );
  });

  test('a connected account and a version are asked for with every request', async () => {
    const here = await open();
    await here.run({source: 'tax_rates'}, {account: 'acct_42', api_version: '2026-10-28.endive'});
    const heads = here.source.simulator.requests.map(({headers}) => [
      headers['stripe-account'],
      headers['stripe-version'],
    ]);
    expect(heads.length).toBeGreaterThan(0);
    expect(heads.every(([account, version]) => account === 'acct_42' && version === '2026-10-28.endive')).toBe(true);
  });

  test('a restricted key that may not read a resource is told as such', async () => {
    const here = await open();
    const body = {
      error: {type: 'invalid_request_error', message: 'The provided key does not have the required permissions.'},
    };
    here.source.simulator.faults.add({path: '/v1/payouts', fault: {kind: 'answer', status: 403, body}, times: 99});
    const end = await here.run({source: 'payouts'});
    expect(end).toMatchObject({state: 'FAILED', flows: [{errorCode: 'PERMISSION_DENIED'}]});
    expect(end.flows[0]?.errorFix).toMatch(/restricted key/);
  });

  test('a first load that ends in the middle goes on behind the parts that it committed', async () => {
    const here = await open({pageCap: 2, objects: 1, objectsOf: {customers: 1500}, requestsPerSecond: 1_000_000});
    const {simulator} = here.source;
    const body = {error: {type: 'invalid_request_error', message: 'Not now.'}};
    simulator.faults.add({path: '/v1/customers', nth: 700, times: 1, fault: {kind: 'answer', status: 403, body}});
    const unlimited = {requests_per_second: 1_000_000};
    expect(await here.run({source: 'customers'}, unlimited)).toMatchObject({state: 'FAILED'});
    const committed = (await here.rows('customers')).length;
    expect(committed).toBeGreaterThan(0);
    expect(committed).toBeLessThan(1500);
    expect(await here.run({source: 'customers'}, unlimited)).toMatchObject({
      state: 'COMPLETED',
      flows: [{rowsInserted: 1500 - committed}],
    });
    expect(await here.rows('customers')).toEqual(idsOf(here, 'customers'));
  }, 60_000);

  test('start_timestamp leaves older objects out', async () => {
    const here = await open();
    here.source.simulator.clock.advance(1000);
    const fresh = here.source.account.create('refunds');
    here.source.simulator.clock.advance(60_000);
    await here.run({source: 'refunds', options: {start_timestamp: '2026-11-01T12:00:00Z'}});
    expect(await here.rows('refunds')).toEqual([{id: fresh['id']}]);
  });
});

test('lookback_seconds finds events that are seen later than two minutes', async () => {
  const here = await open({eventLagMs: 600_000});
  const {account, simulator} = here.source;
  const names = (): readonly unknown[] => account.rows('customers').map(({id, name = null}) => ({id, name}));
  const landed = async (): Promise<readonly unknown[]> =>
    (await here.rows('customers', 'id, name')).toSorted((a, b) => (String(a['id']) < String(b['id']) ? -1 : 1));
  await here.run({source: 'customers'});
  const ids = account.ids('customers').slice(0, 6);
  for (const id of ids) account.update('customers', id, {name: 'Renamed'});
  simulator.clock.advance(300_000);
  account.update('customers', String(ids[5]), {name: 'Renamed again'});
  simulator.clock.advance(60_000);
  await here.run({source: 'customers'});
  simulator.clock.advance(600_000);
  await here.run({source: 'customers'});
  expect(await landed()).not.toEqual(names());
  await here.run({source: 'customers', options: {lookback_seconds: 1200}});
  expect(await landed()).toEqual(names());
});

describe('the simulator', () => {
  async function post(here: World, path: string, form: Readonly<Record<string, string>>, key = ''): Promise<unknown> {
    const reply = await fetch(`${here.source.simulator.url}/v1/${path}`, {
      method: 'POST',
      headers: {authorization: `Bearer ${STRIPE_KEY}`, ...(key === '' ? {} : {'idempotency-key': key})},
      body: new URLSearchParams(form),
    });
    return {status: reply.status, body: await reply.json()};
  }

  test('takes forms with brackets, and refuses what it does not know or lacks', async () => {
    const here = await open();
    const made = await post(here, 'customers', {name: 'Ann', 'metadata[team]': 'a'});
    expect(made).toMatchObject({status: 200, body: {object: 'customer', name: 'Ann', metadata: {team: 'a'}}});
    expect(await post(here, 'customers', {nickname: 'Ann'})).toMatchObject({
      status: 400,
      body: {error: {code: 'parameter_unknown', param: 'nickname'}},
    });
    expect(await post(here, 'prices', {currency: 'usd'})).toMatchObject({
      status: 400,
      body: {error: {code: 'parameter_missing', param: 'product'}},
    });
  });

  test('answers a key that it knows as it did, and makes nothing again', async () => {
    const here = await open();
    const first = await post(here, 'customers', {name: 'Ann'}, 'key-1');
    expect(await post(here, 'customers', {name: 'Ann'}, 'key-1')).toEqual(first);
    const {account} = here.source;
    expect(account.rows('customers').filter(({name}) => name === 'Ann')).toHaveLength(1);
    expect(account.visibleEvents().filter(({type}) => type === 'customer.created')).toHaveLength(1);
  });
});
