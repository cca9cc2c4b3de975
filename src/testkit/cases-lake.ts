import {rm} from 'node:fs/promises';

import type {Cell} from '../core/cells.ts';
import {openTable} from '../delta/table.ts';
import {tableRoot} from '../pipeline/table-root.ts';
import type {CaseRun, ConnectorCaseSpec} from './case-spec.ts';
import {mutate, stepsOf} from './cases-exactness.ts';
import type {ProofBench} from './proof-bench.ts';
import {expectThat} from './proof-failure.ts';
import {proofRow, type ProofRow} from './proof-rows.ts';
import type {ProofTarget} from './proof-target.ts';
import {expectRows, truthOf} from './proof-truth.ts';
import {openTestLake, runConnector, type TestLake, type TestRunEnd} from './run-connector.ts';

/** The whole way: connector, coercion, apply, Delta, and back. */
export const LAKE_CASES: readonly ConnectorCaseSpec[] = [
  {
    suite: 'generic',
    name: 'lands every table in a lake as the source has it',
    forTables: true,
    run: landsTables,
  },
];

interface Lake {
  readonly bench: ProofBench;
  readonly lake: TestLake;
  readonly targets: readonly ProofTarget[];
}

async function landsTables(run: CaseRun): Promise<void> {
  await using bench = await run.open();
  const targets: ProofTarget[] = [];
  for (const table of run.tables) targets.push(await bench.target(table));
  const lake = await openTestLake(undefined, {clock: bench.clock, memoryLimitMb: 256});
  try {
    const parts = {bench, lake, targets};
    await landAndCompare(parts, 'after a first load');
    for (const target of targets) await mutate(bench, target, stepsOf(bench.table(target.flow.sourceTable), 3));
    const changed = await landAndCompare(parts, 'after changes');
    const quiet = await land(parts, 'of a quiet source');
    const moved = quiet.flows.find(
      ({flow, sourceTable, version}) =>
        isIncremental(targets, sourceTable) && version !== null && version !== versionOf(changed, flow),
    );
    expectThat(moved === undefined, () => ({
      expected: 'no new version of any table when neither source nor clock moved',
      came: `version ${moved?.version ?? ''} of ${moved?.sourceTable ?? ''}`,
      fix: 'Return the start offset when nothing is new.',
    }));
  } finally {
    await lake[Symbol.asyncDispose]();
    await rm(lake.folder, {recursive: true, force: true});
  }
}

/** Incremental tables only: a snapshot that is equal makes no version either, but may note that it was read. */
function isIncremental(targets: readonly ProofTarget[], table: string): boolean {
  return targets.some(({flow}) => flow.sourceTable === table && flow.ingestionType !== 'snapshot');
}

function versionOf(end: TestRunEnd, flow: string): number | null {
  return end.flows.find((each) => each.flow === flow)?.version ?? null;
}

async function landAndCompare(parts: Lake, when: string): Promise<TestRunEnd> {
  const {bench, lake, targets} = parts;
  for (const target of targets) await truthOf(bench, target);
  const end = await land(parts, when);
  for (const [index, target] of targets.entries()) {
    if (bench.table(target.flow.sourceTable).truth === undefined || target.flow.target === 'scd2') continue;
    await expectRows(bench, target, {rows: await landedRows(lake, target, index), when: `in the lake ${when}`});
  }
  return end;
}

async function land({bench, lake, targets}: Lake, when: string): Promise<TestRunEnd> {
  const end = await runConnector(lake, {
    definition: bench.proof.definition,
    connector: bench.connector,
    options: bench.source.connectionOptions,
    tables: targets.map(({flow}, index) => {
      const {options, configuration} = bench.table(flow.sourceTable);
      return {
        source: flow.sourceTable,
        destination: nameOf(index),
        ...(options === undefined ? {} : {options}),
        ...(configuration === undefined ? {} : {configuration}),
      };
    }),
    signal: bench.signal,
  });
  for (const flow of end.flows) {
    expectThat(flow.errorCode === undefined, () => ({
      expected: `a run ${when} of "${flow.sourceTable}" that ends well`,
      came: `${flow.errorCode ?? ''}: ${flow.errorMessage ?? ''}`,
      fix: flow.errorFix ?? 'See what the other cases say of this table.',
    }));
    expectThat(flow.rescuedValues === 0 && flow.quarantinedRows === 0, () => ({
      expected: `rows of "${flow.sourceTable}" that all land whole`,
      came: `${flow.rescuedValues} rescued values and ${flow.quarantinedRows} quarantined rows`,
      fix: 'Correct types and required columns of the schema.',
    }));
  }
  return end;
}

async function landedRows({context}: TestLake, {flow}: ProofTarget, index: number): Promise<readonly ProofRow[]> {
  const table = await openTable(context, tableRoot('main', 'test', nameOf(index)));
  if (table === null) return [];
  const rows = await context.engine.query(await table.readSql());
  const names = flow.landingSchema.fields.map((field) => field.name);
  // The engine gives its values in the very form of cells.
  return rows.map((row) =>
    proofRow(flow, Object.fromEntries(names.map((name) => [name, (row[name] ?? null) as Cell]))),
  );
}

function nameOf(index: number): string {
  return `table_${index}`;
}
