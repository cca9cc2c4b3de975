import fc from 'fast-check';
import {describe, expect, test} from 'vitest';

import type {StructField, StructType} from '../core/types.ts';
import {landedNames, namedField} from './column-names.ts';

const OPTIONS = {taken: ['_rescued_data'], others: [], renamed: new Map<string, string>()};

function tableOf(names: ReadonlyMap<string, string>, more: readonly StructField[] = []): StructType {
  const fields = [...names].map(([source, landed]) =>
    namedField({name: source, type: 'long', nullable: true, metadata: {}}, landed, source),
  );
  return {type: 'struct', fields: [...more, ...fields]};
}

describe('landed names', () => {
  const few = fc.uniqueArray(fc.constantFrom('a', 'A', 'b', 'B', 'a_2', 'A_2', 'ab', 'aB', 'Ab', '_RESCUED_data'), {
    minLength: 1,
  });

  test('are one for each column, and differ by more than case', () => {
    fc.assert(
      fc.property(few, (source) => {
        const {names} = landedNames(source, null, OPTIONS);
        expect([...names.keys()]).toEqual(source);
        const folded = new Set([...names.values(), '_rescued_data'].map((name) => name.toLowerCase()));
        expect(folded.size).toBe(source.length + 1);
      }),
      {verbose: 1},
    );
  });

  test('stay, whatever order columns have and whichever are gone', () => {
    fc.assert(
      fc.property(few, fc.array(few, {maxLength: 4}), (first, later) => {
        let {names} = landedNames(first, null, OPTIONS);
        const known = new Map(names);
        for (const source of later) {
          const table = tableOf(known);
          names = landedNames(source, table, {...OPTIONS, others: first}).names;
          for (const [name, landed] of names) {
            const before = known.get(name);
            if (before !== undefined) expect(landed).toBe(before);
          }
          const all = new Map([...known, ...names]);
          expect(new Set([...all.values()].map((name) => name.toLowerCase())).size).toBe(all.size);
          for (const [name, landed] of names) known.set(name, landed);
          first.push(...source.filter((name) => !first.includes(name)));
        }
      }),
      {verbose: 1},
    );
  });

  test('of a new column that is like another one are numbered, past names that the source has', () => {
    const {names, apart} = landedNames(['name', 'Name', 'name_2', 'NAME'], null, OPTIONS);
    expect([...names.values()]).toEqual(['name', 'Name_3', 'name_2', 'NAME_4']);
    expect(apart).toEqual(['Name', 'NAME']);
  });

  test('follow a column whose case changed, unless its old name is still there', () => {
    const table = tableOf(new Map([['name', 'name']]));
    expect([...landedNames(['NAME'], table, OPTIONS).names]).toEqual([['NAME', 'name']]);
    expect([...landedNames(['NAME'], table, {...OPTIONS, others: ['name']}).names]).toEqual([['NAME', 'NAME_2']]);
    expect([...landedNames(['NAME', 'name'], table, OPTIONS).names]).toEqual([
      ['NAME', 'NAME_2'],
      ['name', 'name'],
    ]);
  });
});
