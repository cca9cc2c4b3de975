import type {AddFile, RemoveFile} from '../delta/actions.ts';
import type {Deletions} from '../delta/delta-table.ts';
import {hasFeature} from '../delta/features.ts';
import type {BatchContext} from './batch-context.ts';
import {liveRows} from './batch-context.ts';

const TARGET_FILE_BYTES = 128 * 1024 * 1024;

/** Files that become live and files that cease to be. */
export interface FileChange {
  readonly adds: readonly AddFile[];
  readonly removes: readonly RemoveFile[];
}

/** True when rows can be taken away without rewriting their file. */
export function hasVectors(context: BatchContext): boolean {
  const {protocol, metadata} = context.table.snapshot;
  return hasFeature(protocol, 'deletionVectors') && metadata.configuration['delta.enableDeletionVectors'] === 'true';
}

/**
 * Takes the rows at the places of a work table away and adds those of `upserts` (null: none): by deletion vectors where
 * the table has them, else by writing the touched files anew, together with the rows to add.
 */
export async function replaceRows(context: BatchContext, touched: string, upserts: string | null): Promise<FileChange> {
  if (hasVectors(context)) {
    const places = await readPlaces(context, touched);
    const gone =
      places.size === 0 ? {adds: [], removes: []} : await context.table.writeDeletions(places, context.signal);
    return {
      adds: [...gone.adds, ...(upserts === null ? [] : await writeRows(context, upserts))],
      removes: gone.removes,
    };
  }
  const files = (await context.work.query(context.sql.touchedFiles(touched))).map((row) => String(row['file']));
  if (files.length === 0) return {adds: upserts === null ? [] : await writeRows(context, upserts), removes: []};
  const adds: AddFile[] = [];
  for (const [at, group] of groups(files.map((path) => liveFile(context, path))).entries()) {
    const survivors = context.sql.survivors(await liveRows(context, {files: group.map((file) => file.path)}), touched);
    adds.push(
      ...(await writeRows(context, upserts === null || at > 0 ? survivors : `${survivors} UNION ALL ${upserts}`)),
    );
  }
  return {adds, removes: files.map((file) => context.table.removeOf(liveFile(context, file)))};
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

/** Places by file, ascending. Four bytes per row: the only per-row memory outside of the engine. */
async function readPlaces(context: BatchContext, touched: string): Promise<Deletions> {
  const places = new Map<string, Uint32Array>();
  let file: string | null = null;
  let growing = new GrowingPositions();
  for await (const rows of context.delta.engine.stream(context.sql.places(touched), context.signal)) {
    for (const row of rows) {
      if (row['file'] !== file) {
        if (file !== null) places.set(file, growing.taken());
        file = String(row['file']);
        growing = new GrowingPositions();
      }
      growing.add(Number(row['pos']));
    }
  }
  if (file !== null) places.set(file, growing.taken());
  return places;
}

class GrowingPositions {
  #values = new Uint32Array(1024);
  #count = 0;

  add(position: number): void {
    // A row that two stored keys matched comes twice, side by side.
    if (this.#count > 0 && this.#values[this.#count - 1] === position) return;
    if (this.#count === this.#values.length) {
      const larger = new Uint32Array(this.#count * 2);
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.#count] = position;
    this.#count += 1;
  }

  taken(): Uint32Array {
    return this.#values.subarray(0, this.#count);
  }
}
