/** How `add.path` names files: relative to the table and URL-encoded, or an absolute URI. */

/** The object name of a data file below `root`, or null when the path is absolute and thus outside of the table. */
export function objectNameOf(root: string, path: string): string | null {
  return ABSOLUTE.test(path) ? null : `${root}/${decodePath(path)}`;
}

/** A relative path with what a URI cannot hold escaped, as it goes into the log. */
export function encodePath(relative: string): string {
  return relative.split('/').map(encodePart).join('/');
}

/** The inverse of {@link encodePath}; text that is not validly escaped is kept as it is. */
export function decodePath(path: string): string {
  if (!path.includes('%')) return path;
  try {
    return decodeURIComponent(path);
  } catch (error) {
    if (error instanceof URIError) return path;
    throw error;
  }
}

/**
 * The folder of a partition value, `column=value`, with the characters escaped that Hive escapes. What comes out is a
 * name on disk: it is encoded once more on its way into the log.
 */
export function partitionFolder(column: string, value: string | null): string {
  return `${escapeHive(column)}=${value === null || value === '' ? '__HIVE_DEFAULT_PARTITION__' : escapeHive(value)}`;
}

const ABSOLUTE = /^(?:[a-zA-Z][a-zA-Z0-9+.-]*:|\/)/;

function encodePart(part: string): string {
  // Spark's encoding of a URI path leaves these as they are.
  return encodeURIComponent(part).replace(/%(?:3D|26|2B|24|2C|40)/g, decodeURIComponent);
}

function escapeHive(text: string): string {
  return text.replace(
    // oxlint-disable-next-line no-control-regex -- control characters are what must be escaped
    /[\u0001-\u001f\u007f"#%'*/:=?\\{[\]^]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  );
}
