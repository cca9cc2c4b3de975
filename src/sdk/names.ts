import {IngestError} from '../core/errors.ts';

/** One name for a table in namespaces: parts joined by `.`; a part with a dot, a quote or blank edges is double-quoted as in SQL. */
export function qualifiedName(parts: readonly string[]): string {
  return parts.map(part => (NEEDS_QUOTES.test(part) || part === '' ? `"${part.replaceAll('"', '""')}"` : part)).join('.');
}

/** The inverse of {@link qualifiedName}. @throws UNKNOWN_TABLE when quotes do not match. */
export function parseQualifiedName(text: string): readonly string[] {
  const parts: string[] = [];
  const part = /(?:"((?:[^"]|"")*)"|([^".]+))(\.|$)/y;
  while (part.lastIndex < text.length || parts.length === 0) {
    const match = part.exec(text);
    if (match === null) {
      throw new IngestError('UNKNOWN_TABLE', `"${text}" is no table name.`, {fix: 'Write schema.table, and "double quotes" around a part with a dot in it.'});
    }
    parts.push(match[1] === undefined ? (match[2] ?? '') : match[1].replaceAll('""', '"'));
    if (match[3] === '') break;
  }
  return parts;
}

const NEEDS_QUOTES = /[."]|^\s|\s$/;
