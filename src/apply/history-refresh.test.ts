import fc from 'fast-check';
import {afterAll, beforeAll, expect, test} from 'vitest';

import type {Random} from '../core/clock.ts';
import {seededRandom} from '../core/clock.ts';
import type {EngineRow} from '../engine/engine.ts';
import type {ApplyJob} from './apply-engine.ts';
import type {TestLake, TestRow} from './lake.support.test.ts';
import {columns, openTestLake, relation, TestFlow} from './lake.support.test.ts';

let lake: TestLake;
beforeAll(async () => {
  lake = await openTestLake();
});
afterAll(async () => lake[Symbol.asyncDispose]());

const KEYS = [1, 2, 3, 4, 5, 6];

/** A table of random events and refreshes. */
class RefreshedTable {
  readonly #random: Random;
  readonly #flow: TestFlow;
  readonly #isTwo: boolean;
  readonly #tracked: readonly string[];

  private constructor(random: Random, flow: TestFlow, isTwo: boolean) {
    this.#random = random;
    this.#flow = flow;
    this.#isTwo = isTwo;
    this.#tracked = random() < 0.5 ? ['name'] : ['name', 'city'];
  }

  static async create(random: Random): Promise<RefreshedTable> {
    const isTwo = random() < 0.5;
    const bound = isTwo ? columns({major: 'long', minor: 'long'}) : 'long';
    const more = columns({...rowTypes(isTwo), __START_AT: bound, __END_AT: bound});
    return new RefreshedTable(random, await TestFlow.create(lake, more, {vectors: random() < 0.5}), isTwo);
  }

  async step(): Promise<void> {
    const kind = this.#random();
    if (kind < 0.5) return this.#events();
    return kind < 0.85 ? this.#refresh() : this.#keyScan();
  }

  async #events(): Promise<void> {
    const rows = Array.from({length: 1 + this.#int(5)}, (_, at) => ({
      ...this.#row(1 + this.#int(6)),
      __ord: at,
      __op: this.#random() < 0.3 ? 'delete' : 'upsert',
    }));
    await this.#apply({mode: 'scd2', inputs: [relation(columns(rowTypes(this.#isTwo)), rows)]});
  }

  async #refresh(): Promise<void> {
    const rows = KEYS.filter(() => this.#random() < 0.7).map((id) => this.#row(id));
    const some = this.#random() < 0.4 ? await this.#openRows() : [];
    const all = [...rows, ...some.filter(({id}) => !rows.some((row) => row['id'] === id))];
    await this.#apply({
      mode: 'replace',
      start: {rows: null, deletes: null},
      inputs: [relation(columns(rowTypes(this.#isTwo)), all)],
    });
    expect(texts(await this.#openRows())).toEqual(texts(all));
  }

  async #keyScan(): Promise<void> {
    const open = await this.#openRows();
    const gone = open.filter(() => this.#random() < 0.3);
    const stale = this.#random() < 0.5 ? [this.#row(1)] : [];
    const names = ['id', ...this.#sequence];
    const schema = columns(rowTypes(this.#isTwo));
    const left = open.filter(
      (row) => !gone.includes(row) && !stale.some((each) => this.#identity(each) === this.#identity(row)),
    );
    await this.#apply({mode: 'scd2', deletesWinTies: true, deletes: [relation(schema, [...gone, ...stale], names)]});
    expect(texts(await this.#openRows())).toEqual(texts(left));
  }

  #identity(row: TestRow): string {
    return ['id', ...this.#sequence].map((name) => String(row[name])).join(' ');
  }

  async #apply(parts: Partial<ApplyJob>): Promise<void> {
    await this.#flow.apply({
      target: 'scd2',
      sequence: this.#sequence,
      trackedColumns: this.#tracked,
      keepTombstones: true,
      ...parts,
    });
    this.#checkVersions(await this.#flow.rows());
  }

  get #sequence(): readonly string[] {
    return this.#isTwo ? ['major', 'minor'] : ['major'];
  }

  /** Per key versions follow one another. */
  #checkVersions(rows: readonly EngineRow[]): void {
    for (const id of KEYS) {
      const versions = rows
        .filter((row) => Number(row['id']) === id)
        .map((row) => ({
          start: row['__START_AT'] === null ? -1 : this.#place(row['__START_AT']),
          end: this.#place(row['__END_AT']),
        }))
        .toSorted((left, right) => left.start - right.start);
      versions.forEach(({start, end}, at) => {
        expect(end).toBeGreaterThan(start);
        expect(versions[at + 1]?.start ?? Infinity).toBeGreaterThanOrEqual(end);
      });
    }
  }

  #place(value: unknown): number {
    if (value === null) return Infinity;
    if (typeof value !== 'object') return Number(value);
    const {major, minor} = value as {readonly major: bigint | null; readonly minor: bigint | null};
    return Number(major ?? -1) * 100 + Number(minor ?? -1);
  }

  async #openRows(): Promise<readonly TestRow[]> {
    const rows = (await this.#flow.rows()).filter((row) => row['__END_AT'] === null);
    return rows.map(({__START_AT: _start, __END_AT: _end, ...row}) =>
      Object.fromEntries(
        Object.entries(row).map(([name, value]) => [
          name,
          typeof value === 'bigint' ? Number(value) : value === null ? null : String(value),
        ]),
      ),
    );
  }

  #row(id: number): TestRow {
    const place = {major: this.#random() < 0.1 ? null : this.#int(12), ...(this.#isTwo ? {minor: this.#int(3)} : {})};
    return {id, name: this.#pick(['a', 'b']), city: this.#pick(['x', 'y', 'z']), ...place};
  }

  #int(below: number): number {
    return Math.floor(this.#random() * below);
  }

  #pick(choices: readonly string[]): string {
    return choices[this.#int(choices.length)] ?? '';
  }
}

function rowTypes(isTwo: boolean): Readonly<Record<string, 'long' | 'string'>> {
  return {id: 'long', name: 'string', city: 'string', major: 'long', ...(isTwo ? {minor: 'long' as const} : {})};
}

function texts(rows: readonly TestRow[]): readonly string[] {
  return rows
    .map((row) => ['id', 'name', 'city', 'major', 'minor'].map((name) => String(row[name])).join(' '))
    .toSorted();
}

test(
  'after a refresh or a scan of keys, open versions are what the source holds, whatever came before',
  {timeout: 300_000},
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const random = seededRandom(seed);
        const table = await RefreshedTable.create(random);
        for (let step = 0; step < 7; step += 1) await table.step();
      }),
      {numRuns: 12, endOnFailure: true},
    );
  },
);
