import {seededRandom} from '../core/clock.ts';
import type {TableCaseRun, TableCaseSpec} from './case-spec.ts';
import {missing, mutate, stepsOf} from './cases-exactness.ts';
import {isFirstOfStyle} from './cases-faults.ts';
import type {ProofBench} from './proof-bench.ts';
import type {ProofTarget} from './proof-target.ts';
import {expectTruth} from './proof-truth.ts';

/** A run that is killed at any page goes on from the last committed offset, and lands the same table. */
export const RESUME_CASES: readonly TableCaseSpec[] = [
  {
    suite: 'resume',
    name: 'equals the source after a kill at every page of a first load',
    excluded: (table) => missing(table),
    run: (run) => everyKill(run, 'load'),
  },
  {
    suite: 'resume',
    name: 'equals the source after a kill at every page of changes',
    excluded: (table) => missing(table, 'update'),
    run: (run) => everyKill(run, 'changes'),
  },
];

/** Batches are small, so that a kill leaves committed ones behind it. */
const MAX_ROWS = 7;
const SAMPLED_KILLS = 2;
/** More pages than this are sampled even for the first table of a style. */
const MOST_KILLS = 40;

/** Thrown between two pages. */
class Killed extends Error {}

async function everyKill(run: TableCaseRun, during: 'load' | 'changes'): Promise<void> {
  const pages = await countPages(run, during);
  for (const page of chosenPages(run, pages)) {
    await using bench = await run.open();
    const target = await prepare(run, bench, during);
    await killAt(bench, target, page);
    await target.trigger({maxRows: MAX_ROWS});
    await expectTruth(bench, target, `after a kill at page ${page + 1} of ${pages} and another run`);
    await mutate(bench, target, stepsOf(run.tableProof, 1));
    await target.trigger();
    await expectTruth(bench, target, `after a kill at page ${page + 1} of ${pages}, and changes`);
  }
}

async function prepare(
  {table, tableProof}: TableCaseRun,
  bench: ProofBench,
  during: 'load' | 'changes',
): Promise<ProofTarget> {
  const target = await bench.target(table);
  if (during === 'load') return target;
  await target.trigger();
  await mutate(bench, target, stepsOf(tableProof, 8));
  return target;
}

async function countPages(run: TableCaseRun, during: 'load' | 'changes'): Promise<number> {
  await using bench = await run.open();
  const target = await prepare(run, bench, during);
  return (await target.trigger({maxRows: MAX_ROWS})).pages;
}

async function killAt(bench: ProofBench, target: ProofTarget, page: number): Promise<void> {
  try {
    await target.trigger({
      maxRows: MAX_ROWS,
      onPage: (at) => {
        if (at === page) throw new Killed('killed');
      },
    });
  } catch (error) {
    if (!(error instanceof Killed)) throw error;
  }
  await bench.reopen();
  bench.clock.advance(1_000);
}

function chosenPages(run: TableCaseRun, pages: number): readonly number[] {
  const all = Array.from({length: pages}, (_, page) => page);
  const most = run.isFull ? pages : isFirstOfStyle(run) ? MOST_KILLS : SAMPLED_KILLS;
  if (pages <= most) return all;
  const random = seededRandom(run.seed + run.table.length);
  const chosen = new Set([0, pages - 1]);
  while (chosen.size < Math.max(most, 2)) chosen.add(Math.floor(random() * pages));
  return [...chosen].sort((left, right) => left - right);
}
