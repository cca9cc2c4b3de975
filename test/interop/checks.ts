import {mkdirSync} from 'node:fs';
import {join} from 'node:path';
import {isDeepStrictEqual} from 'node:util';

import {type CanonicalTable, ForeignReaders, type ReadAnswer, type ReaderName} from './foreign-readers.ts';
import type {Installation} from './setup.ts';
import type {InteropBench} from './suite.ts';
import {suites} from './suites.ts';
import {Lake, type TableCase} from './table-case.ts';

/** What became of the checks. */
export interface CheckCounts {
  readonly passed: number;
  readonly failed: number;
}

const READERS: readonly ReaderName[] = ['spark', 'delta-rs', 'delta-rs-arrow'];

/**
 * Runs the suites one after the other, each with a lake of its own; one that throws counts as a failed check.
 * @param only names of suites; empty: all.
 */
export async function runChecks(installation: Installation, only: readonly string[]): Promise<CheckCounts> {
  const unknown = only.filter((name) => !suites.some((suite) => suite.name === name));
  if (unknown.length > 0)
    throw new Error(`No suite ${unknown.join(', ')}; there are ${suites.map(({name}) => name).join(', ')}.`);
  const counter = new Counter();
  await using readers = await ForeignReaders.start(installation);
  for (const suite of suites) {
    if (only.length > 0 && !only.includes(suite.name)) continue;
    // A folder whose name needs escaping in URLs, as a user's may.
    const folder = join(installation.workFolder, suite.name, 'lake ä 50% #1');
    mkdirSync(folder, {recursive: true});
    await using lake = await Lake.open(folder, installation.workFolder);
    const bench: InteropBench = {
      lake,
      readers,
      report: (name, problem) => counter.add(name, problem),
      checkReads: (table) => checkReads(counter, readers, table),
    };
    const startedAt = performance.now();
    try {
      await suite.run(bench);
    } catch (error) {
      counter.add(`suite ${suite.name}`, error instanceof Error ? (error.stack ?? error.message) : String(error));
    }
    console.log(`suite ${suite.name}: ${((performance.now() - startedAt) / 1000).toFixed(0)} s`);
  }
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
    const refusal = table.refuses?.[reader];
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
