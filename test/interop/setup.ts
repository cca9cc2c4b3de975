import {spawnSync} from 'node:child_process';
import {createHash} from 'node:crypto';
import {existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));

/** Where the foreign readers were installed. */
export interface Installation {
  readonly python: string;
  readonly jarsFolder: string;
  /** Scratch folder of the run; the caller removes it. */
  readonly workFolder: string;
}

/** The programs that a machine must bring; the rest is fetched. */
const NEEDED = [
  {program: 'java', args: ['-version'], what: 'Java 17 or later'},
  {program: 'mvn', args: ['--version'], what: 'Maven'},
  {program: 'python3', args: ['-m', 'venv', '--help'], what: 'Python 3.10 or later with venv'},
];

/** What is missing on this machine, in words; empty when the foreign readers can be installed. */
export function missingPrograms(): readonly string[] {
  return NEEDED.filter(({program, args}) => spawnSync(program, args, {stdio: 'ignore'}).status !== 0).map(
    ({what}) => what,
  );
}

/**
 * Installs the pinned readers under `build/interop`, once per content of `requirements.txt` and `pom.xml`.
 * @throws Error when a step fails.
 */
export function installReaders(buildFolder: string): Installation {
  const folder = join(buildFolder, 'interop');
  const venv = join(folder, 'venv');
  const installation = {
    python: join(venv, 'bin', 'python'),
    jarsFolder: join(folder, 'jars'),
    workFolder: mkdtempSync(join(tmpdir(), 'sluice-interop-')),
  };
  const stamp = join(folder, 'installed');
  const pinned = readFileSync(join(here, 'requirements.txt'), 'utf8') + readFileSync(join(here, 'pom.xml'), 'utf8');
  const digest = createHash('sha256').update(pinned).digest('hex');
  if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== digest) {
    for (const old of [venv, installation.jarsFolder, stamp]) rmSync(old, {recursive: true, force: true});
    mkdirSync(folder, {recursive: true});
    step('python3', ['-m', 'venv', venv]);
    step(installation.python, ['-m', 'pip', 'install', '--quiet', '-r', join(here, 'requirements.txt')]);
    step('mvn', mavenArgs(installation.jarsFolder));
    writeFileSync(stamp, digest);
  }
  return installation;
}

/** Only Delta's own jars: pyspark brings what they share with Spark. */
function mavenArgs(jarsFolder: string): string[] {
  return [
    '--batch-mode',
    '--quiet',
    '-Dstyle.color=never',
    '-f',
    join(here, 'pom.xml'),
    'org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies',
    '-DincludeScope=runtime',
    '-DincludeGroupIds=io.delta,io.unitycatalog',
    `-DoutputDirectory=${jarsFolder}`,
  ];
}

function step(program: string, args: readonly string[]): void {
  const startedAt = performance.now();
  const {status, error} = spawnSync(program, args, {stdio: ['ignore', 'inherit', 'inherit']});
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} failed`, {cause: error});
  console.log(`${program} ${args.slice(0, 4).join(' ')} ...: ${((performance.now() - startedAt) / 1000).toFixed(0)} s`);
}
