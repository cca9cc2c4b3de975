import {mkdir, open, readdir, readFile, rename, rm, type FileHandle} from 'node:fs/promises';
import {join} from 'node:path';

import {failpoint} from '../core/failpoint.ts';

/** A spool file that nothing is written to any more. */
export interface SealedSpool {
  /** Ascending in the order of writing; never used twice. */
  readonly number: number;
  readonly path: string;
}

interface OpenSpool {
  readonly spool: SealedSpool;
  readonly handle: FileHandle;
  /** Of the lines that are safe. */
  sizeBytes: number;
}

const SUFFIX = '.ndjson';

/**
 * Lines in numbered files of a folder, durable when {@link append} resolves. One process at a time: the pipeline's lease
 * sees to that.
 */
export class EventSpool {
  private readonly folder: string;
  private readonly sealed: SealedSpool[];
  private next: number;
  private current: OpenSpool | null = null;
  private waiting: string[] = [];
  private turn: Promise<unknown> = Promise.resolve();

  private constructor(folder: string, sealed: readonly SealedSpool[], next: number) {
    this.folder = folder;
    this.sealed = [...sealed];
    this.next = next;
  }

  /** Opens a folder, makes it if need be, and takes over what a run before left in it. New files get numbers above `floor`. */
  static async open(folder: string, floor: number): Promise<EventSpool> {
    await mkdir(folder, {recursive: true});
    const found: SealedSpool[] = [];
    for (const name of await readdir(folder)) {
      const path = join(folder, name);
      if (/^\d+\.ndjson$/.test(name)) found.push({number: Number.parseInt(name, 10), path});
      else if (name.endsWith('.repair')) await rm(path, {force: true});
    }
    found.sort((left, right) => left.number - right.number);
    for (const spool of found) await repair(spool.path);
    return new EventSpool(folder, found, Math.max(floor, found.at(-1)?.number ?? 0) + 1);
  }

  /** Writes a line. Lines that arrive while one is being written go to disk together. */
  append(line: string): Promise<void> {
    this.waiting.push(line);
    return this.inTurn(() => this.writeWaiting());
  }

  /** Ends the file that is being written and returns all files, oldest first. */
  seal(): Promise<readonly SealedSpool[]> {
    return this.inTurn(async () => {
      await this.writeWaiting();
      if (this.current !== null) {
        const {handle, spool} = this.current;
        this.current = null;
        this.sealed.push(spool);
        await handle.close();
      }
      return [...this.sealed];
    });
  }

  /** Removes files whose lines are in the table. */
  async remove(spools: readonly SealedSpool[]): Promise<void> {
    for (const spool of spools) {
      await rm(spool.path, {force: true});
      const index = this.sealed.findIndex((candidate) => candidate.number === spool.number);
      if (index >= 0) this.sealed.splice(index, 1);
    }
  }

  /** Closes the open file; what was not removed is taken over by the next run. */
  async close(): Promise<void> {
    await this.seal();
  }

  /** One step on the file after the other; a failed one does not hold up the next. */
  private inTurn<T>(step: () => Promise<T>): Promise<T> {
    const result = this.turn.then(step);
    this.turn = result.catch(() => undefined);
    return result;
  }

  private async writeWaiting(): Promise<void> {
    if (this.waiting.length === 0) return;
    const lines = this.waiting;
    this.waiting = [];
    try {
      this.current ??= await this.create();
      await this.write(this.current, lines.map((line) => `${line}\n`).join(''));
    } catch (error) {
      this.waiting = [...lines, ...this.waiting];
      throw error;
    }
    failpoint('events.spooled');
  }

  /** Writes all of the text or, as far as the disk lets us, nothing: the lines are tried again. */
  private async write(file: OpenSpool, text: string): Promise<void> {
    try {
      await file.handle.appendFile(text);
      await file.handle.datasync();
      file.sizeBytes += Buffer.byteLength(text);
    } catch (error) {
      await file.handle.truncate(file.sizeBytes);
      throw error;
    }
  }

  private async create(): Promise<OpenSpool> {
    const number = this.next;
    const path = join(this.folder, `${String(number).padStart(12, '0')}${SUFFIX}`);
    const handle = await open(path, 'ax');
    await syncFolder(this.folder);
    this.next = number + 1;
    return {spool: {number, path}, handle, sizeBytes: 0};
  }
}

/** Drops what a killed writer left unfinished: such lines were never acknowledged. */
async function repair(path: string): Promise<void> {
  const text = await readFile(path, 'utf8');
  const lines = text.split('\n');
  const whole = lines.filter(isWhole);
  if (lines.at(-1) === '' && whole.length === lines.length - 1) return;
  const draft = `${path}.repair`;
  const handle = await open(draft, 'w');
  try {
    await handle.writeFile(whole.map((line) => `${line}\n`).join(''));
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(draft, path);
}

function isWhole(line: string): boolean {
  if (!line.startsWith('{')) return false;
  try {
    JSON.parse(line);
    return true;
  } catch {
    // A torn line: its writer died before it was told that the line is safe.
    return false;
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
