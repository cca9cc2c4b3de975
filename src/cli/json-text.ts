/** JSON of any value: 64-bit integers as numbers where a double holds them and as text elsewhere, bytes as hex, NaN and infinities as text. */
export function jsonText(value: unknown, indent?: number): string {
  return JSON.stringify(value, replaced, indent) ?? 'null';
}

function replaced(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value.toString();
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex');
  return value;
}
