import {IngestError} from '../core/errors.ts';

/** Most file systems take names of 255 bytes; Delta's own temporary names need a few of them. */
const MAX_NAME_BYTES = 200;

/**
 * The name prefix of a table in the lake's store: `catalog/schema/table`, each part encoded so that any name is one
 * plain folder, two names never share one, and none is `.`, `..` or starts with `_` or `.` (which readers skip).
 * @throws INVALID_SPEC when a part is empty, longer than the store can name, or no valid Unicode.
 */
export function tableRoot(catalog: string, schema: string, table: string): string {
  return [catalog, schema, table].map(encodeName).join('/');
}

/**
 * One part of {@link tableRoot}: letters, digits, `-`, inner `_` and `.` stay, all else becomes `~XX` of its UTF-8 bytes. Not
 * `%XX`: delta-rs 1.6 decodes that once too often and does not find the table.
 */
export function encodeName(name: string): string {
  const reason = nameProblem(name);
  if (reason !== null)
    throw new IngestError('INVALID_SPEC', `The name ${JSON.stringify(name)} cannot be used: ${reason}.`, {
      fix: 'Choose another name.',
    });
  return encoded(name);
}

/** Why a catalog, schema or table cannot have this name; null when it can. */
export function nameProblem(name: string): string | null {
  if (name.trim() === '') return 'it is blank';
  if (/\p{Surrogate}/u.test(name)) return 'it is no valid Unicode text';
  return encoded(name).length > MAX_NAME_BYTES ? `it takes more than ${MAX_NAME_BYTES} bytes in a path` : null;
}

/** The inverse of {@link encodeName}. */
export function decodeName(part: string): string {
  return decodeURIComponent(part.replaceAll('~', '%'));
}

function encoded(name: string): string {
  return encodeURIComponent(name)
    .replace(/[!~*'()]|^[._]/g, percent)
    .replaceAll('%', '~');
}

function percent(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
}
