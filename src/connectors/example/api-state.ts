import {existsSync, readFileSync, renameSync, statSync, writeFileSync} from 'node:fs';

import {IngestError, type PlainJson} from '../../sdk/index.ts';
import {seedTables, type SeedOptions} from './seed-data.ts';

/** A row of the API: plain JSON. */
export type ApiRow = {readonly [name: string]: PlainJson};

/** Everything that the API knows. */
export interface ApiData {
  readonly formatVersion: 1;
  readonly tables: {readonly [table: string]: readonly ApiRow[]};
  /** Tombstones of orders. */
  readonly deletedOrders: readonly ApiRow[];
}

/** Keeps the data of one API. Reads see every write that was made before, also of other processes when there is a file. */
export interface ApiState {
  read(): ApiData;
  write(data: ApiData): void;
  /** What happens to the next calls of this process, first ones first. */
  planned: PlannedFault | null;
}

/** Calls that fail: the first `after` still work, then `times` in a row answer with `status`. */
export interface PlannedFault {
  readonly status: number;
  readonly after: number;
  readonly times: number;
}

/** Data in memory, made from a seed. */
export function memoryState(seed: SeedOptions): ApiState {
  let data = seededData(seed);
  return {
    read: () => data,
    write: (next) => {
      data = next;
    },
    planned: null,
  };
}

/**
 * Data in a JSON file, made from a seed when there is none. Writes replace the file whole; two processes that write at
 * the same time may lose one of the writes.
 * @throws INVALID_OPTION when the file holds something else.
 */
export function fileState(path: string, seed: SeedOptions): ApiState {
  let cached: {readonly stamp: string; readonly data: ApiData} | null = null;
  const save = (data: ApiData): void => {
    const temporary = `${path}.${process.pid}.tmp`;
    writeFileSync(temporary, JSON.stringify(data));
    renameSync(temporary, path);
    cached = {stamp: stampOf(path), data};
  };
  if (!existsSync(path)) save(seededData(seed));
  return {
    read: () => {
      const stamp = stampOf(path);
      if (cached === null || cached.stamp !== stamp) cached = {stamp, data: parseData(path)};
      return cached.data;
    },
    write: save,
    planned: null,
  };
}

function seededData(seed: SeedOptions): ApiData {
  return {formatVersion: 1, tables: seedTables(seed), deletedOrders: []};
}

/** Changes with every write: each makes a new file. */
function stampOf(path: string): string {
  const {ino, mtimeMs, size} = statSync(path);
  return `${ino} ${mtimeMs} ${size}`;
}

function parseData(path: string): ApiData {
  const data = JSON.parse(readFileSync(path, 'utf8')) as Partial<ApiData> | null;
  if (data?.formatVersion === 1 && data.tables !== undefined && data.deletedOrders !== undefined)
    return data as ApiData;
  throw new IngestError('INVALID_OPTION', `"${path}" holds no data of the example API.`, {
    fix: 'Name a file that does not exist yet in the connection option "state_file".',
    context: {path},
  });
}
