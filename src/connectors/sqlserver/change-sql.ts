import {quoteIdentifier} from './catalog.ts';

/** `left.a = right.a and left.b = right.b`. */
export function keyCondition(columns: readonly string[], left: string, right: string): string {
  return columns.map((name) => `${left}.${quoteIdentifier(name)} = ${right}.${quoteIdentifier(name)}`).join(' and ');
}

/** Microseconds since 1970 of a time in UTC as style 121 writes it. */
export function microsOf(text: string): bigint {
  const [seconds = '', fraction = ''] = text.split('.');
  const milliseconds = Date.parse(`${seconds.replace(' ', 'T')}Z`);
  return Number.isNaN(milliseconds) ? 0n : BigInt(milliseconds) * 1000n + BigInt(fraction.padEnd(6, '0').slice(0, 6));
}
