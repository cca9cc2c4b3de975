import {isDeepStrictEqual} from 'node:util';

import type {Offset, PlainJson} from '../core/offset.ts';
import {offsetsEqual, offsetText} from '../core/offset.ts';
import {fieldAt} from '../core/schema.ts';
import type {TableCaseRun, TableCaseSpec} from './case-spec.ts';
import type {ProofTable} from './connector-proof.ts';
import {expectThat} from './proof-failure.ts';
import type {ProofOffset} from './proof-ledger.ts';
import {coerceRecords} from './proof-rows.ts';
import type {ProofBatch, ProofTarget} from './proof-target.ts';
import {truthOf} from './proof-truth.ts';

/** What holds for each table by itself: schema, metadata, rows, offsets, the end of a trigger. */
export const TABLE_CASES: readonly TableCaseSpec[] = [
  {suite: 'generic', name: 'gives a schema: columns, unique names, the same twice', run: givesSchema},
  {suite: 'generic', name: 'gives metadata that fit schema and connector, the same twice', run: givesMetadata},
  {suite: 'generic', name: 'reads rows that land whole: keys, required columns, types', run: readsRows},
  {suite: 'generic', name: 'ends a trigger, and brings nothing new from a quiet source', run: endsTriggers},
  {suite: 'generic', name: 'reads on from an offset whatever the order of its keys', run: readsOffsets},
  {
    suite: 'generic',
    name: 'reads the same rows, or more, from the same offset',
    excluded: needsTruthChange,
    run: rereads,
  },
  {suite: 'generic', name: 'reads the same rows from equal sources, and at any time', run: isDeterministic},
  {suite: 'generic', name: 'gives no live rows as deletes', excluded: needsTruth, run: givesNoLiveDeletes},
  {suite: 'generic', name: 'fills every column in some row', run: fillsColumns},
  {
    suite: 'generic',
    name: 'honours max_records_per_batch to within a page',
    excluded: drainsWindows,
    run: honoursMaxRows,
  },
];

const TYPES: ReadonlySet<string> = new Set(['snapshot', 'cdc', 'cdc_with_deletes', 'append']);

async function givesSchema({open, table}: TableCaseRun): Promise<void> {
  await using bench = await open();
  const {options} = await bench.flow(table);
  const schema = await bench.connector.getTableSchema(table, options, bench.callContext());
  expectThat(schema.fields.length > 0, () => ({
    expected: `columns of "${table}"`,
    came: 'an empty schema',
    fix: 'Declare the columns, or infer them from rows.',
  }));
  const names = schema.fields.map((field) => field.name.toLowerCase());
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  expectThat(twice === undefined, () => ({
    expected: 'column names that differ by more than their case',
    came: `"${twice ?? ''}" more than once`,
    fix: 'Rename or leave out one of them.',
  }));
  await bench.reopen();
  const again = await bench.connector.getTableSchema(table, options, bench.callContext());
  expectThat(isDeepStrictEqual(schema, again), () => ({
    expected: 'the same schema from another instance',
    came: 'another one',
    fix: 'Let a schema depend on the source and the options only, and keep the order of columns.',
  }));
}

