import {createCipheriv, createDecipheriv, createHash, randomBytes} from 'node:crypto';

import {IngestError} from '../../core/errors.ts';

/** Bytes of a key. */
export const KEY_BYTES = 32;
const IV_BYTES = 12;
const TAG_BYTES = 16;

/** Where a sealed value belongs: it opens nowhere else. */
export interface SealedPlace {
  readonly connection: string;
  readonly name: string;
}

/**
 * Seals a text with AES-256-GCM: `v1.<id of the key>.<iv, tag and ciphertext in base64url>`. Two seals of one text differ.
 */
export function seal(text: string, place: SealedPlace, key: Buffer): string {
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, iv);
  cipher.setAAD(boundTo(place));
  const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
  return `v1.${keyId(key)}.${Buffer.concat([iv, cipher.getAuthTag(), body]).toString('base64url')}`;
}

/** Opens what {@link seal} sealed. @throws MISSING_SECRET when it was sealed with another key or for another place, or was changed. */
export function unseal(sealed: string, place: SealedPlace, key: Buffer): string {
  const [version, id, payload = ''] = sealed.split('.');
  const where = `connection "${place.connection}": the sealed value of "${place.name}"`;
  if (version !== 'v1') throw cannotOpen(`${where} has a form that this version does not know`);
  if (id !== keyId(key)) throw cannotOpen(`${where} was sealed with another key`);
  const bytes = Buffer.from(payload, 'base64url');
  if (bytes.length < IV_BYTES + TAG_BYTES) throw cannotOpen(`${where} was cut short`);
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, IV_BYTES), {authTagLength: TAG_BYTES});
  decipher.setAAD(boundTo(place));
  decipher.setAuthTag(bytes.subarray(IV_BYTES, IV_BYTES + TAG_BYTES));
  try {
    const body = decipher.update(bytes.subarray(IV_BYTES + TAG_BYTES));
    return Buffer.concat([body, decipher.final()]).toString('utf8');
  } catch (error) {
    throw cannotOpen(`${where} was changed, or belongs to another connection or option`, error);
  }
}

/** Tells keys apart without telling anything of them. */
function keyId(key: Buffer): string {
  return createHash('sha256').update('sluice key id').update(key).digest('hex').slice(0, 8);
}

function boundTo(place: SealedPlace): Buffer {
  return Buffer.from(JSON.stringify(['sluice', 'v1', place.connection, place.name]));
}

function cannotOpen(message: string, cause?: unknown): IngestError {
  return new IngestError('MISSING_SECRET', `${message}.`, {
    fix: 'Set SLUICE_KEY (or restore the key file) to the key that sealed it, or create the connection again.',
    ...(cause === undefined ? {} : {cause}),
  });
}
