import {generateKeyPairSync, type KeyObject, randomBytes, sign} from 'node:crypto';

/** An authority of one simulator with the certificate of 127.0.0.1 and localhost. */
export interface SimulatorAuthority {
  /** What a client must trust. */
  readonly caPem: string;
  readonly server: {readonly key: string; readonly cert: string};
}

/** Makes an authority with keys of its own: none lies in a repository, none is trusted by anybody else. */
export function simulatorAuthority(): SimulatorAuthority {
  const own = generateKeyPairSync('ec', {namedCurve: 'prime256v1'});
  const leaf = generateKeyPairSync('ec', {namedCurve: 'prime256v1'});
  const issuer = {name: 'Sluice simulator authority', key: own.privateKey};
  const isAuthority = der(0x30, oid(0x55, 0x1d, 0x13), der(0x01, TRUE), der(0x04, der(0x30, der(0x01, TRUE))));
  const names = der(0x30, der(0x82, Buffer.from('localhost')), der(0x87, Buffer.from([127, 0, 0, 1])));
  const alternativeNames = der(0x30, oid(0x55, 0x1d, 0x11), der(0x04, names));
  return {
    caPem: certificate({subject: issuer.name, subjectKey: own.publicKey, issuer, extension: isAuthority}),
    server: {
      key: leaf.privateKey.export({type: 'pkcs8', format: 'pem'}).toString(),
      cert: certificate({subject: 'localhost', subjectKey: leaf.publicKey, issuer, extension: alternativeNames}),
    },
  };
}

interface CertificateRequest {
  readonly subject: string;
  readonly subjectKey: KeyObject;
  readonly issuer: {readonly name: string; readonly key: KeyObject};
  readonly extension: Buffer;
}

const TRUE = Buffer.from([0xff]);

/** X.509 version 3. @see https://www.rfc-editor.org/rfc/rfc5280#section-4.1 */
function certificate({subject, subjectKey, issuer, extension}: CertificateRequest): string {
  const ecdsaWithSha256 = der(0x30, oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02));
  const validity = der(0x30, der(0x17, Buffer.from('200101000000Z')), der(0x18, Buffer.from('20991231235959Z')));
  const body = der(
    0x30,
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.concat([Buffer.from([0x01]), randomBytes(8)])),
    ecdsaWithSha256,
    named(issuer.name),
    validity,
    named(subject),
    subjectKey.export({type: 'spki', format: 'der'}),
    der(0xa3, der(0x30, extension)),
  );
  const signature = der(0x03, Buffer.from([0]), sign('sha256', body, issuer.key));
  const base64 = der(0x30, body, ecdsaWithSha256, signature).toString('base64');
  const lines = (base64.match(/.{1,64}/g) ?? []).join('\n');
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
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
