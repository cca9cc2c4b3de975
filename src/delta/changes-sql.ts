import {IngestError} from '../core/errors.ts';
import {CHANGE_TYPE_COLUMN} from '../core/types.ts';
import {quoteIdentifier, quoteLiteral} from '../engine/sql-types.ts';
import type {AddCdcFile, AddFile, RemoveFile} from './actions.ts';
import {COMMIT_TIMESTAMP_COLUMN, COMMIT_VERSION_COLUMN, withChangeType} from './change-files.ts';
import type {Commit} from './commit-file.ts';
import {readCommit} from './commit-file.ts';
import {commitTimes} from './commit-times.ts';
import type {DeltaContext, DeltaTable, ReadOptions, TableSnapshot} from './delta-table.ts';
import {hasChangeFeed} from './features.ts';
import type {MapScope} from './file-map.ts';
import {dropMaps} from './file-map.ts';
import {readSql} from './read-sql.ts';
import {vectorId} from './replay.ts';

/** A file of a commit whose rows are changes of one kind. */
interface ChangedFile {
  readonly add: AddFile;
  readonly version: number;
  readonly timestampMs: number;
}

/** A file of which a commit took rows away or gave rows back, by another deletion vector. */
interface RevisedFile {
  readonly before: ChangedFile;
  readonly after: ChangedFile;
}

/** What commits did, by how it is to be read. */
interface Changes {
  /** Files with a column that says what became of each row. */
  readonly told: ChangedFile[];
  readonly inserted: ChangedFile[];
  readonly deleted: ChangedFile[];
  readonly revised: RevisedFile[];
}

interface Reading {
  readonly context: DeltaContext;
  readonly root: string;
  /** The end of the range: rows come with its columns. */
  readonly end: TableSnapshot;
  readonly maps: MapScope;
}

const READ_AHEAD = 16;

/**
 * What the commits of a range did to the rows, as a SELECT: see `DeltaTable.changesSql`. It is good until the next call for
 * the same table.
 */
export async function changesSql(
  context: DeltaContext,
  table: DeltaTable,
  range: {readonly from: number; readonly to?: number},
): Promise<string> {
  const {root} = table;
  const to = range.to ?? table.snapshot.version;
  checkRange(table, range.from, to);
  const start = await table.snapshotAt(range.from);
  const end = await table.snapshotAt(to);
  if (!hasChangeFeed(start)) throw noFeed(root, range.from);
  const changes = await collectChanges(context, table, {start, end});
  const maps = {name: `${root} changes`, keepsAll: true};
  await dropMaps(context.engine, maps.name);
  const reading: Reading = {context, root, end, maps};
  const selects = [
    ...(await fileSelects(reading, changes.told, null)),
    ...(await fileSelects(reading, changes.inserted, 'insert')),
    ...(await fileSelects(reading, changes.deleted, 'delete')),
    ...(await revisedSelects(reading, changes.revised)),
  ];
  return selects.length === 0 ? nothing(reading) : selects.join(' UNION ALL ');
}

function checkRange({root, snapshot}: DeltaTable, from: number, to: number): void {
  if (from >= 0 && from <= to && to <= snapshot.version) return;
  throw new IngestError(
    'INVALID_OPTION',
    `Table ${root} has no versions ${from} to ${to}: the newest is ${snapshot.version}.`,
    {
      fix: 'Give a range of versions that are there; both ends belong to it.',
      context: {table: root, from, to},
    },
  );
}

function noFeed(root: string, version: number): IngestError {
  return new IngestError('UNSUPPORTED', `Table ${root} kept no record of changes in version ${version}.`, {
    fix: 'Ask for versions since the table property delta.enableChangeDataFeed is true; it can be set when the table is made.',
    context: {table: root, version},
  });
}

async function collectChanges(
  context: DeltaContext,
  {root}: DeltaTable,
  range: {readonly start: TableSnapshot; readonly end: TableSnapshot},
): Promise<Changes> {
  const {start, end} = range;
  const times = await commitTimes(context, root, {snapshot: end, from: start.version});
  const changes: Changes = {told: [], inserted: [], deleted: [], revised: []};
  for (let version = start.version; version <= end.version; version += READ_AHEAD) {
    const versions = Array.from({length: Math.min(READ_AHEAD, end.version - version + 1)}, (_, at) => version + at);
    const commits = await Promise.all(
      versions.map((each) => readCommit({store: context.store, clock: context.clock, root}, each)),
    );
    for (const [at, commit] of commits.entries()) {
      if (commit === null) throw gone(root, version + at);
      checkFeed(root, commit, end);
      addChanges(changes, commit, times.of(commit));
    }
  }
  return changes;
}

function gone(root: string, version: number): IngestError {
  return new IngestError('NOT_A_DELTA_TABLE', `Table ${root} has no log of version ${version} any more.`, {
    fix: 'Ask for newer versions; old ones go when the log is cleaned up (delta.logRetentionDuration).',
    context: {table: root, version},
  });
}

/** @throws UNSUPPORTED when the commit switches the feed off: what came after is not known. */
function checkFeed(root: string, {version, actions}: Commit, {protocol}: TableSnapshot): void {
  for (const action of actions)
    if ('metaData' in action && !hasChangeFeed({protocol, metadata: action.metaData})) throw noFeed(root, version);
}

