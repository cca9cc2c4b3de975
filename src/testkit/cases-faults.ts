import {isRetryable} from '../core/errors.ts';
import type {TableCaseRun, TableCaseSpec} from './case-spec.ts';
import {missing, mutate, stepsOf} from './cases-exactness.ts';
import {errorText} from './cases-generic.ts';
import type {ProofFault} from './connector-proof.ts';
import type {ProofBench} from './proof-bench.ts';
import {expectThat, ProofFailure} from './proof-failure.ts';
import type {ProofTarget, ProofTrigger} from './proof-target.ts';
import {expectTruth} from './proof-truth.ts';

/** Every fault of the source leads to the same table, or to a clear error and then to the same table. */
export const FAULT_CASES: readonly TableCaseSpec[] = [
  {
    suite: 'faults',
    name: 'equals the source after every fault during a first load',
    excluded: (table) => missing(table),
    run: (run) => everyFault(run, 'load'),
  },
  {
    suite: 'faults',
    name: 'equals the source after every fault while changes are read',
    excluded: (table) => missing(table),
    run: (run) => everyFault(run, 'changes'),
  },
  {
    suite: 'faults',
    name: 'gives up with an error that may be tried again when faults do not end',
    excluded: (table) => missing(table),
    run: givesUp,
  },
  {suite: 'faults', name: 'stays within the budget of the source', run: staysInBudget},
];

/** Runs that end a fault must need at most. */
const MAX_RUNS = 6;
const ENDLESS = 1_000_000;

async function everyFault(run: TableCaseRun, during: 'load' | 'changes'): Promise<void> {
  const faults = await namesOf(run);
  for (const [index, name] of sampled(run, faults).entries()) {
    for (const place of placesOf(run, index, during)) await oneFault(run, {name, during, ...place});
  }
}

/** All faults for the first table of each paging style, and in full; else two, drawn by the seed. */
function sampled(run: TableCaseRun, names: readonly string[]): readonly string[] {
  if (run.isFull || isFirstOfStyle(run)) return names;
  const offset = (run.seed * 7 + run.table.length * 13) % Math.max(names.length, 1);
  return [...names.slice(offset), ...names.slice(0, offset)].slice(0, 2);
}

/** Whether a table stands for all with its way of paging. */
export function isFirstOfStyle({proof, table}: Pick<TableCaseRun, 'proof' | 'table'>): boolean {
  const style = proof.tables[table]?.pagingStyle;
  return Object.entries(proof.tables).find(([, each]) => each.pagingStyle === style)?.[0] === table;
}

/** Where a fault happens, and how often in a row: twice also meets who tries again at once. */
interface Place {
  readonly after: number;
  readonly times: number;
}

const PLACES: readonly Place[] = [
  {after: 0, times: 1},
  {after: 1, times: 1},
  {after: 2, times: 2},
  {after: 4, times: 1},
];

/** All of them in full; else they take turns: two for a load of the first table of a style, one for everything else. */
function placesOf(run: TableCaseRun, index: number, during: 'load' | 'changes'): readonly Place[] {
  if (run.isFull) return PLACES;
  const from = (index + run.seed) % PLACES.length;
  return [...PLACES.slice(from), ...PLACES.slice(0, from)].slice(0, isFirstOfStyle(run) && during === 'load' ? 2 : 1);
}

async function namesOf({open}: TableCaseRun): Promise<readonly string[]> {
  await using bench = await open();
  return (bench.source.faults ?? []).map((fault) => fault.name);
}

