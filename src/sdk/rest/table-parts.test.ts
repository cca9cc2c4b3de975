import {describe, expect, it} from 'vitest';

import type {JsonObject} from '../../core/json-value.ts';
import type {Connector, PartitionPlan, ReadContext} from '../contract.ts';
import {connectorOf, readContext, serve, testClock, type ApiReply, type TestApi} from './rest-fixture.support.test.ts';
import type {RestTable} from './rest-spec.ts';

const NOW_MS = Date.parse('2026-03-01T00:00:00Z');
const DAY_MS = 86_400_000;

const TIMES = {
  name: 'times',
  primaryKeys: ['id'],
  cursorField: 'at',
  ingestionType: 'cdc',
  schema: 'id STRING, at TIMESTAMP',
  read: {
    kind: 'window',
    format: 'iso_seconds',
    start: '2026-01-01T00:00:00Z',
    stepSeconds: 86_400,
    list: {request: ({window}) => ({url: '/times', query: {from: window?.from, to: window?.to}}), records: 'items'},
  },
} as const satisfies RestTable;

const ROWS = Array.from({length: 120}, (_, n) => ({
  id: `t${n}`,
  at: new Date(Date.parse('2026-01-01T00:00:00Z') + (n * DAY_MS) / 2).toISOString(),
}));

function times(query: URLSearchParams): ApiReply {
  const [from, to] = [query.get('from') ?? '', query.get('to') ?? ''].map((text) => Date.parse(text));
  const items = ROWS.filter(({at}) => Date.parse(at) >= (from ?? 0) && Date.parse(at) < (to ?? 0));
  return {headers: {date: new Date(NOW_MS).toUTCString()}, body: {items}};
}

function open(api: TestApi, table: RestTable, nowMs = NOW_MS): {readonly connector: Connector; ctx: ReadContext} {
  const clock = testClock(nowMs);
  const definition = connectorOf(api, [table]);
  const connector = definition.create({options: {}, clock, random: Math.random, connectionName: 'test'});
  return {connector, ctx: {...readContext(), clock, triggerStartedAt: clock.nowMicros()}};
}

async function planned(
  {connector, ctx}: {readonly connector: Connector; readonly ctx: ReadContext},
  table: string,
  start: PartitionPlan['end'] = null,
): Promise<{readonly end: PartitionPlan['end']; readonly plan: PartitionPlan | undefined}> {
  const end = (await connector.latestOffset?.(table, start ?? null, {}, ctx)) ?? null;
  return {end, plan: await connector.getPartitions?.(table, {start: start ?? null, end}, {}, ctx)};
}

async function rowsOf(
  {connector, ctx}: {readonly connector: Connector; readonly ctx: ReadContext},
  table: string,
  plan: PartitionPlan | undefined,
): Promise<readonly JsonObject[]> {
  const rows: JsonObject[] = [];
  for (const each of plan?.partitions ?? [])
    for await (const page of connector.readPartition?.(table, each, {}, ctx) ?? [])
      rows.push(...('kind' in page && page.kind === 'records' ? page.rows : []));
  return rows;
}

