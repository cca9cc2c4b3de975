import {IngestError} from '../core/errors.ts';
import type {StructType} from '../core/types.ts';
import type {BatchFile} from '../delta/batch-file.ts';
import {mappingMode} from '../delta/column-mapping.ts';
import type {DeltaTable, TableSnapshot} from '../delta/delta-table.ts';
import {BACKFILL_NOTE} from './backfill.ts';
import {describeTable} from './describe-table.ts';
import type {Destination} from './destination.ts';
import {changeNotes, refusedChange} from './evolve-notes.ts';
import {settleFlow, type RowsThen, type SettledFlow} from './evolve-plan.ts';
import {evolveTable, needsEvolution, noteReplaced, waitingColumns} from './evolve-table.ts';
import type {ResolvedFlow} from './resolved-flow.ts';
import type {FlowServices} from './services.ts';

/** Note of a batch: when the table was last reloaded by its policy, milliseconds since 1970. Every later batch repeats it. */
const RELOADED_AT = 'auto_refreshed_at_ms';

/** The schema of one trigger: what the source and the table make of it, and what the table is told of it. For one use. */
export class FlowSchema {
  readonly #services: FlowServices;
  /** In the source's terms. */
  readonly #asked: ResolvedFlow;
  #settled: SettledFlow;
  #isReloading = false;
  #isAnnounced = false;
  #rows: RowsThen = 'replaced';
  /** The schema as text that the table had when it was last looked at. */
  #seen: string | null = null;

  constructor(services: FlowServices, asked: ResolvedFlow) {
    this.#services = services;
    this.#asked = asked;
    this.#settled = settleFlow(asked, null, 'replaced');
  }

  /** In the table's terms, after {@link settle}. */
  get flow(): ResolvedFlow {
    return this.#settled.flow;
  }

  /** The table's whole schema from the next commit on. */
  get schema(): StructType {
    return this.#settled.schema;
  }

  /** True when the policy reloads the table in this trigger. */
  get isReloading(): boolean {
    return this.#isReloading;
  }

  /** Columns that are new, or back, or have a field that is. */
  get newColumns(): readonly string[] {
    const fresh = this.#settled.changes.filter(({kind}) => kind === 'added' || kind === 'revived');
    const columns = this.#settled.flow.tableSchema.fields.map(({name}) => name);
    return columns.filter((name) => fresh.some(({path}) => isWithin(path, name)));
  }

