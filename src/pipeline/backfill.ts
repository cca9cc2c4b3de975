import type {ApplyJob} from '../apply/apply-engine.ts';
import {IngestError} from '../core/errors.ts';
import {offsetsEqual, type Offset, type PlainJson} from '../core/offset.ts';
import {didYouMean} from '../core/suggest.ts';
import type {BatchFile, FlowOffset} from '../delta/batch-file.ts';
import type {Ledger} from '../sdk/contract.ts';
import {createLoopGuard} from '../sdk/loop-guard.ts';
import type {BatchReader, ReadBatch} from './batch-reader.ts';
import {sourceName} from './column-names.ts';
import type {WaitingColumns} from './evolve-table.ts';
import type {ResolvedFlow} from './resolved-flow.ts';
import type {FlowNote} from './services.ts';

/** Note of a batch: how far a back-fill is, as JSON text. Batches between two runs of it repeat it. */
export const BACKFILL_NOTE = 'backfill';

/** What the trigger that a back-fill belongs to does for it. */
export interface BackfillRun {
  /** In the table's terms. */
  readonly flow: ResolvedFlow;
  /** As the table knows them. */
  readonly waiting: WaitingColumns;
  /** The flow's last batch. */
  readonly batch: BatchFile;
  /** Microseconds since 1970. */
  readonly triggerStartedAt: bigint;
  /** Reads the rows of the source, without deletes, from any offset. */
  readonly reader: BatchReader;
  /** Commits a batch that leaves the flow's offset where it is. */
  readonly apply: (batch: ReadBatch, at: FlowOffset, extra: Partial<ApplyJob>) => Promise<void>;
  readonly note: (level: 'INFO' | 'WARN', code: string, message: string) => void;
}

/** How far a back-fill is. */
interface BackfillState {
  readonly request: string;
  /** Rows up to here have their values; null: none. */
  readonly offset: Offset | null;
}

/**
 * Reads the source once more from its beginning and merges its rows: a stored row of the same sequence takes the values that
 * it lacks, newer ones come early, older ones change nothing. Every batch is one commit that says how far the back-fill is,
 * so that the next run goes on from there.
 */
export async function backfill(run: BackfillRun): Promise<void> {
  const {flow, batch} = run;
  const {columns, request} = run.waiting;
  let offset = resumedAt(batch, request);
  run.note(
    'INFO',
    'BACKFILL',
    `Rows of ${flow.name} are read again to fill ${columns.join(', ')}${offset === null ? '' : ', from where that stopped'}.`,
  );
  const guard = createLoopGuard(flow.sourceTable);
  let rows = 0;
  for (let isFirst = true; ; isFirst = false) {
    const read = await run.reader.read({rows: offset, deletes: null}, isFirst);
    await using _ = read.landings;
    const {end, cut, maxCursor} = read.batch;
    const moved = !offsetsEqual(end.rows, offset);
    guard.check({rows: offset}, {rows: end.rows});
    const last = read.whole || !moved || (!cut && maxCursor !== null && maxCursor >= run.triggerStartedAt);
    rows += read.batch.rows;
    if (read.batch.rows > 0 || moved) {
      const state: BackfillState = {request, offset: end.rows};
      await run.apply({...read.batch, maxCursor: null, end: batch.end}, batch.end, {
        // The values belong to the versions that are there: they begin no new ones.
        trackedColumns: flow.trackedColumns.filter((name) => !columns.includes(name)),
        notes: {[BACKFILL_NOTE]: JSON.stringify(state)},
      });
    }
    offset = end.rows;
    if (last) break;
  }
  run.note('INFO', 'BACKFILLED', `${rows} rows were read again: ${columns.join(', ')} of ${flow.name} are filled.`);
}

/** A ledger of a read that nothing remembers: its rows are merged, wherever it begins again. */
export function passingLedger(): Ledger {
  const known = new Map<string, PlainJson>();
  return {
    get: (keys) =>
      Promise.resolve(
        new Map(keys.flatMap((key): [string, PlainJson][] => (known.has(key) ? [[key, known.get(key) ?? null]] : []))),
      ),
    put: (key, value) => {
      known.set(key, value);
    },
  };
}

/** Why the rows of a flow cannot be merged once more; null: they can. */
export function unfillable({target, changes, sequence, keepTombstones}: ResolvedFlow): string | null {
  if (target === 'append') return 'it is append-only, its rows stay as they came';
  const isRepeatable = changes?.isOrdered !== true || (sequence.length > 0 && keepTombstones);
  return isRepeatable
    ? null
    : 'its changes come in their order, and read again the older ones would undo the newer ones';
}

/**
 * The columns that a user names, as the table knows them.
 * @throws UNKNOWN_COLUMN; INVALID_OPTION for a table whose rows cannot be merged once more.
 */
export function backfillRequested(flow: ResolvedFlow, names: readonly string[]): readonly string[] {
  if (names.length === 0) return [];
  const reason = unfillable(flow);
  if (reason !== null) {
    throw new IngestError('INVALID_OPTION', `${flow.name} cannot be back-filled: ${reason}.`, {
      fix: `Read the table anew: sluice run --full-refresh-tables ${flow.name}`,
      context: {table: flow.name},
    });
  }
  const columns = flow.tableSchema.fields.map(({name}) => name);
  return names.map((name) => {
    const column = columns.find((each) => each === name) ?? columns.find((each) => sourceName(flow, each) === name);
    if (column !== undefined) return column;
    const close = didYouMean(name, columns);
    throw new IngestError('UNKNOWN_COLUMN', `--backfill names "${name}", which ${flow.name} does not take.`, {
      fix: close === null ? `Its columns are ${columns.join(', ')}.` : `Did you mean "${close}"?`,
      context: {table: flow.name, column: name},
    });
  });
}

/** Says that new columns are not filled, though the configuration asks for it. */
export function notFilled(
  flow: ResolvedFlow,
  {columns, reason}: {readonly columns: readonly string[]; readonly reason: string},
): Pick<FlowNote, 'level' | 'code' | 'message'> {
  return {
    level: 'WARN',
    code: 'NOT_BACKFILLED',
    message: `${columns.join(', ')} of ${flow.name} are NULL in the rows that are there, backfill_new_columns or not: ${reason}.`,
  };
}

function resumedAt(batch: BatchFile, request: string): Offset | null {
  const text = batch.notes[BACKFILL_NOTE];
  if (typeof text !== 'string') return null;
  const state = JSON.parse(text) as BackfillState;
  return state.request === request ? state.offset : null;
}
