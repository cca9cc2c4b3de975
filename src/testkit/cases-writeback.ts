import type {JsonObject} from '../core/json-value.ts';
import type {TableCaseRun, TableCaseSpec} from './case-spec.ts';
import type {ProofTable, ProofWrites} from './connector-proof.ts';
import type {ProofBench} from './proof-bench.ts';
import {expectThat} from './proof-failure.ts';
import {cellText, landedCells, type ProofRow} from './proof-rows.ts';
import type {ProofTarget} from './proof-target.ts';
import {tracksDeletes} from './proof-truth.ts';

/** What is written by the source's own endpoints is read back from the offset before it. */
export const WRITEBACK_CASES: readonly TableCaseSpec[] = [
  {suite: 'writeback', name: 'reads a row back that was written', excluded: needs('insert'), run: insertsBack},
  {suite: 'writeback', name: 'reads a change back that was written', excluded: needs('update'), run: updatesBack},
  {suite: 'writeback', name: 'follows a delete that was written', excluded: withoutDelete, run: deletesBack},
];

function needs(what: keyof ProofWrites): (table: ProofTable) => string | undefined {
  return (table) =>
    table.writes?.[what] === undefined || table.writes.insert === undefined
      ? `the proof has no write endpoint for ${what}s of this table`
      : undefined;
}

function withoutDelete(table: ProofTable): string | undefined {
  return needs('delete')(table) ?? (table.tracksDeletes === false ? 'the table does not follow deletes' : undefined);
}

function insertsBack({open, table, tableProof}: TableCaseRun): Promise<void> {
  return withWrites(open, table, async ({bench, target, written}) => {
    await target.trigger();
    const row = await written(tableProof);
    await readUntil(bench, target, () => find(target, row) !== undefined);
    expectValues(target, row, {row, what: 'a row that was written before this run'});
  });
}

function updatesBack({open, table, tableProof}: TableCaseRun): Promise<void> {
  return withWrites(open, table, async ({bench, target, written}) => {
    const row = await written(tableProof);
    await readUntil(bench, target, () => find(target, row) !== undefined);
    const values = (await tableProof.writes?.update?.(bench.source, row, bench.api)) ?? {};
    await readUntil(bench, target, () => differing(target, row, values).length === 0);
    expectValues(target, values, {row, what: 'the row that was written and changed'});
  });
}

function deletesBack({open, table, tableProof}: TableCaseRun): Promise<void> {
  return withWrites(open, table, async ({bench, target, written, deleted}) => {
    expectThat(tracksDeletes(bench, target), () => ({
      expected: `a table "${table}" that follows deletes, as the proof can delete its rows`,
      came: `a table that is ${target.flow.ingestionType} without a scan of keys`,
      fix: 'Say `tracksDeletes: false` in the proof of the table, or true where its rows bring deletes.',
    }));
    const row = await written(tableProof);
    await readUntil(bench, target, () => find(target, row) !== undefined);
    expectValues(target, row, {row, what: 'the row that was written'});
    await tableProof.writes?.delete?.(bench.source, row, bench.api);
    deleted();
    await readUntil(bench, target, () => find(target, row) === undefined);
    expectThat(find(target, row) === undefined, () => ({
      expected: `no row of "${table}" with the key that was deleted`,
      came: 'the row as it was',
      fix: 'Read deletes by readTableDeletes, and give them a cursor value newer than the row.',
    }));
  });
}

interface Writing {
  readonly bench: ProofBench;
  readonly target: ProofTarget;
  /** Writes a row; gives its columns. */
  readonly written: (table: ProofTable) => Promise<JsonObject>;
  /** The row that was written is gone. */
  readonly deleted: () => void;
}

/** Runs a case; of a real account what it has written is deleted again, also after a failure. */
async function withWrites(
  open: TableCaseRun['open'],
  table: string,
  use: (writing: Writing) => Promise<void>,
): Promise<void> {
  await using bench = await open();
  const target = await bench.target(table, {isWhole: true});
  let made: JsonObject | null = null;
  let isGone = false;
  try {
    await use({
      bench,
      target,
      written: async ({writes}) => {
        made = (await writes?.insert?.(bench.source, bench.api)) ?? {};
        return made;
      },
      deleted: () => void (isGone = true),
    });
  } finally {
    const {writes} = bench.table(table);
    if (made !== null && bench.source.isLive === true) {
      if (!isGone) await writes?.delete?.(bench.source, made, bench.api);
      await writes?.cleanUp?.(bench.source, made, bench.api);
    }
  }
}

/** Waits before a real source is asked whether it shows what was written: each twice as long as the one before. */
const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 10_000;

/** Reads what was written by a connector of its own: at once where time can be set, as soon as it shows at a real source. */
async function readUntil(bench: ProofBench, target: ProofTarget, isThere: () => boolean): Promise<void> {
  const table = target.flow.sourceTable;
  if (bench.source.isLive !== true) {
    await bench.settle(table);
    await bench.reopen();
    await target.trigger();
    return;
  }
  let leftMs = bench.settleMs(table);
  // Ends when the time has passed after which the source shows everything.
  for (let waitMs = FIRST_WAIT_MS; leftMs > 0; waitMs = Math.min(2 * waitMs, LONGEST_WAIT_MS, leftMs)) {
    await bench.clock.sleep(waitMs, bench.signal);
    leftMs -= waitMs;
    await bench.reopen();
    await target.trigger();
    if (isThere()) return;
  }
}

function expectValues(
  target: ProofTarget,
  values: JsonObject,
  {row, what}: {readonly row: JsonObject; readonly what: string},
): void {
  const table = target.flow.sourceTable;
  expectThat(find(target, row) !== undefined, () => ({
    expected: `${what} in "${table}"`,
    came: 'no such row',
    fix: 'It was written after the offset: the read must begin there, itself included, and reach to now.',
  }));
  const [name] = differing(target, row, values);
  expectThat(name === undefined, () => ({
    expected: `the written value in column "${name}" of "${table}"`,
    came: 'another one',
    fix: 'The write was not read: is it older than the offset, or is the row served from a cache of the source?',
  }));
}

/** Columns that have other values than were written. */
function differing(target: ProofTarget, row: JsonObject, values: JsonObject): readonly string[] {
  const found = find(target, row);
  const wanted = landedCells(target.flow, values);
  return Object.keys(wanted).filter(
    (name) => found === undefined || cellText(found.cells[name] ?? null) !== cellText(wanted[name] ?? null),
  );
}

/** The row with the key of one that was written; of a table without keys, with all its values. */
function find(target: ProofTarget, row: JsonObject): ProofRow | undefined {
  const {flow} = target;
  const wanted = landedCells(flow, row);
  const names = flow.keys.length === 0 ? Object.keys(wanted) : flow.keys;
  expectThat(names.length > 0 && names.every((name) => wanted[name] !== undefined), () => ({
    expected: `the key of the row that was written to "${flow.sourceTable}": ${names.join(', ')}`,
    came: `the columns ${Object.keys(wanted).join(', ')}`,
    fix: 'Give the key columns from `insert` of the writes of the table.',
  }));
  return target.reference.rows.find((landed) =>
    names.every((name) => cellText(landed.cells[name] ?? null) === cellText(wanted[name] ?? null)),
  );
}