  /**
   * Lays the source over the table and decides what the policy says to the difference. Writes nothing.
   * @throws INCOMPATIBLE_SCHEMA_CHANGE when the flow must stop.
   */
  settle({table, batch}: Destination, rows: RowsThen): void {
    this.#look(table.snapshot);
    this.#rows = rows;
    this.#settled = this.#laidOver(table.snapshot, rows);
    if (this.#settled.refused.length === 0) return;
    checkReload(this.#settled, batch, this.#services.context.clock.nowMs());
    this.#note('WARN', 'AUTO_FULL_REFRESH', `${refusedChange(this.#settled, null).message} The table is reloaded.`);
    this.#isReloading = true;
    this.#rows = 'refreshed';
    this.#settled = this.#laidOver(table.snapshot, 'refreshed');
  }

  /**
   * Commits what the schema needs before rows come. A table that is replaced as a whole gets its schema with the rows, unless
   * its columns are mapped: then new ones need their places first.
   * @param options.isReplaced all rows come anew, and make the new schema visible with them.
   */
  async prepare(
    destination: Destination,
    options: {readonly isReplaced: boolean; readonly backfill: readonly string[]},
  ): Promise<void> {
    await this.#evolve(destination, options);
    await describeTable(destination.table, this.flow);
    this.#look(destination.table.snapshot);
  }

  async #evolve(
    {table}: Destination,
    options: {readonly isReplaced: boolean; readonly backfill: readonly string[]},
  ): Promise<void> {
    const isMapped = mappingMode(table.snapshot.metadata) !== 'none';
    if (options.isReplaced && !isMapped) return;
    if (options.backfill.length === 0 && !needsEvolution(this.#settled, table.snapshot)) return;
    const typed = options.isReplaced ? this.#withTypesOf(table.snapshot) : this.#settled;
    await evolveTable(table, typed, options.backfill);
    this.#look(table.snapshot);
    if (!options.isReplaced) this.announce();
    const {changes} = this.#settled;
    const rows = options.isReplaced ? this.#rows : 'stay';
    this.#settled = {...this.#laidOver(table.snapshot, rows), changes};
  }

  /** Takes notice of a table that was just made: its columns have more metadata than they were made with. */
  made({table}: Destination): void {
    this.announce();
    this.#look(table.snapshot);
    this.#settled = this.#laidOver(table.snapshot, 'replaced');
  }

  /** Says what changed, once it has. */
  announce(): void {
    if (this.#isAnnounced) return;
    this.#isAnnounced = true;
    for (const {level, code, message} of changeNotes(this.#settled)) this.#note(level, code, message);
  }

  /**
   * Takes notice of a version that this trigger did not make.
   * @throws COMMIT_CONFLICT when it changed the schema: the flow begins again with that.
   */
  checkSame(snapshot: TableSnapshot): void {
    if (this.#seen === null || this.#seen === textOf(snapshot)) return;
    throw new IngestError('COMMIT_CONFLICT', `Somebody else changed the schema of ${this.#asked.name} meanwhile.`, {
      context: {table: this.#asked.name},
    });
  }

  /** Takes notice of the table after a commit of ours; all its rows are new when `isReplaced`. */
  async committed(table: DeltaTable, isReplaced: boolean): Promise<void> {
    await table.refresh();
    // Now that nobody sees the rows that had other columns.
    if (isReplaced) await noteReplaced(table, this.#settled);
    this.#look(table.snapshot);
  }

  /** What a batch repeats of the notes of the one before it. */
  notes(destination: Destination | null): BatchFile['notes'] {
    const batch = destination?.batch ?? null;
    const at = this.#isReloading ? this.#services.context.clock.nowMs() : reloadedAt(batch);
    const {configuration} = destination?.table.snapshot.metadata ?? {configuration: {}};
    const filling = waitingColumns(configuration) !== null ? batch?.notes[BACKFILL_NOTE] : undefined;
    return {
      ...(at === null ? {} : {[RELOADED_AT]: at}),
      ...(filling === undefined ? {} : {[BACKFILL_NOTE]: filling}),
    };
  }

  #laidOver(snapshot: TableSnapshot, rows: RowsThen): SettledFlow {
    const table = {schema: snapshot.schema, configuration: snapshot.metadata.configuration};
    return settleFlow(this.#asked, table, rows);
  }

  /** New columns only: types change with the rows. */
  #withTypesOf({schema}: TableSnapshot): SettledFlow {
    const {renamed} = this.#settled;
    const known = new Map(schema.fields.map((field) => [renamed.get(field.name) ?? field.name, field.type]));
    const fields = this.#settled.schema.fields.map((field) => ({...field, type: known.get(field.name) ?? field.type}));
    return {...this.#settled, schema: {type: 'struct', fields}};
  }

  #look(snapshot: TableSnapshot): void {
    this.#seen = textOf(snapshot);
  }

  #note(level: 'INFO' | 'WARN' | 'ERROR', code: string, message: string): void {
    this.#services.note({level, flow: this.#asked.name, code, message});
  }
}

const HOUR_MS = 3_600_000;

/**
 * Checks that the policy of a flow reloads the table, whose rows cannot stay.
 * @throws INCOMPATIBLE_SCHEMA_CHANGE when it does not, or did so too short ago.
 */
export function checkReload(settled: SettledFlow, batch: BatchFile | null, nowMs: number): void {
  const {configuration, target} = settled.flow;
  const {autoFullRefresh, schemaEvolution} = configuration;
  // The history of a table cannot be read again under another type.
  if (autoFullRefresh === null || schemaEvolution !== 'evolve' || target === 'scd2') throw refusedChange(settled, null);
  const reloadedAtMs = reloadedAt(batch);
  const sinceMs = reloadedAtMs === null ? Number.POSITIVE_INFINITY : nowMs - reloadedAtMs;
  // A time that has not come yet was written by a clock that has been put right since.
  const isDue = sinceMs >= autoFullRefresh.minIntervalHours * HOUR_MS || sinceMs < 0;
  if (!isDue) throw refusedChange(settled, reloadedAtMs);
}

function isWithin(path: string, column: string): boolean {
  return path === column || (path.startsWith(column) && '.[{'.includes(path.charAt(column.length)));
}

function textOf({metadata}: TableSnapshot): string {
  return metadata.schemaString;
}

function reloadedAt(batch: BatchFile | null): number | null {
  const at = batch?.notes[RELOADED_AT];
  return typeof at === 'number' ? at : null;
}
