/** What a terminal shows after a text with the escape sequences that we use: lines above the screen included. */
export function screenAfter(text: string): readonly string[] {
  const lines: string[] = [''];
  let row = 0;
  let column = 0;
  const print = (piece: string): void => {
    const line = lines[row] ?? '';
    lines[row] = line.slice(0, column).padEnd(column) + piece + line.slice(column + piece.length);
    column += piece.length;
  };
  const [start = '', ...sequences] = text.split('\x1b[');
  for (const part of [`0m${start}`, ...sequences]) {
    const [all, argument = '', command = ''] = /^\??(\d*)([A-Za-z])/.exec(part) ?? [''];
    if (command === 'A') row = Math.max(0, row - Number(argument === '' ? 1 : argument));
    if (command === 'J') lines.splice(row, lines.length, (lines[row] ?? '').slice(0, column));
    for (const piece of part.slice(all.length).split(/([\r\n])/)) {
      if (piece === '\r' || piece === '\n') column = 0;
      else print(piece);
      if (piece === '\n') row += 1;
    }
  }
  return lines.map((line) => line.trimEnd());
}
