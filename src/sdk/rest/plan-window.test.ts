import {describe, expect, it} from 'vitest';

import {seededRandom} from '../../core/clock.ts';
import type {JsonObject} from '../../core/json-value.ts';
import {byId, connectorOf, openConnector, serve, stops, testClock, TestFlow} from './rest-fixture.support.test.ts';
import type {RestTable} from './rest-spec.ts';

const T0 = Date.parse('2026-01-01T00:00:00Z');

describe('a plan by windows', () => {
  function tableOf(ingestionType: 'cdc' | 'append', inclusiveEnd: boolean): RestTable {
    return {
      name: 'things',
      primaryKeys: ['id'],
      cursorField: 'at',
      ingestionType,
      schema: 'id BIGINT NOT NULL, at BIGINT',
      read: {
        kind: 'window',
        format: 'epoch_seconds',
        stepSeconds: 600,
        lagSeconds: 60,
        inclusiveEnd,
        start: T0 / 1000,
        list: {
          request: ({window}) => ({url: '/things', query: {from: window?.from, to: window?.to}}),
          records: 'data',
          paginator: {
            kind: 'offset',
            slot: {query: 'offset'},
            size: {slot: {query: 'limit'}, value: 4},
            total: 'total',
          },
        },
      },
    };
  }

  it('brings what happens just after a read though the clock of the source is behind', async () => {
    const clock = testClock(T0 + 600_000);
    const rows: JsonObject[] = [{id: 1, at: T0 / 1000 + 100}];
    await using api = await serve(({query}) => {
      const [from, to] = [Number(query.get('from')), Number(query.get('to'))];
      const data = rows.filter(({at}) => Number(at) >= from && Number(at) < to);
      return {body: {total: data.length, data}};
    });
    const table = tableOf('cdc', false);
    const {lagSeconds: _, ...read} = table.read as Extract<RestTable['read'], {kind: 'window'}>;
    const connector = openConnector(connectorOf(api, [{...table, read}]));
    const flow = new TestFlow(connector, 'things', {clock});
    await flow.trigger();
    clock.advance(1000);
    rows.push({id: 2, at: Math.floor(clock.nowMs() / 1000) - 5});
    clock.advance(120_000);
    await flow.trigger();
    expect(flow.rows).toEqual(byId(rows));
    await connector.close?.();
  });

  for (const ingestionType of ['cdc', 'append'] as const) {
    it(`brings every ${ingestionType} row once though the clock of this machine is ahead of the source`, async () => {
      const clock = testClock(T0 + 3_600_000);
      const sourceMs = (): number => clock.nowMs() - 600_000;
      const rows: JsonObject[] = [];
      const put = (): number => rows.push({id: rows.length, at: Math.floor(sourceMs() / 1000)});
      await using api = await serve(({query}) => {
        const [from, to] = [Number(query.get('from')), Number(query.get('to'))];
        const data = rows.filter(({at}) => Number(at) >= from && Number(at) < to);
        return {body: {total: data.length, data}, headers: {date: new Date(sourceMs()).toUTCString()}};
      });
      const connector = openConnector(connectorOf(api, [tableOf(ingestionType, false)]));
      const flow = new TestFlow(connector, 'things', {clock});
      for (let round = 0; round < 8; round++) {
        put();
        await flow.trigger();
        clock.advance(70_000);
      }
      await flow.trigger();
      const landed = ingestionType === 'append' ? flow.appended : [...flow.rows.values()];
      expect(landed.map(({id}) => id)).toEqual(rows.map(({id}) => id));
      await connector.close?.();
    });
  }

  it('appends a row once though others move in before it between two pages', async () => {
    const at = T0 / 1000 + 100;
    const rows: JsonObject[] = Array.from({length: 10}, (_, id) => ({id, at: at + id}));
    await using api = await serve(({query}) => {
      const [from, to, offset] = [Number(query.get('from')), Number(query.get('to')), Number(query.get('offset'))];
      const data = rows.filter((row) => Number(row['at']) >= from && Number(row['at']) < to);
      if (offset === 4) rows.unshift({id: 10, at});
      return {body: {total: data.length, data: data.slice(offset, offset + 4)}};
    });
    const connector = openConnector(connectorOf(api, [tableOf('append', false)]));
    const flow = new TestFlow(connector, 'things', {clock: testClock(T0 + 1_300_000)});
    await flow.trigger();
    // The one that moved in came late: a lookback brings it.
    expect(flow.appended.map(({id}) => Number(id)).filter((id) => id < 10)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    await connector.close?.();
  });

  it('appends every version of a row though windows look back', async () => {
    const clock = testClock(T0);
    const rows: JsonObject[] = [{id: 1, at: T0 / 1000 + 100}];
    await using api = await serve(({query}) => {
      const [from, to] = [Number(query.get('from')), Number(query.get('to'))];
      const data = rows.filter(({at}) => Number(at) >= from && Number(at) < to);
      return {body: {total: data.length, data}};
    });
    const table = tableOf('append', false);
    const read = {...table.read, lookbackSeconds: 7200} as RestTable['read'];
    const connector = openConnector(connectorOf(api, [{...table, read}]));
    const flow = new TestFlow(connector, 'things', {clock});
    clock.advance(1_300_000);
    await flow.trigger();
    rows[0] = {id: 1, at: T0 / 1000 + 1500};
    clock.advance(1_300_000);
    await flow.trigger();
    await flow.trigger();
    expect(flow.appended.map(({at}) => at)).toEqual([T0 / 1000 + 100, T0 / 1000 + 1500]);
    await connector.close?.();
  });

  for (const ingestionType of ['cdc', 'append'] as const) {
    for (const inclusiveEnd of [true, false]) {
      it(`brings each ${ingestionType} row once, upper bound ${inclusiveEnd ? 'included' : 'excluded'}, whatever cuts and kills`, async () => {
        const rows: JsonObject[] = [];
        await using api = await serve(({query}) => {
          const [from, to, offset] = [Number(query.get('from')), Number(query.get('to')), Number(query.get('offset'))];
          const data = rows.filter(({at}) => Number(at) >= from && (inclusiveEnd ? Number(at) <= to : Number(at) < to));
          return {body: {total: data.length, data: data.slice(offset, offset + 4)}};
        });
        const connector = openConnector(connectorOf(api, [tableOf(ingestionType, inclusiveEnd)]));
        const clock = testClock(T0);
        const flow = new TestFlow(connector, 'things', {clock});
        const random = seededRandom(7);
        for (let round = 0; round < 6; round++) {
          for (let at = 0; at < 20; at++)
            rows.push({id: rows.length, at: Math.floor(clock.nowMs() / 1000) + Math.floor(random() * 40) * 30});
          clock.advance(1_300_000);
          await flow.trigger(stops(round));
        }
        const expected = rows.filter(({at}) => Number(at) * 1000 < clock.nowMs() - 60_000);
        if (ingestionType === 'cdc') expect(flow.rows).toEqual(byId(expected));
        else
          expect([...flow.appended].sort((left, right) => Number(left['id']) - Number(right['id']))).toEqual(expected);
        await connector.close?.();
      });
    }
  }
});
