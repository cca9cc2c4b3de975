import {mkdir, mkdtemp, rm, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';

import {afterEach, beforeEach, describe, expect, it} from 'vitest';

import {includedFiles} from './include-files.ts';

describe('includedFiles', () => {
  let folder = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'include-'));
    for (const name of [
      'b.yml',
      'a.yml',
      'a.yaml',
      'sub/a.yml',
      'sub/deep/c.yml',
      'x+y.yml',
      '.git/z.yml',
      'node_modules/m/n.yml',
    ]) {
      await mkdir(dirname(join(folder, name)), {recursive: true});
      await writeFile(join(folder, name), '');
    }
    await symlink(folder, join(folder, 'sub/loop'));
  });
  afterEach(() => rm(folder, {recursive: true, force: true}));

  it.each([
    ['*.yml', ['a.yml', 'b.yml', 'x+y.yml']],
    ['./?.y{a,}ml', ['a.yaml', 'a.yml', 'b.yml']],
    ['**/*.yml', ['a.yml', 'b.yml', 'sub/a.yml', 'sub/deep/c.yml', 'x+y.yml']],
    ['sub/**', []],
    ['*/a.yml', ['sub/a.yml']],
    ['none/*.yml', []],
    ['x+y.yml', ['x+y.yml']],
    ['missing.yml', ['missing.yml']],
  ])('finds %s', async (pattern, names) => {
    expect(await includedFiles(folder, pattern)).toEqual(names.map((name) => join(folder, name)));
  });
});
