import {execFile} from 'node:child_process';
import {cp, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {dirname, join, relative, sep} from 'node:path';

import {IngestError, isIngestError, messageOf} from '../../core/errors.ts';
import {processEnvironment} from '../config/environment.ts';
import {sha256Of} from './build-manifest.ts';
import {COPIES_FOLDER, isGit, type AddedConnector} from './connectors-file.ts';

/** The folder of a connector's copy. */
export function copyFolder(project: string, name: string): string {
  return join(project, COPIES_FOLDER, name);
}

/**
 * Fetches the copy of a connector that comes from Git or a URL; the copy appears whole or not at all.
 * Gives the SHA-256 of what came; `about` names it in errors. @throws CONNECTION_FAILED; INVALID_CONNECTOR when it is not what the entry pins
 */
export async function fetchCopy(
  connector: AddedConnector,
  project: string,
  signal: AbortSignal,
  about = `The connector "${connector.name}"`,
): Promise<string> {
  const target = copyFolder(project, connector.name);
  await mkdir(dirname(target), {recursive: true});
  // Nothing in there is anybody's work: it is fetched from the list at any time.
  await writeFile(join(project, '.sluice', '.gitignore'), '*\n');
  const fresh = await mkdtemp(`${target}.new-`);
  try {
    const copy = join(fresh, 'copy');
    if (isGit(connector.source)) await fetchGit(connector, copy, signal);
    else await fetchUrl(connector, copy, signal);
    const sha256 = await copyHash(copy);
    if (connector.sha256 !== null) checkHash(connector.sha256, sha256, about);
    await rm(target, {recursive: true, force: true});
    await rename(copy, target);
    return sha256;
  } finally {
    await rm(fresh, {recursive: true, force: true});
  }
}

/** Gives a copy the name that its connector has said. */
export async function moveCopy(from: string, to: string, project: string): Promise<void> {
  await rm(copyFolder(project, to), {recursive: true, force: true});
  await rename(copyFolder(project, from), copyFolder(project, to));
}

/** @throws INVALID_CONNECTOR when the copy is missing or was changed */
export async function checkCopy(connector: AddedConnector, project: string): Promise<void> {
  const folder = copyFolder(project, connector.name);
  if ((await stat(folder).catch(() => null)) === null)
    throw new IngestError('INVALID_CONNECTOR', `The copy of the connector "${connector.name}" is not here.`, {
      fix: 'Fetch what sluice.connectors.yml lists: sluice connector add',
      context: {connector: connector.name, path: folder},
    });
  checkHash(connector.sha256, await copyHash(folder), `The connector "${connector.name}"`);
}

function checkHash(pinned: string | null, found: string, about: string): void {
  if (pinned === found) return;
  throw new IngestError('INVALID_CONNECTOR', `${about} is not what was pinned: its SHA-256 is ${found}.`, {
    fix: `${pinned ?? 'Nothing'} was pinned. If you trust what came, add it again with --sha256 ${found}; else ask its publisher.`,
  });
}

/** Of a sole file: that file's hash, as its publisher states it; of more: of their names and hashes. */
async function copyHash(folder: string): Promise<string> {
  const files = await filesBelow(folder);
  const hashes = await Promise.all(files.map(async (file) => sha256Of(await readFile(join(folder, file)))));
  if (files.length === 1) return hashes[0] ?? '';
  return sha256Of(files.map((file, index) => `${hashes[index] ?? ''}  ${file}\n`).join(''));
}

/** Files below a folder by path with slashes, sorted. @throws INVALID_CONNECTOR for a link: no hash covers where it leads */
async function filesBelow(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, {recursive: true, withFileTypes: true});
  const link = entries.find((entry) => entry.isSymbolicLink());
  if (link !== undefined)
    throw new IngestError('INVALID_CONNECTOR', `A connector from elsewhere may hold no links: ${link.name}.`, {
      fix: 'Ask its publisher for plain files.',
    });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort();
}

/** Largest file that is taken from a URL: a built connector has some hundred kilobytes. */
const MAX_FILE_BYTES = 32 * 1024 * 1024;

