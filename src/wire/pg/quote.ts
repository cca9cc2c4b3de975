/** An identifier as PostgreSQL reads it, whatever its letters. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A text literal. Needs `standard_conforming_strings = on`, the server's default. */
export function quoteLiteral(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
