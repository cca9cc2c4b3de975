import {spawn, spawnSync} from 'node:child_process';
import {copyFile, mkdir, mkdtemp, readdir, rm, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';

import {afterAll, beforeAll, describe, expect, it} from 'vitest';

const repository = fileURLToPath(new URL('../..', import.meta.url));

interface BinEnd {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

describe('bin/sluice', () => {
  let installed = '';
  let cwd = '';

  /** The package as it is installed: built, without a type check, which has its own command. */
  beforeAll(async () => {
    installed = await mkdtemp(join(tmpdir(), 'sluice-bin-'));
    cwd = join(installed, 'work');
    await mkdir(join(installed, 'bin'));
    await mkdir(cwd);
    await copyFile(join(repository, 'package.json'), join(installed, 'package.json'));
    await copyFile(join(repository, 'bin/sluice'), join(installed, 'bin/sluice'));
    await symlink(join(repository, 'node_modules'), join(installed, 'node_modules'));
    const build = spawnSync(
      join(repository, 'node_modules/.bin/tsc'),
      ['-p', join(repository, 'tsconfig.build.json'), '--noCheck', '--outDir', join(installed, 'dist')],
      {encoding: 'utf8'},
    );
    expect(build.stderr).toBe('');
  }, 60_000);
  afterAll(() => rm(installed, {recursive: true, force: true}));

  function sluice(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<BinEnd> {
    return new Promise((resolve, reject) => {
      const child = spawn(process.execPath, [join(installed, 'bin/sluice'), ...args], {
        cwd,
        env: {PATH: '/usr/bin:/bin', ...env},
      });
      let stdout = '';
      let stderr = '';
      child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
      child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
      child.on('error', reject);
      child.on('close', (status) => resolve({status, stdout, stderr}));
    });
  }

  const refuses = async (text: string, args: readonly string[], stderr: string): Promise<void> => {
    await writeFile(join(cwd, 'bad.yml'), text);
    expect(await sluice(['run', 'bad.yml', ...args])).toEqual({status: 2, stdout: '', stderr});
    // Nothing was written, no lake either.
    expect(await readdir(cwd)).toEqual(['bad.yml']);
  };

  it('says what to do when it is not built', async () => {
    await mkdir(join(installed, 'unbuilt/bin'), {recursive: true});
    await copyFile(join(installed, 'package.json'), join(installed, 'unbuilt/package.json'));
    await copyFile(join(installed, 'bin/sluice'), join(installed, 'unbuilt/bin/sluice'));
    const {status, stderr} = spawnSync(process.execPath, [join(installed, 'unbuilt/bin/sluice')], {encoding: 'utf8'});
    expect({status, stderr}).toEqual({status: 2, stderr: expect.stringContaining('run "npm ci"') as string});
  });

  it('prints help', async () => {
    expect(await sluice(['--help'])).toMatchObject({
      status: 0,
      stderr: '',
      stdout: expect.stringContaining('Usage: sluice') as string,
    });
    expect(await sluice(['rum'])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('(Did you mean run?)') as string,
    });
  });

  it('refuses bad YAML', () =>
    refuses(
      'a: [1\nb: 2\n',
      [],
      'error: [INVALID_SPEC] Flow sequence in block collection must be sufficiently indented and end with a ]\n  at bad.yml:2:1\n  fix: Correct the YAML or JSON there.\n',
    ));

  it('refuses unknown keys', () =>
    refuses(
      'connection_name: c\nobjects: [{table: {sourcetable: t, source_table: t}}]\n',
      [],
      'error: [INVALID_SPEC] objects[0].table.sourcetable: unknown key\n  at bad.yml:2:20\n  fix: Did you mean "source_table"?\n',
    ));

  it('refuses wrong types', () =>
    refuses(
      'connection_name: c\nobjects: [{table: {source_table: t, table_configuration: {primary_keys: 5}}}]\n',
      [],
      'error: [INVALID_SPEC] objects[0].table.table_configuration.primary_keys: expected a list of strings, found 5\n  at bad.yml:2:73\n  fix: Give a list of strings.\n',
    ));

  it('refuses missing secrets', () =>
    refuses(
      'connection_name: c\nobjects: [{table: {source_table: t}}]\nconnections:\n  c: {connection_type: EXAMPLE, options: {username: u, password: "${env.NO_SUCH_SECRET}"}}\n',
      [],
      'error: [MISSING_SECRET] connections.c.options.password: the environment variable NO_SUCH_SECRET is not set\n  at bad.yml:4:66\n  fix: Set NO_SUCH_SECRET before starting sluice.\n',
    ));

  it('refuses unknown pipelines', () =>
    refuses(
      'resources: {connections: {c: {connection_type: EXAMPLE}}, pipelines: {daily: {pipeline_spec: {connection_name: c, objects: [{table: {source_table: t}}]}}}}\n',
      ['dayly'],
      'error: [INVALID_SPEC] bad.yml has no pipeline "dayly".\n  at bad.yml\n  fix: Did you mean "daily"?\n',
    ));
});
