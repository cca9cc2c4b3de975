/** How much is read ahead. */
export interface ParallelOptions {
  /** Parts that are read at once. */
  readonly concurrency: number;
  /** Items of one part that wait to be taken. Default 2. */
  readonly ahead?: number;
  /** `any`: items as they come, so that no part waits for another; those of one part keep their order. Default `parts`. */
  readonly order?: 'parts' | 'any';
  /** Aborted when nobody wants more, so that requests under way end. */
  readonly abort?: AbortController;
}

type Step<Item, End> = {readonly item: Item} | {readonly end: End} | {readonly error: unknown};

/**
 * Reads parts at once and gives what they yield, by default in the order of the parts, so that the result is that of reading one after the other.
 * Each part waits when nobody takes its items; a failure comes where its item would have come. Leaving early ends all parts.
 */
export async function* orderedParallel<Item, End>(
  parts: AsyncIterable<AsyncGenerator<Item, End>> | Iterable<AsyncGenerator<Item, End>>,
  {concurrency, ahead = 2, abort, order = 'parts'}: ParallelOptions,
): AsyncGenerator<{readonly item: Item} | {readonly end: End}, void> {
  const source = asyncIterator(parts);
  const open: Reader<Item, End>[] = [];
  let exhausted = false;
  const fill = async (): Promise<void> => {
    while (!exhausted && open.length < concurrency) {
      const next = await source.next();
      if (next.done === true) exhausted = true;
      else open.push(new Reader(next.value, ahead));
    }
  };
  // Beside the reading: a part that is slow to come holds up nobody who takes items of another.
  const filling: {now: Promise<void> | null} = {now: null};
  const failures: unknown[] = [];
  const keepFull = (): void => {
    if (filling.now !== null || exhausted || failures.length > 0 || open.length >= concurrency) return;
    filling.now = fill()
      .catch((error: unknown) => {
        failures.push(error);
      })
      .finally(() => {
        filling.now = null;
      });
  };
  try {
    for (;;) {
      keepFull();
      const reader = order === 'any' ? await firstReady(open) : open[0];
      if (reader === undefined) {
        if (filling.now !== null) await filling.now;
        else if (failures.length > 0) throw failures[0];
        else if (exhausted) return;
        continue;
      }
      const step = await reader.take();
      if ('error' in step) throw step.error;
      // To the end, so that every part gets its turn.
      if (order === 'any' || 'end' in step) open.splice(open.indexOf(reader), 1);
      if (order === 'any' && !('end' in step)) open.push(reader);
      yield step;
    }
  } finally {
    if (open.length > 0 || !exhausted) abort?.abort();
    await Promise.all([...open.map((reader) => reader.close()), source.return?.()]);
  }
}

/** A part that has something to give; undefined without parts. */
async function firstReady<Item, End>(open: readonly Reader<Item, End>[]): Promise<Reader<Item, End> | undefined> {
  const ready = open.find((reader) => reader.isReady);
  return ready ?? (open.length === 0 ? undefined : Promise.race(open.map((reader) => reader.ready())));
}

function asyncIterator<Part>(parts: AsyncIterable<Part> | Iterable<Part>): AsyncIterator<Part> {
  if (Symbol.asyncIterator in parts) return parts[Symbol.asyncIterator]();
  return (async function* (): AsyncGenerator<Part> {
    yield* parts;
  })();
}

/** Reads one part ahead into a bounded queue. */
class Reader<Item, End> {
  readonly #part: AsyncGenerator<Item, End>;
  readonly #ahead: number;
  readonly #queue: Step<Item, End>[] = [];
  #wakeTaker: (() => void) | null = null;
  #becomesReady: Promise<void> | null = null;
  #wakeReader: (() => void) | null = null;
  #closed = false;
  readonly #run: Promise<void>;

  constructor(part: AsyncGenerator<Item, End>, ahead: number) {
    this.#part = part;
    this.#ahead = ahead;
    this.#run = this.#read();
  }

  get isReady(): boolean {
    return this.#queue.length > 0;
  }

  /** This part, as soon as it has something to give: an end or an error at last. */
  ready(): Promise<this> {
    if (this.isReady) return Promise.resolve(this);
    this.#becomesReady ??= new Promise<void>((resolve) => {
      this.#wakeTaker = resolve;
    });
    return this.#becomesReady.then(() => this);
  }

  async take(): Promise<Step<Item, End>> {
    await this.ready();
    const step = this.#queue.shift();
    if (step === undefined) throw new Error('A part was ready and had nothing to give.');
    this.#wakeReader?.();
    return step;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#wakeReader?.();
    await this.#run;
  }

  async #read(): Promise<void> {
    try {
      for (;;) {
        while (this.#queue.length >= this.#ahead && !this.#closed) {
          await new Promise<void>((resolve) => {
            this.#wakeReader = resolve;
          });
        }
        if (this.#closed) return;
        const next = await this.#part.next();
        this.#put(next.done === true ? {end: next.value} : {item: next.value});
        if (next.done === true) return;
      }
    } catch (error) {
      this.#put({error});
    } finally {
      // Its own cleanup; a failure there is of nobody's interest any more.
      await this.#part.return(undefined as End).catch(() => undefined);
    }
  }

  #put(step: Step<Item, End>): void {
    this.#queue.push(step);
    this.#wakeTaker?.();
    this.#becomesReady = null;
  }
}
