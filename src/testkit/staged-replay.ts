import type {LogCodec} from '../sdk/change-log.ts';
import type {Change} from '../sdk/contract.ts';
import {openLogView, markBehindSnapshot} from '../staging/read-log.ts';
import {readChunk, readSnapshot} from '../staging/snapshot-files.ts';
import {loadState, type Staging} from '../staging/staging.ts';
import type {StagedTable, StagingState} from '../staging/state.ts';

/** What staging leads to for a table. */
export interface ReplayedTable {
  /** By the text of the key; the values are rows as the codec gives them. */
  readonly rows: ReadonlyMap<string, unknown>;
  /** Changes that were applied, as `transaction.ordinal`. */
  readonly applied: readonly string[];
}

/** How the rows of a chunk and a change are told. */
export interface ReplayCodec {
  readonly codec: LogCodec;
  rowsOf(bytes: AsyncIterable<Uint8Array>): Promise<readonly {readonly id: number}[]>;
}

/**
 * Replays a table from its snapshot and the sealed log, without a lake: what a pipeline must land. Null while it has to be read anew.
 * @throws Error when a change comes twice or out of order
 */
export async function replayTable(
  staging: Staging,
  name: string,
  how: ReplayCodec,
  known?: StagingState,
): Promise<ReplayedTable | null> {
  const state = known ?? (await loadState(staging));
  const table = state.tables.get(name);
  if (table === undefined || table.snapshot === null || table.reset !== null) return null;
  const {snapshot} = table;
  const rows = new Map<string, unknown>();
  const {chunks, plan} = await readSnapshot(staging, snapshot);
  const tokens = chunks.map(({view}) => view?.token ?? plan.token);
  for (const chunk of chunks) {
    for (const row of await how.rowsOf(readChunk(staging, chunk))) rows.set(String(row.id), row);
  }
  const isSeen = (transaction: string): boolean => tokens.every((token) => how.codec.isVisible(transaction, token));
  const applied = await replayLog(staging, {state, table, how, isSeen}, rows);
  return {rows, applied};
}

interface LogReplay {
  readonly state: StagingState;
  readonly table: StagedTable;
  readonly how: ReplayCodec;
  readonly isSeen: (transaction: string) => boolean;
}

async function replayLog(
  staging: Staging,
  {state, table, how, isSeen}: LogReplay,
  rows: Map<string, unknown>,
): Promise<readonly string[]> {
  const {snapshot} = table;
  if (snapshot === null) return [];
  const mark = markBehindSnapshot(snapshot);
  const view = await openLogView(staging, {state, from: mark.entry});
  const decoder = how.codec.createDecoder(table.table);
  const applied: string[] = [];
  let last = {position: -1n, ordinal: -1};
  for await (const {runs} of view.readTable(table.table.id, mark, new AbortController().signal)) {
    for (const {position, transaction, bytes, frames} of runs) {
      for (const frame of frames) {
        const isLater = position > last.position || (position === last.position && frame.ordinal > last.ordinal);
        if (!isLater) throw new Error(`${transaction}.${frame.ordinal} comes twice or out of order.`);
        last = {position, ordinal: frame.ordinal};
        if (isSeen(transaction)) continue;
        applied.push(`${transaction}.${frame.ordinal}`);
        if (frame.kind === 'truncate') rows.clear();
        if (frame.kind !== 'change') continue;
        const changes: Change[] = [];
        decoder.decode(bytes.subarray(frame.start, frame.end), changes);
        for (const change of changes) applyChange(rows, change);
      }
    }
  }
  return applied;
}

function applyChange(rows: Map<string, unknown>, {op, row, oldKey}: Change): void {
  if (oldKey !== undefined) rows.delete(String(oldKey['id']));
  if (row === undefined) return;
  if (op === 'delete') rows.delete(String(row['id']));
  else rows.set(String(row['id']), row);
}
