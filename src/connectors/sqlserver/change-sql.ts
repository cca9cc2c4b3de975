import {quoteIdentifier} from './catalog.ts';

/** `left.a = right.a and left.b = right.b`. */
export function keyCondition(columns: readonly string[], left: string, right: string): string {
  return columns.map((name) => `${left}.${quoteIdentifier(name)} = ${right}.${quoteIdentifier(name)}`).join(' and ');
}
