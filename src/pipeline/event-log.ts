import {IngestError} from '../core/errors.ts';
import {failpoint} from '../core/failpoint.ts';
import type {DeltaContext, DeltaTable} from '../delta/delta-table.ts';
import {createTable, openTable} from '../delta/table.ts';
import {EVENT_SCHEMA, ORIGIN_KEYS, spoolType} from './event-schema.ts';
import {EventSpool, type SealedSpool} from './event-spool.ts';
import type {PipelineEvent} from './events.ts';

/** Table property that names the pipeline whose event log a table is. */
export const EVENT_LOG_PROPERTY = 'sluice.eventLogOf';

/** The application whose txn says up to which spool file the table holds the events. */
const APP_ID = 'sluice-event-log';

/** Where an event log lives. */
export interface EventLogPlace {
  readonly pipelineKey: string;
  /** Name prefix of the table in the store. */
  readonly root: string;
  /** Absolute path of a local folder that the engine may read; nobody else's. */
  readonly spoolFolder: string;
  /** Names this run in `sequence.data_plane_id.instance`. */
  readonly instance: string;
}

/**
 * Events of a pipeline. Each is durable in the spool when {@link emit} resolves, and lands in the Delta table exactly once,
 * also when the process dies in between: the next run commits what it finds.
 */
export interface EventLog extends AsyncDisposable {
  /** Writes an event to the spool. @throws STORAGE_* or the file system's error; the event is kept for the next try. */
  emit(event: PipelineEvent): Promise<void>;
  /** Commits all spooled events in one Delta version; none when there are none. Calls queue up. @throws STORAGE_*, ENGINE_FAILED, COMMIT_CONFLICT: nothing is lost, call again. */
  flush(): Promise<void>;
}

/**
 * Opens the event log of a pipeline whose lease the caller holds: two writers would take each other's spool for their own.
 * Disposing does not flush.
 * @throws TABLE_NOT_OURS when a table of that name is no event log of this pipeline.
 */
export async function createEventLog(context: DeltaContext, place: EventLogPlace): Promise<EventLog> {
  const log = new DeltaEventLog(context, place);
  await log.start();
  return log;
}

class DeltaEventLog implements EventLog {
  private readonly context: DeltaContext;
  private readonly place: EventLogPlace;
  private table: DeltaTable | null = null;
  private spool: EventSpool | null = null;
  private flushing: Promise<void> = Promise.resolve();
  private lastSequence = 0n;
  private emitted = 0;

  constructor(context: DeltaContext, place: EventLogPlace) {
    this.context = context;
    this.place = place;
  }

  async start(): Promise<void> {
    this.table = await openTable(this.context, this.place.root);
    if (this.table !== null) checkOurs(this.table, this.place);
    this.spool = await EventSpool.open(this.place.spoolFolder, committedSpool(this.table));
  }

  async emit(event: PipelineEvent): Promise<void> {
    // Time may stand still or go back; the order of events must not.
    const now = this.context.clock.nowMicros();
    this.lastSequence = now > this.lastSequence ? now : this.lastSequence + 1n;
    this.emitted += 1;
    const sequence = {
      data_plane_id: {instance: this.place.instance, seq_no: this.emitted},
      control_plane_seq_no: this.lastSequence,
    };
    await this.openSpool().append(eventLine(event, sequence));
  }

  flush(): Promise<void> {
    this.flushing = this.flushing.catch(() => undefined).then(() => this.commitSpool());
    return this.flushing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.flushing.catch(() => undefined);
    await this.spool?.close();
    this.spool = null;
  }

  private openSpool(): EventSpool {
    if (this.spool === null) throw new IngestError('ENGINE_FAILED', 'The event log is closed.', {class: 'bug'});
    return this.spool;
  }

  private async commitSpool(): Promise<void> {
    const spool = this.openSpool();
    const sealed = await spool.seal();
    if (sealed.length === 0) return;
    const table = (this.table ??= await createEventTable(this.context, this.place));
    // What an earlier try committed without hearing the answer is not committed again.
    await table.refresh();
    const committed = committedSpool(table);
    const fresh = sealed.filter((file) => file.number > committed);
    const last = fresh.at(-1);
    if (last !== undefined) await this.commit(table, fresh, last.number);
    await spool.remove(sealed);
  }

