import {rowsOf, type Cell} from '../core/cells.ts';
import {createCoercer} from '../core/coerce.ts';
import type {JsonObject, JsonValue} from '../core/json-value.ts';
import type {ResolvedFlow} from '../pipeline/resolved-flow.ts';
import type {Change} from '../sdk/contract.ts';
import {ProofFailure} from './proof-failure.ts';
import {coerceRecords, proofRow, type ProofRow, type ProofRows} from './proof-rows.ts';

/** A page of changes as rows and deletes, each with the sequence of its change. */
export interface ProofChanges {
  readonly records: readonly JsonObject[];
  readonly taken: ProofRows;
  readonly gone: readonly ProofRow[];
}

/**
 * Takes a page of changes. A sequence (of each change, or columns of its row) says what is newer, so that rows and deletes need
 * not stay in the order in which they came.
 * @throws ProofFailure for truncates, partial rows, keys that change, and changes without a sequence.
 */
export function coerceChanges(flow: ResolvedFlow, changes: readonly Change[]): ProofChanges {
  checkKinds(flow, changes);
  if (flow.changes?.sequence === null) return orderedByColumns(flow, changes);
  const sequences = coerceSequences(flow, changes);
  const sequenceOf = (change: Change): readonly Cell[] => [sequences.get(change) ?? null];
  const upserts = changes.filter((change) => change.op === 'upsert');
  const records = upserts.map((change) => change.row ?? {});
  const taken = coerceRecords(flow, records, 'rows');
  const isWhole = taken.rows.length === upserts.length;
  const rows = isWhole ? taken.rows.map((row, index) => withSequence(row, upserts[index], sequenceOf)) : taken.rows;
  const gone = changes
    .filter((change) => change.op === 'delete')
    .map((change) => ({...keyRow(flow, change.row ?? change.oldKey ?? {}), sequence: sequenceOf(change)}));
  return {records, taken: {...taken, rows}, gone};
}

function orderedByColumns(flow: ResolvedFlow, changes: readonly Change[]): ProofChanges {
  const rowsOfKind = (kind: Change['op']): readonly JsonObject[] =>
    changes.filter(({op}) => op === kind).map(({row = {}}) => row);
  const records = rowsOfKind('upsert');
  const gone = coerceRecords(flow, rowsOfKind('delete'), 'deletes');
  if (gone.quarantined.length > 0) throw deleteWithoutKey();
  return {records, taken: coerceRecords(flow, records, 'rows'), gone: gone.rows};
}

function withSequence(
  row: ProofRow,
  change: Change | undefined,
  sequenceOf: (change: Change) => readonly Cell[],
): ProofRow {
  return change === undefined ? row : {...row, sequence: sequenceOf(change)};
}

function checkKinds({changes: declared, sequence, sourceTable}: ResolvedFlow, changes: readonly Change[]): void {
  const isWhole = changes.every(
    ({op, unchanged = [], oldKey}) =>
      op !== 'truncate' && unchanged.length === 0 && (op === 'delete' || oldKey === undefined),
  );
  if (isWhole && declared !== null && (declared.sequence !== null || sequence.length > 0)) return;
  throw new ProofFailure({
    expected: `changes of "${sourceTable}" with a declared sequence or a cursor field: whole rows and deletes`,
    came: 'a truncate, a partial row, a changed key, or changes without a sequence',
    fix: 'The proof in memory knows whole rows only; exclude this case and rely on the one that runs into a lake.',
  });
}

function coerceSequences({changes: declared}: ResolvedFlow, changes: readonly Change[]): ReadonlyMap<Change, Cell> {
  const type = declared?.sequence ?? 'long';
  const field = {name: 'sequence', type, nullable: false, metadata: {}};
  const coercer = createCoercer(
    {type: 'struct', fields: [field]},
    {keys: ['sequence'], rescue: false, capacity: Math.max(changes.length, 1)},
  );
  for (const {sequence} of changes) coercer.add({sequence: (sequence ?? null) as JsonValue});
  const {batch, quarantined} = coercer.take();
  if (quarantined.length > 0) {
    throw new ProofFailure({
      expected: 'sequences of the type that readTableMetadata declares',
      came: `${quarantined.length} of another type`,
      fix: 'Correct changes.sequence, or the sequences.',
    });
  }
  return new Map(
    rowsOf(batch)
      .map((cells, index) => [changes[index], cells['sequence'] ?? null] as const)
      .filter(isGiven),
  );
}

function isGiven(entry: readonly [Change | undefined, Cell]): entry is readonly [Change, Cell] {
  return entry[0] !== undefined;
}

function keyRow(flow: ResolvedFlow, record: JsonObject): ProofRow {
  const fields = flow.landingSchema.fields.filter((field) => flow.keys.includes(field.name));
  const coercer = createCoercer({type: 'struct', fields}, {keys: flow.keys, rescue: false, capacity: 1});
  coercer.add(Object.fromEntries(flow.keys.map((key) => [key, record[key] ?? null])));
  const [cells] = rowsOf(coercer.take().batch);
  if (cells === undefined) throw deleteWithoutKey();
  return proofRow(flow, cells);
}

function deleteWithoutKey(): ProofFailure {
  return new ProofFailure({
    expected: 'deletes with their key and what orders them',
    came: 'one without',
    fix: 'Give every delete the key in `row` or `oldKey`, and the cursor field in `row` when nothing else orders changes.',
  });
}