async function oneFault(
  {open, table, tableProof}: TableCaseRun,
  {name, after, times, during}: Place & {readonly name: string; readonly during: 'load' | 'changes'},
): Promise<void> {
  await using bench = await open();
  const fault = faultOf(bench, name);
  const target = await bench.target(table);
  if (during === 'changes') {
    await target.trigger();
    await mutate(bench, target, stepsOf(tableProof));
  }
  fault.inject({after, times});
  const when = `after ${name} at request ${after + 1} of ${during === 'load' ? 'a first load' : 'a run with changes'}`;
  const errors = await untilDone(bench, target, {when, cutsEverywhere: after > 1});
  fault.clear();
  expectThat(errors === 0 || fault.outcome !== 'hidden', () => ({
    expected: `${name} is hidden: it passes by trying again`,
    came: 'a run that failed',
    fix: 'Let the HTTP client try again, with its waits; a run fails only when faults do not end.',
  }));
  await expectTruth(bench, target, when);
  checkViolations(bench, when);
  // What the fault left behind may show later only.
  await target.trigger();
  await expectTruth(bench, target, `${when} and one run more`);
}

/** Runs until a trigger ends; errors must be such that the framework tries again. */
async function untilDone(
  bench: ProofBench,
  target: ProofTarget,
  options: ProofTrigger & {readonly when: string},
): Promise<number> {
  for (let errors = 0; ; errors++) {
    try {
      await target.trigger(options);
      return errors;
    } catch (error) {
      if (error instanceof ProofFailure)
        throw new ProofFailure({...error.finding, expected: `${options.when}: ${error.finding.expected}`});
      expectThat(isRetryable(error), () => ({
        expected: `${options.when}: rows, or an error that may be tried again (SOURCE_ERROR, THROTTLED, CONNECTION_FAILED)`,
        came: errorText(error),
        fix: 'Map this answer to an IngestError of class transient or throttled, by an error rule.',
      }));
      expectThat(errors < MAX_RUNS, () => ({
        expected: `${options.when}: a run that ends once the fault is over`,
        came: `${errors} runs that failed, the last with ${errorText(error)}`,
        fix: 'Keep nothing of a failed run that makes the next one fail: tokens, connections, page tokens.',
      }));
      bench.clock.advance(60_000);
      await bench.reopen();
    }
  }
}

async function givesUp(run: TableCaseRun): Promise<void> {
  const names = await namesOf(run);
  for (const name of sampled(run, names)) {
    await using bench = await run.open();
    const fault = faultOf(bench, name);
    if (fault.outcome === 'hidden') continue;
    const target = await bench.target(run.table);
    fault.inject({after: 0, times: ENDLESS});
    const error: unknown = await target.trigger().then(
      () => null,
      (thrown: unknown) => thrown,
    );
    fault.clear();
    if (error === null) {
      // Faults that disturb only the order or repeat rows may go on for ever; what came must still be right.
      await expectTruth(bench, target, `while ${name} does not end`);
      continue;
    }
    if (error instanceof ProofFailure) throw error;
    expectThat(isRetryable(error), () => ({
      expected: `an error that may be tried again while ${name} does not end`,
      came: errorText(error),
      fix: 'Map this answer to an IngestError of class transient or throttled, by an error rule.',
    }));
    await bench.reopen();
    bench.clock.advance(3_600_000);
    await target.trigger();
    await expectTruth(bench, target, `after ${name} went on for long, and then was over`);
  }
}

async function staysInBudget({open, table, tableProof}: TableCaseRun): Promise<void> {
  await using bench = await open();
  const target = await bench.target(table);
  await Promise.all([target.trigger(), (await bench.target(table)).trigger()]);
  await mutate(bench, target, stepsOf(tableProof));
  await target.trigger();
  checkViolations(bench, 'after two loads at once and a run with changes');
}

function checkViolations(bench: ProofBench, when: string): void {
  const violations = bench.source.violations?.() ?? [];
  expectThat(violations.length === 0, () => ({
    expected: `a source that has nothing to complain of ${when}`,
    came: violations.slice(0, 3).join('; '),
    fix: 'Declare the rate limits of the source in the HTTP client, and wait as its answers say.',
  }));
}

function faultOf(bench: ProofBench, name: string): ProofFault {
  const fault = bench.source.faults?.find((each) => each.name === name);
  if (fault !== undefined) return fault;
  throw new ProofFailure({
    expected: `the fault "${name}" of each source that the proof starts`,
    came: 'a source without it',
    fix: 'Give every source of `start` the same faults.',
  });
}
