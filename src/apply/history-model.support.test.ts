import type {TestRow} from './lake.support.test.ts';

/** A place in the order of one key's events: compared value by value, null lowest. */
export type Place = readonly (bigint | null)[];

/** An event of a history as the model knows it. */
export interface ModelEvent {
  readonly key: string;
  readonly isDelete: boolean;
  readonly at: Place;
  /** Values by column; of deletes none counts. */
  readonly values: TestRow;
}

/** A version as the model knows it. */
export interface ModelVersion {
  readonly key: string;
  readonly values: TestRow;
  readonly start: Place;
  readonly end: Place | null;
}

/** Which place comes first. */
function comparePlaces(left: Place, right: Place): number {
  for (const [at, l] of left.entries()) {
    const r = right[at] ?? null;
    if (l === r) continue;
    if (l === null) return -1;
    return r === null || l > r ? 1 : -1;
  }
  return 0;
}

/**
 * SCD type 2 as the specification says it, of all events at once: per key the events in order of their places; a run is
 * upserts in a row that agree in the tracked columns, and a run is one version: the values of its last event, from its first
 * up to the event after it. At one place a delete wins over upserts, of upserts the later arrival.
 */
export class HistoryModel {
  readonly #tracked: readonly string[];
  readonly #events = new Map<string, Map<string, ModelEvent>>();

  constructor(tracked: readonly string[]) {
    this.#tracked = tracked;
  }

  /** Takes an event, after all that were taken before. */
  take(event: ModelEvent): void {
    const events = this.#events.get(event.key) ?? new Map<string, ModelEvent>();
    this.#events.set(event.key, events);
    const place = event.at.join('/');
    if (events.get(place)?.isDelete !== true) events.set(place, event);
  }

  /** All versions, in no order. */
  versions(): readonly ModelVersion[] {
    return [...this.#events.values()].flatMap((events) => this.#versionsOf([...events.values()]));
  }

  #versionsOf(events: readonly ModelEvent[]): readonly ModelVersion[] {
    const found: ModelVersion[] = [];
    for (const event of events.toSorted((left, right) => comparePlaces(left.at, right.at))) {
      const last = found.at(-1);
      const open = last?.end === null ? last : undefined;
      if (open !== undefined) found.pop();
      const goesOn = open !== undefined && !event.isDelete && this.#agree(open.values, event.values);
      if (goesOn) found.push({...open, values: event.values});
      if (!goesOn && open !== undefined) found.push({...open, end: event.at});
      if (!goesOn && !event.isDelete) found.push({key: event.key, values: event.values, start: event.at, end: null});
    }
    return found;
  }

  #agree(left: TestRow, right: TestRow): boolean {
    return this.#tracked.every((name) => (left[name] ?? null) === (right[name] ?? null));
  }
}