async function givesMetadata({open, table, tableProof}: TableCaseRun): Promise<void> {
  await using bench = await open();
  const {connector} = bench;
  // Also refuses what a run would refuse: no key, no cursor, nothing that ends a trigger.
  const {options} = await bench.flow(table);
  const ctx = bench.callContext();
  const metadata = await connector.readTableMetadata(table, options, ctx);
  const schema = await connector.getTableSchema(table, options, ctx);
  const {ingestionType, primaryKeys, cursorField} = metadata;
  expectThat(TYPES.has(ingestionType), () => ({
    expected: `an ingestion type among ${[...TYPES].join(', ')}`,
    came: ingestionType,
    fix: 'Correct ingestionType in readTableMetadata.',
  }));
  const strange = primaryKeys.find((path) => fieldAt(schema, path) === null);
  expectThat(strange === undefined, () => ({
    expected: `primary keys of "${table}" that are columns or paths into structs`,
    came: `"${strange ?? ''}", which the schema does not have`,
    fix: 'Correct primaryKeys, or add the column to the schema.',
  }));
  expectThat(ingestionType === 'append' || primaryKeys.length > 0 || hasKeys(tableProof), () => ({
    expected: `a primary key of "${table}", which is ${ingestionType}`,
    came: 'none',
    fix: 'Name the columns that tell rows apart, or declare the table as append.',
  }));
  expectThat(cursorField === undefined || fieldAt(schema, cursorField) !== null, () => ({
    expected: 'a cursor field that is a column or a path into a struct',
    came: `"${cursorField ?? ''}", which the schema does not have`,
    fix: 'Correct cursorField, or add the column to the schema.',
  }));
  expectThat(ingestionType !== 'cdc_with_deletes' || connector.readTableDeletes !== undefined, () => ({
    expected: 'readTableDeletes, as the table is cdc_with_deletes',
    came: 'a connector without it',
    fix: 'Implement it, or declare the table as cdc.',
  }));
  const isPartitioned = connector.isPartitioned?.(table, null, options) ?? false;
  expectThat(isPartitioned === (tableProof.isPartitioned === true), () => ({
    expected: `isPartitioned of the proof as the connector says it: ${isPartitioned}`,
    came: String(tableProof.isPartitioned === true),
    fix: 'Correct `isPartitioned` of the table in the proof, so that its partition cases run.',
  }));
  const again = await connector.readTableMetadata(table, options, ctx);
  expectThat(isDeepStrictEqual(metadata, again), () => ({
    expected: 'the same metadata twice',
    came: 'others',
    fix: 'Let metadata depend on the source and the options only.',
  }));
}

async function readsRows({open, table}: TableCaseRun): Promise<void> {
  await using bench = await open();
  const target = await bench.target(table);
  // Keys, required columns and types are checked with every page.
  const report = await target.trigger();
  const records = report.batches.flatMap((batch) => batch.records);
  expectThat(target.reference.rows.length > 0, () => ({
    expected: `rows of "${table}"`,
    came: 'none',
    fix: 'Give the source of the proof rows that are old enough to be read (`visibleAfterMs` tells how old).',
  }));
  const odd = records.find((row: unknown) => typeof row !== 'object' || row === null || Array.isArray(row));
  expectThat(odd === undefined, () => ({
    expected: 'rows that are objects',
    came: `a row of type ${Array.isArray(odd) ? 'list' : typeof odd}`,
    fix: 'Yield one JSON object per row.',
  }));
}

async function endsTriggers({open, table}: TableCaseRun): Promise<void> {
  await using bench = await open();
  const target = await bench.target(table);
  await target.trigger({maxRows: 7});
  await target.trigger();
  const before = target.offset;
  const quiet = await target.trigger();
  expectThat(quiet.changed === 0, () => ({
    expected: `no change of "${table}" from a source where nothing happened`,
    came: `${quiet.changed} rows`,
    fix: 'Return the start offset when nothing is new, and let rows depend on the source only.',
  }));
  const isSnapshot = target.flow.ingestionType === 'snapshot';
  expectThat(isSnapshot || sameOffsets(before, target.offset), () => ({
    expected: `an offset that stands still when neither source nor clock moved: ${textOf(before)}`,
    came: textOf(target.offset),
    fix: 'Return the start offset itself when nothing is new.',
  }));
  bench.clock.advance(3_600_000);
  const later = await target.trigger();
  expectThat(later.changed === 0, () => ({
    expected: 'no change an hour later either',
    came: `${later.changed} rows`,
    fix: 'Values that depend on the time of reading make every row new: leave them out.',
  }));
}

