import {execFile} from 'node:child_process';
import {access, mkdir, mkdtemp, rename, rm} from 'node:fs/promises';
import {homedir} from 'node:os';
import {join} from 'node:path';
import {promisify} from 'node:util';

/** A Go program at a pinned version, built from its module. */
export interface GoProgram {
  readonly name: string;
  readonly module: string;
  readonly version: string;
}

/** MinIO, the S3 server whose conditional puts are atomic; the last state of its archived repository. Used as a program only. */
export const MINIO: GoProgram = {
  name: 'minio',
  module: 'github.com/minio/minio',
  version: 'v0.0.0-20260212201848-7aac2a2c5b7c',
};

/** The emulator of Google Cloud Storage, from the first version on that honours ifGenerationMatch in simple uploads. */
export const FAKE_GCS: GoProgram = {
  name: 'fake-gcs-server',
  module: 'github.com/fsouza/fake-gcs-server',
  version: 'v1.56.1',
};

/** Path of the built program; null when it was not built on this machine. */
export async function builtProgram(program: GoProgram): Promise<string | null> {
  const path = join(folderOf(program), program.name);
  try {
    await access(path);
    return path;
  } catch {
    // Not built.
    return null;
  }
}

/** Builds the program unless it is there: some minutes, and none the next time. Needs Go and its module proxy. */
export async function buildProgram(program: GoProgram): Promise<string> {
  const found = await builtProgram(program);
  if (found !== null) return found;
  console.log(`Building ${program.name} ${program.version}, once on this machine ...`);
  const folder = folderOf(program);
  await mkdir(join(folder, '..'), {recursive: true});
  const staging = await mkdtemp(`${folder}-`);
  try {
    await promisify(execFile)(
      'go',
      ['install', '-trimpath', '-ldflags=-s -w', `${program.module}@${program.version}`],
      {
        env: {...process.env, GOBIN: staging, GOTOOLCHAIN: 'local'},
        maxBuffer: 64 * 1024 * 1024,
      },
    );
    // Another process that built it at the same time is as good.
    await rename(staging, folder).catch(() => undefined);
  } finally {
    await rm(staging, {recursive: true, force: true});
  }
  return join(folder, program.name);
}

function folderOf({name, version}: GoProgram): string {
  return join(homedir(), '.cache', 'sluice-test-servers', `${name}-${version}`);
}
