import {appendFile, mkdtemp, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterEach, beforeEach, describe, expect, it} from 'vitest';

import {EventSpool} from './event-spool.ts';

describe('EventSpool', () => {
  let folder = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'spool-'));
  });
  afterEach(() => rm(folder, {recursive: true, force: true}));

  const linesOf = async (path: string): Promise<string[]> =>
    (await readFile(path, 'utf8')).split('\n').filter((line) => line !== '');

  it('keeps lines in order and starts a new file after sealing', async () => {
    const spool = await EventSpool.open(folder, 0);
    await Promise.all(Array.from({length: 50}, (_, index) => spool.append(`{"n":${index}}`)));
    const first = await spool.seal();
    await spool.append('{"n":50}');
    const both = await spool.seal();
    expect(first.map((file) => file.number)).toEqual([1]);
    expect(both.map((file) => file.number)).toEqual([1, 2]);
    expect(await linesOf(both[0]?.path ?? '')).toEqual(Array.from({length: 50}, (_, index) => `{"n":${index}}`));
    expect(await linesOf(both[1]?.path ?? '')).toEqual(['{"n":50}']);
  });

  it('makes no file when there is nothing to write', async () => {
    const spool = await EventSpool.open(folder, 7);
    expect(await spool.seal()).toEqual([]);
    expect(await readdir(folder)).toEqual([]);
  });

  it('numbers new files above the floor and above what it finds', async () => {
    await writeFile(join(folder, '000000000003.ndjson'), '{"n":1}\n');
    const low = await EventSpool.open(folder, 1);
    await low.append('{}');
    expect((await low.seal()).map((file) => file.number)).toEqual([3, 4]);
    const high = await EventSpool.open(folder, 9);
    await high.append('{}');
    expect((await high.seal()).map((file) => file.number)).toEqual([3, 4, 10]);
  });

  it('takes over the file of a killed writer without its torn line', async () => {
    const path = join(folder, '000000000001.ndjson');
    await writeFile(path, '{"n":1}\n{"n":2}\n{"n":3,"te');
    const [file] = await (await EventSpool.open(folder, 0)).seal();
    expect(await readFile(file?.path ?? '', 'utf8')).toBe('{"n":1}\n{"n":2}\n');
    await writeFile(path, '{"n":1}\n');
    await appendFile(path, Buffer.alloc(8));
    await (await EventSpool.open(folder, 0)).seal();
    expect(await readFile(path, 'utf8')).toBe('{"n":1}\n');
  });

  it('loses and doubles nothing when lines arrive while files are sealed', async () => {
    const spool = await EventSpool.open(folder, 0);
    const writes: Promise<unknown>[] = [];
    for (let n = 0; n < 200; n++) {
      writes.push(spool.append(`{"n":${n}}`));
      if (n % 7 === 0) writes.push(spool.seal());
      if (n % 31 === 0) await Promise.all(writes);
    }
    await Promise.all(writes);
    const lines: string[] = [];
    for (const file of await spool.seal()) lines.push(...(await linesOf(file.path)));
    expect(lines).toEqual(Array.from({length: 200}, (_, n) => `{"n":${n}}`));
  });

  it('removes only what it is told to', async () => {
    const spool = await EventSpool.open(folder, 0);
    await spool.append('{"n":1}');
    const done = await spool.seal();
    await spool.append('{"n":2}');
    await spool.remove(done);
    await spool.close();
    expect(await readdir(folder)).toEqual(['000000000002.ndjson']);
  });
});