async function readsOffsets({open, table}: TableCaseRun): Promise<void> {
  await using bench = await open();
  const target = await bench.target(table);
  const {batches} = await target.trigger({maxRows: 7});
  const batch = batches[Math.floor((batches.length - 1) / 2)];
  if (batch === undefined) return;
  const start = batch.end;
  const plain = await target.peek(start);
  const shuffled = await target.peek({rows: reversed(start.rows), deletes: reversed(start.deletes)});
  expectThat(rowsText(target, plain) === rowsText(target, shuffled) && sameOffsets(plain.end, shuffled.end), () => ({
    expected: `the same rows from ${textOf(start)} with its keys in another order`,
    came: `${shuffled.records.length} rows to ${textOf(shuffled.end)}, not ${plain.records.length} to ${textOf(plain.end)}`,
    fix: 'Read offsets by the names of their fields and compare them with offsetsEqual.',
  }));
}

async function rereads({open, table, tableProof}: TableCaseRun): Promise<void> {
  await using bench = await open();
  const target = await bench.target(table);
  const {batches} = await target.trigger({maxRows: 7});
  const middle = Math.floor((batches.length - 1) / 2);
  const start = batches[middle]?.start;
  if (start === undefined) return;
  const expectAll = (known: ReadonlySet<string>, again: ReadonlySet<string>, when: string): void => {
    const lost = [...known].filter((key) => !again.has(key));
    expectThat(lost.length === 0, () => ({
      expected: `every row that was read from ${textOf(start)} to be read from there again${when}`,
      came: `${lost.length} of ${known.size} rows are missing the second time`,
      fix: 'An offset must say by itself where to read on: keep nothing about it in the connector, and no page tokens that can be used once.',
    }));
  };
  const first = keysOf(target, batches.slice(middle));
  const second = keysOf(target, await target.readOn(start));
  expectAll(first, second, '');
  await tableProof.mutations?.insert?.(bench.source, 3);
  await bench.settle(table);
  await bench.reopen();
  expectAll(second, keysOf(target, await target.readOn(start)), ' when there is more');
}

async function isDeterministic({open, table}: TableCaseRun): Promise<void> {
  const read = async (): Promise<readonly (readonly string[])[]> => {
    await using bench = await open();
    const target = await bench.target(table);
    await target.trigger();
    bench.clock.advance(3_600_000);
    await bench.reopen();
    const later = await bench.target(table);
    await later.trigger();
    return [target, later].map(({reference}) => reference.rows.map((row) => row.text).sort());
  };
  const [first, second] = [await read(), await read()];
  for (const [other, when] of [
    [second[0], 'from two equal sources'],
    [first[1], 'from one source, an hour later'],
  ] as const)
    expectThat(isDeepStrictEqual(first[0], other), () => ({
      expected: `equal rows of "${table}" ${when}`,
      came: `${first[0]?.length ?? 0} and ${other?.length ?? 0} rows that are not all equal`,
      fix: 'Add nothing to rows that depends on the time or on chance; let `start` of the proof depend on the seed only.',
    }));
}

async function fillsColumns({open, table, tableProof}: TableCaseRun): Promise<void> {
  await using bench = await open();
  const target = await bench.target(table);
  await target.trigger();
  const {rows} = target.reference;
  const empty = target.flow.landingSchema.fields
    .map((field) => field.name)
    .filter((name) => rows.every((row) => row.cells[name] === null || row.cells[name] === undefined));
  const known = Object.keys(tableProof.unfilled ?? {});
  const open_ = empty.filter((name) => !known.includes(name));
  expectThat(open_.length === 0, () => ({
    expected: `a value in every column of "${table}"`,
    came: `none in ${open_.join(', ')}`,
    fix: 'Correct the name in the schema, give the source such values, or name the column in `unfilled` with the reason.',
  }));
  const filled = known.filter((name) => !empty.includes(name));
  expectThat(filled.length === 0, () => ({
    expected: `no value in the columns that the proof calls unfilled`,
    came: `values in ${filled.join(', ')}`,
    fix: 'Take them out of `unfilled`.',
  }));
}

