import {createPrivateKey, type KeyObject} from 'node:crypto';

import {IngestError} from '../../core/errors.ts';
import type {OAuth2Spec} from './auth.ts';

/** What a signed assertion says. */
export interface Assertion {
  readonly issuer: string | undefined;
  readonly subject: string | undefined;
  readonly audience: string;
  readonly issuedAtMs: number;
  /** A number that no other assertion has. */
  readonly id?: string;
}

const LIFE_SECONDS = 300;

/** Signs an assertion that lives five minutes. @throws AUTH_FAILED when the key is none. @see https://www.rfc-editor.org/rfc/rfc7523#section-3 */
export async function signAssertion(jwt: NonNullable<OAuth2Spec['jwt']>, assertion: Assertion): Promise<string> {
  const {SignJWT} = await import('jose');
  const nowSeconds = Math.floor(assertion.issuedAtMs / 1000);
  const {issuer, subject, id} = assertion;
  const claims = {
    ...jwt.claims,
    ...(issuer === undefined ? {} : {iss: issuer}),
    ...(subject === undefined ? {} : {sub: subject}),
    ...(id === undefined ? {} : {jti: id}),
    aud: assertion.audience,
    iat: nowSeconds,
    exp: nowSeconds + LIFE_SECONDS,
  };
  const header = {alg: jwt.algorithm, typ: 'JWT', ...(jwt.keyId === undefined ? {} : {kid: jwt.keyId})};
  return new SignJWT(claims).setProtectedHeader(header).sign(privateKey(jwt.privateKey));
}

/** PKCS#1, PKCS#8 or SEC1 in PEM; line ends may be written as `\n`, as environment variables have them. */
function privateKey(pem: string): KeyObject {
  try {
    return createPrivateKey(pem.replaceAll('\\n', '\n'));
  } catch (error) {
    throw new IngestError('AUTH_FAILED', 'The private key of the connection is no private key in PEM form.', {
      cause: error,
      fix: 'Give the whole text of the key file, from -----BEGIN to END-----.',
    });
  }
}
