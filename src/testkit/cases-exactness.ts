import type {Clock} from '../core/clock.ts';
import type {TableCaseRun, TableCaseSpec} from './case-spec.ts';
import type {ProofMutations, ProofTable} from './connector-proof.ts';
import type {ProofBench} from './proof-bench.ts';
import {expectThat} from './proof-failure.ts';
import type {ProofTarget, ProofTrigger} from './proof-target.ts';
import {expectTruth, truthOf} from './proof-truth.ts';

/** Rows in the destination equal the source's, whatever happens to them. */
export const EXACTNESS_CASES: readonly TableCaseSpec[] = [
  exact('a first load', undefined, loads),
  exact('inserts', 'insert', (run) => follows(run, 'inserts', [['insert', 5]])),
  exact('updates', 'update', (run) => follows(run, 'updates', [['update', 5]])),
  exact('deletes', 'delete', (run) => follows(run, 'deletes', [['delete', 3]])),
  exact('re-creations of what was deleted', 'recreate', recreates),
  exact('rows that share a cursor value across a page border', 'ties', ties),
  exact('rows that change while they are paged', 'update', changesWhilePaging),
  exact('rows that come late', 'late', (run) => follows(run, 'late rows', [['late', 3]])),
  exact('clocks that differ', 'insert', skews),
  exact('small and large batches alike', undefined, batchSizes),
  exact('many small runs', 'insert', manyRuns),
];

function exact(
  what: string,
  needs: keyof ProofMutations | undefined,
  run: (run: TableCaseRun) => Promise<void>,
): TableCaseSpec {
  return {
    suite: 'exactness',
    name: `equals the source after ${what}`,
    excluded: (table) => missing(table, needs),
    run,
  };
}

/** Why a case that compares with the truth cannot be run. */
export function missing(table: ProofTable, needs?: keyof ProofMutations): string | undefined {
  if (table.truth === undefined) return 'the proof has no `truth` for this table';
  if (needs !== undefined && table.mutations?.[needs] === undefined)
    return `the proof has no \`${needs}\` for this table`;
  return undefined;
}

async function loads({open, table}: TableCaseRun): Promise<void> {
  await using bench = await open();
  const target = await bench.target(table);
  await target.trigger();
  await expectTruth(bench, target, 'after the first load');
}

type Step = readonly [keyof ProofMutations, number];

async function follows({open, table}: TableCaseRun, what: string, steps: readonly Step[]): Promise<void> {
  await using bench = await open();
  const target = await bench.target(table);
  await target.trigger();
  await mutate(bench, target, steps);
  await target.trigger();
  await expectTruth(bench, target, `after ${what}`);
}

/** Changes the source, step by step, each at a time of its own; lets what was written become visible. */
export async function mutate(bench: ProofBench, target: ProofTarget, steps: readonly Step[]): Promise<void> {
  const table = target.flow.sourceTable;
  const {mutations = {}} = bench.table(table);
  for (const [what, count] of steps) {
    await truthOf(bench, target);
    await mutations[what]?.(bench.source, count);
    await truthOf(bench, target);
    await bench.settle(table);
  }
}

async function recreates({open, table}: TableCaseRun): Promise<void> {
  await using bench = await open();
  const target = await bench.target(table);
  await target.trigger();
  await mutate(bench, target, [['delete', 3]]);
  await target.trigger();
  await mutate(bench, target, [['recreate', 2]]);
  await target.trigger();
  await expectTruth(bench, target, 'after rows were deleted and made again');
  // Both within one trigger: the delete is older than the row.
  await mutate(bench, target, [
    ['delete', 2],
    ['recreate', 2],
  ]);
  await target.trigger();
  await expectTruth(bench, target, 'after rows were deleted and made again between two runs');
}

const PAGE_SIZE = 100;

async function ties({open, table, tableProof}: TableCaseRun): Promise<void> {
  const count = Math.ceil((tableProof.pageSize ?? PAGE_SIZE) * 1.3);
  for (const maxRows of [undefined, 3]) {
    await using bench = await open();
    const target = await bench.target(table);
    const read = maxRows === undefined ? {} : {maxRows};
    await target.trigger(read);
    await mutate(bench, target, [['ties', count]]);
    await target.trigger(read);
    await expectTruth(bench, target, `after ${count} rows with one cursor value`);
    await mutate(bench, target, [['insert', 2]]);
    await target.trigger(read);
    await expectTruth(bench, target, 'after rows behind those that share a cursor value');
    const afresh = await bench.target(table);
    await afresh.trigger(read);
    await expectTruth(bench, afresh, 'after a first load of rows that share a cursor value');
  }
}

