import {IngestError} from '../../core/errors.ts';
import type {JsonObject} from '../../core/json-value.ts';
import {jsonText} from '../../core/lazy-object.ts';
import type {ListEnv} from './fetch-page.ts';
import type {Listing} from './rest-request.ts';

const MAX_PAGES = 100_000;
const MAX_EMPTY_PAGES = 10;
/** The same page so often in a row: the source does not heed the number of the page, or gives its last page for every later one. */
const MAX_EQUAL_PAGES = 10;

/**
 * Watches the pages of a listing: told of each page its records (of a stream the last ones), how many they are, and whether there is
 * more.
 * @throws SOURCE_ERROR when pages do not end.
 */
export function pageGuard(
  {table}: Pick<ListEnv, 'table'>,
  {maxPages = MAX_PAGES, maxEmptyPages = MAX_EMPTY_PAGES}: Listing,
): (records: readonly JsonObject[], count: number, more: boolean) => void {
  let [pages, emptyInARow, equalInARow] = [0, 0, 0];
  let before: string | null = null;
  return (records, count, more) => {
    pages++;
    emptyInARow = count === 0 ? emptyInARow + 1 : 0;
    const page =
      count === 0
        ? null
        : `${count} ${[records[0], records.at(-1)].map((record) => jsonText(record ?? {})).join('\n')}`;
    equalInARow = page !== null && page === before ? equalInARow + 1 : 0;
    before = page;
    if (!more) return;
    // Invariant 7: a trigger ends.
    if (pages >= maxPages) throw endless(table, `more than ${maxPages} pages`);
    if (emptyInARow > maxEmptyPages) throw endless(table, `${emptyInARow} empty pages in a row and more to come`);
    if (equalInARow >= MAX_EQUAL_PAGES) throw repeated(table);
  };
}

function endless(table: string, what: string): IngestError {
  return new IngestError('SOURCE_ERROR', `Table "${table}": the source gives ${what}.`, {
    fix: 'Check the paginator; if the list is that long, raise maxPages of the listing.',
    context: {table},
  });
}

function repeated(table: string): IngestError {
  return new IngestError('SOURCE_ERROR', `Table "${table}": the source gives the same page again and again.`, {
    fix: 'Check where the paginator puts the next page. If the source gives its last page for every later one, say is_exact of the page size, or where the answer says that a page is the last.',
    context: {table},
  });
}
