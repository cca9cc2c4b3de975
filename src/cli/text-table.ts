import {clip, widthOf, type Paint} from './terminal-text.ts';

/** A column of a table for people. */
export interface TextColumn {
  readonly title: string;
  readonly align: 'left' | 'right';
  /** Never made narrower than this when the terminal is; default 8. */
  readonly minWidth?: number;
}

/** Cells are clean text: no line breaks, no control characters. */
export interface TextTable {
  readonly columns: readonly TextColumn[];
  readonly rows: readonly (readonly string[])[];
}

const GAP = '  ';
const DEFAULT_MIN_WIDTH = 8;

/** Lines of an aligned table, no wider than `width`: the widest columns are clipped first, and columns at the end are left out when even that does not do. */
export function tableLines(
  table: TextTable,
  options: {
    readonly width: number;
    readonly paint: Paint;
    readonly paintCell?: (text: string, column: number, row: number) => string;
  },
): readonly string[] {
  const {columns, rows} = table;
  const natural = columns.map((column, index) =>
    Math.max(widthOf(column.title), ...rows.map((row) => widthOf(row[index] ?? ''))),
  );
  const widths = fitted(
    natural,
    columns.map((column) => column.minWidth ?? DEFAULT_MIN_WIDTH),
    options.width,
  );
  const line = (cells: readonly string[], paint: (text: string, column: number) => string): string =>
    widths
      .map((width, index) => {
        const text = clip(cells[index] ?? '', width);
        const blanks = ' '.repeat(width - widthOf(text));
        return columns[index]?.align === 'right' ? blanks + paint(text, index) : paint(text, index) + blanks;
      })
      .join(GAP)
      .trimEnd();
  const paintCell = options.paintCell ?? ((text: string) => text);
  const left = columns.length - widths.length;
  const lines = [
    line(
      columns.map((column) => column.title),
      (text) => options.paint.bold(text),
    ),
  ];
  for (const [row, cells] of rows.entries()) lines.push(line(cells, (text, column) => paintCell(text, column, row)));
  if (left > 0)
    lines.push(
      options.paint.dim(`(${left} more ${left === 1 ? 'column' : 'columns'}: widen the terminal or use --json)`),
    );
  return lines;
}

/** Widths that fit: shrinks the widest column again and again, then drops columns from the end. */
function fitted(natural: readonly number[], minimum: readonly number[], width: number): readonly number[] {
  const widths = natural.map((value, index) => ({
    width: value,
    least: Math.min(value, minimum[index] ?? DEFAULT_MIN_WIDTH),
  }));
  const total = (): number => widths.reduce((sum, column) => sum + column.width + GAP.length, -GAP.length);
  while (widths.length > 1 && leastTotal(widths) > width) widths.pop();
  while (total() > width) {
    const widest = widths
      .filter((column) => column.width > column.least)
      .sort((left, right) => right.width - left.width)[0];
    if (widest === undefined) break;
    widest.width -= 1;
  }
  return widths.map((column) => Math.min(column.width, width));
}

function leastTotal(widths: readonly {readonly least: number}[]): number {
  return widths.reduce((sum, column) => sum + column.least + GAP.length, -GAP.length);
}
