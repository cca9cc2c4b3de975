import {isDeepStrictEqual} from 'node:util';

import {IngestError, isIngestError} from '../core/errors.ts';
import type {Offset, PlainJson} from '../core/offset.ts';
import type {StructType} from '../core/types.ts';
import type {LogCodec, LogDecoder, SnapshotToken} from '../sdk/change-log.ts';
import type {
  CallContext,
  Change,
  Connector,
  Page,
  Partition,
  PartitionPlan,
  ReadContext,
  TableMetadata,
  TableOptions,
  VerifyPoint,
  VerifyScope,
} from '../sdk/contract.ts';
import {parseQualifiedName} from '../sdk/names.ts';
import type {SnapshotEntry} from './entry.ts';
import {nextRead, requestSnapshot} from './next-read.ts';
import {markBehindSnapshot, openLogView, type LogMark, type LogView, type TableRuns} from './read-log.ts';
import type {TableRun} from './segment.ts';
import {placeIn, SEQUENCE_TYPE, sequenceAt, sequenceBase} from './sequence.ts';
import {readChunk, readSnapshot, type SnapshotManifest} from './snapshot-files.ts';
import {parseStagedOffset, stagedOffset, type StagedOffset} from './staged-offset.ts';
import {type AppliedTable, loadState, readProgress, recordProgress, type Staging} from './staging.ts';
import type {StagedTable, StagingState} from './state.ts';
import {withLogBehind} from './verify-staged.ts';

/** What a pipeline reads instead of the database: what a gateway staged of it. */
export interface StagedSource {
  readonly staging: Staging;
  readonly codec: LogCodec;
  /** Names the pipeline: what it has applied may be deleted. */
  readonly reader: string;
  /** Milliseconds since 1970. */
  readonly nowMs: () => number;
  /** Why the gateway cannot follow a table, by its name. */
  readonly blocked?: ReadonlyMap<string, BlockedTable>;
  /** The database itself, to compare with; absent: tables cannot be verified. */
  readonly database?: StagedDatabase;
}

/** Why a table is not followed. */
export interface BlockedTable {
  /** Names the table. */
  readonly message: string;
  readonly fix?: string;
  /** It is no table, such as a view: only who names it is told. Default true. */
  readonly isTable?: false;
}

/** The database behind a staging area. */
export interface StagedDatabase {
  openVerify(scope: VerifyScope, ctx: CallContext): Promise<VerifyPoint>;
  /** Waits until everything that has committed by now is staged. */
  staged(ctx: CallContext): Promise<void>;
}

/** Changes of one page: so many that a page costs nothing, so few that they die young: what outlives a collection is copied by it. */
const PAGE_CHANGES = 512;

/**
 * The tables of a staging area as a connector: first the rows of a table's snapshot, then the changes that it did not see, in the order
 * of their commits. Reads up to what was sealed at its first call.
 */
export function stagedConnector(source: StagedSource): Connector {
  return source.database === undefined ? new StagedConnector(source) : new VerifiableConnector(source, source.database);
}

class StagedConnector implements Connector {
  readonly #source: StagedSource;
  #state: Promise<StagingState> | null = null;
  #view: {readonly from: number; readonly log: Promise<LogView>} | null = null;
  readonly #snapshots = new Map<string, Promise<SnapshotManifest>>();
  #applied: Promise<Map<string, AppliedTable>> | null = null;
  #recording: Promise<void> = Promise.resolve();

  constructor(source: StagedSource) {
    this.#source = source;
  }

