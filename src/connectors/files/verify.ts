import {
  formatTimestamp,
  IngestError,
  verifyRowsPoint,
  type CallContext,
  type Offset,
  type VerifyColumn,
  type VerifyPoint,
  type VerifyRow,
  type VerifyScope,
} from '../../sdk/index.ts';
import type {TableFile} from './file-tables.ts';
import {rawRecords, type RawRecord} from './raw-records.ts';
import {NESTED_TEXT, rawCell} from './raw-values.ts';

/** Which part of the files the flow has seen. */
export function filesUntil(files: readonly TableFile[], end: Offset | null): readonly TableFile[] {
  const listedAt = end?.['listed_at'];
  return typeof listedAt === 'number' ? files.filter(({file}) => file.modifiedAtMs <= listedAt) : files;
}

/**
 * Reads CSV and JSON files again, with readers of its own. Parquet files are read by the engine, as the point's
 * token says: there the comparison proves what was written, not how it was read.
 * @throws UNSUPPORTED with predicates, and for files whose text is broken.
 */
export async function openFilesVerify(
  files: readonly TableFile[],
  scope: VerifyScope,
  ctx: CallContext,
): Promise<VerifyPoint> {
  if (scope.filter !== undefined || scope.deleted !== undefined) {
    throw new IngestError('UNSUPPORTED', 'Files with a row_filter or deletion_condition cannot be compared.');
  }
  const newest = files.reduce((latest, {file}) => Math.max(latest, file.modifiedAtMs), 0);
  const token = `${files.length} files, the newest of ${formatTimestamp(BigInt(Math.floor(newest)) * 1000n)}`;
  if (files.some(({options}) => options.format === 'parquet')) {
    const point = await ctx.files.openVerify?.(
      files.map(({file, options}) => ({file, options})),
      scope,
    );
    if (point !== undefined) return point;
    throw new IngestError('UNSUPPORTED', 'Nothing but the engine can read Parquet files here.');
  }
  const nested = await nestedTextColumns(files, scope, ctx);
  const columns = scope.columns.filter(({name}) => !nested.includes(name));
  return verifyRowsPoint(scope, {
    token,
    excluded: nested.map((name) => ({name, reason: 'the files hold nested values in a column of text'})),
    rows: (during) => rowsOf(files, columns, during),
  });
}

async function* rowsOf(
  files: readonly TableFile[],
  columns: readonly VerifyColumn[],
  ctx: CallContext,
): AsyncGenerator<readonly VerifyRow[], void> {
  for (const {file, options} of files) {
    for await (const records of rawRecords(file.path, options)) {
      ctx.signal.throwIfAborted();
      yield records.map((record) => rowOf(record, columns));
    }
  }
}

function rowOf(record: RawRecord, columns: readonly VerifyColumn[]): VerifyRow {
  const misfits: string[] = [];
  const cells = columns.map(({name, type}) => {
    const cell = rawCell(record.at(name), type);
    if (cell === NESTED_TEXT) {
      throw new IngestError('UNSUPPORTED', `Column "${name}" holds nested values since the comparison began.`);
    }
    if (cell.isMisfit) misfits.push(name);
    return cell.text;
  });
  return {cells, misfits};
}

/** Columns of text in which JSON files have objects or lists. */
async function nestedTextColumns(
  files: readonly TableFile[],
  {columns}: VerifyScope,
  ctx: CallContext,
): Promise<readonly string[]> {
  const texts = columns.filter(({type}) => type === 'string' || type === 'variant');
  const found = new Set<string>();
  for (const {file, options} of texts.length === 0 ? [] : files) {
    if (options.format !== 'json') continue;
    ctx.signal.throwIfAborted();
    for await (const records of rawRecords(file.path, options)) {
      for (const {name, type} of texts) {
        if (records.some((record) => rawCell(record.at(name), type) === NESTED_TEXT)) found.add(name);
      }
    }
  }
  return [...found];
}
