import {appendFileSync, closeSync, existsSync, openSync, readSync, statSync} from 'node:fs';

import {IngestError} from '../core/errors.ts';
import type {PlainJson} from '../core/offset.ts';
import type {LogColumn, LogIdentity, LogTable} from '../sdk/change-log.ts';

/** A change of a scripted row: its values, or null for a delete. */
export type ScriptedRow = {readonly id: number; readonly [column: string]: PlainJson};

/** What a scripted transaction does, in order. */
export type ScriptedWrite =
  | {readonly table: string; readonly op: 'upsert' | 'delete'; readonly row: ScriptedRow}
  | {readonly table: string; readonly op: 'truncate'}
  /** The log cannot tell the table's rows any more. */
  | {readonly table: string; readonly op: 'reset'};

/** A transaction in the log of a {@link ScriptedDatabase}. */
export interface ScriptedTransaction {
  /** From 1; its name in the log is `t<number>`. */
  readonly number: number;
  /** It begins at `position` and ends at `end` in the log. */
  readonly position: bigint;
  readonly end: bigint;
  readonly committedAt: bigint;
  /** Tables as they were when it wrote. */
  readonly tables: ReadonlyMap<string, LogTable>;
  readonly writes: readonly ScriptedWrite[];
}

/** What a snapshot sees: all transactions up to a number but some. */
export interface ScriptedView {
  readonly upTo: number;
  readonly hidden: readonly number[];
}

type LogLine =
  | {readonly kind: 'table'; readonly name: string; readonly table: LogTable | null}
  | {
      readonly kind: 'transaction';
      readonly at: number;
      readonly writes: readonly ScriptedWrite[];
      readonly isHidden: boolean;
    }
  | {readonly kind: 'show'; readonly number: number}
  | {readonly kind: 'forget'; readonly through: number; readonly isLost: boolean}
  | {readonly kind: 'server'; readonly identity: LogIdentity};

/** Bytes of log that a transaction takes beside its writes. */
const OVERHEAD = 16n;

/**
 * A database in memory with a log, for tests of gateways: what a snapshot sees and what the log has told are two things, as in a real
 * one. With a file, every step is also written there, and other processes that open it follow.
 */
export class ScriptedDatabase {
  readonly transactions: ScriptedTransaction[] = [];
  identity: LogIdentity = {server: 'scripted', timeline: 0};
  /** Transactions up to this number are no longer in the log. */
  forgotten = 0;
  /** Of these, up to this number they went without being acknowledged. */
  lost = 0;
  readonly #file: string | null;
  readonly #tables = new Map<string, LogTable>();
  readonly #hidden = new Set<number>();
  #nextId = 16_384;
  #position = 100n;
  #bytesRead = 0;
  #waiting: (() => void)[] = [];

  constructor(file: string | null = null) {
    this.#file = file;
    this.refresh();
  }

