import type {DataType, StructType} from '../core/types.ts';
import type {LeafStatistics} from '../engine/engine.ts';

/** What goes into the statistics of a data file. */
export interface StatisticsInput {
  readonly rowCount: number;
  readonly leaves: readonly LeafStatistics[];
  /** Schema of the file's columns in the order of the table. */
  readonly schema: StructType;
  /** Leaf columns that get bounds, counted from the first; -1 for all. Delta's default is 32. */
  readonly indexedColumns: number;
}

/** How many leaf columns get bounds where the table does not say. */
export const DEFAULT_INDEXED_COLUMNS = 32;
/** Longer bounds of text are cut: they cost more in every log reader than they save. */
const MAX_BOUND_CHARACTERS = 32;

/**
 * Delta's statistics of a data file as JSON text. Bounds are valid, not always tight: long texts are cut, timestamps have
 * milliseconds (a maximum rounded up), a column with NaN has no maximum. Written by hand since a number of JavaScript would
 * change decimals and large integers.
 */
export function statisticsJson(input: StatisticsInput): string {
  const byPath = new Map(input.leaves.map((leaf) => [pathKey(leaf.path), leaf]));
  const indexed = indexedLeaves(input.schema, input.indexedColumns);
  const pick = (choose: (leaf: LeafStatistics, type: DataType) => string | null): string =>
    nestedJson(input.schema, [], (path, type) => {
      const leaf = byPath.get(pathKey(path));
      return leaf === undefined || !indexed.has(pathKey(path)) ? null : choose(leaf, type);
    }) ?? '{}';
  return (
    `{"numRecords":${input.rowCount}` +
    `,"minValues":${pick((leaf, type) => boundJson(type, leaf.min, 'min'))}` +
    `,"maxValues":${pick((leaf, type) => (leaf.hasNan ? null : boundJson(type, leaf.max, 'max')))}` +
    `,"nullCount":${pick((leaf) => (leaf.nullCount === undefined ? null : String(leaf.nullCount)))}` +
    `,"tightBounds":true}`
  );
}

/** The same statistics for a file that gets a deletion vector: bounds and counts are still those of all its rows. */
export function wideStatistics(stats: string): string {
  const parsed = JSON.parse(stats) as {readonly numRecords?: number; readonly tightBounds?: boolean};
  if (parsed.tightBounds === false) return stats;
  if (parsed.tightBounds === undefined) return stats.replace(/\}\s*$/, ',"tightBounds":false}');
  const parts = stats.split(TIGHT);
  // A column of that name makes the text ambiguous: without bounds it is valid, too.
  return parts.length === 2
    ? parts.join('"tightBounds":false')
    : `{"numRecords":${parsed.numRecords},"tightBounds":false}`;
}

/** Rows that a file has had when written; null when its statistics do not say. */
export function recordCount(stats: string | undefined): number | null {
  if (stats === undefined) return null;
  const quick = /^\{"numRecords":(\d+)[,}]/.exec(stats);
  if (quick !== null) return Number(quick[1]);
  const {numRecords} = parsedStatistics(stats);
  return typeof numRecords === 'number' ? numRecords : null;
}

/** Statistics of any writer as an object; empty when they are no JSON object, which is the same as having none. */
export function parsedStatistics(stats: string): Readonly<Record<string, unknown>> {
  try {
    const parsed: unknown = JSON.parse(stats);
    return typeof parsed === 'object' && parsed !== null ? (parsed as Readonly<Record<string, unknown>>) : {};
  } catch (error) {
    if (error instanceof SyntaxError) return {};
    throw error;
  }
}

const TIGHT = /"tightBounds"\s*:\s*true/g;

function pathKey(path: readonly string[]): string {
  return JSON.stringify(path);
}

