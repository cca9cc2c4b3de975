import {WireError} from './simulator-tds.ts';

/** A value as the server would write it for its type: see `simulator-values.ts`. */
export type ModelValue = string | number | boolean | Buffer | null;

/** A row by column names. */
export type ModelRow = Readonly<Record<string, ModelValue>>;

/** A column of a table of the model. */
export interface ModelColumn {
  readonly id: number;
  readonly name: string;
  /** As in `sys.types`; a rowversion is `timestamp`. */
  readonly type: string;
  /** As `sys.columns` has it: bytes, -1 for max. */
  readonly length: number;
  readonly precision: number;
  readonly scale: number;
  readonly collation: string | null;
  readonly nullable: boolean;
  readonly hasDefault: boolean;
  readonly isComputed: boolean;
}

/** How a column is declared. */
export type ModelColumnInit = Pick<ModelColumn, 'name' | 'type'> & Partial<Omit<ModelColumn, 'id'>>;

/** What a transaction does to rows. */
export type ModelWrite =
  | {readonly table: string; readonly insert: ModelRow}
  /** The row with the same key, or `old` where there is none. */
  | {readonly table: string; readonly update: ModelRow; readonly old?: ModelRow}
  | {readonly table: string; readonly delete: ModelRow};

/** A row of a capture instance. */
export interface CapturedRow {
  readonly lsn: bigint;
  readonly sequence: bigint;
  /** 1 delete, 2 insert, 3 before an update, 4 behind it. */
  readonly operation: number;
  readonly row: ModelRow;
  /** Names of the columns that the update changed. */
  readonly changed: ReadonlySet<string>;
}

/** A capture instance of a table. */
export interface CaptureInstance {
  readonly id: number;
  readonly name: string;
  readonly columns: readonly ModelColumn[];
  readonly startLsn: bigint;
  minLsn: bigint;
  readonly rows: CapturedRow[];
}

interface TrackedChange {
  readonly version: bigint;
  readonly operation: 'I' | 'U' | 'D';
  readonly key: ModelRow;
}

/** A table of the model. */
export interface ModelTable {
  readonly id: number;
  readonly schema: string;
  name: string;
  columns: readonly ModelColumn[];
  key: readonly string[];
  /** By {@link keyText}; without a key by a number of their own. Never changed in place: views keep it. */
  rows: ReadonlyMap<string, ModelRow>;
  /** Null while change tracking is off. */
  tracking: {minValid: bigint; changes: readonly TrackedChange[]} | null;
  instances: readonly CaptureInstance[];
}

/** A net change as CHANGETABLE shows it. */
export interface NetChange {
  readonly version: bigint;
  readonly operation: 'I' | 'U' | 'D';
  readonly key: ModelRow;
}

/** What a session sees: the database now, or at the moment of its snapshot. */
export interface ModelView {
  readonly version: bigint;
  /** The newest LSN that the capture job had read. */
  readonly maxLsn: bigint | null;
  readonly tables: readonly ModelTable[];
}

interface LoggedTransaction {
  readonly lsn: bigint;
  readonly committedAt: string;
  readonly writes: readonly {readonly table: number; readonly old: ModelRow | null; readonly row: ModelRow | null}[];
}

/** LSNs of the model grow by one block and some slots. */
const FIRST_LSN = (0x2an << 48n) | (0x180n << 16n) | 3n;

/**
 * A small model of a SQL Server database, after its documentation: rows, change tracking with its versions and clean-up, change data
 * capture that runs behind the log, snapshots.
 * @see https://learn.microsoft.com/en-us/sql/relational-databases/track-changes/about-change-tracking-sql-server
 * @see https://learn.microsoft.com/en-us/sql/relational-databases/track-changes/about-change-data-capture-sql-server
 */
