import type {ChildProcess} from 'node:child_process';
import {execFile, spawn} from 'node:child_process';
import {access, chmod, copyFile, cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile} from 'node:fs/promises';
import {homedir, tmpdir} from 'node:os';
import {join} from 'node:path';
import {promisify} from 'node:util';

import {freePort} from './child-server.ts';

/** Which server: MariaDB 10.11 of Debian 12, MySQL 9 of Debian's unstable suite. */
export type MysqlKind = 'mariadb' | 'mysql';

/** A server of its own: nothing is shared, everything is gone when it is disposed. */
export interface MysqlServer extends AsyncDisposable {
  readonly kind: MysqlKind;
  /** `mysql://root@127.0.0.1:<port>`; root has no password. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly pid: number;
  /** Path of its Unix socket. */
  readonly socket: string;
  /** Ends the server (`orderly`: as its service would; `crash`: at once) and starts it again on the same port. */
  restart(how: 'orderly' | 'crash'): Promise<void>;
}

/** The folder of a server's programs; null when it was not prepared on this machine. */
export async function preparedServer(kind: MysqlKind): Promise<string | null> {
  const home = homeOf(kind);
  try {
    await access(join(home, 'template'));
    return home;
  } catch {
    // Not prepared.
    return null;
  }
}

/** Takes the server from Debian's packages, unless it is there: nothing is installed. Needs apt and its archives. */
export async function prepareServer(kind: MysqlKind): Promise<string> {
  const found = await preparedServer(kind);
  if (found !== null) return found;
  console.log(`Preparing ${kind}, once on this machine ...`);
  const home = homeOf(kind);
  await mkdir(join(home, '..'), {recursive: true});
  const staging = await mkdtemp(`${home}-`);
  try {
    await chmod(staging, 0o755);
    const debs = join(staging, 'debs');
    await mkdir(debs);
    await (kind === 'mariadb' ? downloadMariaDb(debs) : downloadMysql(debs));
    for (const deb of await readdir(debs)) {
      if (deb.endsWith('.deb')) await run('dpkg', ['-x', join(debs, deb), staging]);
    }
    await rm(debs, {recursive: true});
    await makeTemplate(kind, staging);
    // Another process that prepared it at the same time is as good.
    await rename(staging, home).catch(() => undefined);
  } finally {
    await rm(staging, {recursive: true, force: true});
  }
  return home;
}

/**
 * Starts a prepared server on a free port. It dies with this process, even when this process is killed.
 * @param settings server settings as on the command line; the binary log is on, in rows with full metadata, unless they say else.
 */
export async function startMysql(
  kind: MysqlKind,
  settings: Readonly<Record<string, string>> = {},
): Promise<MysqlServer> {
  const home = await preparedServer(kind);
  if (home === null) throw new Error(MISSING[kind]);
  const root = await mkdtemp(join(tmpdir(), `sluice-${kind}-`));
  const data = join(root, 'data');
  await cp(join(home, 'template'), data, {recursive: true});
  const port = await freePort();
  const socket = join(root, 'socket');
  const all: Record<string, string> = {
    datadir: data,
    port: String(port),
    socket,
    'pid-file': join(root, 'pid'),
    'bind-address': '127.0.0.1',
    'log-bin': 'binlog',
    'server-id': '1',
    'binlog-row-metadata': 'FULL',
    'innodb-flush-log-at-trx-commit': '0',
    'sync-binlog': '0',
    'innodb-buffer-pool-size': '64M',
    'default-time-zone': '+03:00',
    ...(kind === 'mysql'
      ? {'gtid-mode': 'ON', 'enforce-gtid-consistency': 'ON', mysqlx: 'OFF', 'secure-file-priv': ''}
      : {'binlog-format': 'ROW', 'log-slave-updates': 'ON'}),
    ...settings,
  };
  const {command, args} = program(kind, home);
  const flags = Object.entries(all).map(([name, value]) => `--${name}=${value}`);
  const launch = (): Launched => {
    const child = spawn(command, [...args, ...flags], {env: environment(home), stdio: ['ignore', 'ignore', 'pipe']});
    const exited = new Promise<void>((resolve) => {
      child.once('exit', () => resolve());
      child.once('error', () => resolve());
    });
    return {child, exited, guard: guardOf(child, root)};
  };
  let running = launch();
  const stop = async (how: NodeJS.Signals): Promise<void> => {
    const {child, exited, guard} = running;
    if (child.exitCode === null && child.signalCode === null) child.kill(how);
    await exited;
    guard.kill('SIGKILL');
  };
  const close = async (): Promise<void> => {
    await stop('SIGKILL');
    await rm(root, {recursive: true, force: true});
  };
  const restart = async (how: 'orderly' | 'crash'): Promise<void> => {
    await stop(how === 'orderly' ? 'SIGTERM' : 'SIGKILL');
    running = launch();
    await ready(running.child, kind);
  };
  try {
    await ready(running.child, kind);
  } catch (error) {
    await close();
    throw error;
  }
  const place = {kind, url: `mysql://root@127.0.0.1:${port}`, host: '127.0.0.1', port, socket};
  return {...place, pid: running.child.pid ?? 0, restart, [Symbol.asyncDispose]: close};
}

