import {IngestError} from '../core/errors.ts';
import {fieldAt, landedType} from '../core/schema.ts';
import {
  CHANGE_TYPE_COLUMN,
  SEQUENCE_COLUMN,
  type StructField,
  type StructType,
  UNCHANGED_COLUMN,
} from '../core/types.ts';
import type {TableMetadata} from '../sdk/contract.ts';
import type {ChangeSource, ResolvedFlow} from './resolved-flow.ts';
import type {ObjectSpec} from './spec.ts';

/** A source table, for messages with the place in the spec. */
export interface ChangedTable {
  readonly object: ObjectSpec;
  readonly sourceTable: string;
  readonly sourceSchema: StructType;
}

/**
 * What the table's pages of changes bring; null when it has none.
 * @throws CONTRACT_VIOLATION for a table that gives its deletes in another way as well, or is read as a whole.
 */
export function changeSource(table: ChangedTable, {changes, ingestionType}: TableMetadata): ChangeSource | null {
  if (changes === undefined) return null;
  if (ingestionType === 'cdc' || ingestionType === 'append') {
    return {
      sequence: changes.sequence === undefined ? null : landedType(changes.sequence),
      isOrdered: changes.ordered === true,
    };
  }
  throw new IngestError(
    'CONTRACT_VIOLATION',
    `Table "${table.sourceTable}" declares changes and is "${ingestionType}": changes bring their own deletes and are no snapshot.`,
    {fix: 'Correct readTableMetadata: tables with changes are cdc or append.', context: {table: table.sourceTable}},
  );
}

/** Where the sequence of a flow is kept. */
export interface StoredSequence {
  /** Columns of the table. */
  readonly columns: readonly string[];
  /** Paths in the source that land as `_sluice_sequence`; empty where its own columns hold it, or where changes bring it. */
  readonly hidden: readonly string[];
  /** The technical column, where the table needs one. */
  readonly extra: StructField | null;
}

/** In its own columns when they land as they are, else in a technical one: of several paths a struct. */
export function storedSequence(
  {sourceSchema}: ChangedTable,
  sequence: readonly string[],
  given: {readonly selected: ReadonlySet<string>; readonly changes: ChangeSource | null},
): StoredSequence {
  const {selected, changes} = given;
  const technical = (type: StructField['type']): StructField => ({
    name: SEQUENCE_COLUMN,
    type,
    nullable: true,
    metadata: {},
  });
  if (sequence.length === 0) {
    const type = changes?.sequence ?? null;
    if (type === null) return {columns: [], hidden: [], extra: null};
    return {columns: [SEQUENCE_COLUMN], hidden: [], extra: technical(type)};
  }
  if (sequence.every((name) => selected.has(name))) return {columns: sequence, hidden: [], extra: null};
  const fields = sequence.flatMap((path) => {
    const field = fieldAt(sourceSchema, path);
    return field === undefined ? [] : [{...field, name: fieldName(path), nullable: true, metadata: {}}];
  });
  const [first] = fields;
  const type = fields.length === 1 && first !== undefined ? first.type : ({type: 'struct', fields} as const);
  return {columns: [SEQUENCE_COLUMN], hidden: sequence, extra: technical(type)};
}

/** A path as the name of a field of `_sluice_sequence`. */
export function fieldName(path: string): string {
  return path.replaceAll('.', '_');
}

/** Technical columns of a table that keeps every change as a row. */
export function changeColumns(
  target: ResolvedFlow['target'],
  ingestionType: ResolvedFlow['ingestionType'],
  changes: ChangeSource | null,
): readonly StructField[] {
  if (target !== 'append' || (changes === null && ingestionType !== 'cdc_with_deletes')) return [];
  const kind: StructField = {name: CHANGE_TYPE_COLUMN, type: 'string', nullable: true, metadata: {}};
  if (changes === null) return [kind];
  const list = {type: 'array', elementType: 'string', containsNull: true} as const;
  return [kind, {name: UNCHANGED_COLUMN, type: list, nullable: true, metadata: {}}];
}

/**
 * True when an event may come after a newer delete of its key. Sources that are read by the column that orders them give
 * each row as it is now; lists of events give them as they come.
 */
export function needsTombstones(
  flow: Pick<ResolvedFlow, 'target' | 'ingestionType' | 'configuration' | 'cursorField'>,
  changes: ChangeSource | null,
): boolean {
  const {target, ingestionType, configuration, cursorField} = flow;
  if (target === 'append') return false;
  if (target === 'scd2' || ingestionType === 'cdc_with_deletes') return true;
  if (changes !== null) return !changes.isOrdered;
  const {sequenceBy, deletionCondition, rowFilter} = configuration;
  if (deletionCondition === null && rowFilter === null) return false;
  const isByCursor = sequenceBy.length === 0 || (sequenceBy.length === 1 && sequenceBy[0] === cursorField);
  return ingestionType === 'append' || (ingestionType === 'cdc' && !isByCursor);
}
