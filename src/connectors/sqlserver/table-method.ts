import type {CaptureInstance} from './capture-instances.ts';
import {capturedTable, isCaptureEnabled, readInstances} from './capture-instances.ts';
import type {CatalogColumn, CatalogOptions, SourceTable} from './catalog.ts';
import {numberOf, primaryKeyOf, readColumns, textOf} from './catalog.ts';
import type {ChangeMethod, WantedMethod} from './log-mark.ts';
import type {Cell, Session} from './session.ts';

const LOOKING = {what: 'look how tables tell their changes'};

/** What decides by which method a table is followed, at one moment. */
export interface TableState {
  /** Null when it is not there. */
  readonly table: SourceTable | null;
  /** The oldest version from which change tracking can go on; null while it is off, or the user may not see it. */
  readonly oldestVersion: bigint | null;
  /** Older ones first; only of tables that change tracking cannot tell, unless all are to be followed by change data capture. */
  readonly instances: readonly CaptureInstance[];
}

/** What states are read with. */
export interface StateOptions extends CatalogOptions {
  readonly changeMethod: WantedMethod;
}

/** The states of tables by their numbers. @param instancesOf reads capture instances of a database that has change data capture on */
export async function readTableStates(
  session: Session,
  tables: readonly number[],
  options: StateOptions,
  instancesOf: typeof readInstances = readInstances,
): Promise<ReadonlyMap<number, TableState>> {
  if (tables.length === 0) return new Map();
  const rows = await session.query(stateSql(tables), LOOKING);
  const columns = await readColumns(session, tables, options);
  const found = new Map(
    rows.map((row) => {
      const id = numberOf(row[0]);
      const oldest = row[3] ?? null;
      const oldestVersion = oldest === null ? null : BigInt(textOf(oldest));
      return [id, {table: tableOf(row, columns.get(id) ?? []), oldestVersion, instances: []}] as const;
    }),
  );
  const {changeMethod: wanted} = options;
  const others = [...found].filter(([, state]) => wanted === 'cdc' || whyNotTracked(state) !== null).map(([id]) => id);
  const isAsked = wanted !== 'change_tracking' && others.length > 0 && (await isCaptureEnabled(session));
  const instances = isAsked ? await instancesOf(session, others) : [];
  return new Map(
    tables.map((id) => {
      const state = found.get(id) ?? {table: null, oldestVersion: null};
      return [id, {...state, instances: instances.filter(({source}) => source === id)}];
    }),
  );
}

function stateSql(objects: readonly number[]): string {
  return `select o.object_id, schema_name(o.schema_id), o.name, convert(varchar(20), change_tracking_min_valid_version(o.object_id))
 from sys.objects as o where o.object_id in (${objects.join(', ')}) order by o.object_id`;
}

function tableOf([id, schema, name]: readonly Cell[], columns: readonly CatalogColumn[]): SourceTable {
  const primaryKey = primaryKeyOf(columns);
  return {
    id: numberOf(id),
    schema: textOf(schema),
    name: textOf(name),
    kind: 'table',
    columns,
    keys: primaryKey,
    primaryKey,
    estimatedRows: null,
  };
}

/** The method of a table, or why it has none. Change tracking is preferred: it costs the source less, and needs no job that runs. */
export function methodOf(
  state: TableState,
  wanted: WantedMethod,
): {readonly method: ChangeMethod; readonly why: string | null} | {readonly method: null; readonly why: string} {
  const {table, instances} = state;
  if (table === null) return {method: null, why: 'the table is not there any more'};
  const notTracked = whyNotTracked(state);
  if (wanted !== 'cdc' && notTracked === null) return {method: 'change_tracking', why: null};
  if (wanted === 'change_tracking') return {method: null, why: notTracked ?? ''};
  if (instances.length > 0) return {method: 'cdc', why: wanted === 'cdc' ? null : notTracked};
  const notCaptured = 'it has no capture instance';
  return {
    method: null,
    why: wanted === 'cdc' || notTracked === null ? notCaptured : `${notTracked}, and ${notCaptured}`,
  };
}

/** Why change tracking does not tell the changes of a table; null when it does. */
export function whyNotTracked({table, oldestVersion}: Pick<TableState, 'table' | 'oldestVersion'>): string | null {
  if (table?.primaryKey.length === 0) return 'it has no primary key';
  return oldestVersion === null ? 'change tracking of the table is off' : null;
}

/** The columns that the changes of a table have: of captured ones those of the newest instance. */
export function asFollowed(table: SourceTable, {instances}: TableState, method: ChangeMethod | null): SourceTable {
  const newest = instances.at(-1);
  return method === 'cdc' && newest !== undefined ? capturedTable(table, newest) : table;
}