/** Where a commit has change data files they tell all of it; else its other files do, without those that only move rows. */
function addChanges(changes: Changes, {version, actions}: Commit, timestampMs: number): void {
  const place = {version, timestampMs};
  const cdc = actions.flatMap((action) => ('cdc' in action ? [action.cdc] : []));
  if (cdc.length > 0) {
    changes.told.push(...cdc.map((file) => ({...place, add: readable(file)})));
    return;
  }
  const removes = new Map<string, RemoveFile>();
  for (const action of actions)
    if ('remove' in action && action.remove.dataChange) removes.set(action.remove.path, action.remove);
  for (const action of actions) {
    if (!('add' in action) || !action.add.dataChange) continue;
    const {add} = action;
    const before = removes.get(add.path);
    removes.delete(add.path);
    if (before === undefined) changes.inserted.push({...place, add});
    else if (vectorId(before.deletionVector) !== vectorId(add.deletionVector))
      changes.revised.push({before: {...place, add: readable(before, add)}, after: {...place, add}});
  }
  changes.deleted.push(...[...removes.values()].map((file) => ({...place, add: readable(file)})));
}

/** A file as the reader of live ones wants it; of the same file, `other` may know more. */
function readable(file: AddCdcFile | RemoveFile, other?: AddFile): AddFile {
  const stats = ('stats' in file ? file.stats : undefined) ?? other?.stats;
  return {
    path: file.path,
    partitionValues: file.partitionValues ?? other?.partitionValues ?? {},
    size: file.size ?? 0,
    modificationTime: 0,
    dataChange: true,
    ...(stats === undefined ? {} : {stats}),
    ...('deletionVector' in file && file.deletionVector !== undefined ? {deletionVector: file.deletionVector} : {}),
  };
}

/** `changeType`: of all rows; null when the files say it of each. */
async function fileSelects(
  reading: Reading,
  files: readonly ChangedFile[],
  changeType: string | null,
): Promise<readonly string[]> {
  const selects: string[] = [];
  for (const round of roundsOf(files, ({add}) => add.path)) {
    const rows = await rowsOf(reading, round, {told: changeType === null});
    selects.push(labelled(reading, {rows, files: round, changeType}));
  }
  return selects;
}

async function revisedSelects(reading: Reading, files: readonly RevisedFile[]): Promise<readonly string[]> {
  const selects: string[] = [];
  for (const round of roundsOf(files, ({after}) => after.add.path)) {
    const [before, after] = [round.map((file) => file.before), round.map((file) => file.after)];
    const without = async (rows: readonly ChangedFile[], others: readonly ChangedFile[]): Promise<string> =>
      `SELECT r.* FROM (${await rowsOf(reading, rows)}) AS r ANTI JOIN (${await rowsOf(reading, others, {columns: []})}) AS o ON r.__file = o.__file AND r.__pos = o.__pos`;
    selects.push(
      labelled(reading, {rows: await without(after, before), files: after, changeType: 'insert'}),
      labelled(reading, {rows: await without(before, after), files: before, changeType: 'delete'}),
    );
  }
  return selects;
}

/** A path means one file within a round: a table may lose a file and get it back. */
function roundsOf<T>(files: readonly T[], pathOf: (file: T) => string): readonly (readonly T[])[] {
  const rounds: T[][] = [];
  const seen = new Map<string, number>();
  for (const file of files) {
    const round = seen.get(pathOf(file)) ?? 0;
    seen.set(pathOf(file), round + 1);
    (rounds[round] ??= []).push(file);
  }
  return rounds;
}

function rowsOf(
  {context, root, end, maps}: Reading,
  files: readonly ChangedFile[],
  options: Pick<ReadOptions, 'columns'> & {readonly told?: boolean} = {},
): Promise<string> {
  const snapshot: TableSnapshot = {
    ...end,
    schema: options.told === true ? withChangeType(end.schema) : end.schema,
    files: new Map(files.map(({add}) => [add.path, add])),
  };
  return readSql(context, root, {
    snapshot,
    positions: true,
    maps,
    ...(options.columns === undefined ? {} : {columns: options.columns}),
  });
}

function labelled(
  {end}: Reading,
  part: {readonly rows: string; readonly files: readonly ChangedFile[]; readonly changeType: string | null},
): string {
  const {rows, files, changeType} = part;
  const columns = end.schema.fields.map((field) => `t.${quoteIdentifier(field.name)}`);
  const kind = changeType === null ? `t.${CHANGE_TYPE_COLUMN}` : quoteLiteral(changeType);
  const commits = files.map(
    ({add, version, timestampMs}) => `(${quoteLiteral(add.path)}, ${version}, ${timestampMs}000)`,
  );
  return `SELECT ${columns.join(', ')}, ${kind} AS ${CHANGE_TYPE_COLUMN}, c.version::BIGINT AS ${COMMIT_VERSION_COLUMN},
    make_timestamptz(c.micros::BIGINT) AS ${COMMIT_TIMESTAMP_COLUMN}
    FROM (${rows}) AS t JOIN (VALUES ${commits.join(', ')}) AS c(path, version, micros) ON t.__file = c.path`;
}

async function nothing(reading: Reading): Promise<string> {
  const file = {add: readable({path: '', partitionValues: {}, size: 0, dataChange: false}), version: 0, timestampMs: 0};
  return labelled(reading, {rows: await rowsOf(reading, []), files: [file], changeType: 'insert'});
}