  /** Names of the tables that are there. */
  get tables(): readonly string[] {
    return [...this.#tables.keys()];
  }

  /** Where the log ends now. */
  get position(): bigint {
    return this.#position;
  }

  table(name: string): LogTable | undefined {
    return this.#tables.get(name);
  }

  /** Makes a table, or one with other columns under the same number. */
  createTable(name: string, columns: readonly string[] = ['id', 'value']): void {
    const id = this.#tables.get(name)?.id ?? this.#nextId++;
    const described = columns.map((column): LogColumn => ({
      name: column,
      type: column === 'id' ? 'int' : 'text',
      isKey: column === 'id',
      isNullable: column !== 'id',
    }));
    this.#write({kind: 'table', name, table: {id, namespace: ['db'], name, columns: described, identity: 'key'}});
  }

  dropTable(name: string): void {
    this.#write({kind: 'table', name, table: null});
  }

  /** Commits a transaction, which snapshots see from now on; returns its number. */
  commit(...writes: readonly ScriptedWrite[]): number {
    return this.#commit(writes, false);
  }

  /** Puts a transaction into the log that snapshots see only after `show`, as while a server waits for its replicas. */
  commitHidden(...writes: readonly ScriptedWrite[]): number {
    return this.#commit(writes, true);
  }

  show(number: number): void {
    this.#write({kind: 'show', number});
  }

  /** The log loses its transactions up to a number; default all. */
  forget(through: number = this.transactions.length): void {
    this.#write({kind: 'forget', through, isLost: true});
  }

  /** The log lets go what was acknowledged. */
  release(through: number): void {
    this.#write({kind: 'forget', through, isLost: false});
  }

  /** Shows all transactions up to a number, as when a reader waits for their end. */
  showThrough(number: number): void {
    for (const hidden of this.#hidden) if (hidden <= number) this.show(hidden);
  }

  /** The server is another one from now on, or its log begins anew. */
  becomes(identity: LogIdentity): void {
    this.#write({kind: 'server', identity});
  }

  /** What a snapshot that begins now sees. */
  view(): ScriptedView {
    return {upTo: this.transactions.length, hidden: [...this.#hidden]};
  }

  /** A point before every transaction that a snapshot now would not see. */
  viewPosition(): bigint {
    const first = Math.min(...this.#hidden);
    return this.transactions.find(({number}) => number === first)?.position ?? this.#position;
  }

  /** The first transaction at or behind a position. */
  after(position: bigint): ScriptedTransaction | undefined {
    let [low, high] = [0, this.transactions.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.transactions[middle]?.position ?? position) < position) low = middle + 1;
      else high = middle;
    }
    return this.transactions[low];
  }

  /** The rows of a table that a view sees, by id. */
  rows(name: string, view: ScriptedView = this.view()): ReadonlyMap<number, ScriptedRow> {
    const rows = new Map<number, ScriptedRow>();
    const id = this.#tables.get(name)?.id;
    for (const {number, writes, tables} of this.transactions) {
      if (number > view.upTo || view.hidden.includes(number)) continue;
      for (const write of writes) if (write.table === name && tables.get(name)?.id === id) applyWrite(rows, write);
    }
    return rows;
  }

  /** Reads what other processes have written. */
  refresh(): void {
    if (this.#file === null || !existsSync(this.#file)) return;
    const sizeBytes = statSync(this.#file).size;
    if (sizeBytes <= this.#bytesRead) return;
    const bytes = Buffer.alloc(sizeBytes - this.#bytesRead);
    const file = openSync(this.#file, 'r');
    readSync(file, bytes, 0, bytes.length, this.#bytesRead);
    closeSync(file);
    // Without its line end a line is still being written.
    const end = bytes.lastIndexOf('\n') + 1;
    this.#bytesRead += end;
    for (const line of bytes.toString('utf8', 0, end).split('\n').slice(0, -1))
      this.#follow(JSON.parse(line) as LogLine);
  }

  /** Resolves at the next step of this process, or after a moment. */
  async changed(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, 10);
      signal.addEventListener('abort', done, {once: true});
      this.#waiting.push(done);
    });
    signal.throwIfAborted();
    this.refresh();
  }

  #commit(writes: readonly ScriptedWrite[], isHidden: boolean): number {
    for (const {table} of writes) {
      if (!this.#tables.has(table)) throw new IngestError('UNKNOWN_TABLE', `There is no table "${table}".`);
    }
    this.#write({kind: 'transaction', at: Date.now(), writes, isHidden});
    return this.transactions.length;
  }

  #write(line: LogLine): void {
    if (this.#file === null) this.#follow(line);
    else {
      appendFileSync(this.#file, `${JSON.stringify(line)}\n`);
      this.refresh();
    }
    for (const wake of this.#waiting.splice(0)) wake();
  }

  #follow(line: LogLine): void {
    switch (line.kind) {
      case 'table':
        if (line.table === null) this.#tables.delete(line.name);
        else this.#tables.set(line.name, line.table);
        this.#nextId = Math.max(this.#nextId, (line.table?.id ?? 0) + 1);
        break;
      case 'transaction':
        this.#add(line);
        break;
      case 'show':
        this.#hidden.delete(line.number);
        break;
      case 'forget':
        this.forgotten = Math.max(this.forgotten, line.through);
        if (line.isLost) this.lost = Math.max(this.lost, line.through);
        break;
      case 'server':
        this.identity = line.identity;
        break;
    }
  }

  #add({at, writes, isHidden}: Extract<LogLine, {kind: 'transaction'}>): void {
    const number = this.transactions.length + 1;
    const position = this.#position;
    this.#position += OVERHEAD + BigInt(writes.length);
    const tables = new Map(this.#tables);
    const end = this.#position;
    this.transactions.push({number, position, end, committedAt: BigInt(at) * 1000n, tables, writes});
    if (isHidden) this.#hidden.add(number);
  }
}

/** Changes rows as a write says. */
export function applyWrite(rows: Map<number, ScriptedRow>, write: ScriptedWrite): void {
  if (write.op === 'truncate') rows.clear();
  else if (write.op === 'delete') rows.delete(write.row.id);
  else if (write.op === 'upsert') rows.set(write.row.id, write.row);
}