export class ModelDatabase {
  /** Null while change tracking of the database is off. */
  version: bigint | null = 0n;
  isSnapshotAllowed = true;
  isCdcEnabled = false;
  /** Azure SQL Database: some views and msdb are not there. */
  isAzure = false;
  /** False: the capture job stands still until `capture` is called. */
  isCapturing = true;
  recoveryFork = '6F9619FF-8B86-D011-B42D-00C04FC964FF';
  /** Named permissions that the user lacks. */
  readonly missingPermissions: Set<string> = new Set();
  retentionMinutes = 2880;
  /** The server's clocks, in style 121. */
  utc = '2026-11-28 10:00:00.1234567';
  local = '2026-11-28 10:00:00.1234567';
  /** Age of the oldest transaction that writes, in seconds, and one more. */
  oldestSeconds = 1;
  /** What `min_active_rowversion()` gives. */
  activeRowversion = '0xFFFFFFFFFFFFFFFF';
  logEnd: bigint = FIRST_LSN;
  readonly ddlHistory: {readonly table: number; readonly lsn: bigint}[] = [];
  readonly tables: ModelTable[] = [];
  readonly #log: LoggedTransaction[] = [];
  #captured = 0;
  #nextObject = 245_575_913;
  #nextRow = 1;
  #locks = 0;
  #waiting: (() => void)[] = [];

  /** Makes a table in dbo. */
  createTable(name: string, columns: readonly ModelColumnInit[], key: readonly string[] = []): ModelTable {
    const table: ModelTable = {
      id: this.#nextObject,
      schema: 'dbo',
      name,
      columns: columns.map((column, index) => modelColumn(column, index + 1)),
      key,
      rows: new Map(),
      tracking: key.length > 0 && this.version !== null ? {minValid: this.version, changes: []} : null,
      instances: [],
    };
    this.#nextObject += 16;
    this.tables.push(table);
    return table;
  }

  table(name: string): ModelTable {
    const found = this.tables.find((table) => table.name === name);
    if (found === undefined) throw new Error(`no table ${name}`);
    return found;
  }

  dropTable(name: string): void {
    this.tables.splice(this.tables.indexOf(this.table(name)), 1);
  }

  addColumn(name: string, column: ModelColumnInit, value: ModelValue = null): void {
    const table = this.table(name);
    const id = Math.max(...table.columns.map((each) => each.id)) + 1;
    if (table.instances.length > 0) {
      this.logEnd += 1n << 16n;
      this.ddlHistory.push({table: table.id, lsn: this.logEnd});
    }
    table.columns = [...table.columns, modelColumn(column, id)];
    table.rows = mapRows(table, (row) => ({...row, [column.name]: value}));
  }

  renameColumn(name: string, from: string, to: string): void {
    const table = this.table(name);
    table.columns = table.columns.map((column) => (column.name === from ? {...column, name: to} : column));
    table.rows = mapRows(table, ({[from]: value = null, ...row}) => ({...row, [to]: value}));
  }

  dropColumn(name: string, column: string): void {
    const table = this.table(name);
    table.columns = table.columns.filter((each) => each.name !== column);
  }

  /** Forgets all changes and rows, as TRUNCATE TABLE does. */
  truncate(name: string): void {
    const table = this.table(name);
    if (table.instances.length > 0) throw new Error('Cannot truncate a table of change data capture.');
    table.rows = new Map();
    this.version = (this.version ?? 0n) + 1n;
    if (table.tracking !== null) table.tracking = {minValid: this.version, changes: []};
  }

  /** Retention has passed for changes up to a version. */
  cleanUp(version: bigint): void {
    for (const table of this.tables) {
      const {tracking} = table;
      if (tracking === null || tracking.minValid >= version) continue;
      table.tracking = {minValid: version, changes: tracking.changes.filter((change) => change.version > version)};
    }
  }