  /** Also those that the gateway cannot follow: reading them says why, leaving them out would say nothing. */
  async listTables(): Promise<readonly string[]> {
    return [...new Set([...(await this.#loaded()).tables.keys(), ...this.#blockedNames()])];
  }

  async listNamespaces(prefix: readonly string[] | null): Promise<readonly (readonly string[])[]> {
    if (prefix !== null && prefix.length > 0) return [];
    const staged = [...(await this.#loaded()).tables.values()].map(({table}) => table.namespace.join('.'));
    const blocked = this.#blockedNames().map((name) => parseQualifiedName(name).slice(0, -1).join('.'));
    return [...new Set([...staged, ...blocked])].map((name) => [name]);
  }

  async listTablesInNamespace(namespace: readonly string[]): Promise<readonly string[]> {
    const {tables} = await this.#loaded();
    const wanted = namespace.join('.');
    const staged = [...tables.values()].flatMap(({table}) =>
      table.namespace.join('.') === wanted ? [table.name] : [],
    );
    const blocked = this.#blockedNames().map(parseQualifiedName);
    const inside = blocked
      .filter((parts) => parts.slice(0, -1).join('.') === wanted)
      .map((parts) => parts.at(-1) ?? '');
    return [...new Set([...staged, ...inside])];
  }

  #blockedNames(): readonly string[] {
    const blocked = [...(this.#source.blocked ?? [])];
    return blocked.filter(([, {isTable}]) => isTable !== false).map(([name]) => name);
  }

  async getTableSchema(name: string): Promise<StructType> {
    return this.#source.codec.schemaOf((await this.#tableOf(name)).table).schema;
  }

  async readTableMetadata(name: string): Promise<TableMetadata> {
    const {table} = await this.#tableOf(name);
    const {primaryKeys} = this.#source.codec.schemaOf(table);
    return {
      primaryKeys,
      // Without a key a change names no row: all changes are kept.
      ingestionType: primaryKeys.length === 0 ? 'append' : 'cdc',
      keysEnforced: primaryKeys.length > 0,
      bounded: true,
      changes: {sequence: SEQUENCE_TYPE, ordered: true},
    };
  }

  async estimate(name: string): Promise<{readonly rows?: number; readonly bytes?: number}> {
    const {snapshot} = await this.#tableOf(name);
    return snapshot === null ? {} : {rows: snapshot.rows, bytes: snapshot.bytes};
  }

  /** The rows of a snapshot become data files as they are; what changed since is read behind them. */
  isPartitioned(_name: string, start: Offset | null): boolean {
    return start === null;
  }

  async latestOffset(
    name: string,
    _start: Offset | null,
    _options: TableOptions,
    ctx: ReadContext,
  ): Promise<Offset | null> {
    return stagedOffset(behind(await this.#loaded(), await this.#firstSnapshot(name, ctx)));
  }

  async getPartitions(name: string, _range: unknown, _options: TableOptions, ctx: ReadContext): Promise<PartitionPlan> {
    const snapshot = await this.#firstSnapshot(name, ctx);
    const {chunks} = await this.#snapshotOf(snapshot);
    const {file, epoch} = snapshot;
    return {
      // All that a reader elsewhere needs: it asks for no state, which may have moved on.
      partitions: chunks.map((_, chunk) => ({snapshot: snapshot.id, file, epoch, chunk})),
      volatile: false,
      estimatedRows: snapshot.rows,
    };
  }

  async *readPartition(
    name: string,
    {snapshot: id, file, epoch, chunk}: Partition,
    _options: TableOptions,
    ctx: ReadContext,
  ): AsyncGenerator<Page, void> {
    const isPart = typeof id === 'string' && typeof file === 'string' && typeof epoch === 'number';
    if (!isPart || typeof chunk !== 'number') throw readAnew(name);
    try {
      yield* this.#chunkPages({id, file, epoch}, chunk);
    } catch (error) {
      throw await this.#mended(error, name, ctx);
    }
  }

  /** The snapshot that a first load reads. */
  async #firstSnapshot(name: string, ctx: ReadContext): Promise<SnapshotEntry> {
    const staged = await this.#tableOf(name);
    const next = await this.#nextRead(staged, null, ctx);
    if (next?.kind !== 'snapshot') throw notStaged(staged, this.#source);
    const {snapshot} = next;
    await this.#record(name, {snapshot: snapshot.id, snapshotEntry: snapshot.n}, snapshot.logFrom - 1);
    return snapshot;
  }

  async *readTable(
    name: string,
    start: Offset | null,
    _options: TableOptions,
    ctx: ReadContext,
  ): AsyncGenerator<Page, Offset | null> {
    const staged = await this.#tableOf(name);
    const at = parseStagedOffset(start, name);
    const next = await this.#nextRead(staged, at, ctx);
    if (next === null) return start;
    try {
      return yield* this.#readStaged(staged, {at, next}, ctx);
    } catch (error) {
      throw await this.#mended(error, name, ctx);
    }
  }

  async *#readStaged(
    staged: StagedTable,
    {at, next}: {readonly at: StagedOffset | null; readonly next: Reading},
    ctx: ReadContext,
  ): AsyncGenerator<Page, Offset> {
    const {name} = staged;
    if (next.kind === 'log') return stagedOffset({...next.at, mark: yield* this.#changePages(staged, next.at, ctx)});
    const {snapshot} = next;
    const state = await this.#loaded();
    const whole = behind(state, snapshot);
    await this.#record(name, {snapshot: snapshot.id, snapshotEntry: snapshot.n}, snapshot.logFrom - 1);
    yield* this.#snapshotPages(snapshot, at?.kind === 'snapshot' ? at.chunks : 0);
    return stagedOffset({...whole, mark: yield* this.#changePages(staged, whole, ctx)});
  }

  async acknowledge(name: string, offset: Offset): Promise<void> {
    const at = parseStagedOffset(offset, name);
    if (at?.kind === 'log') await this.#record(name, at, at.mark.entry - 1);
  }

  /** The database as it is now, and from the log which keys changed since the flow's end. */
  protected async openDatabase(
    database: StagedDatabase,
    {scope, end, ctx}: {readonly scope: VerifyScope; readonly end: Offset | null; readonly ctx: CallContext},
  ): Promise<VerifyPoint> {
    const {staging, codec} = this.#source;
    const at = parseStagedOffset(end, scope.table);
    if (at?.kind !== 'log') throw readAnew(scope.table);
    const point = await database.openVerify(scope, ctx);
    try {
      await database.staged(ctx);
      const state = await loadState(staging);
      const staged = state.tables.get(scope.table);
      const isKnown = staged !== undefined && at.staging === state.id && nextRead(state, staged, at).kind === 'log';
      if (!isKnown) throw readAnew(scope.table);
      const log = await openLogView(staging, {state, from: at.mark.entry});
      return withLogBehind(point, scope, {log, codec, table: staged.table, mark: at.mark});
    } catch (error) {
      await point[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** What is damaged cannot be read again: the gateway is asked to read the table anew. The error stays one. */
  async #mended(error: unknown, name: string, {clock}: CallContext): Promise<unknown> {
    if (!isIngestError(error, 'STAGING_DAMAGED')) return error;
    await requestSnapshot(this.#source.staging, {name, reason: 'damaged', message: error.message, clock});
    return new IngestError('STAGING_DAMAGED', error.message, {
      fix: 'Run again once the gateway has read the table anew, which it was asked to do: its rows stay as they are until then.',
      context: {...error.context, table: name},
      cause: error,
    });
  }

  /** What to read; null while there is nothing and the rows that landed stay. */
  async #nextRead(staged: StagedTable, at: StagedOffset | null, ctx: CallContext): Promise<Reading | null> {
    const {name, snapshot} = staged;
    const state = await this.#loaded();
    // Entries of a staging area that was there before say nothing here, though their numbers may exist.
    const known = at?.staging === state.id ? at : null;
    if (known?.kind === 'snapshot' && snapshot?.id === known.snapshot && snapshot.n > staged.broken)
      return {kind: 'snapshot', snapshot};
    const next = nextRead(state, staged, known?.kind === 'log' ? known : null);
    switch (next.kind) {
      case 'log':
        return known?.kind === 'log' ? {kind: 'log', at: known} : null;
      case 'snapshot':
        // Its views may have seen what the log tells later: only together they are the table as it was at one time.
        if (state.end === null || state.end.position < next.snapshot.until) break;
        if (at !== null) throw readAnew(name);
        return next;
      case 'request':
        await requestSnapshot(this.#source.staging, {
          name,
          message: 'The log behind its last snapshot is no longer staged.',
          clock: ctx.clock,
        });
        break;
      case 'wait':
        break;
    }
    if (at === null) throw notStaged(staged, this.#source);
    const message =
      next.kind === 'wait'
        ? next.message
        : next.kind === 'snapshot'
          ? 'the log behind its new snapshot is not sealed yet'
          : 'the log behind its rows is no longer staged';
    ctx.log.warn(`Table "${name}" is read anew by its gateway; its rows stay as they are until that is done.`, {
      table: name,
      reason: message,
    });
    return null;
  }

  async *#snapshotPages(entry: SnapshotEntry, done: number): AsyncGenerator<Page, void> {
    const state = await this.#loaded();
    const {chunks} = await this.#snapshotOf(entry);
    for (let index = done; index < chunks.length; index++) {
      yield* this.#chunkPages(entry, index);
      // Behind all of a chunk: its bytes are proved whole only now.
      yield {
        kind: 'records',
        rows: [],
        offset: stagedOffset({kind: 'snapshot', ...placeOf(state, entry), chunks: index + 1}),
      };
    }
  }

  async *#chunkPages(entry: StagedRows, index: number): AsyncGenerator<Page, void> {
    const {codec, staging} = this.#source;
    const {chunks, plan} = await this.#snapshotOf(entry);
    const chunk = chunks[index];
    if (chunk === undefined) throw new RangeError(`snapshot ${entry.id} has no chunk ${index}`);
    const position = chunk.view?.position ?? plan.position;
    const sequence = sequenceAt({epoch: entry.epoch, position, ordinal: 0, change: 0});
    for await (const {batch, rescued} of codec.decodeChunk(plan.table, readChunk(staging, chunk)))
      yield {kind: 'columns', batch, sequence, ...(rescued === undefined ? {} : {rescued})};
  }

  async *#changePages(
    staged: StagedTable,
    at: Extract<StagedOffset, {readonly kind: 'log'}>,
    ctx: ReadContext,
  ): AsyncGenerator<Page, LogMark> {
    const log = await this.#logFrom(at.mark.entry);
    const seenOf = this.#seenBy(staged, at);
    const reading = log.readTable(staged.table.id, at.mark, ctx.signal);
    for (;;) {
      const {done, value} = await reading.next();
      if (done === true) return value;
      const decoder = this.#source.codec.createDecoder(value.table ?? staged.table);
      yield* pagesOf(value, {decoder, wasSeen: await seenOf(value.runs), at});
    }
  }

  /**
   * Which transactions are in the rows already: those that every view of the snapshot saw. The views are looked at only when a
   * transaction may be among them: their file may be gone once all of the log around them is applied.
   */
  #seenBy(
    {name, snapshot}: StagedTable,
    at: Extract<StagedOffset, {readonly kind: 'log'}>,
  ): (runs: readonly TableRun[]) => Promise<(run: TableRun) => boolean> {
    const {codec} = this.#source;
    let views: readonly SnapshotToken[] | null = null;
    return async (runs) => {
      if (runs.every(({position}) => position > at.until)) return () => false;
      // Of an older snapshot that another pipeline has replaced.
      if (snapshot?.id !== at.snapshot) throw readAnew(name);
      const all = (views ??= viewsOf(await this.#snapshotOf(snapshot)));
      return (run) => run.position <= at.until && all.every((view) => codec.isVisible(run.transaction, view));
    };
  }

  #loaded(): Promise<StagingState> {
    return (this.#state ??= this.#load());
  }

  async #load(): Promise<StagingState> {
    const state = await loadState(this.#source.staging);
    if (state.n > 0 && state.codec !== this.#source.codec.name) {
      throw new IngestError(
        'UNSUPPORTED',
        `The staging of "${this.#source.staging.gateway}" holds ${state.codec}, and this connector reads ${this.#source.codec.name}.`,
        {fix: 'Run the version of Sluice that wrote it, or purge the staging area and refresh its tables in full.'},
      );
    }
    if (state.n > 0) return state;
    const {gateway} = this.#source.staging;
    throw new IngestError('NOT_STAGED', `Gateway "${gateway}" has staged nothing in this lake.`, {
      fix: `Start it and let it read its tables: sluice gateway run ${gateway}`,
    });
  }

  async #tableOf(name: string): Promise<StagedTable> {
    const {tables} = await this.#loaded();
    const table = tables.get(name);
    if (table !== undefined) return table;
    const why = this.#source.blocked?.get(name);
    if (why !== undefined) {
      throw new IngestError('UNSUPPORTED', why.message, {
        ...(why.fix === undefined ? {} : {fix: why.fix}),
        context: {table: name},
      });
    }
    throw new IngestError(
      'UNKNOWN_TABLE',
      `Gateway "${this.#source.staging.gateway}" has not staged table "${name}".`,
      {
        fix: `Start it (sluice gateway run) and let it take the table up; it has staged ${[...tables.keys()].slice(0, 10).join(', ') || 'nothing yet'}.`,
        context: {table: name},
      },
    );
  }

  /** One view serves all tables, so that segments are read once. */
  async #logFrom(entry: number): Promise<LogView> {
    const state = await this.#loaded();
    if (this.#view === null || this.#view.from > entry)
      this.#view = {from: entry, log: openLogView(this.#source.staging, {state, from: entry})};
    return this.#view.log;
  }

  #snapshotOf(entry: StagedRows): Promise<SnapshotManifest> {
    const known = this.#snapshots.get(entry.id) ?? readSnapshot(this.#source.staging, entry);
    this.#snapshots.set(entry.id, known);
    return known;
  }

  #progress(): Promise<Map<string, AppliedTable>> {
    return (this.#applied ??= this.#loadProgress());
  }

  async #loadProgress(): Promise<Map<string, AppliedTable>> {
    const all = await readProgress(this.#source.staging);
    return new Map(all.find(({id}) => id === this.#source.reader)?.tables);
  }

  /** Known before its first read, so that nothing is deleted under it. One write at a time: each says all. */
  async #record(
    name: string,
    {snapshot, snapshotEntry}: Pick<AppliedTable, 'snapshot' | 'snapshotEntry'>,
    entry: number,
  ): Promise<void> {
    const {table} = await this.#tableOf(name);
    const applied: AppliedTable = {table: table.id, snapshot, snapshotEntry, entry};
    const tables = await this.#progress();
    if (isDeepStrictEqual(tables.get(name), applied)) return;
    tables.set(name, applied);
    const {staging, reader, nowMs} = this.#source;
    this.#recording = this.#recording
      .catch(() => undefined)
      .then(() => recordProgress(staging, {id: reader, updatedAt: nowMs(), tables: new Map(tables)}));
    await this.#recording;
  }
}

/** Of a database that can be compared with. */
class VerifiableConnector extends StagedConnector {
  readonly #database: StagedDatabase;

  constructor(source: StagedSource, database: StagedDatabase) {
    super(source);
    this.#database = database;
  }

  openVerify(scope: VerifyScope, end: Offset | null, ctx: CallContext): Promise<VerifyPoint> {
    return this.openDatabase(this.#database, {scope, end, ctx});
  }
}

/** Where the rows of a snapshot are. */
type StagedRows = Pick<SnapshotEntry, 'id' | 'file' | 'epoch'>;

type Reading =
  | {readonly kind: 'log'; readonly at: Extract<StagedOffset, {readonly kind: 'log'}>}
  | {readonly kind: 'snapshot'; readonly snapshot: SnapshotEntry};

function placeOf(
  {id: staging}: StagingState,
  {id, n, until}: SnapshotEntry,
): Pick<StagedOffset, 'staging' | 'snapshot' | 'snapshotEntry' | 'until'> {
  return {staging, snapshot: id, snapshotEntry: n, until};
}

/** All of a snapshot, and none of the log behind it. */
function behind(state: StagingState, snapshot: SnapshotEntry): Extract<StagedOffset, {readonly kind: 'log'}> {
  return {...placeOf(state, snapshot), kind: 'log', mark: markBehindSnapshot(snapshot)};
}

function* pagesOf(
  {runs, epoch, mark}: TableRuns,
  how: {
    readonly decoder: LogDecoder;
    readonly wasSeen: (run: TableRun) => boolean;
    readonly at: Extract<StagedOffset, {readonly kind: 'log'}>;
  },
): Generator<Page, void> {
  let changes: Change[] = [];
  for (const run of runs) {
    const isSeen = how.wasSeen(run);
    const base = sequenceBase(epoch, run.position);
    for (const frame of run.frames) {
      if (frame.kind === 'schema') how.decoder.describe(frame.table);
      else if (!isSeen) addChanges(changes, run.bytes, {frame, base, decoder: how.decoder});
      if (changes.length < PAGE_CHANGES) continue;
      yield {kind: 'changes', changes};
      changes = [];
    }
  }
  yield {kind: 'changes', changes, offset: stagedOffset({...how.at, mark})};
}

function addChanges(
  changes: Change[],
  bytes: Buffer,
  at: {readonly frame: TableRun['frames'][number]; readonly base: bigint; readonly decoder: LogDecoder},
): void {
  const {frame, base, decoder} = at;
  if (frame.kind === 'truncate') changes.push({op: 'truncate', sequence: placeIn(base, frame.ordinal, 0)});
  if (frame.kind !== 'change') return;
  const from = changes.length;
  decoder.decode(bytes.subarray(frame.start, frame.end), changes);
  // Written into what the decoder has just made: a copy of each would cost as much as its decoding.
  for (let index = from; index < changes.length; index++)
    (changes[index] as {sequence?: bigint}).sequence = placeIn(base, frame.ordinal, index - from);
}

/** What the rows of a snapshot saw. A change that all of its views saw is in its rows. */
function viewsOf({plan, chunks}: SnapshotManifest): readonly SnapshotToken[] {
  const own = chunks.flatMap(({view}) => (view === null ? [] : [view.token]));
  return own.length > 0 ? own : [plan.token as PlainJson];
}

function notStaged({name, snapshot, reset}: StagedTable, {staging: {gateway}}: StagedSource): IngestError {
  const first = snapshot === null ? 'has not read it yet' : 'has not sealed the log behind it yet';
  const why = reset === null ? first : 'reads it anew';
  return new IngestError('NOT_STAGED', `Table "${name}" has no complete snapshot: gateway "${gateway}" ${why}.`, {
    fix: `See sluice gateway status ${gateway}; a run takes the table up when its snapshot is complete.`,
    context: {table: name},
  });
}

function readAnew(name: string): IngestError {
  return new IngestError(
    'OFFSET_EXPIRED',
    `Table "${name}" has a new snapshot, because its changes could not be followed.`,
    {context: {table: name}},
  );
}
