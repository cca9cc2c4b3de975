import {createHash} from 'node:crypto';

import {IngestError} from '../core/errors.ts';
import {typeToDdl} from '../core/schema-ddl.ts';
import {SEQUENCE_COLUMN} from '../core/types.ts';
import type {BatchFile} from '../delta/batch-file.ts';
import {landedName} from './column-names.ts';
import type {ResolvedFlow} from './resolved-flow.ts';

type Notes = BatchFile['notes'];

/** Which column the rows of an append-only flow are told apart by, beside the keys; null where nothing tells them apart. */
export function appendCursorOf(flow: ResolvedFlow): string | null {
  const {cursorField, keys, tableSchema, target, changes} = flow;
  if (target !== 'append' || keys.length === 0) return null;
  if (changes !== null && changes.sequence !== null) return SEQUENCE_COLUMN;
  if (cursorField === null) return null;
  const cursor = landedName(flow, cursorField);
  return tableSchema.fields.some((field) => field.name === cursor) ? cursor : null;
}

/**
 * What a batch notes of how its rows were read, for the runs after it: what tells rows apart, what chooses them, and, for
 * rows that are held aside, everything that one snapshot must be read with.
 */
export function notesOf(flow: ResolvedFlow, isHeld: boolean): Notes {
  return {told_apart_by: toldApartBy(flow), chosen_by: chosenBy(flow), ...(isHeld ? {read_as: readAs(flow)} : {})};
}

/** True when rows that were held aside can be gone on with: they were read as the flow reads now. */
export function isReadAlike(flow: ResolvedFlow, notes: Notes): boolean {
  return notes['read_as'] === readAs(flow);
}

/** True when the rows that are there were chosen by another filter. */
export function isChosenOtherwise(flow: ResolvedFlow, notes: Notes): boolean {
  const before = notes['chosen_by'];
  return before !== undefined && before !== chosenBy(flow);
}

/**
 * Checks that new rows meet the stored ones by what these were told apart by.
 * @throws INVALID_SPEC when keys or sequence are others now.
 */
export function checkToldApart(flow: ResolvedFlow, notes: Notes): void {
  const before = notes['told_apart_by'];
  const now = toldApartBy(flow);
  if (
    before === undefined ||
    before === now ||
    formerly(flow).includes(String(before)) ||
    (before === NOTHING && flow.target === 'append')
  )
    return;
  throw new IngestError(
    'INVALID_SPEC',
    `${flow.object.path}: the rows of ${flow.name} are told apart by ${String(before)}, and would be by ${now} now.`,
    {
      fix: `Take the change of keys, sequence or columns back, or read the table anew: sluice run --full-refresh-tables ${flow.name}`,
      context: {path: flow.object.path, table: flow.name},
    },
  );
}

const NOTHING = 'nothing';

function toldApartBy(flow: ResolvedFlow): string {
  const {keys, sequence, hiddenSequence, target} = flow;
  const cursor = appendCursorOf(flow);
  if (target === 'append') return cursor === null ? NOTHING : `keys ${listOf(keys)} and cursor ${listOf([cursor])}`;
  return `keys ${listOf(keys)} and sequence ${listOf(hiddenSequence.length === 0 ? sequence : hiddenSequence.map((path) => `${path} (hidden)`))}`;
}

/** What {@link toldApartBy} said before columns were renamed, once or several times. */
function formerly(flow: ResolvedFlow): readonly string[] {
  const {renamedColumns} = flow.configuration;
  const texts: string[] = [];
  let then = flow;
  for (let hop = 0; hop < Object.keys(renamedColumns).length; hop++) {
    const former = (name: string): string => renamedColumns[name] ?? name;
    then = {
      ...then,
      keys: then.keys.map(former),
      sequence: then.sequence.map(former),
      cursorField: then.cursorField === null ? null : former(then.cursorField),
      tableSchema: {
        ...then.tableSchema,
        fields: then.tableSchema.fields.map((field) => ({...field, name: former(field.name)})),
      },
    };
    texts.push(toldApartBy(then));
  }
  return texts;
}

function listOf(names: readonly string[]): string {
  return names.length === 0 ? 'none' : names.map((name) => JSON.stringify(name)).join(', ');
}

function chosenBy(flow: ResolvedFlow): string | null {
  const {rowFilter, deletionCondition, applyAsTruncates} = flow.configuration;
  if (rowFilter === null && deletionCondition === null && applyAsTruncates === null) return null;
  return JSON.stringify({rowFilter, deletionCondition, ...(applyAsTruncates === null ? {} : {applyAsTruncates})});
}

/** Limits of a batch do not matter to what is read. */
const LIMITS: ReadonlySet<string> = new Set(['max_records_per_batch', 'max_files_per_batch']);

function readAs(flow: ResolvedFlow): string {
  const options = Object.entries(flow.options).filter(([name]) => !LIMITS.has(name));
  const columns = [flow.landingSchema, flow.tableSchema].map((schema) =>
    schema.fields.map((field) => [field.name, typeToDdl(field.type)]),
  );
  const all = [
    flow.sourceTable,
    flow.ingestionType,
    flow.target,
    toldApartBy(flow),
    chosenBy(flow),
    columns,
    ...(flow.ignoreNullColumns.length === 0 ? [] : [flow.ignoreNullColumns]),
    options.sort(([left], [right]) => (left < right ? -1 : 1)),
  ];
  return createHash('sha256').update(JSON.stringify(all)).digest('hex');
}
