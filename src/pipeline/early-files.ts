import type {RowsInFiles} from '../apply/apply-engine.ts';
import type {AddFile} from '../delta/actions.ts';
import type {Landing} from './landing.ts';

/**
 * Data files of what has landed, written while the rows after them are read. The rows stay where they are, too: whether they
 * become rows of the destination as they are is known when the last of them is read, and where they do not, their file is of no
 * use. Dispose it before the landing.
 */
export class EarlyFiles implements AsyncDisposable {
  readonly #landing: Landing;
  readonly #write: (select: string) => Promise<readonly AddFile[]>;
  readonly #written: RowsInFiles[] = [];
  /** Where the rows begin that are in no file. */
  #place = 0;
  #writing: Promise<void> | null = null;

  constructor(landing: Landing, write: (select: string) => Promise<readonly AddFile[]>) {
    this.#landing = landing;
    this.#write = write;
  }

  /** True when rows wait for a file, and none is being written. */
  get isDue(): boolean {
    return this.#writing === null && this.#landing.rowsFrom(this.#place) !== null;
  }

  /** Begins to write the rows that wait, and does not wait for it. */
  begin(): void {
    const rows = this.#landing.rowsFrom(this.#place);
    if (rows === null) return;
    this.#writing = this.#add(this.#place, rows);
    this.#place = rows.to;
  }

  /** Files of all rows, those that are left included; none where nothing was begun before. Called when the last row has landed. */
  async finish(): Promise<readonly RowsInFiles[]> {
    await this.#writing;
    if (this.#place > 0) this.begin();
    await this.#writing;
    return this.#written;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing;
  }

  async #add(from: number, {select, to}: {readonly select: string; readonly to: number}): Promise<void> {
    try {
      this.#written.push({from, to, files: await this.#write(select)});
    } catch {
      // Apply writes these rows itself then, and says what is wrong if that fails as well.
    } finally {
      this.#writing = null;
    }
  }
}
