import type {SourceTable} from './catalog.ts';
import {numberOf, textOf} from './catalog.ts';
import {lsnOfBytes} from './log-mark.ts';
import type {Cell, Session} from './session.ts';

const LOOKING = {what: 'look for captured changes'};

/** A capture instance of a table. */
export interface CaptureInstance {
  /** Number of the source table. */
  readonly source: number;
  /** Number of the table that holds the changes. */
  readonly changeTable: number;
  /** Name of that table in the schema cdc. */
  readonly tableName: string;
  readonly name: string;
  /** Changes behind it are in the instance. */
  readonly startLsn: bigint;
  /** Changes before it have been cleaned up. */
  readonly minLsn: bigint;
  /** Column number in the source table to place in the update mask, from 1. */
  readonly ordinals: ReadonlyMap<number, number>;
}

const MAX_LSN = `select sys.fn_cdc_get_max_lsn()`;

/** The newest LSN that the capture job has read; null before its first, or without change data capture. */
export async function maxLsn(session: Session): Promise<bigint | null> {
  const [row] = await session.query(MAX_LSN, LOOKING);
  const lsn = row?.[0];
  return Buffer.isBuffer(lsn) ? lsnOfBytes(lsn) : null;
}

const IS_ENABLED = `select convert(int, d.is_cdc_enabled) from sys.databases as d where d.database_id = db_id()`;

/** Whether change data capture of the database is on. */
export async function isCaptureEnabled(session: Session): Promise<boolean> {
  const [row] = await session.query(IS_ENABLED, LOOKING);
  return numberOf(row?.[0]) === 1;
}

/** The capture instances of tables, older ones first. */
export async function readInstances(session: Session, tables: readonly number[]): Promise<readonly CaptureInstance[]> {
  if (tables.length === 0) return [];
  const rows = await session.query(
    `select t.source_object_id, t.object_id, object_name(t.object_id), t.capture_instance, t.start_lsn, sys.fn_cdc_get_min_lsn(t.capture_instance)
 from cdc.change_tables as t where t.source_object_id in (${tables.join(', ')}) order by t.source_object_id, t.start_lsn, t.object_id`,
    LOOKING,
  );
  if (rows.length === 0) return [];
  const captured = await session.query(
    `select k.object_id, k.column_id, k.column_ordinal from cdc.captured_columns as k
 where k.object_id in (${rows.map(([, object]) => numberOf(object)).join(', ')}) order by k.object_id, k.column_ordinal`,
    LOOKING,
  );
  return rows.map(([source, object, tableName, name, start, least]) => ({
    source: numberOf(source),
    changeTable: numberOf(object),
    tableName: textOf(tableName),
    name: textOf(name),
    startLsn: lsnOf(start),
    minLsn: lsnOf(least),
    ordinals: new Map(
      captured
        .filter(([owner]) => numberOf(owner) === numberOf(object))
        .map(([, column, ordinal]) => [numberOf(column), numberOf(ordinal)]),
    ),
  }));
}

/** The columns of a table that an instance captures. Those that the server computes are NULL in its changes. */
export function capturedTable(table: SourceTable, {ordinals}: Pick<CaptureInstance, 'ordinals'>): SourceTable {
  const columns = table.columns.filter(({id, isComputed}) => ordinals.has(id) && !isComputed);
  const names = new Set(columns.map(({name}) => name));
  const isKeyed = table.primaryKey.every((name) => names.has(name));
  return {...table, columns, primaryKey: isKeyed ? table.primaryKey : [], keys: isKeyed ? table.keys : []};
}

/** The instance that has the changes behind a mark, and where the next one takes over. */
export function instanceAt(
  instances: readonly CaptureInstance[],
  from: bigint,
): {readonly instance: CaptureInstance | null; readonly until: bigint | null} {
  const started = instances.findLastIndex(({startLsn}) => startLsn <= from);
  const place = Math.max(started, 0);
  return {instance: instances[place] ?? null, until: instances[place + 1]?.startLsn ?? null};
}

/** An LSN in a cell; 0 for none. */
export function lsnOf(cell: Cell | undefined): bigint {
  return Buffer.isBuffer(cell) ? lsnOfBytes(cell) : 0n;
}
