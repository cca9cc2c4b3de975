import {IngestError} from '../core/errors.ts';
import type {AddFile} from '../delta/actions.ts';
import {storedNameOf} from '../delta/stored-name.ts';
import type {ApplyInput} from './apply-engine.ts';
import type {BatchContext} from './batch-context.ts';
import type {EventSource} from './merge-sql.ts';

/** The events of a batch: inputs first, then deletes, which arrived after them. */
export async function eventSources(context: BatchContext): Promise<readonly EventSource[]> {
  const {inputs, deletes} = context.job;
  const sources: EventSource[] = [];
  for (const input of inputs) sources.push(await eventSource(context, input, false));
  for (const input of deletes) sources.push(await eventSource(context, input, true));
  return sources;
}

/** One input with the names of its columns. Deletes are kept, because what finds them may be costly and they are read often. */
export async function eventSource(context: BatchContext, input: ApplyInput, isDelete: boolean): Promise<EventSource> {
  if (input.kind === 'relation')
    return described(
      context,
      isDelete ? `SELECT * FROM ${await context.work.keep(input.select)}` : input.select,
      isDelete,
    );
  return parquetSource(
    context,
    input.files.map((file) => storedNameOf(context.delta.store, context.table.root, file.path)),
    isDelete,
  );
}

/** Parquet files under the store, in order, as a source: arrival is their order and that of their rows. */
export async function parquetSource(
  context: BatchContext,
  names: readonly string[],
  isDelete: boolean,
): Promise<EventSource> {
  return described(context, await parquetSelect(context, names), isDelete);
}

/** The staged files of a batch. */
export function stagedFiles(inputs: readonly ApplyInput[]): readonly AddFile[] {
  return inputs.flatMap((input) => (input.kind === 'staged' ? input.files : []));
}

/** The sources of a batch that are no staged files. */
export function relationsOf(inputs: readonly ApplyInput[]): readonly ApplyInput[] {
  return inputs.filter((input) => input.kind === 'relation');
}

async function parquetSelect(context: BatchContext, names: readonly string[]): Promise<string> {
  const rows = await context.table.looseFilesSql(names, context.job.schema);
  return `SELECT * EXCLUDE (file_index, file_row_number), file_index * ${FILE_STRIDE} + file_row_number AS __ord FROM (${rows}) AS loose`;
}

/** More rows than a file can have. */
const FILE_STRIDE = '1099511627776';

async function described(context: BatchContext, select: string, isDelete: boolean): Promise<EventSource> {
  const rows = await context.work.query(`DESCRIBE ${select}`);
  const columns = new Set(rows.map((row) => String(row['column_name'])));
  const missing = isDelete ? context.sql.deleteSchema.fields.filter((field) => !columns.has(field.name)) : [];
  if (missing.length > 0) {
    const names = missing.map((field) => `"${field.name}"`).join(', ');
    throw new IngestError('CONTRACT_VIOLATION', `The deletes of ${context.table.root} lack ${names}.`, {
      fix: 'Give every delete its key and its sequence.',
      context: {table: context.table.root},
    });
  }
  return {select, columns, isDelete};
}
