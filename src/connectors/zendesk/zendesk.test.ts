import {describe, expect, it} from 'vitest';

import {simulate, type Simulator} from '../../simulator/index.ts';
import {openSimulatedWorld, sampledCases, type TestRunEnd} from '../../testkit/index.ts';
import {zendesk} from './index.ts';
import {freshRow, SIMULATED_LOGIN, zendeskSimulator} from './simulator-api.ts';
import {zendeskProof} from './simulator.ts';

/** One table of each way of reading: everything is proved. */
const WAYS = [
  'tickets',
  'organizations',
  'ticket_comments',
  'ticket_audits',
  'articles',
  'audit_logs',
  'groups',
  'article_votes',
];
/** Of the others what their declaration could get wrong; lists differ in path and columns only. */
const DECLARED = /gives metadata|fills every column|after (updates|deletes)/;
const LISTED = /fills every column|after a first load|in exactly one partition/;

describe('the suites', () => {
  const {tables} = zendeskProof;
  const isList = (table: string): boolean => ['cursor', 'none', 'parents'].includes(tables[table]?.pagingStyle ?? '');
  const cases = sampledCases(zendeskProof, {
    whole: WAYS,
    ofAll: (name) => !name.includes('in a lake'),
    ofOthers: (name, table) => (isList(table) ? LISTED : DECLARED).test(name),
  });
  for (const {name, run} of cases) it(name, run, 60_000);
});

const TOKEN = {email: SIMULATED_LOGIN.email, api_token: SIMULATED_LOGIN.apiToken};

interface Account {
  readonly simulator: Simulator;
  run(
    tables: readonly {
      readonly source: string;
      readonly options?: Readonly<Record<string, string | boolean | number>>;
    }[],
    options?: Readonly<Record<string, string | number>>,
  ): Promise<TestRunEnd>;
}

async function withAccount(use: (account: Account) => Promise<void>): Promise<void> {
  const simulator = await simulate(zendeskSimulator());
  await using world = await openSimulatedWorld({simulator}, {definition: zendesk, login: {}});
  await use({
    simulator,
    run: (tables, options = TOKEN) =>
      world.run(
        tables.map((table, at) => ({destination: `table_${at}`, ...table})),
        options,
      ),
  });
}

describe('zendesk', () => {
  it('logs in by a refresh token that changes with every use', () =>
    withAccount(async ({simulator, run}) => {
      const {clientId, clientSecret, refreshToken} = SIMULATED_LOGIN;
      simulator.faults.add({fault: {kind: 'expireTokens'}, path: '/api/v2/groups.json', nth: 1});
      const end = await run([{source: 'groups'}, {source: 'tickets'}], {
        client_id: clientId,
        client_secret: clientSecret,
        refresh_token: refreshToken,
      });
      expect(end.flows.map(({errorMessage}) => errorMessage)).toEqual([undefined, undefined]);
      expect(simulator.auth.refreshTokens).not.toContain(refreshToken);
    }));

  it('asks for smaller pages while the gateway gives up, and loses nothing', () =>
    withAccount(async ({simulator, run}) => {
      simulator.faults.add({
        fault: {kind: 'answer', status: 504, body: {error: 'upstream request timeout'}},
        where: ({query}) => Number(query.get('per_page')) > 200,
        times: Infinity,
      });
      const end = await run([{source: 'tickets'}, {source: 'ticket_events'}]);
      expect(end.flows.map(({rowsInserted}) => rowsInserted)).toEqual([15, 15]);
    }));

  it('stays within ten exports a minute with many tables', () =>
    withAccount(async ({simulator, run}) => {
      const tables = ['tickets', 'users', 'organizations', 'ticket_events', 'ticket_metrics', 'articles'];
      const end = await run(
        tables.map((source) => ({source})),
        {...TOKEN, export_page_size: 5},
      );
      expect(end.flows.every(({rowsInserted}) => rowsInserted >= 14)).toBe(true);
      expect(simulator.violations).toEqual([]);
    }));

  it('says where an export by time cannot go on, and how the rows can be read', () =>
    withAccount(async ({simulator, run}) => {
      const seconds = Math.floor(simulator.clock.nowMs() / 1000) - 3600;
      for (let at = 0; at < 12; at++)
        simulator.collection('ticket_events').insert(freshRow('ticket_events', 900 + at, seconds));
      const [flow] = (await run([{source: 'ticket_events'}], {...TOKEN, export_page_size: 5})).flows;
      expect(flow?.errorMessage).toContain('share one second');
      expect(flow?.errorFix).toContain('ticket_audits');
    }));

  it('keeps what was deleted when it is told to', () =>
    withAccount(async ({simulator, run}) => {
      const [row] = simulator.collection('tickets').rows();
      simulator.collection('tickets').delete(Number(row?.['id']));
      simulator.clock.advance(120_000);
      const end = await run([{source: 'tickets'}, {source: 'tickets', options: {keep_deleted: true}}]);
      expect(end.flows.map(({rowsInserted}) => rowsInserted)).toEqual([14, 15]);
    }));

  it('begins exports at start_date, and a table at its own start_timestamp', () =>
    withAccount(async ({run}) => {
      const options = {...TOKEN, start_date: '2024-12-31T00:02:00Z'};
      const end = await run(
        [{source: 'tickets'}, {source: 'tickets', options: {start_timestamp: '2024-12-31T00:04:00Z'}}],
        options,
      );
      expect(end.flows.map(({rowsInserted}) => rowsInserted)).toEqual([9, 3]);
    }));

  it('reads an export by time again as far as lookback_seconds says, and refuses it for one by cursor', () =>
    withAccount(async ({simulator, run}) => {
      const seconds = Math.floor(simulator.clock.nowMs() / 1000);
      const late = freshRow('ticket_metric_events', 900, seconds - 50_000);
      const newer = freshRow('ticket_metric_events', 901, seconds - 40_000);
      simulator.collection('ticket_metric_events').insert(newer);
      const inserted = async (options: Readonly<Record<string, number>> = {}): Promise<number | undefined> =>
        (await run([{source: 'ticket_metric_events', options}])).flows[0]?.rowsInserted;
      expect(await inserted()).toBe(16);
      simulator.collection('ticket_metric_events').insert(late);
      expect([await inserted(), await inserted({lookback_seconds: 20_000}), await inserted()]).toEqual([0, 1, 0]);
      const [flow] = (await run([{source: 'tickets', options: {lookback_seconds: 60}}])).flows;
      expect(flow?.errorMessage).toContain('"lookback_seconds" does nothing for table "tickets"');
    }));
});
