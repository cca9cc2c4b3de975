import {createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual} from 'node:crypto';
import {promisify} from 'node:util';

import {PgError} from './pg-error.ts';

const derive = promisify(pbkdf2);

/** One SCRAM-SHA-256 exchange without channel binding. @see https://www.rfc-editor.org/rfc/rfc5802 */
export interface ScramExchange {
  /** First message of the client. */
  readonly first: string;
  /** Answers the server's first message. @throws PgError when the server does not keep the protocol. */
  answer(serverFirst: string): Promise<string>;
  /** Checks the server's last message: only one that knows the password can have written it. @throws PgError */
  verify(serverFinal: string): void;
}

/** Starts an exchange; PostgreSQL takes the user from the startup message, so that the name here stays empty. */
export function startScram(password: string, nonce: string = randomBytes(18).toString('base64')): ScramExchange {
  const bare = `n=,r=${nonce}`;
  let expected: Buffer | null = null;
  return {
    first: `n,,${bare}`,
    async answer(serverFirst) {
      const {r: combined, s: salt, i: iterations} = attributes(serverFirst);
      const count = Number(iterations);
      if (!combined?.startsWith(nonce) || combined === nonce || salt === undefined || !(count >= 1 && count <= 1e8)) {
        throw new PgError('protocol', '08P01', 'the server broke the SCRAM exchange');
      }
      const salted = await derive(prepared(password), Buffer.from(salt, 'base64'), count, 32, 'sha256');
      const withoutProof = `c=biws,r=${combined}`;
      const signed = `${bare},${serverFirst},${withoutProof}`;
      const clientKey = hmac(salted, 'Client Key');
      const signature = hmac(createHash('sha256').update(clientKey).digest(), signed);
      expected = hmac(hmac(salted, 'Server Key'), signed);
      const proof = clientKey.map((byte, index) => byte ^ (signature[index] ?? 0));
      return `${withoutProof},p=${Buffer.from(proof).toString('base64')}`;
    },
    verify(serverFinal) {
      const given = Buffer.from(attributes(serverFinal)['v'] ?? '', 'base64');
      if (expected === null || given.length !== expected.length || !timingSafeEqual(given, expected)) {
        throw new PgError('auth', '28000', 'the server could not prove that it knows the password');
      }
    },
  };
}

/** PostgreSQL's older answer: md5 of (md5 of password and user) and a salt. */
export function md5Answer(user: string, password: string, salt: Uint8Array): string {
  const inner = createHash('md5').update(`${password}${user}`).digest('hex');
  return `md5${createHash('md5').update(inner).update(salt).digest('hex')}`;
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

function attributes(message: string): Record<string, string | undefined> {
  return Object.fromEntries(message.split(',').map((part) => [part.slice(0, 1), part.slice(2)]));
}

/** SASLprep: other spaces become spaces, invisible characters vanish, compatibility forms are folded. @see https://www.rfc-editor.org/rfc/rfc4013 */
function prepared(password: string): string {
  const mapped = password
    .replaceAll(/[\u{a0}\u{1680}\u{2000}-\u{200b}\u{202f}\u{205f}\u{3000}]/gu, ' ')
    .replaceAll(
      /\u{ad}|\u{34f}|\u{1806}|[\u{180b}-\u{180d}]|\u{200c}|\u{200d}|\u{2060}|[\u{fe00}-\u{fe0f}]|\u{feff}/gu,
      '',
    );
  return mapped.normalize('NFKC');
}
