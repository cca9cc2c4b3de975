import {checkConditions} from './columns-conditions.ts';
import {checkConstraints} from './columns-constraints.ts';
import {writeColumnTables} from './columns-tables.ts';
import {writeColumnsByTurns} from './columns-turns.ts';
import type {InteropSuite} from './suite.ts';

/** Column mapping, type widening, constraints, comments and names. */
export const columnsSuite: InteropSuite = {
  name: 'columns',
  async run(bench) {
    for (const table of await writeColumnTables(bench.lake)) await bench.checkReads(table);
    await writeColumnsByTurns(bench);
    await checkConstraints(bench);
    await checkConditions(bench);
  },
};