describe('windows as partitions', () => {
  it('load the beginning in stretches, each a commit, and leave what is recent to readTable', async () => {
    await using api = await serve(({query}) => times(query));
    const opened = open(api, TIMES);
    expect(opened.connector.isPartitioned?.('times', null, {})).toBe(true);
    expect(opened.connector.isPartitioned?.('times', {}, {})).toBe(true);
    const first = await planned(opened, 'times');
    expect(first.end).toEqual({until: '2026-02-02T00:00:00.000000Z'});
    expect(first.plan).toMatchObject({volatile: false, parallelHere: 8, mayRepeat: true});
    expect(first.plan?.partitions).toHaveLength(32);
    expect(opened.connector.isPartitioned?.('times', first.end ?? null, {})).toBe(true);
    const second = await planned(opened, 'times', first.end);
    // A minute behind the trigger, by the clock of the source.
    expect(second.end).toEqual({until: '2026-02-28T23:59:00.000000Z'});
    expect(opened.connector.isPartitioned?.('times', second.end ?? null, {})).toBe(false);
    const rows = [...(await rowsOf(opened, 'times', first.plan)), ...(await rowsOf(opened, 'times', second.plan))];
    expect(rows.map(({id}) => id)).toEqual(ROWS.slice(0, 118).map(({id}) => id));
    expect((await planned(opened, 'times', second.end)).end).toEqual(second.end);
  });

  it('end where the clock of the source has come to, though this machine’s is ahead', async () => {
    await using api = await serve(({query}) => times(query));
    const opened = open(api, TIMES, NOW_MS + 3_600_000);
    const {end} = await planned(opened, 'times', {until: '2026-02-20T00:00:00.000000Z'});
    expect(end).toEqual({until: '2026-02-28T23:59:00.000000Z'});
  });

  it('are not those of a table that is one window, or of an append table that looks back', () => {
    const {stepSeconds: _, ...read} = TIMES.read;
    const api = {baseUrl: 'http://127.0.0.1:1', requests: [], [Symbol.asyncDispose]: () => Promise.resolve()};
    expect(open(api, {...TIMES, read}).connector.isPartitioned?.('times', null, {})).toBe(false);
    expect(open(api, {...TIMES, read}).connector.isPartitioned?.('times', null, {window_seconds: 60})).toBe(true);
    const log = open(api, {...TIMES, ingestionType: 'append'}).connector;
    expect(log.isPartitioned?.('times', null, {})).toBe(true);
    expect(log.isPartitioned?.('times', null, {lookback_seconds: 60})).toBe(false);
  });
});

const LABELS = {
  name: 'labels',
  primaryKeys: ['id'],
  ingestionType: 'snapshot',
  schema: 'id BIGINT, repo DECIMAL(38, 0)',
  partitions: {kind: 'parent', list: {request: {url: '/repos'}, records: 'items'}, values: {repo: 'id'}},
  set: {repo: (_, {parent}) => parent['repo']},
  read: {
    kind: 'snapshot',
    list: {request: ({parent}) => ({url: `/repos/${String(parent['repo'])}/labels`}), records: 'items'},
  },
} as const satisfies RestTable;

describe('declared partitions of a table that is read whole', () => {
  const repos = '{"items": [{"id": 1}, {"id": 90071992547409931234}]}';
  const labels = (path: string): readonly JsonObject[] =>
    path.startsWith('/repos/1/') ? [{id: 1}, {id: 2}] : [{id: 2}, {id: 3}];
  const handle = ({path}: {readonly path: string}): ApiReply =>
    path === '/repos' ? {text: repos} : {body: {items: labels(path)}};

  it('are one for each parent, whose values stay exact', async () => {
    await using api = await serve(handle);
    const opened = open(api, LABELS);
    const {end, plan} = await planned(opened, 'labels');
    expect(end).toBeNull();
    const copy = JSON.parse(JSON.stringify(plan)) as PartitionPlan;
    expect(copy.partitions).toEqual(plan?.partitions);
    const rows = await rowsOf(opened, 'labels', copy);
    expect(rows.map(({id, repo}) => [id, repo])).toEqual([
      [1, 1],
      [2, 1],
      [2, 90_071_992_547_409_931_234n],
      [3, 90_071_992_547_409_931_234n],
    ]);
  });

  it('give a row that moved from one to another once', async () => {
    await using api = await serve(handle);
    const opened = open(api, LABELS);
    const {plan} = await planned(opened, 'labels');
    expect((await rowsOf(opened, 'labels', plan)).map(({id}) => id)).toEqual([1, 2, 3]);
  });

  it('are not those of a table whose partitions have offsets of their own, or that is read whole by itself', () => {
    const api = {baseUrl: 'http://127.0.0.1:1', requests: [], [Symbol.asyncDispose]: () => Promise.resolve()};
    const {partitions: _, ...alone} = LABELS;
    expect(open(api, alone).connector.isPartitioned?.('labels', null, {})).toBe(false);
    const sorted = {kind: 'sorted', field: 'id', format: 'number', list: LABELS.read.list} as const;
    const own = {...LABELS, ingestionType: 'cdc', read: sorted} as const;
    expect(open(api, own).connector.isPartitioned?.('labels', null, {})).toBe(false);
    expect(open(api, LABELS).connector.isPartitioned?.('unknown', null, {})).toBe(false);
  });
});
