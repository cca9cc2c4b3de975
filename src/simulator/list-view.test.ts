import fc from 'fast-check';
import {expect, test} from 'vitest';

import type {JsonObject, JsonValue} from '../core/json-value.ts';
import {ListView, splitRanges} from './list-view.ts';
import {type Condition, rowFilter} from './row-filter.ts';
import {RowOrder} from './row-order.ts';

const time = fc.integer({min: 0, max: 50}).map((second) => new Date(second * 1000).toISOString());
const number = fc.integer({min: -5, max: 5});

test('a view cuts ranges out of ordered rows as a filter would', () => {
  const kinds: fc.Arbitrary<fc.Arbitrary<JsonValue>> = fc.constantFrom<fc.Arbitrary<JsonValue>>(
    time,
    number,
    fc.string({maxLength: 2}),
    // Values of several kinds and absent ones keep no order that could be halved.
    fc.oneof(time, number, fc.constant(null)),
  );
  const rows = kinds.chain((kind) => fc.array(fc.record<JsonObject>({at: kind, n: number})));
  const value = fc.oneof(time, number.map(String), fc.string({maxLength: 2}));
  const condition = fc.record<Condition>({
    field: fc.constantFrom('at', 'n'),
    op: fc.constantFrom('gt', 'gte', 'lt', 'lte', 'eq', 'ne'),
    values: value.map((one) => [one]),
  });
  fc.assert(
    fc.property(rows, fc.array(condition, {maxLength: 3}), fc.boolean(), (all, conditions, descending) => {
      const sort = [{field: 'at', descending}];
      const order = new RowOrder(sort, ['n']);
      const {ranges, others} = splitRanges(conditions, sort);
      const view = new ListView(order.sort(all.filter(rowFilter(others))), sort);
      expect(view.within(ranges)).toEqual(order.sort(all).filter(rowFilter(conditions)));
    }),
    {numRuns: 500},
  );
});

test('only ends of the first order are ranges', () => {
  const since: Condition = {field: 'at', op: 'gte', values: ['2025']};
  const state: Condition = {field: 'state', op: 'eq', values: ['open']};
  expect(splitRanges([since, state], [{field: 'at'}, {field: 'id'}])).toEqual({ranges: [since], others: [state]});
  expect(splitRanges([since, state], [{field: 'id'}, {field: 'at'}])).toEqual({ranges: [], others: [since, state]});
});
