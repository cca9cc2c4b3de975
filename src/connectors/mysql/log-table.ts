import {createHash} from 'node:crypto';

import type {LogTable} from '../../sdk/index.ts';
import type {TableMap} from '../../wire/binlog/table-map.ts';
import type {HiddenType} from './column-type.ts';
import {typeOfBinlog, typeToJson} from './column-type.ts';

/** Number of a table: the same for the same name, in every process. */
export function tableId(database: string, name: string): number {
  return createHash('sha256').update(`${database}\0${name}`).digest().readUInt32LE(0);
}

/** A table as the log describes it. @param hidden types that the log does not tell, by column. */
export function logTableOf(map: TableMap, hidden: ReadonlyMap<string, HiddenType>): LogTable {
  const key = new Set(map.key);
  return {
    id: tableId(map.database, map.name),
    namespace: [map.database],
    name: map.name,
    identity: map.key.length > 0 ? 'key' : 'full',
    columns: map.columns.map((column, place) => ({
      name: column.name,
      type: typeToJson(typeOfBinlog(column, hidden.get(column.name) ?? null)),
      isKey: key.has(place),
      isNullable: column.isNullable,
    })),
  };
}
