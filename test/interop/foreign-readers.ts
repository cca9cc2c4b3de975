import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import {createInterface} from 'node:readline';
import {fileURLToPath} from 'node:url';

import type {Installation} from './setup.ts';

/** Who reads: Spark, the query engine of delta-rs, or its `to_pyarrow_table`, which knows fewer table features. */
export type ReaderName = 'spark' | 'delta-rs' | 'delta-rs-arrow';

/** A value in the form that `read_delta.py` describes. */
export type CanonicalValue =
  | null
  | boolean
  | string
  | readonly CanonicalValue[]
  | {readonly [name: string]: CanonicalValue};

/** A table as a reader saw it. */
export interface CanonicalTable {
  /** Name and Delta type of each column, in order. */
  readonly columns: readonly (readonly [string, string])[];
  readonly rows: readonly Readonly<Record<string, CanonicalValue>>[];
}

/** What a reader answered: a table or the text of its refusal. */
export type ReadAnswer = CanonicalTable | {readonly error: string};

/** The Python process with both readers. The caller disposes it. */
export class ForeignReaders implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: ChildProcess, lines: AsyncIterator<string>) {
    this.#child = child;
    this.#lines = lines;
  }

  /** Starts Python and Spark: some ten seconds. */
  static async start(installation: Installation): Promise<ForeignReaders> {
    const script = fileURLToPath(new URL('read_delta.py', import.meta.url));
    const child = spawn(installation.python, [script, installation.jarsFolder, installation.workFolder], {
      stdio: ['pipe', 'pipe', process.env['INTEROP_DEBUG'] === undefined ? 'ignore' : 'inherit'],
      // Names of files are UTF-8 for Java only under a UTF-8 locale.
      env: {...process.env, LC_ALL: 'C.UTF-8', TZ: 'UTC', SPARK_LOCAL_IP: '127.0.0.1'},
    });
    const lines = createInterface({input: child.stdout})[Symbol.asyncIterator]();
    const readers = new ForeignReaders(child, lines);
    await readers.#next();
    return readers;
  }

  /** Reads a whole table, the newest version by default. */
  async read(reader: ReaderName, path: string, version?: number): Promise<ReadAnswer> {
    return (await this.#ask({op: 'read', reader, path, ...(version === undefined ? {} : {version})})) as ReadAnswer;
  }

  /** Reads the change data feed since a version. */
  async changes(reader: 'spark' | 'delta-rs', path: string, from: number): Promise<ReadAnswer> {
    return (await this.#ask({op: 'changes', reader, path, from})) as ReadAnswer;
  }

  /** Runs one statement in Spark. @throws Error with Spark's message. */
  async sql(statement: string): Promise<readonly (readonly (string | null)[])[]> {
    const answer = (await this.#ask({op: 'sql', sql: statement})) as {rows: (string | null)[][]} | {error: string};
    if ('error' in answer) throw new Error(`${statement}: ${answer.error}`);
    return answer.rows;
  }

  /** Starts a Structured Streaming query on a table; it reads in the background while others commit. @throws Error */
  async startStream(name: string, path: string, options: Readonly<Record<string, string>> = {}): Promise<void> {
    const answer = (await this.#ask({op: 'stream', name, path, options})) as object;
    if ('error' in answer) throw new Error(`stream ${name}: ${String(answer.error)}`);
  }

  /** What a stream has read, once it has read all there is. */
  async streamed(name: string): Promise<ReadAnswer> {
    return (await this.#ask({op: 'streamed', name})) as ReadAnswer;
  }

  async #ask(request: object): Promise<unknown> {
    this.#child.stdin?.write(`${JSON.stringify(request)}\n`);
    return this.#next();
  }

  async #next(): Promise<unknown> {
    const line = await this.#lines.next();
    if (line.done === true) throw new Error('The foreign readers ended; run with INTEROP_DEBUG=1 to see why.');
    return JSON.parse(line.value);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.stdin?.end();
    const killer = setTimeout(() => this.#child.kill('SIGKILL'), 20_000);
    await exited;
    clearTimeout(killer);
  }
}
