/** What a terminal shows after a text with the escape sequences that we use: lines above the screen included. */
export function screenAfter(text: string): readonly string[] {
  const lines: string[] = [''];
  let row = 0;
  let column = 0;
  for (const token of text.matchAll(/\x1b\[(\??\d*)([A-Za-z])|\r|\n|[^\x1b\r\n]+/g)) {
    const [all, argument, command] = token;
    if (command === 'A') row = Math.max(0, row - Number(argument === '' ? 1 : argument));
    else if (command === 'J') lines.splice(row + 1, lines.length, ...[]);
    if (command === 'J') lines[row] = (lines[row] ?? '').slice(0, column);
    if (command !== undefined) continue;
    if (all === '\r') column = 0;
    else if (all === '\n') {
      row += 1;
      column = 0;
      lines[row] ??= '';
    } else {
      const line = lines[row] ?? '';
      lines[row] = line.slice(0, column).padEnd(column) + all + line.slice(column + all.length);
      column += all.length;
    }
  }
  return lines;
}