/** The first leaves, structs entered; a list or a map counts as one. */
function indexedLeaves(schema: StructType, count: number): ReadonlySet<string> {
  const found: string[] = [];
  const visit = (struct: StructType, parent: readonly string[]): void => {
    for (const field of struct.fields) {
      const path = [...parent, field.name];
      if (isStruct(field.type)) visit(field.type, path);
      else found.push(pathKey(path));
    }
  };
  visit(schema, []);
  return new Set(count < 0 ? found : found.slice(0, count));
}

/** Values of leaves as an object nested as the schema is; null when none has a value. */
function nestedJson(
  schema: StructType,
  parent: readonly string[],
  value: (path: readonly string[], type: DataType) => string | null,
): string | null {
  const parts: string[] = [];
  for (const field of schema.fields) {
    const path = [...parent, field.name];
    const json = isStruct(field.type) ? nestedJson(field.type, path, value) : value(path, field.type);
    if (json !== null) parts.push(`${JSON.stringify(field.name)}:${json}`);
  }
  return parts.length === 0 ? null : `{${parts.join(',')}}`;
}

function isStruct(type: DataType): type is StructType {
  return typeof type === 'object' && type.type === 'struct';
}

type Side = 'min' | 'max';

function boundJson(type: DataType, text: string | undefined, side: Side): string | null {
  if (text === undefined) return null;
  if (typeof type === 'object') return type.type === 'decimal' && DECIMAL.test(text) ? text : null;
  switch (type) {
    case 'long':
    case 'integer':
    case 'short':
    case 'byte':
      return INTEGER.test(text) ? text : null;
    case 'float':
      // All digits of the value itself: the column may become a double, and the bound is still one then.
      return floatJson(Math.fround(Number(text)), side);
    case 'double':
      return floatJson(Number(text), side);
    case 'string':
      return textJson(text, side);
    case 'date':
      return DATE.test(text) ? `"${text}"` : null;
    case 'timestamp':
      return timestampJson(text, side, 'Z');
    case 'timestamp_ntz':
      return timestampJson(text, side, '');
    case 'boolean':
    case 'binary':
    case 'variant':
      return null;
  }
}

const INTEGER = /^-?\d+$/;
const DECIMAL = /^-?(?:0|[1-9]\d*)(?:\.\d+)?$/;
const DATE = /^\d{4}-\d{2}-\d{2}$/;
const TIMESTAMP = /^(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}:\d{2})(?:\.(\d{1,6}))?(?:\+00)?$/;

function floatJson(value: number, side: Side): string | null {
  if (!Number.isFinite(value)) return null;
  // The engine takes both zeros for one; for some readers the negative one is less.
  if (value === 0) return side === 'min' ? '-0.0' : '0.0';
  return JSON.stringify(value);
}

const GREATEST_CHARACTER = '\u{10ffff}';

/** Cuts a bound so that it stays one: a cut maximum ends with the greatest character there is. */
function textJson(text: string, side: Side): string | null {
  const characters = Array.from(text);
  if (characters.length <= MAX_BOUND_CHARACTERS) return JSON.stringify(text);
  const cut = characters.slice(0, MAX_BOUND_CHARACTERS).join('');
  if (side === 'min') return JSON.stringify(cut);
  // Where that character was cut off, the whole text may be above.
  return characters[MAX_BOUND_CHARACTERS] === GREATEST_CHARACTER ? null : JSON.stringify(cut + GREATEST_CHARACTER);
}

function timestampJson(text: string, side: Side, zone: string): string | null {
  const parts = TIMESTAMP.exec(text);
  if (parts === null) return null;
  const fraction = (parts[3] ?? '').padEnd(6, '0');
  const millis = Date.parse(`${parts[1]}T${parts[2]}.${fraction.slice(0, 3)}Z`);
  if (Number.isNaN(millis)) return null;
  const roundUp = side === 'max' && fraction.slice(3) !== '000';
  const iso = new Date(millis + (roundUp ? 1 : 0)).toISOString();
  // Rounding up may leave the four digits that other readers expect.
  return iso.length === 24 ? `"${iso.slice(0, -1)}${zone}"` : null;
}
