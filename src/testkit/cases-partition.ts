import {isDeepStrictEqual} from 'node:util';

import type {Offset} from '../core/offset.ts';
import {offsetsEqual} from '../core/offset.ts';
import type {Partition, ReadContext} from '../sdk/contract.ts';
import type {TableCaseRun, TableCaseSpec} from './case-spec.ts';
import {givesNoLiveDeletes} from './cases-tables.ts';
import type {ProofTable} from './connector-proof.ts';
import type {ProofBench} from './proof-bench.ts';
import {expectThat} from './proof-failure.ts';
import type {ProofRow} from './proof-rows.ts';
import type {ProofTarget} from './proof-target.ts';
import {truthOf} from './proof-truth.ts';

/** Partitions are plain, apart from each other, and together the whole. */
export const PARTITION_CASES: readonly TableCaseSpec[] = [
  partition('gives partitions that are plain JSON, the same for the same range', plainPartitions),
  partition('reads every row in exactly one partition', unionIsWhole),
  partition('gives no partitions between equal offsets, and stands still', noneWhenEqual),
  partition('takes an empty offset for none', emptyIsNone),
  partition('reads partitions on another instance, in any order', anyOrder),
  partition('gives no live rows as deletes', givesNoLiveDeletes),
];

function partition(name: string, run: (run: TableCaseRun) => Promise<void>): TableCaseSpec {
  return {suite: 'partition', name, excluded: notPartitioned, run};
}

function notPartitioned({isPartitioned}: ProofTable): string | undefined {
  return isPartitioned === true ? undefined : 'the connector does not read this table in partitions';
}

interface Plan {
  readonly end: Offset | null;
  readonly partitions: readonly Partition[];
}

async function planOf(bench: ProofBench, target: ProofTarget, start: Offset | null): Promise<Plan> {
  const {connector} = bench;
  const {sourceTable, options} = target.flow;
  const ctx = contextOf(bench, target);
  const end = (await connector.latestOffset?.(sourceTable, start, options, ctx)) ?? null;
  const plan = await connector.getPartitions?.(sourceTable, {start, end}, options, ctx);
  await plan?.[Symbol.asyncDispose]?.();
  return {end: plan?.end ?? end, partitions: plan?.partitions ?? []};
}

function contextOf(bench: ProofBench, target: ProofTarget): ReadContext {
  return target.readContext({triggerStartedAt: bench.clock.nowMicros(), isFirstCall: true});
}

async function plainPartitions({open, table}: TableCaseRun): Promise<void> {
  await using bench = await open();
  const target = await bench.target(table);
  const first = await planOf(bench, target, null);
  expectThat(first.partitions.length > 0, () => ({
    expected: `partitions of "${table}", which has rows`,
    came: 'none',
    fix: 'Give at least one partition for everything between null and latestOffset.',
  }));
  const copy = JSON.parse(JSON.stringify(first.partitions)) as unknown;
  expectThat(isDeepStrictEqual(copy, first.partitions), () => ({
    expected: 'partitions that JSON keeps as they are',
    came: 'dates, undefined, bigints or classes among them',
    fix: 'Put texts, finite numbers, booleans, nulls, lists and objects into partitions, and nothing else.',
  }));
  const second = await planOf(bench, target, null);
  expectThat(isDeepStrictEqual(first, second), () => ({
    expected: 'the same partitions for the same range of a quiet source',
    came: 'others',
    fix: 'Let partitions depend on the range and the source only.',
  }));
}

async function unionIsWhole({open, table, tableProof}: TableCaseRun): Promise<void> {
  await using bench = await open();
  const target = await bench.target(table);
  const plan = await planOf(bench, target, null);
  const parts: (readonly ProofRow[])[] = [];
  for (const each of plan.partitions) parts.push(await rowsOf(bench, target, each));
  const all = parts.flat();
  const isLive = bench.source.isLive === true;
  const seen = new Set<string>();
  const twice = all.find((row) => seen.size === seen.add(row.key).size);
  expectThat(twice === undefined, () => ({
    expected: `each row of "${table}" in one partition`,
    came: `${isLive ? 'a row' : `the row ${twice?.key ?? ''}`} in two`,
    fix: 'Make one bound of each partition exclusive: (start, end].',
  }));
  if (tableProof.truth === undefined) return;
  const truth = await truthOf(bench, target);
  const lost = truth.filter((row) => !seen.has(row.key));
  expectThat(lost.length === 0, () => ({
    expected: `all ${truth.length} rows of "${table}" in some partition`,
    came: `${lost.length} in none${isLive ? '' : `, for example ${lost[0]?.key ?? ''}`}`,
    fix: 'Partitions must cover the whole range without gaps, rows without a value for the bound included.',
  }));
}

async function noneWhenEqual({open, table}: TableCaseRun): Promise<void> {
  await using bench = await open();
  const target = await bench.target(table);
  const {end} = await planOf(bench, target, null);
  if (end === null) return;
  const {connector} = bench;
  const {sourceTable, options} = target.flow;
  const ctx = contextOf(bench, target);
  const plan = await connector.getPartitions?.(sourceTable, {start: end, end}, options, ctx);
  expectThat((plan?.partitions ?? []).length === 0, () => ({
    expected: 'no partitions between equal offsets',
    came: `${plan?.partitions.length ?? 0}`,
    fix: 'Return an empty list when start and end say the same (offsetsEqual).',
  }));
  const again = (await connector.latestOffset?.(sourceTable, end, options, ctx)) ?? null;
  expectThat(offsetsEqual(again, end), () => ({
    expected: 'a latestOffset that stands still for a quiet source',
    came: 'another one',
    fix: 'Return the start offset when nothing is new, and bound the end by ctx.triggerStartedAt.',
  }));
}

async function emptyIsNone({open, table}: TableCaseRun): Promise<void> {
  await using bench = await open();
  const target = await bench.target(table);
  const [none, empty] = [await planOf(bench, target, null), await planOf(bench, target, {})];
  expectThat(isDeepStrictEqual(none, empty), () => ({
    expected: 'the same plan from {} as from null: from the beginning',
    came: 'another one',
    fix: 'Treat an offset without fields as none.',
  }));
}

async function anyOrder({open, table}: TableCaseRun): Promise<void> {
  await using bench = await open();
  const target = await bench.target(table);
  const {partitions} = await planOf(bench, target, null);
  const read = async (order: readonly Partition[]): Promise<readonly string[]> => {
    const texts: string[] = [];
    for (const each of order) for (const row of await rowsOf(bench, target, each)) texts.push(row.text);
    return texts.sort();
  };
  const here = await read(partitions);
  await bench.reopen();
  const there = await read(partitions.toReversed());
  expectThat(isDeepStrictEqual(here, there), () => ({
    expected: 'the same rows from another instance that reads the partitions backwards',
    came: `${there.length} rows, not all equal to the ${here.length} before`,
    fix: 'A partition must say everything itself: keep nothing between getPartitions and readPartition.',
  }));
}

async function rowsOf(bench: ProofBench, target: ProofTarget, part: Partition): Promise<readonly ProofRow[]> {
  const {sourceTable, options} = target.flow;
  const rows: ProofRow[] = [];
  const pages = bench.connector.readPartition?.(sourceTable, part, options, contextOf(bench, target));
  if (pages === undefined) return rows;
  for await (const page of pages) rows.push(...target.rowsOfPage(page));
  return rows;
}
