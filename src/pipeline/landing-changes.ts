import {IngestError} from '../core/errors.ts';
import {stringifyJson} from '../core/json-reader.ts';
import type {JsonObject, JsonValue} from '../core/json-value.ts';
import {predicateColumns} from '../core/predicate.ts';
import {SEQUENCE_COLUMN, type StructField, type StructType} from '../core/types.ts';
import {quoteIdentifier, sqlType} from '../engine/sql-types.ts';
import type {Change} from '../sdk/contract.ts';
import {landedName, sourceName} from './column-names.ts';
import {columnOf, landedPredicateSql} from './column-path.ts';
import type {ResolvedFlow} from './resolved-flow.ts';

/** How the changes of a table land: as rows with a few more columns. */
export interface ChangeShape {
  readonly table: string;
  /** The columns beside those of rows: the operation, what it leaves, the key before, and the sequence that changes bring. */
  readonly fields: readonly StructField[];
  readonly hasSequence: boolean;
  readonly isOrdered: boolean;
  /** The key, by the source's names. */
  readonly keys: readonly string[];
  /** Columns, by the source's names, without which nothing can be decided about a change. */
  readonly decisive: readonly string[];
  /** Names under which columns land. */
  readonly columnNames: ResolvedFlow['columnNames'];
}

/** The kind of change: `upsert`, `insert`, `delete`, `truncate`; NULL for rows that came as records. */
export const OP_COLUMN = '__op';
/** Names of the columns that a change leaves. */
export const LEFT_COLUMN = '__unchanged';
/** The key before a change that made it another one. */
export const OLD_KEY_COLUMN = '__old_key';

/** How the changes of a flow's table land; null when it has none. */
export function changeShape(flow: ResolvedFlow): ChangeShape | null {
  const {changes, landingSchema, columnNames} = flow;
  if (changes === null) return null;
  const keys = flow.keys.map((key) => sourceName(flow, key));
  const keyFields = landingSchema.fields
    .filter((field) => keys.includes(field.name))
    .map((field) => ({...field, name: landedName(flow, field.name), nullable: true}));
  const predicates = [flow.rowFilter, flow.deletionCondition, flow.truncateCondition];
  const decisive = predicates.flatMap((predicate) => (predicate === null ? [] : predicateColumns(predicate)));
  const sequence = flow.configuration.sequenceBy;
  return {
    table: flow.sourceTable,
    fields: [
      column(OP_COLUMN, 'string'),
      column(LEFT_COLUMN, {type: 'array', elementType: 'string', containsNull: true}),
      ...(keyFields.length === 0 ? [] : [column(OLD_KEY_COLUMN, {type: 'struct', fields: keyFields})]),
      ...(changes.sequence === null ? [] : [column(SEQUENCE_COLUMN, changes.sequence)]),
    ],
    hasSequence: changes.sequence !== null,
    isOrdered: changes.isOrdered,
    keys,
    decisive: [...new Set([...decisive, ...sequence].map((path) => columnOf(landingSchema, path)))],
    columnNames,
  };
}

/** How rows of partitions land, none of which is a change: beside their columns they have their sequence and nothing else. */
export function withoutChanges(shape: ChangeShape | null): ChangeShape | null {
  if (shape === null) return null;
  return {...shape, fields: shape.fields.filter(({name}) => name === SEQUENCE_COLUMN), hasSequence: false};
}

/** Rows that landed as {@link withoutChanges} says, with the columns that changes have. */
export function besideRows(flow: ResolvedFlow, select: string): string {
  const missing = (changeShape(flow)?.fields ?? []).filter(({name}) => name !== SEQUENCE_COLUMN);
  if (missing.length === 0) return select;
  const columns = missing.map(({name, type}) => `CAST(NULL AS ${sqlType(type)}) AS ${quoteIdentifier(name)}`);
  return `SELECT *, ${columns.join(', ')} FROM (${select}) AS of_partitions`;
}

