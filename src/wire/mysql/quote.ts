/** A name as an SQL identifier. */
export function quoteIdentifier(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``;
}

/** A text as an SQL literal that does not depend on NO_BACKSLASH_ESCAPES; only for texts without lone surrogates. */
export function quoteLiteral(text: string): string {
  if (!text.includes('\\') && !text.includes('\0')) return `'${text.replaceAll("'", "''")}'`;
  return `convert(x'${Buffer.from(text).toString('hex')}' using utf8mb4)`;
}
