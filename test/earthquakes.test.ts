import {execFileSync, spawn, type ChildProcess} from 'node:child_process';
import {once} from 'node:events';
import {cp, mkdtemp, readFile, rm, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';

import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import {earthquakes, type Earthquake} from '../docs/examples/earthquakes/api.ts';
import {loadProof, resolveTarget} from '../src/runtime/author/connector-target.ts';
import {connectorCases, type ConnectorProof} from '../src/testkit/index.ts';
import {runCli} from './run-cli.ts';

const example = fileURLToPath(new URL('../docs/examples/earthquakes', import.meta.url));
const section = /^## A connector without code\n(.*?)^## /ms.exec(
  await readFile(new URL('../README.md', import.meta.url), 'utf8'),
)?.[1];
const proof = (await loadProof(await resolveTarget('./earthquakes.yml', example)))?.proof as ConnectorProof;

describe('the suites', () => {
  for (const {name, excluded, run} of connectorCases(proof)) if (excluded === undefined) it(name, run, 60_000);
});

describe('the README', () => {
  let cwd = '';
  let server: ChildProcess | null = null;
  let port = '';
  beforeAll(async () => {
    cwd = await mkdtemp(join(tmpdir(), 'sluice-earthquakes-'));
    // The command line runs from its sources, by a package of this project.
    await symlink(join(example, '../../../node_modules'), join(cwd, 'node_modules'));
  });
  afterAll(async () => {
    server?.kill();
    await rm(cwd, {recursive: true, force: true});
  });

  /** Starts the server of the example on a free port and makes a pipeline of the example that reads from there. */
  async function serve(): Promise<string> {
    server = spawn(process.execPath, ['--import', 'tsx', 'serve.ts', '0'], {cwd: example});
    const line = String((await once(server.stdout ?? server, 'data'))[0]);
    port = /:(\d+)\//.exec(line)?.[1] ?? '';
    await cp(join(example, 'earthquakes.yml'), join(cwd, 'earthquakes.yml'));
    const pipeline = await readFile(join(example, 'sluice.yml'), 'utf8');
    await writeFile(join(cwd, 'sluice.yml'), pipeline.replace('8765', port));
    return line;
  }

  async function follow(command: string): Promise<string> {
    if (command === 'node --import tsx serve.ts &') return serve();
    // The test has folders and processes of its own.
    if (command.startsWith('cd ') || command.startsWith('kill ')) return '';
    const words = /^\.\.\/\.\.\/\.\.\/bin\/sluice (.*)$/.exec(command)?.[1];
    if (words === undefined)
      return execFileSync('bash', ['-ec', command.replace('8765', port)], {cwd, encoding: 'utf8'});
    const args = [...words.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
    const end = await runCli(args, {cwd});
    expect(end, end.stdout + end.stderr).toMatchObject({code: 0});
    return end.stdout;
  }

  async function rows(): Promise<readonly Readonly<Record<string, unknown>>[]> {
    const sql = `SELECT id, epoch_ms(time) AS time, mag, "magType", place, depth_km, type, status, tsunami::INT AS tsunami, sig, felt, alert, net,
      geometry, epoch_ms(updated) AS updated FROM earthquakes ORDER BY id`;
    const {stdout} = await runCli(['query', sql, '--json', '--limit', '5000'], {cwd});
    return (JSON.parse(stdout) as {readonly rows: readonly Readonly<Record<string, unknown>>[]}).rows;
  }

  it('shows the document of the example', async () => {
    const [, shown] = /```yaml\n# docs\/examples\/earthquakes\/earthquakes\.yml\n(.*?)```/s.exec(section ?? '') ?? [];
    expect(shown).toBe(await readFile(join(example, 'earthquakes.yml'), 'utf8'));
  });

  it('has commands that print what it says, and tables that equal the file', async () => {
    const blocks = (section ?? '').match(/^ {4}.*$/gm)?.map((line) => line.slice(4)) ?? [];
    const said = blocks.join('\n').split(/^\$ /m).slice(1);
    expect(said.length).toBeGreaterThan(8);
    for (const [index, text] of said.entries()) {
      const [command = '', ...output] = text.trimEnd().split('\n');
      const came = plain(await follow(command));
      const expected = plain(output.join('\n'));
      if (expected.endsWith('\n...')) expect(came).toContain(expected.slice(0, -4));
      else expect(came, command).toBe(expected);
      const isFirstRun = said.findIndex((one) => one.startsWith('../../../bin/sluice run')) === index;
      if (isFirstRun) expect(await rows()).toEqual(expectedRows(earthquakes));
    }
    const [corrected = 0] = (await rows()).flatMap(({id, updated}) => (id === CORRECTED ? [Number(updated)] : []));
    expect(Math.abs(Date.now() - corrected)).toBeLessThan(240_000);
    const now = earthquakes
      .filter(({id}) => id !== 'ci37868135')
      .map((one) =>
        one.id === CORRECTED ? {...one, properties: {...one.properties, mag: 2.4, updated: corrected}} : one,
      );
    expect(await rows()).toEqual(expectedRows(now));
  }, 240_000);
});

/** What differs from run to run made alike: times, sizes, ports, folders and the blanks between columns. */
function plain(text: string): string {
  return text
    .replaceAll(/\b\d[\d.,]* (?:ms|s|kB)\b/g, '#')
    .replaceAll(/127\.0\.0\.1:\d+/g, 'HOST')
    .replaceAll(/\S+\/lake$/gm, 'LAKE')
    .replaceAll(/ {2,}/g, '  ')
    .trim();
}

/** The file's values, column by column. */
function expectedRows(features: readonly Earthquake[]): readonly unknown[] {
  const sorted = features.toSorted((left, right) => (left.id < right.id ? -1 : 1));
  return sorted.map(({id, properties, geometry}) => ({
    id,
    ...Object.fromEntries(COPIED.map((name) => [name, properties[name]])),
    depth_km: geometry.coordinates[2],
    geometry,
    updated: properties['updated'],
  }));
}

const CORRECTED = 'ci37868143';

const COPIED = ['time', 'mag', 'magType', 'place', 'type', 'status', 'tsunami', 'sig', 'felt', 'alert', 'net'];
