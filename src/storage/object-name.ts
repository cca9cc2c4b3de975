import {IngestError} from '../core/errors.ts';

/**
 * Checks that a name may become an object: relative, parts between single `/`, none of them empty, `.` or `..`.
 * @throws STORAGE_FAILED (class `bug`) else; nothing outside a store's root can be reached by a checked name.
 */
export function checkObjectName(name: string): string {
  const wrong = name === '' || name.includes('\0') || name.split('/').some((part) => REFUSED_PARTS.has(part));
  if (!wrong) return name;
  throw new IngestError('STORAGE_FAILED', `"${name}" is no object name.`, {
    class: 'bug',
    fix: 'Use names relative to the root of the store, with single slashes and without "." or ".." between them.',
    context: {name},
  });
}

const REFUSED_PARTS: ReadonlySet<string> = new Set(['', '.', '..']);
