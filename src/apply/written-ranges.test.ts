import {afterAll, beforeAll, describe, expect, test} from 'vitest';

import type {ApplyInput, ApplyJob} from './apply-engine.ts';
import type {TestLake, TestRow} from './lake.support.test.ts';
import {columns, inFiles, openTestLake, relation, TestFlow} from './lake.support.test.ts';

let lake: TestLake;
beforeAll(async () => {
  lake = await openTestLake();
});
afterAll(async () => lake[Symbol.asyncDispose]());

const SCHEMA = columns({id: 'long', text: 'string', seq: 'long'});
type Op = 'upsert' | 'delete' | 'truncate';
type Event = readonly [op: Op, id: number | null, text: string | null, seq: number, more?: TestRow];

/** Events in the order of their arrival, those of each range in a file. */
async function batch(flow: TestFlow, ...ranges: readonly (readonly Event[])[]): Promise<ApplyInput> {
  const rows = ranges.flat().map(([op, id, text, seq, more], order): TestRow => ({
    id: id === null ? null : BigInt(id),
    text,
    seq: BigInt(seq),
    __op: op,
    __ord: order,
    ...more,
  }));
  let place = 0;
  return inFiles(flow, relation(SCHEMA, rows), [0, ...ranges.map((range) => (place += range.length))]);
}

/** Which of a batch's files are live, by their ranges. */
async function live(flow: TestFlow, input: ApplyInput): Promise<readonly boolean[]> {
  const {files} = (await flow.table()).snapshot;
  if (input.kind !== 'relation') throw new Error('not a relation');
  return (input.written ?? []).map((range) => range.files.length > 0 && range.files.every(({path}) => files.has(path)));
}

async function texts(flow: TestFlow): Promise<readonly string[]> {
  return (await flow.rows()).map(({id, text, seq}) => [id, text, seq].join(' '));
}

