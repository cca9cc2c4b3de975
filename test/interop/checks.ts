import {mkdirSync} from 'node:fs';
import {join} from 'node:path';
import {isDeepStrictEqual} from 'node:util';

import {allTypesRows, searchedColumns} from './all-types.ts';
import {writeAppliedTables} from './apply-tables.ts';
import {type CanonicalTable, ForeignReaders, type ReadAnswer, type ReaderName} from './foreign-readers.ts';
import {writeByTurns} from './foreign-writes.ts';
import type {Installation} from './setup.ts';
import {Lake, type TableCase} from './table-case.ts';
import {sparkLiteral} from './values.ts';
import {writeDeltaTables} from './write-tables.ts';

/** What became of the checks. */
export interface CheckCounts {
  readonly passed: number;
  readonly failed: number;
}

const READERS: readonly ReaderName[] = ['spark', 'delta-rs', 'delta-rs-arrow'];

/** Writes all tables, has every reader read every state of them, and compares value by value. */
export async function runChecks(installation: Installation): Promise<CheckCounts> {
  const counter = new Counter();
  // A folder whose name needs escaping in URLs, as a user's may.
  const folder = join(installation.workFolder, 'lake ä 50% #1');
  mkdirSync(folder, {recursive: true});
  await using lake = await Lake.open(folder, installation.workFolder);
  await using readers = await ForeignReaders.start(installation);
  const tables = [...(await writeDeltaTables(lake)), ...(await writeAppliedTables(lake))];
  for (const table of tables) await checkReads(counter, readers, table);
  for (const deletionVectors of [true, false]) {
    const {findings, table} = await writeByTurns(lake, readers, deletionVectors);
    for (const {name, problem} of findings) counter.add(name, problem);
    await checkReads(counter, readers, table);
  }
  await checkSkipping(counter, readers, join(folder, 'main/raw/every_type'));
  return counter;
}

class Counter implements CheckCounts {
  passed = 0;
  failed = 0;

  /** Counts one check; `problem` is null when it holds. */
  add(name: string, problem: string | null): void {
    if (problem === null) {
      this.passed++;
      console.log(`ok      ${name}`);
    } else {
      this.failed++;
      console.log(`FAILED  ${name}\n        ${problem}`);
    }
  }
}

async function checkReads(counter: Counter, readers: ForeignReaders, table: TableCase): Promise<void> {
  for (const reader of READERS) {
    const refusal = reader === 'delta-rs-arrow' ? table.arrowRefuses : undefined;
    for (const {version, expected} of refusal === undefined ? table.states : table.states.slice(-1)) {
      const answer = await readers.read(reader, table.folder, version);
      const at = version === undefined ? '' : ` at version ${version}`;
      if (refusal === undefined)
        counter.add(`${reader} reads a table ${table.name}${at}`, difference(answer, expected));
      else counter.add(`${reader} refuses a table ${table.name}`, refusedFor(answer, refusal));
    }
  }
}

function refusedFor(answer: ReadAnswer, feature: string): string | null {
  if (!('error' in answer)) return 'it was read';
  return answer.error.includes(feature) ? null : `refused for another reason: ${answer.error}`;
}

/** Where a reader's table differs from the expected one, in words; null when it does not. Rows have no order. */
function difference(answer: ReadAnswer, expected: CanonicalTable): string | null {
  if ('error' in answer) return answer.error;
  if (!isDeepStrictEqual(answer.columns, expected.columns)) {
    return `columns ${JSON.stringify(answer.columns)} instead of ${JSON.stringify(expected.columns)}`;
  }
  const missing = new Map<string, number>();
  for (const row of expected.rows) count(missing, rowText(expected, row), 1);
  for (const row of answer.rows) count(missing, rowText(expected, row), -1);
  const wrong = [...missing].filter(([, times]) => times !== 0);
  if (wrong.length === 0) return null;
  const samples = wrong.slice(0, 4).map(([text, times]) => `${times > 0 ? 'missing' : 'extra'} ${text.slice(0, 1500)}`);
  return `${wrong.length} rows differ: ${samples.join('\n        ')}`;
}

function rowText(table: CanonicalTable, row: CanonicalTable['rows'][number]): string {
  return JSON.stringify(table.columns.map(([name]) => row[name] ?? null));
}

function count(counts: Map<string, number>, text: string, change: number): void {
  counts.set(text, (counts.get(text) ?? 0) + change);
}

/** Spark skips files by our statistics: it must find every value that is there. */
async function checkSkipping(counter: Counter, readers: ForeignReaders, folder: string): Promise<void> {
  for (const {name, type, values} of searchedColumns) {
    const searched = values.map((value) => ({value, literal: sparkLiteral(type, value)}));
    const counts = searched.map(
      ({literal}) => `(select count(*) from delta.\`${folder}\` where \`${name}\` = ${literal})`,
    );
    const wanted = values.map((value) => {
      const same = allTypesRows.filter((row) => row[name] !== null && Object.is(row[name], value));
      return String(same.length);
    });
    const [found] = await readers.sql(`select ${counts.join(', ')}`);
    const missed = searched.filter((_, index) => Number(found?.[index] ?? 0) < Number(wanted[index]));
    counter.add(
      `spark finds every ${name} by statistics`,
      missed.length === 0 ? null : `not found: ${missed.map(({literal}) => literal).join(', ')}`,
    );
  }
}
