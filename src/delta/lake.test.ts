import {mkdtemp, readdir, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {expect, test} from 'vitest';

import {openLake} from './lake.ts';

test('a lake keeps its temporary files in a folder of its own, and removes it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-lake-test-'));
  const before = new Set(await readdir(tmpdir()));
  const lake = await openLake(folder, {memoryLimitMb: 128});
  const other = await openLake(folder, {memoryLimitMb: 128});
  const own = (await readdir(tmpdir())).filter((name) => name.startsWith('sluice-') && !before.has(name));
  expect(own.length).toBeGreaterThanOrEqual(2);
  await lake[Symbol.asyncDispose]();
  await other[Symbol.asyncDispose]();
  await rm(folder, {recursive: true, force: true});
  const left = await readdir(tmpdir());
  expect(own.filter((name) => left.includes(name) && !name.startsWith('sluice-pg'))).toEqual([]);
});