async function honoursMaxRows({open, table}: TableCaseRun): Promise<void> {
  await using bench = await open();
  const target = await bench.target(table);
  const maxRows = 5;
  const {batches} = await target.trigger({maxRows});
  // A snapshot without offsets is one read; the framework cannot cut it.
  if (
    target.flow.ingestionType === 'snapshot' ||
    batches.some((batch) => batch.offsets.length === 0 && batch.end === null)
  )
    return;
  const largest = Math.max(0, ...batches.flatMap((batch) => batch.pages));
  const over = batches.find((batch) => batch.records.length > maxRows + largest);
  expectThat(over === undefined, () => ({
    expected: `batches of at most ${maxRows} rows and one page (${largest} rows)`,
    came: `one of ${over?.records.length ?? 0} rows`,
    fix: 'Yield pages with an `offset` wherever the read may end, or return once ctx.limits.maxRows is reached.',
  }));
}

/** A delete removes what has its key: a live row among them would be lost. */
export async function givesNoLiveDeletes({open, table}: TableCaseRun): Promise<void> {
  await using bench = await open();
  const target = await bench.target(table);
  if (target.flow.ingestionType !== 'cdc_with_deletes') return;
  await truthOf(bench, target);
  await bench.table(table).mutations?.delete?.(bench.source, 2);
  await bench.settle(table);
  const {batches} = await target.trigger();
  const live = new Set((await truthOf(bench, target)).map((row) => row.key));
  const deleted = coerceRecords(
    target.flow,
    batches.flatMap((batch) => batch.deletes),
    'deletes',
  ).rows;
  const wrong = deleted.filter((row) => live.has(row.key));
  expectThat(wrong.length === 0, () => ({
    expected: `deletes of rows that "${table}" no longer has`,
    came: `${wrong.length} live rows among ${deleted.length} deletes`,
    fix: 'readTableDeletes must read the feed of deletes, not the rows.',
  }));
}

function needsTruth(table: ProofTable): string | undefined {
  return table.truth === undefined ? 'the proof has no `truth` for this table' : undefined;
}

function needsTruthChange(table: ProofTable): string | undefined {
  return table.mutations?.insert === undefined ? 'the proof has no `insert` for this table' : undefined;
}

function drainsWindows({pagingStyle, isPartitioned}: ProofTable): string | undefined {
  if (isPartitioned === true) return 'partitions bring all there is';
  return pagingStyle === 'window' ? 'a window of time is always read to its end' : undefined;
}

function hasKeys({configuration}: ProofTable): boolean {
  return (configuration?.primaryKeys ?? []).length > 0;
}

function keysOf(target: ProofTarget, batches: readonly ProofBatch[]): ReadonlySet<string> {
  return new Set(batches.flatMap((batch) => target.rows(batch.records).map((row) => row.key)));
}

function rowsText(target: ProofTarget, batch: ProofBatch): string {
  return target
    .rows(batch.records)
    .map((row) => row.text)
    .join('\n');
}

function reversed(offset: Offset | null): Offset | null {
  return offset === null ? null : (reversedKeys(offset) as Offset);
}

function reversedKeys(value: PlainJson): PlainJson {
  if (value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return value.map(reversedKeys);
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([name, inner]: readonly [string, PlainJson]) => [name, reversedKeys(inner)]),
  );
}

/** Offsets for messages. */
export function textOf({rows, deletes}: ProofOffset): string {
  return deletes === null ? offsetText(rows) : `${offsetText(rows)} / ${offsetText(deletes)}`;
}

function sameOffsets(left: ProofOffset, right: ProofOffset): boolean {
  return offsetsEqual(left.rows, right.rows) && offsetsEqual(left.deletes, right.deletes);
}
