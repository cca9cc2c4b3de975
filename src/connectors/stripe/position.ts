import {IngestError, type Offset, type PlainJson} from '../../sdk/index.ts';

/** Where an evented table stands. Times are whole seconds since 1970, by Stripe's clock. */
export interface Position {
  /** Events before it are applied. */
  readonly since: number;
  /** When the log was last seen: events that came later may still be asked for as long as Stripe keeps them. */
  readonly checked: number;
  /** Everything that could be seen is applied: a trigger ends here. */
  readonly isDrained: boolean;
  /** The list is still being read; null afterwards. */
  readonly listing: ListingPosition | null;
}

/** Where the reading of a list stands. */
export interface ListingPosition {
  /** Number of the pass. */
  readonly pass: number;
  /** Id of the last object read; null at the beginning of a pass. */
  readonly after: string | null;
  /** Its time of creation: where the list goes on when the object is gone. */
  readonly created: number | null;
  /** Only objects that were created before this second are still to be read; null: all. */
  readonly before: number | null;
}

/** Before the first object of the first pass. */
export const BEGINNING: ListingPosition = {pass: 0, after: null, created: null, before: null};

/** A position as an offset. */
export function positionOffset({since, checked, isDrained, listing}: Position): Offset {
  if (listing === null) return {since, checked, drained: isDrained};
  const {pass, after, created, before} = listing;
  return {since, checked, list: {pass, after, created, ...(before === null ? {} : {before})}};
}

/** Reads what {@link positionOffset} wrote. @throws CONTRACT_VIOLATION for any other offset. */
export function parsePosition(offset: Offset): Position {
  const {since, checked, drained, list} = offset;
  if (typeof since !== 'number' || typeof checked !== 'number') throw foreign();
  return {since, checked, isDrained: drained === true, listing: listingOf(list)};
}

function listingOf(value: PlainJson | undefined): ListingPosition | null {
  if (value === undefined || value === null) return null;
  if (typeof value !== 'object' || Array.isArray(value)) throw foreign();
  const {pass, after, created, before} = value as Offset;
  if (typeof pass !== 'number') throw foreign();
  return {
    pass,
    after: typeof after === 'string' ? after : null,
    created: typeof created === 'number' ? created : null,
    before: typeof before === 'number' ? before : null,
  };
}

function foreign(): IngestError {
  return new IngestError('CONTRACT_VIOLATION', 'The offset is not one of the Stripe connector.', {
    fix: 'Run a full refresh of the table.',
  });
}
