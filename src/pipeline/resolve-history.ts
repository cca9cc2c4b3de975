import {IngestError} from '../core/errors.ts';
import {didYouMean} from '../core/suggest.ts';
import {END_COLUMN, START_COLUMN, type DataType, type StructField, type StructType} from '../core/types.ts';
import type {DeltaTable} from '../delta/delta-table.ts';
import type {ResolvedFlow} from './resolved-flow.ts';
import type {ObjectSpec} from './spec.ts';

/** The columns that a flow lands, for messages with the place in the spec. */
export interface SelectedColumns {
  readonly object: ObjectSpec;
  readonly sourceTable: string;
  readonly columns: readonly string[];
}

/**
 * Columns whose change makes a version (SCD type 2), and columns whose NULLs say nothing.
 * @throws UNKNOWN_COLUMN, INVALID_SPEC
 */
export function historyColumns(
  selected: SelectedColumns,
  target: ResolvedFlow['target'],
  keys: readonly string[],
): Pick<ResolvedFlow, 'trackedColumns' | 'ignoreNullColumns'> {
  const {configuration} = selected.object;
  const isKey = new Set(keys);
  const others = selected.columns.filter((name) => !isKey.has(name));
  const named = <T extends readonly string[] | null>(names: T, option: string): T => {
    for (const name of names ?? []) if (!others.includes(name)) throw unknown(selected, name, option);
    return names;
  };
  const only = named(configuration.trackHistoryColumns, 'track_history_column_list');
  const except = named(configuration.trackHistoryExceptColumns, 'track_history_except_column_list');
  if (target !== 'scd2' && (only !== null || except !== null)) {
    throw refused(selected, 'track_history lists are for SCD_TYPE_2', 'Set scd_type: SCD_TYPE_2, or remove the list.');
  }
  const ignored = configuration.ignoreNullUpdates;
  if (target === 'append' && ignored.kind !== 'none')
    throw refused(selected, 'ignore_null_updates is for keyed tables', 'Remove it.');
  if (target === 'scd2' && ignored.kind !== 'none')
    throw refused(selected, 'ignore_null_updates is for SCD_TYPE_1', 'Remove it, or set scd_type: SCD_TYPE_1.');
  return {
    trackedColumns: target === 'scd2' ? (only ?? others.filter((name) => except?.includes(name) !== true)) : [],
    ignoreNullColumns: ignoredColumns(ignored, others, named),
  };
}

function ignoredColumns(
  ignored: ObjectSpec['configuration']['ignoreNullUpdates'],
  others: readonly string[],
  named: (names: readonly string[], option: string) => readonly string[],
): readonly string[] {
  switch (ignored.kind) {
    case 'none':
      return [];
    case 'all':
      return others;
    case 'only':
      return named(ignored.columns, 'ignore_null_updates_column_list');
    case 'except': {
      const except = new Set(named(ignored.columns, 'ignore_null_updates_except_column_list'));
      return others.filter((name) => !except.has(name));
    }
  }
}

/** The table's schema with `__START_AT` and `__END_AT` where versions are kept: of the type of what orders them. */
export function withVersions(
  schema: StructType,
  target: ResolvedFlow['target'],
  sequence: readonly string[],
): StructType {
  if (target !== 'scd2') return schema;
  const type = versionType(schema, sequence);
  const column = (name: string): StructField => ({name, type, nullable: true, metadata: {}});
  return {type: 'struct', fields: [...schema.fields, column(START_COLUMN), column(END_COLUMN)]};
}

/** Of one column its type, of several a struct of them, of none (snapshots) the time of the reading. */
function versionType(schema: StructType, sequence: readonly string[]): DataType {
  const fields = sequence.flatMap((name) => schema.fields.filter((field) => field.name === name));
  const [first] = fields;
  if (first === undefined) return 'timestamp';
  return fields.length === 1 ? first.type : {type: 'struct', fields: fields.map((field) => ({...field, metadata: {}}))};
}

/** @throws INVALID_SPEC when a table keeps versions, and the flow would not go on with them. */
export function refuseToForget(flow: ResolvedFlow, {snapshot}: DeltaTable): void {
  if (flow.target === 'scd2' || !snapshot.schema.fields.some(({name}) => name === START_COLUMN)) return;
  throw new IngestError(
    'INVALID_SPEC',
    `${flow.object.path}: ${flow.name} keeps the history of its rows (SCD_TYPE_2), which another scd_type would lose.`,
    {
      fix: `Set scd_type: SCD_TYPE_2, choose another destination_table, or give the history up: sluice run --full-refresh-tables ${flow.name} --drop-history`,
      context: {path: flow.object.path, table: flow.name},
    },
  );
}

function unknown({object, sourceTable, columns}: SelectedColumns, name: string, option: string): IngestError {
  const close = didYouMean(name, columns);
  return new IngestError(
    'UNKNOWN_COLUMN',
    `${object.path}: ${option} names "${name}", which is no selected column of "${sourceTable}" beside the keys.`,
    {
      fix: close === null ? `Its columns are ${columns.join(', ')}.` : `Did you mean "${close}"?`,
      context: {path: object.path, table: sourceTable, column: name},
    },
  );
}

function refused({object, sourceTable}: SelectedColumns, what: string, fix: string): IngestError {
  return new IngestError('INVALID_SPEC', `${object.path}: table "${sourceTable}": ${what}.`, {
    fix,
    context: {path: object.path, table: sourceTable},
  });
}
