import type {StructType} from '../core/types.ts';
import type {Engine} from '../engine/engine.ts';
import type {Positions} from './roaring.ts';

/** What SQL needs to know of one file of a `read_parquet` list beside its rows. */
export interface MappedFile {
  /** Path as in the log. */
  readonly path: string;
  /** Texts of the partition columns, in the table's order. */
  readonly partition: readonly (string | null)[];
  /** Rows that are gone, and how many the file was written with; null when all are there. */
  readonly vector: {readonly id: string; readonly positions: Positions; readonly rowCount: number} | null;
}

/** Whose maps are kept together. */
export interface MapScope {
  /** The root of a table, or the root with a purpose. */
  readonly name: string;
  /** All until {@link dropMaps}, not the last few: for one SELECT that is made of many. */
  readonly keepsAll: boolean;
}

interface Kept {
  readonly key: string;
  readonly table: string;
  readonly sizeBytes: number;
}

/** By engine and scope, newest last. */
const KEPT = new WeakMap<Engine, Map<string, Kept[]>>();
const MAX_KEPT = 4;
const MIN_KEPT = 2;
const MAX_KEPT_BYTES = 32 * 1024 * 1024;

/**
 * A table of the engine with a row per file: `f` (index in the list), `path`, `p0`, `p1`, ... (partition texts) and `gone`
 * (a bit per row of the file, 1 = deleted; NULL when none is). The last few of every Delta table are kept, so the SQL that
 * names one stays valid while a batch is applied and fails, rather than lies, long after.
 */
export async function mapFiles(engine: Engine, scope: MapScope, files: readonly MappedFile[]): Promise<string> {
  const kept = keptOf(engine, scope.name);
  const key = JSON.stringify(files.map(({path, partition, vector}) => [path, partition, vector?.id ?? null]));
  const at = kept.findIndex((each) => each.key === key);
  const found = at < 0 ? await writeMap(engine, files, key) : kept.splice(at, 1)[0];
  if (found === undefined) throw new RangeError('A kept file map vanished.');
  kept.push(found);
  if (!scope.keepsAll) await dropOldest(engine, kept);
  return found.table;
}

/** Drops the maps of a scope: SQL that names one of them fails from now on. */
export async function dropMaps(engine: Engine, scopeName: string): Promise<void> {
  for (const {table} of keptOf(engine, scopeName).splice(0)) await engine.dropTable(table);
}

function keptOf(engine: Engine, scopeName: string): Kept[] {
  const byScope = KEPT.get(engine) ?? new Map<string, Kept[]>();
  KEPT.set(engine, byScope);
  const kept = byScope.get(scopeName) ?? [];
  byScope.set(scopeName, kept);
  return kept;
}

async function dropOldest(engine: Engine, kept: Kept[]): Promise<void> {
  const isTooMuch = (): boolean => kept.reduce((sum, each) => sum + each.sizeBytes, 0) > MAX_KEPT_BYTES;
  while (kept.length > MAX_KEPT || (kept.length > MIN_KEPT && isTooMuch())) {
    const oldest = kept.shift();
    if (oldest !== undefined) await engine.dropTable(oldest.table);
  }
}

async function writeMap(engine: Engine, files: readonly MappedFile[], key: string): Promise<Kept> {
  const table = engine.uniqueName('sluice_file_map');
  const partitionCount = files[0]?.partition.length ?? 0;
  const schema = mapSchema(partitionCount);
  await engine.createTable(table, schema);
  const bitmaps = files.map(({vector}) => (vector === null ? null : bitmapOf(vector.positions, vector.rowCount)));
  const appender = await engine.appender(table, schema);
  try {
    appender.append({
      schema,
      rowCount: files.length,
      columns: [
        {kind: 'fixed', data: Int32Array.from(files.keys()), validity: null},
        bytesVector(files.map(({path}) => Buffer.from(path))),
        bytesVector(bitmaps),
        ...Array.from({length: partitionCount}, (_, index) =>
          bytesVector(files.map(({partition}) => textBytes(partition[index] ?? null))),
        ),
      ],
    });
  } finally {
    appender.close();
  }
  return {key, table, sizeBytes: bitmaps.reduce((sum, bitmap) => sum + (bitmap?.length ?? 0), key.length)};
}

function mapSchema(partitionCount: number): StructType {
  const field = (name: string, type: 'integer' | 'string' | 'binary'): StructType['fields'][number] => ({
    name,
    type,
    nullable: true,
    metadata: {},
  });
  const partitions = Array.from({length: partitionCount}, (_, index) => field(`p${index}`, 'string'));
  return {
    type: 'struct',
    fields: [field('f', 'integer'), field('path', 'string'), field('gone', 'binary'), ...partitions],
  };
}

function textBytes(text: string | null): Uint8Array | null {
  return text === null ? null : Buffer.from(text);
}

function bytesVector(values: readonly (Uint8Array | null)[]): {
  readonly kind: 'bytes';
  readonly data: Uint8Array;
  readonly starts: Uint32Array;
  readonly lengths: Uint32Array;
  readonly validity: Uint8Array;
} {
  const validity = new Uint8Array(Math.ceil(values.length / 8));
  const starts = new Uint32Array(values.length);
  const lengths = new Uint32Array(values.length);
  let end = 0;
  values.forEach((value, index) => {
    starts[index] = end;
    lengths[index] = value?.length ?? 0;
    end += value?.length ?? 0;
    if (value !== null) validity[index >> 3] = (validity[index >> 3] ?? 0) | (1 << (index & 7));
  });
  const data = new Uint8Array(end);
  values.forEach((value, index) => {
    if (value !== null) data.set(value, starts[index] ?? 0);
  });
  return {kind: 'bytes', data, starts, lengths, validity};
}

/** A bit per row, the first row in the highest bit of the first byte, as the engine's BIT type has it. */
function bitmapOf(positions: Positions, rowCount: number): Uint8Array {
  const bits = new Uint8Array(Math.max(1, Math.ceil(rowCount / 8)));
  for (const position of positions) bits[position >> 3] = (bits[position >> 3] ?? 0) | (0x80 >> (position & 7));
  return bits;
}
