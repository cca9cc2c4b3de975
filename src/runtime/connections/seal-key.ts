import {randomBytes} from 'node:crypto';
import {readFileSync, statSync} from 'node:fs';
import {dirname, join} from 'node:path';

import {IngestError} from '../../core/errors.ts';
import type {Environment} from '../config/environment.ts';
import {userConfigFolder} from '../config/home-folders.ts';
import {codeOf, createFile, makePrivateFolder} from './durable-file.ts';
import {KEY_BYTES} from './seal.ts';

/** The file of the key that seals secrets when SLUICE_KEY does not give it. */
export function keyFile(env: Environment): string {
  return join(userConfigFolder(env), 'key');
}

/** The key that seals secrets: SLUICE_KEY, else the key file; null when there is neither. @throws INVALID_OPTION when it is malformed or others may read the file. */
export function findKey(env: Environment): Buffer | null {
  const given = env['SLUICE_KEY'];
  if (given !== undefined && given !== '') return keyOf(given, 'SLUICE_KEY');
  const file = keyFile(env);
  try {
    checkPrivate(file);
    return keyOf(readFileSync(file, 'utf8'), file);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  }
}

/** {@link findKey} for opening. @throws MISSING_SECRET when there is no key */
export function needKey(env: Environment): Buffer {
  const key = findKey(env);
  if (key !== null) return key;
  throw new IngestError('MISSING_SECRET', 'There are sealed secrets and no key to open them.', {
    fix: `Set SLUICE_KEY, or put the key that sealed them into ${keyFile(env)}.`,
  });
}

/** {@link findKey} for sealing: makes the key file (mode 0600) when there is no key. Of processes that do so at once, one wins. */
export async function makeKey(env: Environment): Promise<Buffer> {
  const found = findKey(env);
  if (found !== null) return found;
  const file = keyFile(env);
  await makePrivateFolder(dirname(file));
  await createFile(file, `${randomBytes(KEY_BYTES).toString('base64')}\n`);
  return needKey(env);
}

function keyOf(text: string, where: string): Buffer {
  const key = Buffer.from(text.trim(), 'base64');
  // Node skips what is no base64: a passphrase of the right length would pass for a key.
  if (key.length === KEY_BYTES && key.toString('base64url') === plain(text)) return key;
  throw new IngestError('INVALID_OPTION', `${where} does not hold a key of ${KEY_BYTES} bytes in base64.`, {
    fix: 'Make one: openssl rand -base64 32',
  });
}

/** The same whether it is written for URLs or not, padded or not. */
function plain(text: string): string {
  return text.trim().replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

function checkPrivate(file: string): void {
  const {mode} = statSync(file);
  if (process.platform === 'win32' || (mode & 0o077) === 0) return;
  throw new IngestError('INVALID_OPTION', `Others than its owner may read ${file}.`, {fix: `Run: chmod 600 ${file}`});
}
