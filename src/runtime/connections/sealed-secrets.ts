import {randomUUID} from 'node:crypto';
import {readdir, readFile, rm} from 'node:fs/promises';
import {join} from 'node:path';

import {IngestError} from '../../core/errors.ts';
import {encodeName} from '../../pipeline/table-root.ts';
import type {SecretStore} from '../../sdk/define-connector.ts';
import type {Environment} from '../config/environment.ts';
import {codeOf, createFile, makeHome, makePrivateFolder} from './durable-file.ts';
import {makeKey, needKey} from './seal-key.ts';
import {seal, unseal} from './seal.ts';
import {inTurn} from './turns.ts';

/** Whose secrets, and where. */
export interface SecretsPlace {
  /** Folder of Sluice's own files, as `sluiceHome` names it. */
  readonly home: string;
  readonly connection: string;
  readonly env: Environment;
}

/** One version of a secret, as its file holds it. */
interface SecretVersion {
  readonly version: number;
  readonly id: string;
  /** Null: forgotten. */
  readonly sealed: string | null;
  /** Ids of the versions before, newest first. */
  readonly before: readonly string[];
}

const KEPT_FILES = 4;
const KNOWN_BEFORE = 64;
const MAX_ATTEMPTS = 50;

/**
 * Secrets of one connection that change by themselves, sealed, shared by all processes of the machine. A value is a chain of
 * files `<name>.<version>`: a new one is put if absent, so that of two writers one loses, and a crash leaves the old value or
 * the new. No lock is held, so none can be left behind; a turn is such a value too, and ends with its time or its process.
 */
export function sealedSecrets(place: SecretsPlace): SecretStore {
  return {
    get: (name) => secret(place, name),
    replace: (name, expected, value) => replaceIf(place, {name, value}, expected),
    exclusively: (name, work) =>
      inTurn(
        {
          read: () => secret(place, `${name}.turn`),
          replace: (expected, value) => replaceIf(place, {name: `${name}.turn`, value}, expected),
        },
        work,
      ),
  };
}

async function secret(place: SecretsPlace, name: string): Promise<string | null> {
  const newest = await newestVersion(place, name);
  return newest === null ? null : opened(place, name, newest);
}

function replaceIf(
  place: SecretsPlace,
  change: {readonly name: string; readonly value: string | null},
  expected: string | null,
): Promise<boolean> {
  return replaceSecret(
    place,
    change,
    (newest) => (newest === null ? null : opened(place, change.name, newest)) === expected,
  );
}

/** Forgets all secrets that a connection keeps: its next call logs in with its options. */
export async function forgetSecrets(place: SecretsPlace): Promise<void> {
  const names = new Set((await filesOf(folderOf(place))).map((file) => decodeURIComponent(file.name)));
  for (const name of names) await replaceSecret(place, {name, value: null}, () => true);
}

/** Removes the folder of a connection's secrets. */
export async function removeSecrets(place: SecretsPlace): Promise<void> {
  await rm(folderOf(place), {recursive: true, force: true});
}

async function replaceSecret(
  place: SecretsPlace,
  secret: {readonly name: string; readonly value: string | null},
  isExpected: (newest: SecretVersion | null) => boolean,
): Promise<boolean> {
  const {name, value} = secret;
  const folder = folderOf(place);
  const key = await makeKey(place.env);
  await makeHome(place.home);
  await makePrivateFolder(folder);
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
    const newest = await newestVersion(place, name);
    if (!isExpected(newest)) return false;
    const next: SecretVersion = {
      version: (newest?.version ?? 0) + 1,
      id: randomUUID(),
      sealed: value === null ? null : seal(value, {connection: place.connection, name}, key),
      before: newest === null ? [] : [newest.id, ...newest.before].slice(0, KNOWN_BEFORE),
    };
    const path = join(folder, fileName(name, next.version));
    if (!(await createFile(path, JSON.stringify(next)))) continue;
    if (await isInChain(place, name, next)) {
      await removeOld(folder, name, next.version);
      return true;
    }
    // We were so late that our number had been taken and cleared away again: nobody will ever read what we wrote.
    await rm(path, {force: true});
  }
  throw new IngestError('STORAGE_FAILED', `The secrets of connection "${place.connection}" change all the time.`, {
    context: {connection: place.connection},
  });
}

/** True when the newest version is ours or was made from ours. */
async function isInChain(place: SecretsPlace, name: string, ours: SecretVersion): Promise<boolean> {
  const newest = await newestVersion(place, name);
  return newest !== null && (newest.id === ours.id || newest.before.includes(ours.id));
}

function opened(place: SecretsPlace, name: string, version: SecretVersion): string | null {
  if (version.sealed === null) return null;
  return unseal(version.sealed, {connection: place.connection, name}, needKey(place.env));
}

async function newestVersion(place: SecretsPlace, name: string): Promise<SecretVersion | null> {
  const folder = folderOf(place);
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
    const versions = (await filesOf(folder)).filter((file) => file.name === encodeURIComponent(name));
    const newest = versions.reduce((highest, file) => Math.max(highest, file.version), 0);
    if (newest === 0) return null;
    try {
      return parsed(await readFile(join(folder, fileName(name, newest)), 'utf8'), place);
    } catch (error) {
      // Cleared away between the two looks: there is a newer one.
      if (codeOf(error) !== 'ENOENT') throw error;
    }
  }
  throw new IngestError('STORAGE_FAILED', `The secrets of connection "${place.connection}" cannot be read.`);
}

async function removeOld(folder: string, name: string, newest: number): Promise<void> {
  const old = (await filesOf(folder)).filter(
    (file) => file.name === encodeURIComponent(name) && file.version <= newest - KEPT_FILES,
  );
  for (const file of old) await rm(join(folder, fileName(name, file.version)), {force: true});
}

async function filesOf(folder: string): Promise<readonly {readonly name: string; readonly version: number}[]> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  });
  return names.flatMap((file) => {
    const [, name, version] = /^(.+)\.(\d+)\.json$/.exec(file) ?? [];
    return name === undefined ? [] : [{name, version: Number(version)}];
  });
}

/** Names hold letters, digits and what a URL keeps; everything else is escaped. */
function fileName(name: string, version: number): string {
  return `${encodeURIComponent(name)}.${version}.json`;
}

function folderOf({home, connection}: SecretsPlace): string {
  return join(home, 'secrets', encodeName(connection));
}

function parsed(text: string, place: SecretsPlace): SecretVersion {
  const value: unknown = JSON.parse(text);
  const {version, id, sealed, before} = Object(value) as Partial<Record<keyof SecretVersion, unknown>>;
  if (
    typeof version === 'number' &&
    typeof id === 'string' &&
    (sealed === null || typeof sealed === 'string') &&
    Array.isArray(before)
  )
    return {version, id, sealed, before: before.map(String)};
  throw new IngestError('STORAGE_FAILED', `A file of the secrets of connection "${place.connection}" is malformed.`, {
    fix: 'Log in again: sluice connections login.',
    class: 'config',
  });
}
