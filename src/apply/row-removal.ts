import type {AddCdcFile, AddFile, RemoveFile} from '../delta/actions.ts';
import type {Deletions} from '../delta/delta-table.ts';
import {hasFeature} from '../delta/features.ts';
import type {BatchContext} from './batch-context.ts';
import {liveRows} from './batch-context.ts';
import {changeFiles, tellsChanges} from './change-data.ts';

const TARGET_FILE_BYTES = 128 * 1024 * 1024;

/** Files that become live and files that cease to be. */
export interface FileChange {
  readonly adds: readonly AddFile[];
  readonly removes: readonly RemoveFile[];
}

/** {@link FileChange}, and the same for readers of changes. */
export interface ToldChange extends FileChange {
  /** Empty where the table keeps no change data feed, and where rows are only added, which readers see by themselves. */
  readonly cdc: readonly AddCdcFile[];
}

/** True when rows can be taken away without rewriting their file. */
export function hasVectors(context: BatchContext): boolean {
  const {protocol, metadata} = context.table.snapshot;
  return hasFeature(protocol, 'deletionVectors') && metadata.configuration['delta.enableDeletionVectors'] === 'true';
}

/** What goes with the rows of {@link replaceRows}. */
export interface WithRows {
  /** Rows that the caller's commit adds by files that are there already, as a SELECT: the change data names them, too. */
  readonly staged?: string | null;
  /** Live files that go whole; none of their rows is touched. */
  readonly gone?: readonly AddFile[];
}

/**
 * Takes the rows at the places of `touched` away and adds those of `upserts` (null: none): by deletion vectors where
 * the table has them, else by writing the touched files anew, together with the rows to add.
 */
export async function replaceRows(
  context: BatchContext,
  touched: string,
  upserts: string | null,
  {staged = null, gone = []}: WithRows = {},
): Promise<ToldChange> {
  const removes = gone.map((file) => context.table.removeOf(file));
  if (!tellsChanges(context)) return {...withRemoves(await replaced(context, touched, upserts), removes), cdc: []};
  // Written twice, worked out once.
  const rows = upserts === null ? null : `SELECT * FROM ${await context.work.keep(upserts)}`;
  const change = withRemoves(await replaced(context, touched, rows), removes);
  if (change.removes.length === 0) return {...change, cdc: []};
  const all = gone.length === 0 ? touched : await withPlacesOf(context, touched, gone);
  const come = [rows, staged].filter((select) => select !== null);
  return {...change, cdc: await changeFiles(context, all, come.length === 0 ? null : come.join(' UNION ALL '))};
}

async function withPlacesOf(context: BatchContext, touched: string, files: readonly AddFile[]): Promise<string> {
  const {sql, work} = context;
  const rows = await liveRows(context, {columns: sql.deleteSchema, files: files.map((file) => file.path)});
  return work.keep(`${sql.placesOf(`SELECT * FROM ${touched}`)} UNION ALL ${sql.placesOf(rows)}`);
}

function withRemoves(change: FileChange, removes: readonly RemoveFile[]): FileChange {
  return removes.length === 0 ? change : {...change, removes: [...change.removes, ...removes]};
}

async function replaced(context: BatchContext, touched: string, upserts: string | null): Promise<FileChange> {
  if (!hasVectors(context)) return rewriteFiles(context, touched, upserts);
  // Side by side: one is our work, the other the engine's. Both end before either's error is told.
  const [gone, written] = await Promise.allSettled([
    deleteRows(context, touched),
    upserts === null ? [] : writeRows(context, upserts),
  ]);
  if (gone.status === 'rejected') throw gone.reason;
  if (written.status === 'rejected') throw written.reason;
  return {adds: [...gone.value.adds, ...written.value], removes: gone.value.removes};
}

async function deleteRows(context: BatchContext, touched: string): Promise<FileChange> {
  const places = await readPlaces(context, touched);
  return places.size === 0 ? {adds: [], removes: []} : context.table.writeDeletions(places, context.signal);
}

async function rewriteFiles(context: BatchContext, touched: string, upserts: string | null): Promise<FileChange> {
  const files = (await context.work.query(context.sql.touchedFiles(touched))).map((row) =>
    liveFile(context, String(row['file'])),
  );
  if (files.length === 0) return {adds: upserts === null ? [] : await writeRows(context, upserts), removes: []};
  const adds: AddFile[] = [];
  for (const [at, group] of groups(files).entries()) {
    const survivors = context.sql.survivors(await liveRows(context, {files: group.map((file) => file.path)}), touched);
    const select = upserts === null || at > 0 ? survivors : `${survivors} UNION ALL ${upserts}`;
    adds.push(...(await writeRows(context, select)));
  }
  return {adds, removes: files.map((file) => context.table.removeOf(file))};
}

/** Files that are written anew as one: small ones grow together, large ones stay apart so that later batches touch less. */
function groups(files: readonly AddFile[]): readonly (readonly AddFile[])[] {
  const found: AddFile[][] = [];
  let sizeBytes = Number.POSITIVE_INFINITY;
  for (const file of files) {
    if (sizeBytes + file.size > TARGET_FILE_BYTES) {
      found.push([]);
      sizeBytes = 0;
    }
    found.at(-1)?.push(file);
    sizeBytes += file.size;
  }
  return found;
}

/** Writes the rows of a SELECT as data files with the job's schema. */
export async function writeRows(context: BatchContext, select: string): Promise<readonly AddFile[]> {
  return context.table.writeFiles({select, schema: context.job.schema}, context.signal);
}

function liveFile(context: BatchContext, path: string): AddFile {
  const file = context.table.snapshot.files.get(path);
  if (file === undefined) throw new Error(`File ${path} is not live in ${context.table.root}.`);
  return file;
}

/** Positions by file, ascending, each once. Four bytes per row: the only memory per row outside of the engine. */
async function readPlaces(context: BatchContext, touched: string): Promise<Deletions> {
  const files = (await context.work.query(context.sql.touchedFiles(touched))).map((row) => ({
    path: String(row['file']),
    count: Number(row['n']),
  }));
  const all = new Uint32Array(files.reduce((sum, file) => sum + file.count, 0));
  let at = 0;
  for await (const rows of context.delta.engine.stream(context.sql.positions(touched), context.signal)) {
    for (const row of rows) {
      all[at] = row['pos'] as number;
      at += 1;
    }
  }
  let start = 0;
  return new Map(
    files.map(({path, count}) => {
      start += count;
      return [path, withoutRepeats(all.subarray(start - count, start))];
    }),
  );
}

/** A source that breaks its word on unique keys makes a row match several times: its position comes side by side. */
function withoutRepeats(ascending: Uint32Array): Uint32Array {
  return ascending.every((position, at) => at === 0 || position !== ascending[at - 1])
    ? ascending
    : ascending.filter((position, at) => at === 0 || position !== ascending[at - 1]);
}