interface Launched {
  readonly child: ChildProcess;
  readonly exited: Promise<void>;
  readonly guard: ChildProcess;
}

/** What to say where a server is not there. */
export const MISSING: Readonly<Record<MysqlKind, string>> = {
  mariadb: 'MariaDB is not prepared: npm run test:servers',
  mysql: 'MySQL is not prepared: npm run test:servers',
};

const run = promisify(execFile);
const UP_WITHIN_MS = 60_000;
const MARIADB_PACKAGES = [
  'mariadb-server-core',
  'mariadb-server',
  'mariadb-client-core',
  'mariadb-common',
  'libmariadb3',
  'libaio1',
  'liburing2',
];
async function downloadMariaDb(folder: string): Promise<void> {
  const download = () => run('apt-get', ['download', ...MARIADB_PACKAGES], {cwd: folder});
  await download().catch(async () => {
    await run('apt-get', ['update']);
    await download();
  });
}

/** Packages of the unstable suite with all that they need, down to the C library, by a state of apt that nothing else sees. */
async function downloadMysql(folder: string): Promise<void> {
  const apt = join(folder, 'apt');
  await mkdir(join(apt, 'state', 'lists', 'partial'), {recursive: true});
  await mkdir(join(apt, 'cache', 'archives', 'partial'), {recursive: true});
  await writeFile(join(apt, 'sources.list'), `deb ${await debianArchive()} sid main\n`);
  const options = {
    'Dir::Etc::sourcelist': join(apt, 'sources.list'),
    'Dir::Etc::sourceparts': '/dev/null',
    'Dir::State': join(apt, 'state'),
    'Dir::State::status': '/dev/null',
    'Dir::Cache': join(apt, 'cache'),
  };
  const flags = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  const limits = {maxBuffer: 64 << 20};
  await run('apt-get', [...flags, 'update'], limits);
  await run('apt-get', [...flags, '-y', '-d', 'install', '--no-install-recommends', 'mysql-server-core'], limits);
  const archives = join(apt, 'cache', 'archives');
  for (const deb of await readdir(archives)) {
    if (deb.endsWith('.deb')) await copyFile(join(archives, deb), join(folder, deb));
  }
}

/** The archive of Debian that this machine takes its packages from; its keys are those that apt trusts already. */
async function debianArchive(): Promise<string> {
  const {stdout} = await run('apt-get', ['indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages']);
  const found = stdout.split('\n').find((uri) => /\/debian\/?$/.test(uri.trim()));
  if (found === undefined) throw new Error('apt of this machine knows no archive of Debian');
  return found.trim();
}

