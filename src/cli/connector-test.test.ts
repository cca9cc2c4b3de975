import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import {run, type TestEnd} from './io.support.test.ts';

let cwd = '';
// The suites bring the engine along: loading them takes a while.
beforeAll(async () => {
  await import('../testkit/connector-cases.ts');
  cwd = await mkdtemp(join(tmpdir(), 'sluice-prove-'));
  // Rows with this status do not exist, so that nothing that is written is read back.
  await writeFile(join(cwd, 'wrong.json'), JSON.stringify({orders: {status: 'lost'}}));
}, 60_000);
afterAll(() => rm(cwd, {recursive: true, force: true}));

const prove = (...args: readonly string[]): Promise<TestEnd> =>
  run(['connector', 'test', 'example', '--suite', 'writeback', ...args], {cwd});

describe('sluice connector test', () => {
  it('tells of each case, of what is excluded, and of the seed', async () => {
    const {status, stdout} = await prove('--seed', '4');
    expect(stdout).toMatch(/^passed {3}writeback: reads a row back that was written: orders \d/m);
    expect(stdout).toMatch(/^ {2}4: the proof has no write endpoint for inserts of this table$/m);
    expect(stdout).toMatch(/^3 passed, 0 failed, 12 excluded \(seed 4\)$/m);
    expect(status).toBe(0);
  }, 60_000);

  it('ends with status 1 and says how to correct what fails', async () => {
    const {status, stdout} = await prove('--table', 'orders', '--config', 'wrong.json', '--trace', 'trace.har');
    expect(status).toBe(1);
    expect(stdout).toMatch(/^failed {3}writeback: reads a row back that was written: orders$/m);
    expect(stdout).toMatch(
      /expected a row that was written before this run in "orders"; came no such row\n +Fix: It was/,
    );
    expect(JSON.parse(await readFile(join(cwd, 'trace.har'), 'utf8'))).toMatchObject({log: {entries: []}});
  });

  it('writes what the suites asked to the trace, without the login', async () => {
    const args = ['connector', 'test', 'github', '--suite', 'writeback', '--table', 'issues', '--trace', 'asked.har'];
    expect(await run(args, {cwd})).toMatchObject({status: 0});
    const text = await readFile(join(cwd, 'asked.har'), 'utf8');
    const {log} = JSON.parse(text) as {
      readonly log: {readonly entries: readonly {readonly request: {readonly method: string}}[]};
    };
    expect(new Set(log.entries.map(({request}) => request.method))).toEqual(new Set(['GET', 'POST', 'PATCH']));
    expect(text).not.toMatch(/Bearer (?!\*)/i);
  }, 60_000);

  it('gives all results as one document', async () => {
    const {stdout} = await prove('--table', 'orders', '--json');
    const results = JSON.parse(stdout) as {readonly results: readonly {readonly state: string}[]};
    expect(results).toMatchObject({connector: 'example', seed: 1, passed: 3, failed: 0});
    expect(results.results.map(({state}) => state)).toEqual(['passed', 'passed', 'passed']);
  });

  it('refuses a table that the proof does not have', async () => {
    const {status, stderr} = await prove('--table', 'order');
    expect(status).toBe(2);
    expect(stderr).toContain('The proof has no table "order".');
    await writeFile(join(cwd, 'other.json'), JSON.stringify({ordres: {status: 'lost'}}));
    const misspelt = await prove('--config', 'other.json');
    expect(misspelt).toMatchObject({status: 2, stdout: ''});
    expect(misspelt.stderr).toContain('Did you mean "orders"?');
  });

  it('says that nothing was proved', async () => {
    const {status, stderr} = await prove('--table', 'products');
    expect({status, stderr}).toEqual({status: 0, stderr: 'warning: no case applies: nothing was proved\n'});
  });

  it('reads the real source where credentials are given', async () => {
    await writeFile(join(cwd, 'credentials.json'), JSON.stringify({username: 'u', password: 'p', fault_rate: 0}));
    const {status, stdout} = await run(
      ['connector', 'test', 'example', '--suite', 'generic', '--credentials', 'credentials.json'],
      {cwd},
    );
    expect(stdout).toMatch(/passed, 0 failed, \d+ excluded/);
    expect(stdout).toContain('a real source changes while it is read');
    expect(status).toBe(0);
  });
});
