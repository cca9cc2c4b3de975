import {IngestError, type Offset} from '../../sdk/index.ts';

/** Where a table of CRM records stands. Times are milliseconds since 1970, by HubSpot's clock. */
export interface ObjectPosition {
  /** When the list was begun; null before its first page. Records archived before it never were rows. */
  readonly loadedFrom: number | null;
  /** Changes up to here are read, as far as the search could see them. */
  readonly since: number;
  /** Everything that could be seen is read: a trigger ends here. */
  readonly isDrained: boolean;
  /** While the list is read: the place to go on from, null at its beginning. Undefined afterwards. */
  readonly listAfter: string | null | undefined;
}

/** Before anything is read. */
export const START: ObjectPosition = {loadedFrom: null, since: 0, isDrained: false, listAfter: null};

/** A position as an offset. */
export function objectOffset({loadedFrom, since, isDrained, listAfter}: ObjectPosition): Offset {
  return {loaded: loadedFrom, since, drained: isDrained, ...(listAfter === undefined ? {} : {list: listAfter})};
}

/** Reads what {@link objectOffset} wrote. @throws CONTRACT_VIOLATION for any other offset. */
export function parseObjectOffset(offset: Offset): ObjectPosition {
  const {loaded, since, drained, list} = offset;
  if (typeof since !== 'number') {
    throw new IngestError('CONTRACT_VIOLATION', 'The offset is not one of the HubSpot connector.', {
      fix: 'Run a full refresh of the table.',
    });
  }
  return {
    loadedFrom: typeof loaded === 'number' ? loaded : null,
    since,
    isDrained: drained === true,
    listAfter: list === undefined ? undefined : typeof list === 'string' ? list : null,
  };
}
