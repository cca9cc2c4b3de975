import {IngestError} from '../core/errors.ts';

/**
 * Joins the parts of a name with points: `public.orders`. A part that holds a point or a double quote, is empty, or begins or
 * ends with a blank stands in double quotes, as in SQL.
 */
export function qualifiedName(parts: readonly string[]): string {
  return parts.map((part) => (needsQuotes(part) ? `"${part.replaceAll('"', '""')}"` : part)).join('.');
}

/** The parts of a name that {@link qualifiedName} joined. @throws UNKNOWN_TABLE for a text that cannot be such a name. */
export function parseQualifiedName(text: string): string[] {
  const parts: string[] = [];
  const part = /(?:"((?:[^"]|"")*)"|([^."]+))(\.|$)/y;
  let end = 0;
  let isLast = false;
  while (!isLast) {
    part.lastIndex = end;
    const match = part.exec(text);
    if (match === null) throw malformed(text);
    const [, quoted, plain = '', separator] = match;
    if (quoted === undefined && needsQuotes(plain)) throw malformed(text);
    parts.push(quoted?.replaceAll('""', '"') ?? plain);
    end = part.lastIndex;
    isLast = separator === '';
  }
  return parts;
}

function needsQuotes(part: string): boolean {
  return part === '' || /[."]|^\s|\s$/.test(part);
}

function malformed(text: string): IngestError {
  return new IngestError(
    'UNKNOWN_TABLE',
    `${JSON.stringify(text)} is no table name: parts joined by points are expected.`,
    {
      fix: 'Put a part that holds a point or a double quote in double quotes, as in SQL.',
    },
  );
}
