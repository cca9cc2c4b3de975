import {mkdtemp, readdir, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {expect, onTestFinished, test, vi} from 'vitest';

import {openLake} from './lake.ts';

test('a lake keeps its temporary files in a folder of its own, and removes it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-lake-test-'));
  onTestFinished(async () => {
    vi.unstubAllEnvs();
    await rm(folder, {recursive: true, force: true});
  });
  vi.stubEnv('TMPDIR', folder);
  const lake = await openLake(join(folder, 'lake'), {memoryLimitMb: 128});
  const other = await openLake(join(folder, 'lake'), {memoryLimitMb: 128});
  expect(await readdir(folder)).toHaveLength(2);
  await lake[Symbol.asyncDispose]();
  await other[Symbol.asyncDispose]();
  expect(await readdir(folder)).toEqual([]);
});