  /** Commits a transaction, once no table is locked. */
  async write(...writes: readonly ModelWrite[]): Promise<void> {
    while (this.#locks > 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    const isTracked = this.version !== null && writes.some((write) => this.table(write.table).tracking !== null);
    if (isTracked) this.version = (this.version ?? 0n) + 1n;
    this.logEnd += (1n << 16n) * BigInt(1 + writes.length);
    const logged = this.#applyAll(writes, this.version ?? 0n);
    this.logEnd += 2n;
    const committedAt = `2026-11-28 10:00:${String(this.#log.length % 60).padStart(2, '0')}.000`;
    this.#log.push({lsn: this.logEnd, committedAt, writes: logged});
    if (this.isCapturing) this.capture();
  }

  /** A shared lock of a table: writers wait until it is let go. */
  lock(): () => void {
    this.#locks++;
    return () => {
      this.#locks--;
      if (this.#locks > 0) return;
      for (const wake of this.#waiting.splice(0)) wake();
    };
  }

  /** Adds a capture instance of all columns. */
  enableCapture(name: string, instance: string, columns?: readonly string[]): void {
    const table = this.table(name);
    if (table.instances.length === 2) throw new Error('A table has two capture instances at most.');
    this.isCdcEnabled = true;
    this.capture();
    table.instances = [
      ...table.instances,
      {
        id: this.#nextObject,
        name: instance,
        columns: table.columns.filter((column) => columns?.includes(column.name) ?? true),
        startLsn: this.logEnd,
        minLsn: this.logEnd,
        rows: [],
      },
    ];
    this.#nextObject += 16;
  }

  /** The clean-up job removes captured changes before an LSN. */
  cleanUpCapture(instance: string, lsn: bigint): void {
    for (const found of this.tables.flatMap(({instances}) => instances).filter(({name}) => name === instance)) {
      found.minLsn = lsn;
      found.rows.splice(0, found.rows.length, ...found.rows.filter((row) => row.lsn >= lsn));
    }
  }

  dropCapture(instance: string): void {
    for (const table of this.tables) table.instances = table.instances.filter(({name}) => name !== instance);
  }

  /** The capture job reads the log up to now. */
  capture(): void {
    for (const {lsn, writes} of this.#log.slice(this.#captured)) {
      for (const [place, {table: id, old, row}] of writes.entries()) {
        const table = this.tables.find((each) => each.id === id);
        for (const instance of table?.instances ?? []) {
          if (lsn > instance.startLsn)
            instance.rows.push(...capturedRows(lsn, BigInt(place + 1), {old, row}, instance));
        }
      }
    }
    this.#captured = this.#log.length;
  }

  /** The newest LSN that the capture job has read; null before the first. */
  get maxLsn(): bigint | null {
    const isIdle = this.#captured === this.#log.length && this.isCapturing && this.isCdcEnabled;
    // On an idle database the job notes every few minutes where the log stands; here at once.
    if (isIdle && (this.#log.at(-1)?.lsn ?? 0n) < this.logEnd) {
      this.#log.push({lsn: this.logEnd, committedAt: '2026-11-28 10:00:00.000', writes: []});
      this.#captured++;
    }
    return this.#log[this.#captured - 1]?.lsn ?? null;
  }

  /** When a transaction committed, in the server's own time. */
  committedAt(lsn: bigint): string | null {
    return this.#log.find((transaction) => transaction.lsn === lsn)?.committedAt ?? null;
  }

  /** What a session sees that begins to read now. */
  view(): ModelView {
    return {version: this.version ?? 0n, maxLsn: this.maxLsn, tables: this.tables.map((table) => ({...table}))};
  }

  #applyAll(writes: readonly ModelWrite[], version: bigint): LoggedTransaction['writes'] {
    const drafts = new Map<ModelTable, Draft>();
    const logged = writes.map((write) => {
      const table = this.table(write.table);
      const draft = drafts.get(table) ?? {rows: new Map(table.rows), changes: []};
      drafts.set(table, draft);
      return this.#apply(write, {table, draft, version});
    });
    for (const [table, {rows, changes}] of drafts) {
      table.rows = rows;
      if (table.tracking !== null)
        table.tracking = {...table.tracking, changes: [...table.tracking.changes, ...changes]};
    }
    return logged;
  }

  #apply(
    write: ModelWrite,
    {table, draft, version}: {readonly table: ModelTable; readonly draft: Draft; readonly version: bigint},
  ): LoggedTransaction['writes'][number] {
    const row = 'insert' in write ? write.insert : 'update' in write ? write.update : null;
    const wanted = 'delete' in write ? write.delete : 'update' in write ? (write.old ?? write.update) : null;
    const place = wanted === null ? null : placeOf(table, draft.rows, wanted);
    const old = place === null ? null : (draft.rows.get(place) ?? null);
    if (wanted !== null && old === null) throw new Error(`no such row in ${table.name}`);
    const whole = row === null ? null : complete(table, {...old, ...row});
    if (place !== null) draft.rows.delete(place);
    if (whole !== null) {
      const key = table.key.length > 0 ? keyText(table, whole) : `row ${this.#nextRow++}`;
      if (draft.rows.has(key)) throw new Error(`the key is there already in ${table.name}`);
      draft.rows.set(key, whole);
    }
    draft.changes.push(...trackedChanges(table, {old, row: whole, version}));
    return {table: table.id, old, row: whole};
  }
}

interface Draft {
  readonly rows: Map<string, ModelRow>;
  readonly changes: TrackedChange[];
}

function mapRows({rows}: ModelTable, change: (row: ModelRow) => ModelRow): ReadonlyMap<string, ModelRow> {
  return new Map([...rows].map(([key, row]) => [key, change(row)]));
}

/** The net changes of a table behind a version. @throws WireError where they are not kept */
export function netChanges(table: ModelTable, from: bigint): readonly NetChange[] {
  if (table.tracking === null)
    throw new WireError(22_105, `Change tracking is not enabled on table 'dbo.${table.name}'.`);
  const found = new Map<string, {first: 'I' | 'U' | 'D'; last: TrackedChange}>();
  for (const change of table.tracking.changes) {
    if (change.version <= from) continue;
    const text = keyText(table, change.key);
    const known = found.get(text);
    if (known === undefined) found.set(text, {first: change.operation, last: change});
    else known.last = change;
  }
  return [...found.values()].map(({first, last}) => {
    if (last.operation === 'D') return last;
    return {version: last.version, operation: first === 'U' ? 'U' : 'I', key: last.key};
  });
}

/** The key of a row as one text. */
export function keyText({key}: Pick<ModelTable, 'key'>, row: ModelRow): string {
  return JSON.stringify(key.map((name) => String(row[name])));
}

function trackedChanges(
  table: ModelTable,
  {old, row, version}: {readonly old: ModelRow | null; readonly row: ModelRow | null; readonly version: bigint},
): readonly TrackedChange[] {
  if (table.key.length === 0) return [];
  const changes: TrackedChange[] = [];
  const isMoved = old !== null && row !== null && keyText(table, old) !== keyText(table, row);
  if (old !== null && (row === null || isMoved)) changes.push({version, operation: 'D', key: old});
  if (row !== null) changes.push({version, operation: old === null || isMoved ? 'I' : 'U', key: row});
  return changes;
}

function capturedRows(
  lsn: bigint,
  sequence: bigint,
  {old, row}: {readonly old: ModelRow | null; readonly row: ModelRow | null},
  {columns}: CaptureInstance,
): readonly CapturedRow[] {
  const changed = new Set(columns.map(({name}) => name).filter((name) => String(old?.[name]) !== String(row?.[name])));
  const base = {lsn, sequence, changed};
  if (old === null) return row === null ? [] : [{...base, operation: 2, row}];
  if (row === null) return [{...base, operation: 1, row: old}];
  // Large values that an update did not touch are left out.
  const blank = Object.fromEntries(
    columns.filter(({length, name}) => length === -1 && !changed.has(name)).map(({name}) => [name, null]),
  );
  return [
    {...base, operation: 3, row: {...old, ...blank}},
    {...base, operation: 4, row: {...row, ...blank}},
  ];
}

function placeOf(table: ModelTable, rows: ReadonlyMap<string, ModelRow>, wanted: ModelRow): string | null {
  if (table.key.length > 0) return keyText(table, wanted);
  for (const [place, row] of rows) {
    if (table.columns.every(({name}) => String(row[name] ?? null) === String(wanted[name] ?? null))) return place;
  }
  return null;
}

function complete(table: ModelTable, row: ModelRow): ModelRow {
  return Object.fromEntries(table.columns.map(({name}) => [name, row[name] ?? null]));
}

function modelColumn(init: ModelColumnInit, id: number): ModelColumn {
  const isText = /^n?(?:var)?char$/.test(init.type);
  return {
    length: 0,
    precision: 0,
    scale: 0,
    collation: isText ? 'SQL_Latin1_General_CP1_CI_AS' : null,
    nullable: true,
    hasDefault: false,
    isComputed: false,
    ...init,
    id,
  };
}
