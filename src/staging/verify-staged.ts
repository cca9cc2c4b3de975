import {createCoercer} from '../core/coerce.ts';
import {IngestError} from '../core/errors.ts';
import type {JsonObject} from '../core/json-value.ts';
import type {StructType} from '../core/types.ts';
import {canonicalCell} from '../sdk/canonical.ts';
import type {LogCodec, LogTable} from '../sdk/change-log.ts';
import type {CallContext, Change, VerifyPoint, VerifyScope} from '../sdk/contract.ts';
import type {LogMark, LogView} from './read-log.ts';

/** Keys at a time. */
const KEYS_AT_ONCE = 4096;

/** What changed in the log behind a flow's end. */
export interface LogBehind {
  readonly log: LogView;
  readonly codec: LogCodec;
  readonly table: LogTable;
  readonly mark: LogMark;
}

/**
 * A view of the database as it is now, for a table that ends earlier: the keys that the log names in between are touched, so that the
 * comparison says nothing about them.
 */
export function withLogBehind(point: VerifyPoint, scope: VerifyScope, behind: LogBehind): VerifyPoint {
  return {
    token: point.token,
    excluded: point.excluded,
    exact: false,
    sums: (ctx) => point.sums(ctx),
    keys: (buckets, ctx) => point.keys(buckets, ctx),
    columnHashes: (keys, ctx) => point.columnHashes(keys, ctx),
    ...(point.misfits === undefined
      ? {}
      : {misfits: (ctx: CallContext) => point.misfits?.(ctx) ?? Promise.resolve(new Map())}),
    touched: (_buckets, ctx) => touchedKeys(scope, behind, ctx),
    [Symbol.asyncDispose]: () => point[Symbol.asyncDispose](),
  };
}

async function* touchedKeys(
  scope: VerifyScope,
  {log, codec, table, mark}: LogBehind,
  ctx: CallContext,
): AsyncGenerator<readonly (readonly (string | null)[])[], void> {
  const texts = keyTexts(scope);
  let rows: JsonObject[] = [];
  for await (const found of log.readTable(table.id, mark, ctx.signal)) {
    const decoder = codec.createDecoder(found.table ?? table);
    for (const {bytes, frames} of found.runs) {
      for (const frame of frames) {
        if (frame.kind === 'schema') decoder.describe(frame.table);
        if (frame.kind === 'truncate') throw emptied(scope.table);
        if (frame.kind !== 'change') continue;
        const changes: Change[] = [];
        decoder.decode(bytes.subarray(frame.start, frame.end), changes);
        for (const {row, oldKey} of changes) for (const one of [row, oldKey]) if (one !== undefined) rows.push(one);
        if (rows.length < KEYS_AT_ONCE) continue;
        yield texts(rows);
        rows = [];
      }
    }
  }
  if (rows.length > 0) yield texts(rows);
}

/** The canonical texts of the keys of rows. */
function keyTexts(scope: VerifyScope): (rows: readonly JsonObject[]) => readonly (readonly (string | null)[])[] {
  const columns = scope.keys.flatMap((key) => scope.columns.find(({name}) => name === key) ?? []);
  const schema: StructType = {
    type: 'struct',
    fields: columns.map(({name, type}) => ({name, type, nullable: true, metadata: {}})),
  };
  return (rows) => {
    const coercer = createCoercer(schema, {rescue: false, capacity: Math.max(1, rows.length)});
    for (const row of rows) coercer.add(row);
    const {batch} = coercer.take();
    return Array.from({length: batch.rowCount}, (_, row) =>
      columns.map(({type}, index) => {
        const vector = batch.columns[index];
        return vector === undefined ? null : canonicalCell(vector, row, type);
      }),
    );
  };
}

function emptied(table: string): IngestError {
  return new IngestError(
    'SOURCE_ERROR',
    `Table "${table}" was truncated since the last run: there is nothing to compare.`,
    {
      fix: 'Run the pipeline, then verify again.',
      context: {table},
    },
  );
}
