import {mkdtemp, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import {failureOf, TINY, writeFolder} from './author.support.test.ts';
import {buildConnector} from './build-connector.ts';
import {loadConnectorFolder} from './load-connector.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-build-'));
});
afterAll(() => rm(folder, {recursive: true, force: true}));

const PACKAGE = {
  'node_modules/plain/package.json': '{"name": "plain", "version": "1.0.0", "main": "index.js"}',
  'node_modules/plain/index.js': "module.exports = {word: require('node:path').sep};",
};

describe('a built connector', {timeout: 30_000}, () => {
  it('is one file with a manifest, which loads like its source', async () => {
    const source = await writeFolder(folder, {
      ...TINY,
      ...PACKAGE,
      'table.ts': "import {word} from 'plain';\nexport const TABLE = word;\n",
    });
    const built = await buildConnector(source);
    expect(built.folder).toBe(join(source, 'dist/tiny'));
    expect(built.manifest).toMatchObject({name: 'tiny', version: '1.2.3', sdk: '^0.1.0'});
    const code = await readFile(join(built.folder, 'index.js'), 'utf8');
    expect(code.match(/from "sluice\/sdk"/g)).toHaveLength(1);
    expect(code).not.toContain(folder);
    expect(await loadConnectorFolder(built.folder)).toMatchObject({kind: 'built', definition: {name: 'tiny'}});
  });

  it('is the same bytes wherever and whenever it is built', async () => {
    const hashes: string[] = [];
    for (let time = 0; time < 2; time++) {
      const {manifest} = await buildConnector(await writeFolder(folder, {...TINY, ...PACKAGE}));
      hashes.push(manifest.sha256);
    }
    expect(hashes[1]).toBe(hashes[0]);
  });

  it('is refused when a byte of it was changed, or when it is for another major', async () => {
    const {folder: built} = await buildConnector(await writeFolder(folder, TINY));
    const manifest = await readFile(join(built, 'manifest.json'), 'utf8');
    await writeFile(join(built, 'manifest.json'), manifest.replace('^0.1.0', '^3.0.0'));
    expect(await failureOf(loadConnectorFolder(built), folder)).toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringMatching(/^The connector "tiny" was built for sluice\/sdk \^3\.0\.0; this is/) as string,
    });
    await writeFile(join(built, 'manifest.json'), manifest);
    await writeFile(join(built, 'index.js'), '\n', {flag: 'a'});
    expect(await failureOf(loadConnectorFolder(built), folder)).toMatchObject({
      code: 'INVALID_CONNECTOR',
      message: expect.stringContaining('its SHA-256 differs') as string,
    });
  });

  it('has a version that can be part of a file name', async () => {
    const source = await writeFolder(folder, {...TINY, 'package.json': '{"version": "../1.0.0"}'});
    expect(await failureOf(buildConnector(source), folder)).toMatchObject({fix: 'Write it as 1.2.3.'});
  });

  it('takes the place of an earlier build and of nothing else', async () => {
    const source = await writeFolder(folder, TINY);
    await expect(buildConnector(source, source)).rejects.toMatchObject({code: 'INVALID_OPTION'});
    expect(await readFile(join(source, 'table.ts'), 'utf8')).toBe(TINY['table.ts']);
    await buildConnector(source);
    const {folder: built} = await buildConnector(source);
    expect((await readdir(built)).sort()).toEqual(['index.js', 'manifest.json']);
  });

  it('has no native code: the package is named', async () => {
    const using = (name: string): string => `import '${name}';\n${TINY['index.ts'] ?? ''}`;
    const gyp = await writeFolder(folder, {
      ...TINY,
      'index.ts': using('fast-thing'),
      'node_modules/fast-thing/package.json': '{"main": "index.js"}',
      'node_modules/fast-thing/index.js': 'module.exports = 1;',
      'node_modules/fast-thing/binding.gyp': '{}',
    });
    expect(await failureOf(buildConnector(gyp), folder)).toMatchObject({
      code: 'UNSUPPORTED',
      message: 'The connector uses packages with native code: fast-thing (binding.gyp).',
    });
    const addon = await writeFolder(folder, {
      ...TINY,
      'index.ts': using('addon'),
      'node_modules/addon/package.json': '{"main": "index.js"}',
      'node_modules/addon/index.js': "module.exports = require('./build/addon.node');",
    });
    expect(await failureOf(buildConnector(addon), folder)).toMatchObject({
      code: 'INVALID_CONNECTOR',
      message: expect.stringContaining('the package "addon" loads native code') as string,
    });
  });

  it('imports the SDK and no other door', async () => {
    const source = await writeFolder(folder, {
      ...TINY,
      'table.ts': "import 'sluice/simulator';\nexport const TABLE = 't';\n",
    });
    expect(await failureOf(buildConnector(source), folder)).toMatchObject({
      message: expect.stringContaining('a connector may import sluice/sdk only') as string,
    });
  });
});
