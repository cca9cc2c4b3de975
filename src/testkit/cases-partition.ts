import {isDeepStrictEqual} from 'node:util';

import type {Offset} from '../core/offset.ts';
import {offsetsEqual} from '../core/offset.ts';
import type {Connector, Partition, ReadContext} from '../sdk/contract.ts';
import type {TableCaseRun, TableCaseSpec} from './case-spec.ts';
import {missing} from './cases-exactness.ts';
import {givesNoLiveDeletes} from './cases-tables.ts';
import type {ProofTable} from './connector-proof.ts';
import type {ProofBench} from './proof-bench.ts';
import {expectThat} from './proof-failure.ts';
import type {ProofRow} from './proof-rows.ts';
import type {ProofTarget} from './proof-target.ts';
import {expectTruth, truthOf} from './proof-truth.ts';

/** Partitions are plain, apart from each other, and together the whole. */
export const PARTITION_CASES: readonly TableCaseSpec[] = [
  partition('gives partitions that are plain JSON, the same for the same range', plainPartitions),
  partition('reads every row in exactly one partition', unionIsWhole),
  partition('gives no partitions between equal offsets, and stands still', noneWhenEqual),
  partition('takes an empty offset for none', emptyIsNone),
  partition('reads partitions on another instance, in any order', anyOrder),
  {
    ...partition('equals the source after changes between plan and read', changesBetween),
    excluded: (table) => notPartitioned(table) ?? missing(table),
  },
  partition('reads partitions at once within the budget of the source', staysInBudget),
  partition('gives no live rows as deletes', givesNoLiveDeletes),
];

function partition(name: string, run: (run: TableCaseRun) => Promise<void>): TableCaseSpec {
  return {suite: 'partition', name, excluded: notPartitioned, run};
}

function notPartitioned({isPartitioned}: ProofTable): string | undefined {
  return isPartitioned === true ? undefined : 'the connector does not read this table in partitions';
}

/** Plans after which a load must be through. */
const MAX_STRETCHES = 1000;

interface Plan {
  readonly end: Offset | null;
  readonly partitions: readonly Partition[];
  /** Partitions that are read at once on the instance that planned them; null: anywhere. */
  readonly parallelHere: number | null;
}

async function planOf(bench: ProofBench, target: ProofTarget, start: Offset | null): Promise<Plan> {
  const {connector} = bench;
  const {sourceTable, options} = target.flow;
  const ctx = contextOf(bench, target);
  const end = (await connector.latestOffset?.(sourceTable, start, options, ctx)) ?? null;
  const plan = await connector.getPartitions?.(sourceTable, {start, end}, options, ctx);
  await plan?.[Symbol.asyncDispose]?.();
  return {
    end: plan?.end ?? end,
    partitions: plan?.partitions ?? [],
    parallelHere: plan?.parallelHere ?? null,
  };
}