/** Pages of one trigger between which rows change. */
const CHANGED_PAGES = 6;

async function changesWhilePaging({open, table}: TableCaseRun): Promise<void> {
  for (const maxRows of [undefined, 7]) {
    await using bench = await open();
    const target = await bench.target(table);
    const {mutations = {}} = bench.table(table);
    const onPage = async (page: number): Promise<void> => {
      if (page >= CHANGED_PAGES) return;
      await truthOf(bench, target);
      await mutations.update?.(bench.source, 1);
      if (page % 2 === 0) await mutations.insert?.(bench.source, 1);
      if (page % 3 === 1) await mutations.delete?.(bench.source, 1);
      await truthOf(bench, target);
    };
    const read = {onPage, ...(maxRows === undefined ? {} : {maxRows})};
    await target.trigger(read);
    await bench.settle(table);
    await target.trigger(read);
    await bench.settle(table);
    await target.trigger();
    await expectTruth(bench, target, 'after two runs during which rows changed, and a quiet one');
  }
}

const SKEW_MS = 5_000;

async function skews({open, table, tableProof}: TableCaseRun): Promise<void> {
  const size = tableProof.skewMs ?? SKEW_MS;
  for (const skewMs of size === 0 ? [] : [size, -size]) {
    await using bench = await open();
    // What the connector takes for now is not what the source stamps with.
    const clock = skewedClock(bench.clock, -skewMs);
    await bench.reopen(clock);
    const target = await bench.target(table, {clock});
    await target.trigger();
    // At the very moment of the trigger: nothing but the clocks may differ.
    await mutate(bench, target, [['insert', 2]]);
    if (tableProof.mutations?.update !== undefined) await mutate(bench, target, [['update', 2]]);
    await target.trigger();
    bench.clock.advance(2 * size);
    await target.trigger();
    await expectTruth(bench, target, `with a source whose clock is ${skewMs} ms ahead`);
  }
}

const BATCHES: readonly (readonly [string, ProofTrigger])[] = [
  ['one row', {maxRows: 1}],
  ['7 rows', {maxRows: 7}],
  ['a million rows', {maxRows: 1_000_000}],
  ['whatever lies between two offsets', {cutsEverywhere: true}],
];

async function batchSizes({open, table, tableProof}: TableCaseRun): Promise<void> {
  for (const [what, trigger] of BATCHES) {
    await using bench = await open();
    const target = await bench.target(table);
    await target.trigger(trigger);
    await expectTruth(bench, target, `after a first load in batches of ${what}`);
    await mutate(bench, target, stepsOf(tableProof));
    await target.trigger(trigger);
    await expectTruth(bench, target, `after changes in batches of ${what}`);
  }
}

async function manyRuns({open, table, tableProof}: TableCaseRun): Promise<void> {
  await using bench = await open();
  const target = await bench.target(table);
  let changed = 0;
  for (let round = 0; round < 4; round++) {
    await mutate(bench, target, stepsOf(tableProof, 1 + round));
    changed += (await target.trigger({maxRows: 1 + 3 * round})).changed;
    await expectTruth(bench, target, `after run ${round + 1}`);
  }
  expectThat(changed > 0, () => ({
    expected: `changes of "${table}" to come through`,
    came: 'none in four runs',
    fix: 'Correct `mutations` of the proof: they must change what `truth` gives.',
  }));
}

/** One of each change that the table knows. */
export function stepsOf({mutations = {}}: ProofTable, count = 2): readonly Step[] {
  const kinds = ['insert', 'update', 'delete', 'recreate', 'late'] as const;
  return kinds.filter((kind) => mutations[kind] !== undefined).map((kind) => [kind, count] as const);
}

/** A clock that differs from another one. */
function skewedClock(clock: Clock, byMs: number): Clock {
  return {
    nowMs: () => clock.nowMs() + byMs,
    nowMicros: () => clock.nowMicros() + BigInt(byMs) * 1000n,
    sleep: (ms, signal) => clock.sleep(ms, signal),
  };
}
