import {isAbsolute} from 'node:path';

import {
  IngestError,
  offsetText,
  type Connector,
  type CreateContext,
  type FileRef,
  type Offset,
  type Page,
  type PlainJson,
  type ReadContext,
} from '../../sdk/index.ts';
import {fileSchema} from './file-schema.ts';
import {listFileTables, listTableFiles, type TableFile} from './file-tables.ts';
import {fileTableOptions, type FileTableOptions} from './options.ts';
import {filesUntil, openFilesVerify} from './verify.ts';

/** Reads tables that are files, folders of files or globs below one folder. */
export function createFilesConnector(context: CreateContext): Connector {
  const base = baseFolder(context);
  const listings = new Map<string, Listing>();
  return {
    listTables: (ctx) => listFileTables(base, fileTableOptions({}), ctx),
    async getTableSchema(table, options, ctx) {
      const resolved = fileTableOptions(options);
      return fileSchema(table, await listTableFiles(base, table, resolved, ctx), resolved, ctx);
    },
    async readTableMetadata(table, options, ctx) {
      const resolved = fileTableOptions(options);
      await listTableFiles(base, table, resolved, ctx);
      // The listing is taken once per trigger: that bounds it.
      return {
        primaryKeys: [],
        ingestionType: resolved.mode,
        bounded: true,
        schemaInferred: true,
        comment: `Files of ${table}`,
      };
    },
    async estimate(table, options, ctx) {
      const files = await listTableFiles(base, table, fileTableOptions(options), ctx);
      return {bytes: files.reduce((sum, {file}) => sum + file.sizeBytes, 0)};
    },
    async openVerify(scope, end, ctx) {
      const files = await listTableFiles(base, scope.table, fileTableOptions(scope.options), ctx);
      return openFilesVerify(filesUntil(files, end), scope, ctx);
    },
    readTable(table, start, options, ctx) {
      const resolved = fileTableOptions(options);
      if (resolved.mode === 'snapshot') return readSnapshot({base, table, options: resolved}, start, ctx);
      return readNewFiles({base, table, options: resolved}, start, {ctx, listings});
    },
  };
}

interface FileTable {
  readonly base: string;
  readonly table: string;
  readonly options: FileTableOptions;
}

/** What a trigger found and has not read yet. */
interface Listing {
  readonly triggerStartedAt: bigint;
  /** Where the read stands that the files are left for. */
  readonly offset: string;
  readonly pending: readonly TableFile[];
  /** Files changed later, in milliseconds since 1970, may be missing. */
  readonly listedAt: number;
}

function baseFolder({options, connectionName}: CreateContext): string {
  const {path} = options;
  if (typeof path === 'string' && isAbsolute(path)) return path;
  throw new IngestError('INVALID_OPTION', `Connection "${connectionName}": the option "path" is no absolute path.`, {
    fix: 'Write the whole path of a folder.',
    context: {connection: connectionName, option: 'path'},
  });
}

/** All files, by path; the offset names the last one taken. */
async function* readSnapshot(
  {base, table, options}: FileTable,
  start: Offset | null,
  ctx: ReadContext,
): AsyncGenerator<Page, Offset | null> {
  const after = start?.['after'];
  const files = await listTableFiles(base, table, options, ctx);
  const left = typeof after === 'string' ? files.filter((file) => file.key > after) : files;
  const taken = takeFiles(left, options, ctx);
  const last = taken.at(-1);
  if (last === undefined) return null;
  const offset = {after: last.key};
  yield {kind: 'files', files: taken.map(refOf), offset};
  return taken.length === left.length ? null : offset;
}

/**
 * Files that the ledger does not know, each once. The ledger's entries count only for the read that began with the
 * offset's `epoch`: one that begins anew takes every file again.
 */
async function* readNewFiles(
  source: FileTable,
  start: Offset | null,
  {ctx, listings}: {readonly ctx: ReadContext; readonly listings: Map<string, Listing>},
): AsyncGenerator<Page, Offset | null> {
  const {options, table} = source;
  const epoch = typeof start?.['epoch'] === 'string' ? start['epoch'] : ctx.triggerStartedAt.toString();
  const known = listings.get(table);
  const isCurrent =
    known !== undefined &&
    known.triggerStartedAt === ctx.triggerStartedAt &&
    known.offset === offsetText(start) &&
    !ctx.isFirstCall;
  const listedAt = isCurrent ? known.listedAt : ctx.clock.nowMs() - options.minAgeSeconds * 1000;
  const pending = isCurrent ? known.pending : await findPending(source, start === null ? null : epoch, ctx);
  const taken = takeFiles(pending, options, ctx);
  if (taken.length === 0) return start;
  const count = typeof start?.['files'] === 'number' ? start['files'] : 0;
  const offset: Offset = {epoch, files: count + taken.length, listed_at: listedAt};
  for (const file of taken) ctx.ledger.put(file.key, stateOf(file, epoch));
  listings.set(table, {
    triggerStartedAt: ctx.triggerStartedAt,
    offset: offsetText(offset),
    pending: pending.slice(taken.length),
    listedAt,
  });
  ctx.progress({note: `${pending.length - taken.length} files remain`});
  yield {kind: 'files', files: taken.map(refOf), offset};
  return offset;
}

/** Files to read: new ones, and changed ones where that is allowed. `epoch` null: all. */
async function findPending(
  {base, table, options}: FileTable,
  epoch: string | null,
  ctx: ReadContext,
): Promise<readonly TableFile[]> {
  const newestMs = ctx.clock.nowMs() - options.minAgeSeconds * 1000;
  const listed = await listTableFiles(base, table, options, ctx);
  const files = options.minAgeSeconds === 0 ? listed : listed.filter(({file}) => file.modifiedAtMs <= newestMs);
  if (epoch === null) return files;
  const known = await ctx.ledger.get(files.map((file) => file.key));
  const changed: string[] = [];
  const pending = files.filter((file) => {
    const entry = known.get(file.key);
    if (entry === undefined || valueOf(entry, 'epoch') !== epoch) return true;
    if (valueOf(entry, 'size') === file.file.sizeBytes && valueOf(entry, 'mtime') === file.file.modifiedAtMs)
      return false;
    changed.push(file.key);
    return options.allowOverwrites;
  });
  if (changed.length > 0 && !options.allowOverwrites) {
    ctx.log.warn('Files changed after they were read; they are not read again unless allow_overwrites is set.', {
      table,
      count: changed.length,
      files: changed.slice(0, 10),
    });
  }
  return pending;
}

/** The first files that make a batch: at least one, up to the limits of count and bytes. */
function takeFiles(files: readonly TableFile[], options: FileTableOptions, ctx: ReadContext): readonly TableFile[] {
  const taken: TableFile[] = [];
  let bytes = 0;
  for (const file of files) {
    bytes += file.file.sizeBytes;
    if (taken.length > 0 && (taken.length >= options.maxFilesPerBatch || bytes > ctx.limits.maxBytes)) break;
    taken.push(file);
  }
  return taken;
}

function refOf({file, options}: TableFile): FileRef {
  return {file, options};
}

function stateOf({file}: TableFile, epoch: string): PlainJson {
  return {size: file.sizeBytes, mtime: file.modifiedAtMs, epoch};
}

function valueOf(entry: PlainJson, name: string): PlainJson | undefined {
  return typeof entry === 'object' && entry !== null && !Array.isArray(entry)
    ? (entry as {readonly [name: string]: PlainJson})[name]
    : undefined;
}