  private async commit(table: DeltaTable, files: readonly SealedSpool[], version: number): Promise<void> {
    const never = new AbortController().signal;
    const adds = await table.writeFiles({select: spoolSelect(files), schema: EVENT_SCHEMA}, never);
    await table.commit({
      base: table.snapshot,
      operation: 'WRITE',
      operationParameters: {mode: 'Append'},
      adds,
      txn: {appId: APP_ID, version},
      blindAppend: true,
    });
    failpoint('events.committed');
  }
}

async function createEventTable(context: DeltaContext, place: EventLogPlace): Promise<DeltaTable> {
  const table = await createTable(context, place.root, {
    schema: EVENT_SCHEMA,
    configuration: {[EVENT_LOG_PROPERTY]: place.pipelineKey},
    description: `Event log of pipeline ${place.pipelineKey}.`,
  });
  checkOurs(table, place);
  return table;
}

function checkOurs(table: DeltaTable, place: EventLogPlace): void {
  const owner = table.snapshot.metadata.configuration[EVENT_LOG_PROPERTY];
  if (owner === place.pipelineKey) return;
  throw new IngestError(
    'TABLE_NOT_OURS',
    `The table at ${place.root} is ${owner === undefined ? 'no event log' : `the event log of pipeline "${owner}"`}.`,
    {
      fix: 'Choose another name with event_log.name.',
      context: {table: place.root, pipeline: place.pipelineKey},
    },
  );
}

/** The number of the last spool file whose events the table holds; 0 for none. */
function committedSpool(table: DeltaTable | null): number {
  return table?.snapshot.txns.get(APP_ID)?.version ?? 0;
}

function spoolSelect(files: readonly SealedSpool[]): string {
  const paths = files.map((file) => quoted(file.path)).join(', ');
  const types = EVENT_SCHEMA.fields
    .map((field) => `${quoted(field.name)}: ${quoted(spoolType(field.type))}`)
    .join(', ');
  const columns = EVENT_SCHEMA.fields.map((field) =>
    field.type === 'timestamp' ? `make_timestamp("${field.name}")::TIMESTAMPTZ AS "${field.name}"` : `"${field.name}"`,
  );
  return `SELECT ${columns.join(', ')} FROM read_json([${paths}], format = 'newline_delimited', columns = {${types}})`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** The event as one line, in the shape of the table. Microseconds since 1970 are exact as numbers until the year 2255. */
function eventLine(
  event: PipelineEvent,
  sequence: {readonly data_plane_id: object; readonly control_plane_seq_no: bigint},
): string {
  const {fatal, exceptions} = event.error ?? {fatal: null, exceptions: null};
  const shape = {
    id: event.id,
    sequence: {...sequence, control_plane_seq_no: Number(sequence.control_plane_seq_no)},
    origin: Object.fromEntries(ORIGIN_KEYS.map((key) => [key, event.origin[key] ?? null])),
    timestamp: Number(event.timestampMicros),
    message: event.message,
    level: event.level,
    maturity_level: 'STABLE',
    error: exceptions === null ? null : {fatal, exceptions: exceptions.map(exceptionShape)},
    details: JSON.stringify(event.details),
    event_type: event.eventType,
  };
  return JSON.stringify(shape);
}

type PipelineException = NonNullable<PipelineEvent['error']>['exceptions'][number];

function exceptionShape(exception: PipelineException): object {
  return {class_name: exception.className, message: exception.message, stack: exception.stack.map(frameShape)};
}

/** `at method (file:line:column)` in the parts that Lakeflow has. */
function frameShape(line: string): object {
  const match = /^\s*at (?:(.*?) \()?(.*?):(\d+):\d+\)?$/.exec(line);
  const [, method = null, file = null, lineNumber] = match ?? [undefined, line.trim()];
  return {
    declaring_class: null,
    method_name: method,
    file_name: file,
    line_number: lineNumber === undefined ? null : Number(lineNumber),
  };
}
