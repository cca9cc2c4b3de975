import {execFileSync} from 'node:child_process';
import {createHash} from 'node:crypto';
import {mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile} from 'node:fs/promises';
import {createServer, type Server} from 'node:http';
import type {AddressInfo} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {pathToFileURL} from 'node:url';

import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import {addConnector, fetchListed, loadAddedConnector, type AddRequest} from './added-connectors.ts';
import {failureOf, TINY, writeFolder} from './author.support.test.ts';
import {buildConnector} from './build-connector.ts';
import {resolveTarget} from './connector-target.ts';

const {signal} = new AbortController();
let folder = '';
let project = '';
let server: Server;
let served = '';
let url = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-add-'));
  project = join(folder, 'project');
  await mkdir(project);
  server = createServer((_, response) => void response.end(served));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/index.js`;
});
afterAll(async () => {
  await new Promise((resolve) => server.close(resolve));
  await rm(folder, {recursive: true, force: true});
});

const add = (source: string, more: Partial<AddRequest> = {}): ReturnType<typeof addConnector> =>
  addConnector({source, project, cwd: project, signal, ...more});
const failure = (promise: Promise<unknown>): ReturnType<typeof failureOf> => failureOf(promise, folder);
const listed = (): Promise<string> => readFile(join(project, 'sluice.connectors.yml'), 'utf8');

describe('connector add', {timeout: 30_000}, () => {
  it('lists a folder by its path and loads it from there', async () => {
    await writeFolder(folder, {});
    const source = await writeFolder(project, TINY);
    const added = await add(source, {name: 'by_path'});
    expect(added).toMatchObject({name: 'by_path', source: `./${source.slice(project.length + 1)}`, sha256: null});
    expect(await loadAddedConnector('by_path', project)).toMatchObject({definition: {name: 'tiny'}});
  });

  it('finds an installed package and never installs one', async () => {
    for (const [name, text] of Object.entries(TINY)) {
      await mkdir(join(project, 'node_modules/sluice-tiny'), {recursive: true});
      await writeFile(join(project, 'node_modules/sluice-tiny', name), text);
    }
    expect(await add('sluice-tiny', {name: 'by_package'})).toMatchObject({source: 'npm:sluice-tiny', sdk: '^0.1.0'});
    expect(await loadAddedConnector('by_package', project)).toMatchObject({definition: {name: 'tiny'}});
    expect(await failure(add('sluice-other'))).toMatchObject({
      code: 'UNKNOWN_CONNECTOR',
      fix: 'Install it there: npm install sluice-other',
    });
  });

  it('takes a URL only with its hash, keeps a copy, and checks it at every load', async () => {
    const {manifest, folder: built} = await buildConnector(await writeFolder(folder, TINY));
    served = await readFile(join(built, 'index.js'), 'utf8');
    expect(await failure(add(url))).toMatchObject({
      code: 'INVALID_OPTION',
      message: 'What is added comes from a URL without its SHA-256.',
    });
    expect(await failure(add(url, {sha256: '0'.repeat(64)}))).toMatchObject({
      code: 'INVALID_CONNECTOR',
      message: `What ${url} gives is not what was pinned: its SHA-256 is ${manifest.sha256}.`,
    });
    expect(await add(url, {sha256: manifest.sha256})).toMatchObject({name: 'tiny', sha256: manifest.sha256});
    served = 'changed at its home';
    expect(await loadAddedConnector('tiny', project)).toMatchObject({definition: {name: 'tiny'}});
    await writeFile(join(project, '.sluice/connectors/tiny/index.js'), '// changed here\n', {flag: 'a'});
    expect(await failure(loadAddedConnector('tiny', project))).toMatchObject({
      code: 'INVALID_CONNECTOR',
      message: expect.stringContaining('The connector "tiny" is not what was pinned') as string,
    });
  });

  it('refuses a built file for another major of the SDK, though no manifest comes with it', async () => {
    const {folder: built} = await buildConnector(await writeFolder(folder, TINY));
    served = (await readFile(join(built, 'index.js'), 'utf8')).replace('sluice/sdk ^0.1.0', 'sluice/sdk ^7.0.0');
    const sha256 = createHash('sha256').update(served).digest('hex');
    expect(await failure(add(url, {sha256, name: 'other_major'}))).toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringMatching(/was built for sluice\/sdk \^7\.0\.0; this is/) as string,
    });
    served = served.replace('sluice/sdk ^7.0.0', 'sluice/sdk ^0.1.0||^7.0.0');
    expect(
      await add(url, {sha256: createHash('sha256').update(served).digest('hex'), name: 'either_major'}),
    ).toMatchObject({sdk: '^0.1.0||^7.0.0'});
  });

  it('says what took whose place, and leaves the names of the connectors of Sluice alone', async () => {
    const one = await writeFolder(project, TINY);
    const two = await writeFolder(project, TINY);
    expect(await add(one, {name: 'twice'})).toMatchObject({replaced: null});
    expect(await add(one, {name: 'twice'})).toMatchObject({replaced: null});
    expect(await add(two, {name: 'twice'})).toMatchObject({replaced: {source: `./${one.slice(project.length + 1)}`}});
    const before = await listed();
    expect(await failure(add(one, {name: 'GitHub'}))).toMatchObject({
      code: 'INVALID_OPTION',
      fix: 'Give it another name in this project: --name NAME',
    });
    expect(await listed()).toBe(before);
    expect(await failure(loadAddedConnector('github', project))).toMatchObject({
      fix: 'It is a connector of Sluice: write connection_type: GITHUB instead.',
    });
  });

  it('says how a Git repository is written that is named as others name it', async () => {
    for (const [written, meant] of [
      ['git@example.com:a/b.git', 'git+ssh://git@example.com/a/b.git'],
      ['https://example.com/a/b.git', 'git+https://example.com/a/b.git'],
      ['ssh://git@example.com/a', 'git+ssh://git@example.com/a'],
    ] as const)
      expect(await failure(add(written, {ref: 'a'.repeat(40)}))).toMatchObject({
        code: 'INVALID_OPTION',
        fix: `Write it as ${meant}, with --ref and its full commit id.`,
      });
  });

  it('keeps what is there when what comes cannot be loaded, and leaves nothing else behind', async () => {
    served = 'no code';
    const sha256 = createHash('sha256').update(served).digest('hex');
    expect(await failure(add(url, {sha256, name: 'tiny'}))).toMatchObject({code: 'INVALID_CONNECTOR'});
    expect(await failure(add(url, {sha256}))).toMatchObject({code: 'INVALID_CONNECTOR'});
    expect(await failure(loadAddedConnector('tiny', project))).toMatchObject({
      message: expect.stringContaining('is not what was pinned') as string,
    });
    expect(await readFile(join(project, '.sluice/connectors/tiny/index.js'), 'utf8')).toContain('// changed here');
    expect(await readdir(join(project, '.sluice/connectors'))).toEqual(['either_major', 'tiny']);
  });

  it('refuses a source that is an option of git, or that would put a password under version control', async () => {
    const ref = 'a'.repeat(40);
    for (const source of [
      `git+--upload-pack=touch ${join(folder, 'taken')}`,
      'git+ext::sh -c true',
      'git+ssh://-oX=1/a',
    ])
      expect(await failure(add(source, {ref, name: 'x'}))).toMatchObject({
        code: 'INVALID_OPTION',
        message: 'The connector "x" names no Git repository.',
      });
    for (const source of [
      'git+https://hush@example.com/a',
      'git+ssh://git:hush@example.com/a',
      'https://a:hush@b/c.js',
    ])
      expect(JSON.stringify(await failure(add(source, {ref, sha256: ref, name: 'x'})))).not.toContain('hush');
  });

  it('takes one commit of a Git repository, and fetches it again where the copy is missing', async () => {
    const repository = await writeFolder(
      folder,
      Object.fromEntries(Object.entries(TINY).map(([name, text]) => [`tools/tiny/${name}`, text])),
    );
    const git = (...args: readonly string[]): string =>
      execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', ...args], {
        cwd: repository,
        encoding: 'utf8',
      }).trim();
    git('init', '--quiet');
    git('add', '.');
    git('commit', '--quiet', '-m', 'one');
    const ref = git('rev-parse', 'HEAD');
    await writeFile(join(repository, 'tools/tiny/index.ts'), 'broken');
    git('commit', '--quiet', '-am', 'two');
    const source = `git+${pathToFileURL(repository).href}`;
    expect(await failure(add(source, {ref: 'main', folder: 'tools/tiny', name: 'by_git'}))).toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining('without a full commit id') as string,
    });
    expect(await failure(add(source, {ref, folder: '../..', name: 'by_git'}))).toMatchObject({
      code: 'INVALID_CONNECTOR',
    });
    expect(await failure(add(source, {ref, folder: 'tools', name: 'by_git'}))).toMatchObject({
      code: 'UNKNOWN_CONNECTOR',
      message: 'The repository holds no connector in tools.',
      fix: 'Name its folder: --folder tools/tiny',
    });
    expect(await failure(add(`${source}-not`, {ref, name: 'by_git'}))).toMatchObject({
      code: 'CONNECTION_FAILED',
      message: expect.stringMatching(/cannot be fetched: .* does not appear to be a git repository\.$/) as string,
    });
    const added = await add(source, {ref, folder: 'tools/tiny', name: 'by_git'});
    expect(added).toMatchObject({
      commit: ref,
      folder: 'tools/tiny',
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
    });
    expect(await listed()).toContain(`commit: ${ref}`);
    await rm(join(project, '.sluice/connectors/by_git'), {recursive: true});
    expect(await failure(loadAddedConnector('by_git', project))).toMatchObject({
      fix: 'Fetch what sluice.connectors.yml lists: sluice connector add',
    });
    expect(await fetchListed(project, signal)).toEqual(['by_git']);
    expect(await loadAddedConnector('by_git', project)).toMatchObject({definition: {name: 'tiny'}});
    const byHand = await writeFolder(folder, {
      'sluice.connectors.yml': `connectors: {by_hand: {source: "${source}", commit: ${ref}, folder: tools/tiny}}\n`,
    });
    await fetchListed(byHand, signal);
    expect(await loadAddedConnector('by_hand', byHand)).toMatchObject({definition: {name: 'tiny'}});
    await writeFile(join(byHand, '.sluice/connectors/by_hand/table.ts'), "export const TABLE = 'other';\n");
    // Also before its simulator runs: `connector test NAME` begins with the target.
    for (const loading of [loadAddedConnector('by_hand', byHand), resolveTarget('by_hand', byHand)])
      expect(await failure(loading)).toMatchObject({
        message: expect.stringContaining('is not what was pinned') as string,
      });
  });

  it('refuses links in a repository: what they lead to has no hash', async () => {
    const repository = await writeFolder(folder, TINY);
    await symlink('/etc/hostname', join(repository, 'link.ts'));
    const git = (...args: readonly string[]): string =>
      execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', ...args], {cwd: repository, encoding: 'utf8'});
    git('init', '--quiet');
    git('add', '.');
    git('commit', '--quiet', '-m', 'one');
    const ref = git('rev-parse', 'HEAD').trim();
    expect(await failure(add(`git+${pathToFileURL(repository).href}`, {ref}))).toMatchObject({
      code: 'INVALID_CONNECTOR',
      message: 'A connector from elsewhere may hold no links: link.ts.',
    });
  });

  it('suggests the name that was meant', async () => {
    expect(await failure(loadAddedConnector('by_pth', project))).toMatchObject({
      code: 'UNKNOWN_CONNECTOR',
      fix: 'Did you mean "by_path"?',
    });
  });

  it('refuses a list that was edited to pin nothing', async () => {
    const other = await writeFolder(folder, {
      'sluice.connectors.yml': 'connectors: {x: {source: "https://example.com/index.js"}}\n',
    });
    expect(await failure(loadAddedConnector('x', other))).toMatchObject({code: 'INVALID_OPTION'});
    const unchecked = await writeFolder(folder, {
      'sluice.connectors.yml': `connectors: {x: {source: ./x, sha256: ${'ab'.repeat(32)}}}\n`,
    });
    expect(await failure(loadAddedConnector('x', unchecked))).toMatchObject({
      message: 'The connector "x" lies in the project: no hash or commit is checked there.',
    });
  });
});
