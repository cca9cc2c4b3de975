import {execFileSync} from 'node:child_process';
import {mkdtemp, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import {recordedOutput, run, type TestEnd} from './io.support.test.ts';
import {runCli} from './program.ts';

let cwd = '';
beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'sluice-author-'));
});
afterAll(() => rm(cwd, {recursive: true, force: true}));

const sluice = (...args: readonly string[]): Promise<TestEnd> => run(['connector', ...args], {cwd});
const json = async (...args: readonly string[]): Promise<unknown> =>
  JSON.parse((await sluice(...args, '--json')).stdout);

describe('sluice connector', {timeout: 60_000}, () => {
  it('makes a folder and says what comes next', async () => {
    const end = await sluice('new', 'acme', '--from', 'database');
    expect(end).toMatchObject({status: 0, stderr: ''});
    expect(end.stdout).toContain('sluice connector test acme');
    const [skills = ''] = /\/\S+\/skills\/README\.md/.exec(end.stdout) ?? [];
    expect(await readFile(skills, 'utf8')).toContain('develop-connector');
    expect(await readFile(join(cwd, 'acme/README.md'), 'utf8')).toContain('skills/commands/develop-connector.md');
    expect(JSON.parse(await readFile(join(cwd, 'acme/package.json'), 'utf8'))).toMatchObject({
      name: 'sluice-acme',
      peerDependencies: {sluice: expect.stringMatching(/^\^\d/) as string},
    });
    expect(await sluice('new', 'acme')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('holds files already') as string,
    });
  });

  it('shows tables, columns, first rows and what it took to read them', async () => {
    const {status, stdout} = await sluice('dev', 'acme', '--once', '--limit', '2');
    expect(status).toBe(0);
    expect(stdout).toMatch(/orders {2}cdc, key id, cursor updated_at\nid BIGINT NOT NULL, customer STRING/);
    expect(stdout).toMatch(/\n1 {3}customer 1 {2}1\.50/);
    expect(stdout).toMatch(/2 of \d+ rows read, \d+ pages?, 0 requests/);
    expect(await json('dev', 'acme', '--once', '--table', 'countries', '--limit', '1')).toMatchObject({
      connector: 'acme',
      source: 'its simulator',
      tables: [{table: 'countries', rows: [{id: 1, code: 'C1', name: 'Country 1'}], problems: []}],
    });
  });

  it('says what is wrong with a table, and again when a file changes', async () => {
    const tables = join(cwd, 'acme/tables.ts');
    const good = await readFile(tables, 'utf8');
    const stdout = recordedOutput();
    let interrupt = (): void => undefined;
    const io = {
      stdout,
      stderr: recordedOutput(),
      env: {},
      cwd,
      onInterrupt: (listener: (status: number) => void) => {
        interrupt = () => listener(130);
        return () => undefined;
      },
      exit: () => undefined,
    };
    const watching = runCli(['connector', 'dev', 'acme', '--table', 'countries', '--json'], io);
    const previews = (): string[] =>
      stdout
        .text()
        .split(/(?<=^\}\n)/m)
        .filter((text) => text !== '');
    await expect.poll(() => previews().length, {timeout: 20_000}).toBe(1);
    // The watch begins after the preview was shown.
    await new Promise((resolve) => setTimeout(resolve, 200));
    await writeFile(tables, good.replace('name STRING', 'name INT').replace('code STRING NOT NULL', 'title STRING'));
    await expect.poll(() => previews().length, {timeout: 20_000}).toBe(2);
    interrupt();
    expect(await watching).toBe(0);
    await writeFile(tables, good);
    const shown = previews().map((text) => JSON.parse(text) as {tables: {problems: string[]}[]});
    expect(shown.map(({tables: [table]}) => table?.problems)).toEqual([
      [],
      [
        expect.stringMatching(/^\d+ values do not fit their column's type and would go to _rescued_data\.$/) as string,
        expect.stringMatching(/^The field "code" of \d+ rows is no column: it is left out\.$/) as string,
      ],
    ]);
  });

  it('writes the tables of options and fields, and knows when they are out of date', async () => {
    expect(await sluice('docs', 'acme', '--check')).toMatchObject({
      status: 1,
      stdout: 'acme/README.md is out of date. Write it anew: sluice connector docs acme\n',
    });
    expect(await sluice('docs', 'acme')).toMatchObject({status: 0, stdout: 'Wrote acme/README.md.\n'});
    expect(await sluice('docs', 'acme', '--check')).toMatchObject({status: 0});
    const readme = join(cwd, 'acme/README.md');
    const written = await readFile(readme, 'utf8');
    expect(written).toContain('| `password` | string, secret | required | Password of the user that reads. |');
    expect(written).toContain('| `orders` | id | updated_at | cdc |');
    expect(written).toContain('Every table also takes `max_records_per_batch`');
    expect(written).toContain('| `amount` | DECIMAL(12,2) |');
    await writeFile(readme, written.replace('# Acme', '# Acme, by us').replace('DECIMAL(12,2)', 'INT'));
    await sluice('docs', 'acme');
    expect(await readFile(readme, 'utf8')).toBe(written.replace('# Acme', '# Acme, by us'));
    expect(await sluice('docs', 'example')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('--file FILE') as string,
    });
  });

  it('proves, builds, packs and lists a connector; a version stays what it is', async () => {
    const ownerless = await sluice('publish', 'acme');
    expect(ownerless).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('Nobody answers for the connector') as string,
    });
    const tables = join(cwd, 'acme/tables.ts');
    const good = await readFile(tables, 'utf8');
    await writeFile(tables, good.replace('name STRING', 'name INT'));
    const wrong = await sluice('publish', 'acme', '--owner', 'Data team');
    expect(wrong).toMatchObject({status: 1, stderr: expect.stringMatching(/The case "generic: .* fails: /) as string});
    expect(await readdir(cwd)).not.toContain('registry.json');
    await writeFile(tables, good);
    const published = await json('publish', 'acme', '--owner', 'Data team', '--maturity', 'beta');
    expect(published).toMatchObject({
      index: 'registry.json',
      entry: {name: 'acme', version: '0.1.0', maturity: 'beta', owner: 'Data team', tables: ['countries', 'orders']},
    });
    const packed = execFileSync('tar', ['-tzf', join(cwd, 'sluice-acme-0.1.0.tgz')], {encoding: 'utf8'});
    expect(packed.trim().split('\n')).toEqual(
      ['API.md', 'README.md', 'dist/acme/index.js', 'dist/acme/manifest.json', 'package.json'].map(
        (file) => `package/${file}`,
      ),
    );
    await writeFile(join(cwd, 'acme/tables.ts'), '\nexport const MORE = 1;\n', {flag: 'a'});
    await writeFile(join(cwd, 'acme/index.ts'), "\nexport {MORE} from './tables.ts';\n", {flag: 'a'});
    expect(await sluice('publish', 'acme', '--owner', 'Data team')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('acme 0.1.0 was published with other code') as string,
    });
  });

  it('adds a connector to a project and lists it with those of Sluice', async () => {
    const added = await sluice('add', './acme');
    expect(added).toMatchObject({status: 0, stdout: expect.stringContaining('connector: acme') as string});
    expect(added.stdout).toMatch(/^ {6}options:\n {8}\w+: \$\{env\.ACME_/m);
    const {stdout} = await sluice('list');
    expect(stdout).toMatch(/^example +\d+\.\d+\.\d+ +stable .* sluice$/m);
    await writeFile(
      join(cwd, 'other.json'),
      JSON.stringify({connectors: [{name: 'x', version: '1', maturity: 'beta', owner: 'o', sdk: '*', sha256: 's'}]}),
    );
    expect(await sluice('list', '--index', 'other.json')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('other.json is no registry index') as string,
    });
    expect(stdout).toMatch(/^github +\d+\.\d+\.\d+ +beta .* sluice$/m);
    expect(stdout).toMatch(/^acme +0\.1\.0 .* \.\/acme$/m);
    expect(stdout).toMatch(/^sqlserver +\S+ +beta .* sluice$/m);
    expect(stdout).toMatch(/^acme +0\.1\.0 +beta +- +countries, orders +index: sluice-acme-0\.1\.0\.tgz$/m);
    await writeFile(
      join(cwd, 'sluice.yml'),
      'connection_name: a\nobjects: [{table: {source_table: countries}}]\nconnections: {a: {connector: acme, options: {url: "memory:x", password: p}}}\n',
    );
    const {checkPipeline} = await import('../runtime/config/check-pipeline.ts');
    expect(await run(['validate'], {cwd, checkPipeline})).toMatchObject({status: 0});
  });

  it('names the place of what is wrong in a document', async () => {
    const shown = async (text: string): Promise<string> => {
      await writeFile(join(cwd, 'api.yml'), text);
      return (await sluice('dev', './api.yml', '--once')).stderr;
    };
    expect(await shown('name: x\ntables: [\n')).toMatch(/api\.yml:\d+:\d+: this is no YAML/);
    expect(await shown('name: x\ntables: []\n')).toMatch(/\[INVALID_SPEC\] .*api\.yml: .*description/);
  });

  it('suggests the name that was meant', async () => {
    expect(await sluice('dev', 'exmple', '--once')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('Did you mean "example"?') as string,
    });
  });
});
