import {expect, test} from 'vitest';

import {DEFAULT_TABLE_CONFIGURATION} from './spec.ts';
import {judge, type JudgedFlow, type Observations} from './verify-verdict.ts';

const extraRow: Observations = {
  differences: {missing: 0, extra: 1, changed: 0, unproven: 0, samples: []},
  rescued: [],
  history: null,
  unhashed: false,
  partly: null,
  exact: false,
};

test('a row that the source has no more is damage where the flow sees deletes, a log of changes among them', () => {
  const byCursor: JudgedFlow = {
    target: 'scd1',
    ingestionType: 'cdc',
    changes: null,
    configuration: DEFAULT_TABLE_CONFIGURATION,
  };
  expect(judge(byCursor, extraRow, false)).toMatchObject({verdict: 'unproven', extraReason: 'deletes_not_seen'});
  const byLog = {...byCursor, changes: {sequence: null, isOrdered: true}};
  expect(judge(byLog, extraRow, false)).toMatchObject({verdict: 'different', extraReason: null});
  expect(judge(byLog, extraRow, true)).toMatchObject({verdict: 'unproven', extraReason: 'maybe_deleted_since'});
});