async function fetchUrl({source}: AddedConnector, copy: string, signal: AbortSignal): Promise<void> {
  const {EnvHttpProxyAgent, request} = await import('undici');
  const dispatcher = new EnvHttpProxyAgent();
  const chunks: Uint8Array[] = [];
  try {
    const answer = await request(source, {signal, dispatcher, headersTimeout: 60_000, bodyTimeout: 60_000});
    if (answer.statusCode !== 200) throw new Error(`the server answered ${answer.statusCode}`);
    let sizeBytes = 0;
    for await (const chunk of answer.body as AsyncIterable<Uint8Array>) {
      sizeBytes += chunk.length;
      if (sizeBytes > MAX_FILE_BYTES) throw tooLarge(source);
      chunks.push(chunk);
    }
  } catch (error) {
    if (isIngestError(error)) throw error;
    throw unreachable(source, error, 'Check the URL: it must name the built file itself, without redirects.');
  } finally {
    await dispatcher.destroy();
  }
  await mkdir(copy);
  const name = /\.ya?ml$/i.test(new URL(source).pathname) ? 'connector.yml' : 'index.js';
  await writeFile(join(copy, name), Buffer.concat(chunks));
}

function tooLarge(source: string): IngestError {
  return new IngestError('INVALID_CONNECTOR', `${withoutSecrets(source)} is too large for a connector.`, {
    fix: 'Name the index.js that `sluice connector build` wrote.',
  });
}

/** Takes one commit, without history, tags or hooks; then the folder alone. */
async function fetchGit({source, commit, folder}: AddedConnector, copy: string, signal: AbortSignal): Promise<void> {
  const url = source.slice('git+'.length);
  const clone = await mkdtemp(join(tmpdir(), 'sluice-git-'));
  const git = (...args: readonly string[]): Promise<string> =>
    run('git', ['-c', 'core.hooksPath=/dev/null', '-c', 'advice.detachedHead=false', ...args], {cwd: clone, signal});
  try {
    await git('init', '--quiet');
    // A server may refuse to give a commit by its id alone; then all branches are taken.
    await git('fetch', '--quiet', '--depth=1', '--no-tags', '--end-of-options', url, commit ?? '').catch(() =>
      git('fetch', '--quiet', '--no-tags', '--end-of-options', url, '+refs/heads/*:refs/sluice/*'),
    );
    await git('checkout', '--quiet', '--force', commit ?? '');
    await rm(join(clone, '.git'), {recursive: true, force: true});
    const from = folder === null ? clone : join(clone, folder);
    if (relative(clone, from).startsWith('..') || (await stat(from).catch(() => null))?.isDirectory() !== true)
      throw new IngestError('INVALID_CONNECTOR', `The repository has no folder "${folder ?? '.'}" at that commit.`, {
        fix: 'Correct --folder.',
      });
    await cp(from, copy, {recursive: true, verbatimSymlinks: true});
  } catch (error) {
    if (error instanceof IngestError) throw error;
    throw unreachable(source, error, 'Check the URL and that the commit is on a branch of it.');
  } finally {
    await rm(clone, {recursive: true, force: true});
  }
}

function run(
  command: string,
  args: readonly string[],
  options: {readonly cwd: string; readonly signal: AbortSignal},
): Promise<string> {
  return new Promise((resolve, reject) => {
    // A question for a password would wait for ever.
    const env = {...processEnvironment(), GIT_TERMINAL_PROMPT: '0'};
    execFile(command, [...args], {...options, env, timeout: 300_000}, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(gitProblem(stderr) || error.message, {cause: error}));
    });
  });
}

/** What Git says is wrong, without the advice that it gives after it, its tag and its full stop. */
function gitProblem(stderr: string): string {
  const lines = stderr.trim().split('\n');
  const line = lines.find((one) => one.startsWith('fatal: ')) ?? lines.at(-1) ?? '';
  return line.replace(/^fatal: /, '').replace(/\.$/, '');
}

function unreachable(source: string, error: unknown, fix: string): IngestError {
  const shown = withoutSecrets(source);
  return new IngestError('CONNECTION_FAILED', `${shown} cannot be fetched: ${withoutSecrets(messageOf(error))}.`, {
    class: 'config',
    fix,
    cause: error,
  });
}

/** A text without the names and passwords in its URLs. */
function withoutSecrets(text: string): string {
  return text.replaceAll(/\/\/[^/\s]*@/g, '//');
}