/**
 * A change as the record that lands, and the columns of changes beside it. The row is copied only where the change leaves columns out.
 * @throws CONTRACT_VIOLATION for a change that is not what the table declares; BAD_RECORD when it leaves a column that decides about it.
 */
export function changeRecord(
  change: Change,
  shape: ChangeShape,
): {readonly record: JsonObject; readonly beside: JsonObject} {
  const {op, unchanged = NONE} = change;
  checkChange(change, shape);
  const row = (op === 'delete' ? (change.row ?? change.oldKey) : change.row) ?? {};
  const oldKey = op === 'upsert' ? changedKey(change, row, shape) : null;
  const hasLeft = op === 'upsert' && unchanged.length > 0;
  return {
    record:
      op === 'truncate' ? {} : hasLeft ? {...row, ...Object.fromEntries(unchanged.map((name) => [name, null]))} : row,
    beside: {
      [OP_COLUMN]: op === 'upsert' && change.isInsert === true ? 'insert' : op,
      [LEFT_COLUMN]: hasLeft ? unchanged.map((name) => landedName(shape, name)) : null,
      [OLD_KEY_COLUMN]: oldKey,
      [SEQUENCE_COLUMN]: (change.sequence ?? null) as JsonValue,
    },
  };
}

/** What is true of landed rows that need no key: truncates; null when there are none. */
export function keylessSql(flow: ResolvedFlow): string | null {
  const parts = [
    ...(flow.changes === null ? [] : [`coalesce(${OP_COLUMN} = 'truncate', false)`]),
    ...(flow.truncateCondition === null
      ? []
      : [`coalesce(${landedPredicateSql(flow, flow.truncateCondition)}, false)`]),
  ];
  return parts.length === 0 ? null : `(${parts.join(' OR ')})`;
}

const NONE: readonly string[] = [];

function checkChange({op, row, unchanged = NONE, sequence}: Change, shape: ChangeShape): void {
  const given = sequence !== undefined && sequence !== null;
  if (given !== shape.hasSequence) {
    throw violation(
      shape,
      given ? 'gave a change a sequence and declares none' : 'gave a change no sequence and declares one',
      'Declare changes.sequence in readTableMetadata exactly when every change has a sequence.',
    );
  }
  if (op === 'upsert' && row === undefined)
    throw violation(shape, 'gave an upsert without a row', 'Give upserts their row.');
  if (unchanged.length > 0 && !shape.isOrdered) {
    throw violation(
      shape,
      'left columns out of a change, and its changes may come in any order',
      'Declare changes.ordered in readTableMetadata where that is so, or give whole rows.',
    );
  }
  if (op !== 'upsert' || unchanged.length === 0) return;
  const missing = shape.decisive.find((name) => unchanged.includes(name));
  if (missing === undefined) return;
  throw new IngestError(
    'BAD_RECORD',
    `A change of table "${shape.table}" leaves "${missing}" out, which row_filter, deletion_condition, apply_as_truncates or sequence_by needs.`,
    {
      fix: 'Let the source write whole rows to its log (PostgreSQL: ALTER TABLE ... REPLICA IDENTITY FULL), or take the column out of the conditions.',
      context: {table: shape.table, column: missing},
    },
  );
}

function changedKey({oldKey}: Change, row: JsonObject, {keys, columnNames}: ChangeShape): JsonObject | null {
  if (oldKey === undefined) return null;
  const textOf = (value: JsonValue | undefined): string => stringifyJson(value ?? null);
  const isSame = keys.every((key) => oldKey[key] === undefined || textOf(oldKey[key]) === textOf(row[key]));
  if (isSame) return null;
  return Object.fromEntries(keys.map((key) => [landedName({columnNames}, key), oldKey[key] ?? row[key]]));
}

function violation({table}: ChangeShape, what: string, fix: string): IngestError {
  return new IngestError('CONTRACT_VIOLATION', `Table "${table}" ${what}.`, {fix, context: {table}});
}

function column(name: string, type: StructField['type'] | StructType): StructField {
  return {name, type, nullable: true, metadata: {}};
}
