import fc from 'fast-check';
import {describe, expect, it} from 'vitest';

import {IngestError} from '../../core/errors.ts';
import {plainValue} from './config-node.ts';
import {parseConfig} from './parse-config.ts';

const parsed = (text: string): unknown => plainValue(parseConfig(text, 'f.yml'));

function problemOf(text: string): {readonly message: string; readonly at: unknown} {
  try {
    parseConfig(text, 'f.yml');
  } catch (error) {
    if (error instanceof IngestError && error.code === 'INVALID_SPEC')
      return {message: error.message, at: error.context['at']};
    throw error;
  }
  throw new Error('The text was accepted.');
}

describe('parseConfig', () => {
  it('reads YAML with anchors and merge keys, and JSON with tabs', () => {
    expect(parsed('a: &x {b: 1, c: 2}\nd:\n  <<: *x\n  c: 3\ne: [*x]\n')).toEqual({
      a: {b: 1, c: 2},
      d: {c: 3, b: 1},
      e: [{b: 1, c: 2}],
    });
    expect(parsed('{\n\t"a": [1,\n\t\t"\\u00e4"],\r\n\t"b": null}')).toEqual({a: [1, 'ä'], b: null});
    expect(parsed('\uFEFFa: 1')).toEqual({a: 1});
  });

  it('keeps texts that other YAML readers take for something else', () => {
    expect(parsed('a: no\nb: 2020-01-01\nc: 1e\n012: x\nd: "1"')).toEqual({
      a: 'no',
      b: '2020-01-01',
      c: '1e',
      '012': 'x',
      d: '1',
    });
  });

  it.each([
    ['a: 1\na: 2', 'Map keys must be unique', '2:1'],
    ['a:\n\t- b', 'Tabs are not allowed as indentation', '2:1'],
    ['a: [1', 'Flow sequence in block collection must be sufficiently indented and end with a ]', '1:6'],
    ['a: "x', 'Missing closing "quote', '1:6'],
    ['', 'the file is empty', '1:1'],
    ['# only a comment\n', 'the file is empty', '1:1'],
    ['a: 1\n---\nb: 2', 'the file holds more than one document', '2:1'],
    ['a: *missing', 'the anchor of this alias is missing', '1:4'],
    ['a: !secret x', 'Unresolved tag: !secret', '1:4'],
    ['? [a]\n: 1', 'a key must be text', '1:3'],
    ['account: 123456789012345678901', 'the number is too large to be kept exactly', '1:10'],
    ['a: .nan', 'the number is too large to be kept exactly', '1:4'],
    ['a:\n  <<: 5', '"<<" merges mappings only', '2:7'],
    [`${'['.repeat(100)}${']'.repeat(100)}`, 'values are nested too deeply', '1:66'],
    ['['.repeat(20_000), 'values are nested too deeply', '1:1'],
    ['a: &a [*a]', 'values are nested too deeply', '1:7'],
  ])('says where %j is wrong', (text, message, at) => {
    expect(problemOf(text)).toEqual({message, at: `f.yml:${at}`});
  });

  it('does not let anchors multiply a file', () => {
    const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
    for (let n = 1; n < 9; n++)
      lines.push(`a${n}: &a${n} [${Array.from({length: 10}, () => `*a${n - 1}`).join(', ')}]`);
    expect(problemOf(lines.join('\n')).message).toBe('there are too many values');
  });

  it('reads all JSON as JSON.parse does', () => {
    const seed = Date.now() % 1_000_000;
    const key = fc.string({minLength: 1}).filter((text) => text !== '<<');
    const number = fc
      .double({noNaN: true, noDefaultInfinity: true})
      .filter((value) => !Object.is(value, -0) && (!Number.isInteger(value) || Number.isSafeInteger(value)));
    const {value} = fc.letrec((tie) => ({
      value: fc.oneof(
        {maxDepth: 4},
        fc.string(),
        fc.boolean(),
        fc.constant(null),
        number,
        fc.array(tie('value'), {maxLength: 4}),
        fc.dictionary(key, tie('value'), {maxKeys: 4, noNullPrototype: true}),
      ),
    }));
    fc.assert(
      fc.property(
        fc.dictionary(key, value, {minKeys: 1, maxKeys: 4, noNullPrototype: true}),
        fc.constantFrom(undefined, 2, '\t'),
        (data, indent) => {
          expect(parsed(JSON.stringify(data, null, indent))).toEqual(data);
        },
      ),
      {seed, numRuns: 100},
    );
  });
});
