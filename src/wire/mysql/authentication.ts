import {constants, createHash, publicEncrypt} from 'node:crypto';

import {CLIENT_ERROR, MysqlError} from './mysql-error.ts';

/**
 * The first answer of a log-in method to the server's nonce.
 * @param isPrivate nobody can listen: TLS, or a socket of this machine.
 * @throws MysqlError for a method that is not known, or that would send the password in clear text for all to read.
 */
export function firstAnswer(
  method: string,
  nonce: Buffer,
  {password, isPrivate}: {readonly password: string; readonly isPrivate: boolean},
): Buffer {
  switch (method) {
    case 'mysql_native_password':
      return password === '' ? Buffer.alloc(0) : scramble('sha1', password, nonce);
    case 'caching_sha2_password':
      return password === '' ? Buffer.alloc(0) : scramble('sha256', password, nonce);
    case 'mysql_clear_password':
      if (isPrivate) return Buffer.from(`${password}\0`);
      throw new MysqlError('auth', CLIENT_ERROR.auth, 'the server asks for the password in clear text without TLS');
    default:
      throw new MysqlError(
        'auth',
        CLIENT_ERROR.auth,
        `the server asks for a way to log in that is not supported (${method})`,
      );
  }
}

/** The password for `caching_sha2_password` when the server has not cached it and nobody but the server may read it. */
export function encryptPassword(password: string, nonce: Buffer, publicKey: string): Buffer {
  const text = Buffer.from(`${password}\0`);
  const mixed = text.map((byte, index) => byte ^ (nonce[index % nonce.length] ?? 0));
  return publicEncrypt({key: publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING}, mixed);
}

/** SHA1 and SHA256 mix the nonce in at different ends. */
function scramble(algorithm: 'sha1' | 'sha256', password: string, nonce: Buffer): Buffer {
  const hash = (...parts: (Buffer | string)[]): Buffer => {
    const digest = createHash(algorithm);
    for (const part of parts) digest.update(part);
    return digest.digest();
  };
  const once = hash(password);
  const twice = hash(once);
  const mask = algorithm === 'sha1' ? hash(nonce, twice) : hash(twice, nonce);
  return Buffer.from(once.map((byte, index) => byte ^ (mask[index] ?? 0)));
}