async function makeTemplate(kind: MysqlKind, home: string): Promise<void> {
  const work = join(home, 'work');
  const {command, args} = program(kind, home);
  if (kind === 'mysql') {
    await run(command, [...args, `--datadir=${work}`, '--initialize-insecure'], {env: environment(home)});
  } else {
    await mkdir(work);
    const share = join(home, 'usr', 'share', 'mysql');
    const scripts = [
      'mysql_system_tables',
      'mysql_performance_tables',
      'mysql_system_tables_data',
      'maria_add_gis_sp_bootstrap',
    ];
    const texts = await Promise.all(scripts.map((name) => readFile(join(share, `${name}.sql`), 'utf8')));
    const sql = ['create database mysql;', 'use mysql;', 'set @auth_root_socket = null;', ...texts].join('\n');
    const flags = [`--datadir=${work}`, '--bootstrap', '--innodb-buffer-pool-size=16M'];
    const child = execFile(command, [...args, ...flags], {env: environment(home)});
    const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
    let log = '';
    child.stderr?.on('data', (chunk: string) => {
      log = (log + chunk).slice(-4000);
    });
    child.stdin?.end(sql);
    if ((await exited) !== 0) throw new Error(`mariadbd --bootstrap failed: ${log}`);
  }
  await rename(work, join(home, 'template'));
}

function program(kind: MysqlKind, home: string): {readonly command: string; readonly args: readonly string[]} {
  const usr = join(home, 'usr');
  const common = ['--no-defaults', `--basedir=${usr}`, ...(process.getuid?.() === 0 ? ['--user=root'] : [])];
  if (kind === 'mariadb') {
    const share = join(usr, 'share', 'mysql');
    const folders = [
      `--lc-messages-dir=${share}`,
      `--character-sets-dir=${join(share, 'charsets')}`,
      `--plugin-dir=${join(usr, 'lib', 'mysql', 'plugin')}`,
    ];
    return {command: join(usr, 'sbin', 'mariadbd'), args: [...common, ...folders]};
  }
  // Its packages are newer than this system's C library and bring their own.
  const loader = join(usr, 'lib64', 'ld-linux-x86-64.so.2');
  const libraries = ['--library-path', join(usr, 'lib', 'x86_64-linux-gnu')];
  return {command: loader, args: [...libraries, join(usr, 'sbin', 'mysqld'), ...common]};
}

function environment(home: string): Record<string, string> {
  return {LD_LIBRARY_PATH: join(home, 'usr', 'lib', 'x86_64-linux-gnu')};
}

function homeOf(kind: MysqlKind): string {
  return join(homedir(), '.cache', 'sluice-test-servers', kind === 'mariadb' ? 'mariadb-10.11' : 'mysql-9');
}

function ready(child: ChildProcess, kind: MysqlKind): Promise<void> {
  return new Promise((resolve, reject) => {
    let log = '';
    const timer = setTimeout(() => reject(new Error(`${kind} did not start: ${log}`)), UP_WITHIN_MS);
    const end = (settle: () => void): void => {
      clearTimeout(timer);
      settle();
    };
    child.once('error', (error) => end(() => reject(error)));
    child.once('exit', (code) => end(() => reject(new Error(`${kind} exited with ${code}: ${log}`))));
    child.stderr?.on('data', (chunk: Buffer) => {
      log = (log + chunk.toString()).slice(-8000);
      if (log.includes('ready for connections')) end(resolve);
    });
  });
}

/** A shell that waits for the end of its input, which comes when this process dies in whatever way, and then stops the server and removes its files. */
function guardOf(server: ChildProcess, root: string): ChildProcess {
  const script = 'read -r _; kill -KILL "$1"; rm -rf "$2"';
  const guard = spawn('/bin/sh', ['-c', script, 'guard', String(server.pid), root], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  guard.on('error', () => undefined); // Without a shell the server outlives a killed parent; nothing else is lost.
  guard.unref();
  (guard.stdin as unknown as {unref(): void}).unref();
  return guard;
}
