/** Base85 in ZeroMQ's alphabet, as Delta writes UUIDs and inline deletion vectors. */

const ALPHABET = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#';

const DIGITS: ReadonlyMap<string, number> = new Map(Array.from(ALPHABET, (character, digit) => [character, digit]));

/** Encodes bytes whose count is a multiple of 4; 4 bytes become 5 characters. */
export function encodeZ85(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let text = '';
  for (let at = 0; at < bytes.length; at += 4) {
    const word = view.getUint32(at);
    for (const power of POWERS) text += ALPHABET[Math.floor(word / power) % 85];
  }
  return text;
}

/** Decodes text whose length is a multiple of 5; null when it is no Z85. */
export function decodeZ85(text: string): Uint8Array | null {
  if (text.length % 5 !== 0) return null;
  const bytes = new Uint8Array((text.length / 5) * 4);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < text.length; at += 5) {
    let word = 0;
    for (const character of text.slice(at, at + 5)) word = word * 85 + (DIGITS.get(character) ?? Number.NaN);
    if (!(word <= 0xffffffff)) return null;
    view.setUint32((at / 5) * 4, word);
  }
  return bytes;
}

const POWERS = [85 ** 4, 85 ** 3, 85 ** 2, 85, 1] as const;
