import {execFileSync} from 'node:child_process';
import {readFileSync} from 'node:fs';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import {checkPipeline} from '../runtime/config/check-pipeline.ts';
import {run} from './io.support.test.ts';

const GUIDE = readFileSync(new URL('../../docs/write-a-connector.md', import.meta.url), 'utf8');

let cwd = '';
beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'sluice-guide-'));
});
afterAll(() => rm(cwd, {recursive: true, force: true}));

/** The commands of the document's shell blocks; one that begins a text with `<<` goes on to its end. */
function commandsOf(text: string): readonly string[] {
  const commands: string[] = [];
  for (const [, block = ''] of text.matchAll(/^```sh\n(.*?)^```$/gms)) {
    let end: string | null = null;
    for (const line of block.trimEnd().split('\n')) {
      if (end === null) commands.push(line);
      else commands.push(`${commands.pop() ?? ''}\n${line}`);
      end = end === null ? (/<<'(\w+)'/.exec(line)?.[1] ?? null) : line === end ? null : end;
    }
  }
  return commands;
}

/** Runs `[NAME=VALUE] sluice …` in this process, anything else in a shell. */
async function follow(command: string): Promise<string> {
  const [, assignments = '', words] = /^((?:[A-Z_]+=\S+ )*)sluice (.*)$/.exec(command) ?? [];
  if (words === undefined) return execFileSync('bash', ['-ec', command], {cwd, encoding: 'utf8'});
  const env = Object.fromEntries(
    [...assignments.matchAll(/([A-Z_]+)=(\S+)/g)].map(([, name = '', value = '']) => [name, value]),
  );
  const args = [...words.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
  // `publish` runs all suites of the same connector.
  if (args[0] === 'connector' && args[1] === 'test') args.push('--suite', 'writeback');
  const end = await run(args, {cwd, env, checkPipeline});
  expect(end, `${command}\n${end.stderr}`).toMatchObject({status: 0});
  return end.stdout;
}

describe('the guide to writing a connector', () => {
  it('works as written, from an empty folder to a connector that others add', async () => {
    const commands = commandsOf(GUIDE);
    expect(commands.length).toBeGreaterThan(10);
    const printed = new Map<string, string>();
    for (const command of commands) printed.set(command, await follow(command));
    expect(printed.get('sluice connector dev acme --once')).toMatch(
      /items {2}cdc_with_deletes, key id, cursor updated_at/,
    );
    expect(printed.get('sluice connector docs acme --check')).toContain('is up to date');
    expect(printed.get('sluice connector list')).toMatch(/^acme +0\.1\.0 +beta/m);
  }, 240_000);
});
