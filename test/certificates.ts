import type {KeyObject} from 'node:crypto';
import {generateKeyPairSync, randomBytes, sign} from 'node:crypto';

/** A certificate with its private key, both PEM. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

/** An authority of this test alone. */
export interface TestAuthority extends Certificate {
  /** Issues a certificate for a name (`localhost`) or a user. */
  issue(commonName: string): Certificate;
}

/** Makes an authority with keys of its own: no certificate lies in the repository, none ever expires there. */
export function testAuthority(): TestAuthority {
  const keys = generateKeyPairSync('ec', {namedCurve: 'prime256v1'});
  const name = 'Sluice test authority';
  const own = certificate({
    subject: name,
    subjectKey: keys.publicKey,
    issuer: name,
    issuerKey: keys.privateKey,
    authority: true,
  });
  return {
    certificate: own,
    key: pem(keys.privateKey),
    issue(commonName) {
      const leaf = generateKeyPairSync('ec', {namedCurve: 'prime256v1'});
      const signed = {
        subject: commonName,
        subjectKey: leaf.publicKey,
        issuer: name,
        issuerKey: keys.privateKey,
        authority: false,
      };
      return {certificate: certificate(signed), key: pem(leaf.privateKey)};
    },
  };
}

interface CertificateRequest {
  readonly subject: string;
  readonly subjectKey: KeyObject;
  readonly issuer: string;
  readonly issuerKey: KeyObject;
  readonly authority: boolean;
}

/** X.509 version 3 in DER. @see https://www.rfc-editor.org/rfc/rfc5280#section-4.1 */
function certificate({subject, subjectKey, issuer, issuerKey, authority}: CertificateRequest): string {
  const ecdsaWithSha256 = der(0x30, oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02));
  const validity = der(0x30, der(0x17, Buffer.from('200101000000Z')), der(0x18, Buffer.from('20991231235959Z')));
  const alternativeName = der(0x30, der(0x82, Buffer.from(subject)));
  const extensions = authority
    ? extension([0x55, 0x1d, 0x13], der(0x30, der(0x01, Buffer.from([0xff]))))
    : extension([0x55, 0x1d, 0x11], alternativeName);
  const body = der(
    0x30,
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.concat([Buffer.from([0x01]), randomBytes(8)])),
    ecdsaWithSha256,
    named(issuer),
    validity,
    named(subject),
    subjectKey.export({type: 'spki', format: 'der'}),
    der(0xa3, der(0x30, extensions)),
  );
  const signature = der(0x03, Buffer.from([0]), sign('sha256', body, issuerKey));
  const base64 = der(0x30, body, ecdsaWithSha256, signature).toString('base64');
  const text = (base64.match(/.{1,64}/g) ?? []).join('\n');
  return `-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n`;
}

function extension(id: readonly number[], value: Buffer): Buffer {
  return der(0x30, oid(...id), der(0x01, Buffer.from([0xff])), der(0x04, value));
}

function named(commonName: string): Buffer {
  return der(0x30, der(0x31, der(0x30, oid(0x55, 0x04, 0x03), der(0x0c, Buffer.from(commonName)))));
}

function oid(...bytes: readonly number[]): Buffer {
  return der(0x06, Buffer.from(bytes));
}

function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const size = body.length < 128 ? [body.length] : [0x82, body.length >> 8, body.length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), body]);
}

function pem(key: KeyObject): string {
  return key.export({type: 'pkcs8', format: 'pem'}).toString();
}