describe.each([true, false])('rows that are in files before they are applied, with deletion vectors: %s', (vectors) => {
  const create = async (): Promise<TestFlow> => TestFlow.create(lake, SCHEMA, {vectors});

  test('are not written again where each of them is added', async () => {
    const flow = await create();
    const first = await batch(
      flow,
      [['upsert', 1, 'a', 1]],
      [
        ['upsert', 2, 'b', 1],
        ['upsert', 3, 'c', 1],
      ],
    );
    const result = await flow.apply({inputs: [first]});
    expect(result.counts).toMatchObject({inserted: 3, updated: 0});
    expect(await live(flow, first)).toEqual([true, true]);
    expect((await flow.table()).snapshot.files.size).toBe(2);
    const second = await batch(flow, [
      ['upsert', 2, 'B', 2],
      ['upsert', 4, 'd', 1],
    ]);
    expect((await flow.apply({inputs: [second]})).counts).toMatchObject({inserted: 1, updated: 1});
    expect(await live(flow, second)).toEqual([true]);
    expect(await texts(flow)).toEqual(['1 a 1', '2 B 2', '3 c 1', '4 d 1']);
  });

  test.each<[string, readonly (readonly Event[])[], readonly string[], readonly boolean[]]>([
    [
      'a newer one of the key comes later',
      [[['upsert', 1, 'a', 1]], [['upsert', 2, 'b', 1]], [['upsert', 1, 'A', 2]]],
      ['1 A 2', '2 b 1'],
      [false, true, true],
    ],
    [
      'an older one of the key comes later',
      [
        [['upsert', 1, 'A', 2]],
        [['upsert', 2, 'b', 1]],
        [
          ['upsert', 1, 'a', 1],
          ['upsert', 3, 'c', 1],
        ],
      ],
      ['1 A 2', '2 b 1', '3 c 1'],
      [true, true, false],
    ],
    [
      'the key comes twice at one sequence: the later arrival stands',
      [[['upsert', 1, 'first', 1]], [['upsert', 1, 'second', 1]]],
      ['1 second 1'],
      [false, true],
    ],
    [
      'the key comes twice in one range',
      [
        [
          ['upsert', 1, 'first', 1],
          ['upsert', 1, 'second', 1],
        ],
        [['upsert', 2, 'b', 1]],
      ],
      ['1 second 1', '2 b 1'],
      [false, true],
    ],
    [
      'a delete of the key comes later',
      [
        [['upsert', 1, 'a', 1]],
        [
          ['upsert', 2, 'b', 1],
          ['delete', 1, null, 2],
        ],
      ],
      ['2 b 1'],
      [false, true],
    ],
    [
      'a delete of the key came before, and is older',
      [
        [
          ['delete', 1, null, 1],
          ['upsert', 2, 'b', 1],
        ],
        [['upsert', 1, 'a', 2]],
      ],
      ['1 a 2', '2 b 1'],
      [true, true],
    ],
    [
      'a delete of the key came before, and is newer',
      [
        [
          ['delete', 1, null, 3],
          ['upsert', 2, 'b', 1],
        ],
        [
          ['upsert', 1, 'a', 2],
          ['upsert', 3, 'c', 1],
        ],
      ],
      ['2 b 1', '3 c 1'],
      [true, false],
    ],
    [
      'a truncate takes some of them',
      [[['upsert', 1, 'a', 1]], [['truncate', null, null, 2]], [['upsert', 2, 'b', 3]]],
      ['2 b 3'],
      [false, false, true],
    ],
    [
      'the key becomes another one',
      [[['upsert', 1, 'a', 1]], [['upsert', 2, 'b', 2, {__old_key: {id: 1n}}]]],
      ['2 b 2'],
      [false, true],
    ],
    [
      'one leaves a column as it was',
      [[['upsert', 1, 'a', 1]], [['upsert', 2, null, 2, {__old_key: {id: 1n}, __unchanged: ['text']}]]],
      ['2 a 2'],
      [false, false],
    ],
  ])('are written again but for files of which each row is added: %s', async (_, ranges, rows, files) => {
    const flow = await create();
    const input = await batch(flow, ...ranges);
    await flow.apply({inputs: [input], keepTombstones: true});
    expect(await texts(flow)).toEqual(rows);
    expect(await live(flow, input)).toEqual(files);
    // Nothing of it is there twice for who comes again.
    const {end} = (await flow.batch()) ?? {};
    expect(
      (await flow.apply({inputs: [input], keepTombstones: true, start: end, end} as Partial<ApplyJob>)).version,
    ).toBe(null);
  });

  test('meet stored rows: those that are newer, or the same, keep a file from being added', async () => {
    const flow = await create();
    await flow.apply({
      inputs: [
        await batch(flow, [
          ['upsert', 1, 'a', 5],
          ['upsert', 2, 'b', 5],
          ['upsert', 3, 'c', 5],
        ]),
      ],
    });
    const input = await batch(
      flow,
      [
        ['upsert', 1, 'late', 4],
        ['upsert', 4, 'd', 1],
      ],
      [
        ['upsert', 2, 'b', 5],
        ['upsert', 5, 'e', 1],
      ],
      [
        ['upsert', 3, 'C', 6],
        ['upsert', 6, 'f', 1],
      ],
    );
    expect((await flow.apply({inputs: [input]})).counts).toMatchObject({inserted: 3, updated: 1, unchanged: 2});
    expect(await live(flow, input)).toEqual([false, false, true]);
    expect(await texts(flow)).toEqual(['1 a 5', '2 b 5', '3 C 6', '4 d 1', '5 e 1', '6 f 1']);
  });

  test('are told to readers of changes, whether they are written again or not', async () => {
    const configuration = {'delta.enableChangeDataFeed': 'true'};
    const flow = await TestFlow.create(lake, SCHEMA, {vectors, configuration});
    await flow.apply({
      inputs: [
        await batch(flow, [
          ['upsert', 1, 'a', 1],
          ['upsert', 2, 'b', 1],
        ]),
      ],
    });
    const {version} = await flow.apply({
      inputs: [
        await batch(
          flow,
          [['upsert', 1, 'A', 2]],
          [
            ['upsert', 3, 'old', 1],
            ['upsert', 3, 'c', 2],
          ],
        ),
      ],
    });
    const table = await flow.table();
    const changes = await lake.context.engine.query(
      `SELECT id, text, _change_type AS kind FROM (${await table.changesSql({from: version ?? 0, to: version ?? 0})}) ORDER BY ALL`,
    );
    expect(changes.map(({id, text, kind}) => [id, text, kind].join(' '))).toEqual([
      '1 A update_postimage',
      '1 a update_preimage',
      '3 c insert',
    ]);
  });
});