/** The partitions of a load that may come in several commits, and where the last ones end. */
async function wholeLoad(bench: ProofBench, target: ProofTarget): Promise<Pick<Plan, 'end' | 'partitions'>> {
  const {connector} = bench;
  const {sourceTable, options} = target.flow;
  const all: Partition[] = [];
  let end: Offset | null = null;
  for (let stretch = 0; stretch < MAX_STRETCHES; stretch++) {
    if (connector.isPartitioned?.(sourceTable, end, options) !== true) break;
    const plan = await planOf(bench, target, end);
    const isThrough = end !== null && offsetsEqual(plan.end, end);
    if (isThrough) break;
    all.push(...plan.partitions);
    end = plan.end;
    if (end === null) break;
  }
  return {partitions: all, end};
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
  const isLive = bench.source.isLive === true;
  const {partitions, end} = isLive ? await planOf(bench, target, null) : await wholeLoad(bench, target);
  const parts: (readonly ProofRow[])[] = [];
  for (const each of isLive ? someOf(partitions) : partitions) parts.push(await rowsOf(bench, target, each));
  const all = parts.flat();
  const seen = new Set<string>();
  const twice = all.find((row) => seen.size === seen.add(row.key).size);
  expectThat(twice === undefined, () => ({
    expected: `each row of "${table}" in one partition`,
    came: `${isLive ? 'a row' : `the row ${twice?.key ?? ''}`} in two`,
    fix: 'Make one bound of each partition exclusive: (start, end].',
  }));
  if (tableProof.truth === undefined) return;
  // What is too new for the last partitions comes by `readTable`.
  const later = end === null ? [] : await target.readOn({rows: end, deletes: null});
  for (const {records} of later) for (const {key} of target.rows(records)) seen.add(key);
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
  let last: Offset | null = end;
  for (let turn = 0; turn < MAX_STRETCHES; turn++) {
    // Where further partitions follow, a load comes in several commits.
    const next: Offset | null = (await connector.latestOffset?.(sourceTable, last, options, ctx)) ?? null;
    if (offsetsEqual(next, last) || connector.isPartitioned?.(sourceTable, last, options) !== true) break;
    last = next;
  }
  const again = (await connector.latestOffset?.(sourceTable, last, options, ctx)) ?? null;
  expectThat(offsetsEqual(again, last), () => ({
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

async function changesBetween({open, table, tableProof}: TableCaseRun): Promise<void> {
  await using bench = await open();
  const target = await bench.target(table);
  const {mutations = {}} = tableProof;
  await target.trigger({
    onPlan: async () => {
      for (const what of ['update', 'insert', 'delete'] as const) {
        await truthOf(bench, target);
        await mutations[what]?.(bench.source, 2);
      }
      await truthOf(bench, target);
    },
  });
  for (let run = 0; run < 2; run++) {
    await bench.settle(table);
    await target.trigger();
  }
  await expectTruth(bench, target, 'after a load between whose plan and rows the source changed, and two runs');
}

/** Instances that read partitions which may be read anywhere. */
const PROCESSES = 3;

async function staysInBudget({open, table}: TableCaseRun): Promise<void> {
  await using bench = await open();
  const target = await bench.target(table);
  const {partitions, parallelHere} = await planOf(bench, target, null);
  const others = parallelHere === null ? Array.from({length: PROCESSES - 1}, () => bench.create()) : [];
  const instances = parallelHere === null ? [bench.connector, ...others] : atOnce(bench.connector, parallelHere);
  const rest = partitions.values();
  try {
    await Promise.all(
      instances.map(async (connector) => {
        for (const each of rest) await rowsOf(bench, target, each, connector);
      }),
    );
  } finally {
    for (const other of others) await other.close?.();
  }
  const violations = bench.source.violations?.() ?? [];
  expectThat(violations.length === 0, () => ({
    expected: `a source that has nothing to complain of while ${instances.length} partitions are read at once`,
    came: violations.slice(0, 3).join('; '),
    fix: 'Say parallelHere in the plan, so that all partitions share the limits of one client.',
  }));
}

function atOnce(connector: Connector, count: number): readonly Connector[] {
  return Array.from({length: count}, () => connector);
}

/** Of a real source: some partitions, and of each its first pages. */
const LIVE_PARTITIONS = 8;
const LIVE_PAGES = 3;

function someOf(partitions: readonly Partition[]): readonly Partition[] {
  const step = Math.ceil(partitions.length / LIVE_PARTITIONS);
  return partitions.filter((_, index) => index % step === 0);
}

async function rowsOf(
  bench: ProofBench,
  target: ProofTarget,
  part: Partition,
  connector = bench.connector,
): Promise<readonly ProofRow[]> {
  const {sourceTable, options} = target.flow;
  const rows: ProofRow[] = [];
  let pages = 0;
  for await (const page of connector.readPartition?.(sourceTable, part, options, contextOf(bench, target)) ?? []) {
    rows.push(...target.rowsOfPage(page));
    if (bench.source.isLive === true && ++pages === LIVE_PAGES) break;
  }
  return rows;
}
